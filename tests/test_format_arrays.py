"""Lists as arrays of Arrow: the same with pandas in the process as without it."""

from __future__ import annotations

import math
import sys
from typing import Any

import pyarrow as pa
import pytest

from archiver.format.arrays import array_of

KINDS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.float64(), [1.5, -0.0, math.inf, math.nan]),
    (pa.int64(), [0, -(2**63), 2**63 - 1]),
    (pa.int32(), [0, -(2**31), 2**31 - 1]),
    (pa.bool_(), [True, False, True]),
    (pa.string(), ["", "ü", "a\0b", "x" * 50]),
    (pa.null(), [None]),
]


@pytest.fixture(autouse=True)
def _without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pandas", raising=False)


@pytest.mark.parametrize(("kind", "some"), KINDS, ids=[str(kind) for kind, _ in KINDS])
def test_an_array_is_the_one_that_arrow_makes(kind: pa.DataType, some: list[Any]) -> None:
    for values in (
        [],
        [None],
        some,
        [None, *some],
        some * 5,
        [None, *some, None] * 5,
        [None] * 9,
        tuple(some),
    ):
        made, expected = array_of(values, kind), pa.array(values, kind)
        made.validate(full=True)
        assert made.type == expected.type
        assert made.null_count == expected.null_count
        assert str(made.to_pylist()) == str(expected.to_pylist())


def test_long_columns_are_left_to_arrow() -> None:
    values = [*range(20_000), None]
    assert array_of(values, pa.int64()).equals(pa.array(values, pa.int64()))


def test_what_no_array_holds_is_refused_as_arrow_does() -> None:
    with pytest.raises(OverflowError):
        array_of([1, 2**63], pa.int64())
    with pytest.raises(UnicodeEncodeError):
        array_of(["a", "\ud800"], pa.string())
