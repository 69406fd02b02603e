from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from archiver.base import humanize
from archiver.errors import ConfigError
from archiver.web.words import format as fmt
from archiver.web.words import links


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (0, "0"),
        (-1204, "−1,204"),
        (3.14159, "3.142"),
        (1234.5, "1,234.5"),
        (98765.4, "98,765"),
        (0.00001, "1.00e-05".replace("-", "−")),
        (float("nan"), "NaN"),
        (float("inf"), "∞"),
        (float("-inf"), "−∞"),
        (10**20, "1" + "0" * 20),
        (-9007199254740993, "−9007199254740993"),
        ("2025-01-21T14:03:00", "2025-01-21 14:03"),
        ("2025-01-21T00:00:00", "2025-01-21"),
        ("<b>", "<b>"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    assert fmt.number(value) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("return_pct", 12.5, "12.50 %"),
        ("pnl_usd", -4.25, "−$4.25"),
        ("net_pnl_usd", 12_345.678, "$12,346"),
        ("entry_price", 1.08612, "1.08612"),
        ("exit_price", 186.0, "186.000"),
        ("duration_days", 3, "3 days"),
        ("sharpe_ratio", 1.5, "1.500"),
        ("n_trades", 12, "12"),
        ("pnl_usd", None, "–"),
        ("return_pct", float("nan"), "NaN"),
    ],
)
def test_units_follow_from_names(name, value, text):
    assert fmt.shown(name, value) == text


def test_names_become_headings():
    assert fmt.title("max_drawdown_pct") == "Max drawdown"
    assert fmt.title("n_trades") == "Trades"
    assert fmt.title("return_ann_pct") == "Return (annual)"
    assert fmt.title("longest_dd_days") == "Longest DD"
    assert fmt.title("Sharpe Ratio!") == "Sharpe Ratio!"
    assert fmt.title("_") == ""


def test_ages_and_sizes():
    now = datetime(2025, 1, 21, tzinfo=UTC)
    ages = [
        fmt.age(now - timedelta(seconds=s), now) for s in (5, 300, 7200, 5 * 86400, 90 * 86400, 900 * 86400)
    ]
    assert ages == ["just now", "5 min ago", "2 h ago", "5 days ago", "2 months ago", "2 years ago"]
    assert [fmt.size(n) for n in (0, 999, 1000, 4_700_000, 10**18)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "4.7 MB",
        "1000 PB",
    ]
    assert fmt.counted(1, "run") == "1 run"
    assert fmt.counted(2_000, "strategy", "strategies") == "2,000 strategies"


@pytest.mark.parametrize("name", ["plain", "a/b", "..", "é🚀", "a%2Fb", "q?&=#"])
def test_choices_come_back_as_they_were(name):
    choice = links.Choice("u/1", name, "20250101T000000Z-00000000")
    assert links.read_choice(links.choice_text(choice)) == choice
    query = links.read(links.compare([choice]).partition("?")[2])
    assert links.read_choice(query["strategy"][0]) == choice


@pytest.mark.parametrize("text", ["", "one", "a/b/c/d", "a//b", "%FF/x"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(ConfigError):
        links.read_choice(text)


def test_whole_numbers_only():
    assert links.whole({"start": ["7"]}, "start", 0) == 7
    for text in ("-1", "1.5", "²", "9" * 30):
        with pytest.raises(ConfigError):
            links.whole({"start": [text]}, "start", 0)


def test_integers_beyond_any_float() -> None:
    assert fmt.number(-(10**400)) == "−1.000e+400"
    assert humanize.number(10**400) == "1.000e+400"
