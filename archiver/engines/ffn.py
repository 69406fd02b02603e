"""bt and ffn: what `bt.run()` and `ffn.calc_stats()` return: each strategy, or each series of prices, is a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, made_name, metric, params_of

_CANONICAL: Table = {
    "sharpe_ratio": ("daily_sharpe", 1),
    "sortino_ratio": ("daily_sortino", 1),
    "calmar_ratio": ("calmar", 1),
    "total_return": ("total_return", 1),
    "cagr": ("cagr", 1),
    "volatility": ("daily_vol", 1),
    "max_drawdown": ("max_drawdown", -1),
}


def result(
    obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn a `bt` result or `GroupStats` into an iterator with a result for each of its members, `PerformanceStats` into one.

    Arguments:
        obj: what `bt.run()` or `ffn.calc_stats()` returned.
        name: the name; of several it stands before their own.
        params: the parameters of all of them.
    """
    if type(obj).__qualname__ == "PerformanceStats":
        return _one(obj, name or str(obj.name), params or {})
    return (_member(obj, str(key), name, params or {}) for key in obj)


def _member(obj: Any, key: str, name: str | None, params: Mapping[str, Any]) -> Result:
    found = _one(obj[key], f"{name}.{key}" if name else key, params)
    if all(base.__qualname__ != "Result" for base in type(obj).__mro__):
        return found
    test = obj.backtests[key]
    strategy = test.strategy
    found["final_equity"] = float(strategy.values.iloc[-1])
    found["initial_equity"] = float(test.initial_capital)
    found["total_fees"] = float(strategy.fees.sum())
    # Money, beside the index of the strategy, which starts at 100.
    found["curves"] = {
        "equity": strategy.values,
        "price": found["curves"]["equity"],
        "drawdown": found["curves"]["drawdown"],
        "cash": strategy.cash,
        "fees": strategy.fees,
        "turnover": test.turnover,
    }
    found["tables"] |= {
        # bt's own fails where none was made.
        "transactions": obj.get_transactions(key).reset_index() if strategy.securities else [],
        "positions": test.positions.rename_axis("time").reset_index(),
        "weights": test.weights.rename_axis("time").reset_index(),
    }
    return found


def _one(stats: Any, name: str, params: Mapping[str, Any]) -> Result:
    kept = params_of(params)
    found: Result = {"strategy_name": made_name(name, kept)}
    found.update(metric(str(label), value) for label, value in stats.stats.items())
    add_canonical(found, dict(found), _CANONICAL, "ffn")
    drops = stats.drawdown_details
    return {
        **found,
        "params": kept,
        "curves": {"equity": stats.prices, "drawdown": stats.drawdown},
        "tables": {
            "drawdowns": [] if drops is None else drops.reset_index(drop=True),
            "returns": stats.return_table.rename_axis("year").reset_index(),
        },
    }
