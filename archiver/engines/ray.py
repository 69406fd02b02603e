"""Ray Tune: every trial of a search is a strategy; `Callback` adds each to one run when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines.search import DETAILS, of_trial
from archiver.engines.shared import Result, engine_module, unique


def result(
    obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn what `Tuner.fit()` returned into an iterator with a result a trial, one of its results into a result.

    Arguments:
        obj: a `ResultGrid`, or one of its `Result`s.
        name: what trials are called before their id; None: `trial`, or the `strategy_name` that one reported.
        params: parameters beside those of the trial's configuration.
    """
    if type(obj).__qualname__ == "ResultGrid":
        return unique(_result(obj[at], name, params) for at in range(len(obj)))
    return _result(obj, name, params)


def ranking(obj: Any) -> str | None:
    """Return the metric that a search was told to make best, `-` before it where the least is; None where none was told."""
    analysis = getattr(obj, "_experiment_analysis", None)
    metric = getattr(analysis, "default_metric", None)
    return metric and ("-" if getattr(analysis, "default_mode", None) == "min" else "") + str(metric)


def _result(obj: Any, name: str | None, params: Mapping[str, Any] | None) -> Result:
    found = of_trial(obj.metrics or {}, {**(params or {}), **(obj.config or {})}, name, obj.error)
    if obj.path is not None:
        found["path"] = str(obj.path)
    frame = obj.metrics_dataframe
    if frame is not None:
        kept = [key for key in frame if not str(key).startswith(("config/", *DETAILS))]
        found["tables"]["reports"] = frame[kept].reset_index(drop=True)
    return found


def __getattr__(name: str) -> Any:
    if name != "Callback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    engine_module("ray.tune", "'ray[tune]'")
    from archiver.engines.ray_callback import Callback

    return Callback
