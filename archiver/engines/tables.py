"""Series and tables of pandas, which several tools return: their shape tells whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines import backtesting, returns, zipline
from archiver.engines.shared import Result
from archiver.errors import ConfigError


def result(
    obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None, **how: Any
) -> Result | Iterator[Result]:
    """Turn a Series or table into results: returns by date, zipline's performance, a heatmap or MultiBacktest of backtesting.py.

    Raises ConfigError for any other.
    """
    if type(obj.index).__name__ == "MultiIndex" and all(level is not None for level in obj.index.names):
        return backtesting.heatmap(obj, name, params)
    if zipline.is_performance(obj):
        return zipline.result(obj, name, params)
    if obj.index.dtype.kind == "M":
        return returns.result(obj, name, params, **how)
    if "# Trades" in obj.index:
        return backtesting.multiple(obj, name, params)
    kind = type(obj).__name__
    raise ConfigError(
        f"a {kind} by {obj.index.dtype} is no result that archiver knows: returns are a Series by date"
    )
