"""Records loose and packed, as one place: each run's under its own key, `runs/<run>.json.zst`, wherever it lies.

A store of a store, for all who read, move or remove runs: they know nothing of packs. A run's record is

- loose: the one of the save in `runs/`, or one that took its place, in `revised/` (of several, the greatest revision);
- else packed, unless a record in `trash/` or set aside, or a mark in `masks/`, takes it out of sight.

Whatever moves, moves along the order in which this is looked at: `runs/`, `revised/`, `packs/`, `trash/`, `masks/`. So a run is
in sight at every moment. The record of a packed run that changes gets a key of its own: who deletes what was packed by its
key never hits what came later.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from archiver.errors import IntegrityError, NotFoundError, StorageError
from archiver.format import layout
from archiver.format.packs import Pack
from archiver.runs.by_time import record_line
from archiver.runs.format_number import raise_number
from archiver.runs.packs import Damaged, PackGoneError, Packs, Place, looking_again
from archiver.store import Store
from archiver.store.entry import Entry, Version

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import numpy as np

    from archiver.store.s3.bucket import BucketApi
    from archiver.store.s3.classes import StorageClasses
    from archiver.store.s3.locks import ObjectLocks

T = TypeVar("T")
R = TypeVar("R")

_TRIES = 3
_FEW = 16


class Look(NamedTuple):
    """Which records count: those that are loose, sorted by key, and of each pack, newest first, the rows that do."""

    loose: list[Entry]
    packs: list[tuple[Pack, np.ndarray]]


class _Seen(NamedTuple):
    """What the last listing showed: the keys of revised records by run, and the runs that have a plain one."""

    revised: dict[str, str]
    plain: frozenset[str]


class RecordView(Store):
    """A store whose records are all in `runs/`, as far as anybody who uses it can tell."""

    def __init__(self, below: Store) -> None:
        """Take the store; `below` has the objects as they are."""
        self.below = below
        self.packs = Packs(below)
        self._seen = _Seen({}, frozenset())
        self.loosened: set[str] = set()
        """Runs that have been taken out of their packs: see `archiver.runs.packed.unpacking`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordView, (self.below,)

    # -- records ---------------------------------------------------------------------------------------------

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object below a prefix, sorted by key; below `runs/` the records that count, wherever they lie."""
        if not prefix.startswith(layout.RUNS):
            return self.below.list(prefix)
        return self.list_records(prefix.removeprefix(layout.RUNS))

    def list_records(self, beginning: str = "", damaged: Damaged | None = None) -> Iterator[Entry]:
        """Yield the records that count, by their keys, of the runs whose ids begin so.

        damaged: is told of the key of a pack that cannot be read, which is left out; without it that is raised.
        """
        found = self.entries(self.look(beginning, damaged))
        return (entry for entry in found if entry.key.startswith(layout.RUNS + beginning))

    def entries(self, look: Look) -> Iterator[Entry]:
        """Yield the records that a look saw, by their keys."""
        packed = [self.packs.entries(pack, keep) for pack, keep in look.packs]
        return heapq.merge(look.loose, *packed, key=lambda entry: entry.key)

    @looking_again
    def look(self, beginning: str = "", damaged: Damaged | None = None, *, lazy: bool = False) -> Look:
        """Return which records count: loose ones, and rows of packs; arguments as for `list_records`.

        lazy: leave packs closed of which every row counts; who reads these finds out whether they can be read.
        """
        loose = {entry.key: entry for entry in self.below.list_many(layout.RUNS + beginning, record_line())}
        revised = self._list_revised(beginning)
        if not beginning:
            plain = frozenset(run for key in loose if (run := layout.run_of_record(key)) is not None)
            self._seen = _Seen({run: entry.key for run, entry in revised.items()}, plain)
        packs = self.packs.live(damaged)
        for run, entry in revised.items():
            loose[layout.record_key(run)] = Entry(layout.record_key(run), entry.size, entry.modified)
        own = sorted(loose.values()) if revised else [*loose.values()]
        if not packs:
            return Look(own, [])
        elsewhere = self.masked() | {run for key in loose if (run := layout.run_of_record(key)) is not None}
        closed = {pack.stem for pack in packs} - self.packs.touched(packs, elsewhere) if lazy else ()
        packs = [pack for pack in packs if pack.stem in closed or self._can_be_read(pack, damaged)]
        return Look(own, self.packs.counting(packs, elsewhere))

    def _can_be_read(self, pack: Pack, damaged: Damaged | None) -> bool:
        try:
            self.packs.rows(pack)
        except IntegrityError as error:
            if damaged is None:
                raise
            damaged(pack.records.key, error)
            return False
        return True

    def _list_revised(self, beginning: str = "") -> dict[str, Entry]:
        """Return the record that counts of each run whose record was replaced."""
        found: dict[str, Entry] = {}
        for entry in self.below.list(layout.REVISED + beginning):
            key = layout.parse(entry.key)
            if key is not None:
                found[key.run] = entry  # sorted by revision and nonce
        return found

    def masked(self) -> set[str]:
        """Return the runs that are out of sight where only a pack holds them."""
        found = set()
        for prefix in (layout.TRASH, layout.quarantine_key(layout.RUNS), layout.MASKS):
            for entry in self.below.list(prefix):
                key = layout.parse(entry.key)
                if key is not None and key.run:
                    found.add(key.run)
        return found

    def _is_masked(self, run: str) -> bool:
        record = layout.record_key(run)
        keys = (layout.trash_key(run), layout.quarantine_key(record), layout.mask_key(run))
        return any(self.below.stat(key) is not None for key in keys)

    def _revisions(self, run: str) -> Sequence[Entry]:
        return [entry for entry in self.below.list(f"{layout.REVISED}{run}/") if layout.parse(entry.key)]

    @looking_again
    def _place(self, run: str) -> Place | None:
        """Return where a run is packed, be it masked or not."""
        return self.packs.find(self.packs.live(), run)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read an object, or a range of it. Raises NotFoundError."""
        run = _run_of(key)
        if run is None:
            return self.below.get(key, start, end)
        for _ in range(_TRIES):
            revised = self._revisions(run)
            with suppress(NotFoundError):
                return self.below.get(revised[-1].key if revised else layout.record_key(run), start, end)
            place = self._place(run)
            if place is None:
                break
            if not self._is_masked(run):
                with suppress(PackGoneError):
                    return self.packs.record(place)[start:end]
        raise NotFoundError(f"no object {key} in {self.url}")

    def get_listed(self, key: str, most: int | None = None) -> bytes:
        """Read a record that this view has just listed, in one request or none: at most so many bytes of it.

        It is what the listing showed, or what is there now. Raises NotFoundError.
        """
        run = _run_of(key)
        if run is None:
            return self.below.get(key, 0, most)
        seen = self._seen
        with suppress(NotFoundError, PackGoneError):
            if run in seen.revised:
                return self.below.get(seen.revised[run], 0, most)
            if run in seen.plain:
                return self.below.get(key, 0, most)
            place = self.packs.find(self.packs.known(), run)
            if place is not None:
                return self.packs.record(place)
        return self.get(key, 0, most)

    def stat(self, key: str) -> Entry | None:
        """Tell an object's size and time of last change, or None."""
        run = _run_of(key)
        if run is None:
            return self.below.stat(key)
        revised = self._revisions(run)
        found = revised[-1] if revised else self.below.stat(key)
        if found is not None:
            return Entry(key, found.size, found.modified)
        place = self._place(run)
        return None if place is None or self._is_masked(run) else place.entry

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        """Write an object; a record that a pack holds, or that was revised before, gets a higher revision."""
        run = _run_of(key)
        if run is not None and not create:
            self._replace(run, data)
            return
        trashed = layout.parse(key) if key.startswith(layout.TRASH) else None
        if trashed is not None and trashed.run and trashed.run not in self.loosened:
            self._loosen(trashed.run)
        self.below.put(key, data, create=create)

    def _replace(self, run: str, data: bytes) -> None:
        """Write a record that may take the place of another.

        One that no pack holds is replaced where it lies. A packer may just be at it: whichever of the two comes second
        sees the other, the packer a record that has changed since it was read, we a pack that holds the run.
        """
        plain, revised, place = layout.record_key(run), self._revisions(run), self._place(run)
        if place is None and not revised:
            self.below.put(plain, data)
            place = self._place(run)
            if place is None:
                return
        numbers = [layout.version_of(entry.key)[0] for entry in revised]
        raise_number(self.below, 2)
        self.below.put(layout.revised_key(run, 1 + max([*numbers, place.revision if place else 0])), data)
        for error in self.below.delete([plain, *(entry.key for entry in revised)]).values():
            raise error

    def _loosen(self, run: str) -> None:
        """Take a record out of its pack before a copy in the trash takes that out of sight: else the run would seem gone."""
        place = self._place(run)
        if place is None or self._revisions(run) or self.below.stat(layout.record_key(run)) is not None:
            return
        if not self._is_masked(run):
            raise_number(self.below, 2)
            self.below.put(layout.revised_key(run, place.revision + 1), self.packs.record(place))

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        """Delete exactly these objects, of a record all that is loose. Return what failed, and why."""
        wanted = [*keys]
        runs = {run: key for key in wanted if (run := _run_of(key)) is not None}
        if not runs:
            return self.below.delete(wanted)
        if len(runs) > _FEW:
            revised = {
                entry.key: runs[key.run]
                for entry in self.below.list(layout.REVISED)
                if (key := layout.parse(entry.key)) is not None and key.run in runs
            }
        else:
            revised = {entry.key: runs[run] for run in runs for entry in self._revisions(run)}
        failed = self.below.delete([*revised, *wanted])
        return {revised.get(key, key): error for key, error in failed.items()}

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading. Raises NotFoundError."""
        return self.below.open(key) if _run_of(key) is None else io.BytesIO(self.get(key))

    def write(self, key: str, *, create: bool = False) -> AbstractContextManager[BinaryIO]:
        """Stream a large object."""
        return self.below.write(key, create=create) if _run_of(key) is None else self._collect(key, create)

    @contextmanager
    def _collect(self, key: str, create: bool) -> Iterator[BinaryIO]:
        stream = io.BytesIO()
        yield stream
        self.put(key, stream.getvalue(), create=create)

    # -- all else is as below --------------------------------------------------------------------------------

    @property
    def url(self) -> str:  # type: ignore[override]  # what a store has as attributes is that of the one below
        """Where the store is, as shown to people."""
        return self.below.url

    @property
    def local(self) -> Path | None:  # type: ignore[override]  # as url
        """The folder of a store on a local disk."""
        return self.below.local

    @property
    def workers(self) -> int:  # type: ignore[override]  # as url
        """How many calls at a time suit the backend."""
        return self.below.workers

    @property
    def read_only(self) -> bool:  # type: ignore[override]  # as url
        """Whether put, write and delete are refused."""
        return self.below.read_only

    @property
    def conditional(self) -> bool | None:  # type: ignore[override]  # as url
        """Whether the store itself refuses a create that would replace other bytes."""
        return self.below.conditional

    @property
    def executor(self) -> Executor | None:  # type: ignore[override]  # as url
        """Where `map` runs; None: its own threads."""
        return self.below.executor

    def now(self) -> datetime:
        """Read the store's own clock."""
        return self.below.now()

    def bucket_api(self) -> BucketApi | None:
        """Return what the server does for a bucket as a whole."""
        return self.below.bucket_api()

    def undurable(self) -> Sequence[str]:
        """Say what the place does not do that keeps the last writes through a loss of power."""
        return self.below.undurable()

    def storage_classes(self) -> StorageClasses | None:
        """Return the storage classes of the store's objects."""
        return self.below.storage_classes()

    def object_locks(self) -> ObjectLocks | None:
        """Return the locks of the store's objects."""
        return self.below.object_locks()

    @property
    def details(self) -> Store:
        """The same store, writing objects of the storage class that details are to have."""
        return self.below.details

    def written_as(self, storage_class: str) -> Store:
        """Return the same store, writing objects of another storage class."""
        return RecordView(self.below.written_as(storage_class))

    def close(self) -> None:
        """Close connections and end threads."""
        self.below.close()

    def keeps_versions(self) -> bool | None:
        """Tell whether the store keeps old versions of what is replaced or deleted."""
        return self.below.keeps_versions()

    def versions(self, prefix: str = "") -> Iterator[Version]:
        """Yield every version of every object below a prefix."""
        return self.below.versions(prefix)

    def get_version(self, version: Version) -> bytes:
        """Read an object as it was in a version."""
        return self.below.get_version(version)

    def delete_versions(self, versions: Sequence[Version]) -> dict[str, StorageError]:
        """Delete exactly these versions."""
        return self.below.delete_versions(versions)

    def refuse_locked(self) -> None:
        """Raise PolicyError where old versions are under Object Lock."""
        self.below.refuse_locked()

    def leftovers(self) -> Iterator[Entry]:
        """Yield what writers that died left behind."""
        return self.below.leftovers()

    def map(
        self, fn: Callable[[T], R], items: Iterable[T], *, at_once: int | None = None, small: bool = False
    ) -> Iterator[R]:
        """Call fn for every item, several at a time; yield the results in the items' order."""
        return self.below.map(fn, items, at_once=at_once, small=small)

    def refuse_when_read_only(self, action: str) -> None:
        """Raise AccessError when this store was opened read-only."""
        self.below.refuse_when_read_only(action)


def _run_of(key: str) -> str | None:
    """Return the run whose record in `runs/` a key is, None for any other key."""
    return layout.run_of_record(key) if key.startswith(layout.RUNS) else None


def below(store: Store) -> Store:
    """Return the store with the objects as they are."""
    return store.below if isinstance(store, RecordView) else store


def viewed(store: Store) -> RecordView:
    """Return a view of a store, or the view that it is."""
    return store if isinstance(store, RecordView) else RecordView(store)
