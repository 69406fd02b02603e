"""Returns alone, as users of pyfolio, quantstats or empyrical have them: a Series, or a table with a column a strategy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
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
    a_year = _periods(values.index) if periods is None else float(periods)
    found.update(metrics(values, a_year))
    found["periods_per_year"] = a_year
    if len(values):
        found |= {"start": values.index[0].isoformat(), "end": values.index[-1].isoformat()}
    curves = {"equity": growth(obj), "returns": obj}
    if benchmark is not None:
        found["benchmark_return"] = metrics(benchmark.dropna(), a_year).get("total_return", math.nan)
        found |= _against(values, benchmark, a_year)
        curves |= {"benchmark": growth(benchmark), "benchmark_returns": benchmark}
    return {**found, "params": kept, "curves": curves}


def growth(returns: Any) -> Any:
    """Return what 1 grows to by returns; a missing one changes nothing."""
    return (1.0 + returns.fillna(0.0)).cumprod()


def metrics(returns: Any, periods: float) -> Result:
    """Return the canonical metrics of returns that have no gaps; none of none.

    Formulas: docs/how-to/engines/returns.md. They are those of quantstats and empyrical without a risk-free rate.
    """
    if not len(returns):
        return {}
    numbers = returns.astype(float)
    equity = growth(numbers)
    total = float(equity.iloc[-1]) - 1.0
    years = len(numbers) / periods
    cagr = (1.0 + total) ** (1.0 / years) - 1.0 if total > -1.0 else -1.0
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
    down = float((numbers.clip(upper=0.0) ** 2).mean()) ** 0.5
    fall = max(float((1.0 - equity / equity.cummax().clip(lower=1.0)).max()), 0.0)
    mean = float(numbers.mean())
    return {
        "total_return": total,
        "cagr": cagr,
        "volatility": spread * math.sqrt(periods),
        "sharpe_ratio": _over(mean, spread) * math.sqrt(periods),
        "sortino_ratio": _over(mean, down) * math.sqrt(periods),
        "max_drawdown": fall,
        "calmar_ratio": _over(cagr, fall),
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


def _periods(index: Any) -> float:
    """Return how many returns a year has: 252 where they are of working days, else as their dates say."""
    if len(index) < 2:
        return float(_WORKDAYS)
    gaps = [gap / 86400e9 for gap in (index[1:] - index[:-1]).as_unit("ns").asi8.tolist()]
    if 0.9 <= statistics.median(gaps) <= 1.1 and max(index.day_of_week) < _WEEKDAYS:
        return float(_WORKDAYS)
    span = (index[-1] - index[0]).total_seconds()
    return (len(index) - 1) / span * _SECONDS_A_YEAR if span > 0 else float(_WORKDAYS)
