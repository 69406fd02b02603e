"""Bundles from enemies and accidents: nothing is written outside, nothing false gets a record, no memory is eaten."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from archiver.archive import Archive
from archiver.errors import FormatError, IntegrityError
from archiver.format import layout
from archiver.format.model import Record
from archiver.format.records import decode_record, encode_record
from archiver.store.bundled import read_manifest
from archiver.store.seekable import seek_table
from archiver.transfer.bundle.tar import END, header, padding
from tests.benchmarks import workload
from tests.runs_made import everything, opened, seen

pytestmark = pytest.mark.usefixtures("details_apart")

WHEN = datetime(2025, 1, 21, tzinfo=UTC)
Files = dict[str, bytes]
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = opened(tmp_path_factory.mktemp("hostile") / "archive")
    archive.save_universe_results("small", [workload.small_run(1, 0, 5, 20)], code="none")
    archive.save_universe_results("u", workload.universe(3, 60, 2, 10, 2000), 2, tags=["t"], code="none")
    return archive


@pytest.fixture(scope="module")
def sound(archive: Archive) -> bytes:
    archive.bundle(archive.run_ids(), "sound")
    return archive.store.get("bundles/sound.tar.zst")


@pytest.mark.parametrize("name", ["README.txt", "SHA256SUMS"])
@pytest.mark.parametrize(
    "change",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "archive.json"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.DIRTYPE},
        {"mode": 0o4755},
        {"uid": 7},
        {"uname": "root"},
        {"mtime": 1},
    ],
)
def test_the_first_texts_are_plain_files_as_all_members_are(
    sound: bytes, tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(sound), read_across_frames=True) as reader:
        plain = bytearray(reader.read())
    first = zstandard.frame_content_size(sound)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        info = tar.getmember(name)
    offset = info.offset
    for field, value in change.items():
        setattr(info, field, value)
    head = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    size = plain[offset + 124 : offset + 136]
    plain[offset : offset + 512] = head
    plain[offset + 124 : offset + 136] = size  # a link that has bytes, as an attacker would write it
    plain[offset + 148 : offset + 156] = b" " * 8
    plain[offset + 148 : offset + 156] = b"%06o\0 " % sum(plain[offset : offset + 512])
    path = tmp_path / "b.tar.zst"
    path.write_bytes(seekable([bytes(plain[:first]), bytes(plain[first:])]))
    found = opened(tmp_path / "archive").bundles.verify(str(path))
    assert not found.ok
    assert f"{name} is no plain file" in found.damage[0]


def unpacked(data: bytes) -> tuple[Manifest, Files]:
    """Return a bundle's manifest and members."""
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        data = reader.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {info.name: tar.extractfile(info).read() for info in tar.getmembers()}  # type: ignore[union-attr]
    manifest = orjson.loads(files.pop("manifest.json"))
    del files["README.txt"], files["SHA256SUMS"]
    return manifest, files


def seekable(parts: list[bytes]) -> bytes:
    """Write plain parts as the frames of a seekable file."""
    pack = zstandard.ZstdCompressor(write_checksum=True).compress
    data = [pack(part) for part in parts]
    return b"".join(data) + seek_table([(len(d), len(p)) for d, p in zip(data, parts, strict=True)])


def packed(files: Files, runs: list[Any], lie: Callable[[Manifest], object] = lambda _: None) -> bytes:
    """Write a bundle of these files whose manifest is true, but for the lie."""
    at, rows, body = 0, [], []
    for name, data in files.items():
        head = header(name, len(data), WHEN)
        at += len(head)
        rows.append({"key": name, "at": at, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        body += [head, data, padding(len(data))]
        at += len(data) + len(padding(len(data)))
    manifest: Manifest = {
        "bundle": 1,
        "archiver": "0",
        "modified": int(WHEN.timestamp()),
        "runs": runs,
        "members": rows,
    }
    lie(manifest)
    text = orjson.dumps(manifest)
    readme = b"hello\n"
    sums = [("manifest.json", text), ("README.txt", readme)]
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sums]
    lines += [f"{row['sha256']}  {row['key']}\n" for row in rows]
    front = b"".join(
        header(name, len(data), WHEN) + data + padding(len(data))
        for name, data in (*sums, ("SHA256SUMS", "".join(lines).encode()))
    )
    return seekable([front, b"".join(body), END])


def refused(data: bytes, folder: Path, *, restores: bool = False) -> None:
    """Make sure that a bundle is found out, and that restoring it does no harm."""
    path = folder / "bundles" / "evil.tar.zst"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    (folder / "canary").write_text("alive")
    target = opened(folder / "deep" / "target")
    with suppress(IntegrityError):
        assert target.bundles.verify(str(path)).damage
    if restores:
        target.bundles.restore(str(path))
    else:
        with pytest.raises(IntegrityError):
            target.bundles.restore(str(path))
    names = {str(found.relative_to(folder)) for found in folder.rglob("*") if found.is_file()}
    outside = {name for name in names if not name.startswith("deep/target/")}
    assert outside == {"canary", "bundles/evil.tar.zst"}
    if target.store.stat(layout.ARCHIVE) is not None:
        assert target.verify(read_data=True).ok


def test_what_the_tests_pack_is_a_sound_bundle(sound: bytes, archive: Archive, tmp_path: Path) -> None:
    manifest, files = unpacked(sound)
    (tmp_path / "again.tar.zst").write_bytes(packed(files, manifest["runs"]))
    target = opened(tmp_path / "target")
    assert target.bundles.verify(str(tmp_path / "again.tar.zst")).damage == ()
    target.bundles.restore(str(tmp_path / "again.tar.zst"))
    assert seen(target, archive.run_ids()) == seen(archive, archive.run_ids())


def member(manifest: Manifest, prefix: str = "tier2/") -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in manifest["members"] if row["key"].startswith(prefix))
    return found


LIES: dict[str, Callable[[Manifest], object]] = {
    "size too large": lambda m: member(m).update(size=member(m)["size"] + 1),
    "size too small": lambda m: member(m).update(size=member(m)["size"] - 1),
    "size beyond the file": lambda m: member(m).update(size=1 << 60),
    "size negative": lambda m: member(m).update(size=-1),
    "size no number": lambda m: member(m).update(size="12"),
    "size true": lambda m: member(m).update(size=True),
    "place moved": lambda m: member(m).update(at=member(m)["at"] + 512),
    "place beyond the file": lambda m: member(m).update(at=1 << 60),
    "place negative": lambda m: member(m).update(at=-512),
    "other sha256": lambda m: member(m).update(sha256="0" * 64),
    "no sha256": lambda m: member(m).update(sha256="x"),
    "member left out": lambda m: m["members"].remove(member(m)),
    "record left out": lambda m: m["members"].remove(member(m, "runs/")),
    "member twice": lambda m: m["members"].append(member(m)),
    "key climbs": lambda m: member(m).update(key="../canary"),
    "key is absolute": lambda m: member(m).update(key="/tmp/canary"),
    "key with a backslash": lambda m: member(m).update(key="..\\canary"),
    "key empty": lambda m: member(m).update(key=""),
    "key no text": lambda m: member(m).update(key=3),
    "members no list": lambda m: m.update(members=3),
    "no members": lambda m: m.pop("members"),
    "runs no list": lambda m: m.update(runs={"id": 1}),
    "a run that is not there": lambda m: m["runs"].append(
        {**m["runs"][0], "id": "20200101T000000Z-00000000"}
    ),
    "an id that climbs": lambda m: m["runs"][0].update(id="../../canary"),
    "an id that is no text": lambda m: m["runs"][0].update(id=7),
    "a time that cannot be": lambda m: m.update(modified=10**18),
    "format no number": lambda m: m.update(bundle="one"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_found_out(lie: str, sound: bytes, tmp_path: Path) -> None:
    manifest, files = unpacked(sound)
    refused(packed(files, manifest["runs"], LIES[lie]), tmp_path)


def test_a_newer_format_is_told_from_damage(sound: bytes, tmp_path: Path) -> None:
    manifest, files = unpacked(sound)
    (tmp_path / "b.tar.zst").write_bytes(packed(files, manifest["runs"], lambda m: m.update(bundle=2)))
    with pytest.raises(FormatError, match="upgrade"):
        opened(tmp_path / "t").bundles.restore(str(tmp_path / "b.tar.zst"))


RECORDS: dict[str, Callable[[Record], Record]] = {
    "points outside": lambda r: replace(r, tier2=replace(r.tier2, key="../../canary")),  # type: ignore[type-var]
    "points to archive.json": lambda r: replace(r, tier2=replace(r.tier2, key="archive.json")),  # type: ignore[type-var]
    "points to another run": lambda r: replace(
        r,
        tier2=replace(r.tier2, key=layout.tier2_key("small", r.run)),  # type: ignore[type-var]
    ),
    "is of another run": lambda r: replace(r, run="20200101T000000Z-00000000"),
    "tape by another name": lambda r: replace(r, tapes=(replace(r.tapes[0], key="tapes/00/x.parquet"),)),
    "tape without a hash": lambda r: replace(
        r, tapes=(replace(r.tapes[0], sha256="..", key="tapes/../...parquet"),)
    ),
    "needs what is not there": lambda r: replace(
        r, tapes=(replace(r.tapes[0], sha256="0" * 64, key=layout.tape_key("0" * 64)),)
    ),
    "promises another hash": lambda r: replace(r, tier2=replace(r.tier2, sha256="0" * 64)),  # type: ignore[type-var]
    "promises another size": lambda r: replace(r, tier2=replace(r.tier2, size=1 << 50)),  # type: ignore[type-var]
}


@pytest.mark.parametrize("lie", RECORDS)
def test_a_record_that_lies_is_found_out(lie: str, sound: bytes, tmp_path: Path) -> None:
    manifest, files = unpacked(sound)
    for key in [key for key in files if key.startswith(layout.RUNS)]:
        record = decode_record(files[key], key)
        if record.tier2 is not None and record.tapes:
            files[key] = encode_record(RECORDS[lie](record))
    refused(packed(files, manifest["runs"]), tmp_path)


def test_tags_that_no_archive_writes_are_left_out(sound: bytes, tmp_path: Path, archive: Archive) -> None:
    manifest, files = unpacked(sound)
    run = archive.run_ids()[0]
    evil = {f"tags/{name}/{run}": b"x" * 100 for name in ("a/b/c", "%2", "%2e", ".hidden", "%FF")}
    (tmp_path / "b.tar.zst").write_bytes(
        packed({**evil, **files, f"tags/fine/{run}": b"x"}, manifest["runs"])
    )
    target = opened(tmp_path / "t")
    target.bundles.restore(str(tmp_path / "b.tar.zst"))
    assert set(target.run(run).tags) - {"t"} == {"fine"}
    assert {key: data for key, data in everything(target.store).items() if key.startswith("tags/fine")} == {
        f"tags/fine/{run}": b""
    }


def test_a_record_that_is_a_bomb_is_found_out(sound: bytes, tmp_path: Path) -> None:
    manifest, files = unpacked(sound)
    key = next(key for key in files if key.startswith(layout.RUNS))
    frame = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(bytes(1 << 20)))
    frame[5:9] = struct.pack("<I", 0xFFFFFFF0)  # its header now claims four gigabytes
    files[key] = bytes(frame)
    refused(packed(files, manifest["runs"]), tmp_path)


@pytest.mark.parametrize("at", [0, 1, 16, 17, 100, -1, -8, -9, -10, -100, 0.3, 0.6, 0.9])
def test_a_cut_file_is_found_out(at: float, sound: bytes, tmp_path: Path) -> None:
    refused(sound[: int(at * len(sound))] if isinstance(at, float) else sound[:at], tmp_path)


def test_any_flipped_bit_is_found_or_harmless(archive: Archive, sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "flipped.tar.zst"
    rng = random.Random(5)
    before = seen(archive, archive.run_ids())
    found = 0
    places = [
        *range(20),
        *range(len(sound) - 60, len(sound)),
        *(rng.randrange(len(sound)) for _ in range(150)),
    ]
    for place in places:
        data = bytearray(sound)
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            damaged = bool(archive.bundles.verify(str(path)).damage)
        except (IntegrityError, FormatError):
            damaged = True
        found += damaged
        if not damaged:  # bits that zstd itself does not read
            assert seen(opened(f"bundle::{path}"), archive.run_ids()) == before
    assert found >= len(places) - 3


def test_random_bytes_are_no_bundle(tmp_path: Path) -> None:
    refused(random.Random(1).randbytes(5000), tmp_path)


def test_a_tar_without_an_index_is_no_bundle(tmp_path: Path) -> None:
    refused(zstandard.ZstdCompressor().compress(_evil_tar()), tmp_path)


def test_an_index_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    refused(seekable([_evil_tar()]), tmp_path)


def _evil_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (
            ("../canary", tarfile.REGTYPE),
            ("/tmp/canary", tarfile.REGTYPE),
            ("runs", tarfile.SYMTYPE),
            ("archive.json", tarfile.LNKTYPE),
            ("device", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../canary"
            tar.addfile(info)
    return out.getvalue()


def test_evil_members_that_the_manifest_hides_are_found_and_never_extracted(
    sound: bytes, tmp_path: Path
) -> None:
    manifest, files = unpacked(sound)
    front = io.BytesIO()
    honest = packed(files, manifest["runs"])
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(honest), read_across_frames=True) as reader:
        front.write(reader.read().removesuffix(END))
    first = zstandard.frame_content_size(honest)
    tar = front.getvalue() + _evil_tar()
    refused(seekable([tar[:first], tar[first:]]), tmp_path, restores=True)


def test_zeros_without_end_are_not_unpacked(sound: bytes, tmp_path: Path) -> None:
    manifest, files = unpacked(sound)
    honest = packed(files, manifest["runs"])
    first = zstandard.frame_content_size(honest)
    zeros = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(15 << 20))
    count = 4000  # sixty gigabytes
    head = honest[: honest.index(b"\x28\xb5\x2f\xfd", 4)]
    table = seek_table([(len(head), first), *[(len(zeros), 15 << 20)] * count])
    refused(head + zeros * count + table, tmp_path / "many")
    liar = head + zeros + seek_table([(len(head), first), (len(zeros), (1 << 32) - 1)])
    refused(liar, tmp_path / "large")
    small = head + zeros + seek_table([(len(head), first), (len(zeros), 1000)])
    refused(small, tmp_path / "small")


def test_everything_outside_the_bundle_is_left_alone(archive: Archive, sound: bytes) -> None:
    before = everything(archive.store)
    archive.bundles.restore("sound")
    assert everything(archive.store) == before


@pytest.mark.parametrize(
    "change",
    [
        {"universe": None},
        {"id": "../../etc"},
        {"bytes": "many"},
        {"strategies": {}},
        {"detailed": -1},
        {"created": "2025-01-01T00:00:00"},
        {"tags": [1, {}]},
        {"tags": None},
    ],
)
def test_a_manifest_with_a_run_that_is_none_is_damage(change: dict[str, object]) -> None:
    run = {
        "id": "20250101T000000Z-00000000",
        "universe": "u",
        "created": "2025-01-01T00:00:00Z",
        "strategies": 1,
        "detailed": 0,
        "bytes": 9,
        "tags": ["t"],
    }
    fields = {"bundle": 1, "archiver": "0", "modified": 0, "members": []}
    assert read_manifest(json.dumps({**fields, "runs": [run]}).encode(), "x").runs[0]["universe"] == "u"
    with pytest.raises(IntegrityError, match="x is damaged"):
        read_manifest(json.dumps({**fields, "runs": [run | change]}).encode(), "x")
