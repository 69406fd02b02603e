from __future__ import annotations

import math
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.runs.ranking import Ranking, known_metrics


def rank(results: list[dict[str, Any]], top_n: int = 50, rank_by: str | None = None) -> list[tuple[str, int]]:
    ranking = Ranking(top_n, rank_by)
    for result in results:
        ranking.add(result)
    return [(kept.strategy, kept.rank) for kept in ranking.finish()[1]]


def one(name: str, detail: bool = True, **metrics: Any) -> dict[str, Any]:
    return {"strategy_name": name, **metrics, **({"equity_curve": [1.0]} if detail else {})}


def test_composite_score_ranks_before_sharpe_ratio() -> None:
    results = [one("a", sharpe_ratio=9.0), one("b", composite_score=1.0), one("c", composite_score=2.0)]
    assert rank(results, 2) == [("c", 1), ("b", 2)]
    assert rank(results, 3) == [("c", 1), ("b", 2), ("a", 3)]
    assert rank([one("a", sharpe_ratio=1.0), one("b", sharpe_ratio=2.0)], 1) == [("b", 1)]
    assert rank(results, 1, "sharpe_ratio") == [("a", 1)]


def test_nan_and_missing_rank_last_behind_minus_infinity() -> None:
    results = [
        one("nan", x=math.nan),
        one("none", x=None),
        one("missing"),
        one("low", x=-math.inf),
        one("high", x=math.inf),
        one("text", x="9"),
    ]
    assert [name for name, _ in rank(results, 6, "x")] == ["high", "low", "nan", "none", "missing", "text"]
    assert rank(results, 2, "x") == [("high", 1), ("low", 2)]


def test_equal_scores_keep_their_order() -> None:
    assert rank([one(name, sharpe_ratio=1.0) for name in "abc"], 2) == [("a", 1), ("b", 2)]


def test_details_that_were_given_are_kept_with_their_rank_among_all() -> None:
    results = [one("best", detail=False, sharpe_ratio=3.0), one("second", sharpe_ratio=2.0)]
    assert rank(results, 1) == [("second", 2)]


def test_no_choice_needs_no_rank() -> None:
    assert rank([one("a"), one("b", sharpe_ratio=math.nan)], 2) == [("a", 1), ("b", 2)]
    assert rank([one("a"), one("b")], 0) == []


def test_without_a_number_to_rank_by_the_first_are_kept() -> None:
    nothing = [one(name, sharpe_ratio=math.nan, composite_score=None) for name in "abc"]
    assert rank(nothing, 2) == [("a", 1), ("b", 2)]
    with pytest.warns(UserWarning, match="no result has a number in 'x' to rank by: they rank as they came"):
        assert rank([one("a", x=math.nan), one("b", x="text")], 1, "x") == [("a", 1)]
    with pytest.warns(
        UserWarning,
        match="no result has 'composite_score' or 'sharpe_ratio' .* give rank_by=, one of calmar$",
    ):
        assert rank([one("a", calmar=1.0), one("b", calmar=2.0)], 1) == [("a", 1)]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Sharpe Ratio",
            "Sharpe ratio",
            "SharpeRatio",
            "sharpeRatio",
            "sharperatio",
            "Sharpe",
            "sharpe",
            "SHARPE",
        ),
        *("daily_sharpe", "monthly_sharpe", "yearly_sharpe", "Sharpe (ann.)", "Annualized Sharpe Ratio"),
        *("annualised_sharpe", "ann_sharpe", "Sharpe Ratio (252 days)", "sharpe_annual", "Composite Score"),
    ],
)
def test_the_spellings_of_engines_rank(name: str) -> None:
    results = [one(str(number), **{name: float(number)}) for number in (1, 3, 2)]
    ranking = Ranking(2, None)
    for result in results:
        ranking.add(result)
    ranked_by, kept = ranking.finish()
    assert ranked_by == name
    assert [best.strategy for best in kept] == ["3", "2"]


@pytest.mark.parametrize(
    "name", ["probabilistic_sharpe_ratio", "sharpe_std", "rolling sharpe", "score", "sortino"]
)
def test_what_is_only_like_a_metric_that_ranks_does_not(name: str) -> None:
    assert known_metrics([name]) == []


def test_the_archives_own_spelling_counts_first_then_the_plainest() -> None:
    names = ["daily_sharpe", "Sharpe", "Sharpe Ratio", "sharpe_ratio", "Composite Score", "x", "ann_sharpe"]
    ordered = ["Composite Score", "sharpe_ratio", "Sharpe Ratio", "Sharpe", "ann_sharpe", "daily_sharpe"]
    assert known_metrics(names) == ordered
    assert known_metrics(reversed(names)) == ordered


@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["composite_score", "sharpe_ratio", "Sharpe", "daily_sharpe"]),
            st.none() | st.floats() | st.integers(-3, 3),
        ),
        min_size=1,
        max_size=20,
    ),
    top_n=st.integers(1, 4),
)
def test_a_metric_that_comes_late_ranks_all(rows: list[dict[str, Any]], top_n: int) -> None:
    def number(value: Any) -> float:
        return math.nan if value is None else float(value)

    used = [
        name
        for name in ("composite_score", "sharpe_ratio", "Sharpe", "daily_sharpe")
        if any(not math.isnan(number(row.get(name))) for row in rows)
    ]
    scores = [number(row.get(used[0])) if used else math.nan for row in rows]
    order = sorted(
        range(len(rows)),
        key=lambda at: (math.isnan(scores[at]), -scores[at] if scores[at] == scores[at] else 0, at),
    )
    ranking = Ranking(top_n, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at, row in enumerate(rows):
            ranking.add(one(str(at), **row))
        ranked_by, kept = ranking.finish()
    assert ranked_by == (used[0] if used else None)
    assert [(best.strategy, best.rank) for best in kept] == [
        (str(at), n) for n, at in enumerate(order[:top_n], 1)
    ]


def test_the_least_is_the_best_where_it_is_asked_for() -> None:
    results = [one("a", dd=3.0), one("b", dd=-math.inf), one("c", dd=math.nan), one("d", dd=1)]
    assert rank(results, 3, "-dd") == [("b", 1), ("d", 2), ("a", 3)]
    with pytest.raises(ConfigError, match="no result has the metric 'd' to rank by; did you mean 'dd'"):
        rank(results, 4, "-d")
    for wrong in ("-", ""):
        with pytest.raises(ConfigError, match="give the name of a metric"):
            Ranking(3, wrong)


def test_it_is_said_before_the_first_detail_goes_that_nothing_ranks() -> None:
    ranking = Ranking(2, None)
    ranking.add(one("a"))
    ranking.add(one("b"))
    with pytest.warns(UserWarning, match="of 3 so far: the details of the first 2 are kept; give rank_by="):
        ranking.add(one("c"))
    ranking.add(one("d"))
    named = Ranking(1, "sharpe_ration")
    named.add(one("a", sharpe_ratio=1.0))
    with pytest.warns(
        UserWarning, match="no result has 'sharpe_ration' to rank by.*did you mean 'sharpe_ratio'"
    ):
        named.add(one("b", sharpe_ratio=2.0))


def test_numbers_of_other_kinds_rank() -> None:
    values = [Decimal("2.5"), Fraction(1, 2), np.float32(3), np.int64(1), "9", 1j, np.array([9.0]), object()]
    results = [one(str(at), x=value) for at, value in enumerate(values)]
    assert [name for name, _ in rank(results, 4, "x")] == ["2", "0", "3", "1"]


@pytest.mark.parametrize(
    "trades", [{}, [], {"a": np.array([1.0])}, {"a": (1, 2)}, pd.DataFrame({"a": [1]}), pl.Series("a", [1])]
)
def test_what_has_rows_is_detail(trades: Any) -> None:
    row = Ranking(1, None).add({"strategy_name": "s", "trades": trades})
    assert list(row) == ["strategy_name"]


@pytest.mark.parametrize("trades", [7, 7.5, None, "none", {"long": 3}, np.int64(7), pl.LazyFrame({"a": [1]})])
def test_what_has_no_rows_is_a_metric(trades: Any) -> None:
    row = Ranking(np.int64(1), None).add({"strategy_name": "s", "trades": trades})  # type: ignore[arg-type]
    assert list(row) == ["strategy_name", "trades"]


def test_a_misspelt_metric_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sharpe_ratio'"):
        rank([one("a", sharpe_ratio=1.0)], 1, "sharpe_ration")


@given(
    scores=st.lists(st.none() | st.floats() | st.integers(-3, 3), max_size=30),
    top_n=st.integers(1, 10),
)
def test_the_best_are_those_of_a_full_sort(scores: list[Any], top_n: int) -> None:
    results = [one(f"s{at}", x=score) for at, score in enumerate(scores)] + [one("z", x=0.0)]
    numbers = [
        -math.inf if result["x"] is None or math.isnan(result["x"]) else result["x"] for result in results
    ]
    known = [result["x"] is not None and not math.isnan(result["x"]) for result in results]
    order = sorted(range(len(results)), key=lambda at: (not known[at], -numbers[at], at))
    want = [(results[at]["strategy_name"], number) for number, at in enumerate(order, 1)]
    assert rank(results, top_n, "x") == want[:top_n]
