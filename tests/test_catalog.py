from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from archiver.format import layout
from archiver.format.records import encode_record
from archiver.runs.catalog import Records
from tests.benchmarks.workload import small_run
from tests.faults import FaultyStore, flip


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of an archive with 80 runs, to be copied."""
    folder = tmp_path_factory.mktemp("many") / "archive"
    archive = archiver.open(folder)
    for at in range(80):
        archive.save_universe_results(f"u{at % 3}", [small_run(1, at, trades=2, points=5)], code="none")
    return folder


@pytest.fixture
def archive(many: Path, tmp_path: Path) -> Archive:
    return archiver.open(shutil.copytree(many, tmp_path / "archive"))


def gets(archive: Archive) -> int:
    store = FaultyStore(archive.store)
    Records(store).read()
    return store.counts["get"]


def test_many_records_take_few_requests(archive: Archive) -> None:
    want = Records(archive.store).read()
    assert len(want) == 80
    assert gets(archive) == 80
    assert archive.compact() == 80
    assert gets(archive) == 1
    assert Records(archive.store).read() == want


def test_what_came_since_is_read_too(archive: Archive) -> None:
    archive.compact()
    run = archive.save_universe_results("new", [{"strategy_name": "s"}], code="none")
    assert gets(archive) == 2
    assert Records(archive.store).read()[0].run == run.id


def test_what_is_gone_is_not_shown(archive: Archive) -> None:
    archive.compact()
    gone = archive.runs()[5]
    archive.store.delete([layout.record_key(gone.id)])
    assert gone.id not in {record.run for record in Records(archive.store).read()}


def test_a_record_that_changed_is_read_itself(archive: Archive) -> None:
    archive.compact()
    record = archive.records()[7]
    archive.store.put(
        layout.record_key(record.run), encode_record(replace(record, detail_removed="a policy"))
    )
    (found,) = [other for other in Records(archive.store).read() if other.run == record.run]
    assert found.detail_removed == "a policy"


def test_a_damaged_catalog_is_passed_over(archive: Archive) -> None:
    archive.compact()
    (segment,) = archive.store.list(layout.CATALOG)
    flip(archive.store, segment.key)
    assert len(Records(archive.store).read()) == 80


def test_a_damaged_record_is_never_taken_for_absent(archive: Archive) -> None:
    key = layout.record_key(archive.runs()[3].id)
    flip(archive.store, key)
    archive.store.put(layout.CATALOG + "nonsense.jsonl.zst", b"nonsense")
    with pytest.raises(archiver.IntegrityError, match=key):
        Records(archive.store).read()


def test_a_record_under_a_wrong_name_is_damage(archive: Archive) -> None:
    data = archive.store.get(layout.record_key(archive.runs()[0].id))
    archive.store.put(layout.record_key("20000101T000000Z-00000000"), data)
    with pytest.raises(archiver.IntegrityError, match="20000101T000000Z-00000000"):
        Records(archive.store).read()


def test_objects_that_are_no_records_are_passed_over(archive: Archive) -> None:
    (Path(archive.store.url.removeprefix("file://")) / "runs" / "notes.txt").write_text("x")
    assert len(Records(archive.store).read()) == 80
