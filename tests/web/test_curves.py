from __future__ import annotations

import random
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.analysis.moments import first_of, of_clock, of_trades, times, when
from archiver.web.reading.curves import axis_texts, below_peak, drawdown_unit, floats, read, returns, thin


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300), st.integers(4, 50))
def test_thinning_keeps_first_last_least_and_greatest(values, most):
    at, kept = thin(values, most=most)
    finite = [(i, v) for i, v in enumerate(values) if v - v == 0]
    assert len(at) == len(kept) <= max(most + 4, len(finite) if len(finite) <= most else 0)
    if finite:
        assert (at[0], at[-1]) == (finite[0][0], finite[-1][0])
        assert kept.min() == min(v for _, v in finite)
        assert kept.max() == max(v for _, v in finite)
    assert all(values[i] == v for i, v in zip(at.tolist(), kept.tolist(), strict=True))


def test_a_million_points_become_two_thousand_and_no_peak_is_lost():
    curve = np.zeros(1_000_000)
    curve[654_321], curve[123_456] = 9.0, -9.0
    at, _ = thin(curve)
    assert len(at) <= 2_004
    assert {654_321, 123_456} <= set(at.tolist())


def test_a_part_is_thinned_by_itself():
    at, _ = thin(list(range(10_000)), 5_000, 6_000)
    assert at.tolist() == list(range(5_000, 6_000))


def test_what_is_no_curve_is_none():
    assert len(floats(None)) == 0
    assert len(floats("text")) == 0
    assert np.isnan(floats([1.0, "x", None])).tolist() == [False, True, True]


def test_returns_sum_up_by_month():
    trades = pa.table(
        {
            "exit_time": ["2024-12-31T23:00:00", "2025-01-02 10:00:00", "2025-01-09", "2025-03-01", "never"],
            "pnl_usd": [1.0, 2.0, -5.0, float("nan"), 7.0],
        }
    )
    summed = returns(trades)
    assert summed is not None
    assert summed.column == "pnl_usd"
    assert summed.months[2024][11] == 1.0
    assert summed.months[2025][:3] == [-3.0, None, None]
    assert sum(summed.counts) == 4
    assert summed.mean == 5 / 4


def test_returns_of_nothing_are_none():
    assert returns(pa.table({})) is None
    assert returns(pa.table({"pnl": [float("nan")]})) is None
    assert returns(pa.table({"side": ["long"]})) is None


def test_one_trade_has_a_distribution():
    summed = returns(pa.table({"pnl": [3.0]}))
    assert summed is not None
    assert sum(summed.counts) == 1


def test_moments_are_read_as_traders_write_them():
    assert str(when("2025-01-06 09:20:00")) == "2025-01-06 09:20:00"
    assert when(1_736_155_200) == when(1_736_155_200_000)
    assert when("soon") is None
    assert when(float("inf")) is None
    assert times(pa.table({"x": [1]})) == [None]
    assert first_of(pa.table({"b": [1], "a": [1]}), ("a", "b")) == "a"


def test_thinning_is_the_same_for_lists_and_arrays():
    rng = random.Random(1)
    values = [rng.gauss(0, 1) for _ in range(5_000)]
    assert thin(values)[0].tolist() == thin(np.array(values))[0].tolist()


def test_zero_parts_the_bins_and_the_most_extreme_are_counted_at_the_ends():
    made = [float(value) for value in range(-500, 501)] + [1e6, -1e6, 2e6, -2e6, -3e6, -4e6]
    summed = returns(pa.table({"pnl": made}))
    assert summed is not None
    assert 0.0 in summed.edges
    assert sum(summed.counts) == len(made)
    assert (summed.below, summed.above) == (4, 4)
    assert summed.edges[0] >= -600
    assert summed.edges[-1] <= 600


def test_few_trades_all_stand_in_their_own_bins():
    summed = returns(pa.table({"pnl": [-3.0, 1.0, 2.0, 90.0]}))
    assert summed is not None
    assert (summed.below, summed.above) == (0, 0)
    assert summed.edges[0] <= -3 < 90 <= summed.edges[-1]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=60))
def test_every_finite_return_is_counted(made):
    summed = returns(pa.table({"pnl": pa.array(made, pa.float64())}))
    finite = [value for value in made if value - value == 0]
    assert (summed is None) == (not finite)
    if summed is not None:
        assert sum(summed.counts) == len(finite)
        assert len(summed.counts) <= 100
        assert np.isfinite(summed.edges).all()


def test_the_unit_of_a_drawdown_is_told_by_what_the_equity_fell():
    equity = np.array([100.0, 120.0, 90.0, 150.0, 75.0])
    share = 1 - equity / np.maximum.accumulate(equity)
    assert drawdown_unit(equity, share * 100) == "%"
    assert drawdown_unit(equity, -share) == "share"
    assert drawdown_unit(equity * 1000, np.maximum.accumulate(equity) * 1000 - equity * 1000) == ""
    assert drawdown_unit(equity, np.zeros(5)) == ""
    assert drawdown_unit(equity, np.empty(0)) == ""
    assert drawdown_unit(equity - 100, share) == ""
    assert drawdown_unit(np.array([1.0, np.nan]), share) == ""


def test_a_drawdown_that_was_not_saved_is_what_the_equity_fell():
    fell = below_peak(np.array([1.0, 3.0, np.nan, 2.0, np.inf, 4.0]))
    assert fell[[0, 1, 3, 5]].tolist() == pytest.approx([0.0, 0.0, 1 / 3, 0.0])
    assert np.isnan(fell[[2, 4]]).all()
    assert below_peak(np.array([0.0, 3.0, 1.0])).tolist() == [0.0, 0.0, 2.0]
    assert len(below_peak(np.empty(0))) == 0


HOURS = [f"2025-01-0{day}T{hour:02d}:00:00" for day in (6, 7) for hour in (9, 10)]
VALUES = [100.0, 101.5, 99.0, 103.25]


@pytest.mark.parametrize(
    "saved",
    [
        [list(pair) for pair in zip(HOURS, VALUES, strict=True)],
        list(zip(HOURS, VALUES, strict=True)),
        [{"time": hour, "equity": value} for hour, value in zip(HOURS, VALUES, strict=True)],
        [{"Date": hour, "Balance": value, "x": "y"} for hour, value in zip(HOURS, VALUES, strict=True)],
        {"timestamp": HOURS, "equity": VALUES},
        dict(zip(HOURS, VALUES, strict=True)),
        [[datetime.fromisoformat(hour), value] for hour, value in zip(HOURS, VALUES, strict=True)],
        *(
            [
                [round(datetime.fromisoformat(hour + "+00:00").timestamp() * unit), value]
                for hour, value in zip(HOURS, VALUES, strict=True)
            ]
            for unit in (1, 1_000, 1_000_000, 1_000_000_000)
        ),
    ],
)
def test_curves_with_moments_are_read_in_every_form(saved):
    curve = read(saved)
    assert curve.values.tolist() == VALUES
    assert curve.times is not None
    assert axis_texts(curve.times) == HOURS
    assert not curve.unread


@pytest.mark.parametrize(
    "saved",
    [
        "text",
        ["2025-01-06", "2025-01-07"],
        [[1.0, 2.0], [3.0, 4.0]],
        [[HOURS[0], "high"]],
        [[HOURS[0], 1.0, 2.0]],
        [[HOURS[0], 1.0], 5.0],
        [{"time": HOURS[0]}],
        [{"a": 1, "b": 2}],
        {"equity": 3},
        {"time": HOURS, "equity": None},
        {"a": 1.0},
        7,
    ],
)
def test_what_is_not_understood_is_said_and_never_drawn(saved):
    curve = read(saved)
    assert len(curve) == 0
    assert curve.unread


@pytest.mark.parametrize("saved", [None, [], {}, "", np.array([])])
def test_no_curve_is_no_curve(saved):
    assert (len(read(saved)), read(saved).unread) == (0, "")


@given(st.lists(st.one_of(st.none(), st.integers(-(10**400), 10**400), st.floats()), min_size=1))
def test_numbers_are_a_curve_without_moments(saved):
    curve = read(saved)
    assert (len(curve), curve.times, curve.unread) == (len(saved), None, "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_whatever_was_saved_is_drawn_or_said(saved):
    curve = read(saved)
    assert not (len(curve) and curve.unread)
    assert curve.times is None or len(curve.times) == len(curve)


def test_a_point_for_each_trade_is_dated_by_it():
    trades = pa.table({"entry_time": HOURS[:3], "exit_time": HOURS[1:]})
    ended = [datetime.fromisoformat(hour) for hour in HOURS[1:]]
    assert of_trades(trades, 3) == ended
    assert of_trades(trades, 4) == [datetime.fromisoformat(HOURS[0]), *ended]
    assert of_trades(trades, 5) is None
    overlapping = pa.table({"entry_time": HOURS[:3], "exit_time": [HOURS[1], HOURS[3], HOURS[2]]})
    assert of_trades(overlapping, 3) == [ended[0], ended[2], ended[2]]
    assert of_trades(pa.table({"entry_time": HOURS[2::-1], "exit_time": HOURS[1:]}), 3) is None
    assert of_trades(pa.table({"exit_time": HOURS[::-1]}), 4) is None
    assert of_trades(pa.table({"exit_time": ["never", *HOURS[1:]]}), 4) is None
    assert of_trades(pa.table({"exit_time": [HOURS[0], HOURS[1] + "+00:00"]}), 2) is None
    assert of_trades(pa.table({"exit_time": []}), 1) is None


def test_a_point_for_each_bar_is_dated_by_it():
    assert of_clock(HOURS, 4) == [datetime.fromisoformat(hour) for hour in HOURS]
    assert of_clock(HOURS, 3) is None
    assert of_clock([0, 1, 2], 3) is None
