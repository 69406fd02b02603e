"""Dicts: results as they are, and parsed result files of engines; their keys tell whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines import freqtrade, jesse, lean
from archiver.engines.shared import Result, params_of
from archiver.errors import ConfigError


def result(
    obj: dict[str, Any], name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn what an engine wrote as JSON into results; a dict with `strategy_name` is one. Raises ConfigError for any other.

    Arguments:
        obj: the dict.
        name: the strategy's name; of a result it takes the place of its own.
        params: the strategy's parameters, beside those that a result has.
    """
    if "strategy_name" in obj:
        found = {**obj, "strategy_name": name or obj["strategy_name"]}
        return (
            found
            if params is None
            else found | {"params": params_of({**(obj.get("params") or {}), **params})}
        )
    if isinstance(obj.get("strategy"), dict) and "strategy_comparison" in obj:
        return freqtrade.result(obj, name, params)
    if jesse.is_result(obj):
        return jesse.result(obj, name, params)
    if lean.is_result(obj):
        return lean.result(obj, name, params)
    raise ConfigError(
        "this dict is no engine's result that archiver knows; a result of your own has strategy_name: give it one"
    )
