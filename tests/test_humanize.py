"""Sizes, ages, cells, curves and JSON as people and programs read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.base import humanize

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4_712_345, "4.7 MB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_600, "1.0 MB"),
        (885_000_000, "885 MB"),
        (115e9, "115 GB"),
        (3e18, "3000 PB"),
    ],
)
def test_sizes_have_three_digits_at_most(count: float, text: str) -> None:
    assert humanize.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (59, "now"), (61, "1 min"), (3 * 3600, "3 h"), (40 * 86400, "40 d"), (300 * 86400, "9 mo")],
)
def test_ages_are_short(seconds: float, text: str) -> None:
    now = datetime(2025, 1, 21, tzinfo=UTC)
    assert humanize.age(now - timedelta(seconds=seconds), now) == text
    assert humanize.age(now - timedelta(days=900), now) == "2 y"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (NAN, "nan"),
        (-INF, "-inf"),
        (0, "0"),
        (0.0, "0.000"),
        (1.31415, "1.314"),
        (12345.678, "12,345.7"),
        (1404, "1,404"),
        (1e-7, "1e-07"),
        (2**70, "1180591620717411303424"),
        (9007199254740993, "9007199254740993"),
        (-(2**63), "-9223372036854775808"),
        (10**15 - 1, "999,999,999,999,999"),
        (10**50, "1.000e+50"),
        (9007199254740992.0, "9.01e+15"),
        (["a", NAN], '["a",null]'),
        ("two\nlines\x1b[31m", "two\\nlines\\x1b[31m"),
        ("größe 📈", "größe 📈"),
        ("2005-02-28T00:00:00", "2005-02-28"),
        ("2005-02-28T14:03:00", "2005-02-28 14:03"),
        ("2005-02-28 14:03:07Z", "2005-02-28 14:03:07Z"),
        ("2005-02-28T00:00:00 and more", "2005-02-28T00:00:00 and more"),
        (datetime(2005, 2, 28), "2005-02-28"),  # noqa: DTZ001 - as databases give them
    ],
)
def test_cells_are_one_harmless_line(value: object, text: str) -> None:
    assert humanize.cell(value) == text


def test_sparkline_keeps_the_extremes_of_a_long_curve() -> None:
    curve = [50.0] * 1000
    curve[500], curve[700] = 0.0, 100.0
    line = humanize.sparkline(curve, 40)
    assert len(line) == 40
    assert line[20] == "▁"
    assert line[28] == "█"


@given(st.lists(st.floats() | st.integers()), st.integers(1, 50))
@example([1.7976931348623157e308, -9.9e291], 1)
@example([10**400, 2.0, 1.0], 2)
def test_sparkline_takes_any_curve(curve: list[float], width: int) -> None:
    line = humanize.sparkline(curve, width)
    finite = humanize.numbers(curve)
    assert len(line) == min(width, len(finite))
    assert set(line) <= set("▁▂▃▄▅▆▇█")


def test_numbers_of_a_curve_are_those_that_can_be_drawn() -> None:
    assert humanize.numbers([1, NAN, 2.5, INF, None, "3", 10**400, -0.0]) == [1, 2.5, -0.0]
    assert humanize.numbers({"equity": [1.0]}) == []
    assert humanize.numbers([1.0, True]) == [1.0]


@pytest.mark.parametrize(
    "curve", [None, "1.5", {"equity": [1.0]}, [[1, 2.0]], [1.0, [2, 3.0]], [{"equity": 1.0}]]
)
def test_what_is_no_list_of_single_values_is_no_curve(curve: object) -> None:
    assert humanize.curve_values(curve) is None
    assert humanize.numbers(curve) == []


def test_json_takes_what_plain_json_lacks() -> None:
    document = {"big": 2**70, "nan": NAN, "when": datetime(2025, 1, 21, tzinfo=UTC), "lone": "\ud800"}
    parsed = json.loads(humanize.json_bytes(document))
    assert parsed == {"big": 2**70, "nan": None, "when": "2025-01-21T00:00:00Z", "lone": "\ud800"}
    plain = json.loads(humanize.json_bytes({"when": document["when"], "nan": INF}))
    assert plain == {"when": "2025-01-21T00:00:00Z", "nan": None}
