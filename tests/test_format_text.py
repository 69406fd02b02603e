from __future__ import annotations

import datetime as dt
import math
from array import array
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.format.text import dumps, loads, plain
from tests.same import one_nan, same

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@given(value=values)
def test_text_gives_the_very_value_back(value: Any) -> None:
    text = dumps(value)
    text.encode("ascii")
    assert same(loads(text), one_nan(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2.0), [1, 2.0]),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1.0, math.nan]), [1.0, math.nan]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["2025-01-01", "NaT"], "M8[D]"), ["2025-01-01", None]),
        (np.array([["2025-01-01", "NaT"]], "M8[D]"), [["2025-01-01", None]]),
        (np.array([[90, 120]], "m8[s]"), [[90.0, 120.0]]),
        (np.ma.array([1.0, 2.0], mask=[False, True]), [1.0, None]),
        (np.ma.masked, None),
        (np.ma.array(1.5, mask=True), None),
        (np.datetime64("2025-01-01T10:00:00"), "2025-01-01T10:00:00"),
        (np.timedelta64(90, "s"), 90.0),
        (dt.datetime(2025, 1, 1, tzinfo=dt.UTC), "2025-01-01T00:00:00+00:00"),
        (dt.date(2025, 1, 1), "2025-01-01"),
        (dt.time(10, 30), "10:30:00"),
        (dt.timedelta(minutes=1), 60.0),
        (pd.Timestamp("2025-01-01"), "2025-01-01T00:00:00"),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series([1.0, math.nan]), [1.0, math.nan]),
        (pd.Series(["x", None], dtype="str"), ["x", None]),
        (pd.Series(["x", None], dtype="category"), ["x", None]),
        (pd.Series([1.5, None], dtype="category"), [1.5, None]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (pd.DataFrame({"s": ["x", None]}), [{"s": "x"}, {"s": None}]),
        (pl.Series([1.0, None]), [1.0, None]),
        (pl.DataFrame({"a": [1, None]}), [{"a": 1}, {"a": None}]),
        (pa.array([1, None]), [1, None]),
        (pa.table({"a": [1.5]}), [{"a": 1.5}]),
        (array("d", [1.0]), [1.0]),
    ],
)
def test_what_json_does_not_have_becomes_what_it_has(value: Any, expected: Any) -> None:
    assert same(plain(value), expected)


@pytest.mark.parametrize(
    "value", [{1}, b"x", 1j, object(), {1: 2}, {None: 1}, [{"a": {3}}], np.complex128(1)]
)
def test_what_cannot_be_kept_is_one_clear_line(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        plain(value, "here")
    assert str(caught.value).startswith("here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrap", [lambda array: array, lambda array: pa.table({"a": array})])
def test_arrow_fields_of_one_name_are_one_clear_line(wrap: Any) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"])
    with pytest.raises(ConfigError, match=r"an Arrow array of .* cannot be kept: .*duplicate field names"):
        plain(wrap(twice))
