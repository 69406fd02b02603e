from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.format.curves import (
    DRAWDOWN_RULES,
    apply_rule,
    columns_of,
    decode_curve,
    drawdown_rule,
    encode_curves,
    split,
)
from tests.same import same

EQUITY = [10_000.0, 10_010.5, 9_990.25, 10_200.125, 9_000.0]


@pytest.mark.parametrize("rule", DRAWDOWN_RULES)
def test_every_rule_is_recognised(rule: str) -> None:
    drawdown = apply_rule(rule, EQUITY)
    assert drawdown is not None
    found = drawdown_rule(EQUITY, drawdown)
    assert found is not None
    assert same(apply_rule(found, EQUITY), drawdown)


def test_rules_are_what_numpy_computes_too() -> None:
    equity = np.array(EQUITY)
    peak = np.maximum.accumulate(equity)
    assert drawdown_rule(EQUITY, ((peak - equity) / peak * 100.0).tolist()) == "(peak - equity) / peak * 100"
    assert drawdown_rule(EQUITY, (1 - equity / peak).tolist()) == "1 - equity / peak"


@pytest.mark.parametrize(
    ("equity", "drawdown"),
    [
        (EQUITY, [0.0] * 5),
        (EQUITY, [0.0] * 4),
        ([], []),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1, 2.0], [0.0, 0.0]),
        ([2.0, 1.0], [0, 50.0]),
        ([2.0, math.nan], [0.0, math.nan]),
        ("x", "y"),
    ],
)
def test_what_is_not_proven_is_stored(equity: Any, drawdown: Any) -> None:
    rule = drawdown_rule(equity, drawdown)
    assert rule is None or same(apply_rule(rule, equity), drawdown)


def test_one_bit_off_is_stored() -> None:
    drawdown = [(p - e) / p * 100.0 for e, p in zip(EQUITY, accumulate(EQUITY, max), strict=True)]
    drawdown[-1] = math.nextafter(drawdown[-1], math.inf)
    assert drawdown_rule(EQUITY, drawdown) is None


@given(
    st.lists(
        st.none()
        | st.lists(st.floats(allow_nan=False) | st.integers() | st.none(), max_size=4)
        | st.text("ab"),
        min_size=1,
        max_size=5,
    )
)
def test_any_curves_come_back(curves: list[Any]) -> None:
    columns = columns_of("curve")
    table = pa.table(
        encode_curves([split(curve, "curve") for curve in curves], columns, [None] * len(curves))
    )
    read = [decode_curve(table.slice(at, 1), columns, lambda: np.zeros(0)) for at in range(len(curves))]
    assert same(read, curves)
