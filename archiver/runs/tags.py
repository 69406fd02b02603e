"""Tags: the one reader and writer of the markers that say which run has which.

A marker is an empty object, `tags/<quoted tag>/<run>`. Whatever else lies below `tags/` is not ours, and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable

from archiver.errors import ConfigError
from archiver.format import layout
from archiver.store import Store
from archiver.store.entry import Entry

PINNED = "pinned"
"""The tag that protects a run from every policy."""


def read_tags(store: Store) -> dict[str, list[str]]:
    """Return the sorted tags of each run that has some. Raises StorageError when the listing fails."""
    found: dict[str, list[str]] = {}
    for entry in store.list(layout.TAGS):
        key = layout.parse(entry.key)
        if key is not None:
            found.setdefault(key.run, []).append(key.name)
    return {run: sorted(names) for run, names in found.items()}


def pinned(store: Store) -> set[str]:
    """Return the runs that nothing may remove. Raises StorageError when the listing fails."""
    keys = (layout.parse(entry.key) for entry in store.list(layout.tag_key(PINNED, "")))
    return {key.run for key in keys if key is not None}


def markers_of_others(entries: Iterable[Entry], runs: set[str | None]) -> list[Entry]:
    """Return, of a listing, the markers of runs that are not among these."""
    return [
        entry for entry in entries if (key := layout.parse(entry.key)) is not None and key.run not in runs
    ]


def put_tag(store: Store, run: str, tag: str) -> None:
    """Write a marker. Raises ConfigError for a tag that cannot be a name."""
    store.put(layout.tag_key(tag, run), b"")


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags sorted, each once; one text is one tag. Raises ConfigError for what cannot be a name."""
    labels = (tags,) if isinstance(tags, str) else tuple(tags)
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"the tag {label!r} is no text: give names")
        layout.quote(label)
    return tuple(sorted(set(labels)))
