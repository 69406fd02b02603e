"""Which strategies are best: a rank for every result, and the details of the best N, seen one result at a time."""

from __future__ import annotations

import heapq
import math
import warnings
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from operator import index
from typing import Any

from archiver.errors import ConfigError
from archiver.format.detail import Kept

RANK_BY = ("composite_score", "sharpe_ratio")
"""Metrics that rank a run's strategies unless the caller names one: the first that any strategy has."""
_DETAIL = ("trades", "equity_curve", "drawdown_curve")


@dataclass(slots=True)
class _Board:
    """The best N seen so far by one metric."""

    metric: str
    scores: array[float] = field(default_factory=lambda: array("d"))
    best: list[tuple[tuple[bool, float, int], Kept]] = field(default_factory=list)
    used: bool = False


class Ranking:
    """Takes results one by one; holds a score for each, and no more than the best N details."""

    def __init__(self, top_n: int, rank_by: str | None) -> None:
        try:
            count = -1 if isinstance(top_n, bool) else index(top_n)
        except TypeError:
            count = -1
        if count < 0:
            raise ConfigError(f"top_n is {top_n!r}: give a whole number, 0 or more")
        if rank_by is not None and str(rank_by) != rank_by:
            raise ConfigError(f"rank_by is {rank_by!r}: give the name of a metric")
        self.top_n = count
        self.names: set[str] = set()
        self._named = rank_by is not None
        self._boards = [_Board(metric) for metric in ([rank_by] if rank_by is not None else RANK_BY)]
        self._with_detail = 0
        self._metrics: set[str] = set()
        self._lacking = True

    def add(self, result: Any) -> dict[str, Any]:
        """Take one result; return its row: strategy_name first, then its metrics in their order.

        Raises ConfigError for a result that is no dict, has no name, or has the name of an earlier one.
        """
        row, detail = _split(result, len(self.names))
        name = row["strategy_name"]
        if name in self.names:
            raise ConfigError(
                f"two results are called {name!r}: a strategy's name must be unique within a run"
            )
        self.names.add(name)
        if self._named:
            self._metrics.update(row)
        else:
            self._lacking = self._lacking and not any(metric in row for metric in RANK_BY)
        self._with_detail += bool(detail)
        for board in self._boards:
            score = _score(row.get(board.metric))
            board.used = board.used or not math.isnan(score)
            board.scores.append(score)
            if detail and self.top_n:
                self._keep(board, score, row, detail)
            if board.used:
                # A later metric ranks only where no strategy has an earlier one.
                del self._boards[self._boards.index(board) + 1 :]
        return row

    def finish(self) -> tuple[str | None, list[Kept]]:
        """Return the metric that ranked, or None, and the details of the best N, best first, with their ranks.

        Where no strategy has a number to rank by, they rank as they came. Raises ConfigError for a metric to rank
        by, named by the caller, that no strategy has.
        """
        board = next((board for board in self._boards if board.used), self._boards[0])
        if not board.used and self.names:
            self._check_metric(board.metric)
        order = sorted(range(len(board.scores)), key=lambda at: (*_order(board.scores[at]), at))
        rank_of = {at: rank for rank, at in enumerate(order, 1)}
        kept = []
        for (_, _, place), one in sorted(board.best, key=lambda item: item[0], reverse=True):
            one.rank = rank_of[-place]
            kept.append(one)
        return (board.metric if board.used else None), kept

    def _check_metric(self, metric: str) -> None:
        if self._named and metric not in self._metrics:
            near = get_close_matches(metric, self._metrics - {"strategy_name"}, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"no result has the metric {metric!r} to rank by{hint}")
        if self._named:
            warnings.warn(
                f"no result has a number in {metric!r} to rank by: they rank as they came", stacklevel=5
            )
        if not self._named and self._lacking and self._with_detail > self.top_n > 0:
            looked = " or ".join(map(repr, RANK_BY))
            warnings.warn(
                f"no result has {looked} to rank by: the details of the first {self.top_n} of {self._with_detail}"
                " are kept; give rank_by=",
                stacklevel=5,
            )

    def _keep(self, board: _Board, score: float, row: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
        known = not math.isnan(score)
        place = (known, score if known else 0.0, 1 - len(self.names))
        if len(board.best) >= self.top_n and place < board.best[0][0]:
            return
        metrics = {key: value for key, value in row.items() if key != "strategy_name"}
        held = (_held(detail.get(key)) for key in _DETAIL)
        item = (place, Kept(row["strategy_name"], 0, metrics, *held))
        if len(board.best) < self.top_n:
            heapq.heappush(board.best, item)
        else:
            heapq.heapreplace(board.best, item)


def results_of(results: Any) -> Iterable[Any]:
    """Return the results as an iterable of dicts. Raises ConfigError for what cannot be one."""
    from archiver.format.text import columns_to_lists

    listed = columns_to_lists(results)
    if listed is not None:
        return listed
    if isinstance(results, str | bytes | Mapping) or not isinstance(results, Iterable):
        raise ConfigError(f"results is a {type(results).__name__}: give an iterable of dicts, one a strategy")
    return results


def _split(result: Any, at: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a result into its row of metrics and its detail."""
    if not isinstance(result, Mapping):
        raise ConfigError(
            f"result {at} is a {type(result).__name__}: give a dict with strategy_name and metrics"
        )
    name = result.get("strategy_name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"result {at} has no strategy_name: give it one, a text unique within the run")
    if not _is_unicode(name):
        raise ConfigError(f"the strategy_name {name!r} of result {at} is not valid Unicode: use another")
    row: dict[str, Any] = {"strategy_name": str.__str__(name)}
    detail: dict[str, Any] = {}
    for key, value in result.items():
        if key == "strategy_name":
            continue
        if key == "trades_detailed" or (key == "trades" and _is_table(value)):
            if detail.get("trades") is not None:
                raise ConfigError(f"{name!r} has both trades and trades_detailed: give one of them")
            detail["trades"] = value
        elif key in _DETAIL and key != "trades":
            detail[key] = value
        else:
            row[key] = value
    return row, {key: value for key, value in detail.items() if value is not None}


def _held(value: Any) -> Any:
    """Return a detail that stays as it is although the caller fills the same list or buffer anew for the next result."""
    if isinstance(value, list):
        return [dict(item) if type(item) is dict else item for item in value]
    if isinstance(value, dict):
        return {key: _held(item) for key, item in value.items()}
    copy = getattr(value, "copy", None)
    return copy() if _is_array(value) and callable(copy) else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_table(value: Any) -> bool:
    # `trades` is often the number of trades; only what has rows is detail.
    if isinstance(value, dict):
        return all(_is_column(item) for item in value.values())
    return (isinstance(value, Sequence) and not isinstance(value, str)) or _is_array(value)


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple) or _is_array(value)


def _is_array(value: Any) -> bool:
    """Tell whether a value is an array, series or table of numpy, pandas, polars or Arrow."""
    module = type(value).__module__.partition(".")[0]
    named = module in ("pandas", "polars", "pyarrow") and hasattr(value, "__len__")
    return named or (hasattr(value, "dtype") and getattr(value, "shape", ()) != ())


def _score(value: Any) -> float:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return math.nan


def _order(score: float) -> tuple[bool, float]:
    return (True, 0.0) if math.isnan(score) else (False, -score)
