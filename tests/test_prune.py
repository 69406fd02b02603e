"""Prune and its undo: what goes, what comes back, and what happens when calls fail or others act in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import IntegrityError, NotKeptError, PolicyError, RunNotFoundError, StorageError
from archiver.format import layout
from archiver.format.records import encode_record
from archiver.retention.policy import Policy
from archiver.runs.records import load_record
from archiver.store import Store, open_store
from tests.faults import CALLS, FAULT, failing, flip
from tests.stores import (
    THINNED,
    Frozen,
    PassingStore,
    SharedStore,
    StubbornStore,
    fresh_store,
    of_format_3,
    save,
    snapshot,
)

pytestmark = pytest.mark.usefixtures("details_apart")

OLD = Policy(keep_within="30d")
DETAILS = Policy(keep_within="30d", tiers=2)


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return open_store(tmp_path / "archive")


def filled(store: Store) -> list[str]:
    """Save two runs that policies remove, and two that they keep. Return their ids."""
    tape = {"bars": 60, "code": b"print()"}
    ages = (90, 60, 10, 0)
    return [save(store, f"u{at % 2}", days=days, tags=["t"], **tape).run for at, days in enumerate(ages)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    """Give what `filled` saves, once for all points at which something may fail."""
    store = fresh_store()
    runs = filled(store)
    return Frozen(snapshot(store), runs)


def ids(archive: Archive) -> set[str]:
    return {run.id for run in archive.runs()}


def data_of(store: Store) -> dict[str, bytes]:
    return {key: data for key, data in snapshot(store).items() if not key.startswith(("runs/", "trash/"))}


def test_a_plan_changes_nothing_and_applied_moves_records_only(store: Store) -> None:
    runs = filled(store)
    archive = Archive(store)
    before = snapshot(store)

    plan = archive.plan_prune(OLD)
    assert snapshot(store) == before
    assert {one.run: one.reasons for one in plan.removals} == dict.fromkeys(runs[:2], ("older than 30d",))
    assert {one.run for one in plan.keeps} == set(runs[2:])
    assert plan.share == 0.5
    shown = str(plan)
    assert all(run in shown for run in runs[:2])
    assert "universe u0: of 2 runs 1 stay whole, 1 go" in shown
    assert "shared objects" in shown

    done = archive.apply(plan)
    assert (sorted(done.removed), done.reduced, done.spared, done.failed) == (sorted(runs[:2]), [], [], {})
    assert ids(archive) == ids(Archive(store)) == set(runs[2:])
    assert {run.id for run in archive.trash()} == set(runs[:2])
    expected = {
        key.replace("runs/", "trash/") if layout.run_of_record(key) in runs[:2] else key: data
        for key, data in before.items()
    }
    assert snapshot(store) == expected

    for run in runs[:2]:
        assert archive.undelete(run[:-1]).tags == ("t",)
    assert snapshot(store) == before
    assert ids(archive) == set(runs)
    assert archive.verify(read_data=True).ok


def test_details_go_and_metrics_stay(store: Store) -> None:
    runs = filled(store)
    archive = Archive(store)
    before = snapshot(store)
    metrics = archive.load_metrics(history=True)
    data = data_of(store)

    done = archive.apply(archive.plan_prune(DETAILS))
    assert sorted(done.reduced) == sorted(runs[:2])
    assert not done.removed
    assert archive.load_metrics(history=True).equals(metrics)
    assert data_of(store) == data
    reduced = load_record(store, runs[0])
    assert (reduced.tier2, reduced.tapes, reduced.detail_removed) == (None, (), "keep-within 30d, tiers 2")
    assert reduced.size != len(before[layout.record_key(runs[0])])
    with pytest.raises(NotKeptError, match="was removed by keep-within 30d, tiers 2"):
        archive.load_strategy("s0", run=runs[0])
    assert archive.detailed_strategies(run=runs[0]) == []
    assert archive.plan_prune(DETAILS).removals == []

    archive.undelete(runs[0])
    archive.undelete(runs[1])
    assert snapshot(store) == before
    assert archive.load_strategy("s0", run=runs[0])["trades"]


def test_a_run_without_details_is_pruned_and_comes_back_with_them(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    before = snapshot(local)
    archive.apply(archive.plan_prune(DETAILS))
    archive.apply(archive.plan_prune(OLD))
    assert ids(archive) == set(runs[2:])
    archive.undelete(runs[0])
    archive.undelete(runs[1])
    assert snapshot(local) == before


def test_frees_what_it_says(local: Store) -> None:
    filled(local)
    save(local, "alone", days=80, bars=80, strategies=100, code=b"alone()")
    archive = Archive(local)
    plan = archive.plan_prune(OLD)
    assert sum(plan.frees.values()) < plan.freed  # the tape and the code of one are its own
    assert plan.shared == 2
    archive.apply(plan, max_remove=1)
    found = archive.gc("0h", apply=True)
    tags = found.kinds["tags"]
    assert (found.bytes - tags.bytes, found.objects - tags.objects) == (plan.freed, plan.freed_objects)


def test_pinned_protects_from_every_policy(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    archive.tag(runs[0], "pinned")
    for policy in (OLD, DETAILS, Policy(keep_last=0)):
        plan = archive.plan_prune(policy, allow_empty=True)
        assert runs[0] not in {one.run for one in plan.removals}


def test_refuses_to_remove_more_than_allowed(local: Store) -> None:
    filled(local)
    archive = Archive(local)
    plan = archive.plan_prune(Policy(keep_within="5d"))
    before = snapshot(local)
    with pytest.raises(PolicyError, match=r"75% of the runs \(3 of 4\).*--max-remove 76%"):
        archive.apply(plan)
    assert snapshot(local) == before
    for wrong in ("50%", 80, -0.1, True, None):
        with pytest.raises(PolicyError, match="share of the runs, 0 to 1"):
            archive.apply(plan, max_remove=wrong)  # type: ignore[arg-type]
    archive.apply(plan, max_remove=0.75)
    assert len(archive.runs()) == 1


def test_refuses_a_plan_that_no_longer_holds(local: Store, tmp_path: Path) -> None:
    runs = filled(local)
    archive = Archive(local)
    plan = archive.plan_prune(OLD)
    archive.tag(runs[0], "pinned")
    before = snapshot(local)
    with pytest.raises(PolicyError, match=rf"stale: run {runs[0]} is now to keep \(pinned\)"):
        archive.apply(plan)
    assert snapshot(local) == before
    archive.untag(runs[0], "pinned")
    archive.apply(archive.plan_prune(OLD))
    with pytest.raises(PolicyError, match="is gone already"):
        archive.apply(plan)
    other = open_store(tmp_path / "other")
    filled(other)
    with pytest.raises(PolicyError, match="the plan is for"):
        Archive(other).apply(plan)


def test_a_run_saved_meanwhile_does_no_harm(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    plan = archive.plan_prune(OLD)
    new = save(local, days=300).run
    archive.apply(plan)
    assert ids(archive) == {*runs[2:], new}


def test_configured_policies_count_where_none_is_given(local: Store) -> None:
    runs = filled(local)
    with pytest.raises(PolicyError, match="no policy"):
        Archive(local).plan_prune()
    with pytest.raises(PolicyError, match="is no policy"):
        Archive(local).plan_prune([OLD])  # type: ignore[arg-type]
    archive = Archive(
        local, policies=[{"keep_within": "30d"}, {"keep_within": "1d", "tiers": 2, "name": "day"}]
    )
    plan = archive.plan_prune()
    assert {one.run: (one.action, one.policy) for one in plan.removals} == {
        runs[0]: ("remove", "keep-within 30d"),
        runs[1]: ("remove", "keep-within 30d"),
        runs[2]: ("remove details", "day"),
    }
    assert plan.document()["removals"][0]["reasons"]


def test_ages_count_by_the_clock_of_the_store(local: Store) -> None:
    from tests.stores import MovedStore

    runs = filled(local)
    moved = MovedStore(local)
    moved.move(days=25)
    plan = Archive(moved).plan_prune(OLD)
    assert {one.run for one in plan.removals} == set(runs[:3])
    assert plan.now - local.now() > timedelta(days=24)


def test_undelete_refuses_what_cannot_come_back_whole(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    archive.apply(archive.plan_prune(OLD))
    with pytest.raises(RunNotFoundError, match="not in the trash"):
        archive.undelete(runs[3])
    flip(local, layout.trash_key(runs[0]))
    before = snapshot(local)
    with pytest.raises(IntegrityError, match=rf"trash/{runs[0]}"):
        archive.undelete(runs[0])
    assert snapshot(local) == before
    local.delete([entry.key for entry in local.list(layout.CODE)])
    with pytest.raises(IntegrityError, match="cannot be brought back whole"):
        archive.undelete(runs[1])
    assert runs[1] not in ids(archive)


def test_a_run_whose_details_are_gone_comes_back_without_them(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    archive.apply(archive.plan_prune(OLD))
    local.delete([layout.tier2_key("u1", runs[1])])
    with pytest.warns(UserWarning, match=f"{runs[1]} is back without its details"):
        assert archive.undelete(runs[1]).detailed == 0
    assert archive.load_metrics(run=runs[1]).num_rows == 1
    with pytest.raises(NotKeptError, match="was removed by something else than archiver"):
        archive.load_strategy("s0", run=runs[1])
    assert archive.verify(read_data=True).ok
    assert {run.id for run in archive.trash()} == {runs[0]}


def test_details_that_are_gone_do_not_come_back_but_the_metrics_stay(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    archive.apply(archive.plan_prune(DETAILS))
    local.delete([layout.tier2_key("u1", runs[1])])
    before = local.get(layout.record_key(runs[1]))
    with pytest.raises(IntegrityError, match=r"details of run .* are gone"):
        archive.undelete(runs[1])
    assert local.get(layout.record_key(runs[1])) == before


@pytest.mark.parametrize("lost", [layout.TIER2, layout.CODE], ids=["details", "code"])
def test_a_pin_brings_back_what_is_left_of_a_run(local: Store, lost: str) -> None:
    runs = filled(local)
    local.delete([entry.key for entry in local.list(lost)])
    trashed = layout.trash_key(runs[1])

    class Pinning(PassingStore):
        def put(self, key: str, data: bytes, *, create: bool = False) -> None:
            super().put(key, data, create=create)
            if key == trashed:
                for run in runs[:2]:
                    super().put(layout.tag_key("pinned", run), b"")

    archive = Archive(Pinning(local))
    done = archive.apply(archive.plan_prune(OLD))
    assert (sorted(done.spared), done.failed) == (sorted(runs[:2]), {})
    assert ids(Archive(local)) == set(runs)


def test_a_pinned_run_that_cannot_come_back_is_named(local: Store) -> None:
    runs = filled(local)
    trashed = layout.trash_key(runs[1])

    class Failing(PassingStore):
        def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
            wanted = list(keys)
            failed = super().delete(wanted)
            if layout.record_key(runs[1]) in wanted:
                super().put(layout.tag_key("pinned", runs[1]), b"")
                flip(self.inner, trashed)
            return failed

    archive = Archive(Failing(local))
    done = archive.apply(archive.plan_prune(OLD))
    assert "pinned meanwhile" in str(done.failed[runs[1]])
    assert sorted(done.removed) == sorted(runs[:2])


def test_a_damaged_record_aborts_the_plan_and_is_named(local: Store) -> None:
    runs = filled(local)
    key = layout.record_key(runs[3])
    flip(local, key)
    with pytest.raises(IntegrityError, match=key):
        Archive(local).plan_prune(OLD)


def test_a_newer_record_aborts_the_plan(local: Store) -> None:
    runs = filled(local)
    key = layout.record_key(runs[3])
    local.put(key, of_format_3(local.get(key)))
    with pytest.raises(archiver.FormatError, match=key):
        Archive(local).plan_prune(OLD)


def test_what_the_store_refuses_is_reported_and_the_rest_goes_on(local: Store) -> None:
    runs = filled(local)
    stubborn = StubbornStore(local, lambda key: key == layout.record_key(runs[0]))
    archive = Archive(stubborn)
    done = archive.apply(archive.plan_prune(OLD))
    assert done.removed == [runs[1]]
    assert list(done.failed) == [runs[0]]
    assert ids(archive) == {runs[0], *runs[2:]}
    again = Archive(local).apply(Archive(local).plan_prune(OLD))
    assert again.removed == [runs[0]]


@pytest.mark.parametrize("policy", [OLD, DETAILS], ids=["runs", "details"])
@FAULT
@CALLS
def test_a_prune_that_fails_at_any_call_loses_nothing_and_can_be_run_again(
    policy: Policy, die: bool, when: str, every: int, frozen: Frozen
) -> None:
    runs = frozen.runs
    whole = {run: frozen.objects[layout.record_key(run)] for run in runs}
    data = data_of(fresh_store(frozen.objects))

    def prune(store: Store) -> None:
        archive = Archive(store)
        archive.apply(archive.plan_prune(policy))

    for store, _ in failing(lambda: fresh_store(frozen.objects), prune, die=die, when=when, every=every):
        assert data_of(store).items() >= data.items()
        for run in runs[2:]:
            assert store.get(layout.record_key(run)) == whole[run]
        for run in runs[:2]:
            places = [layout.record_key(run), layout.trash_key(run)]
            assert whole[run] in [store.get(key) for key in places if store.stat(key)]
        fresh = Archive(store)
        assert fresh.verify(read_data=True).ok
        fresh.apply(fresh.plan_prune(policy))
        assert [one.action for one in fresh.plan_prune(policy).decisions].count("keep") == len(fresh.runs())
        for run in runs[:2]:
            fresh.undelete(run)
        assert {run: store.get(layout.record_key(run)) for run in runs} == whole


@pytest.mark.parametrize("policy", [OLD, DETAILS], ids=["runs", "details"])
def test_an_undelete_that_dies_at_any_call_loses_nothing_and_can_be_run_again(
    policy: Policy, frozen: Frozen
) -> None:
    pruned, runs = fresh_store(frozen.objects), frozen.runs
    Archive(pruned).apply(Archive(pruned).plan_prune(policy))
    objects = snapshot(pruned)
    for store, _ in failing(lambda: fresh_store(objects), lambda store: Archive(store).undelete(runs[0])):
        fresh = Archive(store)
        assert fresh.verify().ok
        if any(run.id == runs[0] for run in fresh.trash()):
            fresh.undelete(runs[0])
        fresh.undelete(runs[1])
        assert snapshot(store) == frozen.objects


@pytest.mark.parametrize("policy", [OLD, DETAILS], ids=["runs", "details"])
@pytest.mark.parametrize("act", ["prune", "prune all", "undelete", "pin", "save", "load"])
@pytest.mark.parametrize("every", THINNED)
def test_whatever_others_do_during_a_prune_nothing_is_lost(
    policy: Policy, act: str, every: int, frozen: Frozen
) -> None:
    for at in count(len(act) % every, every):
        store, runs = fresh_store(frozen.objects), frozen.runs
        whole = {run: store.get(layout.record_key(run)) for run in runs}
        saved = []

        def other(store: Store = store, runs: Sequence[str] = runs, saved: list[str] = saved) -> None:
            archive = Archive(store)
            if act.startswith("prune"):
                archive.apply(archive.plan_prune(policy if act == "prune" else OLD))
            elif act == "undelete":
                for run in runs[:2]:
                    if store.stat(layout.trash_key(run)) is not None:
                        archive.undelete(run)
            elif act == "pin":
                if store.stat(layout.record_key(runs[0])) is not None:
                    archive.tag(runs[0], "pinned")
                    saved.append(runs[0])
            elif act == "save":
                saved.append(save(store).run)
            else:
                for run in archive.runs():
                    archive.load_metrics(run=run.id)

        shared = SharedStore(store, at, other)
        try:
            archive = Archive(shared)
            archive.apply(archive.plan_prune(policy))
        except PolicyError as error:
            assert "stale" in str(error)  # noqa: PT017 - it may be raised, or not
        fresh = Archive(store)
        assert fresh.verify(read_data=True).ok
        assert ids(fresh) >= {*runs[2:], *saved}
        for run in runs[:2]:
            if any(one.id == run for one in fresh.trash()):
                fresh.undelete(run)
        assert {run: store.get(layout.record_key(run)) for run in runs} == whole
        if shared.calls <= at:
            break
    assert at > 8


def test_a_pin_that_comes_while_records_move_brings_the_run_back(frozen: Frozen) -> None:
    spared = 0
    for at in range(40):
        store, runs = fresh_store(frozen.objects), frozen.runs
        marker = layout.tag_key("pinned", runs[0])
        archive = Archive(SharedStore(store, at, lambda store=store, marker=marker: store.put(marker, b"")))  # type: ignore[misc]
        try:
            spared += archive.apply(archive.plan_prune(OLD)).spared == [runs[0]]
        except PolicyError:
            continue
    assert spared > 2


def test_a_record_of_another_run_is_not_moved(local: Store) -> None:
    runs = filled(local)
    record = load_record(local, runs[0])
    archive = Archive(local)
    plan = archive.plan_prune(OLD)
    local.put(layout.record_key(runs[0]), encode_record(replace(record, run=runs[1])))
    with pytest.raises(IntegrityError):
        archive.apply(plan)
    assert local.stat(layout.record_key(runs[0])) is not None


def test_a_pruned_run_that_is_asked_for_names_the_way_back(local: Store) -> None:
    runs = filled(local)
    archive = Archive(local)
    archive.apply(archive.plan_prune(OLD))
    with pytest.raises(RunNotFoundError, match=f"pruned.*`archiver undelete {runs[0]}`"):
        archive.record(runs[0])
    with pytest.raises(RunNotFoundError, match="archiver ls"):
        archive.record("20200101T000000Z-00000000")
