"""Old versions of what gc deleted: counted on every bucket that keeps some, removed on request.

A key counts where its newest version is a delete marker, older than the grace, and no record needs it: what a record
needs and lacks may be all that is left of it. First the versions go, then the markers that hide them, so that nothing
comes back on the way. What was written anew has other versions, and is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from archiver.errors import StorageError
from archiver.format import layout
from archiver.retention.gc.graph import Graph
from archiver.store import Store
from archiver.store.entry import Version

_DATA = (layout.TIER1, layout.TIER2, *layout.SHARED)
_BY_RUN = (layout.RUNS, layout.REVISED, layout.MASKS, layout.TRASH, *layout.MARKERS)
_BATCH = 1_000


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
    for key, group in groupby(store.versions(), key=lambda version: version.key):
        found = list(group)
        latest = next((version for version in found if version.latest), None)
        if latest is not None and latest.marker and latest.modified <= before and _is_free(key, graph, known):
            yield found


def remove_versions(
    store: Store, keys: Iterator[list[Version]], removed: Callable[[Version], object]
) -> dict[str, StorageError]:
    """Delete these versions, some keys at a time; tell of each that is gone. Return what failed, by key."""
    failed: dict[str, StorageError] = {}
    batch: list[Version] = []
    for found in keys:
        batch += found
        if len(batch) >= _BATCH:
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
    if found.area in _DATA:
        return not graph.reaches(key)
    return found.area == layout.CATALOG or (found.area in _BY_RUN and found.run not in known)
