"""From a result of backtesting.py to a result that an archive takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

_UNITS = {"%": "_pct", "$": ""}
# Columns of backtesting.py's trades that get a name and type of their own; all others are indicators.
_TRADE_COLUMNS = frozenset(
    {
        *("Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "SL", "TP", "PnL", "Commission"),
        *("ReturnPct", "EntryTime", "ExitTime", "Duration", "Tag"),
    }
)


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
    Parameters are `param_<name>`. Trades have `duration_minutes` and `pnl_pct` in percent; `drawdown_curve`
    is in percent of the highest equity so far.

    Arguments:
        stats: the series that backtesting.py returned.
        name: the strategy's name in the archive; None makes it of the class and its parameters.
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
    if params is None:
        params = dict(getattr(strategy, "_params", {}))
    kind = strategy if isinstance(strategy, type) else type(strategy)
    result: dict[str, Any] = {"strategy_name": name or _name(kind.__name__, params)}
    dated = isinstance(stats.get("Start"), datetime)
    for label, value in stats.items():
        if not str(label).startswith("_"):
            key, plain = _metric(str(label), value, dated=dated)
            result[key] = plain
    result.update({f"param_{key}": _plain(value) for key, value in params.items()})
    curve = [float(value) for value in equity["Equity"].tolist()]
    result["trades_detailed"] = _trades(trades)
    if bars is not None:
        _add_windows(result["trades_detailed"], strategy, bars)
    result["equity_curve"] = curve
    result["drawdown_curve"] = _drawdown(curve)
    return result


def _name(kind: str, params: Mapping[str, Any]) -> str:
    return "_".join([kind, *(f"{key}={_plain(value)}" for key, value in params.items())])


def _metric(label: str, value: Any, *, dated: bool) -> tuple[str, Any]:
    """Return the plain name and value of one metric: `Return (Ann.) [%]` is `return_ann_pct`."""
    text = label.replace("#", "n ").replace("&", " and ")
    unit = re.search(r"\[(.)\]\s*$", text)
    name = re.sub(r"[^a-z0-9]+", "_", text[: unit.start()].lower() if unit else text.lower()).strip("_")
    name += _UNITS.get(unit[1], "") if unit else ""
    if name.endswith("duration"):
        # Without any trade it is NaN, yet of the same unit: a column has one name.
        return f"{name}_{'days' if dated else 'bars'}", _plain(value)
    return name, _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as plain Python: no numpy, no pandas; durations in days."""
    if isinstance(value, timedelta):  # NaT is one
        return value / timedelta(days=1) if value == value else math.nan
    if isinstance(value, datetime):
        return value.isoformat() if value == value else None
    if hasattr(value, "item"):  # a scalar of numpy
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _trades(frame: pd.DataFrame) -> list[dict[str, Any]]:
    indicators = [column for column in frame.columns if column not in _TRADE_COLUMNS]
    return [_trade(row, indicators) for row in frame.to_dict("records")]


def _trade(row: Mapping[Any, Any], indicators: list[Any]) -> dict[str, Any]:
    trade = {
        "entry_time": _plain(row["EntryTime"]),
        "exit_time": _plain(row["ExitTime"]),
        "entry_price": _plain(row["EntryPrice"]),
        "exit_price": _plain(row["ExitPrice"]),
        "direction": "long" if row["Size"] > 0 else "short",
        "size": _plain(row["Size"]),
        "pnl": _plain(row["PnL"]),
        "pnl_pct": float(row["ReturnPct"]) * 100.0,
    }
    duration = row["ExitTime"] - row["EntryTime"]
    if isinstance(duration, timedelta):
        trade["duration_minutes"] = duration / timedelta(minutes=1)
    trade["entry_bar"] = int(row["EntryBar"])
    trade["exit_bar"] = int(row["ExitBar"])
    for column, key in (("Commission", "commission"), ("SL", "sl"), ("TP", "tp"), ("Tag", "tag")):
        if column in row:
            value = _plain(row[column])
            trade[key] = None if value != value else value
    if indicators:
        trade["indicators"] = {str(column): _plain(row[column]) for column in indicators}
    return trade


def _add_windows(trades: list[dict[str, Any]], strategy: Any, around: int) -> None:
    """Give each trade the bars from before its entry to after its exit."""
    if around < 0:
        raise ConfigError(f"bars is {around}: give the number of bars around each trade, 0 or more")
    frame = strategy.data.df
    series = {"timestamps": [_plain(moment) for moment in frame.index]}
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
