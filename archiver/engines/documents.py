"""Dicts: results as they are, and parsed result files of engines; their keys tell whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines import freqtrade, jesse, lean
from archiver.engines.search import DETAILS
from archiver.engines.shared import Result, made_name, params_of
from archiver.errors import ConfigError


def result(
    obj: dict[str, Any], name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn what an engine wrote as JSON into results; a dict that has a name, params, trades, curves, tables or files is one.

    Raises ConfigError for any other.

    Arguments:
        obj: the dict.
        name: the strategy's name; of a result it takes the place of its own; one without is `strategy` and its parameters.
        params: the strategy's parameters, beside those that a result has.
    """
    if "strategy_name" in obj:
        return _own(obj, name or obj["strategy_name"], params)
    if isinstance(obj.get("strategy"), dict) and "strategy_comparison" in obj:
        return freqtrade.result(obj, name, params)
    if jesse.is_result(obj):
        return jesse.result(obj, name, params)
    if lean.is_result(obj):
        return lean.result(obj, name, params)
    given = obj.get("params")
    own = given if isinstance(given, Mapping) else {}
    if name is not None or own or any(key in obj for key in DETAILS):
        return _own(obj, name or made_name("strategy", params_of({**own, **(params or {})})), params)
    raise ConfigError(
        "this dict is no engine's result that archiver knows; a result of your own has strategy_name: give it one"
    )


def _own(obj: dict[str, Any], name: Any, params: Mapping[str, Any] | None) -> Result:
    """Return a result of a user's own, called by a name, with what is said of its parameters besides."""
    found = {**obj, "strategy_name": name}
    return found if params is None else found | {"params": params_of({**(obj.get("params") or {}), **params})}
