"""What gc does beside data and records: what is derived, replaced, empty, or was never finished."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from archiver.format import layout
from archiver.retention.gc.deleting import Collected, discard
from archiver.retention.gc.graph import Graph
from archiver.retention.gc.packs import needless_masks, replaced_packs, superseded_records
from archiver.retention.trash import bring_pinned_back
from archiver.runs.open import open_ids
from archiver.runs.packed.reach import RunSet, recorded
from archiver.runs.record_view import viewed
from archiver.runs.tags import markers_of_others
from archiver.store import Store
from archiver.store.entry import Entry

REST = timedelta(hours=1)
"""How long readers may still want what is merely derived."""
_NEVER = datetime.min.replace(tzinfo=UTC)


def tidy(store: Store, graph: Graph, done: Collected, dead: datetime) -> None:
    """Remove what is derived, empty or was never finished; dead: claims as old as this count for nothing."""
    rest = max(done.before, done.now - REST)
    view, runs = viewed(store), RunSet()
    runs.look(view)
    trash = list(store.list(layout.TRASH))
    segments = [
        entry
        for entry in store.list(layout.CATALOG)
        if entry.modified <= rest and layout.parse(entry.key) is not None and entry.key != layout.VERIFIED
    ]
    # A dry run takes what it would have deleted from the trash for gone.
    kept = [entry for entry in trash if done.applied or layout.run_of_record(entry.key) not in graph.expired]
    runs.update([*kept, *store.list(layout.QUARANTINE)])
    runs.update_ids(open_ids(store))
    # A run may have come back from the trash between two of these listings.
    tags = [entry for area in layout.MARKERS for entry in store.list(area) if entry.modified <= done.before]
    if tags:
        runs.look(view)
    markers = markers_of_others(tags, runs)
    probes = [
        entry
        for entry in trash
        if entry.modified <= {"probe": rest, "claim": dead}.get(_name(entry.key), _NEVER)
    ]
    unfinished = [entry for entry in store.leftovers() if entry.modified <= done.before]
    discard(store, "catalog", segments, done)
    _tidy_packs(store, done)
    discard(store, "tags", markers, done)
    if done.applied and markers:
        _give_tags_back(store, markers, done)
    discard(store, "leftovers", probes, done)
    discard(store, "leftovers", unfinished, done, leftovers=True)


def _tidy_packs(store: Store, done: Collected) -> None:
    """Remove what newer packs and records replace; whatever the grace, readers that have begun may want it for an hour."""
    rest = done.now - REST
    discard(store, "revised", list(superseded_records(store, rest)), done)
    commits, data = replaced_packs(store, rest)
    discard(store, "packs", commits, done)
    stuck = {entry.key.removesuffix(layout.RECORD_SUFFIX) for entry in commits if entry.key in done.failed}
    # The data of a pack whose commit could not be deleted stays: readers would take it for damaged.
    discard(store, "packs", [entry for entry in data if entry.key.partition(".")[0] not in stuck], done)
    discard(store, "masks", needless_masks(store, rest), done)


def _give_tags_back(store: Store, markers: list[Entry], done: Collected) -> None:
    """Put back the tags of runs that are there after all: a save writes them before its record."""
    known = recorded(viewed(store))
    known.look(viewed(store))
    known.update_ids(open_ids(store))
    back = [entry for entry in markers if entry not in markers_of_others([entry], known)]
    for entry in back:
        store.put(entry.key, b"")
        done.restored.append(entry.key)
    bring_pinned_back(store, {entry.key.rpartition("/")[2] for entry in back})


def _name(key: str) -> str:
    found = layout.parse(key)
    return "" if found is None else found.name
