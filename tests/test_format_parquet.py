from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archiver.errors import FormatError, IntegrityError
from archiver.format.model import Ref
from archiver.format.parquet import ParquetObject, write_parquet

CHANCE = random.Random(5)
TABLE = pa.table(
    {
        "name": [f"s{at}" for at in range(20_000)],
        **{f"m{at}": [CHANCE.random() for _ in range(20_000)] for at in range(6)},
        "nested": [[{"x": float(at)}] for at in range(20_000)],
    }
)


class Source:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, start: int, end: int) -> bytes:
        self.ranges.append((start, end))
        return self.data[start:end]

    @property
    def bytes(self) -> int:
        return sum(end - start for start, end in self.ranges)


@pytest.fixture(scope="module")
def written() -> tuple[bytes, Ref]:
    slices = [TABLE.slice(at, 5_000) for at in range(0, 20_000, 5_000)]
    return write_parquet(slices, {"x": 1}, parts="column")


def test_parts_cover_the_object_without_gaps(written: tuple[bytes, Ref]) -> None:
    data, ref = written
    ends = [end for end, _ in ref.parts]
    assert ends == sorted(set(ends))
    assert ends[-1] == ref.size == len(data)
    assert len(ends) == 4 * 8 + 1


def test_other_tools_read_the_same(written: tuple[bytes, Ref]) -> None:
    import duckdb
    import polars as pl

    data, _ = written
    assert pq.read_table(pa.BufferReader(data)).equals(TABLE)
    assert pl.read_parquet(data).height == 20_000
    duck = duckdb.connect()
    duck.register("t", pq.read_table(pa.BufferReader(data)))
    assert duck.execute("select count(*), sum(m0) > 0 from t").fetchall() == [(20_000, True)]


def test_a_column_is_read_without_the_others() -> None:
    data, ref = write_parquet([TABLE], {}, parts="column")
    source = Source(data)
    table = ParquetObject(ref, source).read(columns=["m3"])
    assert table["m3"].to_pylist() == TABLE["m3"].to_pylist()
    assert source.bytes < ref.size / 4


def test_columns_near_each_other_come_in_one_request() -> None:
    data, ref = write_parquet([TABLE], {}, parts="column")
    source = Source(data)
    found = ParquetObject(ref, source)
    assert found.read(columns=["m1", "m3"]).equals(TABLE.select(["m1", "m3"]))
    assert len(source.ranges) == 2
    assert found.read(columns=["m2"]).equals(TABLE.select(["m2"]))  # came with the others, and was verified
    assert len(source.ranges) == 2


def test_a_row_group_is_read_without_the_others(written: tuple[bytes, Ref]) -> None:
    data, ref = written
    source = Source(data)
    table = ParquetObject(ref, source).read(groups=[2])
    assert table.equals(TABLE.slice(10_000, 5_000))
    assert source.bytes < ref.size / 3
    assert len(source.ranges) == 2


def test_a_nested_column_is_read_by_its_name(written: tuple[bytes, Ref]) -> None:
    data, ref = written
    assert (
        ParquetObject(ref, Source(data)).read(columns=["nested"])["nested"].to_pylist()
        == TABLE["nested"].to_pylist()
    )


def test_all_is_one_request_after_the_footer(written: tuple[bytes, Ref]) -> None:
    data, ref = written
    source = Source(data)
    assert ParquetObject(ref, source).read().equals(TABLE)
    assert len(source.ranges) == 2


@pytest.mark.parametrize("part", range(33))
def test_a_flipped_bit_in_a_part_is_found_when_that_part_is_read(
    written: tuple[bytes, Ref], part: int
) -> None:
    data, ref = written
    start = ref.parts[part - 1][0] if part else 0
    at = (start + ref.parts[part][0]) // 2
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(IntegrityError):
        ParquetObject(ref, Source(broken)).read(groups=range(4), columns=TABLE.column_names)
    with pytest.raises(IntegrityError):
        ParquetObject(ref, Source(broken)).read()


def test_short_answers_are_damage(written: tuple[bytes, Ref]) -> None:
    data, ref = written
    with pytest.raises(IntegrityError):
        ParquetObject(ref, lambda start, end: data[start : end - 1])


def test_a_small_object_is_one_request() -> None:
    data, ref = write_parquet([pa.table({"a": [1.0]})], {}, parts="group")
    source = Source(data)
    assert ParquetObject(ref, source).read(columns=["a"]).to_pydict() == {"a": [1.0]}
    assert source.ranges == [(0, len(data))]
    assert ref.parts == ()


def test_parquet_of_others_and_of_newer_formats_is_refused() -> None:
    import io

    from archiver.format.parquet import ref_of

    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), out)
    with pytest.raises(FormatError, match="not written by archiver"):
        ParquetObject(ref_of("k", out.getvalue()), Source(out.getvalue()))
    data, ref = write_parquet([pa.table({"a": [1]})], {"format": 3}, parts="group")
    with pytest.raises(FormatError, match="upgrade"):
        ParquetObject(ref, Source(data))
    with pytest.raises(FormatError, match="not Parquet"):
        ParquetObject(ref_of("k", b"PAR1 nonsense"), Source(b"PAR1 nonsense"))


def test_damage_says_what_differs() -> None:
    data, ref = write_parquet([pa.table({"a": [1.0]})], {}, parts="group")
    with pytest.raises(IntegrityError, match="damaged: its content is not what its record says; run"):
        ParquetObject(ref, Source(data[:-1] + b"x"))
    with pytest.raises(IntegrityError, match=f"damaged: it has 1 bytes instead of {ref.size}; run"):
        ParquetObject(ref, Source(b"x"))
