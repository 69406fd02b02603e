"""From a result of backtesting.py to a result that an archive takes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, made_name, metric, params_of, plain_value, unique
from archiver.errors import ConfigError
from archiver.format.columnar import class_name
from archiver.format.values import saving

if TYPE_CHECKING:
    import pandas as pd

# Columns of backtesting.py's trades that get a name and type of their own; all others are indicators.
_TRADE_COLUMNS = frozenset(
    {
        *("Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "SL", "TP", "PnL", "Commission"),
        *("ReturnPct", "EntryTime", "ExitTime", "Duration", "Tag"),
    }
)

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe_ratio", 1),
    "sortino_ratio": ("sortino_ratio", 1),
    "calmar_ratio": ("calmar_ratio", 1),
    "total_return": ("return_pct", 100),
    "cagr": ("cagr_pct", 100),
    "volatility": ("volatility_ann_pct", 100),
    "max_drawdown": ("max_drawdown_pct", -100),
    "max_drawdown_days": ("max_drawdown_duration_days", 1),
    "n_trades": ("n_trades", 1),
    "win_rate": ("win_rate_pct", 100),
    "profit_factor": ("profit_factor", 1),
    "avg_trade_return": ("avg_trade_pct", 100),
    "best_trade_return": ("best_trade_pct", 100),
    "worst_trade_return": ("worst_trade_pct", 100),
    "avg_trade_days": ("avg_trade_duration_days", 1),
    "exposure": ("exposure_time_pct", 100),
    "sqn": ("sqn", 1),
    "benchmark_return": ("buy_and_hold_return_pct", 100),
    "alpha": ("alpha_pct", 100),
    "beta": ("beta", 1),
    "final_equity": ("equity_final", 1),
    "total_fees": ("commissions", 1),
}


def result(
    obj: Any,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    bars: int | None = None,
) -> Result | Iterator[Result]:
    """Turn what `Backtest.run()` or `optimize()` returned into a result; with its heatmap, into one a combination.

    Arguments:
        obj: the series, or the pair that `optimize(return_heatmap=True)` returned: the best with all its details, of
            each other combination the metric that was optimised.
        name: the strategy's name; None makes one of the class and its parameters.
        params: the strategy's parameters; None takes those it was run with, and those of its class that are numbers,
            texts or flags. The name has only what it was run with.
        bars: as in `from_backtesting`.
    """
    if type(obj) is not tuple:
        return _full(obj, name, params, bars)
    best = _full(obj[0], name, params, bars)
    if len(obj) < 2 or obj[1] is None:
        return best
    strategy = obj[0]["_strategy"]
    others = heatmap(obj[1], name or _kind(strategy), {**_defaults(strategy), **(params or {})})
    return unique(iter([best, *(one for one in others if one["params"] != best["params"])]))


def ranking(obj: Any) -> str | None:
    """Return the metric that `optimize(return_heatmap=True)` made best; None for a result alone."""
    return ranked_by(obj[1]) if type(obj) is tuple and len(obj) > 1 and obj[1] is not None else None


def ranked_by(table: Any) -> str:
    """Return the metric that a heatmap holds."""
    return metric(_label(table), 0.0)[0]


def _label(column: Any) -> str:
    name = getattr(column, "name", None)
    return "value" if name is None else str(name)


def _defaults(strategy: Any) -> Result:
    """Return what stands in a strategy's class as its parameters: numbers, texts and flags under public names."""
    kind = strategy if isinstance(strategy, type) else type(strategy)
    own = [
        base
        for base in reversed(kind.__mro__)
        if class_name(base)[0] not in ("backtesting", "builtins", "abc")
    ]
    return {
        key: value
        for base in own
        for key, value in vars(base).items()
        if not key.startswith("_") and type(value) in (bool, int, float, str)
    }


def _kind(strategy: Any) -> str:
    return str((strategy if isinstance(strategy, type) else type(strategy)).__name__)


def _full(stats: Any, name: str | None, params: Mapping[str, Any] | None, bars: int | None) -> Result:
    strategy, equity, trades = stats["_strategy"], stats["_equity_curve"], stats["_trades"]
    given = dict(getattr(strategy, "_params", {})) if params is None else params
    with saving(None) as seen:
        kept = params_of({**_defaults(strategy), **given} if params is None else given)
    found: Result = {"strategy_name": name or made_name(_kind(strategy), given), **_metrics(stats)}
    rows = _trades(trades)
    if bars is not None:
        _add_windows(rows, strategy, bars)
    drops = equity["DrawdownDuration"].dropna()
    if seen.lost:
        _warn(seen.lost)
    return {
        **found,
        "params": kept,
        "trades": rows,
        "curves": {"equity": equity["Equity"], "drawdown": equity["DrawdownPct"]},
        "tables": {"drawdowns": drops.rename("duration").rename_axis("end").reset_index()},
    }


def _metrics(stats: Any) -> Result:
    dated = isinstance(stats.get("Start"), datetime)
    found = dict(
        metric(str(label), value, dated=dated)
        for label, value in stats.items()
        if not str(label).startswith("_")
    )
    add_canonical(found, dict(found), _CANONICAL, "backtesting")
    return found


def heatmap(obj: Any, name: str | None, params: Mapping[str, Any] | None) -> Iterator[Result]:
    """Yield a result for each combination of a heatmap: its levels are parameters; of a table also each column's number."""
    if type(obj).__name__ == "DataFrame":
        columns = [(f"data={label}", obj.iloc[:, at]) for at, label in enumerate(obj.columns)]
    else:
        columns = [("", obj)]
    for told, column in columns:
        label = _label(column) if told == "" else "value"
        for values, value in zip(column.index.tolist(), column.tolist(), strict=True):
            own = dict(zip(column.index.names, values, strict=True))
            kept = params_of({**(params or {}), **own})
            key, number = metric(label, value)
            found: Result = {
                "strategy_name": made_name("_".join(filter(None, [name or "heatmap", told])), own)
            }
            found[key] = number
            add_canonical(found, dict(found), _CANONICAL, "backtesting")
            yield {**found, "params": kept}


def multiple(obj: Any, name: str | None, params: Mapping[str, Any] | None) -> Iterator[Result]:
    """Yield a result for each column of what `MultiBacktest.run()` returned: its metrics, named by its data."""
    for at, label in enumerate(obj.columns):
        column = obj.iloc[:, at].infer_objects()
        yield {
            "strategy_name": f"{name or 'MultiBacktest'}_data={label}",
            **_metrics(column),
            "params": params_of(params or {}),
        }


def from_backtesting(
    stats: pd.Series,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    bars: int | None = None,
) -> dict[str, Any]:
    """Turn what `Backtest.run()` or `Backtest.optimize()` of backtesting.py returns into one result to save.

    Every metric is kept under a plain name: `Sharpe Ratio` is `sharpe_ratio`, `# Trades` is `n_trades`,
    `Max. Drawdown [%]` is `max_drawdown_pct`, in percent as given. Moments are ISO 8601 text, durations are
    numbers of days (`avg_trade_duration_days`), or of bars (`..._bars`) where the data has no dates.
    Parameters are `param_<name>`, an array as list, a function as its name. Trades have `duration_minutes` and `pnl_pct` in percent; `drawdown_curve`
    is in percent of the highest equity so far. The curves are numbers without their dates.

    Arguments:
        stats: the series that backtesting.py returned.
        name: the strategy's name in the archive; None makes it of the class and its parameters, the same in
            every process: of a function its name, of what is long a digest.
        params: the strategy's parameters; None takes those the strategy was run with.
        bars: how many bars before its entry and after its exit each trade's `price_history` shows; None leaves
            it out. An archive stores the bars themselves once, however many trades show them.

    Raises ConfigError when `stats` is not such a series, or `bars` is negative.
    """
    try:
        strategy, equity, trades = stats["_strategy"], stats["_equity_curve"], stats["_trades"]
    except (KeyError, TypeError, IndexError):
        raise ConfigError(
            "from_backtesting takes the series that Backtest.run() or Backtest.optimize() returned"
        ) from None
    with saving(None) as seen:
        result = _result(stats, strategy, equity, trades, name=name, params=params, bars=bars)
    if seen.lost:
        _warn(seen.lost)
    return result


def _warn(lost: Mapping[str, None]) -> None:
    warnings.warn(f"an index is not kept: {', '.join(lost)}; give its values as a parameter", stacklevel=3)


def _result(
    stats: pd.Series,
    strategy: Any,
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    *,
    name: str | None,
    params: Mapping[str, Any] | None,
    bars: int | None,
) -> dict[str, Any]:
    if params is None:
        params = dict(getattr(strategy, "_params", {}))
    kind = strategy if isinstance(strategy, type) else type(strategy)
    result: dict[str, Any] = {"strategy_name": name or made_name(kind.__name__, params)}
    dated = isinstance(stats.get("Start"), datetime)
    for label, value in stats.items():
        if not str(label).startswith("_"):
            key, kept = metric(str(label), value, dated=dated)
            result[key] = kept
    result.update({f"param_{key}": plain_value(value, f"param_{key}") for key, value in params.items()})
    curve = [float(value) for value in equity["Equity"].tolist()]
    result["trades_detailed"] = _trades(trades)
    if bars is not None:
        _add_windows(result["trades_detailed"], strategy, bars)
    result["equity_curve"] = curve
    result["drawdown_curve"] = _drawdown(curve)
    return result


def _trades(frame: pd.DataFrame) -> list[dict[str, Any]]:
    indicators = [column for column in frame.columns if column not in _TRADE_COLUMNS]
    return [_trade(row, indicators) for row in frame.to_dict("records")]


def _trade(row: Mapping[Any, Any], indicators: list[Any]) -> dict[str, Any]:
    trade = {
        "entry_time": plain_value(row["EntryTime"]),
        "exit_time": plain_value(row["ExitTime"]),
        "entry_price": plain_value(row["EntryPrice"]),
        "exit_price": plain_value(row["ExitPrice"]),
        "direction": "long" if row["Size"] > 0 else "short",
        "size": plain_value(row["Size"]),
        "pnl": plain_value(row["PnL"]),
        "pnl_pct": float(row["ReturnPct"]) * 100.0,
    }
    duration = row["ExitTime"] - row["EntryTime"]
    if isinstance(duration, timedelta):
        trade["duration_minutes"] = duration / timedelta(minutes=1)
    trade["entry_bar"] = int(row["EntryBar"])
    trade["exit_bar"] = int(row["ExitBar"])
    for column, key in (("Commission", "commission"), ("SL", "sl"), ("TP", "tp"), ("Tag", "tag")):
        if column in row:
            value = plain_value(row[column])
            trade[key] = None if value != value else value
    if indicators:
        trade["indicators"] = {str(column): plain_value(row[column]) for column in indicators}
    return trade


def _add_windows(trades: list[dict[str, Any]], strategy: Any, around: int) -> None:
    """Give each trade the bars from before its entry to after its exit."""
    if around < 0:
        raise ConfigError(f"bars is {around}: give the number of bars around each trade, 0 or more")
    frame = strategy.data.df
    series = {"timestamps": [plain_value(moment) for moment in frame.index]}
    series |= {str(column).lower(): frame[column].tolist() for column in frame.columns}
    for trade in trades:
        window = slice(max(trade["entry_bar"] - around, 0), trade["exit_bar"] + around + 1)
        trade["price_history"] = {name: values[window] for name, values in series.items()}


def _drawdown(equity: list[float]) -> list[float]:
    """Return how far below its highest value so far the curve is, in percent of that value."""
    peak = -math.inf
    result = []
    for value in equity:
        peak = max(peak, value)
        result.append((peak - value) / peak * 100.0 if peak else 0.0)
    return result
