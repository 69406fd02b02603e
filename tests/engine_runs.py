"""Prices and small runs of real engines, that tests of adapters share; an engine that is not there skips its tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

import archiver
from archiver.engines.shared import number, plain_value


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


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Return what nested dicts hold, by names joined with dots."""
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= leaves(inner, f"{name}.{key}" if name else str(key))
    return found


def lost_columns(own: pd.DataFrame, kept: Any, renamed: dict[str, str] | None = None) -> list[str]:
    """Return the columns of an engine's own table of which a value is not in the table that was kept.

    kept: a table or rows; renamed: what columns are called there. Amounts (`2.20 USD`) are a number and a currency.
    """
    rows = kept.to_dict("records") if isinstance(kept, pd.DataFrame) else kept
    assert len(rows) == len(own)
    lost = []
    for label in own:
        name = (renamed or {}).get(str(label), str(label))
        held = zip(rows, own[label].tolist(), strict=True)
        lost += [str(label)] * (not all(name in row and _told(row, name, value) for row, value in held))
    return lost


def _told(row: dict[str, Any], name: str, value: Any) -> bool:
    mine, theirs = plain_value(row[name]), plain_value(value)
    if (
        same(mine, theirs)
        or (mine in (None, "") and theirs in (None, ""))
        or (mine != mine and theirs is None)
    ):
        return True
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    amount = number(str(single))
    return amount is not None and (mine, row.get(f"{name}_currency", "")) == amount
