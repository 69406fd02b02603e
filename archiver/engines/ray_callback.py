"""The callback that is given to a search of Ray Tune. A module of its own: ray is imported with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ray import tune

from archiver.engines.search import Search, of_trial


class Callback(tune.Callback):  # type: ignore[misc]  # ray is not there when types are checked
    """Adds each trial to one run when it ends: `RunConfig(callbacks=[Callback(archive, universe)])`.

    The run is finished when the search ends.

    Arguments:
        archive: where the run is written.
        universe: the data slice that the trials were tested on.
        top_n: how many details to keep.
        rank_by: the metric that ranks, one that trials report.
        tags: labels of the run.
        name: what trials are called before their id.
        run: the id of an open run that this one only adds to.
    """

    def __init__(
        self,
        archive: Any,
        universe: str,
        *,
        top_n: int = 50,
        rank_by: str | None = None,
        tags: Iterable[str] = (),
        name: str | None = None,
        run: str | None = None,
    ) -> None:
        self._name = name
        self._search = Search(archive, universe, top_n=top_n, rank_by=rank_by, tags=tags, run=run)

    @property
    def run(self) -> str | None:
        """The id of the run; None before the first trial."""
        return self._search.run

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._add(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._add(trial, trial.get_error() or "it failed")

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self._search.finish()

    def _add(self, trial: Any, error: Any) -> None:
        last = {"trial_id": trial.trial_id, **(trial.last_result or {})}
        self._search.add(of_trial(last, trial.config or {}, self._name, error))
