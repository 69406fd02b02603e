"""Bundles: what goes in comes back, from anywhere to anywhere, also by plain tar; and in the archive's own eyes."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import (
    AccessError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    RunNotFoundError,
    StorageError,
)
from archiver.format import layout
from archiver.store import open_store
from archiver.transfer.bundle.create import create
from archiver.transfer.bundle.place import locate
from tests.conftest import Place, s3_options
from tests.faults import FaultyStore, flip
from tests.runs_made import LONG_NAME, everything, fill, many, opened, seen
from tests.stores import SharedStore
from tests.wire import Wire

pytestmark = pytest.mark.usefixtures("details_apart")

HERE = Path(__file__).parent
GOLDEN_TRADES = [{"entry_time": "2025-01-06 09:35:00", "direction": "long", "pnl_usd": 12.5, "note": None}]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one archive that all tests read; those that change it copy it first."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "project").mkdir()
    (folder / "project" / "strategy.py").write_text("SPEED = 3\n")
    fill(opened(folder / "archive"), folder / "project")
    return folder / "archive"


@pytest.fixture
def mine(filled: Path, tmp_path: Path) -> Archive:
    """Give a copy of the archive that may be changed."""
    return opened(shutil.copytree(filled, tmp_path / "mine"))


def test_a_bundle_gives_back_everything_from_any_place(filled: Path, place: Place, tmp_path: Path) -> None:
    archive = opened(filled)
    runs = archive.run_ids()
    made = archive.bundle(runs, "all", to=place.url, storage_options=place.options)
    assert made.url == f"{place.open().url}/all.tar.zst"
    assert (made.runs, made.bytes) == (tuple(runs), len(place.open().get("all.tar.zst")))
    inside = opened(f"bundle::{place.url}/all.tar.zst", **place.options)
    before = seen(archive, runs)
    assert seen(inside, runs) == before
    assert inside.verify(read_data=True).ok
    target = opened(tmp_path / "target")
    moved = target.bundles.restore(f"{place.url}/all.tar.zst", storage_options=place.options)
    assert (sorted(moved.runs), moved.there) == (runs, ())
    assert seen(target, runs) == before
    assert target.verify(read_data=True).ok
    apart = (layout.ARCHIVE,)
    assert everything(target.store, but=apart) == everything(archive.store, but=apart)


def test_an_archive_anywhere_can_be_bundled_to_a_folder(place: Place, tmp_path: Path) -> None:
    archive = opened(place.url, **place.options)
    runs = fill(archive)
    made = archive.bundle(runs, str(tmp_path / "out.tar.zst"))
    assert seen(opened(f"bundle::{tmp_path}/out.tar.zst"), runs) == seen(archive, runs)
    assert archive.bundles.verify(made.name).ok


def test_the_same_runs_give_the_same_bytes(filled: Path, tmp_path: Path) -> None:
    archive = opened(filled)
    runs = archive.run_ids()
    first = archive.bundle(runs, str(tmp_path / "one.tar.zst"))
    second = archive.bundle([*reversed(runs), runs[0][:-1]], str(tmp_path / "two.tar.zst"))
    one, two = (tmp_path / "one.tar.zst").read_bytes(), (tmp_path / "two.tar.zst").read_bytes()
    assert one == two
    assert first.sha256 == second.sha256
    assert archive.bundle(runs, str(tmp_path / "three.tar.zst"), level=12).sha256 != first.sha256
    assert archive.bundles.verify(str(tmp_path / "three.tar.zst")).ok


def test_plain_tar_gives_an_archive(filled: Path, tmp_path: Path) -> None:
    archive = opened(filled)
    runs = archive.run_ids()
    archive.bundle(runs, str(tmp_path / "b.tar.zst"))
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        ["tar", "--zstd", "-xf", "../b.tar.zst"], cwd=tmp_path / "out", check=True, capture_output=True
    )
    assert done.stderr == b""
    names = subprocess.run(
        ["tar", "--zstd", "-tf", "b.tar.zst"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert names[:3] == ["manifest.json", "README.txt", "SHA256SUMS"]
    assert names[-len(runs) :] == [layout.record_key(run) for run in runs]
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    unpacked = opened(tmp_path / "out")
    assert seen(unpacked, runs) == seen(archive, runs)
    assert unpacked.verify(read_data=True).ok
    unpacked.save_universe_results("later", [{"strategy_name": "x", "sharpe_ratio": 1.0}], code="none")
    assert len(unpacked.runs()) == len(runs) + 1


def _stranger(bundle: Path) -> dict[str, str]:
    """Return the facts that a stranger's tools find in a bundle."""
    done = subprocess.run(
        ["bash", str(HERE / "stranger.sh"), str(bundle)],
        cwd=bundle.parent,
        env={**os.environ, "DUCKDB_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split("\t") for line in done.stdout.splitlines())


def test_a_stranger_reads_small_runs_and_numbers_kept_as_text(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    rows = [{"strategy_name": f"s{at}", "sharpe_ratio": at, "trades": [{"pnl": 1.0}]} for at in range(20)]
    rows[3]["sharpe_ratio"] = 10**30
    (tmp_path / "other.py").write_text("x = 1\n")
    for name, size in (("small", 2), ("large", 20)):
        run = archive.save_universe_results("u", rows[:size], top_n=2, code=[tmp_path / "other.py"])
        archive.bundle([run.id], str(tmp_path / f"{name}.tar.zst"))
    assert _stranger(tmp_path / "small.tar.zst") == {"runs": "1", "details": "2"}
    large = {"runs": "1", "rows in tier1": "20", "best sharpe_ratio": "1e+30", "details": "2"}
    assert _stranger(tmp_path / "large.tar.zst") == large


def test_a_stranger_reads_a_bundle_without_us(filled: Path, tmp_path: Path) -> None:
    archive = opened(filled)
    archive.bundle(archive.run_ids(), str(tmp_path / "b.tar.zst"))
    facts = _stranger(tmp_path / "b.tar.zst")
    assert facts["runs"] == str(len(archive.runs()))
    rows = archive.load_metrics(history=True)
    large = [run for run in archive.records() if run.tier1 is not None]
    assert facts["rows in tier1"] == str(sum(record.strategies for record in large))
    best = max(value for value in rows["sharpe_ratio"].to_pylist() if value is not None and value == value)
    assert float(facts["best sharpe_ratio"]) <= best
    assert int(facts["details"]) == sum(run.detailed for run in archive.runs())
    assert facts["strategy.py"] == "SPEED = 3"


def test_the_file_is_in_the_seekable_format_of_zstd(filled: Path, tmp_path: Path) -> None:
    archive = opened(filled)
    archive.bundle(archive.run_ids(), str(tmp_path / "b.tar.zst"))
    data = (tmp_path / "b.tar.zst").read_bytes()
    count, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (descriptor, magic) == (0, 0x8F92EAB1)
    table = data[-(8 + 8 * count + 9) :]
    assert struct.unpack("<II", table[:8]) == (0x184D2A5E, 8 * count + 9)
    sizes = list(struct.iter_unpack("<II", table[8:-9]))
    assert sum(packed for packed, _ in sizes) + len(table) == len(data)
    at = 0
    for packed, plain in sizes:
        frame = data[at : at + packed]
        done = subprocess.run(["zstd", "-dc"], input=frame, capture_output=True, check=True)
        assert len(done.stdout) == plain
        at += packed
    assert subprocess.run(["zstd", "-tq", "b.tar.zst"], cwd=tmp_path, check=False).returncode == 0


def test_a_large_object_is_split_into_frames_that_are_read_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "archive")
    (run,) = many(store, 1, 3 << 20)
    archive = Archive(store)
    archive.bundle([run], "b")
    inside = FaultyStore(archive.bundles.open("b").inner)
    source = type(archive.bundles.open("b"))(inside, "bundles/b.tar.zst")
    key = layout.tier2_key("u", run)
    whole = store.get(key)
    assert source.get(key, 1_500_000, 1_500_100) == whole[1_500_000:1_500_100]
    assert len(inside.calls) <= 4
    assert source.get(key) == whole
    with source.open(key) as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == whole[-5:]
    assert archive.bundles.verify("b").ok


def test_restoring_one_of_many_runs_reads_little(moto_endpoint: str, wire: Wire, tmp_path: Path) -> None:
    from tests.conftest import new_bucket

    store = open_store("memory://bundle-source")
    runs = many(store, 500)
    url = f"s3://{new_bucket(moto_endpoint)}/deep/b.tar.zst"
    made = Archive(store).bundle(runs, url, storage_options=s3_options(moto_endpoint))
    wire.reset()
    target = opened(tmp_path / "target")
    assert len(target.bundles.open(url, storage_options=s3_options(wire.endpoint)).manifest.runs) == 500
    assert wire.counts == {"HEAD": 1, "GET": 2}
    wire.reset()
    moved = target.bundles.restore(url, [runs[250]], storage_options=s3_options(wire.endpoint))
    assert moved.runs == (runs[250],)
    ranges = [headers["range"] for verb, _, headers in wire.seen if verb == "GET"]
    spans = [value.removeprefix("bytes=").split("-") for value in ranges]
    assert sum(int(end) - int(start) + 1 for start, end in spans) <= 0.03 * made.bytes
    assert sum(wire.counts.values()) <= 8
    assert target.verify(read_data=True).ok
    wire.reset()
    again = opened(tmp_path / "all").bundles.restore(url, storage_options=s3_options(wire.endpoint))
    assert len(again.runs) == 500
    assert sum(wire.counts.values()) <= 1.5 * made.bytes / 50_000
    for entry in list(store.list()):
        store.delete([entry.key])


def test_a_bundle_opened_as_an_archive_refuses_to_change(filled: Path, tmp_path: Path) -> None:
    archive = opened(filled)
    archive.bundle(archive.run_ids()[:1], str(tmp_path / "b.tar.zst"))
    inside = opened(f"bundle::{tmp_path}/b.tar.zst")
    assert [run.id for run in inside.runs()] == archive.run_ids()[:1]
    for change in (
        lambda: inside.save_universe_results("u", [{"strategy_name": "x"}], code="none"),
        lambda: inside.tag(inside.run_ids()[0], "x"),
        lambda: inside.untag(inside.run_ids()[0], "x"),
    ):
        with pytest.raises(AccessError, match=r"read-only|is a bundle"):
            change()
    again = pickle.loads(pickle.dumps(inside.store))
    assert everything(again) == everything(inside.store)
    with pytest.raises(NotFoundError):
        inside.store.get("runs/none")
    assert inside.store.stat("runs/none") is None


def test_names_are_kept_in_the_archive_and_urls_are_left_alone(mine: Archive, tmp_path: Path) -> None:
    runs = mine.run_ids()
    mine.bundle(runs[:1], "best of 2025: ä")
    mine.bundle(runs[:2], "plain")
    assert mine.bundles.names() == ["best of 2025: ä", "plain"]
    with pytest.raises(ConfigError, match=r"\./best/2025\.tar\.zst"):
        mine.bundle(runs[:1], "best/2025")
    with pytest.raises(ConfigError, match="names no bundle"):
        mine.bundle(runs[:1], "s3://bucket")
    made = mine.bundle(runs[:1], str(tmp_path / "without suffix"))
    assert made.name == str(tmp_path / "without suffix.tar.zst")
    with pytest.raises(ConfigError, match="another name"):
        mine.bundle(runs[:3], "plain")
    before = mine.store.stat("bundles/plain.tar.zst")
    assert mine.bundle(runs[:2], "plain").sha256 is None
    assert mine.store.stat("bundles/plain.tar.zst") == before
    mine.bundle(runs[:1], "x", to=str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere" / "x.tar.zst").exists()
    with pytest.raises(RunNotFoundError):
        mine.bundle(["20200101T000000Z-00000000"], "none")
    with pytest.raises(ConfigError, match="at least one run"):
        mine.bundle([], "none")
    with pytest.raises(NotFoundError, match="no bundle"):
        opened(tmp_path / "new").bundles.restore("nothing")
    assert not (tmp_path / "new").exists()


def test_damage_is_not_bundled(mine: Archive, tmp_path: Path) -> None:
    record = next(record for record in mine.records() if record.tier2 is not None)
    assert record.tier2 is not None
    flip(mine.store, record.tier2.key)
    with pytest.raises(IntegrityError, match="verify"):
        mine.bundle([record.run], str(tmp_path / "b.tar.zst"))
    assert not list(tmp_path.glob("*.zst"))
    mine.store.delete([record.tier2.key])
    with pytest.raises(IntegrityError, match="verify"):
        mine.bundle([record.run], str(tmp_path / "b.tar.zst"))


def test_restore_can_be_repeated_and_takes_only_what_is_asked(mine: Archive, tmp_path: Path) -> None:
    runs = mine.run_ids()
    mine.bundle(runs, "all")
    target = opened(tmp_path / "target")
    first = target.bundles.restore("all", [runs[1][:20]], home=mine.bundles)
    assert (first.runs, [run.id for run in target.runs()]) == ((runs[1],), [runs[1]])
    second = target.bundles.restore("all", home=mine.bundles)
    assert second.there == (runs[1],)
    before = everything(target.store)
    third = target.bundles.restore("all", home=mine.bundles)
    assert (third.runs, third.objects, third.bytes) == ((), 0, 0)
    assert everything(target.store) == before
    with pytest.raises(RunNotFoundError, match="bundle ls"):
        target.bundles.restore("all", ["2020"], home=mine.bundles)


def test_restore_heals_a_run_whose_data_went(mine: Archive) -> None:
    run = next(record for record in mine.records() if record.tapes)
    mine.bundle([run.run], "one")
    mine.store.delete([run.tapes[0].key])
    assert not mine.verify().ok
    assert mine.bundles.restore("one").runs == (run.run,)
    assert mine.verify(read_data=True).ok


def test_restore_never_replaces_other_data(mine: Archive, tmp_path: Path) -> None:
    run = next(record for record in mine.records() if record.tier2 is not None)
    mine.bundle([run.run], "one")
    target = opened(tmp_path / "target")
    target.create()
    assert run.tier2 is not None
    target.store.put(run.tier2.key, b"something else")
    with pytest.raises(IntegrityError, match="other bytes"):
        target.bundles.restore("one", home=mine.bundles)
    assert target.store.get(run.tier2.key) == b"something else"
    assert target.runs() == []
    target.store.delete([run.tier2.key])
    target.store.put(layout.record_key(run.run), _another(mine, run.run))
    before = everything(target.store)
    with pytest.raises(IntegrityError, match="another run"):
        target.bundles.restore("one", home=mine.bundles)
    assert everything(target.store) == before


def _another(archive: Archive, run: str) -> bytes:
    from dataclasses import replace

    from archiver.format.records import encode_record

    return encode_record(replace(archive.record(run), universe="another", tier1=None, tier2=None, tapes=()))


def test_the_manifest_says_what_ls_says(filled: Path, tmp_path: Path) -> None:
    archive = opened(filled)
    runs = archive.run_ids()
    archive.bundle(runs, str(tmp_path / "b.tar.zst"))
    source = archive.bundles.open(str(tmp_path / "b.tar.zst"))
    listed = {run.id: run for run in archive.runs()}
    for row in source.manifest.runs:
        run = listed[row["id"]]
        assert (row["universe"], row["created"], row["strategies"]) == (
            run.universe,
            run.created,
            run.strategies,
        )
        assert (row["detailed"], row["bytes"], row["tags"]) == (run.detailed, run.bytes, list(run.tags))
    assert {row["universe"] for row in source.manifest.runs} >= {LONG_NAME}
    document = orjson.loads(source.manifest.text)
    assert document["archiver"] == archiver.__version__
    assert document["bundle"] == 1


def test_a_bundle_of_version_one_stays_readable(tmp_path: Path) -> None:
    golden = HERE / "golden" / "bundle-1.tar.zst"
    target = opened(tmp_path / "t")
    assert target.bundles.verify(str(golden)).damage == ()
    assert len(target.bundles.restore(str(golden)).runs) == 2
    assert target.verify(read_data=True).ok
    (detail,) = target.detailed_strategies()
    found = target.load_strategy(detail[1])
    assert found["trades"] == GOLDEN_TRADES
    assert found["equity_curve"] == [0.0, 12.5]
    (tagged,) = target.runs(tag="nightly")
    assert target.load_metrics(run=tagged.id).num_rows == 2
    assert target.code(tagged.id).read("strategy.py") == b"SPEED = 3\n"
    remade = target.bundle(target.run_ids(), str(tmp_path / "again.tar.zst"))
    assert remade.objects == len(target.bundles.open(str(golden)).manifest.members)


def test_the_same_runs_of_a_copied_archive_give_the_same_bytes(filled: Path, tmp_path: Path) -> None:
    archive, copy = opened(filled), opened(tmp_path / "copy")
    archive.copy_to(copy)
    runs = archive.run_ids()
    first = archive.bundle(runs, "b", to=str(tmp_path / "1"))
    second = copy.bundle(reversed(runs), "b", to=str(tmp_path / "2"))
    assert first.sha256 == second.sha256
    assert (tmp_path / "1" / "b.tar.zst").read_bytes() == (tmp_path / "2" / "b.tar.zst").read_bytes()
    assert copy.store.get(layout.ARCHIVE) != archive.store.get(layout.ARCHIVE)


def test_a_damaged_record_in_the_way_of_a_restore_is_placed(mine: Archive, tmp_path: Path) -> None:
    run = mine.run_ids()[0]
    mine.bundle([run], "b")
    mine.store.put(layout.record_key(run), b"no record")
    with pytest.raises(IntegrityError, match=f"in {mine.store.url}, runs/{run}"):
        mine.bundles.restore("b")


def test_a_bundle_that_another_made_meanwhile_is_not_replaced(mine: Archive) -> None:
    # The smallest runs, whose bundles take the fewest calls.
    first, second, *_ = [run.id for run in sorted(mine.runs(), key=lambda run: run.bytes)]
    for run in (first, second):
        mine.store.delete([layout.bundle_key("b")])
        made = []
        store = SharedStore(mine.store, 1, lambda: made.append(mine.bundle([second], "b")))  # noqa: B023
        place = locate(mine.store, "b")
        if run == second:
            assert create(store, [run], place).sha256 is None
        else:
            with pytest.raises(ConfigError, match="exists and holds something else"):
                create(store, [run], place)
        assert made
        assert mine.bundles.verify("b").runs == (second,)
        assert [entry.key for entry in mine.store.list(layout.BUNDLES)] == [layout.bundle_key("b")]


def test_what_a_killed_create_left_in_a_folder_goes_after_a_day(mine: Archive, tmp_path: Path) -> None:
    run, *_ = mine.run_ids()
    folder = tmp_path / "outbox"
    (folder / "deeper").mkdir(parents=True)
    made = [".archiver-tmp-old", ".archiver-tmp-new", "deeper/.archiver-tmp-old", "mine.txt"]
    for name in made:
        (folder / name).write_text("x")
        if name != ".archiver-tmp-new":
            os.utime(folder / name, (0, 0))
    mine.bundle([run], "b", to=str(folder))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {*made[1:], "b.tar.zst"}


def test_a_signed_link_is_taken_as_it_is(tmp_path: Path) -> None:
    home = open_store(tmp_path)
    for path in ("x.tar.zst", "x"):
        place = locate(home, f"https://host/deep/{path}?signature=a/b%2Bc")
        assert (place.key, place.url) == ("x.tar.zst?signature=a/b%2Bc", "https://host/deep/x.tar.zst")
    assert locate(home, f"{tmp_path}/what?").key == "what?.tar.zst"


def test_a_web_server_without_answer_is_no_missing_bundle() -> None:
    store = open_store("bundle::http://127.0.0.1:1/x.tar.zst?signature=a/b", deadline=5)
    with pytest.raises(StorageError, match="Cannot connect") as caught:
        store.get("archive.json")
    assert "signature" not in str(caught.value)


def test_a_bundle_is_read_by_a_signed_link(filled: Path, moto_place: Place, tmp_path: Path) -> None:
    import s3fs

    archive = opened(filled)
    runs = archive.run_ids()
    made = archive.bundle(runs, "all", to=moto_place.url, storage_options=moto_place.options)
    link = s3fs.S3FileSystem(**moto_place.options).sign(made.url)
    assert "ignature=" in link
    target = opened(tmp_path / "t")
    assert target.bundles.verify(link).ok
    assert sorted(target.bundles.restore(link).runs) == runs
    assert seen(target, runs) == seen(archive, runs)
