"""Packs that move as they are: the same archive on the other side, whatever fails, and never more than was wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.archive import Archive
from archiver.errors import IntegrityError
from archiver.format import layout
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.store import Store, open_store
from tests.conftest import Place
from tests.faults import CALLS, FAULT, failing, flip
from tests.stores import Frozen, MovedStore, SharedStore, fresh_store, save, snapshot
from tests.test_packing import filled, loose, packs, prune, seen

pytestmark = pytest.mark.usefixtures("details_apart")


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    """Give a packed archive, with a pin, and one run that is not packed."""
    store = fresh_store()
    runs = filled(store)
    Archive(store).tag(runs[1], "pinned")
    Archive(store).tag(runs[0], "later")
    Archive(store).compact()
    runs.append(save(store, "b", score=7.0).run)
    return Frozen(snapshot(store), runs)


@pytest.fixture
def source(frozen: Frozen, tmp_path: Path) -> Archive:
    """Give that archive on a disk: `fresh_store` forgets what it gave."""
    store = open_store(str(tmp_path / "source"))
    for key, data in frozen.objects.items():
        store.put(key, data)
    return Archive(store)


def empty(store: Store) -> Archive:
    archive = Archive(store)
    archive.create()
    return archive


def test_a_pack_moves_as_it_is(source: Archive, frozen: Frozen, place: Place) -> None:
    target = empty(place.open())
    moved = source.copy_to(target)
    assert sorted(moved.runs) == sorted(frozen.runs)
    assert packs(target.store) == packs(source.store)
    assert loose(place.open()) == [layout.record_key(frozen.runs[4])]
    assert seen(target) == seen(source)
    assert target.verify(read_data=True).ok
    removed = [one.run for one in target.plan_prune(Policy(keep_within="30d")).removals]
    assert {frozen.runs[0], frozen.runs[2]} == set(removed)  # the pin holds there, too
    written = [
        entry.key
        for entry in place.open().list()
        if not entry.key.startswith(("archive.", "tags/", "untagged/"))
    ]
    assert moved.objects == len(written)
    assert source.copy_to(target).runs == ()


def test_only_what_is_wanted_moves(source: Archive, frozen: Frozen) -> None:
    target = empty(fresh_store())
    assert len(source.copy_to(target, source.run_ids(universe="a")).runs) == 2
    assert packs(target.store) == []
    assert {run.universe for run in target.runs()} == {"a"}
    assert target.verify(read_data=True).ok


def test_what_the_source_gave_up_does_not_come_back(source: Archive, frozen: Frozen) -> None:
    prune(source.store)
    target = empty(fresh_store())
    source.copy_to(target)
    assert packs(target.store) == []
    assert target.run_ids() == source.run_ids()
    assert not any(entry.key.startswith(layout.TRASH) for entry in target.store.list())


@pytest.mark.parametrize("how", ["there", "packed", "pruned", "freed"])
def test_a_target_that_knows_a_run_of_a_pack_gets_the_runs_that_it_lacks(
    how: str, source: Archive, frozen: Frozen
) -> None:
    store = MovedStore(fresh_store())
    target = empty(store)
    source.copy_to(target, [frozen.runs[0], frozen.runs[4]])
    if how in ("packed", "freed"):
        target.compact()
    if how in ("pruned", "freed"):
        prune(store)
    if how == "freed":
        target.gc("0d", apply=True)
        assert [entry.key for entry in store.list(layout.MASKS)]
    assert len(source.copy_to(target).runs) == (3 if how in ("there", "packed") else 4)
    assert not set(packs(source.store)) & set(packs(target.store))
    assert target.run_ids() == source.run_ids()
    assert target.load_metrics(history=True).equals(source.load_metrics(history=True))
    assert target.verify(read_data=True).ok


def test_a_pack_that_replaces_one_of_the_target_does_not_hide_its_runs(source: Archive) -> None:
    target = empty(fresh_store())
    source.copy_to(target)
    store = MovedStore(source.store)
    store.move(hours=3)
    again = Archive(store)
    before = again.run_ids()
    prune(store)
    again.compact()
    again.copy_to(target)
    assert target.run_ids() == before
    assert target.verify(read_data=True).ok


@FAULT
@CALLS
def test_a_copy_that_fails_at_any_call_goes_on(die: bool, when: str, every: int, source: Archive) -> None:
    wanted = seen(source)

    def copy(store: Store) -> None:
        source.copy_to(Archive(store))

    for store, _ in failing(lambda: empty(fresh_store()).store, copy, die=die, when=when, every=every):
        half = Archive(store)
        assert half.verify(read_data=True).ok
        source.copy_to(half)
        assert seen(half) == wanted
        assert half.verify(read_data=True).ok


@pytest.mark.parametrize("other", ["gc", "compact", "copy"])
def test_whatever_is_done_in_the_target_meanwhile_the_copy_is_whole(other: str, source: Archive) -> None:
    wanted = seen(source)
    acts = {
        "gc": lambda store: collect(store, grace="0d", apply=True, allow_empty=True),
        "compact": lambda store: Archive(store).compact(),
        "copy": lambda store: source.copy_to(Archive(store)),
    }
    at = 0
    ends = set()  # most are alike, and what is alike is looked at once
    while True:
        store = empty(fresh_store()).store
        shared = SharedStore(store, at, lambda store=store: acts[other](store))
        source.copy_to(Archive(shared))
        end = frozenset((key, data) for key, data in snapshot(store).items() if key != layout.ARCHIVE)
        if end not in ends:
            found = seen(Archive(store))
            if other == "compact":  # by ids: which is the newest of one second is chance
                found["newest"] = wanted["newest"]
            assert found == wanted
            assert Archive(store).verify(read_data=True).ok
        ends.add(end)
        if shared.calls <= at:
            break
        at += 1
    assert at > 10


@pytest.mark.parametrize("what", [".records.parquet", ".json.zst"])
def test_a_damaged_pack_does_not_move(what: str, source: Archive) -> None:
    damage(source, what)
    target = empty(fresh_store())
    with pytest.raises(IntegrityError, match="packs/"):
        source.copy_to(target)
    assert packs(target.store) == []
    assert target.verify(read_data=True).ok


def test_records_move_where_their_metrics_are_damaged_as_columns(source: Archive) -> None:
    damage(source, ".metrics.parquet")
    target = empty(fresh_store())
    source.copy_to(target)
    assert packs(target.store) == []
    assert target.run_ids() == source.run_ids()
    assert target.verify(read_data=True).ok


def damage(archive: Archive, end: str) -> None:
    flip(
        archive.store,
        next(entry.key for entry in archive.store.list(layout.PACKS) if entry.key.endswith(end)),
    )


def test_details_that_are_damaged_stay_behind_alone(source: Archive, frozen: Frozen) -> None:
    tier2 = source.record(frozen.runs[0]).tier2
    assert tier2 is not None
    flip(source.store, tier2.key)
    target = empty(fresh_store())
    with pytest.raises(IntegrityError, match=tier2.key):
        source.copy_to(target)
    assert target.run_ids() == [run for run in source.run_ids() if run != frozen.runs[0]]
    assert target.verify(read_data=True).ok


def test_bundles_of_packed_runs_move_along(source: Archive, frozen: Frozen) -> None:
    source.bundle(frozen.runs[:1], "one")
    source.bundles.apply_removal(source.bundles.plan_removal("one"))
    source.compact()
    target = empty(fresh_store())
    source.copy_to(target)
    target.bundles.restore("one")
    assert target.load_strategy("s0", run=frozen.runs[0])["trades"]
    assert target.verify(read_data=True).ok
