"""`archive.luck(run)`: published examples, an independent computation, units, and where there is no curve."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Any

import pytest

import archiver
from archiver.analysis.luck import expected_maximum, luck, probabilistic
from archiver.analysis.moments import Points
from archiver.analysis.series import Shape, shape, steps
from tests.conftest import Cli

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "expected", "deflated"),
    [
        (100, -3.0, 10.0, 0.1132, 0.9004),
        (46, -3.0, 10.0, None, 0.9505),
        (88, 0.0, 3.0, None, 0.9505),
    ],
)
def test_the_numerical_example_of_bailey_and_lopez_de_prado(
    trials: int, skewness: float, kurtosis: float, expected: float | None, deflated: float
) -> None:
    # "The Deflated Sharpe Ratio" (2014), A numerical example: SR 2.5 and V 1/2 a year of 250 days, T 1,250.
    benchmark = expected_maximum(0.5 / 250, trials)
    if expected is not None:
        assert round(benchmark, 4) == expected
    found = probabilistic(2.5 / math.sqrt(250), benchmark, Shape(1250, 1.0, 1.0, skewness, kurtosis))
    assert found is not None
    assert round(found, 4) == deflated


@pytest.mark.parametrize("trials", [5, 10, 100, 1_000, 100_000])
def test_the_expected_maximum_is_that_of_so_many_normal_numbers(trials: int) -> None:
    """Against its definition, the integral of x N f(x) F(x)^(N - 1)."""
    normal, step = NormalDist(), 0.001
    grid = [-8 + step * at for at in range(16_001)]
    whole = sum(x * trials * normal.pdf(x) * normal.cdf(x) ** (trials - 1) for x in grid) * step
    assert expected_maximum(4.0, trials) == pytest.approx(2 * whole, rel=0.03)


def test_shape_agrees_with_numpy_and_pandas() -> None:
    import numpy as np
    import pandas as pd

    random = Random(7)
    given = [random.gauss(0.001, 0.02) ** 3 for _ in range(500)]
    made = pd.Series(given)
    found = shape(given)
    assert found is not None
    z = (made - made.mean()) / np.std(given)
    assert found.sharpe == pytest.approx(made.mean() / made.std(), rel=1e-12)
    assert (found.skewness, found.kurtosis) == pytest.approx(((z**3).mean(), (z**4).mean()), rel=1e-9)
    assert steps([100.0, 110.0, 99.0]) == pytest.approx(
        pd.Series([100.0, 110.0, 99.0]).pct_change()[1:].tolist()
    )
    assert steps([0.0, 5.0, -1.0]) == [5.0, -6.0]


def test_what_does_not_vary_has_no_shape() -> None:
    assert shape([0.0] * 50) is None
    assert shape(steps([1.01**at for at in range(200)])) is None
    assert shape([1.0, 2.0]) is None
    assert shape([1e200, -1e200, 3.0]) is None


def curve(per_year: float | None, sharpe: float, points: int = 1000, seed: int = 1) -> Points:
    """Return a curve whose returns have about this Sharpe ratio a step."""
    random, values = Random(seed), [100.0]
    for _ in range(points):
        values.append(values[-1] * (1 + 0.01 * random.gauss(sharpe, 1)))
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    dates = None
    if per_year is not None:
        dates = [begin + timedelta(days=365.2425 / per_year) * at for at in range(points + 1)]
    return Points(values, dates)


def judged(best: float, points: Points) -> Any:
    others = {f"s{at}": -0.5 + at / 50 for at in range(50)}
    return luck("sharpe_ratio", {**others, "best": best}, points)


def test_an_annualised_metric_is_told_by_the_dates_and_the_curve_itself() -> None:
    points = curve(252, 0.1)
    own = shape(steps(points.values))
    assert own is not None
    # The curve has 252 steps a year; an engine may annualise by 365 days all the same.
    found = judged(own.sharpe * math.sqrt(365), points)
    assert found.scale == pytest.approx(math.sqrt(365))
    assert "it is annualised, for the curve has 252 steps a year" in found.scale_from
    assert found.deflated == pytest.approx(
        probabilistic(own.sharpe, found.expected_best / math.sqrt(365), own)
    )
    # What has nothing to do with the curve is taken for annualised by its dates.
    far = judged(own.sharpe * 100, points)
    assert far.scale == pytest.approx(math.sqrt(252))
    assert "taken for annualised" in far.scale_from


def test_a_metric_per_step_is_not_scaled_and_without_dates_the_best_itself_tells() -> None:
    points = curve(252, 0.6)
    own = shape(steps(points.values))
    assert own is not None
    found = judged(own.sharpe, points)
    assert found.scale == 1.0
    assert "not annualised" in found.scale_from
    undated = judged(own.sharpe * 16, Points(points.values))
    assert undated.scale == pytest.approx(16)
    assert undated.per_year is None
    assert undated.deflated == pytest.approx(probabilistic(own.sharpe, undated.expected_best / 16, own))
    falling = Points([1 / value for value in points.values])
    other_sign = luck("sharpe", {"a": 1.0, "b": 0.5}, falling)
    assert (other_sign.deflated, other_sign.scale) == (None, None)
    assert "another sign" in other_sign.why_not


def test_more_trials_leave_less() -> None:
    points = curve(252, 0.1)
    few, many = (
        luck("sharpe", {f"s{at}": math.sin(at * at) for at in range(count)} | {"best": 1.9}, points)
        for count in (10, 1000)
    )
    assert few.deflated > many.deflated  # type: ignore[operator]  # both are there
    assert (few.trials, many.trials) == (11, 1001)


def result(name: str, sharpe: Any, **more: Any) -> dict[str, Any]:
    return {"strategy_name": name, "Sharpe Ratio": sharpe, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    points = curve(252, 0.1)
    assert points.times
    dated = [[moment.isoformat(), value] for moment, value in zip(points.times, points.values, strict=True)]
    archiver.open(tmp_path / "a").save_universe_results(
        "u",
        [
            result("a", 0.2, equity_curve=points.values),
            result("b", 1.7, equity_curve=dated),
            result("c", float("nan")),
            result("d", None),
            result("e", -0.4),
            result("f", float("inf")),
        ],
        code="none",
    )
    return tmp_path / "a"


def test_trials_are_the_strategies_with_a_finite_sharpe_ratio_however_it_is_spelled(folder: Path) -> None:
    archive = archiver.open(folder)
    found = archive.luck(archive.runs()[0].id[:-2])
    assert (found.trials, found.best, found.strategy, found.metric) == (3, 1.7, "b", "Sharpe Ratio")
    assert found.observations == 1000
    assert found.variance == pytest.approx(1.17)
    assert found.per_year == pytest.approx(252, rel=1e-3)
    assert found.deflated is not None
    assert 0 < found.deflated < 1
    assert found == archive.luck(archive.runs()[0])


def test_without_a_curve_there_is_no_deflated_ratio_and_it_says_why(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    plain = archive.save_universe_results("u", [result("a", 1.0), result("b", 2.0)], code="none")
    found = archive.luck(plain.id)
    assert (found.trials, found.best, found.deflated) == (2, 2.0, None)
    assert found.why_not == "the equity curve of 'b' was not kept"
    flat = archive.save_universe_results(
        "u", [result("a", 1.0, equity_curve=[5.0] * 9), result("b", 0.5)], code="none"
    )
    assert "no returns that vary" in archive.luck(flat).why_not
    none = archive.save_universe_results("u", [{"strategy_name": "a", "profit": 1.0}], code="none")
    assert (archive.luck(none).trials, str(archive.luck(none))) == (0, "")


@pytest.mark.usefixtures("details_apart")
def test_damaged_details_take_only_the_deflated_ratio(folder: Path) -> None:
    (details,) = (folder / "tier2").rglob("*.parquet")
    details.write_bytes(b"\0" * details.stat().st_size)
    archive = archiver.open(folder)
    found = archive.luck(archive.runs()[0])
    assert (found.trials, found.deflated) == (3, None)
    assert details.name in found.why_not


def test_top_and_show_say_it_in_one_line(folder: Path, command: Cli) -> None:
    run = partial(command, "--url", str(folder))
    made = archiver.open(folder).runs()[0].id
    line = "best Sharpe Ratio 1.700 of 3 trials"
    code, _, said = run("top", "--by", "Sharpe Ratio", "--run", made[:-1])
    assert (code, f"luck of run {made}: {line}" in said) == (0, True)
    assert f"of run {made}" in said
    assert f"luck\t{line}" in run("show", made)[1]
    top, show = (json.loads(run("--json", *words)[1])["luck"] for words in (("top",), ("show", made)))
    assert top.pop("run") == made
    assert top == show
    assert (top["trials"], top["best"]) == (3, 1.7)


def test_top_of_one_run_has_its_rows_alone(folder: Path, command: Cli) -> None:
    archive = archiver.open(folder)
    archive.save_universe_results("u", [result("a", 9.0)], code="none")
    older = archive.runs()[1].id
    found = json.loads(command("--url", str(folder), "--json", "top", "--run", older)[1])
    assert [row["strategy_name"] for row in found["top"]][-2:] == ["a", "e"]
    assert {row["run"] for row in found["top"]} == {older}
