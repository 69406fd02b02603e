"""What is read back, as an archive gives it: metrics of many runs, one strategy's detail, its trades, SQL over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.archive.listing import Listing
from archiver.base.unread import Errors
from archiver.format.model import Detail, Record
from archiver.query.selection import KEYS, first_of, parse_sort, select
from archiver.runs.packed.metrics import Rows, all_metrics
from archiver.runs.read import Reader

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Loading:
    """Loads what was saved."""

    reader: Reader
    listing: Listing

    def load_metrics(
        self,
        universe: str | None = None,
        columns: Sequence[str] | None = None,
        run: str | None = None,
        history: bool = False,
        *,
        where: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        newest: str = "strategy",
        errors: Errors = "raise",
    ) -> pa.Table:
        """Load the metrics of all strategies, one row a universe and strategy.

        Arguments:
            universe: only this one.
            columns: only these metrics; `universe`, `strategy_name` and `run` always come first. Parameters are
                `params.<name>`, `params` is all of them.
            run: only this run.
            history: every run's rows.
            where: a filter, as in `sharpe_ratio > 1 and params.fast > 27`.
            sort: columns separated by commas: greatest first, with `-` before one least first.
            limit: at most so many rows.
            newest: which row counts where several runs of a universe have a strategy. `strategy`: that of the newest
                run which has it, so that rows of several runs stand side by side; `universe`: only rows of the
                universe's newest run.
            errors: what to do about what cannot be read, be it damaged or refused. `raise`: raise that; `warn`: leave
                it out, with an `archiver.UnreadWarning` that names it; or a function that is told of each as an
                `archiver.Unread` (`.run`, `.universe` if known, `.error`), and may raise.

        Returns an Arrow table; a metric that is JSON text is marked in its field's metadata.
        Raises ConfigError for a metric that no run has, NotFoundError for a run of another universe, IntegrityError
        for damaged objects.
        """
        if limit is not None and limit >= 0 and columns is not None and sort is not None:
            return self.leaderboard(
                columns,
                universe,
                run,
                history,
                where=where,
                sort=sort,
                limit=limit,
                newest=newest,
                errors=errors,
            )[0]
        records, packed = self.listing.rows(universe, run, errors)
        read = partial(
            all_metrics,
            self.reader.telling(errors),
            records,
            packed,
            universe=universe,
            newest=newest,
            history=history,
        )
        return select(read, columns, where, sort, limit)

    def leaderboard(
        self,
        columns: Sequence[str],
        universe: str | None = None,
        run: str | None = None,
        history: bool = False,
        *,
        sort: str,
        limit: int,
        where: str | None = None,
        newest: str = "strategy",
        errors: Errors = "raise",
    ) -> tuple[pa.Table, pa.Table]:
        """Load the first rows as `load_metrics` does, and of all rows that pass the filter the columns of `sort`, in the same order.

        Of many packed runs, other columns are read for the first rows alone. Raises what `load_metrics` raises.
        """
        records, packed = self.listing.rows(universe, run, errors)
        reader = self.reader.telling(errors)
        which: dict[str, Any] = {"universe": universe, "newest": newest, "history": history}
        names = [columns] if isinstance(columns, str) else list(columns)
        if packed:
            found = first_of(
                lambda read: Rows(reader, records, packed, read, **which, again=True),
                names,
                where,
                sort,
                limit,
            )
            if found is not None:
                return found
        table = select(
            lambda read: all_metrics(reader, records, packed, read, **which),
            list(dict.fromkeys([*names, *(name for name, _ in parse_sort(sort))])),
            where,
            sort,
        )
        ordered = table.select([name for name, _ in parse_sort(sort)])
        more = [name for name in ordered.column_names if name not in (*names, *KEYS)]
        return table[:limit].drop_columns(more), ordered

    def load_strategy(
        self, name: str, universe: str | None = None, run: str | None = None, *, errors: Errors = "raise"
    ) -> dict[str, Any]:
        """Load a strategy's full detail: from its universe's newest run that has it, or from one run.

        Where several universes have the strategy, the newest one whose detail is there counts: what
        `detailed_strategies` lists can be loaded. errors: about other runs that cannot be read, see `load_metrics`.

        Returns a dict of strategy_name, universe, rank, metrics (params among them), trades, equity_curve,
        drawdown_curve, exactly as they were saved; and by name `curves` (lists of values, of [time, value] where there
        are times), `tables` (lists of dicts) and `files` (size, sha256, type: `load_file` has the content), where a strategy of
        the run was given with any of these. Raises NotKeptError where the detail was not kept or is no longer there, NotFoundError for an
        unknown strategy.
        """
        return self.reader.strategy(*self._find(name, universe, run, errors))

    def load_outline(
        self, name: str, universe: str | None = None, run: str | None = None, *, errors: Errors = "raise"
    ) -> dict[str, Any]:
        """Load what `load_strategy` does but trades and tables, which take most of its time. Raises the same."""
        return self.reader.outline(*self._find(name, universe, run, errors))

    def load_trades(
        self,
        name: str,
        universe: str | None = None,
        run: str | None = None,
        columns: Sequence[str] | None = None,
        *,
        errors: Errors = "raise",
    ) -> pa.Table:
        """Load a strategy's trades as an Arrow table; price windows only where `columns` names them.

        Raises what `load_strategy` raises, and ConfigError for a column that the trades do not have.
        """
        return self.reader.trades(*self._find(name, universe, run, errors), columns)

    def load_curve(
        self,
        name: str,
        curve: str = "equity",
        universe: str | None = None,
        run: str | None = None,
        *,
        errors: Errors = "raise",
    ) -> pa.Table:
        """Load one curve of a strategy as an Arrow table of `time` and `value`.

        time: moments with the unit and zone that they were given with, or the numbers or texts that they were; null
        where the curve was given without. Raises what `load_strategy` raises, and NotFoundError for a curve that the
        strategy has not.
        """
        from archiver.runs import extras

        return extras.curve(self.reader, *self._find(name, universe, run, errors), curve)

    def load_table(
        self,
        name: str,
        table: str,
        universe: str | None = None,
        run: str | None = None,
        *,
        errors: Errors = "raise",
    ) -> pa.Table:
        """Load one further table of a strategy, `orders` say, as an Arrow table.

        Its types are those that it was given with; `to_pandas()` gives a frame of pandas back, index included. Raises
        what `load_strategy` raises, and NotFoundError for a table that the strategy has not.
        """
        from archiver.runs import extras

        return extras.table(self.reader, *self._find(name, universe, run, errors), table)

    def load_file(
        self,
        name: str,
        file: str,
        universe: str | None = None,
        run: str | None = None,
        *,
        errors: Errors = "raise",
    ) -> bytes:
        """Load one file of a strategy. Raises what `load_strategy` raises, NotFoundError for a file that it has not."""
        from archiver.runs import extras

        return extras.file(self.reader, *self._find(name, universe, run, errors), file)

    def contents(
        self, name: str, universe: str | None = None, run: str | None = None, *, errors: Errors = "raise"
    ) -> dict[str, Any]:
        """Tell what a strategy has beside its trades, without reading it: raises what `load_strategy` raises.

        Returns a dict of `curves` and `tables`, lists of names, and `files`, name -> size in bytes, sha256 and type.
        """
        from archiver.runs import extras

        return extras.contents(self.reader, *self._find(name, universe, run, errors))

    def detailed_strategies(
        self, universe: str | None = None, run: str | None = None, *, errors: Errors = "raise"
    ) -> list[tuple[str, str]]:
        """Return (universe, strategy) of every strategy whose detail can be loaded, best first in each universe.

        errors: about runs that cannot be read, see `load_metrics`.
        """
        return self.reader.telling(errors).detailed(self.listing.chosen(universe, run, errors))

    def _find(
        self, name: str, universe: str | None, run: str | None, errors: Errors
    ) -> tuple[Record, Detail]:
        known = (
            self.listing.having(name, universe, errors)
            if run is None
            else self.listing.chosen(universe, run, errors)
        )
        return self.reader.telling(errors).find(known, name)

    def run_ids(
        self,
        universe: str | None = None,
        tag: str | None = None,
        since: str | datetime | None = None,
        *,
        errors: Errors = "raise",
        where: str | None = None,
    ) -> list[str]:
        """Return the ids of runs, oldest first: of one universe, with one tag, since a moment, with such a strategy.

        since: a datetime, a date such as 2025-01-21, or an age such as 30d; where: a filter that one of a run's
        strategies satisfies. Records are read only for a universe or a filter; errors: about one that cannot be read,
        see `load_metrics`. Raises ArchiveNotFoundError, ConfigError for a text that is no moment or no filter.
        """
        runs = self.listing.ids(universe, tag, since, errors)
        if where is None:
            return runs
        table = self.load_metrics(universe, [], history=True, where=where, errors=errors)
        matching = set(table["run"].to_pylist())
        return [run for run in runs if run in matching]

    def sql(
        self,
        query: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
        *,
        universe: str | None = None,
        history: bool = False,
        keep_nan: bool = False,
        newest: str = "strategy",
        errors: Errors = "raise",
    ) -> pa.Table:
        """Run a query of DuckDB's SQL over the views metrics, trades, curves and runs (extra: sql).

        Arguments:
            query: of the views, only the columns that it names are read.
            values: of its parameters: a list for `?`, a dict for `$name`.
            universe: only this one.
            history: every run's rows, not only the newest of each strategy.
            keep_nan: leave NaN as it is; else it is NULL.
            newest, errors: as `load_metrics` takes them.

        Returns its result; columns that share a name become `x`, `x_1`. Raises ConfigError with what DuckDB says.
        """
        from archiver.query.sql import query as run

        return run(
            self.reader.telling(errors),
            self.listing.chosen(universe, None, errors),
            self.listing.runs(universe, errors=errors),
            query,
            values=values,
            newest=newest,
            history=history,
            keep_nan=keep_nan,
        )
