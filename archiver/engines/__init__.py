"""Results of backtesting engines, turned into what archiver keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from itertools import chain
from typing import Any

from archiver.errors import ConfigError
from archiver.format.columnar import class_name

GROUP = "archiver.engines"
"""Entry points of this group add engines: `module.Class = package:function`, the top module and the class's name."""

# By top module and qualified name of a class, or of one that it is made from: an engine is told without importing it.
_BY_CLASS = {
    ("archiver", "Result"): "backtrader",
    ("backtesting", "_Stats"): "backtesting",
    ("backtrader", "OptReturn"): "backtrader",
    ("backtrader", "Strategy"): "backtrader",
    ("nautilus_trader", "BacktestEngine"): "nautilus",
    ("optuna", "FrozenTrial"): "optuna",
    ("optuna", "Study"): "optuna",
    ("bt", "Result"): "ffn",
    ("builtins", "dict"): "documents",
    ("ffn", "GroupStats"): "ffn",
    ("ffn", "PerformanceStats"): "ffn",
    ("pandas", "Series"): "tables",
    ("pandas", "DataFrame"): "tables",
    ("polars", "DataFrame"): "tables",
    ("pyarrow", "Table"): "tables",
    ("pybroker", "TestResult"): "pybroker",
    ("ray", "Result"): "ray",
    ("ray", "ResultGrid"): "ray",
    ("vectorbt", "Portfolio"): "vectorbt",
}
_LISTS = (list, tuple)


def result(obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None, **how: Any) -> Any:
    """Turn what an engine returned into a result to save; a grid, a study or a list of several into an iterator of results.

    A result has the engine's own metrics under plain names (`Max. Drawdown [%]` is `max_drawdown_pct`) and the canonical
    ones (docs/reference/metrics.md), `params`, `trades`, `curves` such as `equity` and `benchmark`, `tables` such as `orders`.
    The class of the object tells the engine: nothing is imported for it. docs/how-to/engines/ has a page for each.

    Arguments:
        obj: a result, study, portfolio, analyzer or Series of returns; a dict with `strategy_name` is a result already; a
            list or iterator of such, too.
        name: the strategy's name; None makes one of the class and its parameters, the same in every process. Of several
            that are called the same, the second is `name #2`.
        params: the strategy's parameters; None takes those that the engine knows.
        how: what the engine's page says, such as `benchmark=`.

    Returns a dict, or an iterator of dicts; `archive.save(obj, universe)` makes and saves them. Raises ConfigError for an object of no known engine,
    TypeError for an option that its engine does not take.
    """
    if isinstance(obj, Iterator) or (type(obj) in _LISTS and not _is_optimized(obj)):
        from archiver.engines.shared import unique

        return unique(chain.from_iterable(_listed(result(one, name, params, **how)) for one in obj))
    from archiver.engines.shared import call

    return call(_adapter(obj), obj, name, params, how)


def ranking(obj: Any) -> str | None:
    """Return what an engine's object ranks its results by, as `rank_by` takes it: a study's first objective by its direction.

    None where it says nothing, as most do, or where several say different things.
    """
    if type(obj) in _LISTS and not _is_optimized(obj):
        said = {ranking(one) for one in obj}
        return said.pop() if len(said) == 1 else None
    try:
        module = import_module(str(_adapter(obj).__module__))
    except ConfigError:
        return None  # what is none is said by who makes results of it
    said_by = getattr(module, "ranking", None) if module.__name__.startswith(f"{__name__}.") else None
    return None if said_by is None else said_by(obj)


def _is_optimized(obj: Any) -> bool:
    """Tell the pair of backtesting.py's `optimize(return_heatmap=True)`."""
    return type(obj) is tuple and len(obj) > 0 and class_name(type(obj[0])) == ("backtesting", "_Stats")


def _listed(found: Any) -> Iterable[dict[str, Any]]:
    return [found] if isinstance(found, dict) else found


def _adapter(obj: Any) -> Any:
    kind = type(obj[0]) if type(obj) is tuple else type(obj)
    others = _others()
    for base in kind.__mro__:
        at = class_name(base)
        if at in others:
            return others[at].load()
        if at in _BY_CLASS:
            return import_module(f"{__name__}.{_BY_CLASS[at]}").result
    known = ", ".join(sorted({module for module, _ in (*_BY_CLASS, *others)} - {"archiver", "builtins"}))
    raise ConfigError(
        f"archiver.result does not know a {kind.__module__}.{kind.__qualname__}: it takes results of {known};"
        " give a dict with strategy_name, or add an engine (entry point group archiver.engines)"
    )


@lru_cache(maxsize=1)
def _others() -> dict[tuple[str, str], Any]:
    """Return what others have added, by the class that it is for."""
    found = {}
    for point in entry_points(group=GROUP):
        module, _, name = point.name.partition(".")
        found[module, name] = point
    return found


def __getattr__(name: str) -> Any:
    """Import an adapter when it is first asked for: `archiver.engines.optuna`."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> Iterator[str]:
    return iter(sorted({*globals(), *_BY_CLASS.values()}))
