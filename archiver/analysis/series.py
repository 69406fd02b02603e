"""Returns of a curve and their shape: mean, deviation, skewness, kurtosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, sqrt


@dataclass(frozen=True, slots=True)
class Shape:
    """The moments of a series of returns."""

    count: int
    mean: float
    deviation: float
    skewness: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        """Mean by standard deviation, per return, the risk-free rate being 0 (Sharpe 1994)."""
        return self.mean / self.deviation


def steps(values: Sequence[float]) -> list[float]:
    """Return a curve's returns, simple ones: v(t) / v(t - 1) - 1.

    Of a curve that reaches zero or less, a sum of profits say, they are the differences: returns on a capital that
    stays the same, which have the same Sharpe ratio whatever it is.
    """
    if values and min(values) > 0:
        return [after / before - 1 for before, after in pairwise(values)]
    return [after - before for before, after in pairwise(values)]


def shape(returns: Sequence[float]) -> Shape | None:
    """Return the moments of returns; None where they are too few, do not vary, or are too large.

    The deviation is that of a sample (n - 1); skewness m3 / m2^1.5 and kurtosis m4 / m2^2 (3 for a normal distribution)
    are those of the returns themselves (n), as Bailey and Lopez de Prado take them.
    """
    count = len(returns)
    if count < 3:
        return None
    mean = sum(returns) / count
    apart = [value - mean for value in returns]
    squares = [value * value for value in apart]
    second = sum(squares) / count
    # Rounding alone makes equal returns differ by some 1e-16 of their size.
    if not isfinite(second) or second <= (1e-12 * max(map(abs, returns))) ** 2:
        return None
    unit = sqrt(second)
    scaled = [value / unit for value in apart]
    third = sum(value * value * value for value in scaled) / count
    fourth = sum(value * value * value * value for value in scaled) / count
    return Shape(count, mean, sqrt(second * count / (count - 1)), third, fourth)
