"""Portfolios: against pandas as an independent computation, by hand, and what cannot be held together."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.analysis.moments import Points
from archiver.analysis.portfolio import Portfolio, portfolio
from archiver.errors import ConfigError, NotFoundError

BEGIN = datetime(2021, 1, 4, tzinfo=UTC)


def curve(seed: int, days: int = 300, skip: int = 0, start: float = 100.0, spread: float = 0.01) -> Points:
    random, common, values, times = Random(seed), Random(99), [start], [BEGIN + timedelta(days=skip)]
    for day in range(1, days):
        move = common.gauss(0.0003, 0.004) + random.gauss(0.0002, spread)
        values.append(values[-1] * (1 + move))
        times.append(BEGIN + timedelta(days=skip + day))
    return Points(values, times)


@pytest.fixture(scope="module")
def curves() -> dict[str, Points]:
    return {"a": curve(1), "b": curve(2, 280, 10), "c": curve(3, spread=0.003)}


@pytest.fixture(scope="module")
def made(curves: dict[str, Points]) -> Portfolio:
    return portfolio(curves)


def frame(curves: dict[str, Points]) -> pd.DataFrame:
    series = {name: pd.Series(one.values, pd.DatetimeIndex(one.times)) for name, one in curves.items()}
    return pd.DataFrame(series).dropna()


def test_correlation_and_sums_agree_with_pandas(curves: dict[str, Points], made: Portfolio) -> None:
    returns = frame(curves).pct_change().dropna()
    assert len(made.days) == len(returns) + 1
    for at, row in enumerate(returns.corr().to_numpy().tolist()):
        assert made.correlation[at] == pytest.approx(row)
    per_year = len(returns) / (len(returns) / 365.2425)
    inverse = 1 / returns.std()
    for held, weights in (
        (made.equal, pd.Series(1 / 3, returns.columns)),
        (made.inverse, inverse / inverse.sum()),
        (made.alone["c"], pd.Series({"a": 0.0, "b": 0.0, "c": 1.0})),
    ):
        days = returns @ weights
        assert held.sheet.points.values[1:] == pytest.approx((1 + days).cumprod().tolist())
        assert held.sheet.sharpe == pytest.approx(days.mean() / days.std() * math.sqrt(per_year))
        wealth = (1 + days).cumprod()
        assert held.sheet.drawdowns[0].depth == pytest.approx((wealth / wealth.cummax().clip(1) - 1).min())
    assert made.inverse.weights == pytest.approx((inverse / inverse.sum()).to_dict())
    assert made.best == (returns.mean() / returns.std()).idxmax()
    assert made.diversification == pytest.approx(returns.std().mean() / returns.mean(axis=1).std())
    pairs = [made.correlation[1][0], made.correlation[2][0], made.correlation[2][1]]
    assert made.mean_correlation == pytest.approx(sum(pairs) / 3)  # type: ignore[arg-type]  # all vary
    assert made.mean_with_others("a") == pytest.approx(sum(pairs[:2]) / 2)  # type: ignore[arg-type]  # so do these


def test_profits_are_summed_where_a_curve_reaches_zero() -> None:
    profits = Points([0.0, *(float(at % 5) for at in range(1, 40))], curve(1, 40).times)
    other = curve(2, 40)
    made = portfolio({"sums": profits, "capital": other})
    assert not made.share
    wanted = [(p + v - other.values[0]) / 2 for p, v in zip(profits.values, other.values, strict=True)]
    assert made.equal.sheet.points.values == pytest.approx(wanted)
    assert made.equal.sheet.total is None


def test_a_day_that_only_others_have_makes_nothing() -> None:
    whole = curve(1, 60)
    times = whole.times or []
    few = Points([10.0, 11.0, 12.0], [times[0], times[30], times[59]])
    made = portfolio({"whole": whole, "few": few})
    assert len(made.days) == 60
    assert made.alone["few"].sheet.points.values[29:31] == pytest.approx([1.0, 1.1])
    hours = Points([1.0, 2.0, 3.0], [times[0], times[0] + timedelta(hours=5), times[59]])
    assert portfolio({"whole": whole, "hours": hours}).alone["hours"].sheet.total == 0.5


def test_a_strategy_that_never_moves_is_alike_to_none() -> None:
    flat = Points([5.0] * 60, curve(1, 60).times)
    made = portfolio({"a": curve(1, 60), "flat": flat})
    assert made.correlation == [[1.0, None], [None, None]]
    assert made.inverse.weights == {"a": 1.0, "flat": 0.0}
    assert made.mean_correlation is None
    assert made.best == "a"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": curve(1)}, "needs two strategies whose curves have dates, not 1"),
        ({"a": curve(1), "b": Points([1.0, 2.0])}, "b: its curve has no dates"),
        ({"a": curve(1), "b": Points()}, "b: it has no equity curve"),
        ({"a": curve(1, 30), "b": curve(2, 30, 15)}, "have 15 days in common"),
        ({"a": curve(1, 30), "b": curve(2, 30, 90)}, "have 0 days in common"),
        ({str(at): curve(at, 30) for at in range(51)}, "at most 50 strategies, not 51"),
    ],
)
def test_what_cannot_be_held_together_is_said(given: dict[str, Points], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        portfolio(given)


def test_the_archive_holds_the_best_of_a_run_or_those_that_are_named(
    curves: dict[str, Points], tmp_path: Path
) -> None:
    archive = archiver.open(tmp_path / "a")
    with pytest.raises(NotFoundError):
        archive.portfolio()
    results: list[dict[str, Any]] = [
        {
            "strategy_name": name,
            "sharpe_ratio": float(at),
            "equity_curve": [[t.isoformat(), v] for t, v in zip(one.times or (), one.values, strict=True)],
        }
        for at, (name, one) in enumerate(curves.items())
    ]
    run = archive.save_universe_results(
        "u", [*results, {"strategy_name": "undated", "sharpe_ratio": -1.0, "equity_curve": [1.0, 2.0]}], code="none"
    )  # fmt: skip
    assert archive.portfolio(top=2).names == ["c", "b"]
    assert archive.portfolio(["a", "b", "c"], universe="u", run=run.id) == portfolio(curves)
    assert archive.portfolio().left_out == {"undated": "its curve has no dates"}
    with pytest.raises(NotFoundError):
        archive.portfolio(["a", "nobody"])
