"""The bars around a trade as a figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archiver.web.elements.bars import trade_figure


def bars(times: list[Any]) -> dict[str, list[Any]]:
    count = len(times)
    prices = [1.1 + at / 1000 for at in range(count)]
    return {
        "time": times,
        "open": prices,
        "high": [price + 0.001 for price in prices],
        "low": [price - 0.001 for price in prices],
        "close": prices,
    }


def clock(count: int, **step: int) -> list[str]:
    return [
        (datetime(2024, 12, 20, tzinfo=UTC) + timedelta(**step) * at).isoformat()[:19] for at in range(count)
    ]


def ticks(figure: dict[str, Any]) -> list[str]:
    return figure["layout"]["xaxis"]["ticktext"]


def test_entry_and_exit_are_named_above_the_bars():
    times = clock(30, days=1)
    row = {
        "entry_time": times[10],
        "exit_time": times[11],
        "entry_price": 1.2,
        "exit_price": 1.3,
        "direction": "long",
    }
    drawn = trade_figure(bars(times), row)
    labels = {label["text"]: label for label in drawn["layout"]["annotations"]}
    assert set(labels) == {"Entry", "Exit"}
    assert all(label["yref"] == "paper" and label["y"] == 1 for label in labels.values())
    assert labels["Entry"]["xanchor"] == "right"
    assert labels["Exit"]["xanchor"] == "left"
    assert not any("text" in trace.get("mode", "") for trace in drawn["data"])
    markers = [trace["marker"]["symbol"] for trace in drawn["data"][1:]]
    assert markers == ["triangle-up", "triangle-down"]


def test_daily_bars_have_days_and_years_and_no_midnight():
    texts = ticks(trade_figure(bars(clock(60, days=1)), {}))
    assert texts[0].endswith("<br>2024")
    assert any(text.endswith("<br>2025") for text in texts[1:])
    assert not any("00:00" in text for text in texts)


def test_bars_within_days_have_times_and_each_day_once():
    texts = ticks(trade_figure(bars(clock(60, hours=1)), {}))
    assert texts[0] == "07:00<br>12-20<br>2024"
    assert sum("2024" in text for text in texts) == 1
    days = [text.split("<br>")[1] for text in texts if "<br>" in text]
    assert len(days) == len(set(days))


@pytest.mark.parametrize("count", [1, 2, 7, 61, 5_000])
def test_ticks_are_few_enough_for_a_phone(count):
    drawn = trade_figure(bars(clock(count, minutes=5)), {})
    assert 1 <= len(ticks(drawn)) <= 5
    assert drawn["layout"]["xaxis"]["tickangle"] == 0


def test_moments_may_be_numbers_or_datetimes():
    begin = datetime(2025, 1, 6, tzinfo=UTC)
    moments = [begin + timedelta(minutes=at) for at in range(10)]
    for times in (
        moments,
        [moment.timestamp() for moment in moments],
        [m.timestamp() * 1000 for m in moments],
    ):
        drawn = trade_figure(bars(times), {"entry_time": times[3], "exit_time": times[5]})
        assert [label["x"] for label in drawn["layout"]["annotations"]] == [3, 5]
        assert ticks(drawn)[0] == "00:01<br>01-06<br>2025"
        assert drawn["data"][0]["text"][3].startswith("2025-01-06 00:03<br>open 1.10")


@pytest.mark.parametrize(
    "odd",
    [
        {"time": ["x", "y", "z"]}, {"time": []}, {"open": []}, {"high": [None] * 3}, {"low": [float("nan")] * 3},
        {"time": [None, "2025-01-01", 5]},
    ],
)  # fmt: skip
def test_odd_bars_are_drawn_as_far_as_they_can_be(odd):
    row = {"entry_time": "y", "exit_time": "never", "entry_price": "?", "direction": None}
    drawn = trade_figure(bars(clock(3, days=1)) | odd, row)
    assert len(drawn["data"]) >= 1
