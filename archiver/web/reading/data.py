"""What the pages and the API read: records and metrics of an archive that may change while it is looked at."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson

from archiver.archive import Archive
from archiver.base.suggest import did_you_mean
from archiver.base.unread import Unread
from archiver.errors import ArchiverError, ConfigError, NotFoundError
from archiver.format.model import Record, Run
from archiver.health.usage import Usage, listed
from archiver.query.selection import greatest_first, leading, score_of
from archiver.runs.all_runs import AllRuns
from archiver.runs.packs import looking_again
from archiver.runs.records import run_of
from archiver.runs.snapshot import Snapshot
from archiver.runs.tables import FIRST
from archiver.runs.tags import read_tags
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    import numpy as np
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
_MANY = 10_000
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

    def __init__(self, archive: Archive, *, many: int = _MANY) -> None:
        """Take an archive that was opened read-only; many: of more runs pages do without what takes all their records."""
        self.archive = archive
        self.many = many
        self.store = archive.store
        self.reader = archive.reader
        self._fresh = _FRESH_LOCAL if archive.store.local is not None else _FRESH_REMOTE
        self._lock = threading.Lock()
        self.unread: tuple[Unread, ...] = ()
        """Runs that were listed and whose records cannot be read."""
        self._listed: tuple[float, AllRuns] | None = None
        self._latest: Recent[Metrics] = Recent(1)
        self._narrow: Recent[Metrics] = Recent(2)
        self._others: Recent[Metrics] = Recent(2)
        self._usage: Recent[Usage] = Recent(1)
        self._brought: Recent[tuple[np.ndarray, bool]] = Recent(1)

    @property
    def url(self) -> str:
        """Where the archive is, without credentials."""
        return self.store.url

    def version(self) -> str:
        """Return a text that changes when runs appear or go."""
        return self.seen().version

    def has_many(self) -> bool:
        """Tell whether there are so many runs that what needs the record of each is left out, which pages say."""
        return len(self.seen()) > self.many

    def runs(
        self, universe: str | None = None, tag: str | None = None, limit: int | None = None
    ) -> list[Run]:
        """Return the runs as `Archive.runs` does."""
        return self.archive.runs(universe, tag, limit=limit, errors=lambda _: None)

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
        return self.seen().universes

    def require_universe(self, universe: str) -> None:
        """Raise NotFoundError for a universe that is not there; the empty text is none in particular."""
        if not universe:
            return
        known = self.universes()
        if universe not in known:
            meant = did_you_mean(universe, known, ": the overview shows those there are")
            raise NotFoundError(f"there is no universe {universe!r}{meant}")

    def usage(self) -> Usage:
        """Return what takes the space, as `archiver du` says it; measured at most a minute ago.

        Of many runs it is what a listing tells: orphans count with their kind, and no universe is told apart.
        """
        minute = int(time.time() // _MEASURED_SECONDS)
        measure = partial(listed, self.store) if self.has_many() else self.archive.du
        return self._usage.get((self.version(), minute), measure)

    @looking_again
    def brought(self) -> tuple[np.ndarray, bool]:
        """Return the bytes that each run brought along, newest first, and whether what several share counts once."""
        return self._brought.get(self.version(), lambda: self.seen().brought(self.many))

    @looking_again
    def tags(self) -> dict[str, list[str]]:
        """Return the tags of each run that has some."""
        import pyarrow.compute as pc

        table = self.seen().table
        given = table.select(["run", "tags"]).filter(pc.is_valid(table["tags"])).to_pylist()
        return read_tags(self.store, {row["run"]: orjson.loads(row["tags"]) for row in given})

    @looking_again
    def metrics(self, run: str | None = None, newest: str = "strategy") -> Metrics:
        """Return the metrics of one run; else of each strategy's newest run, each universe's, or all, as `newest` says."""
        seen = self.seen()
        version = seen.version
        if run is not None:
            return self._others.get(
                (version, run), lambda: Metrics(f"{version}/{run}", self.archive.load_metrics(run=run))
            )
        newest = checked_newest(newest)
        if newest == "all":
            return self._others.get((version,), lambda: self._read(f"{version}/all", seen, history=True))
        latest = self._latest.get(version, lambda: self._load(version, seen))
        return latest if newest == "strategy" else self._of_newest_runs(latest, seen)

    def _of_newest_runs(self, metrics: Metrics, seen: AllRuns) -> Metrics:
        """Return those rows that are of the newest run of their universe."""
        import pyarrow as pa
        import pyarrow.compute as pc

        version = f"{metrics.version}/universe"
        runs = pa.array(seen.newest.values(), pa.string())

        def made() -> Metrics:
            own = metrics.table.filter(pc.is_in(metrics.table["run"], value_set=runs))
            return Metrics(version, own, metrics.damaged)

        return self._others.get(version, made)

    @looking_again
    def headline(self, newest: str = "strategy") -> tuple[Metrics, list[str]]:
        """Return a table that has the metrics that tell the best strategies, and their names, the score first.

        It is read alone where the whole table is not there yet: that takes a fraction of the time.
        """
        seen = self.seen()
        version = seen.version
        newest = checked_newest(newest)
        is_all = newest == "all"
        known = {name for record in seen.heads for name in record.metrics}
        score = self.score(list(known))
        if score is None:
            return self.metrics(newest=newest), []
        columns = list(dict.fromkeys([score, *leading(known)]))[:_MOST_HEADLINES]
        if (version,) in self._others if is_all else version in self._latest:
            return self.metrics(newest=newest), columns
        name = f"{version}/headline{'/all' if is_all else ''}"
        made = self._narrow.get(
            name if is_all else version, lambda: self._read(name, seen, columns, history=is_all)
        )
        if newest == "universe":
            made = self._of_newest_runs(made, seen)
        return made, [name for name in columns if name in made.table.column_names]

    @looking_again
    def row(self, universe: str, strategy: str, run: str) -> tuple[Record, dict[str, Any]] | None:
        """Return the run that counts for a strategy and its metrics there; None where there is none.

        universe, run: empty for any. Raises IntegrityError where damage hides it.
        """
        import pyarrow.compute as pc

        metrics = (
            self._having(universe, strategy) if not run and self.has_many() else self.metrics(run or None)
        )
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

    def _having(self, universe: str, strategy: str) -> Metrics:
        """Return the metrics of the runs that may have a strategy: those of all may be millions."""
        unread: list[Unread] = []
        records = self.seen().having(strategy, universe or None)
        table = self.reader.telling(unread.append).metrics(records, [])
        return Metrics("", table, {one.universe or "": one.error for one in unread})

    def _read(
        self, version: str, seen: AllRuns, columns: list[str] | None = None, *, history: bool = False
    ) -> Metrics:
        """Read metrics of all universes. What cannot be read takes only its own run away, unless there is no other."""
        import pyarrow as pa

        unread: list[Unread] = []
        reader = self.reader.telling(unread.append)
        table = seen.telling(unread.append).metrics(reader, columns, history=history)
        if unread and not table.num_rows:
            raise unread[0].error
        # Joining the runs' tables took twice their size for a moment.
        pa.default_memory_pool().release_unused()
        return Metrics(version, table, {one.universe or "": one.error for one in unread})

    def _load(self, version: str, seen: AllRuns) -> Metrics:
        self._narrow.clear()  # a part of what is read now
        loaded = self._read(version, seen)
        self._narrow.clear()
        return loaded

    def is_ready(self) -> bool:
        """Tell whether `headline` answers at once, or nearly so: from memory, or from a local disk."""
        return (
            (self.store.local is not None and not self.has_many())
            or (version := self.version()) in self._latest
            or version in self._narrow
        )

    def score(self, names: Sequence[str]) -> str | None:
        """Return the metric to rank by: what the newest run was ranked by, else the usual ones, if there are any."""
        return score_of(self.seen().heads, names)

    def greatest_first(self, score: str) -> bool:
        """Tell whether the greatest of what strategies are ranked by is the best."""
        return greatest_first(self.seen().heads, score)

    def seen(self) -> AllRuns:
        """Return all runs, as they were at most a few seconds ago."""
        import pyarrow as pa

        now = time.monotonic()
        with self._lock:
            if (
                self._listed is not None
                and now - self._listed[0] < self._fresh
                and not self._listed[1].packed.gone
            ):
                return self._listed[1]
            unread: list[Unread] = []
            seen = self.archive.all_runs(unread.append)
            self.unread = tuple(unread)
            pa.default_memory_pool().release_unused()
            if self._listed is not None and self._listed[1].version == seen.version:
                seen = self._listed[1]  # it knows its columns already
            self._listed = (time.monotonic(), seen)
            return seen


def checked_newest(text: str) -> str:
    """Return which rows are meant, as a key of NEWEST; an empty text means the first. Raises ConfigError for another."""
    if text and text not in NEWEST:
        raise ConfigError(f"newest must be one of {', '.join(NEWEST)}, not {text[:40]!r}")
    return text or next(iter(NEWEST))


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
