from __future__ import annotations

import pyarrow as pa
import pytest

from archiver.errors import ConfigError
from archiver.query.selection import Ask, parse_sort
from archiver.web.reading.data import Metrics
from archiver.web.reading.rows import Scale, Views, ask_of, cloud, numeric_columns, well_filled
from tests.test_selection import TABLE

METRICS = Metrics("one", TABLE)


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
    sort = parse_sort("sharpe_ratio,-n_trades")
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


def test_the_axes_never_cut_the_best():
    import numpy as np

    made = np.random.default_rng(1)
    score, fall = made.normal(0, 1, 20_000), made.normal(-20, 4, 20_000)
    score[:3], fall[:3] = [9.0, 8.0, 7.0], [-140.0, float("nan"), -1.0]
    order = np.argsort(-score)
    table = pa.table(
        {
            "universe": ["u"] * 20_000,
            "strategy_name": [f"s{at}" for at in order],
            "run": ["r"] * 20_000,
            "score": score[order],
            "fall": fall[order],
        }
    )
    drawn = cloud(table, "fall", "score", best=25)
    assert drawn.best.num_rows == 25
    # Those that have both, in their order, and not twice.
    assert drawn.best["strategy_name"].to_pylist()[:2] == ["s0", "s2"]
    assert not set(drawn.best["strategy_name"].to_pylist()) & set(drawn.points["strategy_name"].to_pylist())
    assert drawn.x_edges[0] < -140 < -1 < drawn.x_edges[-1]
    assert drawn.y_edges[-1] > 9
    assert drawn.y_edges[0] > score.min()
    assert sum(map(sum, drawn.counts)) + drawn.outside == drawn.rows == 19_999
    without = cloud(table, "fall", "score")
    assert without.x_edges[0] > -140
    assert without.best.num_rows == 0
    near = cloud(table, "fall", "score", best=25, within=(-200, -100, 8, 10))
    assert near.best["strategy_name"].to_pylist() == ["s0"]


def test_a_column_that_few_rows_have_is_not_well_filled():
    table = pa.table({"all": [1, 2, 3, 4], "half": [1, 2, None, None], "few": [1, None, None, None]})
    assert well_filled(table, ["few", "half", "all"]) == ["half", "all"]


def test_cloud_on_a_log_scale_is_even_in_the_logarithm_and_leaves_out_what_is_not_above_zero():
    table = pa.table(
        {
            "universe": ["u"] * 6,
            "strategy_name": list("abcdef"),
            "run": ["r"] * 6,
            "x": [0.0, -1.0, 1.0, 10.0, 100.0, 1000.0],
            "y": [5.0, 5.0, 1.0, 2.0, 3.0, 4.0],
        }
    )
    drawn = cloud(table, "x", "y", log=(True, False), cells=3)
    assert (drawn.rows, drawn.points["strategy_name"].to_pylist()) == (4, list("cdef"))
    assert drawn.x_edges == pytest.approx([0, 1, 2, 3])
    near = cloud(table, "x", "y", log=(True, False), within=(0.5, 2.5, 0, 9))
    assert near.points["x"].to_pylist() == [10.0, 100.0]
    assert cloud(table, "x", "y", log=(True, True)).rows == 4


def test_cloud_has_the_mean_of_a_third_column_in_each_cell():
    table = pa.table(
        {
            "universe": ["u"] * 4,
            "strategy_name": list("abcd"),
            "run": ["r"] * 4,
            "x": [0.0, 0.0, 1.0, 1.0],
            "y": [0.0, 0.0, 1.0, 1.0],
            "z": [1.0, 3.0, 7.0, None],
        }
    )
    drawn = cloud(table, "x", "y", color="z", cells=2)
    assert drawn.means == [[2.0, None], [None, 7.0]]
    assert drawn.span == pytest.approx((1.08, 6.84))
    assert drawn.points["z"].to_pylist() == [1.0, 3.0, 7.0, None]
    with pytest.raises(ConfigError):
        cloud(table, "x", "y", color="strategy_name")
    empty = cloud(table.set_column(5, "z", pa.nulls(4, pa.float64())), "x", "y", color="z")
    assert (empty.means, empty.span) == ([], None)
