"""Prune: take runs out of sight by a plan, and bring them back. Data is never touched here; gc frees it later."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from archiver.base.collector import collector_paused
from archiver.format import layout
from archiver.format.model import Record
from archiver.retention.plan import MOST, Plan, fingerprint
from archiver.retention.policy import REMOVE, REMOVE_DETAILS, Decision, Policy, decide, refuse_empty
from archiver.retention.trash import Move, Removed, bring_back, bring_pinned_back, put_away
from archiver.runs.details import without_details
from archiver.runs.graph import reached
from archiver.store import Store

State = tuple[Sequence[Record], Mapping[str, Sequence[str]]]
"""All records and the tags of each run."""


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
        freed=sum(freed) + sum(_record_bytes(record, actions[record.run]) for record in gone),
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
) -> Removed:
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
    bring_pinned_back(store, tags.keys() - {record.run for record in records})
    return put_away(store, [_move(one) for one in plan.removals], step=step)


def undelete(store: Store, run: str) -> Record:
    """Bring a pruned run back, or the details of one: its record becomes again what it was.

    Where nothing but details is gone meanwhile, the run comes back without them, and a warning says so. Returns the
    record. Raises RunNotFoundError when it is not in the trash (any more), IntegrityError when its record is damaged
    or other data that it needs is gone; nothing changes then.
    """
    record, whole = bring_back(store, run)
    if not whole:
        warnings.warn(f"run {run} is back without its details: they are gone from the store", stacklevel=3)
    return record


def _move(one: Decision) -> Move:
    return Move(one.run, None if one.action == REMOVE else partial(without_details, why=one.policy))


def _lost(record: Record, action: str) -> Record:
    """Return a record of what an action makes unreachable."""
    if action == REMOVE:
        return record
    return replace(record, tier1=None, inline=None, code=None)


def _own_bytes(record: Record) -> int:
    own = sum(ref.size for ref in (record.tier1, record.tier2) if ref is not None)
    whole = record.tier1 is not None or record.inline is not None
    return own + (record.size if whole else _record_bytes(record, REMOVE_DETAILS))


def _record_bytes(record: Record, action: str) -> int:
    """Return what goes of the record itself: all of it, or the details that stand in it."""
    if action == REMOVE:
        return record.size
    return 0 if record.inline_detail is None else record.detail_bytes


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
        sizes |= {
            entry.key: entry.size for area in layout.FRAMES for entry in store.list(area) if entry.key in code
        }
    return sizes
