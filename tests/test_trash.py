"""The trash: every caller that moves something there, with calls that fail and others that act in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest

from archiver.archive import Archive
from archiver.errors import IntegrityError, PolicyError, RunNotFoundError, StorageError
from archiver.format import layout
from archiver.health.verify import verify
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.retention.trash import Move, bring_back, held, put_away
from archiver.runs.records import load_record
from archiver.store import Store
from archiver.transfer.copy import apply_extras, plan_extras
from tests.faults import DiedError, FaultyStore
from tests.stores import MovedStore, PassingStore, SharedStore, fresh_store, interleaved, save, snapshot

Act = Callable[[Store], object]
OLD = Policy(keep_tags=["keep"])
DETAILS = Policy(keep_tags=["keep"], tiers=2)
BUNDLE = "safe"


def filled(store: Store) -> list[str]:
    """Save two runs that every caller takes, and one that stays; the first and the last share a tape. A bundle holds two."""
    runs = [
        save(store, "a", days=90, bars=40, strategies=100, tags=["t"]).run,
        save(store, "b", days=60).run,
        save(store, "b", bars=40, tags=["keep"]).run,
    ]
    Archive(store).bundle(runs[:2], BUNDLE)
    return runs


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    store = fresh_store()
    filled(store)
    return snapshot(store)


def made(objects: dict[str, bytes]) -> tuple[Store, list[str]]:
    store = fresh_store()
    for key, data in objects.items():
        store.put(key, data)
    return store, Archive(store).run_ids()


def oldest_first(store: Store) -> list[str]:
    return [record.run for record in reversed(Archive(store).records())]


def prune_runs(store: Store) -> object:
    archive = Archive(store)
    return archive.apply(archive.plan_prune(OLD), max_remove=1)


def prune_details(store: Store) -> object:
    archive = Archive(store)
    return archive.apply(archive.plan_prune(DETAILS), max_remove=1)


def delete_extra(store: Store) -> object:
    kept = Archive(store).records()[0]
    source = fresh_store_beside(kept.run, store.get(layout.record_key(kept.run)))
    plan = plan_extras(source, store, Archive(store).run_ids())
    return apply_extras(source, store, plan, max_remove=1)


def fresh_store_beside(run: str, record: bytes) -> Store:
    from archiver.store import open_store

    source = open_store(f"memory://beside-{run}")
    source.put(layout.record_key(run), record)
    return source


def bundle_remove(store: Store) -> object:
    bundles = Archive(store).bundles
    return bundles.apply_removal(bundles.plan_removal(BUNDLE))


CALLERS: dict[str, Act] = {
    "prune": prune_runs,
    "prune details": prune_details,
    "copy --delete-extra": delete_extra,
    "bundle --remove": bundle_remove,
}
CALLER = pytest.mark.parametrize("caller", CALLERS)


def whole(store: Store, run: str) -> bool:
    """Tell whether a run is there with all that it had."""
    archive = Archive(store)
    try:
        return archive.record(run).tier2 is not None and bool(archive.load_strategy("s0", run=run)["trades"])
    except RunNotFoundError:
        return False


def kept(store: Store, run: str) -> bool:
    """Tell whether a run is there with all that it had, or can be made so."""
    with suppress(RunNotFoundError):
        Archive(store).undelete(run)
    return whole(store, run)


@CALLER
@pytest.mark.parametrize("when", ["before", "midway", "after"])
@pytest.mark.parametrize("die", [False, True], ids=["raises", "dies"])
def test_a_removal_that_fails_at_any_call_loses_nothing_and_can_be_run_again(
    caller: str, when: str, die: bool, objects: dict[str, bytes]
) -> None:
    at = 0
    while True:
        store, _ = made(objects)
        runs = oldest_first(store)
        faulty = FaultyStore(store, at, die=die, when=when)
        with suppress(
            StorageError, IntegrityError, DiedError
        ):  # a bundle that cannot be read back is damaged
            CALLERS[caller](faulty)
        after = snapshot(store)
        assert all(after[key] == data for key, data in objects.items() if not key.startswith("runs/"))
        for run in runs:
            data = objects[layout.record_key(run)]
            assert data in (after.get(layout.record_key(run)), after.get(layout.trash_key(run)))
        assert after[layout.record_key(runs[2])] == objects[layout.record_key(runs[2])]
        assert Archive(store).verify(read_data=True).ok
        if faulty.failed:
            CALLERS[caller](store)
        for run in runs[:2]:
            assert not whole(store, run)
            assert Archive(store).undelete(run).id == run
        assert {key: snapshot(store)[key] for key in objects} == objects
        if not faulty.failed:
            assert held(store) == set()
            break
        at += 1
    assert at > 8


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


@pytest.mark.parametrize("when", ["before", "midway", "after"])
@pytest.mark.parametrize("expired", [True, False])
def test_a_repair_that_fails_at_any_call_loses_nothing(
    when: str, expired: bool, objects: dict[str, bytes]
) -> None:
    def repair(store: Store) -> None:
        verify(store, repair=True, expires=lambda _: expired)

    at = 0
    while True:
        store, _ = made(objects)
        details = [entry.key for entry in store.list(layout.TIER2)]
        store.delete(details[:1])
        faulty = FaultyStore(store, at, die=True, when=when)
        with suppress(DiedError):
            repair(faulty)
        repair(store)
        assert verify(store, read_data=True).ok
        assert collect(store, grace="7d", apply=True).objects == 0
        after = snapshot(store)
        assert set(objects.values()) - set(after.values()) <= {objects[details[0]]}
        if not faulty.failed:
            break
        at += 1
    assert at > 8


@CALLER
@pytest.mark.parametrize("act", ["pin", "gc", "undelete", "same"])
def test_whatever_others_do_meanwhile_nothing_is_lost(
    caller: str, act: str, objects: dict[str, bytes]
) -> None:
    at = 0
    while True:
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
        at += 1
    assert at > 8


def each_interleaving(
    objects: dict[str, bytes],
    first: Callable[[Store, list[str]], Act],
    second: Callable[[Store, list[str]], Act],
) -> Any:
    """Yield the store and its runs after two pieces of work at once, for every pair of calls at which they change over."""
    at = until = 0
    while True:
        store, _ = made(objects)
        runs = oldest_first(store)
        reached = interleaved(store, first(store, runs), second(store, runs), at, until)
        yield store, runs
        if not reached[0]:
            return
        at, until = (at, until + 1) if reached[1] else (at + 1, 0)


@CALLER
@pytest.mark.parametrize("order", [1, -1], ids=["pin first", "pin second"])
def test_a_pin_that_returned_holds_at_every_interleaving(
    caller: str, order: int, objects: dict[str, bytes]
) -> None:
    promised: list[bool] = []

    def pin(_: Store, runs: list[str]) -> Act:
        def act(store: Store) -> None:
            promised.append(False)
            with suppress(RunNotFoundError):
                Archive(store).tag(runs[0], "pinned")
                promised[-1] = True

        return act

    def remove(_: Store, __: list[str]) -> Act:
        def act(store: Store) -> None:
            with suppress(PolicyError):
                CALLERS[caller](store)

        return act

    for store, runs in each_interleaving(objects, *[pin, remove][::order]):
        collect(store, grace="0d", apply=True)
        assert Archive(store).verify().ok
        assert not promised[-1] or runs[0] in Archive(store).run_ids()
        assert not promised[-1] or kept(store, runs[0])
    assert promised.count(True) > 20


@pytest.mark.parametrize("order", [1, -1], ids=["pin first", "gc first"])
def test_a_pin_and_a_gc_without_any_grace_at_every_interleaving(
    order: int, objects: dict[str, bytes]
) -> None:
    """The run goes to the trash between the pin's look and its marker; then gc and the pin meet."""
    results: list[bool] = []

    def pin(_: Store, runs: list[str]) -> Act:
        def act(store: Store) -> None:
            removing = SharedStore(store, 2, lambda: prune_runs(removing.inner_most))
            removing.inner_most = store.inner if isinstance(store, SharedStore) else store  # type: ignore[attr-defined]
            results.append(False)
            with suppress(RunNotFoundError):
                Archive(removing).tag(runs[0], "pinned")
                results[-1] = True

        return act

    def free(_: Store, __: list[str]) -> Act:
        return lambda store: collect(store, grace="0d", apply=True)

    for store, runs in each_interleaving(objects, *[pin, free][::order]):
        collect(store, grace="0d", apply=True)
        assert Archive(store).verify().ok
        assert whole(store, runs[0]) or not results[-1]
    assert results.count(True) > 20


@pytest.mark.parametrize("order", [1, -1], ids=["undelete first", "gc first"])
@pytest.mark.parametrize("caller", ["prune", "prune details", "bundle --remove"])
def test_an_undelete_and_a_gc_without_any_grace_at_every_interleaving(
    caller: str, order: int, objects: dict[str, bytes]
) -> None:
    store, _ = made(objects)
    CALLERS[caller](store)
    removed = snapshot(store)
    first = min(layout.run_of_record(entry.key) or "" for entry in store.list(layout.TRASH))
    back: list[bool] = []

    def undelete(_: Store, __: list[str]) -> Act:
        def act(store: Store) -> None:
            back.append(False)
            with suppress(RunNotFoundError, IntegrityError):
                bring_back(store, first)
                back[-1] = True

        return act

    def free(_: Store, __: list[str]) -> Act:
        return lambda store: collect(store, grace="0d", apply=True)

    for store, _ in each_interleaving(removed, *[undelete, free][::order]):
        collect(store, grace="0d", apply=True)
        assert Archive(store).verify().ok
        assert not back[-1] or whole(store, first)
    assert back.count(True) > 20


@pytest.mark.parametrize("order", [1, -1], ids=["prune first", "gc first"])
def test_a_prune_of_runs_without_details_and_a_gc_at_every_interleaving(
    order: int, objects: dict[str, bytes]
) -> None:
    """Details whose grace is over are freed, while the run itself goes to the trash."""
    store, _ = made(objects)
    prune_details(store)
    reduced = snapshot(store)

    def prune(_: Store, __: list[str]) -> Act:
        return prune_runs

    def free(_: Store, __: list[str]) -> Act:
        return lambda store: collect(store, grace="0d", apply=True)

    for store, runs in each_interleaving(reduced, *[prune, free][::order]):
        archive = Archive(store)
        assert archive.verify().ok
        for run in archive.trash():
            archive.undelete(run.id)
        assert archive.verify().ok
        assert runs[2] in archive.run_ids()


def test_what_is_pinned_in_the_trash_never_expires() -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    prune_details(store)
    Archive(store).tag(runs[0], "pinned")
    store.move(days=400)
    dry = collect(store)
    done = collect(store, apply=True)
    assert dry.kinds["trash"].objects == done.kinds["trash"].objects == 1
    assert Archive(store).undelete(runs[0]).detailed == 1
    with pytest.raises(RunNotFoundError):
        Archive(store).undelete(runs[1])
    assert Archive(store).verify(read_data=True).ok


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


def test_a_stale_claim_goes_with_its_grace() -> None:
    store = MovedStore(fresh_store())
    runs = filled(store)
    prune_runs(store)
    store.put(layout.new_claim_key(), f"{runs[0]}\nnonsense\n\xff".encode())
    assert held(store) == {runs[0]}
    store.move(days=8)
    assert collect(store, apply=True).kinds["trash"].objects == 1
    assert held(store) == set()
    assert collect(store, apply=True).kinds["trash"].objects == 1


@pytest.mark.parametrize("order", [1, -1], ids=["removal first", "gc first"])
def test_a_pin_a_removal_and_a_gc_at_once(order: int, objects: dict[str, bytes]) -> None:
    """The removal looks for the pinned run in the trash just when gc has deleted it there, and puts it back later."""
    pins: list[bool] = []

    def remove(plain: Store, runs: list[str]) -> Act:
        def pin() -> None:
            pins.append(False)
            with suppress(RunNotFoundError):
                Archive(plain).tag(runs[0], "pinned")
                pins[-1] = True

        # After its copy is in the trash, before the record goes.
        return lambda store: put_away(SharedStore(store, 2, pin), [Move(runs[0])])

    def free(_: Store, __: list[str]) -> Act:
        return lambda store: collect(store, grace="0d", apply=True)

    for store, runs in each_interleaving(objects, *[remove, free][::order]):
        assert Archive(store).verify().ok
        assert not pins[-1] or whole(store, runs[0])
    assert pins.count(True) > 50


def test_gc_brings_back_what_a_removal_could_not_find(objects: dict[str, bytes]) -> None:
    """A removal looks for the run, pinned meanwhile, in the trash just after gc deleted it, and before gc puts it back."""
    store, _ = made(objects)
    run = oldest_first(store)[0]
    record, trashed = layout.record_key(run), layout.trash_key(run)
    store.put(trashed, store.get(record))
    looked: list[str] = []

    class Meeting(PassingStore):
        def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
            wanted = list(keys)
            if trashed not in wanted or looked:
                return super().delete(wanted)
            Archive(store).tag(run, "pinned")
            store.delete([record])
            failed = super().delete(wanted)
            with pytest.raises(RunNotFoundError):
                bring_back(store, run)
            looked.append(run)
            return failed

    collect(Meeting(store), grace="0d", apply=True)
    assert looked == [run]
    assert whole(store, run)
    assert Archive(store).trash() == []
    assert Archive(store).verify(read_data=True).ok


@pytest.mark.parametrize("days", [0, 8])
def test_gc_leaves_a_run_alone_that_is_in_neither_place_for_a_moment(days: int) -> None:
    """A removal deletes the record after somebody brought the run back, and sees only then that its copy is gone."""
    store = MovedStore(fresh_store())
    runs = filled(store)
    store.move(days=days)

    class Meeting(PassingStore):
        met = False

        def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
            wanted = list(keys)
            if layout.record_key(runs[0]) not in wanted or self.met:
                return super().delete(wanted)
            self.met = True
            bring_back(store, runs[0])
            failed = super().delete(wanted)
            assert not any(store.stat(key) for key in (layout.record_key(runs[0]), layout.trash_key(runs[0])))
            collect(store, grace="7d" if days else "0d", apply=True)
            return failed

    meeting = Meeting(store)
    put_away(meeting, [Move(runs[0])])
    assert meeting.met
    assert whole(store, runs[0])
    assert Archive(store).verify(read_data=True).ok
