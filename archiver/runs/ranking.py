"""Which strategies are best: a rank for every result, and the details of the best N, seen one result at a time."""

from __future__ import annotations

import heapq
import math
import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from itertools import product
from operator import index
from typing import Any

from archiver.base.suggest import did_you_mean
from archiver.errors import ConfigError
from archiver.format.attached import files_of
from archiver.format.columnar import is_columnar
from archiver.format.detail import Kept
from archiver.format.values import columns_to_lists, plain

RANK_BY = ("composite_score", "sharpe_ratio")
"""What ranks a run's strategies unless the caller names a metric, as the archive spells it: the first that is there."""

_SPELT = ("compositescore", "sharperatio", "sharpe")
_YEARLY = ("annualized", "annualised", "annual", "ann", "252days", "365days")
_PERIODS = ("", *_YEARLY, "daily", "weekly", "monthly", "yearly")
_SPELLINGS = {
    text: at
    for at, (period, name) in reversed(list(enumerate(product(_PERIODS, _SPELT))))
    for text in (f"{period}{name}", f"{name}{period}")
}
"""How engines spell these metrics, in small letters and digits alone, and which counts first: `Sharpe Ratio`,
`SharpeRatio`, `Sharpe Ratio (252 days)`, `sharpe`, `ann_sharpe`, `daily_sharpe`."""
_SHOWN = 8
"""Metrics that a warning names."""
_DETAIL = ("trades", "equity_curve", "drawdown_curve")
_NAMED = ("curves", "tables", "files")
"""Details that are dicts of name and value; where one of these is no dict it is a metric."""
_MAY_BE_DETAIL = frozenset((*_DETAIL, *_NAMED, "trades_detailed"))
_TWICE = {"equity_curve": "equity", "drawdown_curve": "drawdown"}


def known_metrics(names: Iterable[str]) -> list[str]:
    """Return those of the names that rank strategies unless the caller names one, the first that counts first."""
    found = {name: _preference(name) for name in names if isinstance(name, str)}
    return sorted((name for name, at in found.items() if at is not None), key=lambda name: found[name] or ())


@lru_cache(maxsize=4096)
def _preference(name: str) -> tuple[int, bool, str] | None:
    """Return what orders the metrics that rank: kind, the archive's own spelling first; None for any other metric."""
    at = _SPELLINGS.get("".join(filter(str.isalnum, name.lower())))
    if at is None:
        return None
    return (0 if _SPELT[at % len(_SPELT)] == _SPELT[0] else 1 + at), name not in RANK_BY, name


def rank_order(rank_by: str) -> tuple[str, bool]:
    """Return the metric of a `rank_by`, and whether the greatest is the best: with a `-` before it, the least is."""
    return rank_by.removeprefix("-"), not rank_by.startswith("-")


@dataclass(slots=True)
class _Board:
    """The best N seen so far by one metric; by no metric (an empty `rank_by`), the first N."""

    rank_by: str
    scores: array[float] = field(default_factory=lambda: array("d"))
    best: list[tuple[tuple[bool, float, int], Kept]] = field(default_factory=list)
    used: bool = False
    _metric: str = field(init=False)
    _greatest: bool = field(init=False)

    def __post_init__(self) -> None:
        self._metric, self._greatest = rank_order(self.rank_by)

    def score(self, row: Mapping[str, Any]) -> float:
        """Return a result's number: the greatest is the best."""
        score = _score(row.get(self._metric))
        return score if self._greatest else -score


class Ranking:
    """Takes results one by one; holds a score for each, and no more than the best N details."""

    def __init__(self, top_n: int, rank_by: str | None, *, at_hand: bool = False) -> None:
        """Begin without results; at_hand: all of them exist at once, so none is made of what an earlier one was."""
        try:
            count = -1 if isinstance(top_n, bool) else index(top_n)
        except TypeError:
            count = -1
        if count < 0:
            raise ConfigError(f"top_n is {top_n!r}: give a whole number, 0 or more")
        if rank_by is not None and (str(rank_by) != rank_by or not rank_by.strip("-")):
            raise ConfigError(f"rank_by is {rank_by!r}: give the name of a metric")
        self.top_n = count
        self.names: set[str] = set()
        self._hold = _same if at_hand else _held
        self._named = rank_by
        self._first = _Board("")
        self._boards = [] if rank_by is None else [_Board(rank_by)]
        self._with_detail = 0
        self._metrics: dict[str, None] = {}
        self._last: list[str] = []
        self._told = False

    def add(self, result: Any) -> dict[str, Any]:
        """Take one result; return its row: strategy_name first, then its metrics in their order.

        Warns before the first detail goes that nothing has ranked. Raises ConfigError for a result that is no dict,
        has no name, or has the name of an earlier one.
        """
        row, detail = _split(result, len(self.names))
        name = row["strategy_name"]
        if name in self.names:
            raise ConfigError(
                f"two results are called {name!r}: a strategy's name must be unique within a run"
            )
        keys = list(row)
        if keys != self._last:
            self._last = keys
            if not row.keys() <= self._metrics.keys():
                self._know(row)
        self.names.add(name)
        self._with_detail += bool(detail)
        keeps = bool(detail) and self.top_n > 0
        make = cache(partial(_kept, row, detail, self._hold)) if keeps else None
        if make is not None:
            self._keep(self._first, math.nan, make)
        for board in self._boards:
            score = board.score(row)
            board.used = board.used or not math.isnan(score)
            board.scores.append(score)
            if make is not None:
                self._keep(board, score, make)
            if board.used and board is not self._boards[-1]:
                # A later metric ranks only where no strategy has an earlier one.
                del self._boards[self._boards.index(board) + 1 :]
        if self._with_detail > self.top_n > 0 and not self._told:
            self._tell()
        return row

    def held(self, name: str) -> Kept | None:
        """Return the detail of a strategy that may be among the best, by what is known so far."""
        boards = [board for board in self._boards if board.best] or [self._first]
        return next((one for board in boards for _, one in board.best if one.strategy == name), None)

    def finish(self) -> tuple[str | None, list[Kept]]:
        """Return what ranked, or None, and the details of the best N, best first, with their ranks.

        Where no strategy has a number to rank by, they rank as they came. Raises ConfigError for a metric to rank
        by, named by the caller, that no strategy has.
        """
        board = next((board for board in self._boards if board.used), self._first)
        if not board.used and self.names and self._named is not None:
            self._check_metric(self._named)
        best = sorted(board.best, key=lambda item: item[0], reverse=True)
        kept = [one for _, one in best]
        scores = board.scores if board.used else array("d", [math.nan]) * len(self.names)
        for one, rank in zip(kept, _ranks(scores, [-place for (_, _, place), _ in best]), strict=True):
            one.rank = rank
        return (board.rank_by if board.used else None), kept

    def _know(self, row: Mapping[str, Any]) -> None:
        """Give each metric that ranks by itself and was not there before a board: all before it lack the metric."""
        new = [name for name in row if name not in self._metrics]
        self._metrics.update(dict.fromkeys(new))
        if self._named is not None:
            return
        boards = {board.rank_by: board for board in self._boards}
        used = next((board.rank_by for board in self._boards if board.used), None)
        order = known_metrics([*boards, *new])
        for name in order if used is None else order[: order.index(used)]:
            if name not in boards:
                before = array("d", [math.nan]) * len(self.names)
                boards[name] = _Board(name, before, list(self._first.best))
        self._boards = [boards[name] for name in order if name in boards]

    def _tell(self) -> None:
        """Say that details are about to go while nothing says which are the best."""
        if self._named is None and not self._boards:
            looked, remedy = " or ".join(map(repr, RANK_BY)), f"; give rank_by={self._candidates()}"
        elif self._named is not None and rank_order(self._named)[0] not in self._metrics:
            looked, remedy = repr(rank_order(self._named)[0]), self._near(rank_order(self._named)[0])
        else:
            return
        self._told = True
        warnings.warn(
            f"no result has {looked} to rank by, of {len(self.names):,} so far: the details of the first"
            f" {self.top_n} are kept{remedy}",
            stacklevel=6,
        )

    def _candidates(self) -> str:
        names = [name for name in self._metrics if name != "strategy_name"]
        return f", one of {', '.join(names[:_SHOWN])}" if names else ""

    def _near(self, metric: str) -> str:
        return did_you_mean(metric, self._metrics.keys() - {"strategy_name"})

    def _check_metric(self, rank_by: str) -> None:
        metric, _ = rank_order(rank_by)
        if metric not in self._metrics:
            raise ConfigError(f"no result has the metric {metric!r} to rank by{self._near(metric)}")
        warnings.warn(
            f"no result has a number in {metric!r} to rank by: they rank as they came", stacklevel=6
        )

    def _keep(self, board: _Board, score: float, make: Callable[[], Kept]) -> None:
        known = not math.isnan(score)
        place = (known, score if known else 0.0, 1 - len(self.names))
        if len(board.best) >= self.top_n and place < board.best[0][0]:
            return
        item = (place, make())
        if len(board.best) < self.top_n:
            heapq.heappush(board.best, item)
        else:
            heapq.heapreplace(board.best, item)


def _kept(row: Mapping[str, Any], detail: Mapping[str, Any], hold: Callable[[Any], Any]) -> Kept:
    """Return a result's detail as it is now; a file is read, a figure drawn."""
    name = row["strategy_name"]
    metrics = {key: value for key, value in row.items() if key != "strategy_name"}
    trades, equity, drawdown = (hold(detail.get(key)) for key in _DETAIL)
    curves, tables = (hold(detail.get(key, {})) for key in ("curves", "tables"))
    return Kept(
        name, 0, metrics, trades, equity, drawdown, curves, tables, files_of(name, detail.get("files", {}))
    )


def results_of(results: Any) -> Iterable[Any]:
    """Return the results as an iterable of dicts. Raises ConfigError for what cannot be one."""
    listed = columns_to_lists(results, "results")
    if listed is not None:
        return listed
    if isinstance(results, str | bytes | Mapping) or not isinstance(results, Iterable):
        raise ConfigError(f"results is a {type(results).__name__}: give an iterable of dicts, one a strategy")
    return results


def _split(result: Any, at: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a result into its row of metrics and its detail."""
    if type(result) is not dict and not issubclass(type(result), Mapping):
        raise ConfigError(
            f"result {at} is a {type(result).__name__}: give a dict with strategy_name and metrics"
        )
    # Through the class: where an object's keys are its attributes, one may be called `items`.
    given: dict[str, Any] = result if type(result) is dict else dict(type(result).items(result))
    name = given.get("strategy_name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"result {at} has no strategy_name: give it one, a text unique within the run")
    if not (name.isascii() or _is_unicode(name)):
        raise ConfigError(f"the strategy_name {name!r} of result {at} is not valid Unicode: use another")
    row: dict[str, Any] = {"strategy_name": str.__str__(name)}
    if given.keys().isdisjoint(_MAY_BE_DETAIL):
        if type(name) is str and next(iter(given)) == "strategy_name":
            return given.copy(), {}
        return row | given | row, {}
    detail: dict[str, Any] = {}
    for key, value in given.items():
        if key == "strategy_name":
            continue
        if key == "trades_detailed" or (key == "trades" and _is_table(value)):
            if detail.get("trades") is not None:
                raise ConfigError(f"{name!r} has both trades and trades_detailed: give one of them")
            detail["trades"] = value
        elif (key in _DETAIL and key != "trades") or (key in _NAMED and issubclass(type(value), Mapping)):
            detail[key] = value
        else:
            row[key] = value
    detail = {key: value for key, value in detail.items() if value is not None}
    for old, curve in _TWICE.items():
        if old in detail and detail.get("curves", {}).get(curve) is not None:
            raise ConfigError(f"{name!r} has both {old} and curves[{curve!r}]: give one of them")
    return row, {key: value for key, value in detail.items() if key not in _NAMED or len(value)}


def _same(value: Any) -> Any:
    return value


def _held(value: Any) -> Any:
    """Return a detail that stays as it is although the caller fills the same list or buffer anew for the next result."""
    kind = type(value)
    if issubclass(kind, list):
        return [dict(item) if type(item) is dict else item for item in value]
    if kind is tuple:
        return tuple(map(_held, value))
    if issubclass(kind, dict):
        return {key: _held(item) for key, item in kind.items(value)}
    copy = getattr(kind, "copy", None)
    return copy(value) if is_columnar(value) and callable(copy) else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_table(value: Any) -> bool:
    # `trades` is often the number of trades; only what has rows is detail.
    kind = type(value)
    if issubclass(kind, dict):
        return all(_is_column(item) for item in kind.values(value))
    return (issubclass(kind, Sequence) and not issubclass(kind, str | bytes)) or is_columnar(value)


def _is_column(value: Any) -> bool:
    return issubclass(type(value), list | tuple) or is_columnar(value)


def _score(value: Any) -> float:
    """Return a value as a number to rank by, NaN where it is none."""
    kind = type(value)
    if kind is float:
        return float(value)
    if kind is bool or value is None or issubclass(kind, str) or is_columnar(value):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return _score_kept(value)


def _score_kept(value: Any) -> float:
    """Return the number that is kept for a value of another kind."""
    try:
        kept = plain(value)
    except ConfigError:
        return math.nan
    return float(kept) if type(kept) in (int, float) else math.nan


def _ranks(scores: array[float], places: Sequence[int]) -> list[int]:
    """Return the ranks of these places among all scores: the greatest is first, of equal ones the earlier, NaN last."""
    if not places:
        return []
    import numpy as np

    numbers = np.frombuffer(scores)
    order = np.argsort(-numbers, kind="stable")
    rank_of = np.empty(len(order), np.int64)
    rank_of[order] = np.arange(1, len(order) + 1)
    ranks: list[int] = rank_of[places].tolist()
    return ranks
