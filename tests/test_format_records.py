from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from archiver.errors import FormatError, IntegrityError
from archiver.format.model import Code, CodeFile, Detail, Record, Ref
from archiver.format.records import compress, decode_record, decompress, encode_record

FULL = Record(
    run="20250121T120000Z-0123abcd",
    universe="u",
    created=datetime(2025, 1, 21, 12, 0, 0, 123456, UTC),
    strategies=2,
    top_n=1,
    rank_by="sharpe_ratio",
    tier1=Ref("tier1/universe=u/x.parquet", 10, "ab" * 32, ((5, "cd" * 32), (10, "ef" * 32))),
    tier2=Ref("tier2/universe=u/x/detail.parquet", 20, "01" * 32),
    details=(Detail("s", 1, 0),),
    tapes=(Ref("tapes/ab/x.parquet", 30, "23" * 32),),
    code=Code(
        "entry",
        (CodeFile("a/b.py", 5, "45" * 32), CodeFile("run.sh", 6, "67" * 32, True)),
        (CodeFile("environment", 7, "89" * 32),),
        {"argv": ["x"]},
        ("w",),
        None,
    ),
    metrics={"sharpe_ratio": (-1.5, 2), "n": (0, 2**53)},
    names="ab" * 32,
    params='{"x":NaN}',
    note="ü",
    detail_removed="keep_within=30d",
    archived="b",
)


@pytest.mark.parametrize(
    "record",
    [
        FULL,
        Record("20250121T120000Z-0123abcd", "u", datetime(2025, 1, 1, tzinfo=UTC), 0, 0, inline="[]"),
        replace(FULL, code=Code("none", reason="stdin")),
    ],
)
def test_a_record_comes_back(record: Record) -> None:
    data = encode_record(record)
    assert decode_record(data, "k") == replace(record, size=len(data))


def test_names_that_are_not_unicode_do_not_stop_a_save() -> None:
    code = replace(FULL.code or Code("none"), warnings=("\udcff",))
    back = decode_record(encode_record(replace(FULL, code=code)), "k")
    assert back.code is not None
    assert back.code.warnings == ("\\udcff",)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"nonsense", b'{"format":1}', b'{"format":"x"}'])
def test_what_is_no_record_is_damage(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="runs/x is damaged: it holds no record"):
        decode_record(compress(text), "runs/x")


def test_a_newer_record_is_not_damage() -> None:
    with pytest.raises(FormatError, match="upgrade"):
        decode_record(compress(b'{"format":3}'), "runs/x")


def test_no_flipped_bit_gives_another_record() -> None:
    data = encode_record(FULL)
    want = replace(FULL, size=len(data))
    found = 0
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << (at % 8)
        try:
            assert decode_record(bytes(broken), "k") == want
        except IntegrityError:
            found += 1
    assert found > 0.95 * len(data)


def test_a_bomb_does_not_fill_memory() -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(2 << 30))
    with pytest.raises(IntegrityError):
        decompress(bomb, "runs/x")


def test_bytes_behind_the_frame_are_damage() -> None:
    with pytest.raises(IntegrityError, match="runs/x is damaged"):
        decompress(compress(b"{}") + b"garbage", "runs/x")
