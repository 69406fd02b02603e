"""jesse: what `research.backtest()` returns: metrics, trades with their orders, the equity curve, files it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, flat, made_name, params_of, plain_name, plain_value

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe_ratio", 1),
    "sortino_ratio": ("sortino_ratio", 1),
    "calmar_ratio": ("calmar_ratio", 1),
    "omega_ratio": ("omega_ratio", 1),
    "total_return": ("net_profit_percentage", 100),
    "cagr": ("annual_return", 100),
    "max_drawdown": ("max_drawdown", -100),
    "n_trades": ("total", 1),
    "win_rate": ("win_rate", 1),
    "expectancy": ("expectancy", 1),
    "avg_trade_days": ("average_holding_period", 86_400),
    "initial_equity": ("starting_balance", 1),
    "final_equity": ("finishing_balance", 1),
    "total_fees": ("fee", 1),
}
_TRADE = {
    "opened_at": "entry_time",
    "closed_at": "exit_time",
    "type": "direction",
    "qty": "size",
    "size": "value",
    "PNL": "pnl",
    "PNL_percentage": "pnl_pct",
}
_MOMENTS = ("opened_at", "closed_at", "created_at", "canceled_at", "executed_at", "updated_at")
_WRITTEN = ("logs", "json", "csv")


def is_result(obj: Mapping[str, Any]) -> bool:
    """Tell what jesse returns from any other dict."""
    return isinstance(obj.get("metrics"), dict) and "total" in obj["metrics"] and "logs" in obj


def result(
    obj: Mapping[str, Any], name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result:
    """Turn what `jesse.research.backtest()` returned into a result.

    Arguments:
        obj: the dict; with `generate_equity_curve=True` and `generate_hyperparameters=True` it says most.
        name: the strategy's name; None: the names of the strategies that traded, and the parameters.
        params: the strategy's parameters; None takes the hyperparameters.
    """
    trades = obj.get("trades") or ()
    if params is None:  # a DNA that is empty says nothing
        params = {
            key: value for key, value in obj.get("hyperparameters") or () if (key, value) != ("DNA", "")
        }
    kept = params_of(params)
    kind = "+".join(dict.fromkeys(str(trade.get("strategy_name", "jesse")) for trade in trades)) or "jesse"
    found: Result = {"strategy_name": name or made_name(kind, kept)}
    found |= {str(key): plain_value(value) for key, value in obj["metrics"].items()}
    add_canonical(found, dict(found), _CANONICAL, "jesse")
    files, curves, tables = (
        {},
        {},
        {"orders": [_plain(one) for trade in trades for one in trade.get("orders") or ()]},
    )
    for key, value in obj.items():
        if key in _WRITTEN and value is not None and Path(value).is_file():
            files[f"{key}{Path(value).suffix}"] = Path(value)
        elif key == "equity_curve":
            curves = dict(_curves(value or ()))
            tables["charts"] = [_without(one, "data") for one in value or ()]
        elif key not in ("metrics", "trades", "hyperparameters"):
            found |= {inner: plain_value(one) for inner, one in flat({key: value})}
    return {
        **found,
        "params": kept,
        "trades": [_plain(_without(trade, "orders"), _TRADE) for trade in trades],
        "curves": curves,
        "tables": tables,
        "files": files,
    }


def _curves(charts: Any) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yield a curve for each line of the chart: the portfolio's is `equity`."""
    for chart in charts:
        name = plain_name(str(chart["name"]))
        points = [[datetime.fromtimestamp(one["time"], UTC), one["value"]] for one in chart["data"]]
        yield {"portfolio": "equity"}.get(name, name), points


def _without(values: Mapping[str, Any], key: str) -> Result:
    return {name: value for name, value in values.items() if name != key}


def _plain(row: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Result:
    """Return a row with plain values; moments, which jesse has in milliseconds, are text."""
    return {
        (names or {}).get(key, key): datetime.fromtimestamp(value / 1000, UTC).isoformat()
        if key in _MOMENTS and isinstance(value, int | float)
        else plain_value(value)
        for key, value in row.items()
    }
