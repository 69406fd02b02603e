"""Packs: loose and packed runs are alike, whatever happens to a packer, a pack, or beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import (
    FormatError,
    IntegrityError,
    NotFoundError,
    RunNotFoundError,
    StorageError,
    StorageFullError,
)
from archiver.format import layout
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.runs.record_view import viewed
from archiver.store import Store, open_store
from tests.conftest import Place
from tests.faults import CALLS, FAULT, failing, flip
from tests.stores import (
    THINNED,
    Frozen,
    MovedStore,
    PassingStore,
    SharedStore,
    StubbornStore,
    fresh_store,
    save,
    snapshot,
)
from tests.thinned import one_in
from tests.wire import Wire

OLD = Policy(keep_within="30d")
DETAILS = Policy(keep_within="30d", tiers=2)


def filled(store: Store) -> list[str]:
    """Save runs of two universes: old and new, small and large, with and without details."""
    return [
        save(store, "a", days=90, score=3.0, bars=40, tags=["t"]).run,
        save(store, "a", days=60, score=1.0, strategies=100).run,
        save(store, "b", days=50, score=2.0, detail=False).run,
        save(store, "b", score=0.5, bars=40, code=b"print()").run,
    ]


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    store = fresh_store()
    runs = filled(store)
    return Frozen(snapshot(store), runs)


@pytest.fixture
def moved() -> MovedStore:
    return MovedStore(fresh_store())


def prune(store: Store, policy: Policy = OLD) -> None:
    archive = Archive(store)
    archive.apply(archive.plan_prune(policy), max_remove=1)


def seen(archive: Archive) -> dict[str, Any]:
    """Return what a user can see of an archive, sizes of records apart."""
    runs = archive.runs()
    return {
        "runs": [(run.id, run.universe, run.created, run.strategies, run.detailed, run.tags) for run in runs],
        "ids": archive.run_ids(),
        "newest": [run.id for run in archive.runs(limit=2)],
        "of a": [run.id for run in archive.runs("a")],
        "metrics": archive.load_metrics().to_pylist(),
        "one column": archive.load_metrics(
            columns=["sharpe_ratio"], sort="sharpe_ratio", limit=3
        ).to_pylist(),
        "history": archive.load_metrics(history=True).to_pylist(),
        "newest of universes": archive.load_metrics(newest="universe").to_pylist(),
        "where": archive.load_metrics("b", where="sharpe_ratio > 1").to_pylist(),
        "detailed": archive.detailed_strategies(),
        "details": [
            archive.load_strategy(name, universe) for universe, name in archive.detailed_strategies()
        ],
        "trash": [run.id for run in archive.trash()],
        "universes": archive.universes(),
    }


def loose(store: Store) -> list[str]:
    return [entry.key for prefix in (layout.RUNS, layout.REVISED) for entry in store.list(prefix)]


def packs(store: Store) -> list[str]:
    return [entry.key for entry in store.list(layout.PACKS) if entry.key.endswith(".json.zst")]


def test_packed_runs_are_as_loose_ones(place: Place) -> None:
    archive = archiver.open(place.url, **place.options)
    store = place.open()
    runs = filled(archive.store)
    before = seen(archive)
    assert archive.compact() == 4
    assert loose(store) == []
    assert len(packs(store)) == 1
    again = archiver.open(place.url, **place.options)
    for one in (archive, again):
        assert seen(one) == before
    assert again.verify(read_data=True).ok
    assert again.load_strategy("s0", run=runs[0])["trades"]
    assert again.run(runs[3][:-1]).id == runs[3]
    assert again.code(runs[3]).read("run.py") == b"print()"
    assert again.du().universes["a"].runs == 2
    with pytest.raises(NotFoundError, match="no run has a strategy 'x'"):
        again.load_strategy("x")
    save(archive.store, "a", score=9.0)
    assert again.load_metrics("a")["sharpe_ratio"][0].as_py() == 9.0
    assert again.compact() == 5


def test_an_older_archiver_refuses_packs(store: Store) -> None:
    save(store, detail=False)
    assert b'"format": 1' in store.get(layout.ARCHIVE)
    Archive(store).compact()
    assert b'"format": 2' in store.get(layout.ARCHIVE)


@pytest.mark.usefixtures("details_apart")
@pytest.mark.parametrize("policy", [OLD, DETAILS], ids=["runs", "details"])
def test_packed_runs_go_come_back_and_are_freed(moved: MovedStore, policy: Policy) -> None:
    runs = filled(moved)
    archive = Archive(moved)
    archive.compact()
    before = seen(archive)
    prune(moved, policy)
    gone = set(runs[:3]) if policy is OLD else set()
    assert set(Archive(moved).run_ids()) == set(runs) - gone
    for run in [run.id for run in archive.trash()]:
        archive.undelete(run)
    assert seen(Archive(moved)) == before
    assert archive.gc("0d", apply=True).kinds["tier2"].objects == 0
    prune(moved, policy)
    moved.move(days=8)
    archive.gc(apply=True)
    assert set(Archive(moved).run_ids()) == set(runs) - gone
    assert archive.trash() == []
    assert archive.verify(read_data=True).ok
    assert len([key for key in snapshot(moved) if key.startswith(layout.TIER2)]) == 1
    with pytest.raises(RunNotFoundError):
        archive.undelete(runs[0])


def test_what_is_dead_goes_from_packs_and_its_marks_with_it(moved: MovedStore) -> None:
    runs = filled(moved)
    archive = Archive(moved)
    archive.compact()
    first = packs(moved)
    prune(moved)
    moved.move(days=8)
    archive.gc(apply=True)
    assert len(list(moved.list(layout.MASKS))) == 3
    # More than half was dead: it was packed again, and what it replaces stays for who reads it just now.
    assert len(packs(moved)) == 2
    assert archive.gc("0d", apply=True).objects == 0
    moved.move(hours=2)
    archive.gc(apply=True)
    moved.move(hours=2)
    archive.gc(apply=True)
    assert len(packs(moved)) == 1
    assert packs(moved) != first
    assert not list(moved.list(layout.MASKS))
    assert archive.run_ids() == [runs[3]]
    assert len(list(moved.list(layout.PACKS))) == 3
    assert archive.verify(read_data=True).ok


def test_small_packs_become_one(moved: MovedStore) -> None:
    archive = Archive(moved)
    for _ in range(3):
        filled(moved)
        archive.compact()
    before = seen(archive)
    assert len(packs(moved)) == 3
    moved.move(hours=2)
    save(moved)
    archive.compact()
    assert len(viewed(moved).packs.live()) == 1
    moved.move(hours=2)
    archive.gc(apply=True)
    assert len(packs(moved)) == 1
    assert [run for run in seen(archive)["ids"] if run in before["ids"]] == before["ids"]
    assert archive.verify(read_data=True).ok


def test_no_pack_relies_on_one_that_may_be_taken_back(
    moved: MovedStore, frozen: Frozen, tmp_path: Path
) -> None:
    for key, data in frozen.objects.items():
        moved.put(key, data)
    Archive(moved).compact()
    (settled,) = packs(moved)
    moved.move(hours=2)
    young = settled
    while young >= settled:  # of two that hold the same, the first would count
        twin = open_store(tmp_path / young[-20:])
        for key, data in frozen.objects.items():
            twin.put(key, data)
        Archive(twin).compact()
        (young,) = packs(twin)
    for entry in twin.list(layout.PACKS):
        moved.put(entry.key, twin.get(entry.key))
    save(moved, "c")
    Archive(moved).compact()
    moved.delete([entry.key for entry in moved.list(young.removesuffix(layout.RECORD_SUFFIX))])
    assert set(frozen.runs) < set(Archive(moved).run_ids())
    assert Archive(moved).verify(read_data=True).ok


def test_the_data_of_a_pack_stays_while_what_commits_it_cannot_be_deleted(
    moved: MovedStore, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, data in frozen.objects.items():
        moved.put(key, data)
    keeps = StubbornStore(
        moved, lambda key: key.startswith(layout.PACKS) and key.endswith(layout.RECORD_SUFFIX)
    )
    before = seen(Archive(moved))
    with monkeypatch.context() as patch:
        patch.setattr("archiver.runs.packed.packing._MOST_SECONDS", -1.0)
        with pytest.raises(StorageError, match="denied"):
            Archive(keeps).compact()
    assert len(packs(moved)) == 1
    assert seen(Archive(moved)) == before
    moved.move(hours=2)
    Archive(keeps).compact()
    save(moved)
    before = seen(Archive(moved))
    Archive(keeps).compact()
    assert len(viewed(moved).packs.live()) < len(packs(moved))
    moved.move(hours=2)
    assert Archive(keeps).gc(apply=True).failed.keys() <= {*packs(moved)}
    assert seen(Archive(moved)) == before
    assert Archive(moved).verify(read_data=True).ok
    assert len(list(moved.list(layout.PACKS))) == 3 * len(packs(moved))


def test_bundles_and_copies_of_packed_runs_are_whole(store: Store) -> None:
    runs = filled(store)
    archive = Archive(store)
    archive.compact()
    before = seen(archive)
    target = Archive(fresh_store())
    target.create()
    archive.copy_to(target)
    assert seen(target)["metrics"] == before["metrics"]
    assert archive.copy_to(target).runs == ()
    target.compact()
    assert archive.copy_to(target).runs == ()
    archive.bundle(runs[:2], "two")
    archive.bundles.apply_removal(archive.bundles.plan_removal("two"))
    assert archive.run(runs[0]).archived == "two"
    archive.compact()
    assert archive.run(runs[0]).archived == "two"
    assert archive.verify(read_data=True).ok


@FAULT
@CALLS
def test_a_packer_that_fails_at_any_call_loses_nothing(
    die: bool, when: str, every: int, frozen: Frozen
) -> None:
    before = seen(Archive(fresh_store(frozen.objects)))
    work = failing(
        lambda: fresh_store(frozen.objects),
        lambda store: Archive(store).compact(),
        die=die,
        when=when,
        every=every,
    )
    for store, _ in work:
        assert seen(Archive(store)) == before
        moved = MovedStore(store)
        moved.move(hours=3)
        Archive(moved).gc("0d", apply=True)
        Archive(moved).compact()
        assert seen(Archive(store)) == before
        assert Archive(store).verify(read_data=True).ok


def others(runs: Any) -> dict[str, Callable[[Store], object]]:
    return {
        "save": lambda store: save(store, "a"),
        "prune": prune,
        "details": lambda store: prune(store, DETAILS),
        "undelete": lambda store: [_undelete(store, run) for run in runs[:3]],
        "gc": lambda store: collect(store, grace="0d", apply=True),
        "prune and gc": lambda store: (prune(store), collect(store, grace="0d", apply=True)),
        "pin": lambda store: [_pin(store, run) for run in runs[:3]],
        "compact": lambda store: Archive(store).compact(),
    }


def _undelete(store: Store, run: str) -> None:
    with suppress(RunNotFoundError):
        Archive(store).undelete(run)


def _pin(store: Store, run: str) -> None:
    with suppress(RunNotFoundError):
        Archive(store).tag(run, "pinned")


def _interleave(frozen: Frozen, work: str, other: str, first: tuple[str, ...], every: int) -> int:
    """Let one do something before each n-th call of the other's work; whatever was acknowledged holds. Returns the calls."""
    acts = others(frozen.runs)
    for at in count([*acts].index(work if other == "compact" else other) % every, every):
        store = fresh_store(frozen.objects)
        for name in first:
            acts[name](store)
        known = set(Archive(store).run_ids())
        shared = SharedStore(store, at, lambda store=store: acts[other](store))
        with suppress(StorageError):
            acts[work](shared)
        archive = Archive(store)
        found = set(archive.run_ids())
        kept = {frozen.runs[3]} if "prune" in (work, other) or "prune and gc" in (work, other) else known
        assert found >= kept
        assert archive.verify(read_data=True).ok
        if "gc" not in (work, other) and "prune and gc" not in (work, other):
            for run in archive.trash():
                archive.undelete(run.id)
            assert set(archive.run_ids()) >= known
            for run in frozen.runs:
                assert run not in archive.run_ids() or archive.record(run).detail_removed is None
        freed = set(frozen.runs) - set(archive.run_ids()) - {run.id for run in archive.trash()}
        moved = MovedStore(store)
        moved.move(hours=3)
        Archive(moved).compact()
        Archive(moved).gc("0d", apply=True)
        again = Archive(store)
        assert not freed & set(again.run_ids())
        assert again.verify(read_data=True).ok
        if shared.calls <= at:
            return shared.calls
    raise AssertionError


@pytest.mark.parametrize("other", ["save", "prune", "details", "gc", "prune and gc", "pin", "compact"])
@pytest.mark.parametrize("every", THINNED)
def test_whatever_others_do_while_runs_are_packed_nothing_is_lost(
    other: str, every: int, frozen: Frozen
) -> None:
    assert _interleave(frozen, "compact", other, (), every) > 10


@pytest.mark.parametrize("work", ["prune", "details", "undelete", "gc", "pin"])
@pytest.mark.parametrize(
    "first", one_in(3, [("prune",), ("details",), ("compact",), ("compact", "prune")]), ids="-".join
)
@pytest.mark.parametrize("every", THINNED)
def test_whatever_is_done_while_others_pack_nothing_is_lost(
    work: str, first: tuple[str, ...], every: int, frozen: Frozen
) -> None:
    assert _interleave(frozen, work, "compact", first, every) >= 1


@pytest.mark.parametrize(
    "other", one_in(2, ["save", "details", "prune", "gc", "prune and gc", "pin", "compact"])
)
@pytest.mark.parametrize("every", THINNED)
def test_whatever_others_do_while_gc_packs_first_nothing_is_lost(
    other: str, every: int, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.retention.gc.MANY", 1)
    assert _interleave(frozen, "gc", other, (), every) > 20


@pytest.mark.parametrize("every", THINNED)
def test_a_reader_sees_every_run_while_others_pack(every: int, frozen: Frozen) -> None:
    before = seen(Archive(fresh_store(frozen.objects)))
    for at in count(0, every):
        store = fresh_store(frozen.objects)
        shared = SharedStore(store, at, lambda store=store: Archive(store).compact())
        assert seen(Archive(shared)) == before
        if shared.calls <= at:
            break
    assert at > 10


@pytest.mark.parametrize("what", ["flip", "cut", "gone"])
@pytest.mark.parametrize("end", [".json.zst", ".records.parquet", ".metrics.parquet"])
def test_a_damaged_pack_is_named_and_hides_nothing_else(end: str, what: str, moved: MovedStore) -> None:
    filled(moved)
    Archive(moved).compact()
    new = save(moved, "c", score=7.0).run
    (key,) = [entry.key for entry in moved.list(layout.PACKS) if entry.key.endswith(end)]
    data = moved.get(key)
    if what == "flip":
        flip(moved, key)
    elif what == "cut":
        moved.put(key, data[:-20])
    else:
        moved.delete([key])
    archive = Archive(moved)
    if what == "gone" and end == ".json.zst":
        assert archive.run_ids() == [new]
        return
    assert {problem.key for problem in archive.verify(read_data=True).problems} == {key}
    told: list[Any] = []
    assert new in [run.id for run in archive.runs(errors=told.append)]
    assert new in archive.load_metrics(errors=told.append)["run"].to_pylist()
    assert told
    with pytest.raises((IntegrityError, FormatError)):
        Archive(moved).load_metrics()
    with suppress(IntegrityError, FormatError):
        collect(moved, grace="0d", apply=True)
    moved.put(key, data)
    assert Archive(moved).verify(read_data=True).ok
    assert len(Archive(moved).run_ids()) == 5


def test_who_reads_thousands_of_loose_records_packs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archiver.archive.listing.MANY", 4)
    store = fresh_store()
    filled(store)
    before = Archive(store).load_metrics()
    assert loose(store) == []
    assert Archive(store).load_metrics().equals(before)


def test_gc_reads_each_of_many_loose_records_once(
    wired_place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.retention.gc.MANY", 4)
    store = wired_place.open()
    runs = filled(store)
    wire.reset()
    collect(store, apply=True)
    asked = [path.partition("?")[0].rpartition("/")[2] for verb, path, _ in wire.seen if verb == "GET"]
    assert sorted(asked.count(f"{run}.json.zst") for run in runs) == [1, 1, 1, 1]
    assert loose(store) == []
    assert Archive(store).verify(read_data=True).ok


def test_a_full_disk_is_freed_before_gc_packs(moved: MovedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archiver.retention.gc.MANY", 4)
    filled(moved)
    orphan = layout.tier2_key("a", layout.new_run_id(moved.now()))
    moved.put(orphan, b"x" * 1000)
    moved.move(days=8)

    class Full(PassingStore):
        def put(self, key: str, data: bytes, *, create: bool = False) -> None:
            if self.inner.stat(orphan) is not None:
                raise StorageFullError("no space is left")
            super().put(key, data, create=create)

    collect(Full(moved), apply=True)
    assert moved.stat(orphan) is None
    assert loose(moved) == []
    assert Archive(moved).verify(read_data=True).ok


def test_runs_that_are_being_finished_are_left_alone(moved: MovedStore) -> None:
    archive = Archive(moved)
    archive.create()
    with archive.start("u", code="none") as run:
        run.add({"strategy_name": "s", "sharpe_ratio": 1.0})
    assert archive.compact() == 0
    moved.move(hours=1, minutes=1)
    assert archive.compact() == 1
    assert archive.runs()[0].id == run.id
