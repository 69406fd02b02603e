"""What an archive's numbers are worth, as it tells: the luck of a search, a tear sheet, a portfolio, a report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from archiver.archive.listing import Listing
from archiver.base.run_id import is_run_id
from archiver.base.unread import Errors
from archiver.errors import ConfigError, NotFoundError, NotKeptError, RunNotFoundError
from archiver.format.model import Detail, Record, Run
from archiver.runs.read import Reader
from archiver.store import Store

if TYPE_CHECKING:
    from archiver.analysis.luck import Luck
    from archiver.analysis.portfolio import Portfolio
    from archiver.analysis.returns import TearSheet


@dataclass(frozen=True, slots=True)
class Reported:
    """What a report was made of: `about` is strategy or run, `place` where it was written to."""

    place: str
    about: str
    name: str
    bytes: int


@dataclass(frozen=True)
class Judging:
    """Judges what was saved."""

    store: Store
    reader: Reader
    listing: Listing

    def luck(self, run: str | Run) -> Luck:
        """Judge how much of a run's best Sharpe ratio is luck, by all of its trials and the best one's equity curve.

        run: its id, the beginning of it, or the run.

        Returns `.trials`, `.best`, `.expected_best` (the best that so many trials give without skill), `.deflated` (the
        deflated Sharpe ratio, a probability; None where no curve allows it, and then `.why_not` says why), and what
        they were computed from; as text it is one line. Raises RunNotFoundError.
        """
        from archiver.analysis.reading import luck_of

        return luck_of(self.reader, self.listing.record(run))

    def tear_sheet(
        self, name: str, universe: str | None = None, run: str | None = None, *, errors: Errors = "raise"
    ) -> TearSheet:
        """Return what a strategy's equity curve says: returns by month and year, drawdowns, rolling figures.

        What needs dates is None or empty for a curve without: `.months`, `.cagr`, `.sharpe` ... Raises what
        `load_strategy` raises.
        """
        from archiver.analysis.reading import equity
        from archiver.analysis.returns import tear_sheet

        record, detail = self.reader.telling(errors).find(self.listing.chosen(universe, run, errors), name)
        return tear_sheet(equity(self.reader, record, detail))

    def portfolio(
        self,
        names: Iterable[str] = (),
        *,
        universe: str | None = None,
        run: str | None = None,
        top: int = 10,
        errors: Errors = "raise",
    ) -> Portfolio:
        """Hold 2 to 50 strategies together: how alike their days are, their sums against the best alone.

        Arguments:
            names: strategies; without any, the best `top` of the run whose details were kept.
            universe, run: where they are, as `load_strategy` takes them; without both, the newest run that has details.
            errors: about other runs that cannot be read, see `load_metrics`.

        Returns `.correlation`, `.equal`, `.inverse`, `.alone` and more; what is left out is said in `.left_out`. Raises
        ConfigError where less than two have curves with dates, or these too few days in common, and what `load_strategy` raises.
        """
        from archiver.analysis.portfolio import MOST, portfolio
        from archiver.analysis.reading import equity, held_together

        if not 2 <= top <= MOST:
            raise ConfigError(f"top must be 2 to {MOST}, not {top}")

        reader, chosen = self.reader.telling(errors), list(dict.fromkeys(names))
        if run is not None:
            records = self.listing.chosen(universe, run, errors)
            found = [reader.find(records, name) for name in chosen] or held_together(records, top)
        else:
            seen = self.listing.all_runs(errors)
            found = [reader.find(seen.having(name, universe), name) for name in chosen]
            newest = None if chosen else seen.newest_with(2, universe)
            found = found or held_together([newest] if newest else [], top)
        return portfolio({detail.strategy: equity(reader, record, detail) for record, detail in found})

    def report(
        self,
        name: str,
        output: str | os.PathLike[str] | BinaryIO,
        *,
        universe: str | None = None,
        run: str | None = None,
        errors: Errors = "raise",
    ) -> Reported:
        """Write one self-contained HTML page on a strategy or a run: it opens offline and runs no script.

        Arguments:
            name: a strategy, or a run by its id or the beginning of it; where both are there, the strategy.
            output: a file, its URL, or a binary stream.
            universe, run: of the strategy, as `load_strategy` takes them.
            errors: about other runs that cannot be read, see `load_metrics`.

        Returns what was written. Raises NotFoundError where neither is there, and what `load_strategy` raises.
        """
        from archiver.interop.export_to import to_place
        from archiver.report.making import of_run, of_strategy
        from archiver.runs.snapshot import Snapshot

        record, detail = self._about(name, universe, run, errors)
        told = self.listing.run(record.run)
        if detail is not None:
            text = of_strategy(self.reader, record, detail, told)
        else:
            text = of_run(self.reader, record, told, Snapshot(self.store, record.code, record.params))
        data = text.encode(errors="replace")
        if isinstance(output, str | os.PathLike):
            place = to_place(os.fspath(output), "html", lambda file: file.write(data)).place
        else:
            output.write(data)
            place = "the stream"
        kind, named = ("run", record.run) if detail is None else ("strategy", detail.strategy)
        return Reported(place, kind, named, len(data))

    def _about(
        self, name: str, universe: str | None, run: str | None, errors: Errors
    ) -> tuple[Record, Detail | None]:
        """Return the record, and the detail of the strategy; None where a run is meant."""
        if run is None and is_run_id(name):
            return self.listing.chosen(universe, name)[0], None
        try:
            return self.reader.telling(errors).find(self.listing.chosen(universe, run, errors), name)
        except NotKeptError:
            raise
        except NotFoundError:
            if run is not None:
                raise
            try:
                found = self.listing.run_id(name)
            except RunNotFoundError as other:
                if "is the beginning of" in str(other):
                    raise
                found = ""
            if not found:
                raise
            return self.listing.chosen(universe, found)[0], None
