"""backtrader: the analyzer `Result` collects what an engine run does not keep, `archiver.result(cerebro.run())` takes it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archiver.engines.shared import Result as Made
from archiver.engines.shared import engine_module, made_name, params_of, plain_value
from archiver.errors import ConfigError

_REMEDY = "add it before the run: cerebro.addanalyzer(archiver.engines.backtrader.Result)"


def result(obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None) -> Made:
    """Turn a strategy that has run, one of `optstrategy`, or the analyzer itself into a result.

    Its own numbers are those of the analyzer `Result`; what other analyzers found stands as `<analyzer>.<name>`.

    Arguments:
        obj: a strategy or `OptReturn` as `cerebro.run()` returns them, or an analyzer `Result`.
        name: the strategy's name; None makes one of its class and parameters.
        params: the strategy's parameters; None takes its own.

    Raises ConfigError where the analyzer `Result` was not added.
    """
    if type(obj).__module__.startswith("archiver."):
        return _named(obj.get_analysis(), name, params)
    pairs = list(zip(obj.analyzers.getnames(), obj.analyzers, strict=True))
    own = next((one for _, one in pairs if type(one).__module__.startswith("archiver.engines")), None)
    if own is None:
        raise ConfigError(f"the backtrader strategy has no analyzer Result: {_REMEDY}")
    found = _named(own.get_analysis(), name, params)
    for label, analyzer in pairs:
        if analyzer is own:
            continue
        for key, value in _parts(label, analyzer.get_analysis()):
            if isinstance(value, list):
                found["tables"][key] = value
            else:
                found[key] = plain_value(value)
    return found


def _parts(label: str, analysis: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an analyzer found: numbers by name, and what stands by moments (`TimeReturn`) as rows.

    Only keys that are there are asked for: backtrader's dicts make what they lack.
    """
    if not issubclass(type(analysis), Mapping):
        yield label, analysis
    elif any(not isinstance(key, str) for key in analysis):
        yield (
            label,
            [{"key": plain_value(key), "value": plain_value(value)} for key, value in analysis.items()],
        )
    else:
        for key, value in analysis.items():
            yield from _parts(f"{label}.{key}", value)


def _named(analysis: Made, name: str | None, params: Mapping[str, Any] | None) -> Made:
    found = {**analysis, "tables": dict(analysis["tables"])}
    if params is not None:
        found["params"] = params_of(params)
    found["strategy_name"] = name or made_name(analysis["strategy_name"], found["params"])
    return found


def __getattr__(name: str) -> Any:
    if name != "Result":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    engine_module("backtrader")
    from archiver.engines.backtrader_analyzer import Result

    return Result
