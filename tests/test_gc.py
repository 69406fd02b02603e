"""gc: what it frees, what it must never free, and what happens when calls fail or others act in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from archiver.archive import Archive
from archiver.errors import FormatError, IntegrityError, PolicyError, StorageError
from archiver.format import layout
from archiver.health.usage import du
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.runs.tags import put_tag
from archiver.runs.write import draft_run
from archiver.store import Store, open_store
from archiver.store.entry import Entry
from tests.conftest import Place
from tests.faults import CALLS, FAULT, DiedError, FaultyStore, failing, flip
from tests.stores import (
    THINNED,
    Frozen,
    MovedStore,
    PassingStore,
    SharedStore,
    StubbornStore,
    fresh_store,
    of_format_3,
    result,
    save,
    snapshot,
)
from tests.wire import Wire

pytestmark = pytest.mark.usefixtures("details_apart")

OLD = Policy(keep_within="30d")


@pytest.fixture
def moved(tmp_path: Path) -> MovedStore:
    return MovedStore(open_store(tmp_path / "archive"))


def keys(store: Store) -> set[str]:
    return {entry.key for entry in store.list()}


def prune(store: Store, policy: Policy = OLD) -> None:
    archive = Archive(store)
    archive.apply(archive.plan_prune(policy, allow_empty=True), max_remove=1)


def filled(store: Store) -> tuple[str, str]:
    """Save an old run and a new one that share a tape and code, and each has its own, too. Return their ids."""
    old = save(store, days=90, bars=60, strategies=100, code=b"shared()", tags=["t"]).run
    save(store, days=80, bars=80, code=b"alone()")
    new = save(store, bars=60, code=b"shared()", tags=["t"]).run
    for run in (old, new):
        put_tag(store, run, "later")
    return old, new


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    """Give what `filled` saves, once for all points at which something may fail."""
    store = fresh_store()
    runs = filled(store)
    return Frozen(snapshot(store), runs)


def test_frees_everything_of_pruned_runs_and_nothing_else(store: Store) -> None:
    alone = open_store(f"memory://{id(store)}/alone")
    moved = MovedStore(store)
    _, new = filled(moved)
    for entry in store.list():
        if new in entry.key or entry.key.startswith(("tapes/", "code/")) or entry.key == layout.ARCHIVE:
            alone.put(entry.key, store.get(entry.key))
    prune(moved)
    kept = snapshot(moved)

    moved.move(days=6)
    for apply in (False, True):
        assert collect(moved, apply=apply).objects == 0
    assert snapshot(moved) == kept

    moved.move(days=1.5)
    dry = collect(moved)
    assert snapshot(moved) == kept
    done = collect(moved, apply=True)
    assert {kind: (one.objects, one.bytes) for kind, one in done.kinds.items()} == {
        kind: (one.objects, one.bytes) for kind, one in dry.kinds.items()
    }
    assert {kind: one.objects for kind, one in done.kinds.items() if one.objects} == {
        "trash": 2,
        "tier1": 1,
        "tier2": 2,
        "tapes": 1,
        "code": 1,
        "tags": 1,
    }
    left = snapshot(alone)
    for key in [key for key in left if key.startswith(("tapes/", "code/"))]:
        if key not in snapshot(store):
            del left[key]
    assert snapshot(store) == left
    assert len([key for key in left if key.startswith(("tapes/", "code/"))]) == 2
    assert Archive(store).verify(read_data=True).ok
    assert collect(moved, apply=True).objects == 0


def test_frees_what_crashed_saves_left(moved: MovedStore) -> None:
    save(moved)
    before = snapshot(moved)
    for at in range(30):
        faulty = FaultyStore(moved, at, die=True)
        try:
            save(faulty, bars=50 + at, strategies=100, code=bytes([at]), tags=["pinned"])
        except DiedError:
            continue
        break
    else:
        pytest.fail("a save has fewer calls")
    whole = {run.id for run in Archive(moved).runs()}
    (moved.local or Path()).joinpath("tier2/.archiver-tmp-0123456789abcdef").write_bytes(b"half")
    assert len(keys(moved)) > len(before) + 20
    assert collect(moved, apply=True).objects == 0
    moved.move(days=8)
    later = save(moved, bars=50, code=bytes([0])).run
    (moved.local or Path()).joinpath("tier2/.archiver-tmp-later").write_bytes(b"half")
    found = collect(moved, apply=True)
    assert found.kinds["tier1"].objects > 2
    assert found.kinds["tags"].objects >= 1
    assert found.kinds["leftovers"].objects == 2
    assert {run.id for run in Archive(moved).runs()} == {*whole, later}
    assert Archive(moved).verify(read_data=True).ok
    assert snapshot(moved).items() >= before.items()


def test_a_save_in_flight_is_protected_by_the_grace(moved: MovedStore) -> None:
    save(moved)
    at = 0
    while True:
        shared = SharedStore(moved, at, lambda: collect(moved, apply=True))
        save(shared, bars=60, strategies=100, code=b"x")
        assert Archive(moved).verify(read_data=True).ok
        if shared.calls <= at:
            break
        at += 1
    assert at > 5


@pytest.mark.parametrize("every", THINNED)
def test_what_is_committed_while_gc_runs_stays_even_without_any_grace(every: int, frozen: Frozen) -> None:
    """The listing comes before the records: with no grace at all, only saves in flight are in danger."""
    for at in count(0, every):
        store = fresh_store(frozen.objects)
        prune(store)
        # The same tape and code as a run whose grace is over, and some of its own.
        shared = SharedStore(
            store, at, lambda store=store: save(store, bars=80, strategies=100, code=b"alone()")
        )  # type: ignore[misc]
        collect(shared, grace="0d", apply=True)
        archive = Archive(store)
        assert archive.verify(read_data=True).ok
        assert len(archive.runs()) == (2 if shared.calls > at else 1)
        if shared.calls <= at:
            break
    assert at > 20


@pytest.mark.parametrize("act", ["undelete", "prune", "gc"])
@pytest.mark.parametrize("every", THINNED)
def test_whatever_others_do_meanwhile_nothing_is_lost(act: str, every: int, frozen: Frozen) -> None:
    for at in count(len(act) % every, every):
        store, (old, new) = fresh_store(frozen.objects), frozen.runs
        prune(store, Policy(keep_within="85d"))
        prune(store, Policy(keep_within="30d", tiers=2))
        kept = {new}

        def other(store: Store = store, old: str = old, kept: set[str] = kept) -> None:
            if act == "gc":
                collect(store, grace="0d", apply=True)
            elif act == "prune":
                prune(store)
            elif store.stat(layout.trash_key(old)) is not None:
                with suppress(IntegrityError):
                    kept.add(Archive(store).undelete(old).id)

        shared = SharedStore(store, at, other)
        collect(shared, grace="0d" if act == "gc" else "0h", apply=True)
        archive = Archive(store)
        runs = {run.id for run in archive.runs()}
        assert runs >= kept - {old}
        assert archive.verify(read_data=True).ok
        if act == "prune":
            # Pruned while gc ran: whatever happened to its details, its metrics can be brought back.
            for run in archive.trash():
                archive.undelete(run.id)
            assert archive.verify(read_data=True).ok
        if shared.calls <= at:
            break
    assert at > 20


@FAULT
@CALLS
def test_a_gc_that_fails_at_any_call_leaves_a_sound_archive_and_can_be_run_again(
    die: bool, when: str, every: int, frozen: Frozen
) -> None:
    pruned, (_, new) = fresh_store(frozen.objects), frozen.runs
    prune(pruned)
    objects = snapshot(pruned)

    def free(store: Store) -> None:
        collect(store, grace="0d", apply=True)

    left: set[str] | None = None
    for store, failed in failing(lambda: fresh_store(objects), free, die=die, when=when, every=every):
        archive = Archive(store)
        assert archive.verify(read_data=True).ok
        assert [run.id for run in archive.runs()] == [new]
        if failed:
            free(store)
        names = {key for key in keys(store) if new not in key}
        left = left or names
        assert names == left


def test_what_the_store_refuses_to_delete_is_reported_and_the_rest_goes_on(moved: MovedStore) -> None:
    old, _ = filled(moved)
    prune(moved)
    moved.move(days=8)
    tier1 = layout.tier1_key("u", old)
    done = collect(StubbornStore(moved, lambda key: key == tier1), apply=True)
    assert list(done.failed) == [tier1]
    assert done.kinds["tier2"].objects == 2
    assert collect(moved, apply=True).kinds["tier1"].objects == 1


def test_data_of_a_pruned_run_stays_while_its_record_cannot_be_deleted(moved: MovedStore) -> None:
    old, _ = filled(moved)
    prune(moved)
    moved.move(days=8)
    done = collect(StubbornStore(moved, lambda key: key == layout.trash_key(old)), apply=True)
    assert list(done.failed) == [layout.trash_key(old)]
    assert moved.stat(layout.tier1_key("u", old)) is not None
    Archive(moved).undelete(old)
    assert Archive(moved).verify(read_data=True).ok


@pytest.mark.parametrize("place", ["runs", "trash"])
def test_a_record_that_cannot_be_read_ends_gc_and_is_named(moved: MovedStore, place: str) -> None:
    old, new = filled(moved)
    prune(moved)
    moved.move(days=8)
    key = layout.record_key(new) if place == "runs" else layout.trash_key(old)
    clean = moved.inner.get(key)
    flip(moved.inner, key)
    before = snapshot(moved)
    for apply in (False, True):
        with pytest.raises(IntegrityError, match=key):
            collect(moved, apply=apply)
    moved.inner.put(key, of_format_3(clean))
    with pytest.raises(FormatError, match=f"{key} is of format 3"):
        collect(moved, apply=True)
    moved.inner.put(key, clean)
    assert snapshot(moved).keys() == before.keys()


def test_what_was_set_aside_keeps_its_data(moved: MovedStore) -> None:
    old, new = filled(moved)
    for run, damage in ((old, True), (new, False)):
        data = moved.get(layout.record_key(run))
        moved.put(f"quarantine/runs/{run}.json.zst", data[:-3] if damage else data)
        moved.delete([layout.record_key(run)])
    before = keys(moved)
    moved.move(days=30)
    collect(moved, apply=True)
    gone = before - keys(moved)
    assert not [key for key in gone if old in key or new in key]
    moved.put(layout.record_key(new), data)
    assert Archive(moved).verify(read_data=True).ok


def test_only_the_clock_of_the_store_counts(moved: MovedStore) -> None:
    save(moved, days=5000)
    (orphan,) = draft_run("u", [result("x")], top_n=1).own.items()
    moved.put(*orphan)
    moved.move(days=-1)  # the store's clock steps back by a day: everything is younger
    assert collect(moved, apply=True).objects == 0
    moved.move(days=9)
    assert collect(moved, apply=True).objects == 1


def test_an_object_that_was_put_anew_stays(moved: MovedStore) -> None:
    (orphan,) = draft_run("u", [result("x")], top_n=1).own.items()
    save(moved)
    moved.put(*orphan)
    moved.move(days=8)
    lists = []

    class Putting(MovedStore):
        def list(self, prefix: str = ""):  # type: ignore[no-untyped-def]
            lists.append(prefix)
            if lists.count(layout.TIER2) == 2 and prefix == layout.TIER2:
                moved.put(*orphan)
            return moved.list(prefix)

    putting = Putting(moved)
    assert collect(putting, apply=True).objects == 0
    assert lists.count(layout.TIER2) == 2


def test_what_is_not_archivers_is_left_alone(moved: MovedStore) -> None:
    save(moved)
    foreign = [
        "notes.txt",
        "tier2/notes.txt",
        "tier1/universe=u/other.parquet",
        "tapes/README",
        "code/zz/short.zst",
        "bundles/x.tar.zst",
        "tags/t/README",
        "trash/readme",
        "other/runs/x",
    ]
    for key in foreign:
        moved.put(key, b"mine")
    moved.move(days=300)
    assert collect(moved, grace="0d", apply=True).objects == 0
    assert keys(moved) >= set(foreign)


def test_catalogs_of_old_and_dead_probes_go(moved: MovedStore) -> None:
    save(moved)
    save(moved)
    moved.put("trash/probe-0123", b"archiver")
    run = Archive(moved).runs()[0].id
    moved.put(f"catalog/{run}--{run}--0123abcd.jsonl.zst", b"broken")
    moved.put("catalog/another.jsonl.zst", b"of somebody else")
    assert collect(moved, apply=True).objects == 0
    moved.move(hours=2)
    done = collect(moved, apply=True)
    assert (done.kinds["catalog"].objects, done.kinds["leftovers"].objects) == (1, 1)
    assert [key for key in keys(moved) if key.startswith("catalog/")] == ["catalog/another.jsonl.zst"]
    assert len(Archive(moved).runs()) == 2


def test_much_data_without_any_record_is_not_taken_for_garbage(moved: MovedStore) -> None:
    record = save(moved)
    for at in range(1_200):
        moved.put(layout.code_key(f"{at:064x}"), b"x")
    moved.delete([layout.record_key(record.run)])
    moved.move(days=8)
    assert collect(moved).objects == 1_201
    with pytest.raises(PolicyError, match=r"no run at all.*--allow-empty"):
        collect(moved, apply=True)
    assert collect(moved, apply=True, allow_empty=True).objects == 1_201


def test_a_listing_that_fails_is_never_empty(moved: MovedStore) -> None:
    filled(moved)
    prune(moved)
    moved.move(days=8)
    before = snapshot(moved)
    for prefix in (layout.RUNS, layout.TRASH, layout.TIER2, layout.CODE, layout.QUARANTINE):

        class Failing(MovedStore):
            def list(self, wanted: str = "", failing: str = prefix):  # type: ignore[no-untyped-def]
                found = list(moved.list(wanted))
                yield from found[: len(found) // 2]
                if wanted == failing:
                    raise StorageError("the listing broke off: try again")
                yield from found[len(found) // 2 :]

        failing = Failing(moved)
        failing.move(days=8)
        with pytest.raises(StorageError, match="broke off"):
            collect(failing, apply=True)
        assert snapshot(moved) == before


def test_grace_is_a_duration(moved: MovedStore) -> None:
    save(moved)
    with pytest.raises(PolicyError, match="no duration"):
        collect(moved, grace="soon")
    assert collect(moved, grace="1mo").before < moved.now() - timedelta(days=27)


@pytest.mark.parametrize("kind", ["moto", "rclone"])
def test_uploads_that_nobody_finished_are_aborted_below_our_own_prefixes(
    kind: str, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue(f"{kind}_place").open()
    save(store)
    ours = ("bundles/b.tar.zst", "tier2/universe=u/x/y z.parquet", "packs/a--b--c.metrics.parquet")
    for key in (*ours, "notes/mine.bin"):
        store.request("create_multipart_upload", "begin", Key=store.object_name(key))

    class Now(PassingStore):
        """moto says of every upload that it began in 2010."""

        def leftovers(self) -> Iterator[Entry]:
            return (entry._replace(modified=self.now()) for entry in super().leftovers())

    assert collect(Now(store), apply=True).kinds["leftovers"].objects == 0  # somebody may be at it
    assert len(list(store.leftovers())) == 3
    assert "unfinished writes" not in du(store).parts
    assert collect(store, grace="0d").kinds["leftovers"].objects == 3
    done = collect(store, grace="0d", apply=True)
    assert (done.kinds["leftovers"].objects, done.failed) == (3, {})
    assert list(store.leftovers()) == []
    left = store.request("list_multipart_uploads", "list")["Uploads"]
    assert [upload["Key"] for upload in left] == [store.object_name("notes/mine.bin")]


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (403, "AccessDenied")])
def test_uploads_that_cannot_be_listed_are_left_alone(
    wired_place: Place, wire: Wire, status: int, code: str
) -> None:
    store = wired_place.open()
    save(store)
    wire.fault("answer", "GET", status=status, code=code)
    assert list(store.leftovers()) == []


@pytest.mark.parametrize("left", ["nothing", "trash", "expired trash"])
def test_data_without_any_run_always_asks(left: str, moved: MovedStore) -> None:
    record = save(moved, days=90, bars=40, strategies=100, code=b"x")
    other = save(moved, days=80)
    if left != "nothing":
        archive = Archive(moved)
        archive.apply(archive.plan_prune(Policy(keep_within="85d"), allow_empty=True), max_remove=1)
    moved.move(days=8 if left != "trash" else 3)
    for run in (record.run, other.run):  # a backup that was restored by half
        moved.delete([layout.record_key(run)])
    before = snapshot(moved)
    with pytest.raises(PolicyError, match=r"no run at all: restore runs/.*--allow-empty"):
        collect(moved, grace="2d", apply=True)
    assert snapshot(moved) == before
    assert collect(moved, grace="2d").objects > 0
    assert collect(moved, grace="2d", apply=True, allow_empty=True).objects > 0


def test_an_archive_whose_last_run_was_pruned_is_freed_without_asking(moved: MovedStore) -> None:
    save(moved, days=90, bars=40, strategies=100, code=b"x")
    prune(moved)
    moved.move(days=8)
    assert collect(moved, apply=True).kinds["tier2"].objects == 1
    assert collect(moved, apply=True).objects == 0
