"""Returns alone, as users of pyfolio, quantstats or empyrical have them: a Series, or a table with a column a strategy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from archiver.engines.shared import Result, made_name, params_of, unique
from archiver.errors import ConfigError

_WORKDAYS, _WEEKDAYS = 252, 5
_SECONDS_A_YEAR = 365.25 * 86400


def result(
    obj: Any,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    benchmark: Any = None,
    periods: float | None = None,
) -> Result | Iterator[Result]:
    """Turn returns (0.01 is 1 %) into a result: their metrics, and the curves `equity` (from 1), `returns` and of a benchmark.

    Arguments:
        obj: a Series of returns by date; a table gives an iterator with a result for each of its columns.
        name: the strategy's name; None takes the Series' own.
        params: the strategy's parameters.
        benchmark: returns of a benchmark, a Series.
        periods: returns a year; None tells it from the dates: 252 for working days.

    Raises ConfigError for returns without dates.
    """
    if type(obj).__name__ == "DataFrame":
        return unique(
            _one(obj.iloc[:, at], name and f"{name}.{label}", params, benchmark, periods)
            for at, label in enumerate(obj.columns)
        )
    return _one(obj, name, params, benchmark, periods)


def _one(
    obj: Any, name: str | None, params: Mapping[str, Any] | None, benchmark: Any, periods: float | None
) -> Result:
    if obj.index.dtype.kind != "M":
        raise ConfigError(
            f"a Series of returns has dates as its index, this one has {obj.index.dtype}: give them"
        )
    kept = params_of(params or {})
    label = "returns" if obj.name is None else str(obj.name)
    found: Result = {"strategy_name": name or made_name(label, kept)}
    values = obj.dropna()
    a_year = periods_of(values.index.to_pydatetime()) if periods is None else float(periods)
    found.update(metrics(values.astype(float).tolist(), a_year))
    found["periods_per_year"] = a_year
    if len(values):
        found |= {"start": values.index[0].isoformat(), "end": values.index[-1].isoformat()}
    curves = {"equity": growth(obj), "returns": obj}
    if benchmark is not None:
        found["benchmark_return"] = metrics(benchmark.dropna().astype(float).tolist(), a_year).get(
            "total_return", math.nan
        )
        found |= _against(values, benchmark, a_year)
        curves |= {"benchmark": growth(benchmark), "benchmark_returns": benchmark}
    return {**found, "params": kept, "curves": curves}


def growth(returns: Any) -> Any:
    """Return what 1 grows to by returns; a missing one changes nothing."""
    return (1.0 + returns.fillna(0.0)).cumprod()


def metrics(returns: Sequence[float], periods: float) -> Result:
    """Return the canonical metrics of returns that have no gaps; none of none.

    Formulas: docs/how-to/engines/returns.md. They are those of quantstats and empyrical without a risk-free rate.
    """
    if not returns:
        return {}
    equity, peak, fall = 1.0, 1.0, 0.0
    for value in returns:
        equity *= 1.0 + value
        peak = max(peak, equity)
        fall = max(fall, 1.0 - equity / peak)
    count = len(returns)
    total = equity - 1.0
    cagr = equity ** (periods / count) - 1.0 if equity > 0.0 else -1.0
    mean = math.fsum(returns) / count
    squares = math.fsum((value - mean) ** 2 for value in returns)
    spread = math.sqrt(squares / (count - 1)) if count > 1 else math.nan
    down = math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in returns) / count)
    return {
        "total_return": total,
        "cagr": cagr,
        "volatility": spread * math.sqrt(periods),
        "sharpe_ratio": _over(mean, spread) * math.sqrt(periods),
        "sortino_ratio": _over(mean, down) * math.sqrt(periods),
        "max_drawdown": fall,
        "calmar_ratio": _over(cagr, fall),
    }


def of_equity(times: Sequence[datetime], values: Sequence[float]) -> Result:
    """Return the canonical metrics of an equity curve; none of one that has fewer than two points, or falls to nothing."""
    if len(values) < 2 or not all(value > 0.0 for value in values):
        return {}
    found = metrics([after / before - 1.0 for before, after in pairwise(values)], periods_of(times))
    return {
        **found,
        "total_return": values[-1] / values[0] - 1.0,
        "initial_equity": values[0],
        "final_equity": values[-1],
    }


def _over(value: float, by: float) -> float:
    return value / by if by else math.nan


def _against(returns: Any, benchmark: Any, periods: float) -> Result:
    both = returns.index.intersection(benchmark.index)
    mine, other = returns.reindex(both).astype(float), benchmark.reindex(both).astype(float)
    there = other.notna() & mine.notna()
    mine, other = mine[there], other[there]
    if len(mine) < 2 or not float(other.var(ddof=1)):
        return {}
    beta = float(mine.cov(other)) / float(other.var(ddof=1))
    return {"beta": beta, "alpha": (float(mine.mean()) - beta * float(other.mean())) * periods}


def periods_of(times: Sequence[datetime]) -> float:
    """Return how many returns a year has: 252 where they are of working days, else as their dates say."""
    if len(times) < 2:
        return float(_WORKDAYS)
    gaps = [(after - before).total_seconds() / 86400 for before, after in pairwise(times)]
    if 0.9 <= statistics.median(gaps) <= 1.1 and all(time.weekday() < _WEEKDAYS for time in times):
        return float(_WORKDAYS)
    span = (times[-1] - times[0]).total_seconds()
    return (len(times) - 1) / span * _SECONDS_A_YEAR if span > 0 else float(_WORKDAYS)
