"""What the pages show, read from an archive that may change or fail meanwhile. Knows no terminal."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from archiver.base.unread import Tell, Unread, raise_it
from archiver.errors import ArchiverError, IntegrityError, NotFoundError, NotKeptError, StorageError
from archiver.format.model import Record, Run
from archiver.query.selection import greatest_first, score_of
from archiver.query.tree import Folder, Index, Preview, folder, preview
from archiver.runs.extras import drawn
from archiver.runs.graph import reachable
from archiver.runs.ranking import rank_order
from archiver.runs.records import records_of, run_of

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.archive import Archive

_ALL = 2**62


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
        groups: dict[str, list[Record]] = {}
        for record in self.records():
            groups.setdefault(record.universe, []).append(record)
        return [_universe(name, groups[name]) for name in sorted(groups)]

    def runs(self, universe: str | None) -> list[Run]:
        """Return the runs of a universe, or all, newest first."""
        self.records()
        return self.archive.runs(universe, errors=lambda _: None)

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
        records = self._records(scope, unread.append)
        table = reader.metrics(records, None, history=scope.run is not None)
        if unread and not table.num_rows:
            raise unread[0].error
        metric = score_of(records, table.column_names)
        greatest = metric is None or greatest_first(records, metric)
        return Strategies(
            table,
            metric,
            greatest,
            frozenset(reader.detailed(records)),
            {record.run: record.created for record in records},
            tuple(str(one.error) for one in unread),
        )

    def strategy(self, name: str, universe: str, run: str) -> Strategy:
        """Return one strategy of a run, with its detail where it was kept and can be read."""
        records = self._records(Scope(universe, run))
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

    def _records(self, scope: Scope, tell: Tell = raise_it) -> Sequence[Record]:
        records = [self.archive.record(scope.run)] if scope.run else self.archive.records(tell)
        return list(records_of(records, universe=scope.universe))

    def records(self) -> list[Record]:
        """Return the records that can be read; `unread` says what is wrong with the others."""
        unread: list[Unread] = []
        records = self.archive.records(unread.append)
        self.unread = tuple(str(one.error) for one in unread)
        if unread and not records:
            raise unread[0].error
        return records


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


def _universe(name: str, records: Sequence[Record]) -> Universe:
    newest = records[0]
    metric, greatest = rank_order(newest.rank_by or "")
    span = newest.metrics.get(metric)
    # What several runs share is there once.
    held = {ref.key: ref.size for record in records for ref in reachable(record, code=False)}
    return Universe(
        name,
        len(records),
        newest.strategies,
        sum(held.values()) + sum(record.size for record in records),
        newest.created,
        newest.rank_by,
        None if span is None else span[greatest],
    )


def _without_name(metrics: dict[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in metrics.items() if name != "strategy_name"}
