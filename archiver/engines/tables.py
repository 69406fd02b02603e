"""Series and tables of pandas, which several tools return: their shape tells whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archiver.engines import backtesting, documents, returns, zipline
from archiver.engines.shared import call, engine_module
from archiver.errors import ConfigError
from archiver.format.columnar import class_name


def result(obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None, **how: Any) -> Any:
    """Turn a Series or table into results: returns by date, zipline's performance, a heatmap or MultiBacktest of backtesting.py.

    A table with a column `strategy_name` is a result a row. One of polars or Arrow is taken as pandas has it, its first
    column of moments as the index.

    Raises ConfigError for any other.
    """
    if class_name(type(obj))[0] != "pandas":
        obj = _of_pandas(obj)
    if is_heatmap(obj):
        return call(backtesting.heatmap, obj, name, params, how)
    if zipline.is_performance(obj):
        return call(zipline.result, obj, name, params, how)
    if "strategy_name" in _labels(obj):
        rows = obj.to_dict("records")
        return (found for row in rows for found in [call(documents.result, row, name, params, how)])
    if "# Trades" in obj.index:
        return call(backtesting.multiple, obj, name, params, how)
    dated = returns.by_date(obj)
    if dated is not None:
        return call(returns.result, dated, name, params, how)
    kind = type(obj).__name__
    raise ConfigError(
        f"a {kind} by {obj.index.dtype} is no result that archiver knows: returns are a Series by date"
    )


def ranking(obj: Any) -> str | None:
    """Return the metric that a heatmap holds; None for any other table."""
    return backtesting.ranked_by(obj) if class_name(type(obj))[0] == "pandas" and is_heatmap(obj) else None


def is_heatmap(obj: Any) -> bool:
    """Tell the table of `optimize(return_heatmap=True)` from any other: parameters are the named levels of its index."""
    return type(obj.index).__name__ == "MultiIndex" and all(level is not None for level in obj.index.names)


def _labels(obj: Any) -> list[Any]:
    return list(obj.columns) if type(obj).__name__ == "DataFrame" else []


def _of_pandas(obj: Any) -> Any:
    """Return a table of polars or Arrow as pandas has it, by its first column of moments."""
    engine_module("pandas")
    frame = obj.to_pandas()
    moments = [label for label in frame.columns if frame[label].dtype.kind == "M"]
    frame = frame.set_index(moments[0]) if moments else frame
    return frame.iloc[:, 0] if moments and frame.shape[1] == 1 else frame
