"""Reading runs back: metrics of many runs as one table, the detail of one strategy, its trades.

Where several runs have a strategy, the newest one counts, also when it did not keep the detail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError, IntegrityError, NotFoundError, NotKeptError
from archiver.format.detail import decode_detail, decode_outline, trades_table
from archiver.format.metrics import (
    decode_metrics,
    inline_rows,
    inline_table,
    join_tables,
    metrics_table,
    table_metrics,
)
from archiver.format.model import Detail, Record, Ref
from archiver.format.params import asked
from archiver.format.parquet import ParquetObject
from archiver.format.rows import free_name
from archiver.format.tapes import Tape, cut_windows, decode_tape
from archiver.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FIRST = ("universe", "strategy_name", "run")
_MOST_TAPES = 4


@dataclass(frozen=True, slots=True)
class Part:
    """A run, and those of its strategies that no newer run of its universe has; None: all of them."""

    record: Record
    names: frozenset[str] | None = None

    @property
    def strategies(self) -> int:
        """How many strategies count."""
        return self.record.strategies if self.names is None else len(self.names)

    def has(self, strategy: str) -> bool:
        """Tell whether a strategy counts."""
        return self.names is None or strategy in self.names


class Reader:
    """Reads the objects that records point to, and keeps what is asked for again: tapes and strategy names."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tapes: dict[str, Tape] = {}
        self._names: dict[str, frozenset[str]] = {}

    def metrics(
        self,
        records: Sequence[Record],
        columns: Sequence[str] | None,
        *,
        history: bool,
        params: bool = True,
    ) -> pa.Table:
        """Return one row a strategy and universe, the newest run's, or every run's.

        records: newest first; columns: metrics to read, None for all; params: as columns, not as dicts. Rows are in order of universe, then newest
        run first, then as they were saved. Raises ConfigError for a column that no run has.
        """
        columns = _names(columns)
        wanted = None if columns is None else [name for name in columns if name not in FIRST]
        chosen = sorted(records, key=lambda record: record.universe)
        if not history:
            chosen = _without_repeats(chosen)
        read = iter(
            self._store.map(lambda r: self._large(r, wanted, params=params), [r for r in chosen if r.tier1])
        )
        tables: list[pa.Table] = []
        small: list[Record] = []
        for record in chosen:
            if record.tier1 is None:
                small.append(record)
                continue
            if small:
                tables.append(_small(small, wanted, params=params))
                small = []
            tables.append(next(read))
        if small or not tables:
            tables.append(_small(small, wanted, params=params))
        table = join_tables(tables)
        if not history and len({record.universe for record in chosen}) < len(chosen):
            table = _newest(table)
        return table if wanted is None else _select(table, wanted, records)

    def find(self, records: Sequence[Record], strategy: str) -> tuple[Record, Detail]:
        """Return the run that counts for the strategy, and where its detail is. records: newest first.

        In each universe the newest run that has the strategy counts; of several universes, the newest that kept it.
        Raises NotKeptError when none of these kept it, NotFoundError when no run has the strategy.
        """
        if not isinstance(strategy, str):
            raise ConfigError(f"{strategy!r} is no name of a strategy: give a text")
        looked: set[str] = set()
        for number, record in enumerate(records):
            detail = next((detail for detail in record.details if detail.strategy == strategy), None)
            if detail is None or record.universe in looked:
                continue
            looked.add(record.universe)
            newer = [other for other in records[:number] if other.universe == record.universe]
            if not any(strategy in self.names(other) for other in newer):
                return record, detail
        for number, record in enumerate(records):
            if strategy in self.names(record):
                raise self._not_kept(record, strategy, records[number + 1 :])
        known = {name for record in records[:20] for name in self.names(record)}
        near = get_close_matches(strategy, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ": `archiver metrics` shows those there are"
        raise NotFoundError(f"no run has a strategy {strategy!r}{hint}")

    def strategy(self, record: Record, detail: Detail) -> dict[str, Any]:
        """Return one strategy's detail, exactly as it was given."""
        found = decode_detail(
            self._detail(record, detail), detail, lambda _, places: cut_windows(self.tapes(record), places)
        )
        keys = ("metrics", "trades", "equity_curve", "drawdown_curve")
        return {
            "strategy_name": detail.strategy,
            "universe": record.universe,
            "rank": detail.rank,
            **{key: found[key] for key in keys},
        }

    def outline(self, record: Record, detail: Detail) -> dict[str, Any]:
        """Return what `strategy` does but for the trades, which take nearly all of its time."""
        found = decode_outline(self._detail(record, detail), detail)
        return {**found, "universe": record.universe}

    def trades(self, record: Record, detail: Detail, columns: Sequence[str] | None) -> pa.Table:
        """Return one strategy's trades as a table. Raises ConfigError for a column they do not have."""
        return trades_table(
            self._detail(record, detail),
            detail,
            _names(columns),
            lambda _, places: cut_windows(self.tapes(record), places),
        )

    def detailed(self, records: Sequence[Record]) -> list[tuple[str, str]]:
        """Return (universe, strategy) of what `find` finds a detail for, universe by universe, best first."""
        found = []
        for universe in sorted({record.universe for record in records}):
            seen: set[str] = set()
            digests: set[str] = set()
            own = [record for record in records if record.universe == universe]
            for number, record in enumerate(own):
                if record.names in digests:
                    continue
                if record.tier2 is not None:
                    found += [(universe, d.strategy) for d in record.details if d.strategy not in seen]
                digests.add(record.names)
                if any(later.details and later.names not in digests for later in own[number + 1 :]):
                    seen |= self.names(record)
        return found

    def parts(self, records: Sequence[Record], *, history: bool = False) -> list[Part]:
        """Return what counts of each run, universe by universe, newest run first; all of every run with `history`."""
        chosen = sorted(records, key=lambda record: record.universe)
        if history:
            return [Part(record) for record in chosen]
        parts: list[Part] = []
        for _, group in groupby(chosen, key=lambda record: record.universe):
            own = list(group)
            seen: set[str] = set()
            digests: set[str] = set()
            for number, record in enumerate(own):
                if record.names in digests:
                    continue
                digests.add(record.names)
                names = self.names(record) - seen if number else None
                if names is None or names:
                    parts.append(Part(record, names))
                if number + 1 < len(own):
                    seen |= self.names(record)
        return parts

    def rows(self, record: Record) -> list[dict[str, Any]]:
        """Return a run's rows exactly as they were saved: strategy_name, then the metrics in their order."""
        if record.tier1 is None:
            return inline_rows(record.inline or "[]")
        return decode_metrics(self.parquet(record.tier1))

    def metric_names(self, records: Iterable[Record]) -> set[str]:
        """Return the names of all metrics, from footers where there are many rows."""
        names: set[str] = set()
        for record in records:
            if record.tier1 is None:
                names.update(*inline_rows(record.inline or "[]"))
            else:
                names.update(table_metrics(self.parquet(record.tier1)))
        return names - {"strategy_name"}

    def names(self, record: Record) -> frozenset[str]:
        """Return the names of all strategies of a run."""
        names = self._names.get(record.names)
        if names is None:
            if record.inline is not None:
                names = frozenset(row["strategy_name"] for row in inline_rows(record.inline))
            elif record.tier1 is not None:
                names = frozenset(self._large(record, [])["strategy_name"].to_pylist())
            else:
                names = frozenset()
            self._names[record.names] = names
        return names

    def tapes(self, record: Record) -> list[Tape]:
        """Return the bar series of a run, in the order of its record."""
        for ref in record.tapes:
            if ref.sha256 not in self._tapes:
                while len(self._tapes) >= max(_MOST_TAPES, len(record.tapes)):
                    self._tapes.pop(next(iter(self._tapes)))
                self._tapes[ref.sha256] = decode_tape(self.parquet(ref))
        return [self._tapes[ref.sha256] for ref in record.tapes]

    def parquet(self, ref: Ref, *, whole: bool = False) -> ParquetObject:
        """Open a Parquet object. Raises IntegrityError when it is gone."""
        try:
            return ParquetObject(ref, lambda start, end: self._store.get(ref.key, start, end), whole=whole)
        except NotFoundError:
            raise IntegrityError(
                f"{ref.key} is gone although a record needs it; run `archiver verify`"
            ) from None

    def _large(self, record: Record, columns: Sequence[str] | None, *, params: bool = True) -> pa.Table:
        import pyarrow as pa

        assert record.tier1 is not None  # noqa: S101 - callers ask only for larger runs
        table = metrics_table(self.parquet(record.tier1, whole=columns is None), columns, params=params)
        rows = table.num_rows
        return _first_columns(table, pa.repeat(record.universe, rows), pa.repeat(record.run, rows))

    def _detail(self, record: Record, detail: Detail) -> ParquetObject:
        tier2 = record.tier2
        if tier2 is None:
            raise self._not_kept(record, detail.strategy, [])
        try:
            return ParquetObject(tier2, lambda start, end: self._store.get(tier2.key, start, end))
        except NotFoundError:
            if self._store.local is not None:
                raise IntegrityError(f"{tier2.key} is gone; run `archiver verify`") from None
            raise NotKeptError(
                f"the detail of {detail.strategy!r} in run {record.run} is no longer in the store: a bucket rule may"
                " have expired it; `archiver verify` tells"
            ) from None

    def _not_kept(self, record: Record, strategy: str, older: Sequence[Record]) -> NotKeptError:
        where = f"{strategy!r} in run {record.run} of {record.universe!r}"
        had = any(detail.strategy == strategy for detail in record.details)
        if record.archived and had:
            return NotKeptError(
                f"the detail of {where} is in a bundle: `archiver bundle restore {record.archived}`"
            )
        if record.detail_removed and had:
            return NotKeptError(f"the detail of {where} was removed by {record.detail_removed}")
        rank, text = self._rank(record, strategy)
        text = f"no detail was kept of {where}: {text}"
        if len(record.details) < record.top_n or rank <= record.top_n:
            text += "; it was saved without trades and curves"
        for other in older:
            if any(detail.strategy == strategy for detail in other.details):
                return NotKeptError(f"{text}; run {other.run} kept it: give run={other.run!r} (--run)")
        return NotKeptError(text)

    def _rank(self, record: Record, strategy: str) -> tuple[float, str]:
        if record.rank_by is None:
            return math.inf, f"it was not ranked, and the run kept the top {record.top_n}"
        table = self.metrics([record], [record.rank_by], history=True)
        own = table["strategy_name"].to_pylist().index(strategy)
        scores = table[record.rank_by].to_pylist()
        score = scores[own]
        if score is None or score != score:
            better = sum(1 for other in scores if other is not None and other == other)
            better += sum(1 for other in scores[:own] if other is None or other != other)
        else:
            better = sum(1 for other in scores if other is not None and other > score)
            better += scores[:own].count(score)
        of = f"of {record.strategies} by {record.rank_by}"
        return better + 1, f"it ranks {better + 1} {of}, and the run's top_n is {record.top_n}"


def _without_repeats(records: Sequence[Record]) -> list[Record]:
    """Leave out runs whose very strategies a newer run of the universe has: none of their rows would count."""
    seen: set[tuple[str, str]] = set()
    chosen = []
    for record in records:
        if (record.universe, record.names) not in seen:
            seen.add((record.universe, record.names))
            chosen.append(record)
    return chosen


def _small(records: Sequence[Record], columns: Sequence[str] | None, *, params: bool) -> pa.Table:
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    universes: list[str] = []
    runs: list[str] = []
    for record in records:
        own = inline_rows(record.inline or "[]")
        rows += own
        universes += [record.universe] * len(own)
        runs += [record.run] * len(own)
    return _first_columns(
        inline_table(rows, columns, params=params),
        pa.array(universes, pa.string()),
        pa.array(runs, pa.string()),
    )


def _names(columns: Sequence[str] | None) -> Sequence[str] | None:
    """Take one name for a list of it, not for its letters, and the same name once."""
    names = [columns] if isinstance(columns, str) else columns
    if names is not None and (wrong := [name for name in names if not isinstance(name, str)]):
        raise ConfigError(f"{wrong[0]!r} is no name of a column: give texts")
    return None if names is None else list(dict.fromkeys(names))


def _first_columns(table: pa.Table, universes: pa.Array, runs: pa.Array) -> pa.Table:
    there = table.column_names
    names = [free_name(f"metrics.{name}", there) if name in ("universe", "run") else name for name in there]
    table = table.rename_columns(names)
    table = table.add_column(0, "universe", universes)
    return table.add_column(2, "run", runs)


def _newest(table: pa.Table) -> pa.Table:
    """Keep the first row of each universe and strategy: rows come newest run first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pa.table(
        {
            "universe": table["universe"],
            "strategy_name": table["strategy_name"],
            "at": pa.array(range(table.num_rows), pa.int64()),
        }
    )
    first = places.group_by(["universe", "strategy_name"]).aggregate([("at", "min")])
    if first.num_rows == table.num_rows:
        return table
    return table.take(first["at_min"].take(pc.array_sort_indices(first["at_min"])))


def _select(table: pa.Table, wanted: Sequence[str], records: Sequence[Record]) -> pa.Table:
    import pyarrow as pa

    wanted = asked(wanted, table.column_names)
    missing = [name for name in wanted if name not in table.column_names]
    if missing and table.num_rows:
        known = sorted({name for record in records for name in record.metrics} | set(table.column_names))
        near = get_close_matches(missing[0], known, 1)
        where = f" of {records[0].universe!r}" if len({record.universe for record in records}) == 1 else ""
        raise ConfigError(
            f"no run{where} has a metric {missing[0]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    for name in missing:
        table = table.append_column(name, pa.nulls(0))
    return table.select([*FIRST, *wanted])


def records_of(records: Sequence[Record], *, universe: str | None) -> Iterator[Record]:
    """Yield the records of one universe; None: all."""
    for record in records:
        if universe is None or record.universe == universe:
            yield record


def one_run(record: Record, universe: str | None) -> list[Record]:
    """Return the record alone. Raises NotFoundError where another universe than its own is asked for."""
    if universe not in (None, record.universe):
        raise NotFoundError(f"run {record.run} is of universe {record.universe!r}, not of {universe!r}")
    return [record]
