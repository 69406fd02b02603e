"""What comes back for what went in: the table of docs/reference/values.md, row by row."""

from __future__ import annotations

import datetime as dt
import enum
import math
from array import array
from collections import OrderedDict, UserDict, UserString, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from archiver.errors import ConfigError
from archiver.format.values import placed, plain, saving
from tests.same import one_nan, same


class Side(enum.Enum):
    LONG = "long"


class Order(enum.IntEnum):
    MARKET = 3


class Level(enum.Enum):
    HIGH = 7


class Kind(enum.Enum):
    POINT = object()


@dataclass
class Fill:
    price: float
    side: Side


class Bar(NamedTuple):
    open: float
    close: Any


class Growing(OrderedDict[str, Any]):
    """As backtrader's AutoOrderedDict: makes what it is asked for, and keeps it."""

    def __missing__(self, key: str) -> Any:
        value = self[key] = Growing()
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]


class Attributes(dict[str, Any]):
    """Keys are attributes: one may hide a method."""

    def __init__(self, **given: Any) -> None:
        super().__init__(given)
        self.__dict__ = self


class Closed(Growing):
    def __missing__(self, key: str) -> Any:
        raise KeyError(key)


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
        (Decimal("1.10"), "1.10"),
        (Decimal("NaN"), "NaN"),
        (Fraction(1, 3), "1/3"),
        (1 + 2j, "(1+2j)"),
        (np.complex64(1 + 2j), "(1+2j)"),
        (np.array([1j]), ["1j"]),
        (Side.LONG, "long"),
        (Order.MARKET, 3),
        (Level.HIGH, 7),
        (Kind.POINT, "POINT"),
        (PurePosixPath("a/b"), "a/b"),
        (Path("x.csv"), "x.csv"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (b"\x00EUR", "00455552"),
        (bytearray(b"\xff"), "ff"),
        (memoryview(b"\x01\x02"), "0102"),
        (np.bytes_(b"ab"), "6162"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a", None}, ["a", 1, None]),
        ({"b": 1, "a": 2}.keys(), ["b", "a"]),
        ({"b": 1}.values(), [1]),
        (range(3), [0, 1, 2]),
        (deque([1, Decimal(2)]), [1, "2"]),
        (UserDict({"a": Side.LONG}), {"a": "long"}),
        (UserString("x"), "x"),
        (Fill(1.5, Side.LONG), {"price": 1.5, "side": "long"}),
        (Bar(1.0, None), {"open": 1.0, "close": None}),
        ([Bar(1.0, {2})], [{"open": 1.0, "close": [2]}]),
        (ZoneInfo("Europe/Zurich"), "Europe/Zurich"),
        (dt.datetime(2025, 1, 1, tzinfo=ZoneInfo("Europe/Zurich")), "2025-01-01T00:00:00+01:00"),
        (Fill, f"{__name__}.Fill"),
        (one_nan, "tests.same.one_nan"),
        (math.sqrt, "math.sqrt"),
        (len, "len"),
        (np.add, "numpy.add"),
        (np.longdouble(0.5), 0.5),
        (np.timedelta64(3, "M"), "3 months"),
        (np.array((1, 2.5), [("a", "i8"), ("b", "f8")]), {"a": 1, "b": 2.5}),
        (np.array([(1, "x")], [("a", "i8"), ("b", "U1")]), [{"a": 1, "b": "x"}]),
        (np.array([Decimal(1), None]), ["1", None]),
        (pd.Timedelta(minutes=1), 60.0),
        (pd.Period("2025-01", "M"), "2025-01"),
        (pd.Interval(0, 1), "(0, 1]"),
        (pd.offsets.MonthEnd(2), "2ME"),
        (pd.Index([1, 2]), [1, 2]),
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (pd.Categorical(["x", None]), ["x", None]),
        (pd.DataFrame({("EUR", "close"): [1.0], ("EUR", ""): [2.0]}), [{"EUR.close": 1.0, "EUR": 2.0}]),
        (pd.DataFrame({0: [1.0]}), [{"0": 1.0}]),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="day")), [{"day": "x", "a": 1}]),
        (
            pd.DataFrame({"a": [1]}, index=pd.DatetimeIndex(["2025-01-01"])),
            [{"index": "2025-01-01T00:00:00", "a": 1}],
        ),
        (
            pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", 2)], names=["s", None])),
            [{"s": "x", "level_1": 2, "a": 1}],
        ),
        (pa.scalar(1.5), 1.5),
        (pa.scalar(None, pa.int64()), None),
        (pa.record_batch({"a": [1]}), [{"a": 1}]),
    ],
)
def test_what_json_does_not_have_becomes_what_it_has(value: Any, expected: Any) -> None:
    assert same(plain(value), expected)


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, {None: 1}, [{"a": object()}], iter([1]), pl.LazyFrame({"a": [1]}), slice(3)]
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


@pytest.mark.parametrize("kind", [Growing, Closed])
def test_no_attribute_of_a_value_is_asked_for(kind: type[Growing]) -> None:
    value = kind(total=kind(open=1, closed=2), won=kind())
    assert same(plain(value), {"total": {"open": 1, "closed": 2}, "won": {}})
    assert list(value) == ["total", "won"]
    assert not value["won"]


def test_a_key_may_be_called_as_a_method_is() -> None:
    value = Attributes(items=1, keys=2, dtype=3, shape=())
    assert plain(value) == {"items": 1, "keys": 2, "dtype": 3, "shape": []}


def test_values_in_each_other_end() -> None:
    value: dict[str, Any] = Growing()
    value["self"] = value
    with pytest.raises(ConfigError, match="nested more than 100 levels"):
        plain(value, "here")


class Money:
    def __init__(self, amount: float) -> None:
        self.amount = amount


def test_a_save_may_bring_a_conversion_of_its_own() -> None:
    with saving(lambda value: {"amount": Decimal(value.amount)}):
        assert plain([Money(1.5)]) == [{"amount": "1.5"}]
    with (
        saving(lambda value: value.missing),
        pytest.raises(ConfigError, match=r"x\[1\] is a Money, for which") as caught,
    ):
        plain([1, Money(2)], "x")
    assert isinstance(caught.value.__cause__, AttributeError)
    with saving(lambda value: value), pytest.raises(ConfigError, match="nested more than"):
        plain(Money(1))
    with pytest.raises(ConfigError, match="default="):
        plain(Money(1))


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        (pd.Series([1.0, 2.0]), []),
        (pd.Series([1.0], index=pd.DatetimeIndex(["2025-01-01"], name="Date")), ["x (DatetimeIndex Date)"]),
        (pd.Series([1.0], index=[5]), ["x (Index)"]),
        (pd.Series([], dtype=float), []),
        ({"a": [pd.Series([1.0], index=["x"])]}, ["x.a[0] (Index)"]),
        (pd.DataFrame({"a": [1, 2]})[1:], ["x (RangeIndex)"]),
        (pd.DataFrame({"a": [1, 2]}, index=[0, 1]), []),
        (pd.DataFrame({"a": [1]}, index=["x"]), []),
        (pd.DataFrame({"a": [1]}, index=pd.Index([3], name="bar")), []),
    ],
)
def test_an_index_is_kept_or_told(value: Any, lost: list[str]) -> None:
    with saving(None) as seen:
        plain(value, "x")
    assert list(seen.lost) == lost


def test_an_index_that_a_column_is_called_as_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"x: its index cannot be a column .*rename one"):
        plain(pd.DataFrame({"a": [1]}, index=pd.Index([3], name="a")), "x")


def test_places_are_exact_where_columns_only_know_their_own() -> None:
    values = [("one: ", {"p": 1}), ("two: ", {"p": [1, object()]})]
    with pytest.raises(ConfigError, match=r"^two: p\[1\] is a object"), placed(lambda: values):
        raise ConfigError("p[3]")
    with (
        pytest.raises(ConfigError, match=r"^two: a number is too long"),
        placed(lambda: [("two: ", {"p": 10**5000})]),
    ):
        raise ConfigError("p[3]")
