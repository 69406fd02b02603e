"""The callback that is given to a search of Ray Tune. A module of its own: ray is imported with it."""

from __future__ import annotations

from typing import Any

from ray import tune

from archiver.engines.search import Reporter, of_trial


class Callback(Reporter, tune.Callback):  # type: ignore[misc]  # ray is not there when types are checked
    """Adds each trial to one run when it ends: `RunConfig(callbacks=[Callback(archive, universe)])`.

    The run is finished when the search ends. What ranks is said by `rank_by=`: one metric that trials report.

    Arguments: archive, universe, top_n, rank_by, tags, name, run: as `archiver.engines.search.Reporter` says.
    """

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._add(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._add(trial, trial.get_error() or "it failed")

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.finish()

    def _add(self, trial: Any, error: Any) -> None:
        last = {"trial_id": trial.trial_id, **(trial.last_result or {})}
        self._search.add(of_trial(last, trial.config or {}, self._name, error))
