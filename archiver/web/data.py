"""What the pages and the API read: records and metrics of an archive that may change while it is looked at."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from archiver.archive import Archive
from archiver.base.unread import Unread
from archiver.errors import ArchiverError, ConfigError
from archiver.format.model import Record, Run
from archiver.health.usage import Usage
from archiver.query.selection import LEADING, greatest_first, score_of
from archiver.runs.graph import reachable
from archiver.runs.records import run_of
from archiver.runs.snapshot import Snapshot
from archiver.runs.tables import FIRST
from archiver.web import format as fmt

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

NEWEST = {
    "strategy": "Newest of each strategy",
    "universe": "Newest run of each universe",
    "all": "All runs",
}
"""Which rows a table of several runs has."""

_FRESH_LOCAL, _FRESH_REMOTE = 1.0, 5.0
"""Seconds for which a listing of records is taken for current."""
_MOST_HEADLINES = 8
_MOST_IN_BROWSER = 2**53 - 1
_MEASURED_SECONDS = 60
"""For so long a measurement of the whole store is taken for current."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """A table of metrics, the version of the archive that it was read from, and the universes of which it lacks runs.

    These come with the reason; rows of other runs of such a universe are there.
    """

    version: str
    table: pa.Table
    damaged: Mapping[str, ArchiverError] = field(default_factory=dict)

    def require(self, universe: str | None) -> None:
        """Raise what is wrong with a universe, or with any for None."""
        wrong = self.damaged.values() if not universe else [self.damaged.get(universe)]
        for error in wrong:
            if error is not None:
                raise error


class Recent(Generic[T]):
    """Keeps the most recent results; two threads that ask for the same one wait for one computation."""

    def __init__(self, most: int) -> None:
        """Keep at most so many."""
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether the result for the key is kept."""
        with self._lock:
            return key in self._kept

    def clear(self) -> None:
        """Forget all results."""
        with self._lock:
            self._kept.clear()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result for the key, made now unless it is kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            own = self._locks.setdefault(key, threading.Lock())
        with own:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                made = make()
            finally:
                with self._lock:
                    self._locks.pop(key, None)
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return made


class Data:
    """An archive as the pages see it: never older than a few seconds, each object read once."""

    def __init__(self, archive: Archive) -> None:
        """Take an archive that was opened read-only."""
        self.archive = archive
        self.store = archive.store
        self.reader = archive.reader
        self._fresh = _FRESH_LOCAL if archive.store.local is not None else _FRESH_REMOTE
        self._lock = threading.Lock()
        self.unread: tuple[Unread, ...] = ()
        """Runs that were listed and whose records cannot be read."""
        self._listed: tuple[float, str, list[Record]] | None = None
        self._latest: Recent[Metrics] = Recent(1)
        self._narrow: Recent[Metrics] = Recent(2)
        self._others: Recent[Metrics] = Recent(2)
        self._usage: Recent[Usage] = Recent(1)

    @property
    def url(self) -> str:
        """Where the archive is, without credentials."""
        return self.store.url

    def records(self) -> list[Record]:
        """Return the records of all runs, newest first."""
        return self._state()[1]

    def version(self) -> str:
        """Return a text that changes when runs appear or go."""
        return self._state()[0]

    def runs(self, universe: str | None = None, tag: str | None = None) -> list[Run]:
        """Return the runs as `Archive.runs` does."""
        return self.archive.runs(universe, tag, errors=lambda _: None)

    def run(self, run: str) -> tuple[Record, Run]:
        """Return a run's record and what users see of it. Raises RunNotFoundError."""
        record = self.archive.record(run)
        return record, run_of(record, self.archive.run(record.run).tags)

    def code(self, run: str) -> Snapshot:
        """Return a run's captured code. Raises RunNotFoundError."""
        record = self.archive.record(run)
        return Snapshot(self.store, record.code, record.params)

    def universes(self) -> list[str]:
        """Return the names of all universes, sorted."""
        return sorted({record.universe for record in self.records()})

    def usage(self) -> Usage:
        """Return what takes the space, as `archiver du` says it; measured at most a minute ago."""
        minute = int(time.time() // _MEASURED_SECONDS)
        return self._usage.get((self.version(), minute), self.archive.du)

    def metrics(self, run: str | None = None, newest: str = "strategy") -> Metrics:
        """Return the metrics of one run; else of each strategy's newest run, each universe's, or all, as `newest` says."""
        version, records = self._state()
        if run is not None:
            return self._others.get(
                (version, run), lambda: Metrics(f"{version}/{run}", self.archive.load_metrics(run=run))
            )
        newest = checked_newest(newest)
        if newest == "all":
            return self._others.get((version,), lambda: self._read(f"{version}/all", records, history=True))
        latest = self._latest.get(version, lambda: self._load(version, records))
        return latest if newest == "strategy" else self._of_newest_runs(latest, records)

    def _of_newest_runs(self, metrics: Metrics, records: list[Record]) -> Metrics:
        """Return those rows that are of the newest run of their universe."""
        import pyarrow as pa
        import pyarrow.compute as pc

        version = f"{metrics.version}/universe"
        runs = pa.array(newest_runs(records).values(), pa.string())

        def made() -> Metrics:
            own = metrics.table.filter(pc.is_in(metrics.table["run"], value_set=runs))
            return Metrics(version, own, metrics.damaged)

        return self._others.get(version, made)

    def headline(self, newest: str = "strategy") -> tuple[Metrics, list[str]]:
        """Return a table that has the metrics that tell the best strategies, and their names, the score first.

        It is read alone where the whole table is not there yet: that takes a fraction of the time.
        """
        version, records = self._state()
        newest = checked_newest(newest)
        is_all = newest == "all"
        known = {name for record in records for name in record.metrics}
        score = self.score(list(known))
        if score is None:
            return self.metrics(newest=newest), []
        columns = list(dict.fromkeys([score, *(name for name in LEADING if name in known)]))[:_MOST_HEADLINES]
        if (version,) in self._others if is_all else version in self._latest:
            return self.metrics(newest=newest), columns
        name = f"{version}/headline{'/all' if is_all else ''}"
        made = self._narrow.get(
            name if is_all else version, lambda: self._read(name, records, columns, history=is_all)
        )
        if newest == "universe":
            made = self._of_newest_runs(made, records)
        return made, [name for name in columns if name in made.table.column_names]

    def row(self, universe: str, strategy: str, run: str) -> tuple[Record, dict[str, Any]] | None:
        """Return the run that counts for a strategy and its metrics there; None where there is none.

        universe, run: empty for any. Raises IntegrityError where damage hides it.
        """
        import pyarrow.compute as pc

        metrics = self.metrics(run or None)
        same = pc.equal(metrics.table["strategy_name"], strategy)
        if universe:
            same = pc.and_(same, pc.equal(metrics.table["universe"], universe))
        found = metrics.table["run"].filter(same)
        if not len(found):
            metrics.require(universe)
            return None
        record = self.archive.record(found[0].as_py())
        # The whole table has the metrics of other runs too.
        own = self.reader.metrics([record], None, history=True)
        row = own.filter(pc.equal(own["strategy_name"], strategy)).slice(0, 1).to_pylist()[0]
        return record, {name: value for name, value in row.items() if name not in FIRST}

    def _read(
        self, version: str, records: list[Record], columns: list[str] | None = None, *, history: bool = False
    ) -> Metrics:
        """Read metrics of all universes. What cannot be read takes only its own run away, unless there is no other."""
        unread: list[Unread] = []
        table = self.reader.telling(unread.append).metrics(records, columns, history=history)
        if unread and not table.num_rows:
            raise unread[0].error
        return Metrics(version, table, {one.universe or "": one.error for one in unread})

    def _load(self, version: str, records: list[Record]) -> Metrics:
        import pyarrow as pa

        loaded = self._read(version, records)
        self._narrow.clear()
        # Joining the runs' tables took twice their size for a moment.
        pa.default_memory_pool().release_unused()
        return loaded

    def is_ready(self) -> bool:
        """Tell whether `headline` answers at once, or nearly so: from memory, or from a local disk."""
        return (
            self.store.local is not None
            or (version := self.version()) in self._latest
            or version in self._narrow
        )

    def score(self, names: Sequence[str]) -> str | None:
        """Return the metric to rank by: what the newest run was ranked by, else the usual ones, if there are any."""
        return score_of(self.records(), names)

    def greatest_first(self, score: str) -> bool:
        """Tell whether the greatest of what strategies are ranked by is the best."""
        return greatest_first(self.records(), score)

    def _state(self) -> tuple[str, list[Record]]:
        now = time.monotonic()
        with self._lock:
            if self._listed is not None and now - self._listed[0] < self._fresh:
                return self._listed[1], self._listed[2]
            unread: list[Unread] = []
            records = self.archive.records(unread.append)
            self.unread = tuple(unread)
            text = "\n".join(f"{record.run} {record.size}" for record in records)
            version = hashlib.sha256(text.encode()).hexdigest()[:16]
            self._listed = (time.monotonic(), version, records)
            return version, records


def checked_newest(text: str) -> str:
    """Return which rows are meant, as a key of NEWEST; an empty text means the first. Raises ConfigError for another."""
    if text and text not in NEWEST:
        raise ConfigError(f"newest must be one of {', '.join(NEWEST)}, not {text[:40]!r}")
    return text or next(iter(NEWEST))


def newest_runs(records: Sequence[Record]) -> dict[str, str]:
    """Return each universe's newest run; records: newest first."""
    return {record.universe: record.run for record in reversed(records)}


def growth(records: Sequence[Record]) -> list[int]:
    """Return the bytes that each record brought along, code aside; what several share counts with the first saved.

    records: newest first, as the result is.
    """
    seen: set[str] = set()
    brought = []
    for record in reversed(records):
        fresh = {ref.key: ref.size for ref in reachable(record, code=False) if ref.key not in seen}
        seen.update(fresh)
        brought.append(record.size + sum(fresh.values()))
    return brought[::-1]


def plain_value(value: Any) -> Any:
    """Return a value that a browser can hold and people can read.

    NaN and infinities become text, and so do ints beyond what JavaScript's numbers tell apart.
    """
    if isinstance(value, int) and abs(value) > _MOST_IN_BROWSER:
        return fmt.number(value)
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "∞" if value > 0 else "−∞"
    return value
