"""gc on buckets that keep old versions: what it says, what it removes on request, and what it must leave alone."""

from __future__ import annotations

import json

import pytest
import s3fs

import archiver
from archiver.archive import Archive
from archiver.errors import AccessError, NotFoundError, PolicyError, StorageError
from archiver.format import layout
from archiver.health.usage import df, du
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.store import Store
from archiver.store.entry import Version
from archiver.store.s3.store import S3Store
from tests.conftest import Cli, Place
from tests.faults import DiedError
from tests.stores import MovedStore, PassingStore, save
from tests.thinned import one_in

pytestmark = pytest.mark.usefixtures("details_apart")


def versioned(place: Place) -> S3Store:
    """Open a place whose bucket keeps old versions."""
    store = place.open()
    assert isinstance(store, S3Store)
    fs = s3fs.S3FileSystem(**place.options)
    fs.call_s3("put_bucket_versioning", Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    return store


def freed(store: Store) -> tuple[str, str]:
    """Save two runs that share a tape, and have gc free the older one. Return their ids."""
    old = save(store, "u", days=90, bars=60, strategies=100, code=b"shared()", tags=["t"]).run
    save(store, "u", days=80, bars=80, code=b"alone()")
    new = save(store, "u", bars=60, code=b"shared()").run
    archive = Archive(store)
    archive.apply(archive.plan_prune(Policy(keep_within="30d")), max_remove=1)
    assert collect(store, grace="0d", apply=True).kinds["tier2"].objects == 2
    return old, new


def hidden(store: Store) -> list[Version]:
    return [one for one in store.versions() if one.marker or not one.latest]


@pytest.mark.parametrize("kind", ["file", "memory", "rclone", "moto"])
def test_where_no_versions_are_kept_there_are_none(kind: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(f"{kind}_place").open()
    old, _ = freed(store)
    assert store.keeps_versions() is (None if kind == "memory" else False)
    assert list(store.versions()) == []
    done = collect(store, grace="0d", apply=True, versions=True)
    assert (done.freed, done.old, done.kinds["versions"].objects) == (kind != "memory", None, 0)
    assert "old versions" not in du(store).parts
    assert old not in Archive(store).run_ids()


def test_what_a_bucket_keeps_is_deleted_and_not_freed(moto_place: Place) -> None:
    store = versioned(moto_place)
    freed(store)
    done = collect(store, grace="0d")
    kept = hidden(store)
    size = sum(one.size for one in kept)
    assert size > 1_000
    assert (done.freed, done.old) == (False, (len(kept), size))
    part = du(store).parts["old versions"]
    assert (part.objects, part.bytes) == (len(kept), size)
    (budget,) = df(store, 10**9)
    assert budget.used == size + sum(entry.size for entry in store.list())


def test_the_command_says_so(moto_place: Place, command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    store = versioned(moto_place)
    freed(store)
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", json.dumps(moto_place.options))
    url = ["--url", moto_place.url]
    code, _, err = command("gc", "--grace", "0d", "--apply", *url)
    assert code == 0
    assert "deleted: 0 objects" in err
    assert "freed" not in err
    assert "the bucket keeps" in err
    assert "--versions" in err
    _, out, _ = command("gc", "--grace", "0d", "--json", *url)
    assert json.loads(out)["freed"] is False
    assert json.loads(out)["old_versions"]["bytes"] > 1_000
    code, out, _ = command("gc", "--grace", "0d", "--versions", "--apply", "--json", *url)
    assert code == 0
    assert json.loads(out)["kinds"]["versions"]["objects"] > 10
    _, out, _ = command("du", *url)
    assert "old versions" in out


def test_old_versions_of_what_gc_deleted_go_when_their_grace_is_over(moto_place: Place) -> None:
    store = versioned(moto_place)
    moved = MovedStore(store)
    old, new = freed(store)
    listed = {
        entry.key: store.get(entry.key) for entry in store.list() if not entry.key.startswith(layout.MASKS)
    }
    store.put("notes/mine.txt", b"mine")
    store.delete(["notes/mine.txt"])
    store.put(layout.bundle_key("b"), b"a bundle")
    store.delete([layout.bundle_key("b")])
    before = {(one.key, one.version) for one in store.versions()}

    assert collect(moved, apply=True, versions=True).kinds["versions"].objects == 0
    moved.move(days=8)
    dry = collect(moved, versions=True)
    assert {(one.key, one.version) for one in store.versions()} >= before
    done = collect(moved, apply=True, versions=True)
    assert done.failed == {}
    # The look at the clock is an object of its own.
    assert 0 <= done.kinds["versions"].bytes - dry.kinds["versions"].bytes < 100
    assert dry.kinds["versions"].bytes > 1_000
    assert dry.kinds["versions"].objects <= done.kinds["versions"].objects
    left = {one.key for one in store.versions()}
    assert not [key for key in left if old in key]
    assert {"notes/mine.txt", layout.bundle_key("b")} <= left
    assert {entry.key: store.get(entry.key) for entry in store.list()}.items() >= listed.items()
    assert Archive(store).verify(read_data=True).ok
    assert Archive(store).run_ids() == [new]


def test_what_a_record_needs_keeps_its_versions_and_so_do_runs_in_the_trash(moto_place: Place) -> None:
    store = versioned(moto_place)
    kept = save(store, "u", strategies=100, bars=60).run
    lost = [layout.tier1_key("u", kept), layout.tier2_key("u", kept)]
    data = [store.get(key) for key in lost]
    pruned = save(store, "u", days=90).run
    archive = Archive(store)
    archive.apply(archive.plan_prune(Policy(keep_within="30d")), max_remove=1)
    store.delete(lost)  # by mistake

    class Held(MovedStore):
        """The record in the trash is young, all else is old."""

        def list(self, prefix: str = ""):  # type: ignore[no-untyped-def]
            young = self.now()
            return (
                entry._replace(modified=young) if entry.key.startswith(layout.TRASH) else entry
                for entry in super().list(prefix)
            )

    held = Held(store)
    held.move(days=3)
    collect(held, grace="2d", apply=True, versions=True)
    assert archive.undelete(pruned).id == pruned
    versions = list(store.versions())
    assert [one.size for one in versions if one.key in lost and not one.marker] == [len(one) for one in data]


def test_nothing_that_was_replaced_or_written_anew_is_touched(moto_place: Place) -> None:
    store = versioned(moto_place)
    old, new = freed(store)
    again = layout.tier2_key("u", old)
    store.put(again, b"written anew")
    store.put(layout.record_key(new), store.get(layout.record_key(new)))
    before = [one for one in store.versions() if one.key in (again, layout.record_key(new))]
    collect(store, grace="1h", apply=True, versions=True)
    assert [one for one in store.versions() if one.key in (again, layout.record_key(new))] == before


def test_what_packs_replaced_is_freed_and_what_may_be_all_that_is_left_stays(moto_place: Place) -> None:
    store = versioned(moto_place)
    moved = MovedStore(store)
    archive = Archive(moved)
    for days in (9, 8, 7):  # each packs the pack before again
        for more in range(3):
            save(moved, "u", days=days + more / 10, detail=False)
        archive.compact()
        moved.move(hours=2)
        collect(moved, grace="1h", apply=True)
    runs = archive.run_ids()
    live = {entry.key for entry in store.list(layout.PACKS)}
    (commit,) = [key for key in live if key.endswith(layout.RECORD_SUFFIX)]
    assert len({one.key for one in store.versions(layout.PACKS)}) == 3 * len(live)
    moved.move(days=8)
    done = collect(moved, apply=True, versions=True)
    assert done.failed == {}
    assert {one.key for one in store.versions(layout.PACKS)} == live
    assert list(store.versions(layout.RUNS)) == []
    assert (len(runs), archive.run_ids(), archive.verify(read_data=True).ok) == (9, runs, True)
    save(moved, "u", days=1)
    store.delete([commit])  # by mistake
    moved.move(days=8)
    collect(moved, apply=True, versions=True)
    kept = [one for one in store.versions(layout.PACKS) if one.key in live and not one.marker]
    assert {one.key for one in kept} == live
    for one in kept:
        moved.put(one.key, store.get_version(one))
    assert set(Archive(store).run_ids()) > set(runs)
    with pytest.raises(NotFoundError):
        store.get_version(kept[0]._replace(key=layout.PACKS + "none"))


def test_versions_of_the_parts_of_a_run_go_once_it_is_over_and_not_before(moto_place: Place) -> None:
    store = versioned(moto_place)
    moved = MovedStore(store)
    archive = Archive(moved, code="none")
    done, still = archive.start("u"), archive.start("u")
    for run in (done, still):
        run.add({"strategy_name": "s", "sharpe": 1.0})
    done.finish()
    lost = [entry.key for entry in store.list(f"{layout.OPEN}{still.id}/") if "/start" not in entry.key]
    store.delete(lost)  # by mistake
    moved.move(days=40)
    collect(moved, apply=True)
    moved.move(days=8)
    assert collect(moved, apply=True, versions=True).failed == {}
    left = {one.key for one in store.versions(layout.OPEN)}
    assert not [key for key in left if done.id in key]
    assert len(lost) == 1
    assert set(lost) < left


@pytest.mark.parametrize("at", one_in(2, [0, 1]))
def test_a_removal_that_dies_brings_nothing_back(moto_place: Place, at: int) -> None:
    store = versioned(moto_place)
    freed(store)
    listed = {entry.key for entry in store.list()}

    class Dying(PassingStore):
        calls = 0

        def delete_versions(self, versions):  # type: ignore[no-untyped-def]
            if self.calls == at:
                raise DiedError
            self.calls += 1
            return super().delete_versions(versions)

    with pytest.raises(DiedError):
        collect(Dying(store), grace="0d", apply=True, versions=True)
    assert {entry.key for entry in store.list()} == listed
    collect(store, grace="0d", apply=True, versions=True)
    assert {entry.key for entry in store.list()} == listed


def test_nothing_is_removed_under_object_lock(moto_place: Place) -> None:
    fs = s3fs.S3FileSystem(**moto_place.options)
    bucket = f"{moto_place.url.removeprefix('s3://').partition('/')[0]}-locked"
    fs.call_s3("create_bucket", Bucket=bucket, ObjectLockEnabledForBucket=True)
    archive = archiver.open(f"s3://{bucket}/a", **moto_place.options)
    freed(archive.store)
    before = list(archive.store.versions())
    for apply in (False, True):
        with pytest.raises(PolicyError, match="Object Lock"):
            archive.gc("0d", apply=apply, versions=True)
    assert list(archive.store.versions()) == before
    assert archive.gc("0d", apply=True).old is not None


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented")])
def test_a_bucket_that_does_not_say_is_not_called_free(
    status: int, code: str, wired_place: Place, wire
) -> None:  # type: ignore[no-untyped-def]
    store = wired_place.open(deadline=5)
    save(store)
    wire.fault("answer", "GET", status=status, code=code)
    assert store.keeps_versions() is (None if status == 403 else False)
    wire.fault("answer", "GET", status=403, code="AccessDenied")
    with pytest.raises((AccessError, StorageError)):
        store.refuse_locked()
