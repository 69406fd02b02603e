"""How much of the best result of a search is luck: what so many trials give without skill, and the deflated Sharpe ratio.

D. H. Bailey and M. Lopez de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and
Non-Normality", Journal of Portfolio Management 40(5), 2014, pp. 94-107.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import e, isfinite, sqrt
from statistics import NormalDist

from archiver.analysis.moments import Points
from archiver.analysis.series import Shape, shape, steps
from archiver.base.humanize import number

_EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()
_NEAR = 2.0
"""By how much ways to annualise may differ."""


@dataclass(frozen=True, slots=True)
class Luck:
    """How good the best of a run's strategies is, beside what so many trials give without skill.

    It takes the trials for independent and the returns for serially uncorrelated: trials that resemble each other
    count as fewer, and then less of the best is luck than it says.
    """

    trials: int
    """Strategies with a finite Sharpe ratio."""
    metric: str | None = None
    """The metric that holds it."""
    strategy: str | None = None
    """The best strategy by it."""
    best: float | None = None
    """Its Sharpe ratio, in the metric's units, as all that follow but those that say otherwise."""
    expected_best: float | None = None
    """The best that is to be expected from so many trials without skill."""
    deflated: float | None = None
    """The deflated Sharpe ratio: the probability, 0 to 1, that the best one's true Sharpe ratio is above that."""
    variance: float | None = None
    """Sample variance of the trials' Sharpe ratios."""
    observations: int | None = None
    """Returns of the best one's equity curve."""
    sharpe: float | None = None
    """Sharpe ratio of these returns, per step of the curve, not annualised."""
    skewness: float | None = None
    """Of these returns."""
    kurtosis: float | None = None
    """Of these returns; 3 for a normal distribution."""
    per_year: float | None = None
    """Steps of the curve that fall on a year."""
    scale: float | None = None
    """What the metric is divided by to be per step of the curve."""
    scale_from: str = ""
    """How that is known."""
    why_not: str = ""
    """Why there is no deflated Sharpe ratio, where there is none."""

    def __str__(self) -> str:
        """Return it as one line; empty where there is nothing to compare."""
        if self.trials < 2 or self.best is None or self.expected_best is None:
            return ""
        luck = (
            f"best {self.metric} {number(self.best)} of {self.trials:,} trials; {number(self.expected_best)} is to be"
            " expected without skill"
        )
        if self.deflated is None:
            return f"{luck}; no deflated Sharpe ratio: {self.why_not}"
        return f"{luck}; deflated Sharpe ratio {100 * self.deflated:.1f} %"


def expected_maximum(variance: float, trials: int) -> float:
    """Return the greatest Sharpe ratio that is to be expected of so many independent trials without skill.

    sqrt(V) ((1 - g) Z^-1(1 - 1/N) + g Z^-1(1 - 1/(N e))), g being the Euler-Mascheroni constant (Bailey and Lopez de
    Prado 2014, appendix 1). Of one trial it is 0.
    """
    if trials < 2:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return sqrt(variance) * ((1 - _EULER_MASCHERONI) * first + _EULER_MASCHERONI * second)


def probabilistic(sharpe: float, benchmark: float, returns: Shape) -> float | None:
    """Return the probability that the true Sharpe ratio is above a benchmark, both per return; None where none is.

    Z((SR - SR0) sqrt(T - 1) / sqrt(1 - skew SR + (kurtosis - 1)/4 SR^2)) (Bailey and Lopez de Prado, "The Sharpe Ratio
    Efficient Frontier", Journal of Risk 15(2), 2012, equation 11); deflated where SR0 is the expected maximum.
    """
    spread = 1 - returns.skewness * sharpe + (returns.kurtosis - 1) / 4 * sharpe * sharpe
    if not spread > 0 or returns.count < 2:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * sqrt(returns.count - 1) / sqrt(spread))


def luck(metric: str | None, sharpes: Mapping[str, float], curve: Points, why_not: str = "") -> Luck:
    """Judge a search by the Sharpe ratios of all its trials and the equity curve of the best.

    Arguments:
        metric: what the ratios are called.
        sharpes: finite ones, by strategy.
        curve: the equity of the best one; empty where there is none, and then `why_not` says why.
    """
    trials = len(sharpes)
    if not trials:
        return Luck(0, why_not="no strategy has a finite Sharpe ratio")
    strategy = max(sharpes, key=lambda name: sharpes[name])
    best = sharpes[strategy]
    variance = _variance(list(sharpes.values()))
    if not isfinite(variance):
        return Luck(trials, metric, strategy, best, why_not="the Sharpe ratios are too large to compare")
    expected = expected_maximum(variance, trials)
    returns = shape(steps(curve.values))
    if why_not or returns is None:
        why_not = why_not or f"the equity curve of {strategy!r} has no returns that vary"
        return Luck(trials, metric, strategy, best, expected, variance=variance, why_not=why_not)
    scale, known = _scale(best, returns.sharpe, curve.per_year())
    deflated = None if scale is None else probabilistic(returns.sharpe, expected / scale, returns)
    return Luck(
        trials,
        metric,
        strategy,
        best,
        expected,
        deflated,
        variance,
        returns.count,
        returns.sharpe,
        returns.skewness,
        returns.kurtosis,
        curve.per_year(),
        scale,
        known if scale is not None else "",
        "" if deflated is not None else known if scale is None else "its returns are too few or too extreme",
    )


def _scale(best: float, sharpe: float, per_year: float | None) -> tuple[float | None, str]:
    """Return what the metric is divided by to be per step of the curve, and how that is known; or None, and why.

    Engines annualise in several ways, by 252 days or 365, by compounded or by mean returns. So what the best's metric is
    to its curve's own Sharpe ratio goes for all trials, as long as the dates of the curve do not speak against it.
    """
    own = best / sharpe if best * sharpe > 0 else None
    if per_year is None:
        if own is None:
            return None, "its equity curve has no dates, and another sign than its Sharpe ratio"
        return (
            own,
            "what the best's metric is to the Sharpe ratio of its curve a step; the curve has no dates",
        )
    steps_a_year = f"{per_year:,.{0 if per_year >= 10 else 1}f} steps a year, by its dates"
    for scale, what in ((sqrt(per_year), "annualised"), (1.0, "not annualised")):
        if own is not None and scale / _NEAR <= own <= scale * _NEAR:
            return own, (
                f"what the best's metric is to the Sharpe ratio of its curve a step: it is {what}, for the curve has"
                f" {steps_a_year}"
            )
    return sqrt(per_year), f"the metric is taken for annualised: the curve has {steps_a_year}"


def _variance(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return sum((value - mean) * (value - mean) for value in values) / (len(values) - 1)
