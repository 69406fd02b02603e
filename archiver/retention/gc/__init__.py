"""gc: free what nothing needs any more, while others save, load, prune and bring back.

1. List the data objects that are older than the grace by the store's own clock. What is saved from here on is young.
2. Read all records, in `runs/`, in `trash/`, and what was set aside; one that cannot be read ends the gc.
3. Delete the records in the trash whose grace is over, unless they are held (see `trash`): parents go before children.
   Put back what is held by then, and see which records there are.
4. Delete the listed objects that no record reaches, if a fresh listing shows them unchanged.
5. Look for records once more. A run that was committed meanwhile may reach what was deleted just after its writer
   looked: what is named by content, or young, is kept in a file until here, and put back.

Thousands of loose records are packed before all that: the packer reads each once, and gc then the columns of the pack.

Memory does not grow with the archive's data: what is reached is a set of 64-bit digests, what is listed lies in a
file. Two keys with one digest would keep an object too long, never delete one too many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from itertools import chain, groupby

from archiver.base.humanize import counted
from archiver.errors import AccessError, PolicyError, StorageError
from archiver.format import layout
from archiver.retention import GRACE
from archiver.retention.gc.deleting import Collected, batches, count, delete, kind_of, prefix_of
from archiver.retention.gc.graph import Copies, Graph, Listing
from archiver.retention.gc.packs import mask
from archiver.retention.gc.tidy import REST, tidy
from archiver.retention.gc.versions import BATCH, deleted_keys, old_versions, remove_versions
from archiver.retention.policy import before
from archiver.retention.trash import bring_pinned_back, claimed, held
from archiver.runs.open import open_ids
from archiver.runs.packed.packing import MANY, SETTLED, pack
from archiver.runs.packed.reach import recorded
from archiver.runs.record_view import RecordView, viewed
from archiver.runs.records import look_at_clock
from archiver.store import Store
from archiver.store.entry import Entry

_SHARED = layout.SHARED
_AT_A_TIME, _BYTES_AT_A_TIME = 20_000, 512 << 20
_UNSETTLED = timedelta(days=1)
"""A run's own objects that are younger than this may be those of a save or a copy that has not come to its record."""


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
    store = viewed(store)
    now = store.now() if apply else look_at_clock(store)
    done = Collected(apply, now, before(now, grace))
    if apply:
        _pack_first(store)
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
        for prefix, orphans in groupby(listing.unreached(graph), key=lambda entry: prefix_of(entry.key)):
            if apply:
                _sweep(store, prefix, orphans, graph, done, step)
            else:
                for entry in orphans:
                    done.kinds[kind_of(entry.key)].add(entry.key, entry.size)
                    step(1)
        tidy(store, graph, done, _dead(done))
        if apply:
            pack(store, loose=graph.runs >= MANY)
        _count_versions(store, graph, done, remove=versions)
    return done


def _pack_first(store: RecordView) -> None:
    """Pack loose records where there are thousands: a packer reads each once, and gc then reads columns.

    What fails, such as on a disk that is full until gc has freed something, is tried again, and raised, at the end.
    """
    if len(store.look(lazy=True).loose) >= MANY:
        with suppress(StorageError):
            pack(store)


def _count_versions(store: Store, graph: Graph, done: Collected, *, remove: bool) -> None:
    """Say what the bucket keeps of what was deleted, and remove it on request."""
    kept = store.keeps_versions()
    done.freed = kept is False
    if not kept:
        return
    if remove:
        _exhaust(graph.look())
        keys = deleted_keys(store, graph, recorded(viewed(store)), done.before)
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
    begun = open_ids(store) if graph.expired else set()
    with closing(Copies(store)) as copies:
        for batch in batches(wanted, BATCH):
            copies.take(batch)
            gone = [run for run in _runs_of(batch) if run not in graph.twins]
            # First: parts without a record are an open run.
            for run in begun.intersection(gone):
                count(delete(store, [*store.list(f"{layout.OPEN}{run}/")]), done)
            mask(store, gone, packer_may_work=done.before > done.now - SETTLED)
            deleted |= count(delete(store, batch), done)
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
    return min(done.before, done.now - REST)


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
        for deleted in store.map(lambda batch: delete(store, batch), batches(settled, BATCH)):
            step(len(count(deleted, done)))
        current = _unchanged(young, store.list(prefix)) if young else iter(())
    for chunk in _chunks(current, _AT_A_TIME, _BYTES_AT_A_TIME):
        with closing(Copies(store)) as copies:
            try:
                for batch in batches(chunk, BATCH):
                    copies.take(batch)
                    step(len(count(delete(store, batch), done)))
            finally:
                # Also what a record reaches that an earlier look found: it was judged before that.
                _exhaust(graph.look())
                done.restored += [
                    entry.key for entry in chunk if graph.reaches(entry.key) and copies.give_back(entry.key)
                ]


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


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _runs_of(entries: Iterable[Entry]) -> list[str]:
    return [run for entry in entries if (run := layout.run_of_record(entry.key)) is not None]
