"""Optuna: every trial of a study is a strategy of one run, added when the trial ends."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from archiver.engines.search import Reporter
from archiver.engines.shared import Result, flat, params_of, plain_value
from archiver.errors import ConfigError

_UNNAMED = "no-name-"
"""How Optuna begins the names that it makes."""

_kept: weakref.WeakKeyDictionary[Any, dict[int, Any]] = weakref.WeakKeyDictionary()


def result(
    obj: Any, name: str | None = None, params: Mapping[str, Any] | None = None
) -> Result | Iterator[Result]:
    """Turn a study into an iterator with a result a finished trial, or a trial into a result.

    Arguments:
        obj: a study, or one of its trials.
        name: what trials are called before their number; None takes the study's own name, else `trial`.
        params: parameters beside those that the trial was given.
    """
    if type(obj).__qualname__ == "FrozenTrial":
        return _trial(obj, name or "trial", params or {}, {}, None)
    named, said = _objectives(obj)
    done = (trial for trial in obj.get_trials(deepcopy=False) if trial.state.is_finished())
    kept = _kept.get(obj, {})
    return (
        _trial(trial, name or _called(obj), params or {}, named | said, kept.get(trial.number))
        for trial in done
    )


def ranking(obj: Any) -> str | None:
    """Return what ranks a study's trials: its first objective, by its direction; None for a trial."""
    if type(obj).__qualname__ == "FrozenTrial":
        return None
    return _ranking(_objectives(obj)[0], obj)


def keep(trial: Any, obj: Any) -> None:
    """Keep what a trial's backtest returned, from within the objective: its metrics, trades and curves go into the run.

    Arguments:
        trial: the trial that the objective was given.
        obj: a result (a dict), or any engine's object that `archiver.result` takes.
    """
    if not isinstance(obj, dict):
        from archiver.engines import result as made

        obj = made(obj)
    if not isinstance(obj, dict):
        raise ConfigError("a trial has one result: give keep() one, no grid of several")
    _kept.setdefault(trial.study, {})[trial.number] = obj


def keeping(objective: Callable[[Any], tuple[Any, Any]]) -> Callable[[Any], Any]:
    """Make an objective of a function that returns (value, what the backtest returned); the second is kept."""

    @wraps(objective)
    def call(trial: Any) -> Any:
        value, obj = objective(trial)
        keep(trial, obj)
        return value

    return call


class Callback(Reporter):
    """Adds each finished trial to one run: `study.optimize(objective, callbacks=[Callback(archive, universe)])`.

    The run is finished by `finish()`, at the end of a `with` block, or when nobody holds the callback any more. Without
    `rank_by=` the study's first objective ranks, by its direction.

    Arguments: archive, universe, top_n, rank_by, tags, name, run: as `archiver.engines.search.Reporter` says.
    """

    def __call__(self, study: Any, trial: Any) -> None:
        """Add a trial; Optuna calls this when it ends, whatever its state."""
        named, said = _objectives(study)
        kept = _kept.get(study, {}).pop(trial.number, None)
        found = _trial(trial, self._name or _called(study), {}, named | said, kept)
        self._search.add(found, _ranking(named, study))


def _called(study: Any) -> str:
    name = str(study.study_name)
    return "trial" if name.startswith(_UNNAMED) else name


def _objectives(study: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the metric of each objective by its place, and what is said of them all."""
    directions = [direction.name.lower() for direction in study.directions]
    names = study.metric_names or (
        ["value"] if len(directions) == 1 else [f"values.{at}" for at in range(len(directions))]
    )
    return {str(at): str(name) for at, name in enumerate(names)}, {"directions": ",".join(directions)}


def _ranking(named: Mapping[str, str], study: Any) -> str:
    return ("-" if study.directions[0].name == "MINIMIZE" else "") + named["0"]


def _trial(
    trial: Any, name: str, params: Mapping[str, Any], said: Mapping[str, str], kept: Result | None
) -> Result:
    found: Result = {**(kept or {}), "strategy_name": f"{name}_{trial.number}"}
    for at, value in enumerate(trial.values or ()):
        found[said.get(str(at), "value" if len(trial.values) == 1 else f"values.{at}")] = value
    for key, value in flat(trial.user_attrs):
        found[f"user_attrs.{key}" if key in found else key] = plain_value(value)
    own: Result = {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "started": plain_value(trial.datetime_start),
        "completed": plain_value(trial.datetime_complete),
        "seconds": trial.duration.total_seconds() if trial.duration is not None else None,
        # Among the metrics, for a trial that has nothing else in tier 2 is written in a fifth of the time.
        "distributions": {key: str(value) for key, value in trial.distributions.items()},
        **{f"system_attrs.{key}": plain_value(value) for key, value in flat(trial.system_attrs)},
        **({"directions": said["directions"]} if "directions" in said else {}),
    }
    found |= {(f"optuna.{key}" if key in found else key): value for key, value in own.items()}
    found["params"] = {**(kept or {}).get("params", {}), **params_of({**params, **trial.params})}
    tables: Result = {}
    if trial.intermediate_values:
        reported = sorted(trial.intermediate_values.items())
        tables["intermediate_values"] = [{"step": step, "value": value} for step, value in reported]
    if tables:
        found["tables"] = {**found.get("tables", {}), **tables}
    return found
