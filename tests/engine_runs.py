"""Prices and small runs of real engines, that tests of adapters share; an engine that is not there skips its tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

import archiver


def closes(count: int = 120) -> pd.Series:
    """Return a wandering price by working day."""
    steps = np.random.default_rng(3).normal(0.0, 0.02, count)
    index = pd.date_range("2024-01-01", periods=count, freq="B")
    return pd.Series(100.0 * np.exp(np.cumsum(steps)), index=index, name="Close")


def bars(count: int = 120) -> pd.DataFrame:
    """Return bars whose four prices are near each other."""
    close = closes(count)
    return pd.DataFrame(
        {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 1000.0}
    )


def same(one: Any, other: Any) -> bool:
    """Tell whether two plain values are equal; NaN is itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def saved(archive: archiver.Archive, result: dict[str, Any]) -> dict[str, Any]:
    """Save a result's metrics, params and trades, and load them back."""
    whole = {key: value for key, value in result.items() if key not in ("curves", "tables", "files")}
    archive.save_universe_results("u", [whole], code="none")
    return archive.load_strategy(result["strategy_name"])
