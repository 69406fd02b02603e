"""What a gc removes: it is deleted and counted here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeVar

from archiver.errors import StorageError
from archiver.retention.gc.versions import BATCH, Kept
from archiver.runs.removal import remove
from archiver.store import Store
from archiver.store.entry import Entry

T = TypeVar("T")
_EXAMPLES = 5

Deleted = tuple[list[Entry], Mapping[str, StorageError]]

WHY = {
    "trash": "records of pruned runs whose grace is over",
    "tier1": "metrics that no record reaches",
    "tier2": "details that no record reaches",
    "tapes": "bar series that no record reaches",
    "clocks": "clocks that no record reaches",
    "files": "files of strategies that no record reaches",
    "code": "code that no record reaches",
    "open": "parts of runs that were finished",
    "catalog": "what packs took the place of",
    "revised": "records that newer ones replace",
    "packs": "packs that newer ones replace",
    "masks": "marks of runs that no pack holds any more",
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


def discard(
    store: Store, kind: str, entries: Iterable[Entry], done: Collected, *, leftovers: bool = False
) -> None:
    """Delete and count entries of a kind, in a dry run count them; leftovers: of `Store.leftovers`."""
    for batch in batches(entries, BATCH):
        if done.applied:
            count(delete(store, batch, leftovers=leftovers), done, kind)
        else:
            for entry in batch:
                done.kinds[kind].add(entry.key, entry.size)


def delete(store: Store, entries: list[Entry], *, leftovers: bool = False) -> Deleted:
    """Delete entries. Return them, and what failed."""
    return entries, remove(store, [entry.key for entry in entries], leftovers=leftovers)


def count(deleted: Deleted, done: Collected, kind: str | None = None) -> set[str]:
    """Count what was deleted. Return the keys that are gone."""
    entries, failed = deleted
    done.failed.update(failed)
    for entry in entries:
        if entry.key not in failed:
            done.kinds[kind or kind_of(entry.key)].add(entry.key, entry.size)
    return {entry.key for entry in entries} - failed.keys()


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most so many items."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def prefix_of(key: str) -> str:
    """Return the first part of a key, with its slash."""
    return key[: key.index("/") + 1]


def kind_of(key: str) -> str:
    """Return which kind of `WHY` a key is of."""
    return prefix_of(key).rstrip("/")
