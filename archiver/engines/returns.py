"""Returns alone, as users of pyfolio, quantstats or empyrical have them: a Series, or a table with a column a strategy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from archiver.engines.shared import Result, engine_module, made_name, params_of, unique
from archiver.errors import ConfigError
from archiver.format.columnar import column_name

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
        obj: a Series of returns by date, which are taken in the order of their dates; a table gives an iterator with a
            result for each of its columns, whose named levels (as vectorbt has them) are parameters.
        name: the strategy's name; None takes the Series' own.
        params: the strategy's parameters.
        benchmark: returns of a benchmark, a Series or a table of one column.
        periods: returns a year; None tells it from the dates: 252 for working days.

    Raises ConfigError for returns without dates, for what is no number, and where one of returns and benchmark has a time
    zone and the other has none.
    """
    if benchmark is not None:
        benchmark = _numbers(benchmark, "a benchmark")
    if type(obj).__name__ == "DataFrame":
        return unique(_of_columns(obj, name, params or {}, benchmark, periods))
    return _one(obj, name, params, benchmark, periods)


def _of_columns(
    obj: Any, name: str | None, params: Mapping[str, Any], benchmark: Any, periods: float | None
) -> Iterator[Result]:
    levels = list(obj.columns.names)
    for at, label in enumerate(obj.columns.tolist()):
        if isinstance(label, tuple) and all(level is not None for level in levels):
            own = {**params, **dict(zip(map(str, levels), label, strict=True))}
            yield _one(obj.iloc[:, at].rename(name), None, own, benchmark, periods)
        else:
            called = column_name(label)
            column = obj.iloc[:, at].rename(called)
            yield _one(column, name and f"{name}.{called}", params, benchmark, periods)


def by_date(obj: Any) -> Any:
    """Return a Series or table by the dates that its index holds: moments, periods, days or ISO 8601 texts; None for no dates."""
    kind = str(obj.index.dtype)
    if obj.index.dtype.kind == "M":
        return obj
    if kind.startswith("period"):
        return obj.set_axis(obj.index.to_timestamp(), axis=0)
    labels = obj.index.tolist()
    if labels and all(isinstance(label, date) for label in labels):
        return obj.set_axis(_moments(labels), axis=0)
    if labels and all(isinstance(label, str) for label in labels):
        try:
            return obj.set_axis(_moments([datetime.fromisoformat(label) for label in labels]), axis=0)
        except ValueError:
            return None
    return None


def _moments(moments: Sequence[date]) -> Any:
    """Return moments as pandas' index of them."""
    return engine_module("pandas").DatetimeIndex(moments)


def _numbers(obj: Any, what: str) -> Any:
    """Return a Series of floats in the order of its dates. Raises ConfigError for what is none."""
    if type(obj).__name__ == "DataFrame":
        if obj.shape[1] != 1:
            raise ConfigError(f"{what} is a table of {obj.shape[1]} columns: give one of them")
        obj = obj.iloc[:, 0]
    dated = by_date(obj) if hasattr(obj, "index") and hasattr(obj.index, "dtype") else None
    if dated is None:
        raise ConfigError(f"{what} has no dates: give a Series of returns by date")
    try:
        found = dated.astype(float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} has something else than numbers: {str(error)[:100]}") from None
    return found if found.index.is_monotonic_increasing else found.sort_index(kind="stable")


def _one(
    obj: Any, name: str | None, params: Mapping[str, Any] | None, benchmark: Any, periods: float | None
) -> Result:
    obj = _numbers(obj, "a Series of returns")
    kept = params_of(params or {})
    label = "returns" if obj.name is None else str(obj.name)
    found: Result = {"strategy_name": name or made_name(label, kept)}
    values = obj.dropna()
    a_year = periods_of(values.index.to_pydatetime()) if periods is None else float(periods)
    found.update(metrics(values.tolist(), a_year))
    found["periods_per_year"] = a_year
    if len(values):
        found |= {"start": values.index[0].isoformat(), "end": values.index[-1].isoformat()}
    curves = {"equity": growth(obj), "returns": obj}
    if benchmark is not None:
        if (benchmark.index.tz is None) != (obj.index.tz is None):
            raise ConfigError("one of returns and benchmark has a time zone: give both of them one, or none")
        found["benchmark_return"] = metrics(benchmark.dropna().tolist(), a_year).get("total_return", math.nan)
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
    mine, other = returns.reindex(both), benchmark.reindex(both)
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
