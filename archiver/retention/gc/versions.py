"""Old versions of what gc deleted: counted on every bucket that keeps some, removed on request.

A key counts where its newest version is a delete marker, older than the grace, and no record needs it: what a record
needs and lacks may be all that is left of it. First the versions go, then the markers that hide them, so that nothing
comes back on the way. What was written anew has other versions, and is not touched.

What packs took the place of goes, too: loose records that one holds, and packs that others replaced. A pack that went in
any other way is kept, for it may be all that is left of its runs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from archiver.errors import FormatError, IntegrityError, StorageError
from archiver.format import layout
from archiver.format.packs import decode_pack
from archiver.retention.gc.graph import Graph
from archiver.runs.packs import Packs
from archiver.runs.record_view import below
from archiver.store import Store
from archiver.store.entry import Version

_BY_RUN = (layout.RUNS, layout.REVISED, layout.MASKS, layout.TRASH, *layout.MARKERS)
BATCH = 1_000


class Kept(NamedTuple):
    """Old versions and delete markers of a bucket, and their bytes."""

    objects: int = 0
    bytes: int = 0


def old_versions(store: Store) -> Kept:
    """Count what no listing of objects shows. Raises StorageError, AccessError where that is not to be seen."""
    objects = size = 0
    for version in store.versions():
        if version.marker or not version.latest:
            objects += 1
            size += version.size
    return Kept(objects, size)


def deleted_keys(
    store: Store, graph: Graph, known: Container[str], before: datetime
) -> Iterator[list[Version]]:
    """Yield all versions of each key that was deleted at a moment or before it, and that no record needs.

    graph: what the records reach; known: the runs that have a record.
    """
    packed = _Packed(store, before)
    for key, found in _by_key(store):
        if _went(found) <= before and (_is_free(key, graph, known) or packed.replaces(key)):
            yield found


def _by_key(store: Store, prefix: str = "") -> Iterator[tuple[str, list[Version]]]:
    for key, group in groupby(store.versions(prefix), key=lambda version: version.key):
        yield key, list(group)


def _went(versions: list[Version]) -> datetime:
    """Return when an object was deleted, the end of time for one that is there."""
    latest = next((version for version in versions if version.latest), None)
    return latest.modified if latest is not None and latest.marker else datetime.max.replace(tzinfo=UTC)


class _Packed:
    """What packs, older than the grace, have taken the place of."""

    def __init__(self, store: Store, before: datetime) -> None:
        self._packs = Packs(below(store))
        settled = {entry.key for entry in store.list(layout.PACKS) if entry.modified <= before}
        self._live = [pack for pack in self._packs.live() if pack.key in settled]
        self._stems = self._replaced(store) if self._live else set()

    def _replaced(self, store: Store) -> set[str]:
        """Return the packs that these replaced, and those that they replaced in turn, as far as the bucket keeps what says so."""
        gone = dict(_by_key(store, layout.PACKS))
        stems: set[str] = set()
        waiting = [stem for pack in self._live for stem in pack.replaces]
        while waiting:
            stem = waiting.pop()
            if stem in stems:
                continue
            stems.add(stem)
            key = stem + layout.RECORD_SUFFIX
            kept = next((version for version in gone.get(key, ()) if not version.marker), None)
            if kept is not None:
                with suppress(
                    IntegrityError, FormatError, StorageError
                ):  # what cannot be read leaves more, not less
                    waiting += decode_pack(store.get_version(kept), key).replaces
        return stems

    def replaces(self, key: str) -> bool:
        """Tell whether a pack took the place of an object."""
        found = layout.parse(key)
        if found is None:
            return False
        if found.area == layout.PACKS:
            return layout.PACKS + found.name in self._stems
        if found.area not in (layout.RUNS, layout.REVISED):
            return False
        place = self._packs.find(self._live, found.run)
        return place is not None and place.version >= layout.version_of(key)


def remove_versions(
    store: Store, keys: Iterator[list[Version]], removed: Callable[[Version], object]
) -> dict[str, StorageError]:
    """Delete these versions, some keys at a time; tell of each that is gone. Return what failed, by key."""
    failed: dict[str, StorageError] = {}
    batch: list[Version] = []
    for found in keys:
        batch += found
        if len(batch) >= BATCH:
            failed |= _remove(store, batch, removed)
            batch = []
    return failed | _remove(store, batch, removed)


def _remove(
    store: Store, versions: list[Version], removed: Callable[[Version], object]
) -> dict[str, StorageError]:
    failed: dict[str, StorageError] = {}
    for markers in (False, True):
        wanted = [one for one in versions if one.marker is markers and one.key not in failed]
        if wanted:
            failed |= store.delete_versions(wanted)
        for one in wanted:
            if one.key not in failed:
                removed(one)
    return failed


def _is_free(key: str, graph: Graph, known: Container[str]) -> bool:
    found = layout.parse(key)
    if found is None:
        return False
    if found.area in layout.DATA:
        return not graph.reaches(key)
    if found.area == layout.OPEN:
        # Of a run that is still open nothing is free, not even what was deleted by mistake.
        return found.run in known or not graph.reaches(layout.start_key(found.run))
    return found.area == layout.CATALOG or (found.area in _BY_RUN and found.run not in known)
