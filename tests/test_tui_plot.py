from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.base.humanize import curve_values
from archiver.tui.plot import draw, picture

EMPTY = "\u2800"


def dots(lines: list[str]) -> list[tuple[int, int]]:
    """Return (x, y) of all dots, y from the top."""
    bits = {
        0x01: (0, 0),
        0x02: (0, 1),
        0x04: (0, 2),
        0x08: (1, 0),
        0x10: (1, 1),
        0x20: (1, 2),
        0x40: (0, 3),
        0x80: (1, 3),
    }
    return sorted(
        (2 * x + dx, 4 * y + dy)
        for y, line in enumerate(lines)
        for x, char in enumerate(line)
        for bit, (dx, dy) in bits.items()
        if (ord(char) - 0x2800) & bit
    )


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    found = dots(draw([float(at) for at in range(8)], 4, 2))
    assert found == [(at, 7 - at) for at in range(8)]


def test_one_peak_among_a_million_points_is_seen() -> None:
    curve = [0.0] * 1_000_000
    curve[654_321] = 1.0
    found = dots(draw(curve, 50, 5))
    assert {x for x, y in found if y == 0} == {65}
    assert {x for x, y in found if y == 19} == set(range(100))


def test_a_short_curve_fills_the_width() -> None:
    assert {x for x, _ in dots(draw([1.0, 2.0, 1.5], 10, 3))} == set(range(20))


def test_what_is_not_finite_is_a_gap() -> None:
    curve: list[Any] = [1.0, 2.0, math.nan, None, math.inf, "x", True, 1.0]
    assert {x for x, _ in dots(draw(curve_values(curve) or [], 4, 2))} == {0, 1, 7}


@pytest.mark.parametrize("curve", [[], [math.nan], [None, "x"], [math.inf, -math.inf], [10**400]])
def test_without_finite_values_there_is_no_picture(curve: list[Any]) -> None:
    assert draw(curve_values(curve) or [], 10, 3) == []


@given(
    st.lists(st.floats() | st.integers() | st.none() | st.text(max_size=2) | st.booleans(), max_size=60),
    st.integers(0, 30),
    st.integers(0, 8),
)
def test_any_curve_fits_its_place(curve: list[Any], width: int, height: int) -> None:
    lines = draw(curve_values(curve) or [], width, height)
    assert len(lines) in (0, height)
    assert {len(line) for line in lines} <= {width}
    for line in picture("equity", curve, width + 40, height + 2).plain.split("\n")[1:-1]:
        assert len(line) <= width + 40


def test_a_picture_says_its_ends_its_extremes_and_what_is_missing() -> None:
    first, *lines, last = picture("equity", [5.0, 1.0, math.nan, 9.0, 7.0], 60, 8).plain.split("\n")
    assert first == "equity  5.000 → 7.000   least 1.000   greatest 9.000   1 not finite"
    assert lines[0].startswith("   9.000 ")
    assert lines[-1].startswith("   1.000 ")
    assert last.endswith(" 5 points")


def test_a_picture_of_a_curve_on_a_clock_says_when_it_begins_and_ends() -> None:
    span = ("2025-03-29T00:00:00+01:00", "2025-04-02T00:00:00+02:00")
    *_, last = picture("equity", [5.0, 9.0], 70, 8, span).plain.split("\n")
    assert last.split() == ["2025-03-29T00:00", "2", "points", "2025-04-02T00:00"]
    assert len(last) < 70


@pytest.mark.parametrize(
    "curve", ["text", {"time": [1], "equity": [2.0]}, [[1704067200, 1.0]], [{"time": 1, "equity": 2.0}]]
)
def test_what_is_no_curve_is_not_drawn(curve: Any) -> None:
    assert picture("equity", curve, 60, 8).plain == "equity: kept, but not drawn: it is no list of numbers"


@pytest.mark.parametrize("curve", [None, {}, "", []])
def test_a_curve_that_is_none_is_said_so(curve: Any) -> None:
    assert picture("equity", curve, 60, 8).plain == "equity: none was saved"
