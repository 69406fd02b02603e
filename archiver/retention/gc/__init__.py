"""gc: free what nothing needs any more, while others save, load, prune and bring back.

1. List the data objects that are older than the grace by the store's own clock. What is saved from here on is young.
2. Read all records, in `runs/`, in `trash/`, and what was set aside; one that cannot be read ends the gc.
3. Delete the records in the trash whose grace is over, unless they are held (see `trash`): parents go before children.
   Put back what is held by then, and see which records there are.
4. Delete the listed objects that no record reaches, if a fresh listing shows them unchanged.
5. Look for records once more. A run that was committed meanwhile may reach what was deleted just after its writer
   looked: what is named by content, or young, is kept in a file until here, and put back.

Memory does not grow with the archive's data: what is reached is a set of 64-bit digests, what is listed lies in a
file. Two keys with one digest would keep an object too long, never delete one too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby, islice
from typing import TypeVar

from archiver.base.humanize import counted
from archiver.errors import AccessError, PolicyError, StorageError
from archiver.format import layout
from archiver.retention.gc.graph import Copies, Graph, Listing
from archiver.retention.gc.versions import Kept, deleted_keys, old_versions, remove_versions
from archiver.retention.policy import before
from archiver.retention.trash import bring_pinned_back, claimed, held
from archiver.runs.catalog import superseded
from archiver.runs.open import open_ids
from archiver.runs.records import look_at_clock
from archiver.runs.removal import remove
from archiver.runs.tags import markers_of_others
from archiver.store import Store
from archiver.store.entry import Entry

T = TypeVar("T")

GRACE = "7d"
"""How long a pruned run can be brought back, and how long a save may take."""
_SHARED = layout.SHARED
_RECORDS = (layout.RUNS, layout.TRASH, layout.QUARANTINE)
_REST = timedelta(hours=1)
"""How long readers may still want what is merely derived."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_BATCH = 1_000
_AT_A_TIME, _BYTES_AT_A_TIME = 20_000, 512 << 20
_UNSETTLED = timedelta(days=1)
"""A run's own objects that are younger than this may be those of a save or a copy that has not come to its record."""
_EXAMPLES = 5

_Deleted = tuple[list[Entry], Mapping[str, StorageError]]

WHY = {
    "trash": "records of pruned runs whose grace is over",
    "tier1": "metrics that no record reaches",
    "tier2": "details that no record reaches",
    "tapes": "bar series that no record reaches",
    "clocks": "clocks that no record reaches",
    "files": "files of strategies that no record reaches",
    "code": "code that no record reaches",
    "open": "parts of runs that were finished",
    "catalog": "segments that newer ones replace",
    "tags": "tags of runs that no longer exist",
    "leftovers": "what writers that died left behind",
    "versions": "old versions of what was deleted",
}
"""Every kind of thing that gc removes, and why."""


@dataclass
class Tally:
    """How much of one kind: objects, bytes, and the first few keys."""

    objects: int = 0
    bytes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, key: str, size: int) -> None:
        """Count one object."""
        self.objects += 1
        self.bytes += size
        if len(self.examples) < _EXAMPLES:
            self.examples.append(key)


@dataclass
class Collected:
    """What gc removed, or would remove: tallies by kind (see `WHY`), what failed by key, what it had to put back."""

    applied: bool
    now: datetime
    before: datetime
    kinds: dict[str, Tally] = field(default_factory=lambda: {kind: Tally() for kind in WHY})
    failed: dict[str, StorageError] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    freed: bool = True
    """Whether what was deleted takes no space any more: a bucket that keeps old versions keeps it."""
    old: Kept | None = None
    """The old versions that such a bucket keeps in all by now, where it lists them."""

    @property
    def objects(self) -> int:
        """How many objects in all."""
        return sum(tally.objects for tally in self.kinds.values())

    @property
    def bytes(self) -> int:
        """How many bytes in all."""
        return sum(tally.bytes for tally in self.kinds.values())


def collect(
    store: Store,
    *,
    grace: str = GRACE,
    apply: bool = False,
    allow_empty: bool = False,
    versions: bool = False,
    step: Callable[[int], object] = lambda _: None,
) -> Collected:
    """Find what nothing needs and that is older than the grace; delete it on request.

    Arguments:
        store: where the archive is.
        grace: a duration such as `7d`; measured by the store's own clock.
        apply: delete; otherwise only count.
        allow_empty: go on although there are data objects and no record explains them.
        versions: remove old versions of what was deleted, too, where a bucket keeps them.
        step: is told how many objects were deleted or counted, again and again.

    Returns what was found; what could not be deleted is in `failed`. Raises IntegrityError or FormatError, naming it,
    for a record that cannot be read, StorageError when a listing fails: nothing has been deleted then. Raises
    PolicyError where there is data and no run at all, or for `versions` under Object Lock.
    """
    if versions:
        store.refuse_locked()
    now = store.now() if apply else look_at_clock(store)
    done = Collected(apply, now, before(now, grace))
    with closing(Listing()) as listing:
        listing.fill(store, done.before)
        graph = Graph(store)
        _exhaust(graph.look(done.before, held(store, _dead(done))))
        if apply and not graph.runs and not allow_empty:
            _refuse_without_records(store, listing.unaccounted(graph))
        if apply:
            _drop_trash(store, graph, done)
        else:
            for entry in graph.expired.values():
                done.kinds["trash"].add(entry.key, entry.size)
        for prefix, orphans in groupby(listing.unreached(graph), key=lambda entry: _prefix(entry.key)):
            if apply:
                _sweep(store, prefix, orphans, graph, done, step)
            else:
                for entry in orphans:
                    done.kinds[_kind(entry.key)].add(entry.key, entry.size)
                    step(1)
        _tidy(store, graph, done)
        _count_versions(store, graph, done, remove=versions)
    return done


def _count_versions(store: Store, graph: Graph, done: Collected, *, remove: bool) -> None:
    """Say what the bucket keeps of what was deleted, and remove it on request."""
    kept = store.keeps_versions()
    done.freed = kept is False
    if not kept:
        return
    if remove:
        _exhaust(graph.look())
        records = [entry for prefix in _RECORDS for entry in store.list(prefix)]
        known = {layout.run_of_record(entry.key) for entry in records} - {None}
        keys = deleted_keys(store, graph, known, done.before)
        tally = done.kinds["versions"]
        if done.applied:
            done.failed |= remove_versions(store, keys, lambda one: tally.add(one.key, one.size))
        else:
            for one in chain.from_iterable(keys):
                tally.add(one.key, one.size)
    with suppress(AccessError):
        done.old = old_versions(store)


def _refuse_without_records(store: Store, objects: int) -> None:
    if objects:
        raise PolicyError(
            f"{store.url} holds {counted(objects, 'data object')} that no record explains, and no run at all: restore runs/,"
            " or say allow_empty (--allow-empty)"
        )


def _drop_trash(store: Store, graph: Graph, done: Collected) -> None:
    """Delete expired records from the trash, and take up what is in the archive now."""
    fresh = {entry.key: entry for entry in store.list(layout.TRASH)}
    wanted = (entry for entry in graph.expired.values() if fresh.get(entry.key) == entry)
    deleted: set[str] = set()
    with closing(Copies(store)) as copies:
        for batch in _batches(wanted, _BATCH):
            copies.take(batch)
            deleted |= _count(_delete(store, batch), done)
        _exhaust(graph.look())
        spared = held(store, _dead(done))
        for run in graph.expired:
            key = layout.trash_key(run)
            # Somebody pinned the run, or is bringing it back; or a removal took the run's record away, counting on
            # the copy that we deleted.
            needed = run in spared or (run in graph.twins and store.stat(layout.record_key(run)) is None)
            if key in deleted and needed and copies.give_back(key):
                done.restored.append(key)
        bring_pinned_back(store, {run for run in graph.expired if layout.trash_key(run) in done.restored})
    _settle(store, graph, _dead(done))


def _settle(store: Store, graph: Graph, dead: datetime) -> None:
    """See what is there by now. A run that somebody moves may be in neither place for a moment; its claim tells."""
    moving = claimed(store, dead)
    _exhaust(graph.look())
    moving |= claimed(store, dead)
    _exhaust(graph.look())
    graph.spare_moving(moving)


def _dead(done: Collected) -> datetime:
    """Return the moment before which claims are of movers that died: gc heeds them no more, and removes them."""
    return min(done.before, done.now - _REST)


def _sweep(
    store: Store,
    prefix: str,
    orphans: Iterable[Entry],
    graph: Graph,
    done: Collected,
    step: Callable[[int], object],
) -> None:
    """Delete orphans below a prefix, as far as a fresh listing shows them unchanged."""
    if prefix in _SHARED and graph.unsure:
        return  # the next gc knows
    current = _unchanged(orphans, store.list(prefix))
    if prefix not in _SHARED:
        young: list[Entry] = []
        settled = _older(current, done.now - _UNSETTLED, young)
        for deleted in store.map(lambda batch: _delete(store, batch), _batches(settled, _BATCH)):
            step(len(_count(deleted, done)))
        current = _unchanged(young, store.list(prefix)) if young else iter(())
    for chunk in _chunks(current, _AT_A_TIME, _BYTES_AT_A_TIME):
        with closing(Copies(store)) as copies:
            try:
                for batch in _batches(chunk, _BATCH):
                    copies.take(batch)
                    step(len(_count(_delete(store, batch), done)))
            finally:
                # Also what a record reaches that an earlier look found: it was judged before that.
                _exhaust(graph.look())
                done.restored += [
                    entry.key for entry in chunk if graph.reaches(entry.key) and copies.give_back(entry.key)
                ]


def _tidy(store: Store, graph: Graph, done: Collected) -> None:
    """Remove what is derived, empty or was never finished."""
    rest = max(done.before, done.now - _REST)
    listed = {prefix: list(store.list(prefix)) for prefix in _RECORDS}
    segments = [entry for entry in superseded(store, listed[layout.RUNS]) if entry.modified <= rest]
    # A dry run takes what it would have deleted from the trash for gone.
    kept = [
        entry
        for entry in listed[layout.TRASH]
        if done.applied or layout.run_of_record(entry.key) not in graph.expired
    ]
    records = [*listed[layout.RUNS], *kept, *listed[layout.QUARANTINE]]
    runs = {layout.run_of_record(entry.key) for entry in records} | open_ids(store)
    # A run may have come back from the trash between two of these listings.
    tags = [entry for area in layout.MARKERS for entry in store.list(area) if entry.modified <= done.before]
    runs |= {layout.run_of_record(entry.key) for entry in store.list(layout.RUNS)} if tags else set()
    markers = markers_of_others(tags, runs)
    probes = [
        entry
        for entry in listed[layout.TRASH]
        if entry.modified <= {"probe": rest, "claim": _dead(done)}.get(_name(entry.key), _NEVER)
    ]
    unfinished = [entry for entry in store.leftovers() if entry.modified <= done.before]
    _remove(store, "catalog", segments, done)
    _remove(store, "tags", markers, done)
    if done.applied and markers:
        _give_tags_back(store, markers, done)
    _remove(store, "leftovers", probes, done)
    _remove(store, "leftovers", unfinished, done, leftovers=True)


def _give_tags_back(store: Store, markers: list[Entry], done: Collected) -> None:
    """Put back the tags of runs that are there after all: a save writes them before its record."""
    known = {
        layout.run_of_record(entry.key) for prefix in (*_RECORDS, layout.RUNS) for entry in store.list(prefix)
    }
    known |= open_ids(store)
    back = [entry for entry in markers if entry not in markers_of_others([entry], known)]
    for entry in back:
        store.put(entry.key, b"")
        done.restored.append(entry.key)
    bring_pinned_back(store, {entry.key.rpartition("/")[2] for entry in back})


def _remove(
    store: Store, kind: str, entries: Iterable[Entry], done: Collected, *, leftovers: bool = False
) -> None:
    for batch in _batches(entries, _BATCH):
        if done.applied:
            _count(_delete(store, batch, leftovers=leftovers), done, kind)
        else:
            for entry in batch:
                done.kinds[kind].add(entry.key, entry.size)


def _delete(store: Store, entries: list[Entry], *, leftovers: bool = False) -> _Deleted:
    return entries, remove(store, [entry.key for entry in entries], leftovers=leftovers)


def _count(deleted: _Deleted, done: Collected, kind: str | None = None) -> set[str]:
    """Count what was deleted. Return the keys that are gone."""
    entries, failed = deleted
    done.failed.update(failed)
    for entry in entries:
        if entry.key not in failed:
            done.kinds[kind or _kind(entry.key)].add(entry.key, entry.size)
    return {entry.key for entry in entries} - failed.keys()


def _unchanged(wanted: Iterable[Entry], listing: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries that a listing shows the same; both are sorted by key."""
    found = iter(listing)
    current = next(found, None)
    for entry in wanted:
        while current is not None and current.key < entry.key:
            current = next(found, None)
        if current == entry:
            yield entry


def _older(entries: Iterable[Entry], moment: datetime, young: list[Entry]) -> Iterator[Entry]:
    """Yield the entries of a moment or before it; the others are put into the list."""
    for entry in entries:
        if entry.modified <= moment:
            yield entry
        else:
            young.append(entry)


def _chunks(entries: Iterable[Entry], count: int, size: int) -> Iterator[list[Entry]]:
    """Yield lists of at most so many entries, and of so many bytes, unless one alone has more."""
    chunk: list[Entry] = []
    total = 0
    for entry in entries:
        if chunk and (len(chunk) >= count or total + entry.size > size):
            yield chunk
            chunk, total = [], 0
        chunk.append(entry)
        total += entry.size
    if chunk:
        yield chunk


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _prefix(key: str) -> str:
    return key[: key.index("/") + 1]


def _name(key: str) -> str:
    found = layout.parse(key)
    return "" if found is None else found.name


def _kind(key: str) -> str:
    return _prefix(key).rstrip("/")
