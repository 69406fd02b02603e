from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.runs.ranking import Ranking


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
        UserWarning, match="no result has 'composite_score' or 'sharpe_ratio' .* give rank_by="
    ):
        assert rank([one("a"), one("b")], 1) == [("a", 1)]


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
