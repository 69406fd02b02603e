"""The probability of backtest overfitting: how often the best of one half of the time is below the middle in the other.

D. H. Bailey, J. M. Borwein, M. Lopez de Prado, Q. J. Zhu, "The Probability of Backtest Overfitting", Journal of
Computational Finance 20(4), 2017, pp. 39-69: combinatorially symmetric cross-validation (CSCV).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from archiver.analysis.axes import numpy
from archiver.analysis.moments import Points
from archiver.analysis.series import steps
from archiver.base.humanize import number

_BLOCKS = (16, 14, 12, 10, 8, 6, 4)
_LEAST_RETURNS = 8
"""A block has at least so many returns."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Whether what is best in one half of the time is good in the other, over all ways to halve it."""

    probability: float | None = None
    """Of halvings in which the best of one half is not above the median of the other, 0 to 1."""
    loss: float | None = None
    """Of halvings in which it has a negative Sharpe ratio in the other."""
    slope: float | None = None
    """Of the best's Sharpe ratio in the other half over that in the first: less than 1 is decay."""
    strategies: int = 0
    """Curves that were compared."""
    trials: int = 0
    """Strategies of the run."""
    observations: int = 0
    """Returns of each curve that were used."""
    blocks: int = 0
    """Parts of equal length that the time was cut into."""
    combinations: int = 0
    """Halvings: ways to choose half of the blocks."""
    ranks: tuple[int, ...] = ()
    """How often the best of one half was the worst of the other, second worst, ..., best: one count a rank."""
    why_not: str = ""
    """Why there is no probability, where there is none."""

    def __str__(self) -> str:
        """Return it as one line."""
        if self.probability is None:
            return f"no probability of overfitting: {self.why_not}"
        return (
            f"probability of backtest overfitting {100 * self.probability:.1f} % ({self.strategies} of {self.trials:,}"
            f" strategies, {self.combinations:,} halvings); the best of one half loses in the other in"
            f" {100 * (self.loss or 0):.1f} % of them, slope {number(self.slope or 0.0)}"
        )


def overfitting(curves: Mapping[str, Points], trials: int) -> Overfitting:
    """Judge a search by equity curves of its strategies.

    Arguments:
        curves: equity by strategy; those of the most that share their moments (or, without moments, their length) count.
        trials: strategies of the run, for what is told.
    """
    np = numpy()
    alike = _alike(curves)
    if len(alike) < 2:
        return Overfitting(
            trials=trials, strategies=len(alike), why_not="fewer than two kept curves have the same moments"
        )
    returns = np.array([steps(points.values) for points in alike]).T
    count = next((one for one in _BLOCKS if len(returns) // one >= _LEAST_RETURNS), 0)
    if not count or not np.isfinite(returns).all():
        why = "its curves are too large to compare" if count else "its curves are too short"
        return Overfitting(trials=trials, strategies=len(alike), observations=len(returns), why_not=why)
    return cross_validated(returns, count, trials)


def cross_validated(returns: Any, blocks: int, trials: int = 0) -> Overfitting:
    """Return the probability of backtest overfitting by CSCV.

    Arguments:
        returns: a row a moment, a column a strategy; the first rows that no block has place for are left out.
        blocks: an even number of parts of equal length; every half of them is once the first.
        trials: strategies that were tried; 0: as many as there are columns.
    """
    np = numpy()
    length = len(returns) // blocks
    parts = np.asarray(returns, float)[len(returns) - length * blocks :].reshape(blocks, length, -1)
    sums, squares = parts.sum(axis=1), (parts * parts).sum(axis=1)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    np.put_along_axis(chosen, halves, 1.0, axis=1)
    rows = length * (blocks // 2)
    first = _sharpe(chosen @ sums, chosen @ squares, rows)
    # The other half of each halving is the first of another: the last one's of the first, and so on.
    second = first[::-1]
    every, best = np.arange(len(first)), np.argmax(first, axis=1)
    at, then = first[every, best], second[every, best]
    columns = parts.shape[2]
    below = (second < then[:, None]).sum(axis=1)
    ties = (second == then[:, None]).sum(axis=1)
    ranks = below + (ties + 1) / 2
    # ln(w / (1 - w)) <= 0, w being rank / (columns + 1)
    is_lost = ranks <= (columns + 1) / 2
    apart = at - at.mean()
    spread = float(apart @ apart)
    return Overfitting(
        float(is_lost.mean()),
        float((then < 0).mean()),
        float(apart @ then / spread) if spread > 0 else None,
        columns,
        trials or columns,
        length * blocks,
        blocks,
        len(halves),
        tuple(np.bincount(np.floor(ranks).astype(int) - 1, minlength=columns).tolist()),
    )


def _sharpe(sums: Any, squares: Any, rows: int) -> Any:
    """Return Sharpe ratios a step from sums and sums of squares; 0 where returns do not vary."""
    np = numpy()
    means = sums / rows
    variances = (squares / rows - means * means) * (rows / (rows - 1))
    varies = variances > 1e-24 + 1e-12 * squares / rows
    return np.divide(means, np.sqrt(np.where(varies, variances, 1.0)), out=np.zeros_like(means), where=varies)


def _alike(curves: Mapping[str, Points]) -> Sequence[Points]:
    """Return the most curves that have the same moments; of curves without, the same length."""
    groups: dict[Any, list[Points]] = {}
    for points in curves.values():
        if len(points.values) > 1:
            key = tuple(points.times) if points.times else len(points.values)
            groups.setdefault(key, []).append(points)
    return max(groups.values(), key=len, default=[])
