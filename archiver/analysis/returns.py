"""The tear sheet of an equity curve: returns by month and year, drawdowns, rolling figures. Formulas: docs/reference/returns.md."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from math import isfinite, sqrt

from archiver.analysis.moments import Points
from archiver.analysis.series import shape, steps

_LEAST_WINDOW = 20


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A fall from a peak until the curve is as high again."""

    depth: float
    """How far it fell: a share of the peak, below 0; in the curve's units where the peak is not above 0."""
    begin: int
    """Place of the peak in the curve."""
    valley: int
    """Place of the lowest point."""
    end: int | None
    """Place of the first point that is as high as the peak again; None while there is none."""
    since: datetime | None = None
    """When the peak was, where the curve has dates; so of the two that follow."""
    lowest: datetime | None = None
    """When the lowest point was."""
    recovered: datetime | None = None
    """When it was as high again."""
    share: bool = True
    """Whether the depth is a share of the peak."""

    @property
    def days(self) -> float | None:
        """Days from the peak until it was as high again; None where that has no date."""
        if self.since is None or self.recovered is None:
            return None
        return (self.recovered - self.since).total_seconds() / 86_400

    def __str__(self) -> str:
        """Say how deep it was, and from when to when."""
        deep = f"{100 * self.depth:.2f} %" if self.share else f"{self.depth:,.2f}"
        if self.since is None or self.lowest is None:
            again = "not yet" if self.end is None else f"at {self.end:,}"
            return f"{deep} from point {self.begin:,} to {self.valley:,}, as high again {again}"
        again = "not yet" if self.recovered is None else f"{self.recovered:%Y-%m-%d}"
        return f"{deep} from {self.since:%Y-%m-%d} to {self.lowest:%Y-%m-%d}, as high again {again}"


@dataclass(frozen=True, slots=True)
class TearSheet:
    """What an equity curve says. Shares are of 1: 0.05 is 5 %; what cannot be known is None or empty."""

    points: Points
    """The curve: `.values`, and `.times` where they are known."""
    underwater: list[float]
    """How far each point is below the highest so far: a share of that, at most 0; in units where the curve reaches 0."""
    total: float | None = None
    """Return over the whole curve."""
    cagr: float | None = None
    """Compound annual growth rate."""
    volatility: float | None = None
    """Standard deviation of returns, annualised."""
    sharpe: float | None = None
    """Sharpe ratio, annualised."""
    sortino: float | None = None
    """Sortino ratio, annualised."""
    calmar: float | None = None
    """CAGR by the deepest drawdown."""
    per_year: float | None = None
    """Steps of the curve that fall on a year, by its dates; what is annualised needs them."""
    drawdowns: list[Drawdown] = field(default_factory=list)
    """The deepest, deepest first."""
    months: dict[int, list[float | None]] = field(default_factory=dict)
    """Returns by year and month, January first."""
    years: dict[int, float] = field(default_factory=dict)
    """Returns by year."""
    window: int = 0
    """Steps of the rolling figures: about half a year, at least 20."""
    rolling_sharpe: list[float | None] = field(default_factory=list)
    """Annualised Sharpe ratio of the last so many steps, one a point; None where there are fewer, or none vary."""
    rolling_volatility: list[float | None] = field(default_factory=list)
    """Annualised volatility of the same."""

    def __str__(self) -> str:
        """Say in one line what it says; nothing of a curve that says nothing."""
        shares = (("return", self.total), ("CAGR", self.cagr), ("volatility", self.volatility))
        said = [f"{name} {100 * value:,.2f} %" for name, value in shares if value is not None]
        ratios = (("Sharpe", self.sharpe), ("Sortino", self.sortino), ("Calmar", self.calmar))
        said += [f"{name} {value:.2f}" for name, value in ratios if value is not None]
        return ", ".join(said)


def tear_sheet(points: Points, deepest: int = 5) -> TearSheet:
    """Return what a curve says."""
    values, relative = points.values, bool(points.values) and min(points.values) > 0
    underwater = below_peak(values)
    falls = drawdowns(points, deepest)
    if len(values) < 2:
        return TearSheet(points, underwater)
    returns, per_year, years = steps(values), points.per_year(), points.years()
    found, scale = shape(returns), None if per_year is None else sqrt(per_year)
    total = values[-1] / values[0] - 1 if relative else None
    cagr = None if total is None or not years else _power(1 + total, 1 / years)
    below = sqrt(sum(min(one, 0.0) ** 2 for one in returns) / len(returns)) if found else 0.0
    window = max(_LEAST_WINDOW, round((per_year or 0) / 2))
    rolling = _rolling(returns, window, scale) if scale and found else ([], [])
    return TearSheet(
        points,
        underwater,
        total,
        cagr,
        found.deviation * scale if found and scale and relative else None,
        found.sharpe * scale if found and scale else None,
        found.mean / below * scale if found and scale and below else None,
        cagr / -falls[0].depth if cagr is not None and falls and falls[0].depth else None,
        per_year,
        falls,
        _months(points) if relative else {},
        _years(points) if relative else {},
        window if rolling[0] else 0,
        rolling[0],
        rolling[1] if relative else [],
    )


def _power(base: float, exponent: float) -> float | None:
    try:
        return float(base**exponent) - 1
    except OverflowError:
        return None


def below_peak(values: Sequence[float]) -> list[float]:
    """Return v / peak - 1 at each point; v - peak for a curve that reaches zero or less."""
    peaks = accumulate(values, max)
    if values and min(values) > 0:
        return [value / peak - 1 for value, peak in zip(values, peaks, strict=True)]
    return [value - peak for value, peak in zip(values, peaks, strict=True)]


def drawdowns(points: Points, deepest: int = 5) -> list[Drawdown]:
    """Return the deepest drawdowns: each from a peak to the first point that is as high again."""
    under = below_peak(points.values)
    found: list[tuple[float, int, int, int | None]] = []
    begin = valley = 0
    for at, depth in enumerate(under):
        if depth < 0:
            valley = at if begin == valley or depth < under[valley] else valley
        else:
            if valley > begin:
                found.append((under[valley], begin, valley, at))
            begin = valley = at
    if valley > begin:
        found.append((under[valley], begin, valley, None))
    when, share = points.times, bool(points.values) and min(points.values) > 0

    def at_time(place: int | None) -> datetime | None:
        return None if when is None or place is None else when[place]

    return [
        Drawdown(depth, begin, valley, end, at_time(begin), at_time(valley), at_time(end), share)
        for depth, begin, valley, end in sorted(found)[:deepest]
    ]


def _last_of(points: Points, length: int) -> dict[tuple[int, ...], float]:
    """Return the last value of each year (length 1) or month (2)."""
    return {
        (moment.year, moment.month)[:length]: value
        for moment, value in zip(points.times or (), points.values, strict=False)
    }


def _linked(points: Points, length: int) -> dict[tuple[int, ...], float]:
    """Return the return of each year or month: its last value by that of the one before it, the first by the first value."""
    before, found = points.values[0], {}
    for key, value in _last_of(points, length).items():
        found[key] = value / before - 1
        before = value
    return found


def _months(points: Points) -> dict[int, list[float | None]]:
    months: dict[int, list[float | None]] = {}
    for (year, month), value in _linked(points, 2).items():
        months.setdefault(year, [None] * 12)[month - 1] = value
    return months


def _years(points: Points) -> dict[int, float]:
    return {year: value for (year,), value in _linked(points, 1).items()}


def _rolling(
    returns: Sequence[float], window: int, scale: float
) -> tuple[list[float | None], list[float | None]]:
    """Return rolling Sharpe ratio and volatility, annualised, one a point of the curve."""
    if len(returns) < window:
        return [], []
    middle = sum(returns) / len(returns)
    least = (1e-9 * max(map(abs, returns))) ** 2
    sharpes: list[float | None] = [None] * window
    volatilities: list[float | None] = [None] * window
    last: deque[float] = deque()
    total = squares = 0.0
    for value in returns:
        apart = value - middle
        last.append(apart)
        total, squares = total + apart, squares + apart * apart
        if len(last) > window:
            gone = last.popleft()
            total, squares = total - gone, squares - gone * gone
        if len(last) == window:
            variance = (squares - total * total / window) / (window - 1)
            varies = isfinite(variance) and variance > least
            sharpes.append((middle + total / window) / sqrt(variance) * scale if varies else None)
            volatilities.append(sqrt(variance) * scale if varies else None)
    return sharpes, volatilities
