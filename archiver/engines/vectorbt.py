"""vectorbt: a portfolio of one column, or of thousands: a result for each, made from whole tables that are cut once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines.metrics import Table, add_canonical
from archiver.engines.shared import Result, made_name, metric, params_of, plain_value, unique
from archiver.errors import ConfigError

_CANONICAL: Table = {
    "sharpe_ratio": ("sharpe_ratio", 1),
    "sortino_ratio": ("sortino_ratio", 1),
    "calmar_ratio": ("calmar_ratio", 1),
    "omega_ratio": ("omega_ratio", 1),
    "total_return": ("total_return_pct", 100),
    "max_drawdown": ("max_drawdown_pct", 100),
    "max_drawdown_days": ("max_drawdown_duration_days", 1),
    "n_trades": ("total_trades", 1),
    "win_rate": ("win_rate_pct", 100),
    "profit_factor": ("profit_factor", 1),
    "expectancy": ("expectancy", 1),
    "best_trade_return": ("best_trade_pct", 100),
    "worst_trade_return": ("worst_trade_pct", 100),
    "benchmark_return": ("benchmark_return_pct", 100),
    "initial_equity": ("start_value", 1),
    "final_equity": ("end_value", 1),
    "total_fees": ("total_fees_paid", 1),
}
_NAMES = {
    "Entry Timestamp": "entry_time",
    "Exit Timestamp": "exit_time",
    "Avg Entry Price": "entry_price",
    "Avg Exit Price": "exit_price",
    "Direction": "direction",
    "Size": "size",
    "PnL": "pnl",
    "Return": "return",
    "Timestamp": "time",
    "Price": "price",
    "Fees": "fees",
    "Side": "side",
}


def result(
    obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn a portfolio into a result; one of several columns (or groups) into an iterator with a result for each.

    The levels of the columns are the parameters, named as they are. Metrics are those of `pf.stats()`.

    Arguments:
        obj: a `vectorbt.Portfolio`.
        name: what strategies are called before their parameters; None: `Portfolio`.
        params: parameters beside those of the columns.
    """
    value = obj.value()
    several = value.ndim > 1
    try:
        stats = obj.stats(agg_func=None) if several else obj.stats().to_frame().T
    except Exception as error:  # an index of working days has no frequency that vectorbt can count with
        raise ConfigError(
            f"vectorbt's own stats() fails ({error}): give the portfolio freq='1D', say"
        ) from error
    made = unique(_Cut(obj, value, stats, several=several).results(name or "Portfolio", params or {}))
    return made if several else next(made)


class _Cut:
    """The tables of a whole portfolio, and the part of each column."""

    def __init__(self, obj: Any, value: Any, stats: Any, *, several: bool) -> None:
        self._value = value if several else value.to_frame()
        benchmark = obj.benchmark_value()
        self._benchmark = benchmark if several else benchmark.to_frame()
        self._stats = {label: column.tolist() for label, column in stats.items()}
        grouper = obj.wrapper.grouper
        self._grouped = bool(grouper.is_grouped())
        groups = grouper.get_groups() if self._grouped else None
        self._columns = grouper.get_columns() if self._grouped else obj.wrapper.columns
        self._trades = _Parts(obj.trades, groups)
        self._orders = _Parts(obj.orders, groups)
        self._positions = _Parts(obj.positions, groups)
        self._named = several or obj.wrapper.columns.nlevels > 1

    def results(self, kind: str, params: Mapping[str, Any]) -> Iterator[Result]:
        """Yield the result of each column."""
        names = [f"level_{at}" if name is None else str(name) for at, name in enumerate(self._columns.names)]
        for at, label in enumerate(self._columns.tolist()):
            labels = label if isinstance(label, tuple) else (label,)
            own = dict(zip(names, labels, strict=True))
            if list(own) == ["level_0"]:
                # Columns without names of levels are no parameters: symbols, most often.
                own = {"column": label} if self._named else {}
            found: Result = {"strategy_name": made_name(kind, {**params, **own})}
            found.update(metric(key, values[at]) for key, values in self._stats.items())
            add_canonical(found, dict(found), _CANONICAL, "vectorbt")
            if not self._named:
                found["column"] = plain_value(label)
            yield {
                **found,
                "params": params_of({**params, **own}),
                "trades": self._trades.of(at),
                "curves": {"equity": self._value.iloc[:, at], "benchmark": self._benchmark.iloc[:, at]},
                "tables": {"orders": self._orders.of(at), "positions": self._positions.of(at)},
            }


class _Parts:
    """Records of all columns in one table, and where those of each begin."""

    def __init__(self, records: Any, groups: Any) -> None:
        frame = records.records_readable.rename(columns=_NAMES)
        if "direction" in frame:
            frame["direction"] = frame["direction"].str.lower()
        if "return" in frame:
            frame["pnl_pct"] = frame["return"] * 100.0
        columns = records.records["col"].tolist()
        places = columns if groups is None else [int(groups[column]) for column in columns]
        if groups is None:
            del frame["Column"]
        order = sorted(range(len(places)), key=places.__getitem__)
        self._frame = frame.iloc[order]
        self._at: dict[int, tuple[int, int]] = {}
        for position, place in enumerate(places[at] for at in order):
            self._at[place] = (self._at.get(place, (position, 0))[0], position + 1)

    def of(self, at: int) -> Any:
        """Return the rows of one column."""
        begin, end = self._at.get(at, (0, 0))
        return self._frame.iloc[begin:end].reset_index(drop=True)
