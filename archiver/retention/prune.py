"""Prune: take runs out of sight by a plan, and bring them back. Data is never touched here; gc frees it later."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from archiver.base.collector import collector_paused
from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.retention import MOST
from archiver.retention.decisions import ACTIONS, KEEP, REMOVE, Decision, Tags, decide, refuse_empty
from archiver.retention.plan import Frees, Plan, fingerprint
from archiver.retention.policy import Policy
from archiver.retention.trash import Move, Removed, bring_back, bring_pinned_back, put_away
from archiver.runs.details import without_details
from archiver.runs.outlines import Outlines, Reach
from archiver.store import Store

State = tuple[Outlines, Tags]
"""All runs and the tags of each."""


def plan_prune(
    store: Store, state: State, policies: Sequence[Policy], now: datetime, *, allow_empty: bool = False
) -> Plan:
    """Plan what policies remove. Nothing is changed.

    Arguments:
        store: is asked for the sizes of captured code, where removed runs have some.
        state: all runs, and the tags of each.
        policies: what to keep.
        now: the moment that ages count to.
        allow_empty: let a policy keep nothing.

    Raises PolicyError for a policy that keeps nothing, or a metric that no run has.
    """
    with collector_paused():
        return _plan(store, state, policies, now, allow_empty)


def _plan(store: Store, state: State, policies: Sequence[Policy], now: datetime, allow_empty: bool) -> Plan:
    import numpy as np

    runs, tags = state
    decisions = decide(runs, tags, policies, now)
    if not allow_empty:
        refuse_empty(decisions, policies)
    # Of what many runs share once: a reach and what becomes of it.
    ways, of_run = np.unique(runs.reach * len(ACTIONS) + decisions.actions, return_inverse=True)
    done = [(runs.reaches[way // len(ACTIONS)], ACTIONS[way % len(ACTIONS)]) for way in ways.tolist()]
    sizes = _sizes(store, _each(_lost(reach, action) for reach, action in done if action != KEEP))
    stays = {ref.key for ref in _each(_left(reach, action) for reach, action in done) if ref.key in sizes}
    freed = [amount for key, amount in sizes.items() if key not in stays]
    gone = decisions.removing
    own = np.array([_own(reach, action) for reach, action in done], np.int64)
    whole = decisions.actions[gone] == ACTIONS.index(REMOVE)
    records = np.where(whole, runs.size[gone], runs.inline[gone])
    return Plan(
        url=store.url,
        now=now,
        policies=tuple(policies),
        decisions=decisions,
        fingerprint=fingerprint(runs, tags),
        frees=Frees(runs, gone, own[of_run[gone]] + records),
        freed=sum(freed) + int(records.sum()),
        freed_objects=len(freed) + int(whole.sum()),
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
        read: reads all runs and tags anew.
        max_remove: which part of the runs may lose something at most, 0 to 1.
        step: is told how many runs were dealt with, again and again.

    Returns what was done. Raises PolicyError for a plan of another archive, one that no longer holds, or one that
    removes too much, StorageError when the store fails as a whole. What failed for single runs is returned.
    """
    plan.check_url(store.url)
    plan.check_share(max_remove)
    runs, tags = read()
    with collector_paused():
        plan.check(fingerprint(runs, tags), decide(runs, tags, plan.policies, plan.now))
    pruned = [run for run, row in zip(tags, runs.rows_of(tags).tolist(), strict=True) if row < 0]
    bring_pinned_back(store, set(pruned))
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


Refs = tuple[Ref, ...]


def _lost(reach: Reach, action: str) -> tuple[Refs, ...]:
    """Return what an action makes unreachable."""
    return tuple(reach) if action == REMOVE else (reach.details,)


def _left(reach: Reach, action: str) -> tuple[Refs, ...]:
    """Return what a run reaches after an action."""
    if action == REMOVE:
        return ()
    return tuple(reach) if action == KEEP else (reach.tier1, reach.code)


def _each(some: Iterable[tuple[Refs, ...]]) -> Iterator[Ref]:
    """Yield what runs reach; what one shares with others as a whole comes once."""
    seen: set[int] = set()
    for parts in some:
        for refs in parts:
            # The outlines are there all the time, so no other tuple gets the same id.
            if id(refs) not in seen:
                seen.add(id(refs))
                yield from refs


def _own(reach: Reach, action: str) -> int:
    """Return the bytes of objects of a run's own that go."""
    lost = (ref for refs in _lost(reach, action) for ref in refs) if action != KEEP else ()
    return sum(ref.size for ref in lost if not ref.key.startswith(layout.SHARED))


def _sizes(store: Store, refs: Iterable[Ref]) -> dict[str, int]:
    """Return the stored size of each of these objects; of code, as a listing shows it."""
    sizes: dict[str, int] = {}
    code: set[str] = set()
    for ref in refs:
        if ref.plain:
            code.add(ref.key)
        else:
            sizes[ref.key] = ref.size
    if code:
        sizes |= {
            entry.key: entry.size for area in layout.FRAMES for entry in store.list(area) if entry.key in code
        }
    return sizes
