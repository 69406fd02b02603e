"""Prune: take runs out of sight by a plan, and bring them back. Data is never touched here; gc frees it later.

A pruned run's record moves to `trash/`: first the copy there, then the original goes. Where only details are removed,
the whole record goes to `trash/` and a reduced one takes its place. Everything else is looking twice: after records
are gone, that their copies are there; after a prune, that nobody pinned what it took.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from archiver.base.collector import collector_paused
from archiver.errors import IntegrityError, NotFoundError, RunNotFoundError, StorageError
from archiver.format import layout
from archiver.format.model import Record
from archiver.retention.plan import Plan, fingerprint
from archiver.retention.policy import PINNED, REMOVE, REMOVE_DETAILS, Decision, Policy, decide, refuse_empty
from archiver.runs.graph import reachable, reached
from archiver.runs.records import read_record
from archiver.runs.reduced import encode_unlike, without_details
from archiver.runs.removal import remove
from archiver.store import Store

_BATCH = 500
MOST = 0.5
"""Which part of the runs a prune removes at most, unless told otherwise."""
_ELSEWHERE = "something else than archiver, such as a rule of the bucket"

State = tuple[Sequence[Record], Mapping[str, Sequence[str]]]
"""All records and the tags of each run."""


@dataclass
class Pruned:
    """What a prune did: runs that went to the trash, runs that lost their details, and what failed, by run."""

    removed: list[str] = field(default_factory=list)
    reduced: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    """Runs that were pinned while the prune ran, and are back."""
    failed: dict[str, StorageError] = field(default_factory=dict)


def plan_prune(
    store: Store, state: State, policies: Sequence[Policy], now: datetime, *, allow_empty: bool = False
) -> Plan:
    """Plan what policies remove. Nothing is changed.

    Arguments:
        store: is asked for the sizes of captured code, where removed runs have some.
        state: all records, and the tags of each run.
        policies: what to keep.
        now: the moment that ages count to.
        allow_empty: let a policy keep nothing.

    Raises PolicyError for a policy that keeps nothing, or a metric that no run has.
    """
    with collector_paused():
        return _plan(store, state, policies, now, allow_empty)


def _plan(store: Store, state: State, policies: Sequence[Policy], now: datetime, allow_empty: bool) -> Plan:
    records, tags = state
    decisions = decide(records, tags, policies, now)
    if not allow_empty:
        refuse_empty(decisions, policies)
    actions = {one.run: one.action for one in decisions}
    gone = [_lost(record, actions[record.run]) for record in records if actions[record.run] != "keep"]
    kept = [
        record if actions[record.run] == "keep" else without_details(record, "")
        for record in records
        if actions[record.run] != REMOVE
    ]
    sizes = _sizes(store, gone)
    stays = {ref.key for _, ref in reached(kept) if ref.key in sizes}
    freed = [amount for key, amount in sizes.items() if key not in stays]
    return Plan(
        url=store.url,
        now=now,
        policies=tuple(policies),
        decisions=tuple(decisions),
        fingerprint=fingerprint(records, tags),
        frees={record.run: _own_bytes(record) for record in gone},
        freed=sum(freed) + sum(record.size for record in gone if actions[record.run] == REMOVE),
        freed_objects=len(freed) + sum(actions[record.run] == REMOVE for record in gone),
        shared=len(stays),
        shared_bytes=sum(sizes[key] for key in stays),
    )


def apply_plan(
    store: Store,
    plan: Plan,
    read: Callable[[], State],
    *,
    max_remove: float = MOST,
    step: Callable[[int], object] = lambda _: None,
) -> Pruned:
    """Do what a plan says, after reading everything again to see that it still holds.

    Arguments:
        store: where the archive is.
        plan: what to do.
        read: reads all records and tags anew.
        max_remove: which part of the runs may lose something at most, 0 to 1.
        step: is told how many runs were dealt with, again and again.

    Returns what was done. Raises PolicyError for a plan of another archive, one that no longer holds, or one that
    removes too much, StorageError when the store fails as a whole. What failed for single runs is returned.
    """
    plan.check_url(store.url)
    plan.check_share(max_remove)
    records, tags = read()
    plan.check(fingerprint(records, tags), decide(records, tags, plan.policies, plan.now))
    done = Pruned()
    removals = plan.removals
    for start in range(0, len(removals), _BATCH):
        batch = removals[start : start + _BATCH]
        _remove_runs(store, [one for one in batch if one.action == REMOVE], done)
        _remove_details(store, [one for one in batch if one.action == REMOVE_DETAILS], done)
        step(len(batch))
    _spare_pinned(store, done)
    return done


def undelete(store: Store, run: str) -> Record:
    """Bring a pruned run back, or the details of one: its record becomes again what it was.

    Where nothing but details is gone meanwhile, the run comes back without them, and a warning says so. Returns the
    record. Raises RunNotFoundError when it is not in the trash (any more), IntegrityError when its record is damaged
    or other data that it needs is gone; nothing changes then.
    """
    record, whole = _bring_back(store, run)
    if not whole:
        warnings.warn(f"run {run} is back without its details: they are gone from the store", stacklevel=3)
    return record


def _bring_back(store: Store, run: str) -> tuple[Record, bool]:
    """Bring a run back from the trash. Return its record, and whether its details came with it."""
    key, place = layout.trash_key(run), layout.record_key(run)
    try:
        data = store.get(key)
    except NotFoundError:
        raise RunNotFoundError(f"run {run} is not in the trash: `archiver undelete` lists what is") from None
    record = read_record(key, data)
    # A fresh copy, so that a gc that finds the old one's grace over sees that it no longer is.
    store.put(key, data)
    left = _what_is_left(store, record)
    if left is not record and store.stat(place) is not None:
        raise IntegrityError(f"the details of run {run} are gone from the store: only its metrics are left")
    if left is not record:
        data = encode_unlike(left, len(data))
    store.put(place, data)
    if store.stat(key) is None:
        # gc took it at this very moment, or another undelete was quicker: is the data still there?
        less = _what_is_left(store, left)
        if less is not left:
            left, data = less, encode_unlike(less, len(data))
            store.put(place, data)
    for error in remove(store, [key]).values():
        raise error
    if store.stat(place) is None:
        # A prune that began before us took the record away once more.
        store.put(place, data)
    return left, left is record


def _remove_runs(store: Store, removals: Sequence[Decision], done: Pruned) -> None:
    """Move records to the trash: copies first, then the originals go, then a look whether the copies are there."""
    copies = {
        one.run: data
        for one, data in zip(
            removals, store.map(lambda one: _to_trash(store, one.run, done), removals), strict=True
        )
        if data is not None
    }
    gone = remove(store, [layout.record_key(run) for run in copies])
    for run in copies:
        error = gone.get(layout.record_key(run))
        if error is not None:
            done.failed[run] = error
        else:
            done.removed.append(run)
    _look_again(store, {run: copies[run][1] for run in copies if run not in done.failed}, done.removed)


def _to_trash(store: Store, run: str, done: Pruned) -> tuple[bytes, bytes] | None:
    """Copy a record to the trash. Return it as it was and as it lies there; None when there is nothing to move."""
    try:
        data = store.get(layout.record_key(run))
    except NotFoundError:
        return None  # another prune was quicker
    read_record(layout.record_key(run), data)
    try:
        whole = _whole_copy(store, run, data)
        store.put(layout.trash_key(run), whole)
    except StorageError as error:
        done.failed[run] = error
        return None
    return data, whole


def _whole_copy(store: Store, run: str, data: bytes) -> bytes:
    """Return what the trash is to hold: of a run whose details went before, the record that still has them."""
    key = layout.trash_key(run)
    record = read_record(layout.record_key(run), data)
    if record.detail_removed is None and record.archived is None:
        return data
    try:
        whole = store.get(key)
        read_record(key, whole)
    except (NotFoundError, IntegrityError):
        return data
    return whole


def _look_again(store: Store, records: Mapping[str, bytes], moved: list[str]) -> None:
    """Put back records whose copies are gone: someone brought the run back while we moved it."""
    if not records:
        return
    there = {layout.run_of_record(entry.key) for entry in store.list(layout.TRASH)}
    for run, data in records.items():
        if run not in there:
            store.put(layout.record_key(run), data)
            moved.remove(run)


def _remove_details(store: Store, removals: Sequence[Decision], done: Pruned) -> None:
    """Replace records by reduced ones: copies first, then the records change, then a look whether the copies are there."""

    def reduce(one: Decision) -> bytes | None:
        copies = _to_trash(store, one.run, done)
        if copies is None:
            return None
        record = read_record(layout.record_key(one.run), copies[0])
        try:
            store.put(
                layout.record_key(one.run), encode_unlike(without_details(record, one.policy), len(copies[0]))
            )
        except StorageError as error:
            done.failed[one.run] = error
            return None
        return copies[1]

    reduced = zip(removals, store.map(reduce, removals), strict=True)
    copies = {one.run: whole for one, whole in reduced if whole is not None}
    done.reduced += copies
    _look_again(store, copies, done.reduced)


def _spare_pinned(store: Store, done: Pruned) -> None:
    """Bring back what was pinned while the prune ran."""
    taken = {*done.removed, *done.reduced}
    if not taken:
        return
    marker = layout.tag_key(PINNED, "")
    for entry in list(store.list(marker)):
        run = entry.key.removeprefix(marker)
        if run not in taken:
            continue
        try:
            _spare(store, run)
            done.spared.append(run)
        except (IntegrityError, StorageError) as error:
            done.failed[run] = StorageError(f"it was pinned meanwhile and is in the trash still: {error}")
    done.removed = [run for run in done.removed if run not in done.spared]
    done.reduced = [run for run in done.reduced if run not in done.spared]


def _spare(store: Store, run: str) -> None:
    try:
        _bring_back(store, run)
    except RunNotFoundError:
        pass  # somebody else was quicker
    except IntegrityError:
        # What it lacks it lacked before: nobody may free the rest of a pinned run.
        key = layout.trash_key(run)
        data = store.get(key)
        read_record(key, data)
        store.put(layout.record_key(run), data)


def _what_is_left(store: Store, record: Record) -> Record:
    """Return a record of what is still there. Raises IntegrityError when that is not worth bringing back."""
    refs = list({ref.key: ref for ref in reachable(record)}.values())
    found = zip(refs, store.map(lambda ref: store.stat(ref.key), refs), strict=True)
    gone = {ref.key for ref, entry in found if entry is None}
    for key in sorted(gone):
        # Rules of buckets remove details, and those alone. A tape is worth nothing without them.
        if not key.startswith((layout.TIER2, layout.TAPES)):
            raise IntegrityError(
                f"run {record.run} cannot be brought back whole: {key} is gone; `archiver verify` tells more"
            )
    if record.tier2 is not None and record.tier2.key in gone:
        return without_details(record, _ELSEWHERE)
    return record


def _lost(record: Record, action: str) -> Record:
    """Return a record of what an action makes unreachable."""
    if action == REMOVE:
        return record
    return replace(record, tier1=None, inline=None, code=None)


def _own_bytes(record: Record) -> int:
    own = sum(ref.size for ref in (record.tier1, record.tier2) if ref is not None)
    return own + (record.size if record.tier1 is not None or record.inline is not None else 0)


def _sizes(store: Store, records: Iterable[Record]) -> dict[str, int]:
    """Return the stored size of each object that these records reach; of code, as a listing shows it."""
    sizes: dict[str, int] = {}
    code: set[str] = set()
    for _, ref in reached(records):
        if ref.plain:
            code.add(ref.key)
        else:
            sizes[ref.key] = ref.size
    if code:
        sizes |= {entry.key: entry.size for entry in store.list(layout.CODE) if entry.key in code}
    return sizes
