from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.format.parquet import ParquetObject
from archiver.format.tapes import Tape, cut_windows, decode_tape, find_tapes, tape_of
from tests.same import same


def series(bars: int, shift: float = 0.0) -> dict[str, list[Any]]:
    return {
        "timestamps": [f"2025-01-01 {at // 60:02}:{at % 60:02}" for at in range(bars)],
        "close": [1.0 + at / 7 + shift for at in range(bars)],
        "volume": [at * 100 % 977 for at in range(bars)],
    }


def window(bars: dict[str, list[Any]], begin: int, length: int) -> dict[str, list[Any]]:
    return {key: column[begin : begin + length] for key, column in copy.deepcopy(bars).items()}


def check(values: list[Any], tapes: int, unplaced: int, known: list[Tape] | None = None) -> list[Tape]:
    """Every place that is given must give the value back."""
    cuts = find_tapes(values, known or [])
    assert len(cuts.tapes) == tapes
    assert cuts.places.count(None) == unplaced
    for value, found, place in zip(values, cut_windows(cuts.tapes, cuts.places), cuts.places, strict=True):
        assert place is None or same(found, value)
    return cuts.tapes


def test_overlapping_windows_become_one_tape() -> None:
    bars = series(100)
    (tape,) = check([window(bars, at, 20) for at in (50, 0, 10, 75, 33, 80)], 1, 0)
    assert tape.clock == "timestamps"
    assert tape.columns == {key: column[:30] + column[33:70] + column[75:] for key, column in bars.items()}


def test_gaps_are_left_out() -> None:
    bars = series(300)
    (tape,) = check([window(bars, at, 10) for at in (0, 5, 200, 205)], 1, 0)
    assert tape.bars == 30


def test_each_symbol_gets_its_own_tape() -> None:
    one, other = series(100), series(100, 0.5)
    values = [window(bars, at, 20) for at in range(0, 80, 5) for bars in (one, other)]
    check(values, 2, 0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w["close"].__setitem__(3, math.nextafter(w["close"][3], 9)),
        lambda w: w["close"].__setitem__(3, 1),
        lambda w: w["close"].__setitem__(3, None),
        lambda w: w["close"].__setitem__(3, math.nan),
        lambda w: w["close"].pop(),
        lambda w: w.pop("close"),
        lambda w: w.update(extra=[1.0] * 20),
        lambda w: w.update(close="x"),
        lambda w: w.update(volume=[True] * 20),
        lambda w: w["timestamps"].__setitem__(3, "2025"),
        lambda w: w["timestamps"].__setitem__(3, "2025-01-01\0 00:0"),
        lambda w: w["timestamps"].reverse(),
        lambda w: w.clear(),
        lambda w: w.update(volume=[2**80] * 20),
    ],
)
def test_a_window_that_differs_in_anything_is_not_placed(spoil: Any) -> None:
    bars = series(100)
    values = [window(bars, at, 20) for at in range(0, 80, 5)]
    spoil(values[4])
    check(values, 1, 1)


def test_negative_zero_is_not_zero() -> None:
    bars = series(100)
    bars["close"] = [0.0] * 100
    values = [window(bars, at, 20) for at in range(0, 80, 5)]
    values[2]["close"][0] = -0.0
    check(values, 1, 1)


def test_windows_need_not_overlap() -> None:
    bars = series(100)
    check([window(bars, at, 10) for at in (0, 30, 60)], 1, 0)
    check([window(bars, 0, 10)], 1, 0)


def test_lists_that_only_look_like_windows_stay_as_they_are() -> None:
    check([{"t": [1, 2, 3], "v": [float(at), 1.0, 2.0]} for at in range(200)], 0, 200)


@pytest.mark.parametrize(
    "values", [[], [None], [{}], [{"a": 1}], [{"a": []}], [{"a": [1, 1]}], [3, "x", [1]]]
)
def test_what_is_no_window_is_left_alone(values: list[Any]) -> None:
    check(values, 0, len(values))


def test_a_given_series_is_used_whole() -> None:
    bars = series(200)
    (tape,) = check([window(bars, 7, 5)], 1, 0, [tape_of(bars)])
    assert tape.columns == bars


def test_a_given_series_that_does_not_fit_is_not_used() -> None:
    bars = series(200)
    check([window(series(200, 1.0), 7, 5)], 0, 1, [tape_of(bars)])


@pytest.mark.parametrize("bars", [{}, {"a": [1, 1]}, {"a": [1, 2], "b": [1]}, 3, [1, 2], {"a": "xy"}])
def test_bars_that_are_no_series_are_refused(bars: Any) -> None:
    with pytest.raises(ConfigError, match="bars"):
        tape_of(bars)


def test_a_known_series_is_used_where_most_windows_are_cut_from_it() -> None:
    bars = series(200)
    first = find_tapes([window(bars, at, 20) for at in range(0, 120, 10)]).tapes
    again = check([window(bars, at, 20) for at in (3, 40, 77)], 1, 0, first)
    assert again[0] is first[0]
    more = check([window(bars, at, 20) for at in (3, 40, 77, 150, 160)], 2, 0, first)
    assert more[0] is first[0]
    assert more[1].bars == 30
    few = check([window(bars, at, 20) for at in (3, 150, 160, 170)], 1, 0, first)
    assert few[0] is not first[0]


def test_a_tape_is_parquet_and_comes_back() -> None:
    tape = Tape("timestamps", series(50))
    data, ref = tape.encoded()
    back = decode_tape(ParquetObject(ref, lambda start, end: data[start:end]))
    assert back.clock == tape.clock
    assert same(back.columns, tape.columns)
    assert Tape("timestamps", series(50)).encoded()[0] == data


@settings(max_examples=100)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15), st.integers(0, 2)), max_size=25),
    flips=st.sets(st.integers(0, 24), max_size=3),
)
def test_whatever_is_placed_is_proven(cuts: list[tuple[int, int, int]], flips: set[int]) -> None:
    symbols = [series(60, 0.25 * at) for at in range(3)]
    values = [window(symbols[which], begin, length) for begin, length, which in cuts]
    for at in flips & set(range(len(values))):
        values[at]["close"][0] = math.nextafter(values[at]["close"][0], 9)
    found = find_tapes(values)
    for value, back, place in zip(values, cut_windows(found.tapes, found.places), found.places, strict=True):
        assert place is None or same(back, value)


def test_ints_that_no_column_holds_are_in_no_tape() -> None:
    bars = series(60)
    bars["volume"] = [2**63 + at for at in range(60)]
    check([window(bars, at, 20) for at in (0, 5, 10)], 0, 3)
    bars["volume"] = [2**63 - 100 + at for at in range(60)]
    (tape,) = check([window(bars, at, 20) for at in (0, 5, 10)], 1, 0)
    data, ref = tape.encoded()
    assert same(decode_tape(ParquetObject(ref, lambda start, end: data[start:end])).columns, tape.columns)
