"""zipline: the table by day that `run_algorithm()` returns: its numbers as curves, what stands in a day as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, made_name, params_of, plain_value
from archiver.errors import ConfigError

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe", 1),
    "sortino_ratio": ("sortino", 1),
    "volatility": ("algo_volatility", 1),
    "total_return": ("algorithm_period_return", 1),
    "max_drawdown": ("max_drawdown", -1),
    "benchmark_return": ("benchmark_period_return", 1),
    "alpha": ("alpha", 1),
    "beta": ("beta", 1),
    "final_equity": ("portfolio_value", 1),
}
# Its columns that say, on each day, what is true of all days so far: the last one's are the metrics.
_SO_FAR = (
    *("portfolio_value", "algorithm_period_return", "algo_volatility", "sharpe", "sortino", "max_drawdown"),
    *("max_leverage", "alpha", "beta", "benchmark_period_return", "benchmark_volatility", "excess_return"),
    *("treasury_period_return", "trading_days"),
)
_IN_A_DAY = ("orders", "transactions", "positions")


def is_performance(obj: Any) -> bool:
    """Tell the table that zipline returns from any other."""
    return type(obj).__name__ == "DataFrame" and {"portfolio_value", "algorithm_period_return"} <= {
        *obj.columns
    }


def result(obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None) -> Result:
    """Turn a table of zipline's performance into a result.

    Arguments:
        obj: what `run_algorithm()` returned, a row a session.
        name: the strategy's name; None: `zipline` and its parameters.
        params: the strategy's parameters; zipline does not know them.

    Raises ConfigError where its values are no numbers.
    """
    kept = params_of(params or {})
    found: Result = {"strategy_name": name or made_name("zipline", kept)}
    tables = {key: list(_rows(obj[key])) for key in _IN_A_DAY if key in obj}
    numbers = {str(key): _numbers(obj[key]) for key in obj if key not in tables}
    curves = {key: column for key, column in numbers.items() if column is not None}
    if "portfolio_value" not in curves:
        raise ConfigError("portfolio_value of zipline's table has something else than numbers")
    if len(obj):
        found |= {key: plain_value(obj[key].iloc[-1]) for key in _SO_FAR if key in obj}
        found |= {"start": plain_value(obj.index[0]), "end": plain_value(obj.index[-1])}
        if "pnl" in obj:
            found["initial_equity"] = float(obj["portfolio_value"].iloc[0] - obj["pnl"].iloc[0])
    add_canonical(found, dict(found), _CANONICAL, "zipline")
    found["n_transactions"] = len(tables.get("transactions", ()))
    if "benchmark_period_return" in curves:
        curves["benchmark"] = found.get("initial_equity", 1.0) * (1.0 + curves["benchmark_period_return"])
    said = [key for key, column in numbers.items() if column is None]
    tables["sessions"] = obj[said].rename_axis("session").reset_index()
    curves["equity"] = curves.pop("portfolio_value")
    return {**found, "params": kept, "curves": curves, "tables": tables}


def _numbers(column: Any) -> Any:
    """Return a column as floats, missing ones as NaN; None where it has something else, as `record()` may."""
    if column.dtype.kind in "Mm":
        return None
    try:
        return column.astype(float)
    except (TypeError, ValueError):
        return None


def _rows(column: Any) -> Iterator[Result]:
    """Yield the rows that stand in a column as lists of dicts, each with its session; an asset is its id and symbol."""
    for session, rows in column.items():
        for row in rows:
            own: Result = {"session": plain_value(session)}
            for key, value in row.items():
                symbol = getattr(value, "symbol", None) if key == "sid" else None
                if symbol is None:
                    own[key] = plain_value(value)
                else:
                    own |= {"sid": int(value.sid), "symbol": str(symbol)}
            yield own
