"""In sample and out of sample: the same strategies twice, and what is left of their ranks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import number

if TYPE_CHECKING:
    import pyarrow as pa

TAG = "out-of-sample="
"""Begins a tag that says of what a run is out of sample: `out-of-sample=goog_daily`, a universe or a run's id."""
_ENDINGS = (("is", "oos"), ("in_sample", "out_of_sample"), ("insample", "outofsample"), ("train", "test"))
_OUTSIDE = re.compile(
    rf"(?P<name>.+?)(?P<sign>[-_. ])(?P<end>{'|'.join(end for _, end in _ENDINGS)})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Samples:
    """A metric of the same strategies in sample and out of sample."""

    inside: str
    """The run or universe in sample."""
    outside: str
    """The one out of sample."""
    metric: str
    table: pa.Table
    """`strategy_name`, `inside`, `outside`, `decay` (the share of the inside value that is lost outside; null where that
    is 0), `inside_rank`, `outside_rank` (1 is the best), best inside first."""
    rank_correlation: float | None
    """Spearman's, -1 to 1; None for fewer than three strategies, or where all are alike."""
    decay: float | None
    """The median decay of the best tenth inside, at least one strategy."""
    better: float | None
    """Of the best tenth inside the share that is in the better half outside."""

    def __str__(self) -> str:
        """Return it as one line."""
        count = f"{self.table.num_rows:,} strategies in {self.inside} and {self.outside}"
        if self.rank_correlation is None:
            return f"{count}: too few to compare"
        tenth = f"; of the best tenth {100 * (self.better or 0):.0f} % stay in the better half"
        lost = "" if self.decay is None else f", median decay {100 * self.decay:.0f} %"
        return f"{count}: rank correlation {number(self.rank_correlation)}{tenth}{lost}"


def pairs_by_name(universes: Iterable[str]) -> list[tuple[str, str]]:
    """Return (inside, outside) universes that their names declare: `x_oos` is out of sample of `x_is`, else of `x`.

    Also `in_sample` and `out_of_sample`, `train` and `test`, after `_`, `-`, `.` or a blank, in small letters or large.
    """
    known = list(universes)
    small = {name.lower(): name for name in known}
    found = []
    for name in known:
        parts = _OUTSIDE.fullmatch(name)
        if parts is None:
            continue
        inside = {outside: own for own, outside in _ENDINGS}[parts["end"].lower()]
        for other in (f"{parts['name']}{parts['sign']}{inside}", parts["name"]):
            if other.lower() in small and other.lower() != name.lower():
                found.append((small[other.lower()], name))
                break
    return found


def samples(
    inside: pa.Table, outside: pa.Table, metric: str, names: tuple[str, str], *, greatest: bool = True
) -> Samples:
    """Hold a metric of the same strategies against each other.

    Arguments:
        inside, outside: tables of `strategy_name` and the metric, a strategy once in each.
        names: what they are called.
        greatest: whether the greatest is the best.
    """
    import pyarrow as pa

    first, second = (_finite(table, metric) for table in (inside, outside))
    sign = -1 if greatest else 1
    both = sorted((name for name in first if name in second), key=lambda name: (sign * first[name], name))
    one, other = [first[name] for name in both], [second[name] for name in both]
    ranks = [ranked([sign * value for value in values]) for values in (one, other)]
    decays = [_decay(a, b, greatest=greatest) for a, b in zip(one, other, strict=True)]
    table = pa.table(
        {
            "strategy_name": pa.array(both, pa.string()),
            "inside": pa.array(one, pa.float64()),
            "outside": pa.array(other, pa.float64()),
            "decay": pa.array(decays, pa.float64()),
            "inside_rank": pa.array(ranks[0], pa.float64()),
            "outside_rank": pa.array(ranks[1], pa.float64()),
        }
    )
    tenth = max(1, len(both) // 10)
    middle = (len(both) + 1) / 2
    known = sorted(decay for decay in decays[:tenth] if decay is not None)
    return Samples(
        *names,
        metric,
        table,
        correlation(*ranks),
        _median(known),
        sum(rank < middle for rank in ranks[1][:tenth]) / tenth if both else None,
    )


def ranked(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, the least 1; equal ones share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for at in order[start : end + 1]:
            ranks[at] = (start + end) / 2 + 1
        start = end + 1
    return ranks


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Pearson's correlation, of ranks that is Spearman's; None for fewer than three, or where one is constant."""
    if len(one) < 3:
        return None
    first, second = sum(one) / len(one), sum(other) / len(other)
    both = sum((a - first) * (b - second) for a, b in zip(one, other, strict=True))
    spread = sqrt(sum((a - first) ** 2 for a in one) * sum((b - second) ** 2 for b in other))
    return both / spread if spread > 0 else None


def _finite(table: pa.Table, metric: str) -> dict[str, float]:
    pairs = zip(table["strategy_name"].to_pylist(), table[metric].to_pylist(), strict=True)
    return {name: float(value) for name, value in pairs if _is_finite(value)}


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and value - value == 0


def _decay(inside: float, outside: float, *, greatest: bool) -> float | None:
    if not inside:
        return None
    return (inside - outside if greatest else outside - inside) / abs(inside)


def _median(ordered: Sequence[float]) -> float | None:
    if not ordered:
        return None
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
