"""Which of several values is the best one, where the name of a metric tells which end is good."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from archiver.engines.metrics import METRICS

_LEAST = re.compile(
    r"drawdown|(^|_)dd(_|$)|volatility|deviation"
    r"|(^|_)(fees|costs?|commissions?|slippage|var|cvar|loss|losses|losers)(_|$)"
)
_GREATEST = re.compile(
    r"sharpe|sortino|calmar|omega|sqn|score|return|cagr|profit|expectancy|win_rate|recovery_factor|alpha"
    r"|(^|_)(pnl|win|wins|winners|equity|kelly)(_|$)"
)  # fmt: skip

_NEITHER = re.compile(r"^params?[._]|benchmark|buy|hold|market|initial|start|_id$")


def end(name: str) -> str:
    """Return which end of a metric is good: "greatest", "least", by size alone, or "" where its name does not tell."""
    name = name.lower()
    if name in METRICS:
        return METRICS[name].best
    if _NEITHER.search(name):
        return ""
    # What is lost or paid is meant by its size, whichever sign it was saved with.
    return "least" if _LEAST.search(name) else "greatest" if _GREATEST.search(name) else ""


def places(name: str, values: Sequence[Any]) -> set[int]:
    """Return where the best of a row's values are: none of values that are all alike, and of a metric whose name does not tell."""
    good = end(name)
    known = {
        at: float(value)
        for at, value in enumerate(values)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value
    }
    if not good or len(known) < 2:
        return set()
    sizes = {at: -abs(value) if good == "least" else value for at, value in known.items()}
    most = max(sizes.values())
    found = {at for at, size in sizes.items() if size == most}
    return set() if len(found) == len(known) else found
