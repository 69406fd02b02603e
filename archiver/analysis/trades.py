"""What trades say: split by direction, symbol, weekday, hour, duration and exit reason; costs; how far each went for and against."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from archiver.analysis.moments import BEGINS, first_of, times, when

if TYPE_CHECKING:
    import pyarrow as pa

MONEY = ("pnl_usd", "pnl", "net_pnl", "profit", "pnl_pct", "return_pct", "pnl_pips")
"""Columns that say what a trade made, the first that is there."""
_SPLITS = {
    "direction": ("direction", "side", "type"),
    "symbol": ("symbol", "pair", "ticker", "instrument"),
    "exit reason": ("exit_reason", "exit_type", "reason"),
}
_COSTS = ("commission", "commissions", "fee", "fees", "swap", "slippage", "funding", "financing")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_GROUPS = 24
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_DURATIONS = (
    ("under 5 minutes", 5 * _MINUTE),
    ("5 to 30 minutes", 30 * _MINUTE),
    ("30 minutes to 2 hours", 2 * _HOUR),
    ("2 to 8 hours", 8 * _HOUR),
    ("8 to 24 hours", _DAY),
    ("1 to 3 days", 3 * _DAY),
    ("3 to 10 days", 10 * _DAY),
    ("10 to 30 days", 30 * _DAY),
    ("30 to 100 days", 100 * _DAY),
    ("100 days and more", float("inf")),
)
"""Names of durations, each with the seconds below which it is meant."""


@dataclass(frozen=True, slots=True)
class Group:
    """Trades that have something in common."""

    label: str
    trades: int
    wins: int
    """Trades that made more than 0."""
    total: float
    """What they made, in the unit of the column that says it."""

    @property
    def mean(self) -> float:
        """What one of them made on average."""
        return self.total / self.trades


@dataclass(frozen=True, slots=True)
class Trades:
    """What the trades of a strategy say."""

    count: int
    money: str | None = None
    """The column that says what each made."""
    total: float = 0.0
    win_rate: float | None = None
    """Share of the trades that made more than 0."""
    profit_factor: float | None = None
    """What the winners made by what the losers lost; None without losers."""
    best: float | None = None
    worst: float | None = None
    splits: dict[str, list[Group]] | None = None
    """By direction, symbol, exit reason, weekday and hour of the entry, and duration, as far as columns say them."""
    costs: dict[str, float] | None = None
    """Sums of the columns that are costs."""


@dataclass(frozen=True, slots=True)
class Excursion:
    """How far the price went against a trade and for it while it was open, as shares of its entry price, at least 0."""

    against: float
    """Maximum adverse excursion (MAE)."""
    in_favour: float
    """Maximum favourable excursion (MFE)."""


def trades_summary(trades: pa.Table) -> Trades:
    """Sum up trades by what their columns say."""
    money = first_of(trades, MONEY)
    costs = {
        name: sum(values)
        for name in _COSTS
        if name in trades.column_names and any(values := _numbers(trades[name].to_pylist()))
    }
    if money is None or not trades.num_rows:
        return Trades(trades.num_rows, costs=costs)
    made = trades[money].to_pylist()
    known = _numbers(made)
    won, lost = sum(one for one in known if one > 0), -sum(one for one in known if one < 0)
    return Trades(
        trades.num_rows,
        money,
        sum(known),
        sum(one > 0 for one in known) / len(known) if known else None,
        won / lost if lost else None,
        max(known, default=None),
        min(known, default=None),
        {name: groups for name, groups in _splits(trades, made).items() if len(groups) > 1},
        costs,
    )


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values if type(value) in (int, float) and isfinite(value)]


def _splits(trades: pa.Table, made: Sequence[Any]) -> dict[str, list[Group]]:
    found = {}
    for name, columns in _SPLITS.items():
        column = first_of(trades, columns)
        if column is not None:
            labels = [None if value is None else str(value) for value in trades[column].to_pylist()]
            found[name] = sorted(_grouped(labels, made), key=lambda group: -group.trades)[:_MOST_GROUPS]
    begins = first_of(trades, BEGINS)
    moments = [when(value) for value in trades[begins].to_pylist()] if begins else []
    if moments:
        days = _grouped([_DAYS[one.weekday()] if one else None for one in moments], made)
        found["weekday"] = sorted(days, key=lambda group: _DAYS.index(group.label))
        hours = _grouped([f"{one.hour:02d}:00" if one else None for one in moments], made)
        found["hour"] = sorted(hours, key=lambda group: group.label)
        lasted = [_duration(one, end) for one, end in zip(moments, times(trades), strict=True)]
        names = [name for name, _ in _DURATIONS]
        found["duration"] = sorted(_grouped(lasted, made), key=lambda group: names.index(group.label))
    return found


def _duration(begin: datetime | None, end: datetime | None) -> str | None:
    """Name how long a trade was open; None where that is not known."""
    try:
        seconds = (end - begin).total_seconds() if begin and end else -1.0
    except TypeError:  # one has a time zone, another none
        return None
    return next(name for name, most in _DURATIONS if seconds < most) if seconds >= 0 else None


def _grouped(labels: Sequence[str | None], made: Sequence[Any]) -> list[Group]:
    groups: dict[str, list[float]] = {}
    for label, amount in zip(labels, made, strict=True):
        if label is not None and type(amount) in (int, float) and isfinite(amount):
            groups.setdefault(label, []).append(float(amount))
    return [
        Group(label, len(amounts), sum(one > 0 for one in amounts), sum(amounts))
        for label, amounts in groups.items()
    ]


@dataclass(frozen=True, slots=True)
class Bars:
    """What excursions are read from: when each bar began, its high and its low."""

    moments: Sequence[datetime]
    highs: Sequence[Any]
    lows: Sequence[Any]


def bars(columns: Mapping[str, Any]) -> Bars | None:
    """Return bars from columns of any spelling; None where a clock, highs or lows are missing."""
    lower = {str(name).lower(): values for name, values in columns.items() if isinstance(values, list)}
    clock = next((lower[name] for name in ("timestamps", "timestamp", "time", "date") if name in lower), None)
    if clock is None or not {"high", "low"} <= lower.keys():
        return None
    moments = [moment for moment in map(when, clock) if moment is not None]
    return Bars(moments, lower["high"], lower["low"]) if len(moments) == len(clock) else None


def excursion(trade: Mapping[str, Any], bars: Bars) -> Excursion | None:
    """Return how far the price went while a trade was open, by the bars from its entry to its exit; None where they do not say it.

    MAE = (entry - lowest low) / entry and MFE = (highest high - entry) / entry of a long trade, the other way round of
    a short one (J. Sweeney, "Maximum Adverse Excursion", 1997).
    """
    entry, price = when(trade.get("entry_time")), trade.get("entry_price")
    leave = when(trade.get("exit_time"))
    direction = str(trade.get("direction") or "").lower()
    if entry is None or leave is None or direction not in ("long", "short", "buy", "sell"):
        return None
    if type(price) not in (int, float) or not price:
        return None
    try:
        begin, end = bisect_left(bars.moments, entry), bisect_right(bars.moments, leave)
    except TypeError:  # one has a time zone, another none
        return None
    highs, lows = (_numbers(values[begin:end]) for values in (bars.highs, bars.lows))
    if not highs or not lows:
        return None
    up, down = max(0.0, max(highs) / price - 1), max(0.0, 1 - min(lows) / price)
    return Excursion(down, up) if direction in ("long", "buy") else Excursion(up, down)
