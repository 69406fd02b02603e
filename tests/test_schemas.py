"""Tables of several runs take one schema, and no value is changed on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from archiver.errors import ConfigError
from archiver.format.metrics import is_json
from archiver.query.schemas import conform, mixed, one_schema


def joined(*columns: pa.Array) -> pa.ChunkedArray:
    tables = [pa.table({"x": column}) for column in columns]
    return conform(tables, one_schema(tables))["x"]


def test_ints_among_floats_are_floats_where_they_stay_exact() -> None:
    assert joined(pa.array([1]), pa.array([0.5])).to_pylist() == [1.0, 0.5]
    with pytest.raises(ConfigError, match="do not fit the type that other runs have"):
        joined(pa.array([2**53 + 1]), pa.array([0.5]))


def test_moments_take_the_finest_unit_and_utc() -> None:
    east = pa.array(
        [datetime(2025, 1, 6, 9, tzinfo=timezone(timedelta(hours=2)))], pa.timestamp("s", "+02:00")
    )
    fine = pa.array([1], pa.timestamp("ns", "UTC"))
    both = joined(east, fine)
    assert both.type == pa.timestamp("ns", "UTC")
    assert both[0].as_py() == datetime(2025, 1, 6, 7, tzinfo=UTC)
    assert both[1].value == 1
    assert (
        joined(
            pa.array([0], pa.timestamp("ms", "Asia/Tokyo")), pa.array([0], pa.timestamp("us", "Asia/Tokyo"))
        ).type.tz
        == "Asia/Tokyo"
    )


def test_what_differs_is_json_text_once() -> None:
    first, second = pa.table({"x": ["a"]}), pa.table({"x": [{"b": 1}]})
    schema = one_schema([first, second])
    table = conform([first, second], schema)
    assert table["x"].to_pylist() == ['"a"', '{"b":1}']
    again = conform([table, first], one_schema([table, first]))
    assert again["x"].to_pylist() == ['"a"', '{"b":1}', '"a"']
    assert is_json(again.schema.field("x"))
    assert mixed([first.schema, second.schema]) == {"x"}
    assert mixed([again.schema, again.schema]) == mixed([first.schema, first.schema]) == set()


def test_text_that_is_nowhere_something_goes_with_any_type() -> None:
    assert joined(pa.array([None], pa.string()), pa.array([1])).type == pa.int64()
    assert joined(pa.array([None], pa.string())).type == pa.string()
    assert joined(pa.nulls(1), pa.array([True])).to_pylist() == [None, True]
