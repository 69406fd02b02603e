"""PyBroker: what `strategy.backtest()` returns: metrics, three tables and the portfolio by date."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, flat, made_name, params_of, plain_value

_CANONICAL: Table = {
    "total_return": ("total_return_pct", 100),
    "cagr": ("annual_return_pct", 100),
    "volatility": ("annual_volatility_pct", 100),
    "max_drawdown": ("max_drawdown_pct", -100),
    "calmar_ratio": ("calmar", 1),
    "n_trades": ("trade_count", 1),
    "win_rate": ("win_rate", 100),
    "profit_factor": ("profit_factor", 1),
    "expectancy": ("avg_pnl", 1),
    "avg_trade_return": ("avg_return_pct", 100),
    "initial_equity": ("initial_market_value", 1),
    "final_equity": ("end_market_value", 1),
    "total_fees": ("total_fees", 1),
}
# Of single bars unless `bars_per_year` was set, which alone gives an annual volatility.
_ANNUAL: Table = {"sharpe_ratio": ("sharpe", 1), "sortino_ratio": ("sortino", 1)}
_TRADE = {
    "type": "direction",
    "entry_date": "entry_time",
    "exit_date": "exit_time",
    "entry": "entry_price",
    "exit": "exit_price",
    "shares": "size",
}


def result(obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None) -> Result:
    """Turn a `TestResult` into a result.

    Arguments:
        obj: what `backtest()` or `walkforward()` returned.
        name: the strategy's name; None: `PyBroker`.
        params: the strategy's parameters; PyBroker does not know them.
    """
    kept = params_of(params or {})
    found: Result = {"strategy_name": name or made_name("PyBroker", kept)}
    found.update((key, plain_value(value)) for key, value in dataclasses.asdict(obj.metrics).items())
    annual = {} if obj.metrics.annual_volatility_pct is None else _ANNUAL
    add_canonical(found, dict(found), {**_CANONICAL, **annual}, "pybroker")
    found |= {"start": plain_value(obj.start_date), "end": plain_value(obj.end_date)}
    found["symbols"] = sorted(str(symbol) for symbol in obj.symbols)
    tables = {
        "orders": obj.orders.reset_index(),
        "positions": obj.positions.reset_index(),
        "portfolio": obj.portfolio.reset_index(),
    }
    if obj.bootstrap is not None:
        for key, value in obj.bootstrap._asdict().items():
            if type(value).__name__ == "DataFrame":
                tables[f"bootstrap.{key}"] = value.reset_index()
            else:  # bounds in a named tuple, of the drawdown two of them
                found |= {
                    inner: plain_value(one) for inner, one in flat({f"bootstrap.{key}": plain_value(value)})
                }
    for label in ("signals", "stops"):
        value = getattr(obj, label)
        if type(value).__name__ == "DataFrame":
            tables[label] = value.reset_index()
        elif isinstance(value, Mapping):
            tables |= {f"{label}.{key}": frame.reset_index() for key, frame in value.items()}
    portfolio = obj.portfolio
    return {
        **found,
        "params": kept,
        "trades": obj.trades.reset_index().rename(columns=_TRADE),
        "curves": {"equity": portfolio["equity"], "cash": portfolio["cash"]},
        "tables": tables,
    }
