"""Shapes that users have and that no engine writes: dicts of moments, Decimals, flags, odd columns; none is guessed at."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import archiver
from archiver.archive import Archive
from archiver.format.clocks import _encode, clock_of, encode_clock
from archiver.format.rows import column_values
from archiver.format.typed import from_rows, plain_rows, schema_text, stored_columns, to_arrow
from tests.same import same

DAYS = pd.date_range("2025-03-29", periods=3, freq="D")
UTC = pd.Timestamp("2025-01-01", tz="UTC")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archiver.open(tmp_path / "archive")


def save(archive: Archive, **detail: Any) -> None:
    archive.save_universe_results("u", [{"strategy_name": "S", "sharpe": 1.0, **detail}], code="none")


@pytest.mark.parametrize(
    ("curve", "times", "values"),
    [
        ({day.to_pydatetime(): 1.5 for day in DAYS}, list(DAYS), [1.5, 1.5, 1.5]),
        ({"2025-03-29": 1.5, "2025-03-30": None}, list(DAYS[:2]), [1.5, None]),
        ({"time": ["2025-03-29"], "value": [1.5]}, list(DAYS[:1]), [1.5]),
        (pl.DataFrame({"when": list(DAYS), "what": [1.5, 2.5, 3.5]}), list(DAYS), [1.5, 2.5, 3.5]),
        (pd.DataFrame({"what": [1.5], "when": DAYS[:1]}), list(DAYS[:1]), [1.5]),
        (pa.table({"when": pa.array(DAYS[:1]), "what": [1.5]}), list(DAYS[:1]), [1.5]),
        (pd.Series([Decimal("1.5"), Fraction(1, 4), None], DAYS), list(DAYS), [1.5, 0.25, None]),
        ([Decimal("1.5"), 2], [None, None], [1.5, 2.0]),
        (pd.Series([True, False, None], DAYS, dtype=object), list(DAYS), [True, False, None]),
        (pd.Series(["up", "down", "up"], DAYS), list(DAYS), ["up", "down", "up"]),
    ],
)
def test_a_curve_of_a_shape_that_users_have_is_read(
    archive: Archive, curve: Any, times: list[Any], values: list[Any]
) -> None:
    save(archive, curves={"c": curve})
    found = archive.load_curve("S", "c")
    assert found["value"].to_pylist() == values
    assert found["time"].to_pylist() == times


@pytest.mark.parametrize(
    "curve",
    [np.zeros((2, 2, 2)), [{"a": 1}, {"a": 2}], {"a": {"b": 1.0}}, pl.DataFrame({"a": [1.0]}).lazy(), iter([1.0])],
    ids=["cube", "dicts", "nested", "lazy", "iterator"],
)  # fmt: skip
def test_what_is_no_curve_is_refused(archive: Archive, curve: Any) -> None:
    with pytest.raises(archiver.ConfigError, match=r"strategy 'S': curves\.c (is a|has a list or dict)"):
        save(archive, curves={"c": curve})


def test_a_decimal_under_an_old_name_stays_the_text_that_it_always_was(archive: Archive) -> None:
    save(archive, equity_curve=[Decimal("1.10"), 2.0])
    assert archive.load_strategy("S")["equity_curve"] == ["1.10", 2.0]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ([1 + 2j, 3j], ["(1+2j)", "3j"]),
        (pd.arrays.SparseArray([0, 0, 1]), [0, 0, 1]),
        (pd.period_range("2025-01", periods=2, freq="M"), ["2025-01", "2025-02"]),
        (pd.cut([1, 3], [0, 2, 4]), ["(0, 2]", "(2, 4]"]),
        ([Path("a/b"), None], ["a/b", None]),
        (pd.Series([UTC, pd.Timestamp("2025-01-02"), pd.NaT], dtype=object), [UTC.isoformat(), "2025-01-02T00:00:00", None]),
        (pd.Series([UTC, pd.Timestamp("2025-01-02", tz="Asia/Tokyo")], dtype=object), [UTC, pd.Timestamp("2025-01-01T15:00Z")]),
        ([1, "x"], ["1", '"x"']),
        (["\ud800", dt.time(1)], ['"\\ud800"', '"01:00:00"']),
    ],
    ids=["complex", "sparse", "period", "interval", "path", "mixed zones", "zones", "mixed", "no unicode"],
)  # fmt: skip
def test_a_column_that_arrow_has_no_type_for_is_what_it_says(
    archive: Archive, column: Any, values: list[Any]
) -> None:
    if isinstance(column, list):
        column = pd.Series(column, dtype=complex if complex in map(type, column) else object)
    save(archive, tables={"o": pd.DataFrame({"c": column})})
    assert archive.load_table("S", "o")["c"].to_pylist() == values


FRAME = pd.DataFrame(
    {
        **{"t": DAYS.tz_localize("Europe/Berlin"), "i": np.array([1, 2, 3], "int8"), "f": np.float32([1.5, 2, 3])},
        **{"c": pd.Categorical(["x", None, "y"]), "s": ["a", None, "b"], "b": [True, False, True]},
        **{"u": np.array([1, 2, 2**64 - 1], "uint64"), "d": [Decimal("1.10"), None, Decimal(2)]},
        **{"j": [[1], {"a": 2}, None], "h": np.array([1.5, 2, 3], "float16"), "w": [b"\x00", None, b"x"]},
        **{"none": [None, None, None], "nan": [1.0, float("nan"), 3.0], "span": DAYS - DAYS[0]},
        "cat": pd.Categorical([3, 1, 3]),
    }
)  # fmt: skip


def test_a_table_is_stored_by_columns_as_its_rows_would_be(archive: Archive) -> None:
    table = to_arrow(FRAME, "o")
    rows, columns = plain_rows(table, "o"), stored_columns(table, "o")
    for name, column in columns.items():
        assert same(column_values(column), [row[name] for row in rows]), name
    save(archive, tables={"o": FRAME, "few": FRAME[["i"]].iloc[:0]})
    found = archive.load_table("S", "o")
    assert found.schema.equals(from_rows(rows, schema_text(table)).schema)
    pd.testing.assert_frame_equal(
        found.to_pandas().drop(columns="j"), FRAME.drop(columns="j"), check_column_type=False
    )
    assert found["j"].to_pylist() == ["[1]", '{"a":2}', None]


def test_tables_of_one_name_may_differ_in_columns_and_types(archive: Archive) -> None:
    given = {"A": FRAME, "B": FRAME[["i", "s"]].assign(i=[0.5, 1.5, 2.5]), "C": [{"i": "x", "new": 1}]}
    results = [{"strategy_name": name, "sharpe": 1.0, "tables": {"o": one}} for name, one in given.items()]
    archive.save_universe_results("u", results, code="none")
    a, b, c = (archive.load_table(name, "o") for name in given)
    assert (a["i"].type, a["i"].to_pylist()) == (pa.int8(), [1, 2, 3])
    assert b.to_pydict() == {"i": [0.5, 1.5, 2.5], "s": ["a", None, "b"]}
    assert c.to_pylist() == [{"i": "x", "new": 1}]


def test_a_table_of_many_rows_makes_no_objects_of_them(archive: Archive) -> None:
    """Rows as dicts took eight times the table's memory. What is counted here are Python's own objects."""
    rows = 100_000
    frame = pd.DataFrame({"t": pd.date_range("2020", periods=rows, freq="min"), "p": np.arange(rows) / 7})
    save(archive, tables={"o": frame})
    before = sys.getallocatedblocks()
    found = archive.load_table("S", "o")
    assert found.num_rows == rows
    made = []
    sys.setprofile(lambda *_: made.append(sys.getallocatedblocks()))
    try:
        archive.load_table("S", "o")
    finally:
        sys.setprofile(None)
    assert max(made) - before < rows


def test_a_clock_that_was_written_before_is_the_same_object() -> None:
    one, other = (clock_of(DAYS.as_unit("us"), "c") for _ in range(2))
    assert encode_clock(one) == encode_clock(other) == _encode(one)
    dates, zoned = clock_of([day.date() for day in DAYS], "c"), clock_of(DAYS.tz_localize("UTC"), "c")
    assert len({encode_clock(clock)[1].sha256 for clock in (one, dates, zoned)}) == 3
