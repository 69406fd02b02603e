"""nautilus_trader: a backtest engine that has run: statistics, orders, fills, positions and accounts, amounts as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, number, params_of, plain_name, plain_value

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe_ratio_252_days", 1),
    "sortino_ratio": ("sortino_ratio_252_days", 1),
    "volatility": ("returns_volatility_252_days", 1),
    "total_return": ("pnl_pct_total", 100),
    "win_rate": ("win_rate", 1),
    "expectancy": ("expectancy", 1),
    "n_trades": ("closed_positions", 1),
}
_TRADE = {
    "ts_opened": "entry_time",
    "ts_closed": "exit_time",
    "avg_px_open": "entry_price",
    "avg_px_close": "exit_price",
    "peak_qty": "size",
    "realized_pnl": "pnl",
    "realized_pnl_currency": "pnl_currency",
}
_SIDES = {"BUY": "long", "SELL": "short"}
# Columns that hold numbers as text; other texts of digits are names. Tags and ids are never amounts.
_NUMBERS = ("quantity", "peak_qty", "filled_qty", "last_qty", "last_px", "price", "total", "locked", "free")


_OF_RUN = (
    *("trader_id", "machine_id", "run_config_id", "instance_id", "run_id", "elapsed_time", "iterations"),
    *("run_started", "run_finished", "backtest_start", "backtest_end"),
    *("total_events", "total_orders", "total_positions"),
)


def result(obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None) -> Result:
    """Turn a `BacktestEngine` that has run, before its `dispose()`, into a result.

    Arguments:
        obj: the engine.
        name: the strategy's name; None: its strategies' ids.
        params: the strategy's parameters; None takes the configurations of its strategies.
    """
    trader = obj.trader
    strategies = trader.strategies()
    if params is None:
        configs = {str(one.id): dict(one.config.dict()) for one in strategies}
        params = next(iter(configs.values())) if len(configs) == 1 else configs
    found: Result = {"strategy_name": name or "+".join(str(one.id) for one in strategies) or "nautilus"}
    found |= _metrics(obj.get_result())
    positions = [_amounts(row) for row in _records(trader.generate_positions_report())]
    found["closed_positions"] = sum(row.get("ts_closed") is not None for row in positions)
    add_canonical(found, dict(found), _CANONICAL, "nautilus")
    curves: dict[str, Any] = {}
    accounts = []
    for venue in obj.list_venues():
        rows = [_amounts(row) for row in _records(trader.generate_account_report(venue), "time")]
        accounts += [{"venue": str(venue), **row} for row in rows]
        for currency in dict.fromkeys(row["currency"] for row in rows):
            curves[f"equity.{venue}.{currency}"] = [
                [row["time"], row["total"]] for row in rows if row["currency"] == currency
            ]
    if len(curves) == 1:
        curves = {"equity": next(iter(curves.values()))}
    curves["returns"] = obj.portfolio.analyzer.returns()
    return {
        **found,
        "params": params_of(params),
        "trades": [_trade(row) for row in positions],
        "curves": {key: curve for key, curve in curves.items() if len(curve)},
        "tables": {
            "orders": [_amounts(row) for row in _records(trader.generate_orders_report())],
            "fills": [_amounts(row) for row in _records(trader.generate_fills_report())],
            "accounts": accounts,
        },
    }


def _metrics(said: Any) -> Result:
    found: Result = {}
    for currency, values in said.stats_pnls.items():
        prefix = "" if len(said.stats_pnls) == 1 else f"{currency}."
        found |= {prefix + plain_name(label.replace("%", " pct")): value for label, value in values.items()}
    if len(said.stats_pnls) == 1:
        found["currency"] = str(next(iter(said.stats_pnls)))
    found |= {plain_name(label): value for label, value in said.stats_returns.items()}
    if "profit_factor" in found:  # of returns by day, not of trades
        found["nautilus_profit_factor"] = found.pop("profit_factor")
    return found | {name: plain_value(getattr(said, name)) for name in _OF_RUN}


def _records(frame: Any, index: str | None = None) -> list[dict[str, Any]]:
    if frame is None or not len(frame):
        return []
    named = frame.rename_axis(index) if index else frame
    return list(named.reset_index().to_dict("records"))


def _amounts(row: Mapping[str, Any]) -> Result:
    """Return a row with amounts as numbers: `2.20 USD` is 2.2, beside it the currency; a list of one is that one."""
    found: Result = {}
    for key, value in row.items():
        single = value[0] if isinstance(value, list) and len(value) == 1 else value
        told = type(single).__name__ in ("str", "Money", "Quantity", "Price") and not key.endswith(
            ("_id", "tags")
        )
        text = str(single) if told else None
        read = None if text is None else number(text)
        if read is not None and read[1].isalpha() and read[1].isupper():
            found[key], found[f"{key}_currency"] = read
        elif read is not None and key in _NUMBERS:
            found[key] = read[0]
        else:
            found[key] = plain_value(value)
    return found


def _trade(row: Mapping[str, Any]) -> Result:
    made = {_TRADE.get(key, key): value for key, value in row.items()}
    if row.get("entry") in _SIDES:
        made["direction"] = _SIDES[row["entry"]]
    return made
