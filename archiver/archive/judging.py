"""What an archive's numbers are worth, as it tells: the luck of a search, a strategy's tear sheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.archive.listing import Listing
from archiver.base.unread import Errors
from archiver.format.model import Run
from archiver.runs.read import Reader

if TYPE_CHECKING:
    from archiver.analysis.luck import Luck
    from archiver.analysis.returns import TearSheet


@dataclass(frozen=True)
class Judging:
    """Judges what was saved."""

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
