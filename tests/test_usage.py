"""du adds up to what is stored, df tells what is left, and a save that does not fit is refused before it writes."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, StorageFullError
from archiver.format import layout
from archiver.health.usage import Guard, Space, df, du, level
from archiver.retention.policy import Policy
from archiver.runs.tags import put_tag
from archiver.runs.write import draft_run
from archiver.store import Store, open_store
from tests.faults import flip
from tests.stores import result, save, snapshot

pytestmark = pytest.mark.usefixtures("details_apart")

Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return open_store(tmp_path / "archive")


def test_parts_add_up_to_the_bytes_in_the_store(store: Store) -> None:
    shared = {"bars": 60, "code": b"shared()"}
    old = save(store, "a/b", days=90, strategies=100, tags=["t"], **shared)  # type: ignore[arg-type]
    save(store, "a/b", days=80, bars=90)
    new = save(store, "ü", **shared)  # type: ignore[arg-type]
    put_tag(store, old.run, "later")
    archive = Archive(store)
    archive.apply(
        archive.plan_prune(Policy(keep_within="75d", universe="a*"), allow_empty=True), max_remove=1
    )
    archive.undelete(old.run)
    orphans = draft_run("a/b", [result("x")], top_n=1).own
    for key, data in {**orphans, "bundles/x.tar.zst": b"bundle", "notes.txt": b"mine"}.items():
        store.put(key, data)

    usage = du(store, runs=True)
    stored = snapshot(store)
    assert (usage.total.objects, usage.total.bytes) == (len(stored), sum(map(len, stored.values())))

    def size(*keys: str) -> int:
        return sum(len(stored[key]) for key in keys)

    own = usage.universes["a/b"]
    assert own.runs == 1
    assert own.bytes == own.records + own.tier1 + own.tier2
    assert own.records == size(layout.record_key(old.run))
    assert own.tier1 == size(layout.tier1_key("a/b", old.run))
    assert own.tier2 == size(layout.tier2_key("a/b", old.run))
    assert usage.universes["ü"].tier1 == 0
    parts = {name: (part.objects, part.bytes) for name, part in usage.parts.items()}
    assert parts["orphans"] == (1, size(*orphans))
    assert parts["trash"][0] == 3  # the record, its details, and the tape that nothing else uses
    assert parts["tapes"] == (1, size(old.tapes[0].key))
    assert parts["code"][0] == 1
    assert parts["bundles"] == (1, 6)
    assert parts["not archiver's"] == (1, 4)
    assert parts["tags"] == (1, 0)
    assert usage.shared_saves == old.tapes[0].size
    assert {run.run: run.shared for run in usage.runs} == {
        old.run: old.tapes[0].size + 8,
        new.run: old.tapes[0].size + 8,
    }
    assert usage.unreadable == []


def test_every_area_has_a_part_of_its_own(local: Store) -> None:
    keys = [f"{area}x" for area in layout.AREAS]
    for key in keys:
        local.put(key, b"1")
    parts = du(local).parts
    assert "not archiver's" not in parts
    assert sum(part.bytes for part in parts.values()) == len(keys)


def test_a_damaged_record_is_named_and_the_rest_counted(local: Store) -> None:
    record = save(local)
    other = save(local)
    flip(local, layout.record_key(record.run))
    usage = du(local)
    assert usage.unreadable == [layout.record_key(record.run)]
    assert usage.part("orphans").objects == 1
    assert usage.universes["u"].runs == 1
    assert usage.total.bytes == sum(map(len, snapshot(local).values()))
    assert other.run


def test_unfinished_writes_count(local: Store) -> None:
    save(local)
    (local.local or Path()).joinpath("tier2/.archiver-tmp-0123").write_bytes(b"half")
    assert du(local).part("unfinished writes").bytes == 4


def test_df_tells_of_the_disk_and_of_the_budget(local: Store) -> None:
    disk = shutil.disk_usage(local.local.parent)  # type: ignore[union-attr]
    (space,) = df(local, None)  # before anything is saved
    assert (space.kind, space.total) == ("disk", disk.used + disk.free)
    assert 0 < space.percent < 100
    save(local)
    stored = sum(map(len, snapshot(local).values()))
    budget, _ = df(local, stored * 4)
    assert budget == Space("budget", stored * 4, stored, stored * 3, stored)
    assert budget.percent == 25
    (full, *_) = df(local, stored // 2)
    assert (full.free, full.percent > 100) == (0, True)
    assert df(open_store("memory://nothing/here"), None) == []


def test_levels() -> None:
    space = Space("disk", 100, 80, 20)
    assert level(space, None, None) == level(space, 80.1, 95) == "ok"
    assert level(space, 80, 95) == level(space, 80, None) == "warning"
    assert level(space, 70, 80) == level(space, None, 80) == "critical"
    for warn, fail in ((101, None), (None, -1)):
        with pytest.raises(ConfigError, match="percentage"):
            level(space, warn, fail)


def test_a_save_that_the_disk_has_no_room_for_is_refused_before_it_writes(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(local, guard=Guard(local, min_free=1_000_000, budget=None))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 10**9 - 1_000_100, 1_000_100))
    with pytest.raises(StorageFullError, match=r"1.0 MB must stay \(min_free\).*nothing was written"):
        archive.save_universe_results("u", [result("s")], code="none")
    assert not snapshot(local)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 0, 1_800_000))
    with pytest.warns(UserWarning, match="1.8 MB are free"):
        archive.save_universe_results("u", [result("s")], code="none")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 0, 2_100_000))
    archive.save_universe_results("u", [result("s")], code="none")
    assert len(archive.runs()) == 2


def test_where_the_system_does_not_tell_the_save_goes_on(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: Path) -> Disk:
        raise OSError(38, "not implemented")

    monkeypatch.setattr(shutil, "disk_usage", unknown)
    Guard(local, min_free=10**15, budget=None).check(1)
    assert df(local, None) == []
    # What some network mounts say of a disk whose size they do not know.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 0))
    Guard(local, min_free=10**15, budget=None).check(1)
    assert df(local, None) == []


def test_a_save_beyond_the_budget_is_refused_and_one_near_it_warns(store: Store) -> None:
    save(store)
    stored = sum(map(len, snapshot(store).values()))
    guard = Guard(store, min_free=0, budget=stored * 3)
    guard.check(stored)  # two thirds of it
    with pytest.warns(UserWarning, match="of its budget of"):
        guard.check(int(stored * 0.8))  # what was let through before counts, without a listing
    store.put("notes.txt", bytes(stored * 2))
    with pytest.raises(StorageFullError, match=r"nothing was written.*`archiver gc`"):
        guard.check(stored)
    store.delete(["notes.txt"])
    guard.check(stored)  # room was made


def test_settings_reach_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archiver.toml").write_text('url = "here"\nbudget = "1kB"\n[[policy]]\nkeep_last = 1\n')
    archive = archiver.open()
    with pytest.raises(StorageFullError, match=r"budget of 1.0 kB"):
        archive.save_universe_results(
            "u", [{"strategy_name": "s", "noise": "x" * 5_000}] * 1, params={"p": 1}
        )
    assert not (tmp_path / "here").exists()
    monkeypatch.setenv("ARCHIVER_MIN_FREE", "900PB")
    monkeypatch.setenv("ARCHIVER_BUDGET", "")
    with pytest.raises(StorageFullError, match="min_free"):
        archiver.open().save_universe_results("u", [{"strategy_name": "s"}])
