"""Strategies held together: how alike their days are, and what sums of them are against the best alone. Formulas: docs/reference/returns.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import accumulate, pairwise
from math import sqrt
from operator import mul

from archiver.analysis.moments import Points
from archiver.analysis.returns import TearSheet, tear_sheet
from archiver.analysis.series import Shape, shape, steps
from archiver.base.humanize import number
from archiver.errors import ConfigError

MOST = 50
_LEAST_DAYS = 20


@dataclass(frozen=True, slots=True)
class Held:
    """One way to hold strategies: a share of the capital in each, put right every day."""

    weights: dict[str, float]
    """By strategy; they add up to 1."""
    sheet: TearSheet
    """What that would have made: a curve of days, from 1; of profits, from 0."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Strategies over the days that all of them have."""

    names: list[str]
    days: list[date]
    """The days of the curves: the first is where they begin."""
    share: bool
    """Whether days are returns, shares of 1; else profits: of curves of which one reaches zero."""
    correlation: list[list[float | None]]
    """Pearson's, of each two strategies' days, in the order of `names`; None where the days of one do not vary."""
    alone: dict[str, Held]
    """Each strategy by itself, over the same days."""
    equal: Held
    """The same in each."""
    inverse: Held
    """In each by 1 / its volatility over the same days: known only afterwards."""
    best: str
    """The strategy with the highest Sharpe ratio over these days."""
    diversification: float | None
    """Mean volatility of the strategies, by their equal weights, over that of the equal-weight sum."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Strategies that are not in it, and why."""

    def __str__(self) -> str:
        """Return it as one line."""
        one, other, best = (held.sheet for held in (self.equal, self.inverse, self.alone[self.best]))
        said = f"{len(self.names)} strategies over {len(self.days):,} days, {self.days[0]} to {self.days[-1]}"
        alike = self.mean_correlation
        if alike is not None:
            said += f": mean correlation {number(alike)}"
        sharpes = [sheet.sharpe for sheet in (one, other, best)]
        if None not in sharpes:
            equal, inverse, alone = (number(value or 0.0) for value in sharpes)
            said += f"; Sharpe ratio {equal} in equal weights, {inverse} by inverse volatility, {alone} of the best alone"
        return said

    @property
    def mean_correlation(self) -> float | None:
        """Mean of the correlations of each two."""
        found = [value for at, row in enumerate(self.correlation) for value in row[:at] if value is not None]
        return sum(found) / len(found) if found else None

    def mean_with_others(self, name: str) -> float | None:
        """Return the mean of a strategy's correlations with the others."""
        at = self.names.index(name)
        found = [value for other, value in enumerate(self.correlation[at]) if other != at and value is not None]  # fmt: skip
        return sum(found) / len(found) if found else None


def portfolio(curves: Mapping[str, Points]) -> Portfolio:
    """Hold strategies together.

    curves: of 2 to 50 strategies, their equity curves; one without dates is left out, and `left_out` says so.

    Returns what the days say that all of them have. Raises ConfigError for less than two curves with dates, for more than
    50, and for curves that have less than 20 days in common.
    """
    dated = {name: points for name, points in curves.items() if points.times}
    left_out = {
        name: "its curve has no dates" if points.values else "it has no equity curve"
        for name, points in curves.items()
        if name not in dated
    }
    if len(dated) < 2:
        why = "".join(f"; {name}: {text}" for name, text in list(left_out.items())[:3])
        raise ConfigError(f"a portfolio needs two strategies whose curves have dates, not {len(dated)}{why}")
    if len(dated) > MOST:
        raise ConfigError(f"a portfolio takes at most {MOST} strategies, not {len(dated)}")
    share = all(min(points.values) > 0 for points in dated.values())
    days, values = _common({name: _daily(points) for name, points in dated.items()})
    moves = {
        name: steps(own) if share else [after - before for before, after in pairwise(own)]
        for name, own in values.items()
    }
    shapes = {name: shape(own) for name, own in moves.items()}
    alone = {name: _held({name: 1.0}, moves, days, share=share) for name in moves}
    equal = _held(dict.fromkeys(moves, 1 / len(moves)), moves, days, share=share)
    whole = shape(_summed(equal.weights, moves))
    mean = sum(one.deviation if one else 0.0 for one in shapes.values()) / len(shapes)
    return Portfolio(
        list(moves),
        days,
        share,
        _correlations(moves, shapes),
        alone,
        equal,
        _held(_inverse(shapes), moves, days, share=share),
        max(alone, key=lambda name: _sharpe(shapes[name])),
        mean / whole.deviation if whole else None,
        left_out,
    )


def _daily(points: Points) -> dict[date, float]:
    """Return the last value of each day, by the clock that the curve was saved with."""
    return {moment.date(): value for moment, value in zip(points.times or (), points.values, strict=True)}


def _common(curves: Mapping[str, dict[date, float]]) -> tuple[list[date], dict[str, list[float]]]:
    """Return the days from the latest beginning to the earliest end, and each curve's values on them.

    On a day that only others have, a curve stays what it was: it has made nothing.
    """
    begin, end = max(map(min, curves.values())), min(map(max, curves.values()))
    days = sorted({day for curve in curves.values() for day in curve if begin <= day <= end})
    if len(days) < _LEAST_DAYS:
        raise ConfigError(
            f"the curves have {len(days)} days in common, from {begin} to {end}: {_LEAST_DAYS} are needed"
        )
    found = {}
    for name, curve in curves.items():
        value, own = curve[max(day for day in curve if day <= begin)], []
        for day in days:
            value = curve.get(day, value)
            own.append(value)
        found[name] = own
    return days, found


def _summed(weights: Mapping[str, float], moves: Mapping[str, Sequence[float]]) -> list[float]:
    parts = [(weight, moves[name]) for name, weight in weights.items() if weight]
    return [sum(weight * own[at] for weight, own in parts) for at in range(len(parts[0][1]))]


def _held(
    weights: dict[str, float], moves: Mapping[str, Sequence[float]], days: Sequence[date], *, share: bool
) -> Held:
    made = _summed(weights, moves)
    curve = list(
        accumulate(made, lambda value, one: value * (1 + one), initial=1.0) if share else accumulate(made, initial=0.0)
    )  # fmt: skip
    times = [datetime.combine(day, time(), UTC) for day in days]
    return Held(weights, tear_sheet(Points(curve, times)))


def _inverse(shapes: Mapping[str, Shape | None]) -> dict[str, float]:
    parts = {name: 1 / one.deviation if one else 0.0 for name, one in shapes.items()}
    whole = sum(parts.values())
    return {name: part / whole if whole else 1 / len(parts) for name, part in parts.items()}


def _sharpe(found: Shape | None) -> float:
    return float("-inf") if found is None else found.sharpe


def _correlations(
    moves: Mapping[str, Sequence[float]], shapes: Mapping[str, Shape | None]
) -> list[list[float | None]]:
    scaled: list[list[float] | None] = []
    for name, own in moves.items():
        one = shapes[name]
        unit = one.deviation * sqrt(one.count - 1) if one else 0.0
        scaled.append([(value - one.mean) / unit for value in own] if one else None)
    count = len(scaled)
    found: list[list[float | None]] = [[None] * count for _ in range(count)]
    for at, first in enumerate(scaled):
        for other, second in enumerate(scaled[: at + 1]):
            if first is not None and second is not None:
                value = 1.0 if at == other else max(-1.0, min(1.0, sum(map(mul, first, second))))
                found[at][other] = found[other][at] = value
    return found
