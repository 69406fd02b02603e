"""Verify: every kind of damage is found and named, what is no damage is not, and repair deletes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.archive import Archive
from archiver.errors import AccessError, ConfigError, IntegrityError, NotKeptError, StorageError
from archiver.format import layout
from archiver.format.model import Record
from archiver.format.records import compress, encode_record
from archiver.health.verify import Problem, last_verified, verify
from archiver.retention.policy import Policy
from archiver.runs.reach import reachable
from archiver.store import Store, open_store
from tests.faults import FaultyStore, flip, truncate
from tests.stores import PassingStore, SharedStore, fresh_store, of_format_3, save, snapshot

pytestmark = pytest.mark.usefixtures("details_apart")


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return open_store(tmp_path / "archive")


def filled(store: Store) -> Record:
    """Save one run with every kind of object, and others beside it. Return its record."""
    save(store, "other", bars=60)
    record = save(store, bars=60, strategies=100, code=b"print('hello')\n" * 9, tags=["t"])
    save(store, "small", detail=False)
    return record


def test_a_sound_archive_is_sound(store: Store) -> None:
    filled(store)
    archive = Archive(store)
    archive.apply(archive.plan_prune(Policy(keep_tags=["t"], universe="[us]*")))
    before = snapshot(store)
    report = verify(store, read_data=True, repair=True)
    assert report.ok
    assert snapshot(store) == before
    data = [key for key in before if key.startswith(("tier", "tapes/", "code/"))]
    assert (report.runs, report.objects, report.read) == (2, len(data), len(data))
    assert report.bytes == sum(len(before[key]) for key in data)
    quick = verify(store)
    assert (quick.ok, quick.objects, quick.read) == (True, len(data), 0)


OBJECTS: list[Callable[[Record], str]] = [
    lambda record: record.tier1.key,  # type: ignore[union-attr]
    lambda record: record.tier2.key,  # type: ignore[union-attr]
    lambda record: record.tapes[0].key,
    lambda record: layout.code_key(record.code.files[0].sha256),  # type: ignore[union-attr]
]


@pytest.mark.parametrize("choose", OBJECTS, ids=["tier1", "tier2", "tape", "code"])
@pytest.mark.parametrize("in_trash", [False, True])
def test_damage_is_found_and_named(local: Store, choose: Callable[[Record], str], in_trash: bool) -> None:
    record = filled(local)
    key = choose(record)
    if in_trash:
        local.put(layout.trash_key(record.run), local.get(layout.record_key(record.run)))
        local.delete([layout.record_key(record.run)])
    clean = local.get(key)
    # Who brings a run back from the trash is told that its details are gone, and that rules of buckets do so.
    damage = not (in_trash and key.startswith(layout.TIER2))

    flip(local, key)
    assert verify(local).ok  # a listing cannot show this
    report = verify(local, read_data=True)
    assert [(one.key, "damaged" in one.what or "other content" in one.what) for one in report.problems] == [
        (key, True)
    ]
    if "tapes/" not in key:
        assert report.problems[0].run == record.run

    code = key.startswith("code/")
    local.put(key, b"" if code else clean + b"x")
    expected = "is empty" if code else f"is {len(clean) + 1:,} bytes, not {len(clean):,}"
    assert Problem(record.run, key, expected) in verify(local).problems

    local.delete([key])
    for read_data in (False, True):
        problems = verify(local, read_data=read_data).problems
        assert (Problem(record.run, key, "is missing") in problems) == damage
        assert {problem.key for problem in problems} == ({key} if damage else set())
    local.put(key, clean)
    assert verify(local, read_data=True).ok


def test_code_that_is_cut_short_is_found_by_reading(local: Store) -> None:
    record = filled(local)
    key = OBJECTS[3](record)
    truncate(local, key, 20)
    report = verify(local, read_data=True)
    assert [(one.run, one.key) for one in report.problems] == [(record.run, key)]
    local.put(key, compress(b"other code"))
    assert "other content" in verify(local, read_data=True).problems[0].what


def test_records_that_cannot_be_read_are_named_and_the_rest_is_checked(local: Store) -> None:
    record = filled(local)
    key = layout.record_key(record.run)
    clean = local.get(key)
    flip(local, key)
    report = verify(local, read_data=True)
    assert [(one.run, one.key) for one in report.problems] == [(record.run, key)]
    newer = of_format_3(clean)
    local.put(key, newer)
    report = verify(local, repair=True)
    (problem,) = report.problems
    assert "upgrade archiver" in problem.what
    assert report.newer
    assert local.get(key) == newer
    flip(local, record.tier2.key)  # type: ignore[union-attr]
    save(local)
    flip(local, layout.record_key(save(local).run))
    assert not verify(local).newer


def test_repair_sets_aside_what_points_to_nothing_and_deletes_nothing(local: Store) -> None:
    record = filled(local)
    lost = save(local, strategies=100)
    torn = save(local)
    no_detail = save(local, strategies=100)
    local.delete([OBJECTS[0](lost), OBJECTS[1](no_detail)])
    flip(local, layout.record_key(torn.run))
    before = snapshot(local)

    report = verify(local, repair=True)
    assert {problem.run for problem in report.problems} == {lost.run, torn.run, no_detail.run}
    assert sorted(report.quarantined) == sorted(layout.record_key(one.run) for one in (lost, torn))
    moved = {f"quarantine/{key}" if key in report.quarantined else key: data for key, data in before.items()}
    whole = layout.record_key(no_detail.run)
    after = snapshot(local)
    assert after.pop(f"quarantine/{whole}") == before[whole]
    assert after == {**moved, whole: after[whole]}
    assert report.reduced == [no_detail.run]
    archive = Archive(local)
    assert record.run in {run.id for run in archive.runs()}
    assert archive.load_metrics(run=no_detail.run).num_rows == 100
    with pytest.raises(NotKeptError, match="removed by damage"):
        archive.load_strategy("s0", run=no_detail.run)
    again = verify(local, repair=True)
    assert (again.ok, again.reduced, again.quarantined) == (True, [], [])


def test_details_that_a_bucket_rule_removed_are_expired(local: Store) -> None:
    record = filled(local)
    other = save(local)
    local.delete([OBJECTS[1](record), OBJECTS[1](other)])
    report = verify(local, read_data=True, expires=lambda one: one.run == record.run)
    assert report.expired == [record.run]
    assert [problem.run for problem in report.problems] == [other.run]
    local.delete([OBJECTS[0](record)])
    assert not verify(local, expires=lambda _: True).ok  # rules never remove metrics


def test_repair_writes_down_what_expired_so_that_the_rest_can_be_used(local: Store, tmp_path: Path) -> None:
    run = save(local, strategies=100, bars=60).run
    local.delete([layout.tier2_key("u", run)])
    archive, target = Archive(local), Archive(open_store(tmp_path / "target"))
    for use in (lambda: archive.copy_to(target), lambda: archive.bundle([run], "b")):
        with pytest.raises(IntegrityError, match=r"`archiver verify --repair`"):
            use()
    report = verify(local, repair=True, expires=lambda _: True)
    assert (report.ok, report.expired, report.reduced) == (True, [run], [run])
    # From here on the record tells, whatever becomes of the rule.
    assert (verify(local).ok, verify(local).expired) == (True, [])
    assert [one.id for one in archive.trash()] == [run]
    with pytest.raises(NotKeptError, match="removed by a rule of the bucket"):
        archive.load_strategy("s0", run=run)
    assert archive.copy_to(target).runs == (run,)
    assert archive.bundle([run], "b").runs == (run,)
    assert target.load_metrics(run=run).num_rows == 100


def test_says_when_the_rules_of_the_bucket_cannot_be_read(local: Store) -> None:
    record = save(local)
    local.delete([layout.tier2_key("u", record.run)])

    def expires(_record: Record) -> bool:
        raise AccessError("access denied")

    (problem,) = verify(local, expires=expires).problems
    assert problem.what == (
        "is missing; the bucket's rules could not be read, which may have removed it: access denied"
    )


def test_details_in_a_bundle_are_archived(local: Store) -> None:
    record = filled(local)
    reduced = replace(record, tier2=None, tapes=(), archived="important")
    local.put(layout.record_key(record.run), encode_record(reduced))
    local.delete([OBJECTS[1](record)])
    local.put(layout.bundle_key("important"), b"no bundle")
    report = verify(local, read_data=True)
    assert report.archived == [record.run]
    (problem,) = report.problems
    assert problem.run == record.run
    assert problem.what.startswith("cannot be read, and the run's details with it: ")


def test_a_sample_reads_some_by_chance(local: Store) -> None:
    for at in range(60):
        save(local, bars=40, code=bytes([at]))
    every = verify(local, sample=1.0)
    some = [verify(local, sample=0.3) for _ in range(4)]
    assert every.read == every.objects == 121
    assert all(5 < report.read < 80 for report in some)
    assert len({report.bytes for report in some}) > 1
    for wrong in (0.0, -1.0, 1.5, "5%"):
        with pytest.raises(ConfigError, match="share"):
            verify(local, sample=wrong)  # type: ignore[arg-type]


def test_reading_goes_on_where_it_was_interrupted(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.health.verify.progress.SAVE_EVERY", 5)
    records = [save(local, code=bytes([at]), strategies=100) for at in range(20)]
    records.sort(key=lambda record: record.run)
    flip(local, OBJECTS[1](records[0]))
    flip(local, OBJECTS[1](records[19]))
    state = tmp_path / "state"

    class Breaking(PassingStore):
        def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if key == OBJECTS[1](records[15]):
                raise StorageError("the cable is out")
            return super().get(key, start, end)

    with pytest.raises(StorageError, match="cable"):
        verify(Breaking(local), read_data=True, resume=state)
    first = json.loads(state.read_text())
    assert records[0].run < first["after"] < records[15].run

    counting = FaultyStore(local)
    report = verify(counting, read_data=True, resume=state)
    assert [problem.run for problem in report.problems] == [records[0].run, records[19].run]
    assert report.read == 60
    read = {key for verb, key in counting.calls if verb == "get" and not key.startswith("runs/")}
    assert 60 - first["read"] == len(read) < 50
    assert not state.exists()

    state.write_text("{}")
    with pytest.raises(ConfigError, match="does not tell"):
        verify(local, resume=state)
    for wrong in (tmp_path, tmp_path / "no" / "file"):
        with pytest.raises(ConfigError, match="name a file"):
            verify(local, resume=wrong)
    state.write_text(json.dumps({**first, "url": "s3://other"}))
    with pytest.raises(ConfigError, match="s3://other"):
        verify(local, read_data=True, resume=state)


@pytest.mark.parametrize(
    "error", [StorageError("the cable is out"), KeyboardInterrupt()], ids=["raised", "stopped"]
)
def test_an_interruption_saves_how_far_reading_came(
    local: Store, tmp_path: Path, error: BaseException
) -> None:
    records = sorted(
        (save(local, code=bytes([at]), strategies=100) for at in range(20)), key=lambda one: one.run
    )
    flip(local, layout.record_key(records[2].run))
    flip(local, OBJECTS[1](records[15]))
    state = tmp_path / "state"

    def stop(_count: int, seen: list[int] = []) -> None:  # noqa: B006 - it counts over calls
        seen.append(1)
        if len(seen) == 50:
            raise error

    with pytest.raises(type(error)):
        verify(local, resume=state, step=stop)
    first = json.loads(state.read_text())
    assert 0 < first["read"] < 50
    assert not list(tmp_path.glob("*.part"))

    counting = FaultyStore(local)
    report = verify(counting, resume=state)
    read = {key for verb, key in counting.calls if verb == "get" and not key.startswith("runs/")}
    assert (report.read, len(read)) == (19 * 3, 19 * 3 - first["read"])
    # What was found before and after is told once.
    assert [problem.run for problem in report.problems] == [records[2].run, records[15].run]
    assert not state.exists()


def test_progress_is_saved_after_a_while_too(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(3):
        save(local, code=bytes([at]))
    state = tmp_path / "state"
    for limit in ("SAVE_SECONDS", "SAVE_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(f"archiver.health.verify.progress.{limit}", 0)
            seen: list[bool] = []
            verify(local, resume=state, step=lambda _, seen=seen: seen.append(state.exists()))  # type: ignore[misc]
            assert any(seen)
            assert not state.exists()


def test_runs_that_come_and_go_meanwhile_are_no_damage() -> None:
    origin = fresh_store()
    old = save(origin, days=90, bars=60, strategies=100, code=b"x")
    save(origin)
    objects = snapshot(origin)
    at = 0
    while True:
        store = fresh_store(objects)

        def other(store: Store = store) -> None:
            archive = Archive(store)
            archive.apply(archive.plan_prune(Policy(keep_within="30d")))
            archive.gc("0d", apply=True)
            save(store, bars=50)

        shared = SharedStore(store, at, other)
        report = verify(shared, read_data=True, repair=True)
        assert report.ok, report.problems
        assert not report.quarantined
        if shared.calls <= at:
            break
        assert store.stat(layout.record_key(old.run)) is None
        at += 1
    assert at > 10


def test_a_listing_that_fails_is_not_damage(local: Store) -> None:
    filled(local)
    at = 0
    while True:
        faulty = FaultyStore(local, at, when="midway")
        try:
            assert verify(faulty, read_data=True, repair=True).ok
        except StorageError:
            at += 1
            continue
        break
    assert at > 10
    assert verify(local, read_data=True).ok


def test_every_object_is_read_once(local: Store) -> None:
    for _ in range(5):
        record = save(local, bars=60, code=b"same")
    counting = FaultyStore(local)
    verify(counting, read_data=True)
    gets = [key for verb, key in counting.calls if verb == "get" and not key.startswith("runs/")]
    assert len(gets) == len(set(gets)) == 5 + 2
    assert {ref.key for ref in reachable(record)} <= set(gets)


def test_what_reading_found_is_remembered_where_asked(store: Store) -> None:
    record = filled(store)
    assert last_verified(store) is None
    verify(store, remember=True)
    assert last_verified(store) is None  # nothing was read
    report = verify(store, read_data=True, remember=True)
    found = last_verified(store)
    assert found is not None
    assert (found.share, found.runs, found.read, found.problems) == (1.0, 3, report.read, 0)
    flip(store, record.tapes[0].key)
    verify(store, sample=1.0, remember=True)
    assert (last_verified(store) or found).problems == 1
    # It stands beside the catalog and must not be taken for a part of it, nor for an orphan.
    assert Archive(store).compact() == 3
    assert Archive(store).gc("0d", apply=True).objects == 0
    assert last_verified(store) is not None


def test_verifying_needs_no_right_to_write(local: Store) -> None:
    filled(local)
    counting = FaultyStore(local)
    assert verify(counting, read_data=True, remember=True).ok
    last = len(counting.calls) - 1
    assert counting.calls[last] == ("put", layout.VERIFIED)
    assert verify(FaultyStore(local, at=last), read_data=True, remember=True).ok


def test_a_missing_bundle_is_damage_for_the_runs_whose_details_it_held(tmp_path: Path) -> None:
    archive = Archive(open_store(tmp_path))
    record = save(archive.store, bars=60)
    archive.bundle([record.run], "kept")
    archive.bundles.apply_removal(archive.bundles.plan_removal("kept"))
    report = archive.verify()
    assert (report.ok, report.bundles) == (True, {record.run: "kept"})
    archive.store.delete([layout.bundle_key("kept")])
    (problem,) = archive.verify().problems
    assert (problem.run, problem.key) == (record.run, layout.bundle_key("kept"))


def test_a_bundle_that_holds_other_runs_is_damage(tmp_path: Path) -> None:
    archive = Archive(open_store(tmp_path))
    record = save(archive.store, bars=60)
    archive.bundle([record.run], "kept")
    archive.bundles.apply_removal(archive.bundles.plan_removal("kept"))
    other = save(archive.store, bars=61)
    archive.bundle([other.run], "other")
    archive.store.put(layout.bundle_key("kept"), archive.store.get(layout.bundle_key("other")))
    (problem,) = archive.verify().problems
    assert (problem.run, problem.key) == (record.run, layout.bundle_key("kept"))
    assert problem.what == "holds other runs: the run's details are not in it"
