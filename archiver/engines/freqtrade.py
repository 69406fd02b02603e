"""freqtrade: what its result files hold, as results; `archiver import user_data/backtest_results` reads the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, flat, params_of, plain_value, secret
from archiver.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe", 1),
    "sortino_ratio": ("sortino", 1),
    "calmar_ratio": ("calmar", 1),
    "cagr": ("cagr", 1),
    "total_return": ("profit_total", 1),
    "max_drawdown": ("max_drawdown_account", 1),
    "n_trades": ("total_trades", 1),
    "win_rate": ("winrate", 1),
    "profit_factor": ("profit_factor", 1),
    "expectancy": ("expectancy", 1),
    "avg_trade_return": ("profit_mean", 1),
    "avg_trade_days": ("holding_avg_s", 86_400),
    "sqn": ("sqn", 1),
    "benchmark_return": ("market_change", 1),
    "initial_equity": ("starting_balance", 1),
    "final_equity": ("final_balance", 1),
}
_SETTINGS = (
    *("stoploss", "trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset"),
    *("trailing_only_offset_is_reached", "use_custom_stoploss", "minimal_roi", "use_exit_signal"),
    *("use_sell_signal", "sell_profit_only", "sell_profit_offset", "exit_profit_only", "exit_profit_offset"),
    *("ignore_roi_if_entry_signal", "ignore_roi_if_buy_signal", "timeframe", "timeframe_detail", "timerange"),
    *("max_open_trades", "max_open_trades_setting", "stake_amount", "stake_currency", "trading_mode"),
    *("margin_mode", "enable_protections", "freqaimodel", "freqai_identifier", "pairlist"),
)
_TRADE = {
    "open_date": "entry_time",
    "close_date": "exit_time",
    "open_rate": "entry_price",
    "close_rate": "exit_price",
    "amount": "size",
    "profit_abs": "pnl",
}
# Sections of a configuration that hold addresses and credentials, whatever their keys are called.
_PRIVATE = ("telegram", "discord", "webhook", "api_server", "external_message_consumer", "db_url")
_OF_EXCHANGE = ("name", "pair_whitelist", "pair_blacklist", "markets_refresh_interval", "enable_ws")
REDACTED = "REDACTED"


def result(
    obj: Mapping[str, Any], name: str | None = None, params: Mapping[str, Any] | None = None
) -> Iterator[Result]:
    """Yield a result for each strategy of what a result file of freqtrade holds (its `strategy` dict).

    Arguments:
        obj: the content of `backtest-result-....json`.
        name: the name where it holds one strategy; None takes its own.
        params: parameters of the strategies; None takes the settings that the file has.

    Raises ConfigError for a strategy that is no dict.
    """
    strategies = obj["strategy"]
    odd = [own for own, stats in strategies.items() if not isinstance(stats, Mapping)]
    if odd:
        raise ConfigError(f"what freqtrade says of {odd[0]} is no dict: archiver does not know this version")
    for own, stats in strategies.items():
        yield of_strategy(name if name and len(strategies) == 1 else own, stats, params)


def of_strategy(
    name: str,
    stats: Mapping[str, Any],
    params: Mapping[str, Any] | None = None,
    *,
    wallet: pa.Table | None = None,
    market: pa.Table | None = None,
) -> Result:
    """Return the result of one strategy.

    Arguments:
        name: its name.
        stats: what freqtrade says of it.
        params: what it was optimised to, beside its settings.
        wallet: its wallet, where the file has it: date, currency, rate, balance.
        market: the market change: date, count, mean, rel_mean.
    """
    found: Result = {"strategy_name": name}
    tables: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    settings = {key: stats[key] for key in _SETTINGS if key in stats}
    for key, value in stats.items():
        if key == "trades" or key in settings:
            continue
        if key == "daily_profit":
            curves[key] = value
        elif isinstance(value, list):
            tables[key] = [row if isinstance(row, dict) else {"value": row} for row in value]
        elif isinstance(value, dict) and value and all(isinstance(part, list) for part in value.values()):
            tables |= {f"{key}.{part}": rows for part, rows in value.items()}
        elif isinstance(value, dict):
            found |= {inner: plain_value(one) for inner, one in flat(value, f"{key}.")}
        elif key == "strategy_name" and value != name:
            found["strategy"] = value
        elif key != "strategy_name":
            found[key] = plain_value(value)
    add_canonical(found, dict(found), _CANONICAL, "freqtrade")
    trades = [_trade(trade) for trade in stats.get("trades") or ()]
    if wallet is not None:
        tables["wallet"] = wallet
        curves["equity"] = _equity(wallet)
    elif trades and "starting_balance" in stats:
        curves["equity"] = _closed(trades, stats["starting_balance"])
    if market is not None:
        tables["market_change"] = market
        curves["benchmark"] = _curve(market["date"], 1.0 + market["rel_mean"].to_numpy())
    given = params_of(settings) | params_of(params or {})
    return {**found, "params": given, "trades": trades, "curves": curves, "tables": tables}


def of_epoch(strategy: str, epoch: Mapping[str, Any]) -> Result:
    """Return the result of one epoch of hyperopt, a line of its .fthypt file."""
    told = epoch.get("results_metrics") or {}
    found = of_strategy(f"{strategy}_epoch_{epoch.get('current_epoch', 0)}", told, epoch.get("params_dict"))
    for key, value in epoch.items():
        if key not in ("results_metrics", "params_dict"):
            rest = flat({key: value}) if isinstance(value, Mapping) else [(key, value)]
            found |= {
                (name if name not in found else f"epoch.{name}"): plain_value(one) for name, one in rest
            }
    return found


def without_secrets(config: Any, key: str = "") -> Any:
    """Return a configuration without credentials: private sections go whole, of the exchange what is public stays."""
    if isinstance(config, Mapping):
        if key == "exchange":
            return {name: (value if name in _OF_EXCHANGE else REDACTED) for name, value in config.items()}
        return {
            name: REDACTED
            if name in _PRIVATE or secret(name) or name.endswith(("token", "_key", "key", "url"))
            else without_secrets(value, name)
            for name, value in config.items()
        }
    if isinstance(config, list):
        return [without_secrets(one, key) for one in config]
    return config


def universe_of(stats: Mapping[str, Any]) -> str:
    """Return a name for the data of a backtest: its pairs (their number where there are many) and timeframe."""
    pairs = [str(pair) for pair in stats.get("pairlist") or ()]
    if not pairs:
        pairs = list(dict.fromkeys(str(trade.get("pair")) for trade in stats.get("trades") or ()))
    named = "+".join(pairs) if len(pairs) <= 3 else f"{len(pairs)}_pairs"
    text = "_".join(filter(None, [named or "freqtrade", str(stats.get("timeframe") or "")]))
    return text.replace("/", "_").replace(":", "_")


def _trade(trade: Mapping[str, Any]) -> Result:
    names, values = _layout(tuple(trade))
    made = dict(zip(names, values(trade), strict=True)) if names else {}
    if type(made.get("is_short")) is bool:
        made["direction"] = "short" if made["is_short"] else "long"
    if type(made.get("profit_ratio")) is float:
        made["pnl_pct"] = made["profit_ratio"] * 100.0
    return made


@lru_cache(maxsize=16)
def _layout(keys: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of a trade's values, those that are renamed first, and what takes the values in that order."""
    own = [*(key for key in _TRADE if key in keys), *(key for key in keys if key not in _TRADE)]
    take = itemgetter(*own) if len(own) > 1 else lambda trade: tuple(trade[key] for key in own)
    return tuple(_TRADE.get(key, key) for key in own), take


def _equity(wallet: pa.Table) -> pa.Table:
    """Return what all currencies of a wallet came to on each date."""
    import numpy as np

    places = wallet["date"].combine_chunks().dictionary_encode("encode")
    worth = wallet["rate"].to_numpy() * wallet["balance"].to_numpy()
    totals = np.bincount(places.indices.to_numpy(), worth, len(places.dictionary))
    return _curve(places.dictionary, totals)


def _curve(times: Any, values: Any) -> pa.Table:
    import pyarrow as pa

    return pa.table({"time": times, "value": pa.array(values, pa.float64())})


def _closed(trades: Iterable[Result], start: float) -> list[list[Any]]:
    """Return the balance after each closed trade, which older files have nothing better for."""
    closed = [
        (_moment(one), one["pnl"]) for one in trades if one.get("exit_time") and one.get("pnl") is not None
    ]
    closed.sort(key=lambda pair: pair[0])
    balances = accumulate((pnl for _, pnl in closed), initial=start)
    return [
        [time.isoformat(), balance]
        for (time, _), balance in zip(closed, islice(balances, 1, None), strict=True)
    ]


def _moment(trade: Result) -> datetime:
    stamp = trade.get("close_timestamp")
    if isinstance(stamp, int | float):
        return datetime.fromtimestamp(stamp / 1000, UTC)
    found = datetime.fromisoformat(str(trade["exit_time"]))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
