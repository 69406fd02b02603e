"""Reading runs back: metrics of many runs as one table, the detail of one strategy, its trades.

Which run counts where several have a strategy, `archiver.runs.newest` says. What cannot be read hides nothing but itself, if
whoever reads wants that (`archiver.base.unread`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from archiver.base.suggest import did_you_mean
from archiver.base.unread import ONE_OBJECT, Errors, Unread, teller
from archiver.errors import ArchiverError, ConfigError, IntegrityError, NotFoundError, NotKeptError
from archiver.format import layout
from archiver.format.attached import File, unpack_file
from archiver.format.detail import Source, decode_detail, decode_outline, trades_table
from archiver.format.extras import Shared
from archiver.format.inline import InlineTable
from archiver.format.metrics import decode_metrics, join_tables, metrics_table, table_metrics, with_keys
from archiver.format.model import Detail, Record, Ref
from archiver.format.parquet import ParquetObject, decoding
from archiver.format.records import rows_of
from archiver.format.tapes import Tape, cut_windows
from archiver.runs.details import Details, of_strategy, state_of
from archiver.runs.newest import Part, counting, details_of, first_rows, holders, parts, without_detail
from archiver.runs.ranking import rank_order
from archiver.runs.series import SharedSeries
from archiver.runs.tables import FIRST, column_names, inline_table_of, selected
from archiver.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class Reader:
    """Reads the objects that records point to, and keeps what is asked for again: tapes and strategy names."""

    def __init__(self, store: Store, errors: Errors = "raise") -> None:
        """Read from a store. errors: what to do about what cannot be read (`archiver.base.unread`)."""
        self._store = store
        self._tell = teller(errors)
        self._series = SharedSeries(self.parquet)
        self._names: dict[str, frozenset[str]] = {}

    def telling(self, errors: Errors) -> Reader:
        """Return a reader that has the same things at hand, and does something else about what cannot be read."""
        other = copy.copy(self)
        other._tell = teller(errors)
        return other

    def metrics(
        self,
        records: Sequence[Record],
        columns: Sequence[str] | None,
        *,
        newest: str = "strategy",
        history: bool = False,
        params: bool = True,
    ) -> pa.Table:
        """Return the rows that count as one table.

        records: newest first; columns: metrics to read, None for all; newest, history: which rows count, see
        `archiver.runs.newest`; params: as columns, not as dicts. Rows
        are in order of universe, then newest run first, then as they were saved. Raises
        ConfigError for a column that no run has.
        """
        columns = column_names(columns)
        wanted = None if columns is None else [name for name in columns if name not in FIRST]
        chosen = counting(records, newest=newest, history=history)
        tables = self.tables(chosen, wanted, params=params)
        table = join_tables(tables or [inline_table_of([], wanted, params=params)])
        if not history and len({record.universe for record in chosen}) < len(chosen):
            table = first_rows(table)
        return table if wanted is None else selected(table, wanted, records)

    def tables(
        self, chosen: Sequence[Record], wanted: Sequence[str] | None, *, params: bool
    ) -> list[pa.Table]:
        """Return the rows of these runs, in their order, as tables; wanted: metrics that a table has if its runs do."""
        large = [record for record in chosen if record.tier1]
        read = iter(self._store.map(lambda r: _attempt(lambda: self._large(r, wanted, params=params)), large))
        tables: list[pa.Table] = []
        small: list[Record] = []
        for record in chosen:
            if record.tier1 is None:
                small.append(record)
                continue
            tables += self._small(small, wanted, params=params)
            small = []
            found = next(read)
            if isinstance(found, ArchiverError):
                self._left_out(record, found)
            else:
                tables.append(found)
        return tables + self._small(small, wanted, params=params)

    def find(self, records: Sequence[Record], strategy: str) -> tuple[Record, Detail]:
        """Return the run that counts for the strategy, and where its detail is. records: newest first.

        Raises NotKeptError when no run that counts has its detail, NotFoundError when no run has the strategy.
        """
        if not isinstance(strategy, str):
            raise ConfigError(f"{strategy!r} is no name of a strategy: give a text")
        found: tuple[Record, Detail] | None = None
        for record, detail in holders(records, self._known_names, strategy):
            if self._store.local is not None or self._is_there(record, records):
                return record, detail
            found = found or (record, detail)
        if found is not None:
            return found  # reading it will say what has become of its details
        lacking = without_detail(records, self._known_names, strategy)
        if lacking is not None:
            raise self._not_kept(lacking[0], strategy, lacking[1])
        known = {name for record in records[:20] for name in self._known_names(record)}
        hint = did_you_mean(strategy, known, ": `archiver metrics` shows those there are")
        raise NotFoundError(f"no run has a strategy {strategy!r}{hint}")

    def _is_there(self, record: Record, records: Sequence[Record]) -> bool:
        """Tell whether a rule of the bucket left a run its details; asked only where another universe may have them."""
        if record.tier2 is None or len({one.universe for one in records if details_of(one)}) < 2:
            return True
        return self._store.stat(record.tier2.key) is not None

    def strategy(self, record: Record, detail: Detail) -> dict[str, Any]:
        """Return one strategy's detail, exactly as it was given."""
        record = holder(record, detail)
        source = self._detail(record, detail)
        with decoding(source.key):
            found = decode_detail(
                source,
                detail,
                lambda _, places: cut_windows(self.tapes(record), places),
                self.shared(record),
            )
        keys = ("metrics", "trades", "equity_curve", "drawdown_curve", "curves", "tables", "files")
        return {
            "strategy_name": detail.strategy,
            "universe": record.universe,
            "rank": detail.rank,
            **{key: found[key] for key in keys if key in found},
        }

    def outline(self, record: Record, detail: Detail) -> dict[str, Any]:
        """Return what `strategy` does but for the trades, which take nearly all of its time."""
        record = holder(record, detail)
        source = self._detail(record, detail)
        with decoding(source.key):
            found = decode_outline(source, detail, self.shared(record))
        return {**found, "universe": record.universe}

    def trades(self, record: Record, detail: Detail, columns: Sequence[str] | None) -> pa.Table:
        """Return one strategy's trades as a table. Raises ConfigError for a column they do not have."""
        record = holder(record, detail)
        source = self._detail(record, detail)
        with decoding(source.key):
            return trades_table(
                source,
                detail,
                column_names(columns),
                lambda _, places: cut_windows(self.tapes(record), places),
            )

    def detailed(self, records: Sequence[Record]) -> list[tuple[str, str]]:
        """Return (universe, strategy) of what `find` finds a detail for, universe by universe, best first."""
        return [
            (part.record.universe, detail.strategy)
            for part in self.detailed_parts(records)
            for detail in part.details
        ]

    def detailed_parts(
        self, records: Sequence[Record], *, newest: str = "strategy", history: bool = False
    ) -> list[Part]:
        """Return what counts of each run whose details are there, universe by universe, newest run first."""
        chosen = parts(records, self._known_names, newest=newest, history=history, only=details_of)
        found = [one for part in chosen for one in part.held()]
        if self._store.local is not None or not found:
            return found
        # A rule of a bucket takes details without a word to their records.
        universes = {part.record.universe for part in found}
        prefix = layout.TIER2 + (f"{layout.universe_part(*universes)}/" if len(universes) == 1 else "")
        there = {entry.key for entry in self._store.list(prefix)}
        return [part for part in found if part.record.tier2 is None or part.record.tier2.key in there]

    def parts(
        self, records: Sequence[Record], *, newest: str = "strategy", history: bool = False
    ) -> list[Part]:
        """Return what counts of each run, universe by universe, newest run first."""
        return list(parts(records, self._known_names, newest=newest, history=history))

    def rows(self, record: Record) -> list[dict[str, Any]]:
        """Return a run's rows exactly as they were saved: strategy_name, then the metrics in their order."""
        return self._try(record, lambda: self._rows(record), [])

    def _rows(self, record: Record) -> list[dict[str, Any]]:
        if record.tier1 is None:
            return rows_of(record)
        with decoding(record.tier1.key):
            return decode_metrics(self._tier1(record))

    def metric_names(self, records: Iterable[Record]) -> set[str]:
        """Return the names of all metrics, from footers where there are many rows."""
        names: set[str] = set()
        for record in records:
            names |= self._try(record, partial(self._metrics_of, record), set())
        return names - {"strategy_name"}

    def _metrics_of(self, record: Record) -> set[str]:
        if record.tier1 is None:
            return set().union(*rows_of(record))
        with decoding(record.tier1.key):
            return table_metrics(self._tier1(record))

    def names(self, record: Record) -> frozenset[str]:
        """Return the names of all strategies of a run."""
        key = record.names or record.run
        names = self._names.get(key)
        if names is None:
            if record.tier1 is not None:
                names = frozenset(self._large(record, [])["strategy_name"].to_pylist())
            else:
                names = frozenset(row["strategy_name"] for row in rows_of(record))
            self._names[key] = names
        return names

    def _known_names(self, record: Record) -> frozenset[str]:
        return self._try(record, lambda: self.names(record), frozenset())

    def _try(self, record: Record, read: Callable[[], T], without: T) -> T:
        """Return what `read` does, or what there is without a run that cannot be read, once that was told."""
        found = _attempt(read)
        if isinstance(found, ArchiverError):
            self._left_out(record, found)
            return without
        return found

    def _left_out(self, record: Record, error: ArchiverError) -> None:
        self._tell(Unread(record.run, record.universe, error))

    def take(self, record: Record, read: Callable[[], T]) -> T | None:
        """Return what `read` makes of a run's details; None for what cannot be read, once that was told."""
        return self._try(record, read, None)

    def tapes(self, record: Record) -> list[Tape]:
        """Return the bar series of a run, in the order of its record."""
        return self._series.tapes(record)

    def shared(self, record: Record) -> Shared:
        """Return what reads the clocks and closes that a run's curves need."""
        return self._series.of(record)

    def file(self, file: File) -> bytes:
        """Return the content of a strategy's file. Raises IntegrityError when it is gone or damaged."""
        key = layout.file_key(file.sha256)
        try:
            return unpack_file(self._store.get(key), file, key)
        except NotFoundError:
            raise IntegrityError(f"{key} is gone although a record needs it; run `archiver verify`") from None

    def parquet(self, ref: Ref, *, whole: bool = False, rows: int | None = None) -> ParquetObject:
        """Open a Parquet object. rows: how many its record promises. Raises IntegrityError when it is gone."""
        try:
            return ParquetObject(
                ref, lambda start, end: self._store.get(ref.key, start, end), whole=whole, rows=rows
            )
        except NotFoundError:
            raise IntegrityError(
                f"{ref.key} is gone although a record needs it; run `archiver verify`"
            ) from None

    def details_state(self, record: Record) -> Details:
        """Return what has become of a run's details: the store is asked whether they are there."""
        there = record.tier2 is None or self._store.stat(record.tier2.key) is not None
        return state_of(record, there=there)

    def details(self, record: Record) -> Source:
        """Open the details of a run. Raises NotKeptError where it has none any more, IntegrityError for damage."""
        if record.inline_detail is not None:
            return InlineTable(record.inline_detail, f"the record of {record.run}")
        tier2 = record.tier2
        if tier2 is None:
            raise NotKeptError(f"details of run {record.run}: {state_of(record).words}")
        try:
            return ParquetObject(
                tier2,
                lambda start, end: self._store.get(tier2.key, start, end),
                rows=len(record.details),
            )
        except NotFoundError:
            if self._store.local is not None:
                raise IntegrityError(f"{tier2.key} is gone; run `archiver verify`") from None
            raise NotKeptError(
                f"details of run {record.run}: {state_of(record, there=False).words}"
            ) from None

    def _tier1(self, record: Record, *, whole: bool = False) -> ParquetObject:
        assert record.tier1 is not None  # noqa: S101 - callers ask only for larger runs
        return self.parquet(record.tier1, whole=whole, rows=record.strategies)

    def _large(self, record: Record, columns: Sequence[str] | None, *, params: bool = True) -> pa.Table:
        import pyarrow as pa

        assert record.tier1 is not None  # noqa: S101 - callers ask only for larger runs
        with decoding(record.tier1.key):
            table = metrics_table(self._tier1(record, whole=columns is None), columns, params=params)
            if not pa.types.is_string(table["strategy_name"].type):
                raise TypeError("names of strategies are no texts")
            rows = table.num_rows
            return with_keys(table, pa.repeat(record.universe, rows), pa.repeat(record.run, rows))

    def _small(
        self, records: Sequence[Record], columns: Sequence[str] | None, *, params: bool
    ) -> list[pa.Table]:
        """Return the rows of small runs as one table, if there are any."""
        rows = [(record, self.rows(record)) for record in records]
        return [inline_table_of(rows, columns, params=params)] if rows else []

    def _detail(self, record: Record, detail: Detail) -> Source:
        if not record.has_detail:
            raise self._not_kept(record, detail.strategy, None)
        return self.details(record)

    def _not_kept(self, record: Record, strategy: str, older: Record | None) -> NotKeptError:
        where = f"{strategy!r} in run {record.run} of {record.universe!r}"
        became = of_strategy(record, strategy)
        if became is not None:
            return NotKeptError(f"the detail of {where} {became}")
        rank, text = self._rank(record, strategy)
        text = f"no detail was kept of {where}: {text}"
        if len(record.details) < record.top_n or rank <= record.top_n:
            text += "; it was saved without trades and curves"
        if older is not None:
            text += f"; run {older.run} kept it: give run={older.run!r} (--run)"
        return NotKeptError(text)

    def _rank(self, record: Record, strategy: str) -> tuple[float, str]:
        metric, greatest = rank_order(record.rank_by or "")
        if metric not in self._metrics_of(record):
            return math.inf, f"it was not ranked, and the run kept the top {record.top_n}"
        table = self.metrics([record], [metric], history=True)
        own = table["strategy_name"].to_pylist().index(strategy)
        scores = table[metric].to_pylist()
        score = scores[own]
        if score is None or score != score:
            better = sum(1 for other in scores if other is not None and other == other)
            better += sum(1 for other in scores[:own] if other is None or other != other)
        else:
            better = sum(
                1 for other in scores if other is not None and (other > score if greatest else other < score)
            )
            better += scores[:own].count(score)
        of = f"of {record.strategies} by {record.rank_by}"
        return better + 1, f"it ranks {better + 1} {of}, and the run's top_n is {record.top_n}"


def holder(record: Record, detail: Detail) -> Record:
    """Return who holds a strategy's detail: the record, or of a run that is open one of its parts."""
    held = (part for part in record.parts if any(one.strategy == detail.strategy for one in part.details))
    return next(held, record)


def _attempt(read: Callable[[], T]) -> T | ArchiverError:
    """Return what `read` does, or the error where that is about what was read alone."""
    try:
        return read()
    except ONE_OBJECT as error:
        return error
