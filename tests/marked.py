"""Bars, and curves as engines make them: what marks a position to the closes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CASH = 100_000.0


def closes(count: int, seed: int = 1, start: float = 1.1, step: float = 3e-4, decimals: int = 5) -> Floats:
    """Return closes of a market, in ticks."""
    rng = np.random.default_rng(seed)
    return np.round(start + np.cumsum(rng.normal(0, step, count)), decimals)


def bars(close: Floats) -> dict[str, list[Any]]:
    """Return closes as bars."""
    return {"time": list(range(len(close))), "open": close.tolist(), "Close": close.tolist()}


def equity(close: Floats, units: float | None = None, *, leverage: float = 0.9, every: int = 60) -> Floats:
    """Return what an account is worth at each bar: cash, and the profit of what is held, marked to the close.

    units: how much is held each time; None: as much as there is money for, in fractions. Each second stretch of `every`
    bars something is held, long and short in turn, and each entry and exit costs a commission.
    """
    cash, held, entry = CASH, 0.0, 0.0
    worth = np.empty(len(close))
    for at, price in enumerate(close.tolist()):
        if at and at % every == 0:
            if held:
                cash += held * (price - entry) - 2e-5 * abs(held) * price
                held = 0.0
            else:
                held = (leverage * cash / price if units is None else units) * (-1) ** (at // every // 2)
                entry = price
                cash -= 2e-5 * abs(held) * price
        worth[at] = cash + held * (price - entry)
    return worth


def trades(close: Floats, every: int = 100, width: int = 130) -> list[dict[str, Any]]:
    """Return trades that show bars which cover all closes but the first 20 and the last 10."""
    series = bars(close)
    begins = range(20, len(close) - 10, every)
    return [
        {
            "entry_bar": begin + 10,
            "pnl": 1.5,
            "price_history": {
                name: values[begin : min(begin + width, len(close) - 10)] for name, values in series.items()
            },
        }
        for begin in begins
    ]
