from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.format.groups import RowGroups
from archiver.format.metrics import decode_metrics, ranges_of_rows
from archiver.format.parquet import ParquetObject
from tests.same import one_nan, same

Rows = list[dict[str, Any]]

LATE: dict[str, Any] = {
    "a column that comes late": [{"a": 1.0}] * 9 + [{"a": 1.0, "b": 2.0}] * 4,
    "a column that comes with the last row": [{"a": 1.0}] * 12 + [{"b": 1}],
    "a column that comes first and in the middle": [{"b": 1.0}] + [{"a": 1.0}] * 12 + [{"b": -0.0, "a": 2.0}],
    "keys in another order, late": [{"a": 1.0, "b": 2.0}] * 9 + [{"b": 2.0, "a": 1.0}] * 4,
    "floats that become ints": [{"a": 1.5}] * 9 + [{"a": 3}] * 4,
    "ints that become floats": [{"a": 3}] * 9 + [{"a": 1.5}] * 4,
    "an int among floats, late": [{"a": 1.5}] * 9 + [{"a": 0}, {"a": math.nan}],
    "an int among floats, early": [{"a": 0}, {"a": math.nan}] + [{"a": 1.5}] * 9,
    "numbers that become text": [{"a": 1.5}] * 9 + [{"a": "n/a"}],
    "None that becomes a number": [{"a": None}] * 9 + [{"a": 1.5}],
    "a number that becomes None": [{"a": 1.5}] * 4 + [{"a": None}] * 9 + [{"a": 2.5}],
    "an int that grows": [{"a": 1}] * 9 + [{"a": 2**70}],
    "params that differ": [{"a": 1.0, "params": {"fast": at}} for at in range(9)] + [{"params": {"slow": 1.5}}],
    "params without any, late": [{"params": {"fast": at}} for at in range(9)] + [{"params": {}}, {"params": None}] * 4,
    "params, some with an int": [{"params": {"fast": [at, 1.5][at % 2]}} for at in range(14)],
    "a name that no column can have": [{"a\0b": 1.0}] * 9 + [{"a": 1.0}],
    "a metric that is called as a column of ours": [{"_shape": 1.0}] * 9 + [{"b": 1.0, "_shape": 2.0}],
}  # fmt: skip


def encoded(rows: Rows, chunk: int, group: int = 4) -> tuple[ParquetObject, dict[str, Any]]:
    groups = RowGroups("results", 1000, group)
    for start in range(0, len(rows), chunk):
        groups.add(rows[start : start + chunk])
    data, ref, ranges = groups.finish({"tier": 1})
    return ParquetObject(ref, lambda start, end: data[start:end]), ranges


def check(rows: Rows, chunk: int) -> None:
    """All rows come back, whatever the groups are that they were written in, as do their ranges."""
    rows = [{"strategy_name": f"s{at}", **row} for at, row in enumerate(rows)]
    source, ranges = encoded(rows, chunk)
    whole, of_all = encoded(rows, chunk, len(rows) + 1)
    assert same(one_nan(decode_metrics(source)), one_nan(rows))
    assert same(one_nan(decode_metrics(whole)), one_nan(rows))
    assert ranges == of_all
    assert source.schema == whole.schema


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
@pytest.mark.parametrize("rows", LATE.values(), ids=LATE.keys())
def test_what_comes_late_is_kept_as_what_came_first(rows: Rows, chunk: int) -> None:
    check(rows, chunk)


_VALUES = st.sampled_from(
    [1.5, 0.0, -0.0, math.nan, math.inf, 0, 7, 2**70, None, True, "x", "é", [1.0], {"k": 1}]
)
_ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3), min_size=1, max_size=8)


@settings(max_examples=150)
@given(parts=st.lists(st.tuples(_ROWS, st.integers(1, 6)), min_size=1, max_size=5), chunk=st.integers(1, 7))
def test_rows_of_any_kind_come_back(parts: list[tuple[Rows, int]], chunk: int) -> None:
    check([row for rows, times in parts for row in rows * times], chunk)


def test_rows_that_are_alike_are_written_as_they_come() -> None:
    rows = [
        {"strategy_name": f"s{at}", "x": [1.5, 0, math.nan, None][at % 4], **({"y": at} if at % 3 else {})}
        for at in range(64)
    ]
    groups = RowGroups("results", 1000, 12)
    for start in range(0, 64, 6):
        groups.add(rows[start : start + 6])
        assert groups.held < 12
    data, ref, ranges = groups.finish({"tier": 1})
    source = ParquetObject(ref, lambda start, end: data[start:end])
    assert [source.file.metadata.row_group(at).num_rows for at in range(6)] == [12] * 5 + [4]
    assert same(one_nan(decode_metrics(source)), one_nan(rows))
    assert ranges == ranges_of_rows(rows)


@pytest.mark.parametrize("at", [0, 30])
def test_too_many_keys_are_refused_whenever_they_come(at: int) -> None:
    groups = RowGroups("results", 5, 4)
    rows: Rows = [{"a": 1.0} for _ in range(40)]
    rows[at] = {f"k{number}": 1.0 for number in range(6)}
    for start in range(0, 40, 3):
        groups.add(rows[start : start + 3])
    with pytest.raises(ConfigError, match="more than 5 different metrics"):
        groups.finish({})
