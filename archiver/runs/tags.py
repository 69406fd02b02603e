"""Tags: which run has which; the one room that knows.

Those given at the save stand in the record. What changed since say markers, empty objects: `tags/<quoted tag>/<run>` gives
a tag, and wins over `untagged/<quoted tag>/<run>`, which takes one off that the record gives. The tag `pinned` is always a
marker, so that one listing shows what is protected. Whatever else lies there is not ours, and is passed over.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from archiver.errors import ConfigError
from archiver.format import layout
from archiver.format.model import Record
from archiver.runs.removal import remove
from archiver.store import Store
from archiver.store.entry import Entry

PINNED = "pinned"
"""The tag that protects a run from every policy."""


def read_tags(store: Store, given: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the sorted tags of each run that has some: of those that were given one at their save, and of all that
    have a marker.

    given: the `tags` of records, by run. Raises StorageError when a listing fails.
    """
    own = {run: set(tags) - {PINNED} for run, tags in given.items() if tags}
    found = _marked(store, layout.TAGS)  # first: who takes a tag off writes `untagged/`, then removes this
    lost = _marked(store, layout.UNTAGGED) if own else {}
    for run, tags in own.items():
        found.setdefault(run, set()).update(tags - lost.get(run, set()))
    return {run: sorted(tags) for run, tags in found.items() if tags}


def markers_by_run(store: Store, runs: Iterable[str]) -> dict[str, list[str]]:
    """Return the keys of all markers of each of these runs that has some: they travel with it."""
    wanted = set(runs)
    found: dict[str, list[str]] = {}
    for area in layout.MARKERS if wanted else ():
        for entry in store.list(area):
            key = layout.parse(entry.key)
            if key is not None and key.run in wanted:
                found.setdefault(key.run, []).append(entry.key)
    return found


def with_tags(record: Record, tags: Iterable[str]) -> tuple[Record, list[str]]:
    """Return a record that is about to be written with its tags in it, and the keys of those that are markers."""
    labels = set(tags)
    own = tuple(sorted(labels - {PINNED}))
    if own:
        record = replace(record, tags=own, format=2)
    return record, [layout.tag_key(tag, record.run) for tag in labels & {PINNED}]


def _marked(store: Store, area: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in store.list(area):
        key = layout.parse(entry.key)
        if key is not None:
            found.setdefault(key.run, set()).add(key.name)
    return found


def pinned(store: Store) -> set[str]:
    """Return the runs that nothing may remove. Raises StorageError when the listing fails."""
    keys = (layout.parse(entry.key) for entry in store.list(layout.tag_key(PINNED, "")))
    return {key.run for key in keys if key is not None}


def markers_of_others(entries: Iterable[Entry], runs: Container[str]) -> list[Entry]:
    """Return, of a listing, the markers of runs that are not among these."""
    return [
        entry for entry in entries if (key := layout.parse(entry.key)) is not None and key.run not in runs
    ]


def put_tag(store: Store, run: str, tag: str) -> None:
    """Write a marker. Raises ConfigError for a tag that cannot be a name."""
    store.put(layout.tag_key(tag, run), b"")


def take_off(store: Store, record: Record, tag: str) -> None:
    """Take a tag off a run; one that it does not have is fine. Raises StorageError."""
    if tag in record.tags:
        store.put(layout.untagged_key(tag, record.run), b"")
    for error in remove(store, [layout.tag_key(tag, record.run)]).values():
        raise error


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags sorted, each once; one text is one tag. Raises ConfigError for what cannot be a name."""
    labels = (tags,) if isinstance(tags, str) else tuple(tags)
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"the tag {label!r} is no text: give names")
        layout.quote(label)
    return tuple(sorted(set(labels)))
