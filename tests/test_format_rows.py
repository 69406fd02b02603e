from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.format.rows import RowsEncoder, decode_rows, encode_rows
from tests.same import one_nan, same

NAN, INF = math.nan, math.inf

# Every case that an encoder of columns is known to get wrong.
CASES: dict[str, list[dict[str, Any]]] = {
    "NaN": [{"a": NAN}, {"a": 1.0}],
    "infinities": [{"a": INF}, {"a": -INF}],
    "negative zero": [{"a": -0.0}, {"a": 0.0}],
    "smallest and largest floats": [{"a": 5e-324}, {"a": 1.7976931348623157e308}],
    "int 0 among floats": [{"a": 0}, {"a": 1.5}],
    "int 0 beside 0.0 beside -0.0": [{"a": 0}, {"a": 0.0}, {"a": -0.0}],
    "None beside NaN": [{"a": None}, {"a": NAN}, {"a": 1.0}],
    "None beside int among floats": [{"a": None}, {"a": 3}, {"a": 1.0}],
    "missing key": [{"a": 1.0, "b": 2.0}, {"a": 1.0}],
    "missing key beside None": [{"a": 1.0, "b": None}, {"a": 1.0}],
    "key order differs by row": [{"a": 1, "b": 2}, {"b": 1, "a": 2}],
    "no key at all in one row": [{"a": 1}, {}],
    "bool among ints": [{"a": True}, {"a": 1}],
    "bool among floats": [{"a": True}, {"a": 1.0}],
    "bools with None": [{"a": True}, {"a": None}, {"a": False}],
    "str among floats": [{"a": "n/a"}, {"a": 1.0}],
    "int beyond 2**53": [{"a": 2**53 + 1}, {"a": 5}],
    "int beyond 2**53 among floats": [{"a": 2**53 + 1}, {"a": 1.0}],
    "int at the edge of 2**63": [{"a": 2**63 - 1}, {"a": -(2**63)}],
    "int beyond 2**63": [{"a": 2**63}, {"a": 1}],
    "int beyond 2**64": [{"a": 2**70}, {"a": -(2**70)}],
    "empty dict": [{"a": {}}, {"a": {}}],
    "empty dict beside a full one": [{"a": {}}, {"a": {"b": 1.0}}, {"a": None}, {}],
    "empty list": [{"a": []}, {"a": []}],
    "empty list beside floats": [{"a": []}, {"a": [1.0]}],
    "list of mixed numbers": [{"a": [1, 2.0]}],
    "list with None and NaN": [{"a": [None, NAN, 1.0]}, {"a": None}],
    "list of bools": [{"a": [True, False]}],
    "list of texts": [{"a": ["x", None, ""]}],
    "list of lists": [{"a": [[1.0], []]}],
    "list of dicts": [{"a": [{"x": 1}, {"y": NAN}]}],
    "lists of different types": [{"a": [1]}, {"a": ["x"]}],
    "all None": [{"a": None}, {"a": None}],
    "lone surrogate": [{"a": "\ud800"}, {"a": "x"}],
    "lone surrogate in a key": [{"\udfff": 1}],
    "NUL": [{"a": "\0"}, {"a": "x\0y"}],
    "NUL in a key": [{"a\0b": 1.0}],
    "ISO-looking texts": [{"a": "2025-01-01T00:00:00"}, {"a": "2025-01-01"}],
    "number-looking texts": [{"a": "1.0"}, {"a": "NaN"}, {"a": "null"}],
    "emoji and combining marks": [{"a": "🏦"}, {"a": "é"}, {"a": "é"}],
    "nested dicts": [{"a": {"b": {"c": [1.0, NAN]}, "d": 0}}, {"a": {"d": 1.5, "b": {"c": []}}}],
    "a dict in one row, a number in the next": [{"a": {"b": 1}}, {"a": 1}],
    "keys that look like paths": [{"a.b": 1.0, "a": {"b": 2.0}, "list.element": [1.0]}],
    "keys that collide with ours": [{"_shape": 1, "_": 2, "": 3}, {"": 1}],
    "keys that differ by case": [{"A": 1.0, "a": 2.0}],
    "empty key": [{"": 1.0}],
    "one row": [{"a": 1.0}],
}


def round_trip(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    encoded = encode_rows(rows, "rows")
    assert encoded is not None
    return decode_rows(encoded.names, encoded.arrays, encoded.layout)


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_gives_back_the_very_rows(rows: list[dict[str, Any]]) -> None:
    assert same(round_trip(rows), rows)


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_a_table_of_it_can_be_parquet(rows: list[dict[str, Any]]) -> None:
    import io

    import pyarrow.parquet as pq

    encoded = encode_rows(rows, "rows")
    assert encoded is not None
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(encoded.arrays, encoded.names), file, store_schema=False)
    table = pq.read_table(file)
    arrays = [table[name].combine_chunks() for name in table.column_names]
    assert same(decode_rows(table.column_names, arrays, encoded.layout), rows)


def test_regular_rows_are_typed_and_need_no_layout() -> None:
    encoded = encode_rows([{"f": 1.0, "i": 1, "b": True, "s": "x", "l": [1.0], "d": {"x": 1.0}}], "rows")
    assert encoded is not None
    assert encoded.layout == {}
    assert [str(array.type) for array in encoded.arrays] == [
        "double",
        "int64",
        "bool",
        "string",
        "list<item: double>",
        "struct<x: double>",
    ]


def test_ints_among_floats_stay_in_a_typed_column() -> None:
    encoded = encode_rows([{"f": 1.0}, {"f": 0}], "rows")
    assert encoded is not None
    assert str(encoded.arrays[0].type) == "double"


def test_no_rows_and_rows_without_keys_are_not_columns() -> None:
    assert encode_rows([], "rows") is None
    assert encode_rows([{}, {}], "rows") is None


def test_keys_that_vary_like_data_are_not_columns() -> None:
    assert encode_rows([{f"k{at}": 1} for at in range(2_000)], "rows") is None


def test_many_shapes_are_listed_row_by_row() -> None:
    rows = [
        {f"k{bit}": 1.0 if row % 3 else 1 for bit in range(10) if row & (1 << bit)} for row in range(1, 1_000)
    ]
    encoded = encode_rows(rows, "rows")
    assert encoded is not None
    assert "shapes" not in encoded.layout
    assert same(decode_rows(encoded.names, encoded.arrays, encoded.layout), rows)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([{1: 2.0}], "the key 1"),
        ([{"a": {1: 2}}], "the key 1"),
        ([{"a": object()}], "rows.a[0] is a object"),
        ([{"a": [iter([])]}], "rows.a[0][0] is a list_iterator"),
        ([{"a": slice(1)}], "rows.a[0] is a slice"),
        ([{"a": [{(1, 2): 3}]}], "the key (1, 2)"),
    ],
)
def test_says_where_a_value_is_that_cannot_be_kept(rows: list[dict[Any, Any]], place: str) -> None:
    with pytest.raises(ConfigError, match=r"give|write") as caught:
        encode_rows(rows, "rows")
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(), max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)
tables = st.lists(
    st.dictionaries(st.sampled_from("abc") | st.text(max_size=2), values, max_size=4), max_size=8
)


@settings(max_examples=150)
@given(rows=tables, cut=st.integers(1, 8))
def test_any_rows_come_back_however_they_are_chunked(rows: list[dict[str, Any]], cut: int) -> None:
    rows = one_nan(rows)
    encoder = RowsEncoder("rows")
    for start in range(0, len(rows), cut):
        encoder.add(rows[start : start + cut])
    encoded = encoder.finish()
    if encoded is None:
        assert not any(rows)
    else:
        assert same(decode_rows(encoded.names, encoded.arrays, encoded.layout), rows)
