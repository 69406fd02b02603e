"""Lean (QuantConnect): what a backtest's JSON holds, as a result; `archiver import <backtest folder>` reads the folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, flat, measured, number, params_of, plain_value

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe_ratio", 1),
    "sortino_ratio": ("sortino_ratio", 1),
    "total_return": ("net_profit_pct", 100),
    "cagr": ("compounding_annual_return_pct", 100),
    "volatility": ("annual_standard_deviation", 1),
    "max_drawdown": ("drawdown_pct", 100),
    "win_rate": ("win_rate_pct", 100),
    "n_trades": ("trade.total_number_of_trades", 1),
    "profit_factor": ("trade.profit_factor", 1),
    "alpha": ("alpha", 1),
    "beta": ("beta", 1),
    "initial_equity": ("start_equity", 1),
    "final_equity": ("end_equity", 1),
    "total_fees": ("total_fees", 1),
}
_TRADE = {
    "entryTime": "entry_time",
    "exitTime": "exit_time",
    "entryPrice": "entry_price",
    "exitPrice": "exit_price",
    "quantity": "size",
    "profitLoss": "pnl",
}
_DIRECTIONS = {0: "long", 1: "short"}
_CURVES = {("Strategy Equity", "Equity"): "equity", ("Benchmark", "Benchmark"): "benchmark"}
_PRICES = ("open", "high", "low", "close")
_MEMBERS = ("statistics", "runtimeStatistics", "totalPerformance", "rollingWindow", "charts", "orders")
_OTHERS = ("profitLoss", "state", "serverStatistics", "algorithmConfiguration")


def result(
    obj: Mapping[str, Any],
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    events: Iterable[Mapping[str, Any]] = (),
) -> Result:
    """Turn the content of a backtest's JSON into a result.

    Arguments:
        obj: the parsed content, in either spelling that Lean has had (`statistics`, `Statistics`).
        name: the strategy's name; None takes the configuration's, else `Lean`.
        params: the strategy's parameters; None takes those of its configuration, texts of numbers as numbers.
        events: what the file of order events holds.
    """
    told = {key: _member(obj, key) for key in (*_MEMBERS, *_OTHERS)}
    configuration = told["algorithmConfiguration"]
    found: Result = {"strategy_name": name or str(_member(configuration, "name", "") or "Lean")}
    for label, value in told["statistics"].items():
        found |= measured(label, value)
    if "expectancy" in found:  # of a unit risked, no money
        found["lean_expectancy"] = found.pop("expectancy")
    for label, value in told["runtimeStatistics"].items():
        found |= {f"runtime.{key}": one for key, one in measured(label, value).items()}
    performance = told["totalPerformance"]
    found |= _numbers(_member(performance, "tradeStatistics"), "trade.")
    found |= _numbers(_member(performance, "portfolioStatistics"), "portfolio.")
    for key in ("state", "serverStatistics"):
        found |= {f"{_snake(key)}.{label}": plain_value(value) for label, value in flat(told[key])}
    given = _member(configuration, "parameters")
    rest = {key: value for key, value in configuration.items() if key.lower() not in ("parameters", "name")}
    found |= {f"configuration.{key}": plain_value(value) for key, value in flat(rest)}
    other = {key: value for key, value in obj.items() if _first_small(key) not in told}
    found |= {key: plain_value(value) for key, value in flat(other)}
    add_canonical(found, dict(found), _CANONICAL, "lean")
    curves, tables = _charts(told["charts"])
    windows = told["rollingWindow"].items()
    tables |= {
        "orders": [_row(order) for order in told["orders"].values()],
        "order_events": [_row(event) for event in events],
        "rolling_window": [{"window": label, **_row(values)} for label, values in windows],
        "profit_loss": [{"time": time, "value": value} for time, value in told["profitLoss"].items()],
    }
    return {
        **found,
        "params": params_of(
            {key: _as_number(one) for key, one in given.items()} if params is None else params
        ),
        "trades": [_trade(trade) for trade in _member(performance, "closedTrades", [])],
        "curves": curves,
        "tables": {key: rows for key, rows in tables.items() if rows},
    }


def is_result(obj: Mapping[str, Any]) -> bool:
    """Tell whether a parsed JSON is a backtest of Lean."""
    return all(isinstance(_member(obj, key, None), Mapping) for key in ("charts", "statistics"))


def universe_of(obj: Mapping[str, Any]) -> str:
    """Return a name for the data of a backtest: its symbols, their number where there are many."""
    orders = _member(obj, "orders").values()
    symbols = sorted({str(_member(_member(order, "symbol"), "value", "")) for order in orders} - {""})
    named = "+".join(symbols) if len(symbols) <= 3 else f"{len(symbols)}_symbols"
    return (named or "lean").replace("/", "_").replace(" ", "_")


def _member(obj: Any, key: str, default: Any = ...) -> Any:
    """Return a member by its name as it is spelled now, or with a capital as it was; an empty dict where it is not there."""
    value = None
    if isinstance(obj, Mapping):
        value = obj.get(key, obj.get(key[0].upper() + key[1:]))
    return ({} if default is ... else default) if value is None else value


def _first_small(key: str) -> str:
    return key[:1].lower() + key[1:]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _numbers(values: Mapping[str, Any], prefix: str) -> Result:
    found: Result = {}
    for key, value in flat(values):
        found[prefix + _snake(key)] = plain_value(_as_number(value))
    return found


def _as_number(value: Any) -> Any:
    read = number(value) if isinstance(value, str) else None
    return value if read is None or read[1] else read[0]


def _row(values: Any) -> Result:
    """Return an order, event or window as one flat row; lists in it stay."""
    return {key: plain_value(value) for key, value in flat(values)}


def _trade(trade: Mapping[str, Any]) -> Result:
    own = {_first_small(key): value for key, value in trade.items()}
    direction = _DIRECTIONS.get(own.pop("direction", None), "")
    made: Result = {_TRADE[key]: own.pop(key) for key in _TRADE if key in own}
    if direction:
        made["direction"] = direction
    for key, value in own.items():
        made |= _row({key: value}) if isinstance(value, Mapping) else {key: plain_value(value)}
    return made


def _charts(charts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    curves: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for chart, told in charts.items():
        for series, drawn in _member(told, "series").items():
            name = _CURVES.get((chart, series), f"{chart}.{series}")
            said = {key: value for key, value in drawn.items() if key.lower() not in ("values", "name")}
            tables.setdefault("charts", []).append(
                {"chart": chart, "series": series, "curve": name, **_row(said)}
            )
            points = list(_points(_member(drawn, "values", [])))
            curves[name] = [[time, values[-1] if values else None] for time, values in points]
            if any(len(values) == len(_PRICES) for _, values in points):
                tables[f"{name}.bars"] = [
                    {"time": time, **dict(zip(_PRICES, values, strict=False))} for time, values in points
                ]
    return curves, tables


def _points(values: Iterable[Any]) -> Iterator[tuple[datetime, list[Any]]]:
    """Yield moments with a value, or with open, high, low, close: `[s, v]`, `[s, o, h, l, c]`, `{"x": s, "y": v}`."""
    for point in values:
        time, *rest = point.values() if isinstance(point, Mapping) else point
        yield datetime.fromtimestamp(float(time), UTC), rest
