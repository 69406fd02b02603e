"""The run of a search: started with its first result, finished by whoever started it; what callbacks of engines share."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Self

from archiver.engines.shared import Result, flat, params_of, plain_value

DETAILS = ("trades", "trades_detailed", "curves", "tables", "files", "equity_curve", "drawdown_curve")
"""What of a reported result is no metric."""


class Search:
    """An open run that trials are added to, from several threads; it travels to other processes, where it adds to the same.

    Arguments: archive, universe, top_n, rank_by, tags, run: as `Reporter` says.
    """

    def __init__(
        self,
        archive: Any,
        universe: str,
        *,
        top_n: int = 50,
        rank_by: str | None = None,
        tags: Iterable[str] = (),
        run: str | None = None,
    ) -> None:
        self._archive, self._universe = archive, universe
        self._top_n, self._rank_by, self._tags = top_n, rank_by, tuple(tags)
        self._run: Any = archive.resume(run) if run is not None else None
        self._started = False
        self._starting = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        run = self._run
        return _again, (self._archive, self._universe, self._top_n, self._rank_by, self._tags, run and run.id)

    def add(self, found: Result, rank_by: str | None = None) -> None:
        """Add the result of a trial; rank_by: what ranks where nothing else was said."""
        with self._starting:  # trials end in several threads
            if self._run is None:
                ranking = self._rank_by or rank_by
                self._run = self._archive.start(
                    self._universe, top_n=self._top_n, rank_by=ranking, tags=self._tags
                )
                self._started = True
        self._run.add(found)

    @property
    def run(self) -> str | None:
        """The id of the run; None before the first trial."""
        return None if self._run is None else str(self._run.id)

    def finish(self) -> Any:
        """Make the open run an ordinary one, once, and return it; a run that another process started stays open."""
        if not self._started:
            return None
        self._started = False
        return self._run.finish()


def _again(
    archive: Any, universe: str, top_n: int, rank_by: str | None, tags: tuple[str, ...], run: str | None
) -> Search:
    return Search(archive, universe, top_n=top_n, rank_by=rank_by, tags=tags, run=run)


class Reporter:
    """What callbacks of engines have in common: one run, which each finished trial is added to.

    The run is finished by `finish()`, at the end of a `with` block, or when nobody holds the callback any more.

    Arguments:
        archive: where the run is written.
        universe: the data slice that the trials were tested on.
        top_n: how many details to keep.
        rank_by: the metric that ranks; None takes what the search ranks by, where it says so.
        tags: labels of the run.
        name: what trials are called before their number or id.
        run: the id of an open run that another process has started, which this one only adds to.
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
        weakref.finalize(self, self._search.finish)

    @property
    def run(self) -> str | None:
        """The id of the run; None before the first trial."""
        return self._search.run

    def finish(self) -> Any:
        """Make the open run an ordinary one, and return it; a run that another process started stays open."""
        return self._search.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()


def of_trial(
    metrics: Mapping[str, Any], params: Mapping[str, Any], name: str | None = None, error: Any = None
) -> Result:
    """Return the result of one trial.

    Arguments:
        metrics: what it reported last: metrics, nested ones by names joined with dots; of a result its details, too.
        params: its configuration.
        name: what it is called before its id; None: `trial`, or the `strategy_name` that it reported.
        error: what ended it, if anything did.
    """
    said = {
        key: value
        for key, value in metrics.items()
        if key not in ("config", "params", "strategy_name", *DETAILS)
    }
    called = f"{name or metrics.get('strategy_name', 'trial')}_{metrics.get('trial_id', 'unknown')}"
    found: Result = {"strategy_name": called}
    found |= {key: plain_value(value, key) for key, value in flat(said)}
    found |= {key: metrics[key] for key in DETAILS if key in metrics}
    found["error"] = None if error is None else str(error)
    found["params"] = {**metrics.get("params", {}), **params_of(params)}
    found["tables"] = dict(metrics.get("tables", {}))
    return found
