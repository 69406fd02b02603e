"""Policies: durations by the calendar, and rules that cannot be meant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from archiver.errors import PolicyError
from archiver.retention.policy import Policy, before, parse_policies

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "moment"),
    [
        ("30d", "2026-03-01T12:00"),
        ("12h", "2026-03-31T00:00"),
        ("90min", "2026-03-31T10:30"),
        ("4w", "2026-03-03T12:00"),
        ("1mo", "2026-02-28T12:00"),
        ("13mo", "2025-02-28T12:00"),
        ("25mo", "2024-02-29T12:00"),
        ("1y", "2025-03-31T12:00"),
        ("1y 1mo 1d", "2025-02-27T12:00"),
        ("0d", "2026-03-31T12:00"),
        ("0", "2026-03-31T12:00"),
        ("30s", "2026-03-31T11:59:30"),
        ("9999y", "0001-01-01T00:00"),
        ("99999999999d", "0001-01-01T00:00"),
        ("24315mo", "0001-01-01T00:00"),
    ],
)
def test_durations_go_by_the_calendar(duration: str, moment: str) -> None:
    assert before(NOW, duration) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "rules",
    [
        {"keep_within": "30"},
        {"keep_within": "d"},
        {"keep_within": "-3d"},
        {"keep_within": "3m"},
        {"keep_within": "1.5d"},
        {"keep_within": ""},
        {"keep_within": 30},
        {"keep_last": -1},
        {"keep_last": True},
        {"keep_last": 1.5},
        {"keep_last": "10"},
        {"keep_best": "sharpe_ratio"},
        {"keep_best": ":3"},
        {"keep_best": ("sharpe_ratio", -3)},
        {"keep_best": ("sharpe_ratio", True)},
        {"keep_best": {"sharpe_ratio": 3}},
        {"keep_best": 3},
        {"keep_tags": [""]},
        {"keep_tags": [3]},
        {"keep_tags": 5},
        {"keep_tags": True},
        {"keep_tags": False},
        {"keep_tags": {"release": True}},
        {"tiers": 1},
        {"tiers": "2"},
        {"tiers": True},
        {"universe": None},
        {"universe": 3},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy(**rules)
    assert "\n" not in str(caught.value)
    with pytest.raises(PolicyError, match=r"^policy 2 in the configuration"):
        parse_policies([{"keep_last": 1}, rules])


def test_a_misspelt_rule_is_refused_with_the_right_one() -> None:
    with pytest.raises(PolicyError, match="no rule 'keep_lsat'; did you mean 'keep_last'"):
        parse_policies([{"keep_lsat": 3}])
    with pytest.raises(PolicyError, match="known are keep_within"):
        parse_policies([{"zzz": 3}])


def test_rules_are_written_as_they_are_given() -> None:
    policy = Policy("30d", 10, ("sharpe_ratio", 20), "pinned", tiers=2, universe="u*")
    assert str(policy) == (
        "keep-within 30d, keep-last 10, keep-best sharpe_ratio:20, keep-tag pinned, tiers 2, universe u*"
    )
    assert Policy(keep_best=["a:1", ("b", 2), "c:d:3"]).keep_best == (("a", 1), ("b", 2), ("c:d", 3))
    assert Policy(keep_last=1, name="short").title == "short"
