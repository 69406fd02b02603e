"""Parsed result files of engines, which are dicts: their keys tell whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines import freqtrade, lean
from archiver.engines.shared import Result
from archiver.errors import ConfigError


def result(
    obj: dict[str, Any], name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn what an engine wrote as JSON into results. Raises ConfigError for any other dict."""
    if isinstance(obj.get("strategy"), dict) and "strategy_comparison" in obj:
        return freqtrade.result(obj, name, params)
    if lean.is_result(obj):
        return lean.result(obj, name, params)
    raise ConfigError(
        "this dict is no engine's result that archiver knows; a result of your own goes to save_universe_results as it is"
    )
