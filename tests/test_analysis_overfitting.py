"""The probability of backtest overfitting: the published test cases, and CSCV done halving by halving."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from statistics import mean, stdev
from typing import Any

import pytest

import archiver
from archiver.analysis.moments import Points
from archiver.analysis.overfitting import Overfitting, cross_validated, overfitting
from archiver.archive import Archive
from tests.conftest import Cli

DAY = timedelta(days=1)


def noise(columns: int, rows: int, seed: int) -> list[list[float]]:
    random = Random(seed)
    return [[random.gauss(0, 0.01) for _ in range(rows)] for _ in range(columns)]


def with_mean(values: list[float], wanted: float) -> list[float]:
    """Return returns with this Sharpe ratio a step, to the last digits: as the paper makes its test cases."""
    own, spread = mean(values), stdev(values)
    return [value - own + wanted * spread for value in values]


def judged(strategies: list[list[float]], blocks: int = 8) -> Overfitting:
    return cross_validated([list(row) for row in zip(*strategies, strict=True)], blocks)


def test_full_overfit_is_certain() -> None:
    """Test case 1 of Bailey et al.: all strategies have no Sharpe ratio at all over the whole time."""
    found = judged([with_mean(one, 0.0) for one in noise(50, 480, 1)])
    assert found.probability == pytest.approx(1.0, abs=0.02)
    assert found.loss == 1.0
    assert found.slope is not None
    assert found.slope == pytest.approx(-1.0, abs=0.15)


def test_a_real_edge_is_no_overfit() -> None:
    """Test cases 2 and 3: one strategy has a Sharpe ratio of 1, or of 2 to 3, a year of 252 days; the rest have none."""
    others = [with_mean(one, 0.0) for one in noise(50, 1000, 2)]
    weak, strong = (with_mean(others[0], sharpe / math.sqrt(252)) for sharpe in (1.0, 3.0))
    some, none = judged([weak, *others[1:]]), judged([strong, *others[1:]])
    assert none.probability is not None
    assert some.probability is not None
    assert none.probability < 0.1 < some.probability < 1.0


def by_hand(strategies: list[list[float]], blocks: int) -> tuple[float, float, list[int]]:
    """Return the probability, the loss and the ranks by the paper's five steps, one halving after the other."""
    length = len(strategies[0]) // blocks
    first = len(strategies[0]) - length * blocks
    parts = [
        [one[first + at * length : first + (at + 1) * length] for at in range(blocks)] for one in strategies
    ]

    def sharpe(own: list[list[float]], chosen: Any) -> float:
        values = [value for at in chosen for value in own[at]]
        return mean(values) / stdev(values)

    logits, losses, ranks = [], 0, [0] * len(strategies)
    for chosen in combinations(range(blocks), blocks // 2):
        rest = [at for at in range(blocks) if at not in chosen]
        inside = [sharpe(own, chosen) for own in parts]
        outside = [sharpe(own, rest) for own in parts]
        best = inside.index(max(inside))
        rank = sorted(outside).index(outside[best]) + 1
        ranks[rank - 1] += 1
        share = rank / (len(strategies) + 1)
        logits.append(math.log(share / (1 - share)))
        losses += outside[best] < 0
    return sum(one <= 0 for one in logits) / len(logits), losses / len(logits), ranks


@pytest.mark.parametrize(("columns", "rows", "blocks"), [(5, 61, 6), (12, 100, 8), (2, 40, 4)])
def test_it_is_what_the_steps_of_the_paper_give(columns: int, rows: int, blocks: int) -> None:
    strategies = [[value + 0.0005 * at for value in one] for at, one in enumerate(noise(columns, rows, 3))]
    found = judged(strategies, blocks)
    probability, loss, ranks = by_hand(strategies, blocks)
    assert (found.probability, found.loss) == pytest.approx((probability, loss))
    assert list(found.ranks) == ranks
    assert found.combinations == math.comb(blocks, blocks // 2) == sum(found.ranks)
    assert found.observations == rows // blocks * blocks


def test_strategies_that_never_trade_and_equal_ones_are_no_trouble() -> None:
    flat = [0.0] * 64
    found = judged([flat, flat, *noise(2, 64, 5)], 4)
    assert found.probability is not None
    same = judged([noise(1, 64, 6)[0]] * 3, 4)
    assert same.probability == 1.0  # no better than the median


def curve(returns: list[float], first: datetime | None = None) -> Points:
    values = [100.0]
    for one in returns:
        values.append(values[-1] * (1 + one))
    return Points(values, None if first is None else [first + at * DAY for at in range(len(values))])


def test_curves_of_the_same_moments_are_compared() -> None:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    alike = {f"s{at}": curve(one, begin) for at, one in enumerate(noise(4, 200, 7))}
    later = {f"t{at}": curve(one, begin + DAY) for at, one in enumerate(noise(3, 200, 8))}
    found = overfitting({**later, **alike}, 90)
    assert (found.strategies, found.trials, found.blocks, found.observations) == (4, 90, 16, 192)
    assert found == overfitting(alike, 90)
    assert str(found).startswith("probability of backtest overfitting ")
    undated = overfitting({f"s{at}": curve(one) for at, one in enumerate(noise(4, 200, 7))}, 4)
    assert undated.probability == pytest.approx(found.probability)


@pytest.mark.parametrize(
    ("curves", "why"),
    [
        ({}, "fewer than two"),
        ({"a": curve([0.1] * 50)}, "fewer than two"),
        ({"a": curve([0.1] * 50), "b": curve([0.1] * 51)}, "fewer than two"),
        ({"a": curve([0.1] * 20), "b": curve([0.1] * 20)}, "too short"),
        ({"a": Points([1.0, 1e308, -1e308] * 20), "b": Points([1.0] * 60)}, "too large"),
    ],
)
def test_where_curves_do_not_allow_it_that_is_said(curves: dict[str, Points], why: str) -> None:
    found = overfitting(curves, 9)
    assert found.probability is None
    assert why in found.why_not
    assert why in str(found)


def test_an_archive_judges_the_curves_that_a_run_kept(archive: Archive, command: Cli) -> None:
    results = [
        {"strategy_name": f"s{at}", "sharpe_ratio": float(-at), "equity_curve": curve(one).values}
        for at, one in enumerate(noise(6, 100, 9))
    ]
    run = archive.save_universe_results("u", results, top_n=4, code="none")
    found = archive.overfitting(run)
    assert found == overfitting({f"s{at}": curve(one) for at, one in enumerate(noise(4, 100, 9))}, 6)
    assert (found.strategies, found.trials) == (4, 6)
    bare = archive.save_universe_results("v", results, top_n=0, code="none")
    assert archive.overfitting(bare.id).why_not == "no equity curve was kept"
    with pytest.raises(archiver.errors.RunNotFoundError):
        archive.overfitting("nope")
    code, out, _ = command("show", run.id, "--url", archive.store.url)
    assert code == 0
    assert f"overfitting\t{found}" in out
