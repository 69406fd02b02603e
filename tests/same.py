"""Equality that sees what `==` does not: types, float bits, key order."""

from __future__ import annotations

import math
import struct
from typing import Any


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same in value, type, key order and float bits, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def one_nan(value: Any) -> Any:
    """Return the value with every NaN the same: text has one, its sign and payload mean nothing to anyone."""
    if isinstance(value, float):
        return math.nan if math.isnan(value) else value
    if isinstance(value, list):
        return [one_nan(item) for item in value]
    if isinstance(value, dict):
        return {key: one_nan(item) for key, item in value.items()}
    return value


def assert_same_detail(loaded: dict[str, Any], result: dict[str, Any]) -> None:
    """Compare what `load_strategy` gave with the result that was saved, which has all three parts of a detail."""
    parts = {"trades": "trades_detailed", "equity_curve": "equity_curve", "drawdown_curve": "drawdown_curve"}
    metrics = {key: value for key, value in result.items() if key not in ("strategy_name", *parts.values())}
    assert loaded["strategy_name"] == result["strategy_name"]
    assert same(loaded["metrics"], metrics)
    for name, given in parts.items():
        assert same(loaded[name], result[given]), name
