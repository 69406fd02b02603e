"""What the pages show, read from an archive that may change or fail meanwhile. Knows no terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from archiver.base.unread import Unread
from archiver.errors import ArchiverError, IntegrityError, NotFoundError, NotKeptError, StorageError
from archiver.format.model import Record, Run
from archiver.query.selection import KEYS, greatest_first, score_of
from archiver.query.tree import Folder, Index, Preview, folder, preview
from archiver.runs.all_runs import AllRuns, has_text
from archiver.runs.extras import drawn
from archiver.runs.newest import details_of
from archiver.runs.ranking import rank_order
from archiver.runs.read import Reader
from archiver.runs.records import records_of, run_of
from archiver.runs.tags import read_tags

if TYPE_CHECKING:
    from archiver.archive import Archive

_ALL = 2**62
_MANY = 5_000
"""So many records are read at most for what is known of many runs at once."""
_UNMARKED = "the ● of what only {:,} older runs have: their records were not read"


@dataclass(frozen=True, slots=True)
class Universe:
    """A universe: its runs together, and its newest one's best strategy by what ranked it."""

    name: str
    runs: int
    strategies: int
    size: int
    newest: datetime
    metric: str | None
    best: float | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose strategies: a run's, a universe's, or all; without a run each strategy's newest counts."""

    universe: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Strategies:
    """Metrics of strategies, what ranked them, those whose details can be opened, when each run was made.

    `unread` says what could not be read and is left out.
    """

    table: pa.Table
    metric: str | None
    greatest_first: bool
    kept: frozenset[tuple[str, str]]
    created: Mapping[str, datetime]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """One strategy; without detail `why` says why there is none."""

    name: str
    universe: str
    run: str
    metrics: dict[str, Any]
    rank: int | None = None
    equity: Any = None
    drawdown: Any = None
    spans: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    """The first and the last moment of each curve that is on a clock."""
    trades: pa.Table | None = None
    why: str = ""


class Source:
    """Reads an archive for the pages; every call may take long and raise, so pages call it from threads."""

    def __init__(self, archive: Archive) -> None:
        """Take an archive that was opened read-only."""
        self.archive = archive
        self.url = archive.store.url
        self._reader = archive.reader
        self._lock = threading.Lock()
        self._index: Index | None = None
        self.unread: tuple[str, ...] = ()
        """What could not be read when all records were last read, and why."""

    def universes(self) -> list[Universe]:
        """Return all universes by name."""
        seen = self.seen()
        by_universe, newest = seen.by_universe, seen.whole(seen.newest.values())
        taken = pa.table({"universe": seen.table["universe"], "size": seen.brought(_MANY, apart=True)[0]})
        group = taken.group_by("universe").aggregate([("size", "sum")])
        sizes = dict(zip(*(group[name].to_pylist() for name in ("universe", "size_sum")), strict=True))
        return [
            _universe(newest[seen.newest[name]], runs, sizes[name])
            for name, runs in zip(
                *(by_universe[name].to_pylist() for name in ("universe", "runs")), strict=True
            )
        ]

    def runs(self, universe: str | None) -> RunRows:
        """Return the runs of a universe, or all, newest first."""
        seen = self.seen()
        table = seen.of(universe)
        given = table.select(["run", "tags"]).filter(pc.is_valid(table["tags"])).to_pylist()
        tags = read_tags(self.archive.store, {row["run"]: orjson.loads(row["tags"]) for row in given})
        return RunRows(seen, table, tags)

    def run(self, run: str) -> tuple[Record, Run]:
        """Return a run's record and what users see of it. Raises RunNotFoundError."""
        record = self.archive.record(run)
        return record, run_of(record, self.archive.run(run).tags)

    def luck(self, run: str) -> str:
        """Return how much of a run's best is luck, in a line; empty where that cannot be told."""
        try:
            return str(self.archive.luck(run))
        except ArchiverError as error:
            return str(error)

    def code(self, run: str, path: str) -> Preview:
        """Return one captured file of a run."""
        data = self.archive.code(run).read(path)
        try:
            return Preview("text", text=data.decode())
        except UnicodeDecodeError:
            return Preview("none", note="not text")

    def strategies(self, scope: Scope) -> Strategies:
        """Return the metrics of all strategies in a scope. Raises RunNotFoundError when the run is gone."""
        unread: list[Unread] = []
        reader = self._reader.telling(unread.append)
        seen = self.archive.all_runs(unread.append)
        if scope.run:
            records = list(records_of([self.archive.record(scope.run)], universe=scope.universe))
            table = reader.metrics(records, None, history=True)
        else:
            records = seen.newest_records(1, scope.universe)
            table = seen.metrics(reader, None, universe=scope.universe)
        if unread and not table.num_rows:
            raise unread[0].error
        metric = score_of(records, table.column_names)
        greatest = metric is None or greatest_first(records, metric)
        kept, older = (reader.detailed(records), 0) if scope.run else _kept(reader, seen, table, scope)
        return Strategies(
            table,
            metric,
            greatest,
            frozenset(kept),
            _Created(seen),
            (*(str(one.error) for one in unread), *([_UNMARKED.format(older)] if older else ())),
        )

    def strategy(self, name: str, universe: str, run: str) -> Strategy:
        """Return one strategy of a run, with its detail where it was kept and can be read."""
        records = list(records_of([self.archive.record(run)], universe=universe))
        try:
            record, detail = self._reader.find(records, name)
            found = self._reader.outline(record, detail)
            trades = self._reader.trades(record, detail, None)
        except (NotKeptError, IntegrityError, StorageError) as error:
            reader = self._reader.telling(lambda _: None)  # what is wrong with the run is said already
            rows = [row for record in records for row in reader.rows(record)]
            row = next((row for row in rows if row.get("strategy_name") == name), {})
            return Strategy(name, universe, run, _without_name(row), why=str(error))
        equity, equity_span = drawn(found, "equity")
        drawdown, drawdown_span = drawn(found, "drawdown")
        return Strategy(
            name,
            universe,
            run,
            _without_name(found["metrics"]),
            found["rank"],
            equity,
            drawdown,
            {"equity": equity_span, "drawdown": drawdown_span},
            trades,
        )

    def trades(self, name: str, universe: str, run: str) -> list[Any]:
        """Return the trades of a strategy as they were saved, price windows among them."""
        trades: list[Any] = self.archive.load_strategy(name, universe, run)["trades"]
        return trades

    def folder(self, prefix: str, *, anew: bool = False) -> Folder:
        """Return all that lies directly below a prefix; the store is listed once, and again when asked to."""
        with self._lock:
            if anew or self._index is None:
                self._index = self.archive.tree()
            index = self._index
        if not index.keys:
            self.archive.run_ids()  # an archive that is not there is said to be so
        return folder(index, prefix, limit=_ALL)

    def preview(self, key: str) -> Preview:
        """Return the beginning of an object. Raises NotFoundError when it is gone."""
        entry = self.archive.store.stat(key)
        if entry is None:
            raise NotFoundError(f"there is no object {key!r}: it was removed since the listing")
        return preview(self.archive.store, entry)

    def version(self) -> str:
        """Return a text that changes when runs appear, grow or go."""
        return self.seen().version

    def is_open(self, universe: str | None = None, run: str | None = None) -> bool:
        """Tell whether a run is open: that one, one of the universe, or any."""
        loose = self.archive.all_runs(lambda _: None).loose
        return any(one.open and universe in (None, one.universe) and run in (None, one.run) for one in loose)

    def seen(self) -> AllRuns:
        """Return all runs as they are now; `unread` says what is wrong with those that cannot be read."""
        unread: list[Unread] = []
        seen = self.archive.all_runs(unread.append)
        self.unread = tuple(str(one.error) for one in unread)
        if unread and not len(seen):
            raise unread[0].error
        return seen


class RunRows(Sequence[Run]):
    """Runs as a sequence, of which those that are looked at are read."""

    def __init__(self, seen: AllRuns, table: pa.Table, tags: Mapping[str, Sequence[str]]) -> None:
        """Take all runs, those rows of their table that are meant, and the tags of each run."""
        self._seen, self._table, self._tags = seen, table, tags

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, at: int) -> Run: ...

    @overload
    def __getitem__(self, at: slice) -> list[Run]: ...

    def __getitem__(self, at: int | slice) -> Run | list[Run]:
        ids = self._table["run"][at]
        if isinstance(at, int):
            return self._of([ids.as_py()])[0]
        return self._of(ids.to_pylist())

    def _of(self, ids: list[str]) -> list[Run]:
        found = self._seen.whole(ids)
        return [run_of(found[run], self._tags.get(run, ())) for run in ids if run in found]

    def searched(self, text: str) -> RunRows:
        """Return those that have all words in their ids, tags and notes."""
        mask = pa.chunked_array([np.ones(len(self), bool)])
        for word in text.split():
            tagged = [
                run
                for run, tags in self._tags.items()
                if any(word.casefold() in tag.casefold() for tag in tags)
            ]
            own = pc.is_in(self._table["run"], value_set=pa.array(tagged, pa.string()))
            mask = pc.and_(mask, pc.or_(own, has_text(self._table, word, ("run", "note"))))
        return RunRows(self._seen, self._table.filter(mask), self._tags)


class _Created(Mapping[str, datetime]):
    """When each run was made, looked up for those that are asked for."""

    def __init__(self, seen: AllRuns) -> None:
        self._seen = seen

    def __getitem__(self, run: str) -> datetime:
        return self._seen.created([run])[run]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen.table["run"].to_pylist())

    def __len__(self) -> int:
        return len(self._seen)


def _kept(
    reader: Reader, seen: AllRuns, table: pa.Table, scope: Scope
) -> tuple[Iterable[tuple[str, str]], int]:
    """Return of which strategies of a table the details can be opened, and in how many runs that was not looked for."""
    if not seen.packed:
        return reader.detailed(list(records_of(seen.loose, universe=scope.universe))), 0
    rows = seen.of(scope.universe)
    rows = rows.filter(pc.greater(rows["detailed"], 0))
    is_all = pc.equal(rows["detailed"], rows["strategies"])
    of_all, of_some = rows["run"].filter(is_all), rows["run"].filter(pc.invert(is_all))
    read = of_some.slice(0, _MANY)
    records = seen.whole(read.to_pylist())
    there = {(run, detail.strategy) for run, record in records.items() for detail in details_of(record)}
    kept = [(universe, name) for universe, name, _ in _keys(table, of_all)]
    kept += [(universe, name) for universe, name, run in _keys(table, read) if (run, name) in there]
    return kept, len(of_some) - len(read)


def _keys(table: pa.Table, runs: pa.ChunkedArray) -> Iterator[tuple[str, ...]]:
    """Return `KEYS` of each row that is of these runs."""
    own = table.select(list(KEYS)).filter(pc.is_in(table["run"], value_set=runs.combine_chunks()))
    return zip(*(own[name].to_pylist() for name in KEYS), strict=True)


def numeric(schema: pa.Schema) -> frozenset[str]:
    """Return the names of columns that hold numbers."""
    import pyarrow as pa

    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return frozenset(field.name for field in schema if any(kind(field.type) for kind in kinds))


def explain(error: Exception) -> str:
    """Say in words what failed: ours as they are, others by their kind."""
    if isinstance(error, ArchiverError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}; please report it"


def _universe(newest: Record, runs: int, size: int) -> Universe:
    metric, greatest = rank_order(newest.rank_by or "")
    span = newest.metrics.get(metric)
    return Universe(
        newest.universe,
        runs,
        newest.strategies,
        size,
        newest.created,
        newest.rank_by,
        None if span is None else span[greatest],
    )


def _without_name(metrics: dict[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in metrics.items() if name != "strategy_name"}
