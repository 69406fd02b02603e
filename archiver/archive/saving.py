"""Saving what an engine returned, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archiver.format.model import Run


class Saving:
    """Makes results of an engine's objects and saves them.

    Arguments:
        save: `Archive.save_universe_results`.
    """

    def __init__(self, save: Callable[..., Run]) -> None:
        self._save = save

    def save(
        self,
        /,  # what a part's method is called with by name is the caller's
        obj: Any,
        universe: str,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        top_n: int = 50,
        rank_by: str | None = None,
        tags: Iterable[str] = (),
        note: str | None = None,
        *,
        code: str | Path | Sequence[str | Path] | None = None,
        seed: Any = None,
        data: Any = None,
        **how: Any,
    ) -> Run:
        """Save what an engine returned as a new run: one strategy, a grid of thousands, a study, or a list of any of these.

        The same as `save_universe_results(universe, ...)` of what `archiver.result(obj, name, params, **how)` makes.

        Arguments:
            obj: what `archiver.result` takes: an object of an engine, returns, a result that is a dict already; or a list
                or iterator of such, consumed once.
            universe: the data slice that the strategies were tested on.
            name: the strategy's name; None makes one of the class and its parameters.
            params: the strategy's parameters; None takes those that the engine knows.
            rank_by: as `save_universe_results` takes it; None takes what a study of Optuna, a search of Ray or a heatmap
                was ranked by, where it says so.
            top_n, tags, note, code, seed, data: as `save_universe_results` takes them.
            how: what the engine's page says, such as `benchmark=`.

        Returns the run. Raises ConfigError for an object of no known engine, and what `save_universe_results` raises.
        """
        from archiver.engines import ranking, result

        rank_by = ranking(obj) if rank_by is None else rank_by
        made = result(obj, name, params, **how)
        return self._save(
            universe,
            [made] if isinstance(made, dict) else made,
            top_n=top_n,
            rank_by=rank_by,
            tags=tags,
            note=note,
            code=code,
            seed=seed,
            data=data,
        )
