"""From a result of backtesting.py to a result that an archive takes."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.text import dumps
from archiver.format.values import plain, saving

if TYPE_CHECKING:
    import pandas as pd

_BRIEF = 40
"""Characters of a parameter in a strategy's name; what is longer is there as a digest."""
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
        warnings.warn(
            f"an index is not kept: {', '.join(seen.lost)}; give its values as a parameter", stacklevel=2
        )
    return result


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
    result: dict[str, Any] = {"strategy_name": name or _name(kind.__name__, params)}
    dated = isinstance(stats.get("Start"), datetime)
    for label, value in stats.items():
        if not str(label).startswith("_"):
            key, plain = _metric(str(label), value, dated=dated)
            result[key] = plain
    result.update({f"param_{key}": _plain(value, f"param_{key}") for key, value in params.items()})
    curve = [float(value) for value in equity["Equity"].tolist()]
    result["trades_detailed"] = _trades(trades)
    if bars is not None:
        _add_windows(result["trades_detailed"], strategy, bars)
    result["equity_curve"] = curve
    result["drawdown_curve"] = _drawdown(curve)
    return result


def _name(kind: str, params: Mapping[str, Any]) -> str:
    return "_".join([kind, *(f"{key}={_brief(value, f'param_{key}')}" for key, value in params.items())])


def _brief(value: Any, where: str) -> str:
    """Write a parameter for a name: the same in every process, and short; what is long is its digest."""
    if issubclass(type(value), FunctionType | BuiltinFunctionType | type):
        return str(value.__name__)
    kept = _plain(value, where)
    text = dumps(kept) if isinstance(kept, list | dict) else str(kept)
    return text if len(text) <= _BRIEF else sha256(text.encode()).hexdigest()[:8]


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


def _plain(value: Any, where: str = "value") -> Any:
    """Return a value as plain Python: no numpy, no pandas; durations in days, other objects as text."""
    if isinstance(value, timedelta):  # NaT is one
        return value / timedelta(days=1) if value == value else math.nan
    if isinstance(value, datetime):
        return value.isoformat() if value == value else None
    try:
        return plain(value, where)
    except ConfigError:
        # Where an object lies in memory is another place in the next process.
        return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


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
