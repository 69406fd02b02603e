"""The trash: every caller that moves something there, with calls that fail and others that act in between."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from itertools import count

import pytest

from archiver.archive import Archive
from archiver.errors import IntegrityError, PolicyError, RunNotFoundError
from archiver.format import layout
from archiver.health.verify import verify
from archiver.retention.gc import collect
from archiver.retention.trash import Move, bring_back, held, put_away
from archiver.runs.records import load_record
from archiver.store import Store
from tests.faults import CALLS, DEATH, FAULT, failing
from tests.removals import (
    CALLER,
    CALLERS,
    Act,
    filled,
    filled_objects,
    kept,
    made,
    oldest_first,
    prune_details,
    prune_runs,
    whole,
)
from tests.stores import THINNED, MovedStore, SharedStore, fresh_store, snapshot

pytestmark = pytest.mark.usefixtures("details_apart")


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    return filled_objects()


@CALLER
@FAULT
@CALLS
def test_a_removal_that_fails_at_any_call_loses_nothing_and_can_be_run_again(
    caller: str, die: bool, when: str, every: int, objects: dict[str, bytes]
) -> None:
    runs = oldest_first(fresh_store(objects))

    def remove(store: Store) -> None:
        with suppress(IntegrityError):  # a bundle that cannot be read back is damaged
            CALLERS[caller](store)

    for store, failed in failing(lambda: fresh_store(objects), remove, die=die, when=when, every=every):
        after = snapshot(store)
        assert all(after[key] == data for key, data in objects.items() if not key.startswith("runs/"))
        for run in runs:
            data = objects[layout.record_key(run)]
            assert data in (after.get(layout.record_key(run)), after.get(layout.trash_key(run)))
        assert after[layout.record_key(runs[2])] == objects[layout.record_key(runs[2])]
        assert Archive(store).verify(read_data=True).ok
        if failed:
            CALLERS[caller](store)
        for run in runs[:2]:
            assert not whole(store, run)
            assert Archive(store).undelete(run).id == run
        assert {key: snapshot(store)[key] for key in objects} == objects
        if not failed:
            assert held(store, datetime.min.replace(tzinfo=UTC)) == set()


@CALLER
def test_the_grace_begins_when_a_run_goes_whatever_the_trash_held_before(caller: str) -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    before = {run: store.get(layout.record_key(run)) for run in runs}
    # Details went long ago, and came back by another way: an old record lies in the trash yet.
    for run in runs[:2]:
        store.put(layout.trash_key(run), before[run])
    store.move(days=30)
    CALLERS[caller](store)
    store.move(days=6)
    collect(store, apply=True)
    for run in runs[:2]:
        bring_back(store, run)
        assert store.get(layout.record_key(run)) == before[run]
    CALLERS[caller](store)
    store.move(days=8)
    assert collect(store, apply=True).kinds["trash"].objects == 2


@pytest.mark.parametrize("caller", ["prune", "copy --delete-extra"])
@pytest.mark.parametrize("first", ["prune details", "bundle --remove"])
def test_details_that_went_before_stay_as_long_as_the_run(first: str, caller: str) -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    before = {run: store.get(layout.record_key(run)) for run in runs}
    CALLERS[first](store)
    store.move(days=30)
    CALLERS[caller](store)
    for days in (0, 6):
        store.move(days=days)
        collect(store, apply=True)
    for run in runs[:2]:
        assert Archive(store).undelete(run).detailed == 1
        assert store.get(layout.record_key(run)) == before[run]
    assert Archive(store).verify(read_data=True).ok


def test_repair_moves_as_a_prune_does() -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    data = store.get(layout.record_key(runs[0]))
    detail = load_record(store, runs[0]).tier2
    assert detail is not None
    store.put(layout.trash_key(runs[0]), data)
    store.move(days=30)
    kept = store.get(detail.key)
    store.delete([detail.key])
    Archive(store).tag(runs[0], "pinned")  # nobody is asked: the details are gone already
    report = verify(store, repair=True, expires=lambda _: True)
    assert report.reduced == [runs[0]]
    assert load_record(store, runs[0]).detail_removed == "a rule of the bucket"
    Archive(store).untag(runs[0], "pinned")
    store.put(detail.key, kept)  # an old version of it, say
    store.move(days=6)
    collect(store, apply=True)
    Archive(store).undelete(runs[0])
    assert store.get(layout.record_key(runs[0])) == data


@DEATH
@pytest.mark.parametrize("expired", [True, False])
@CALLS
def test_a_repair_that_fails_at_any_call_loses_nothing(
    when: str, expired: bool, every: int, objects: dict[str, bytes]
) -> None:
    lost = min(key for key in objects if key.startswith(layout.TIER2))
    damaged = {key: data for key, data in objects.items() if key != lost}

    def repair(store: Store) -> None:
        verify(store, repair=True, expires=lambda _: expired)

    for store, _ in failing(lambda: fresh_store(damaged), repair, when=when, every=every):
        repair(store)
        assert verify(store, read_data=True).ok
        assert collect(store, grace="7d", apply=True).objects == 0
        after = snapshot(store)
        assert set(objects.values()) - set(after.values()) <= {objects[lost]}


@CALLER
@pytest.mark.parametrize("act", ["pin", "gc", "undelete", "same"])
@pytest.mark.parametrize("every", THINNED)
def test_whatever_others_do_meanwhile_nothing_is_lost(
    caller: str, act: str, every: int, objects: dict[str, bytes]
) -> None:
    for at in count([*CALLERS].index(caller) * 3 % every, every):
        store, _ = made(objects)
        runs = oldest_first(store)
        promised: list[str] = []

        def other(store: Store = store, runs: list[str] = runs, promised: list[str] = promised) -> None:
            if act == "pin":
                with suppress(RunNotFoundError):
                    Archive(store).tag(runs[0], "pinned")
                    promised.append(runs[0])
            elif act == "gc":
                collect(store, apply=True)
            elif act == "undelete":
                with suppress(RunNotFoundError):
                    Archive(store).undelete(runs[0])
            else:
                with suppress(PolicyError):
                    CALLERS[caller](store)

        shared = SharedStore(store, at, other)
        with suppress(PolicyError):  # stale, say
            CALLERS[caller](shared)
        if act == "pin":
            collect(store, grace="0d", apply=True)
        assert Archive(store).verify(read_data=True).ok
        for run in promised:
            assert run in Archive(store).run_ids()
            assert kept(store, run)
        for run in runs[:2] if act != "pin" else ():
            with suppress(RunNotFoundError):
                Archive(store).undelete(run)
            assert whole(store, run)
        if shared.calls <= at:
            break
    assert at > 8


def test_what_is_pinned_in_the_trash_never_expires() -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    prune_details(store)
    Archive(store).tag(runs[0], "pinned")
    store.move(days=400)
    assert freed(store) == {"trash": 1, "tier2": 1}
    assert Archive(store).undelete(runs[0]).detailed == 1
    with pytest.raises(RunNotFoundError):
        Archive(store).undelete(runs[1])
    assert Archive(store).verify(read_data=True).ok


def test_a_dry_run_does_not_take_tags_that_hold_a_run_in_the_trash_for_those_of_a_run_that_is_gone() -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    put_away(store, [Move(runs[0])])
    store.put(layout.tag_key("pinned", runs[0]), b"")
    store.move(days=8)
    assert freed(store) == {}


def test_a_prune_that_died_before_it_looked_for_pins_is_ended_by_the_next() -> None:
    store = fresh_store()
    runs = filled(store)
    put_away(store, [Move(runs[0])])
    store.put(layout.tag_key("pinned", runs[0]), b"")
    prune_runs(store)
    assert whole(store, runs[0])


def test_a_tag_on_a_run_that_goes_at_this_moment_is_refused(objects: dict[str, bytes]) -> None:
    store, _ = made(objects)
    run = oldest_first(store)[0]
    calls = SharedStore(store, 10**6, lambda: None)
    Archive(calls).tag(run, "nightly")
    refused = 0
    for at in range(calls.calls):
        store, _ = made(objects)
        shared = SharedStore(store, at, lambda store=store: prune_runs(store))  # type: ignore[misc]
        try:
            Archive(shared).tag(run, "nightly")
        except RunNotFoundError as error:
            refused += 1
            assert "undelete" in str(error)  # noqa: PT017 - it may be raised, or not
    assert refused >= calls.calls - 1


def test_a_claim_whose_owner_died_counts_until_its_grace_is_over() -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    prune_runs(store)
    store.move(days=4)
    store.put(layout.claim_key(), f"{runs[0]}\nnonsense\n\xff".encode())
    store.move(days=4)
    assert freed(store) == {"trash": 1, "tier2": 1}
    store.move(days=4)
    assert freed(store) == {"trash": 1, "tier1": 1, "tier2": 1, "leftovers": 1}


@pytest.mark.parametrize("hours", [0.5, 1.5])
def test_without_any_grace_a_claim_counts_for_an_hour(hours: float) -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    prune_runs(store)
    store.put(layout.claim_key(), runs[0].encode())
    store.move(hours=hours)
    assert freed(store, grace="0d")["trash"] == (1 if hours < 1 else 2)


def freed(store: Store, grace: str = "7d") -> dict[str, int]:
    """Free what can be, and see that a dry run said so, and that nothing is left to a second time."""
    dry, done, again = (collect(store, grace=grace, apply=apply) for apply in (False, True, True))
    assert again.objects == 0
    told, counts = ({kind: one.objects for kind, one in each.kinds.items()} for each in (dry, done))
    assert told == counts
    return {kind: objects for kind, objects in counts.items() if objects}


@CALLER
@DEATH
@CALLS
def test_whatever_a_removal_that_died_left_goes_at_once_when_its_grace_is_over(
    caller: str, when: str, every: int, objects: dict[str, bytes]
) -> None:
    deaths(objects, CALLERS[caller], when, every)


@pytest.mark.parametrize("caller", ["prune", "prune details"])
@DEATH
def test_whatever_an_undelete_that_died_left_goes_at_once_when_its_grace_is_over(
    caller: str, when: str, objects: dict[str, bytes]
) -> None:
    store, _ = made(objects)
    run = oldest_first(store)[0]
    CALLERS[caller](store)
    deaths(snapshot(store), lambda store: bring_back(store, run), when)


def deaths(objects: dict[str, bytes], act: Act, when: str, every: int = 1) -> None:
    """Have somebody die at each of their calls, and free what they left when its grace is over."""
    for store, _ in failing(lambda: MovedStore(fresh_store(objects)), act, when=when, every=every):
        store.move(days=8)
        freed(store)
        assert Archive(store).verify().ok
