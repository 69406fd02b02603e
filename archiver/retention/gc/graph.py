"""What gc works on: the data objects that are old enough, what the records reach, and copies of what may have to come back."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import IO

from archiver.errors import IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.layout import digest
from archiver.format.model import Record
from archiver.runs.all_records import stream
from archiver.runs.open import open_objects
from archiver.runs.packed.reach import RunSet, reach_tables, uses
from archiver.runs.reach import reachable, reached
from archiver.runs.record_view import Look, viewed
from archiver.runs.records import read_record
from archiver.store import Store
from archiver.store.entry import Entry

_REACHED = (*layout.DATA, layout.OPEN)
_SPOOL = 16 << 20


class Listing:
    """The data objects that are old enough, in a file of their own: key, size and time, a line each, sorted by key."""

    def __init__(self) -> None:
        self.count = 0
        self._file: IO[str] = tempfile.SpooledTemporaryFile(_SPOOL, "w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - `close` does

    def fill(self, store: Store, limit: datetime) -> None:
        """List the objects that were there already at a moment."""
        for prefix in _REACHED:
            for entry in store.list(prefix):
                if entry.modified <= limit and layout.parse(entry.key) is not None:
                    self._file.write(f"{entry.key}\t{entry.size}\t{entry.modified.isoformat()}\n")
                    self.count += 1

    def unreached(self, graph: Graph) -> Iterator[Entry]:
        """Yield those that no record reaches."""
        return (entry for entry in self._entries() if not graph.reaches(entry.key))

    def unaccounted(self, graph: Graph) -> int:
        """Count those that no record reaches, not even one in the trash whose grace is over."""
        return sum(not graph.accounts_for(entry.key) for entry in self._entries())

    def _entries(self) -> Iterator[Entry]:
        self._file.seek(0)
        for line in self._file:
            key, size, modified = line.rstrip("\n").split("\t")
            yield Entry(key, int(size), datetime.fromisoformat(modified))

    def close(self) -> None:
        """Forget them."""
        self._file.close()


class Graph:
    """What the records that were seen so far reach."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view = viewed(store)
        self._reached: set[int] = set()
        self._unreadable: set[str] = set()
        self._packed = RunSet()
        self._runs: set[int] = set()
        self._finished: set[int] = set()
        self._known: set[int] = set()
        self._moving: set[str] = set()
        self._looked = Look([], [])
        self.seen: set[int] = set()
        self.expired: dict[str, Entry] = {}
        """The records in the trash whose grace is over, by run."""
        self.twins: set[str] = set()
        """Those of them whose run still has a record, without details, in `runs/`."""
        self._expiring: set[int] = set()

    def reaches(self, key: str) -> bool:
        """Tell whether a record reaches an object."""
        if digest(key) in self._reached:
            return True
        return any(run in key for run in self._unreadable) or any(run in key for run in self._moving)

    @property
    def runs(self) -> int:
        """How many runs have a record in `runs/`; one that was packed meanwhile may count twice."""
        return len(self._runs) + len(self._packed)

    @property
    def unsure(self) -> bool:
        """Whether a run is on its way between two places, so that nobody can say what it shares with others."""
        return bool(self._moving)

    def spare_moving(self, runs: Collection[str]) -> None:
        """Keep the objects of those of these runs that no record was seen of."""
        self._moving = {run for run in runs if digest(run) not in self._known and run not in self._packed}

    def accounts_for(self, key: str) -> bool:
        """Tell whether a record reaches an object, or one in the trash whose grace is over."""
        return digest(key) in self._expiring or self.reaches(key)

    def look(self, expired_before: datetime | None = None, spared: Collection[str] = ()) -> Iterator[str]:
        """Read the records not seen yet, and yield every key they reach.

        expired_before: set records that lie in the trash since before this moment apart, as expired; spared: but not
        those of these runs.
        """
        # A prune moves records from runs/ to trash/, an undelete moves them back: in this order none slips through.
        for prefix in (layout.RUNS, layout.TRASH, layout.QUARANTINE, layout.RUNS):
            for _, ref in reached(self._new_records(prefix, expired_before, spared)):
                self._reached.add(digest(ref.key))
                yield ref.key
            if prefix == layout.RUNS:
                yield from self._new_packed()
        for key, shared in open_objects(self._store, self._is_over):
            self._reached.add(digest(key))
            if shared is not None:
                self._reached.add(digest(shared.key))
                yield shared.key

    def _is_over(self, run: str) -> bool:
        """Tell whether an open run was finished: it has a record, be it in the trash."""
        return digest(run) in self._finished or run in self._packed

    def _new_packed(self) -> Iterator[str]:
        """Yield what packed records reach that were not seen yet, each key once for each row group that has it."""
        packs = self._view.packs
        for pack, keep in self._looked.packs:
            new = self._packed.add_packed(packs, pack, keep)
            for _, table in reach_tables(packs, pack, new):
                for use in uses(table):
                    self._reached.add(digest(use.ref.key))
                    yield use.ref.key

    def _list(self, prefix: str) -> Iterable[Entry]:
        if prefix != layout.RUNS:
            return self._store.list(prefix)
        self._looked = self._view.look()
        return self._looked.loose

    def _new_records(
        self, prefix: str, expired_before: datetime | None, spared: Collection[str]
    ) -> Iterator[Record]:
        entries = [
            entry
            for entry in self._list(prefix)
            if layout.run_of_record(entry.key) and _mark(entry) not in self.seen
        ]
        for entry, data in stream(self._store, entries):
            if data is None:
                continue  # moved since it was listed: it is found at the other place
            record = self._read(entry, data)
            if record is None:
                continue
            self._finished.add(digest(record.run))
            old = expired_before is not None and entry.modified <= expired_before
            if prefix == layout.TRASH and old and record.run not in spared:
                self.expired[record.run] = entry
                self._expiring.update(digest(ref.key) for ref in reachable(record))
                if digest(record.run) in self._runs or record.run in self._packed:
                    self.twins.add(record.run)
                continue
            if prefix == layout.RUNS:
                self._runs.add(digest(record.run))
            self._known.add(digest(record.run))
            self.seen.add(_mark(entry))
            yield record

    def _read(self, entry: Entry, data: bytes) -> Record | None:
        try:
            return read_record(entry.key, data)
        except IntegrityError:
            if not entry.key.startswith(layout.QUARANTINE):
                raise
            self._unreadable.add(layout.run_of_record(entry.key) or "")
            return None


class Copies:
    """What is about to be deleted and may have to come back, in a file."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 - `close` does
        self._places: dict[str, tuple[int, int]] = {}

    def take(self, entries: Iterable[Entry]) -> None:
        """Copy these objects; one that is gone already is left out."""
        wanted = list(entries)
        for entry, data in zip(wanted, self._store.map(self._get, wanted, small=True), strict=True):
            if data is not None:
                self._places[entry.key] = (self._file.tell(), len(data))
                self._file.write(data)

    def give_back(self, key: str) -> bool:
        """Put an object back if it was taken and is not there. Tell whether it was put."""
        if key not in self._places or self._store.stat(key) is not None:
            return False
        start, size = self._places[key]
        self._file.seek(start)
        self._store.put(key, self._file.read(size))
        self._file.seek(0, 2)
        return True

    def close(self) -> None:
        """Forget them."""
        self._file.close()

    def _get(self, entry: Entry) -> bytes | None:
        try:
            return self._store.get(entry.key)
        except NotFoundError:
            return None


def _mark(entry: Entry) -> int:
    return digest(f"{entry.key}\0{entry.size}\0{entry.modified.timestamp()}")
