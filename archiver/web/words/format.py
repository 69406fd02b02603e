"""Numbers, sizes, moments and names as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from archiver.base.humanize import counted as counted
from archiver.base.humanize import price, whole
from archiver.base.humanize import shortened as shortened
from archiver.base.humanize import size as size  # as a terminal shows them

NONE = "–"
_UNITS = (
    (re.compile(r"(_pct|_percent|^pnl_pct)$"), "%"),
    (re.compile(r"_days$"), "days"),
    (re.compile(r"_(minutes|mins)$"), "min"),
    (re.compile(r"_hours$"), "h"),
    (re.compile(r"_(usd|dollars)$"), "$"),
    (re.compile(r"_eur$"), "€"),
    (re.compile(r"_pips$"), "pips"),
    (re.compile(r"_bars$|^(entry|exit)_bar$"), "bars"),
    (re.compile(r"(_ratio|^omega|_factor|^sqn|^beta)$"), "ratio"),
    (re.compile(r"^(n_|max_consecutive_)|_count$"), "count"),
)
_MONEY = ("$", "€")
_SAID_BY_UNIT = frozenset({"pct", "percent", "usd", "pips", "days", "minutes", "hours"})
_WORDS = {
    "ann": "(annual)",
    "pnl": "P&L",
    "sqn": "SQN",
    "cagr": "CAGR",
    "var": "VaR",
    "cvar": "CVaR",
    "dd": "DD",
    "id": "ID",
}


def age(then: datetime, now: datetime | None = None) -> str:
    """Write how long ago a moment was: `just now`, `5 min ago`, `3 h ago`, `12 days ago`."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for unit, length, least in (
        ("years", 365.25 * 86400, 2),
        ("months", 30.44 * 86400, 2),
        ("days", 86400, 2),
        ("h", 3600, 1),
        ("min", 60, 1),
    ):
        if seconds >= length * least:
            return f"{int(seconds / length)} {unit} ago"
    return "just now"


def moment(then: datetime) -> str:
    """Write a moment in UTC to the minute: `2025-01-21 14:03 UTC`."""
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int) -> str:
    """Write a whole number with grouped thousands."""
    return f"{number:,}"


def number(value: Any) -> str:
    """Write any value of a metric with as many digits as a reader can use."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return whole(value).replace("-", "−")
    if not isinstance(value, float):
        return shortened(str(value))
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= 1e12 or abs(value) < 0.0005:
        return f"{value:.2e}".replace("-", "−")
    digits = 0 if abs(value) >= 10_000 else 1 if abs(value) >= 1000 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}".replace("-", "−")


def unit(name: str) -> str:
    """Return the unit that a metric's name tells: `%`, `days`, `ratio`, `count` and so on; empty where it tells none."""
    return next((unit for pattern, unit in _UNITS if pattern.search(name)), "")


def shown(name: str, value: Any) -> str:
    """Write a metric's value with its unit where that helps: `12.3 %`, `$4,120`, `3.5 days`."""
    text = number(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return text
    if "price" in name:
        return price(value).replace("-", "−")
    own = unit(name)
    if own in _MONEY:
        if 0.005 <= abs(value) < 10_000:
            text = f"{value:,.2f}".replace("-", "−")
        return f"−{own}{text[1:]}" if text.startswith("−") else f"{own}{text}"
    return f"{text} {own}" if own in ("%", "days", "min", "h", "pips", "bars") else text


def title(name: str) -> str:
    """Write a metric's name for a heading: `max_drawdown_pct` is `Max drawdown`; unknown names stay as they are."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        return name
    words = [word for word in name.split("_") if word]
    if words and words[0] == "n" and len(words) > 1:
        words = words[1:]
    if len(words) > 1 and words[-1] in _SAID_BY_UNIT:
        words = words[:-1]
    text = " ".join(_WORDS.get(word, word) for word in words)
    return text[:1].upper() + text[1:]


def short_run(run: str) -> str:
    """Write a run id as people tell runs apart: its date, minute and last four signs."""
    return f"{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]} · {run[-4:]}" if len(run) == 25 else run
