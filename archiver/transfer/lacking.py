"""What a store lacks of the runs that it has: judged before runs are copied, functions of values that pickle."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from archiver.errors import IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.runs.reach import reachable
from archiver.runs.record_view import RecordView
from archiver.runs.records import read_record
from archiver.store import Store
from archiver.store.entry import Entry


class Lack(NamedTuple):
    """What is to be done for a run that the target has: all of it again, these objects, or nothing; or the damage found."""

    again: bool = False
    refs: tuple[Ref, ...] = ()
    damage: str | None = None


def lacking(source: Store, target: Store, prefix: str) -> set[str]:
    """Return the runs with an object below a prefix (of tier 1 or 2) that only the source has, by listings alone."""
    keys = (layout.parse(key) for key in _only_in(source.list(prefix), target.list(prefix)))
    return {key.run for key in keys if key is not None}


def judge_run(source: Store, target: Store, restore: bool, closely: Collection[str], run: str) -> Lack:
    """Tell whether a run that the target has is to be completed.

    restore: give back details that it gave up; closely: the runs whose objects are looked at one by one. Raises
    IntegrityError where the target has another run of that id.
    """
    key = layout.record_key(run)
    ours, theirs = record_bytes(source, run), record_bytes(target, run)
    if ours is None:  # pruned meanwhile
        return Lack()
    if theirs is None:
        return Lack(again=True)
    try:
        record = read_record(key, ours)
    except IntegrityError as error:
        return Lack(damage=str(error))
    try:
        other = read_record(key, theirs)
    except IntegrityError as error:
        raise IntegrityError(f"in {target.url}, {error}") from None
    if ours != theirs and _identity(record) != _identity(other):
        raise IntegrityError(f"{target.url} has another run {run}: nothing is replaced")
    if restore and ours != theirs and _gives_back(record, other):
        return Lack(again=True)
    if run not in closely:
        return Lack()
    # By the target's own record: details that it gave up stay away.
    refs = tuple(ref for ref in reachable(other) if target.stat(ref.key) is None)
    return Lack(again=restore and bool(refs), refs=() if restore else refs)


def record_bytes(store: Store, run: str) -> bytes | None:
    """Read a run's record as it is stored, or None when there is none."""
    key = layout.record_key(run)
    try:
        return store.get_listed(key) if isinstance(store, RecordView) else store.get(key)
    except NotFoundError:
        return None


def _gives_back(record: Record, other: Record) -> bool:
    """Tell whether a record has details that the target's gave up."""
    if other.archived is not None:  # what a policy took before it was bundled brings no details back
        return record.detail_removed is None
    return record.has_detail and not other.has_detail


def _identity(record: Record) -> tuple[object, ...]:
    return record.universe, record.created, record.strategies, record.names, record.inline, record.tier1


def _only_in(entries: Iterable[Entry], others: Iterable[Entry]) -> Iterator[str]:
    """Yield the keys of a sorted listing that another one does not have."""
    rest = iter(others)
    other = next(rest, None)
    for entry in entries:
        while other is not None and other.key < entry.key:
            other = next(rest, None)
        if other is None or other.key != entry.key:
            yield entry.key
