"""The canonical metrics: one name, unit and direction for what every engine calls its own way.

An adapter keeps an engine's own names and adds these, so that results of several engines share columns. What unit an
engine's number has is written in its adapter's table, never guessed from the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """What a canonical metric means; `best` is greatest or least, empty where neither is."""

    unit: str
    best: str
    text: str


METRICS: dict[str, Metric] = {
    "sharpe_ratio": Metric("ratio", "greatest", "mean return over its standard deviation, annualised"),
    "sortino_ratio": Metric("ratio", "greatest", "mean return over its downside deviation, annualised"),
    "calmar_ratio": Metric("ratio", "greatest", "yearly growth over the largest drawdown"),
    "omega_ratio": Metric("ratio", "greatest", "gains over losses of the returns"),
    "total_return": Metric("fraction", "greatest", "final over initial equity, less 1: 0.12 is 12 %"),
    "cagr": Metric("fraction", "greatest", "yearly growth that compounds to the total return"),
    "volatility": Metric("fraction", "least", "standard deviation of returns, annualised"),
    "max_drawdown": Metric("fraction", "least", "largest fall below an earlier peak: 0.25 is 25 % below it"),
    "max_drawdown_days": Metric("days", "least", "longest time below an earlier peak"),
    "n_trades": Metric("count", "", "closed trades, and open ones where the engine counts them"),
    "win_rate": Metric("fraction", "greatest", "trades that won, of all trades"),
    "profit_factor": Metric("ratio", "greatest", "what winning trades won over what losing trades lost"),
    "expectancy": Metric("currency", "greatest", "mean profit of a trade"),
    "avg_trade_return": Metric("fraction", "greatest", "mean return of a trade"),
    "best_trade_return": Metric("fraction", "greatest", "return of the best trade"),
    "worst_trade_return": Metric("fraction", "greatest", "return of the worst trade"),
    "avg_trade_days": Metric("days", "", "mean time from entry to exit"),
    "exposure": Metric("fraction", "", "time with an open position, of all time"),
    "sqn": Metric("ratio", "greatest", "system quality number of the trades"),
    "benchmark_return": Metric("fraction", "", "total return of the benchmark or of buying and holding"),
    "alpha": Metric(
        "fraction", "greatest", "return that the benchmark does not explain, as the engine has it"
    ),
    "beta": Metric("ratio", "", "slope of the returns over those of the benchmark"),
    "initial_equity": Metric("currency", "", "equity at the beginning"),
    "final_equity": Metric("currency", "greatest", "equity at the end"),
    "total_fees": Metric("currency", "least", "fees and commissions paid"),
}

Table = Mapping[str, tuple[str, int]]
"""An engine's canonical metrics: by canonical name its own name, and what its number is divided by (100: percent;
negative: an engine writes losses below zero)."""


def add_canonical(result: dict[str, Any], own: Mapping[str, Any], table: Table, engine: str) -> None:
    """Add canonical metrics to a result, from an engine's own numbers.

    Where an engine has the canonical name for a number of another unit, its own goes to `<engine>_<name>`.
    """
    for name, (key, divisor) in table.items():
        value = own.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        # Only a number that needs it is divided, and no zero becomes -0.0.
        found = value if divisor == 1 else value / divisor + 0.0
        if name in result and result[name] != found and not (found != found and result[name] != result[name]):
            result[f"{engine}_{name}"] = result[name]
        result[name] = found


def page() -> str:
    """Return the table of docs/reference/metrics.md."""
    lines = ["| metric | unit | best | meaning |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {m.unit} | {m.best or '–'} | {m.text} |" for name, m in METRICS.items()]
    return "\n".join(lines)
