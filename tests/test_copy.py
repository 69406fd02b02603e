"""Copying between archives: only what is missing, verified, resumable; and taking away what the source lost."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import archiver
from archiver.errors import (
    AccessError,
    ArchiveNotFoundError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    PolicyError,
    StorageError,
)
from archiver.format import layout
from archiver.store import Store, open_store
from archiver.store.entry import Entry
from archiver.transfer import runs as transfers
from archiver.transfer.copy import apply_extras, plan_extras
from archiver.transfer.runs import transfer
from tests.benchmarks import workload
from tests.conftest import Place
from tests.faults import FaultyStore, flip
from tests.runs_made import everything, fill, many, opened, seen
from tests.stores import PAIRED, PassingStore, SharedStore, interleavings
from tests.wire import Wire

from archiver.archive import Archive  # isort: skip
from tests.thinned import one_in

pytestmark = pytest.mark.usefixtures("details_apart")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("source")
    (folder / "project").mkdir()
    (folder / "project" / "a.py").write_text("x = 1\n")
    archive = opened(folder / "archive")
    fill(archive, folder / "project")
    return archive


def test_a_copy_is_the_archive(source: Archive, place: Place, tmp_path: Path) -> None:
    target = opened(place.url, **place.options)
    runs = source.run_ids()
    moved = source.copy_to(target)
    assert (sorted(moved.runs), moved.there) == (runs, ())
    assert seen(target, runs) == seen(source, runs)
    assert target.verify(read_data=True).ok
    assert moved.objects == len(
        [key for key in everything(target.store) if not key.startswith(("tags/", "archive."))]
    )
    back = opened(tmp_path / "back")
    target.copy_to(back)
    apart = (layout.ARCHIVE,)
    assert everything(back.store, but=apart) == everything(source.store, but=apart)


def test_a_second_copy_moves_nothing(source: Archive, wired_place: Place, wire: Wire) -> None:
    target = opened(wired_place.url, **wired_place.options)
    source.copy_to(target)
    wire.reset()
    again = source.copy_to(opened(wired_place.url, **wired_place.options))
    assert (again.runs, again.objects, again.bytes) == ((), 0, 0)
    assert set(wire.counts) <= {"GET", "LIST", "HEAD"}
    assert sum(wire.counts.values()) <= 3 + len(again.there)  # records are loose, revised or packed
    source.save_universe_results("later", workload.universe(9, 5, 0), 0, code="none")
    wire.reset()
    later = source.copy_to(target)
    assert len(later.runs) == 1
    assert wire.counts["PUT"] == later.objects


def test_runs_are_chosen_by_universe_tag_and_moment(source: Archive, tmp_path: Path) -> None:
    runs = source.run_ids()
    assert source.run_ids(universe="large") == sorted(run.id for run in source.runs("large"))
    assert source.run_ids(tag="nightly") == [run.id for run in source.runs(tag="nightly")]
    assert source.run_ids(since="1h") == runs
    assert source.run_ids(since=datetime.now(UTC) + timedelta(days=1)) == []
    assert source.run_ids(since="2001-01-01") == runs
    with pytest.raises(ConfigError, match="no moment"):
        source.run_ids(since="yesterday")
    target = opened(tmp_path / "t")
    source.copy_to(target, source.run_ids(tag="nightly"))
    assert [run.tags for run in target.runs()] == [("a/b", "nightly")]
    with pytest.raises(ArchiveNotFoundError):
        opened(tmp_path / "none").copy_to(opened(tmp_path / "t2"))
    assert not (tmp_path / "t2").exists()


def test_damage_in_the_source_is_named_and_not_copied(source: Archive, tmp_path: Path) -> None:
    broken = opened(tmp_path / "broken")
    source.copy_to(broken)
    record = next(record for record in broken.records() if record.tier2 is not None)
    assert record.tier2 is not None
    flip(broken.store, record.tier2.key)
    target = opened(tmp_path / "t")
    with pytest.raises(IntegrityError, match=r"damaged.*3 of|damaged.*of \d+ runs were copied"):
        broken.copy_to(target)
    assert sorted(target.run_ids()) == [run for run in broken.run_ids() if run != record.run]
    assert target.verify(read_data=True).ok
    source.copy_to(target, [record.run])
    assert target.verify(read_data=True).ok


def test_another_run_of_the_same_id_is_never_replaced(source: Archive, tmp_path: Path) -> None:
    other, target = opened(tmp_path / "other"), opened(tmp_path / "t")
    (mine, *_) = many(other.store, 2, 100)
    target.create()
    theirs = opened(tmp_path / "third")
    (foreign, *_) = many(theirs.store, 1, 200)
    record = theirs.store.get(layout.record_key(foreign))
    del foreign
    target.store.put(layout.record_key(mine), _renamed(record, mine))
    before = everything(target.store)
    with pytest.raises(IntegrityError, match="another run"):
        other.copy_to(target)
    assert everything(target.store) == before


def _renamed(data: bytes, run: str) -> bytes:
    from dataclasses import replace

    from archiver.format.records import decode_record, encode_record

    record = decode_record(data, "x")
    return encode_record(replace(record, run=run, universe="other", tier2=None, note="longer"))


def test_details_that_the_target_gave_up_stay_away(source: Archive, tmp_path: Path) -> None:
    target = opened(tmp_path / "t")
    source.copy_to(target)
    runs = target.run_ids()
    target.bundle(runs, "all")
    target.bundles.apply_removal(target.bundles.plan_removal("all"))
    moved = source.copy_to(target)
    assert (moved.runs, sorted(moved.there)) == ((), source.run_ids())
    assert all(run.archived for run in target.runs() if run.id in runs)


def test_a_store_that_fails_leaves_a_sound_archive(source: Archive, tmp_path: Path) -> None:
    whole = FaultyStore(source.store)
    Archive(whole).copy_to(opened(tmp_path / "whole"))
    for at in range(0, len(whole.calls), 2):
        target = opened(tmp_path / f"t{at}")
        with pytest.raises(StorageError):
            Archive(FaultyStore(source.store, at)).copy_to(target)
        if target.store.stat(layout.ARCHIVE) is not None:
            assert target.verify(read_data=True).ok
            source.copy_to(target)
            assert sorted(target.run_ids()) == source.run_ids()


def test_an_executor_of_the_user_does_the_work(source: Archive, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="users-own") as executor:
        target = opened(tmp_path / "t", executor=executor)
        source.copy_to(target)
        assert executor._threads
        assert target.verify(read_data=True).ok


def test_processes_of_the_user_do_the_work(source: Archive, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        target = opened(tmp_path / "t", executor=executor)
        source.copy_to(target)
        target.bundle(target.run_ids(), "all")
        opened(tmp_path / "t2", executor=executor).bundles.restore("all", home=target.bundles)
    assert seen(opened(tmp_path / "t2"), source.run_ids()) == seen(source, source.run_ids())
    assert opened(tmp_path / "t").verify(read_data=True).ok


def test_a_record_that_cannot_be_read_stops_no_other(source: Archive, tmp_path: Path) -> None:
    broken = opened(tmp_path / "broken")
    source.copy_to(broken)
    runs = source.run_ids()
    flip(broken.store, layout.record_key(runs[0]))
    target = opened(tmp_path / "t")
    with pytest.raises(IntegrityError, match=f"{runs[0]}.*{len(runs) - 1} of {len(runs)} runs were copied"):
        broken.copy_to(target)
    assert target.run_ids() == runs[1:]
    source.copy_to(target)
    assert target.run_ids() == runs


def test_what_an_interrupted_copy_left_long_ago_is_put_anew(tmp_path: Path) -> None:
    store = open_store(tmp_path / "source")
    (run,) = many(store, 1)
    key = layout.tier2_key("u", run)
    for age, written in ((60, 1), (7200, 2)):
        target = opened(tmp_path / f"after {age}")
        target.create()
        target.store.put(key, store.get(key))
        when = time.time() - age
        os.utime(tmp_path / f"after {age}" / key, (when, when))
        assert Archive(store).copy_to(target).objects == written
        found = target.store.stat(key)
        assert found is not None
        assert (found.modified.timestamp() > when + 60) is (written == 2)


def test_a_large_object_is_streamed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "large")
    (run,) = many(store, 1, 9 << 20)
    target = opened(tmp_path / "t")
    Archive(store).copy_to(target)
    assert target.verify(read_data=True).ok
    flip(store, layout.tier2_key("u", run))
    with pytest.raises(IntegrityError):
        Archive(store).copy_to(opened(tmp_path / "t2"))
    assert list(open_store(tmp_path / "t2").list("tier2")) == []


def test_extra_runs_go_to_the_trash_when_asked(source: Archive, tmp_path: Path) -> None:
    target = opened(tmp_path / "t")
    source.copy_to(target)
    extra = target.save_universe_results("extra", workload.universe(5, 5, 0), 0, code="none").id
    pinned = target.save_universe_results(
        "extra", workload.universe(5, 5, 0), 0, tags=["pinned"], code="none"
    ).id
    plan = plan_extras(source.store, target.store, target.run_ids())
    assert {item.run: item.remove for item in plan.items} == {extra: True, pinned: False}
    assert len(target.run_ids()) == plan.total
    with pytest.raises(PolicyError, match="max-remove"):
        apply_extras(source.store, target.store, plan, max_remove=0.1)
    target.tag(extra, "pinned")
    with pytest.raises(PolicyError, match="plan again"):
        apply_extras(source.store, target.store, plan)
    target.untag(extra, "pinned")
    assert apply_extras(source.store, target.store, plan) == [extra]
    assert sorted(target.run_ids()) == sorted([*source.run_ids(), pinned])
    target.undelete(extra)
    assert extra in target.run_ids()
    empty = opened(tmp_path / "empty")
    empty.create()
    with pytest.raises(PolicyError, match="no runs at all"):
        plan_extras(empty.store, target.store, target.run_ids())


def test_a_read_only_target_is_refused(source: Archive, tmp_path: Path) -> None:
    with pytest.raises(AccessError):
        source.copy_to(opened(tmp_path / "t", read_only=True))


def test_bundles_of_archived_runs_come_along(tmp_path: Path) -> None:
    archive, other = archiver.open(tmp_path / "a"), archiver.open(tmp_path / "b")
    rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
    run = archive.save_universe_results("u", rows, tags=["keep"], code="none")
    archive.bundle([run.id], "kept")
    archive.bundles.apply_removal(archive.bundles.plan_removal("kept"))
    archive.copy_to(other)
    assert archiver.open(tmp_path / "b").runs()[0].archived == "kept"
    other.bundles.restore("kept")
    assert archiver.open(tmp_path / "b").load_strategy("s")["trades"] == [{"pnl": 1.0}]


def test_a_lost_bundle_of_archived_runs_is_damage(tmp_path: Path) -> None:
    archive, other = archiver.open(tmp_path / "a"), archiver.open(tmp_path / "b")
    rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
    kept, lost = (archive.save_universe_results("u", rows, code="none").id for _ in range(2))
    archive.bundle([lost], "lost")
    archive.bundles.apply_removal(archive.bundles.plan_removal("lost"))
    archive.store.delete([layout.bundle_key("lost")])
    with pytest.raises(IntegrityError, match=r"bundles/lost\.tar\.zst is gone .* 1 of 2 runs were copied"):
        archive.copy_to(other)
    assert archiver.open(tmp_path / "b").run_ids() == [kept]


def _archived(folder: Path, pnl: float) -> tuple[Archive, str]:
    """Make an archive of one run whose details are in its bundle `same`."""
    archive = archiver.open(folder)
    rows = [{"strategy_name": "s", "x": pnl, "trades": [{"pnl": pnl}]}]
    run = archive.save_universe_results("u", rows, code="none").id
    archive.bundle([run], "same")
    archive.bundles.apply_removal(archive.bundles.plan_removal("same"))
    return archive, run


def test_a_run_is_not_copied_without_the_bundle_that_has_its_details(tmp_path: Path) -> None:
    archive, run = _archived(tmp_path / "a", 1.0)
    other, its = _archived(tmp_path / "b", 2.0)
    free = archive.save_universe_results("u", [{"strategy_name": "t", "x": 1.0}], code="none").id
    with pytest.raises(IntegrityError, match=r"has another bundle bundles/same.* 1 of 2 runs were copied"):
        archive.copy_to(other)
    assert archiver.open(tmp_path / "b").run_ids() == sorted([its, free])
    other.bundles.restore("same")
    assert archiver.open(tmp_path / "b").load_strategy("s")["trades"] == [{"pnl": 2.0}]
    archive.bundles.restore("same")
    assert archive.copy_to(other).runs == (run,)


def test_the_same_bundle_in_the_target_is_enough(tmp_path: Path) -> None:
    archive, run = _archived(tmp_path / "a", 1.0)
    (tmp_path / "b" / "bundles").mkdir(parents=True)
    made = layout.bundle_key("same")
    archiver.open(tmp_path / "b").create(beside=True)
    (tmp_path / "b" / made).write_bytes(archive.store.get(made))
    archive.store.delete([made])
    assert archive.copy_to(archiver.open(tmp_path / "b")).runs == (run,)


def test_a_frozen_bundle_holds_up_only_the_runs_in_it(moto_place: Place, tmp_path: Path) -> None:
    archive = opened(moto_place.url, **moto_place.options)
    rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
    frozen, free = (archive.save_universe_results("u", rows, code="none").id for _ in range(2))
    archive.bundle([frozen], "deep")
    archive.bundles.apply_removal(archive.bundles.plan_removal("deep"))
    archive.bundles.move_to_class("deep", "GLACIER")
    with pytest.raises(IntegrityError, match=r"deep.* is in cold storage.* 1 of 2 runs were copied"):
        archive.copy_to(archiver.open(tmp_path / "b"))
    assert archiver.open(tmp_path / "b").run_ids() == [free]


def test_a_damaged_bundle_is_not_copied(tmp_path: Path) -> None:
    archive, _ = _archived(tmp_path / "a", 1.0)
    key = layout.bundle_key("same")
    whole = archive.store.get(key)
    for at in (len(whole) // 2, len(whole) - 20, 40):
        # Some single bits are padding, and what is read through them is whole.
        archive.store.put(
            key, whole[:at] + bytes(byte ^ 0xFF for byte in whole[at : at + 8]) + whole[at + 8 :]
        )
        other = archiver.open(tmp_path / f"b{at}")
        with pytest.raises(IntegrityError, match=r"same\.tar\.zst .* 0 of 1 runs were copied"):
            archive.copy_to(other)
        assert other.run_ids() == []
        assert other.bundles.names() == []
    archive.store.put(key, whole[:-100])
    with pytest.raises(IntegrityError, match="cut off"):
        archive.copy_to(archiver.open(tmp_path / "b"))
    archive.store.put(key, whole)
    archive.copy_to(archiver.open(tmp_path / "b"))
    assert open_store(tmp_path / "b").get(key) == whole


@pytest.mark.parametrize("when", [layout.RUNS, layout.TAGS])
def test_a_run_that_is_pruned_meanwhile_stops_no_other(tmp_path: Path, when: str) -> None:
    archive = archiver.open(tmp_path / "a")
    rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
    pruned, kept = (archive.save_universe_results("u", rows, code="none").id for _ in range(2))
    target = archiver.open(tmp_path / "b")
    target.create()

    class Pruning(PassingStore):
        def list(self, prefix: str = "") -> Iterator[Entry]:
            key = layout.record_key(pruned)
            if prefix == when and self.inner.stat(key):
                self.inner.put(layout.trash_key(pruned), self.inner.get(key))
                self.inner.delete([key])
            return super().list(prefix)

    moved = transfer(Pruning(archive.store), target.store, archive.run_ids())
    assert (moved.runs, moved.there) == ((kept,), ())
    assert target.run_ids() == [kept]
    assert target.verify(read_data=True).ok
    with pytest.raises(NotFoundError, match="no run 20250101T000000Z-00000000"):
        transfer(archive.store, target.store, ["20250101T000000Z-00000000"])


def test_the_next_records_are_read_while_the_last_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_BATCH", 2)
    store = open_store(tmp_path / "a")
    runs = many(store, 5)
    target = archiver.open(tmp_path / "b")
    target.create()
    ahead = {run: threading.Event() for run in runs}

    class Read(PassingStore):
        def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if (run := layout.run_of_record(key)) is not None:
                ahead[run].set()
            return super().get(key, start, end)

    class Written(PassingStore):
        def put(self, key: str, data: bytes, *, create: bool = False) -> None:
            if (run := layout.run_of_record(key)) is not None:
                following = (runs.index(run) // 2 + 1) * 2
                assert following >= len(runs) or ahead[runs[following]].wait(30)
                if following + 2 < len(runs):  # no more is held than the next
                    assert not ahead[runs[following + 2]].is_set()
            super().put(key, data, create=create)

    moved = transfer(Read(store), Written(target.store), runs)
    assert (sorted(moved.runs), target.run_ids()) == (runs, runs)
    assert target.verify(read_data=True).ok


def test_each_damaged_run_is_named(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
    runs = [archive.save_universe_results("u", rows, code="none").id for _ in range(7)]
    for run in runs[:3]:
        flip(archive.store, layout.tier2_key("u", run))
    with pytest.raises(IntegrityError) as found:
        archive.copy_to(archiver.open(tmp_path / "b"))
    assert all(run in str(found.value) for run in runs[:3])
    assert str(found.value).endswith("; 4 of 7 runs were copied, the damaged ones were not")
    for run in runs[3:6]:
        flip(archive.store, layout.tier2_key("u", run))
    with pytest.raises(IntegrityError, match=r"; and 1 more; 1 of 7 runs were copied"):
        archive.copy_to(archiver.open(tmp_path / "c"))


def _small(folder: Path | str, runs: int = 1, strategies: int = 100) -> Archive:
    """Make an archive of runs that have metrics and details of their own, a tape and code."""
    from tests.stores import save

    store = open_store(folder)
    for at in range(runs):
        save(store, f"u{at}", strategies=strategies, bars=40, code=b"x", tags=["t"])
    return Archive(store)


@pytest.mark.parametrize("order", [1, -1], ids=["copy first", "gc first"])
@pytest.mark.parametrize("left", one_in(2, [True, False]), ids=["interrupted", "empty"])
@pytest.mark.parametrize("how", ["copy", "restore", "save"])
@pytest.mark.parametrize("every", PAIRED)
def test_a_gc_without_any_grace_takes_nothing_from_what_arrives(
    every: int, order: int, left: bool, how: str, tmp_path: Path
) -> None:
    from archiver.retention.gc import collect
    from tests.stores import fresh_store, save, snapshot

    source = _small(f"memory://source-{tmp_path.name}")
    # One call after the other.
    source = Archive(SharedStore(source.store, -1, lambda: None))
    (run,) = source.run_ids()
    source.bundle([run], str(tmp_path / "b.tar.zst"))
    objects = snapshot(source.store)

    def arrive(store: Store) -> None:
        archive = Archive(store)
        if how == "copy":
            source.copy_to(archive)
        elif how == "restore":
            archive.bundles.restore(str(tmp_path / "b.tar.zst"))
        else:
            save(store, "u9", strategies=100, bars=40, code=b"x")

    def free(store: Store) -> None:
        collect(store, grace="0d", apply=True, allow_empty=True)

    # Of a copy that died before its record.
    there = {
        key: data
        for key, data in objects.items()
        if key == layout.ARCHIVE or (left and not key.startswith(layout.RUNS))
    }
    both = [lambda _: arrive, lambda _: free][::order]
    count = 0
    for store in interleavings(lambda: fresh_store(there), *both, every):
        report = Archive(store).verify(read_data=True)
        assert report.ok, report.problems
        assert report.runs == 1
        count += 1
    assert count > 1


@pytest.mark.parametrize("runs", [1, 12])
def test_a_later_copy_gives_back_what_the_target_lost(runs: int, tmp_path: Path) -> None:
    source, target = _small(tmp_path / "a", runs), opened(tmp_path / "b")
    chosen = source.run_ids()[:1] if runs > 1 else None
    source.copy_to(target)
    whole = everything(target.store)
    own = [key for key in whole if key.startswith(("tier1/", "tier2/")) and source.run_ids()[0] in key]
    assert len(own) == 2
    for key in own:
        target.store.delete([key])
        again = source.copy_to(opened(tmp_path / "b"), chosen)
        assert (again.runs, again.objects) == ((source.run_ids()[0],), 1)
        assert everything(target.store) == whole
        assert source.copy_to(target, chosen).objects == 0


def test_details_that_the_target_gave_up_stay_away_where_other_objects_are_given_back(tmp_path: Path) -> None:
    source, target = _small(tmp_path / "a", 2), opened(tmp_path / "b")
    source.copy_to(target)
    target.apply(target.plan_prune(archiver.Policy(keep_last=0, tiers=2), allow_empty=True), max_remove=1)
    run = source.run_ids()[0]
    record = target.store.get(layout.record_key(run))
    (lost,) = [entry.key for entry in target.store.list("tier1/") if run in entry.key]
    target.store.delete([lost])
    assert source.copy_to(target, [run]).objects == 1
    assert target.store.get(layout.record_key(run)) == record
    assert target.verify().ok
