from __future__ import annotations

import pyarrow as pa
import pytest

from archiver.errors import ConfigError
from archiver.selection import Ask, parse_sort
from archiver.web.data import Metrics
from archiver.web.rows import Scale, Views, ask_of, cloud, numeric_columns

TABLE = pa.table(
    {
        "universe": ["a", "a", "b", "b", "b"],
        "strategy_name": ["Fast_L5", "slow_L50", "Fast_L50", "x", "y"],
        "run": ["1"] * 5,
        "score": [1.0, float("nan"), None, 3.0, 1.0],
        "count": [5, 4, 3, 2, 1],
        "odd name": [1, 1, 2, 2, 2],
        "listed": [[1], [2], [3], [4], [5]],
    }
)
METRICS = Metrics("one", TABLE)


def names(ask: Ask) -> list[str]:
    return list(Views().rows(METRICS, ask).read()["strategy_name"].to_pylist())


def test_without_wishes_rows_stand_as_they_are():
    assert names(Ask()) == ["Fast_L5", "slow_L50", "Fast_L50", "x", "y"]


@pytest.mark.parametrize("descending", [True, False])
def test_nan_and_none_come_last_and_ties_keep_their_order(descending):
    shown = names(Ask(sort=(("score", descending),)))
    ties = ["Fast_L5", "y"]
    assert shown == [*(["x", *ties] if descending else [*ties, "x"]), "slow_L50", "Fast_L50"]


def test_sorts_by_several_columns():
    assert names(Ask(sort=(("universe", True), ("count", False)))) == [
        "y",
        "x",
        "Fast_L50",
        "slow_L50",
        "Fast_L5",
    ]


def test_search_needs_every_word_in_any_case():
    assert names(Ask(search="fast l5")) == ["Fast_L5", "Fast_L50"]
    assert names(Ask(search="L50 FAST")) == ["Fast_L50"]


def test_wishes_join():
    assert names(Ask(universe="b", where="score >= 1 and `odd name` == 2", sort=(("count", True),))) == [
        "x",
        "y",
    ]


@pytest.mark.parametrize(
    "ask",
    [
        Ask(sort=(("nothing", True),)),
        Ask(sort=(("listed", True),)),
        Ask(where="__import__('os').system('true')"),
        Ask(where="score >"),
        Ask(where="score > 1; 2"),
        Ask(search="x" * 500),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(ask):
    with pytest.raises(ConfigError) as caught:
        Views().rows(METRICS, ask)
    assert "\n" not in str(caught.value)


def test_pages_are_cut_from_the_sorted_rows_and_never_go_beyond():
    views, ask = Views(), Ask(sort=(("count", False),))
    assert views.page(METRICS, ask, 1, 3)["strategy_name"].to_pylist() == ["x", "Fast_L50"]
    assert views.page(METRICS, ask, 4, 900, ["count"]).to_pydict() == {"count": [5]}
    assert views.page(METRICS, ask, 50, 60).num_rows == 0
    assert views.count(METRICS, ask) == 5


def test_another_version_is_another_answer():
    views, ask = Views(), Ask(where="count > 3")
    assert views.count(METRICS, ask) == 2
    assert views.count(Metrics("two", TABLE.slice(0, 1)), ask) == 1


def test_asks_are_read_from_texts():
    sort = parse_sort("-sharpe_ratio,n_trades")
    assert ask_of({"universe": None, "where": "x > 1"}, sort) == Ask(
        "", "", "x > 1", (("sharpe_ratio", True), ("n_trades", False))
    )
    with pytest.raises(ConfigError):
        parse_sort(",".join("abcdefghij"))


def test_scales_are_of_finite_values_below_and_above_zero_apart():
    views = Views()
    table = pa.table(
        {"v": [float("inf"), float("nan"), None, *map(float, range(-10, 101))], "n": [None] * 114}
    )
    scale = views.scale(Metrics("v", table), "v")
    assert (scale.below[0], scale.below[-1]) == (1, 10)
    assert (scale.above[0], scale.above[3], scale.above[-1]) == (0, 50, 100)
    nothing = pa.table({"v": [float("nan")]})
    assert views.scale(Metrics("v", nothing), "v") == scale  # kept by version
    assert views.scale(Metrics("w", nothing), "v") == Scale([], [])


def test_numbers_are_what_can_be_drawn():
    assert numeric_columns(TABLE) == ["score", "count", "odd name"]


def test_cloud_draws_few_rows_all():
    drawn = cloud(TABLE, "count", "score")
    assert (drawn.rows, drawn.outside, drawn.points.num_rows) == (3, 0, 3)
    assert sum(map(sum, drawn.counts)) == 3


def test_cloud_of_many_rows_counts_all_and_draws_those_that_stand_alone():
    crowd = 20_000
    many = pa.table(
        {name: ["s"] * (crowd + 3) for name in ("universe", "strategy_name", "run")}
        | {"x": [at % 7 / 10 for at in range(crowd)] + [9.0, 8.0, 7.0], "y": [0.5] * crowd + [1.0, 2.0, 3.0]}
    )
    everything = (0.0, 10.0, 0.0, 4.0)
    drawn = cloud(many, "x", "y", within=everything, lone=3)
    assert drawn.points["y"].to_pylist() == [1.0, 2.0, 3.0]
    assert sum(map(sum, drawn.counts)) == drawn.rows - drawn.outside == crowd + 3
    near = cloud(many, "x", "y", within=(5, 10, 0, 4))
    assert near.points.num_rows == 3


@pytest.mark.parametrize(("x", "y"), [("universe", "count"), ("count", "nothing")])
def test_cloud_refuses_what_is_no_number(x, y):
    with pytest.raises(ConfigError):
        cloud(TABLE, x, y)


def test_cloud_of_nothing_is_empty():
    assert cloud(TABLE.slice(1, 1), "count", "score").rows == 0
