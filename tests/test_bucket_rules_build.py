"""Which policies and wishes become bucket rules, and which are left to prune."""

from __future__ import annotations

import pytest

from archiver.errors import ConfigError, PolicyError
from archiver.retention.bucket_rules import Wishes, build_rules, inexpressible, merge, parse, refuse
from archiver.retention.bucket_rules.build import days_of
from archiver.retention.policy import Policy
from tests.test_bucket_rules_merge import MONTH, ROOT, texts


def test_a_policy_on_details_becomes_one_rule_with_its_own_name() -> None:
    wishes = Wishes(abort_days=None)
    (one,) = build_rules(ROOT, [MONTH], wishes)
    assert one.xml == (
        b"<Rule><ID>archiver-expire-tier2-f18498da</ID><Filter><Prefix>some/prefix/tier2/</Prefix></Filter>"
        b"<Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>"
    )
    (other,) = build_rules("another/", [MONTH], wishes)
    assert other.id != one.id, "two archives in one bucket"


def test_everything_that_a_bucket_can_do_is_built() -> None:
    wishes = Wishes.of(
        {"tier2": "GLACIER_IR:30d", "bundles": ["DEEP_ARCHIVE:90d", "STANDARD_IA:30d"], "min_size": "1MB"}
    )
    rules = build_rules(ROOT, [Policy(keep_within="6mo", tiers=2, universe="u&1")], wishes, versioned=True)
    assert texts(rules) == [
        "tier2/universe=u%261/: expire after 184 days",
        "tier2/: move to GLACIER_IR after 30 days (only larger than 999999 B)",
        "bundles/: move to STANDARD_IA after 30 days, move to DEEP_ARCHIVE after 90 days (only larger than 999999 B)",
        "tier2/: old versions go after 30 days, lone delete markers go",
        "bundles/: old versions go after 30 days, lone delete markers go",
        "catalog/: old versions go after 30 days, lone delete markers go",
        "trash/: old versions go after 30 days, lone delete markers go",
        "tier2/: incomplete uploads go after 7 days",
        "bundles/: incomplete uploads go after 7 days",
        "catalog/: incomplete uploads go after 7 days",
    ]
    assert len({one.id for one in rules}) == len(rules)
    refuse(merge(parse(None), rules, ROOT))


@pytest.mark.parametrize(
    ("duration", "days"),
    [("30d", 30), ("4w", 28), ("12h", 1), ("0d", 1), ("25h", 2), ("6mo", 184), ("1y", 366), ("1y6mo", 550)],
)
def test_an_age_in_days_is_never_shorter_than_by_the_calendar(duration: str, days: int) -> None:
    assert days_of(duration) == days


def test_a_rule_that_keeps_nothing_is_not_made() -> None:
    for age in ("0", "0d"):
        with pytest.raises(PolicyError, match="keeps no details at all"):
            build_rules(ROOT, [Policy(keep_within=age, tiers=2)], Wishes())


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(keep_within="30d"), "whole runs"),
        (Policy(keep_within="30d", keep_last=3, tiers=2), "rank"),
        (Policy(keep_within="30d", keep_best=("sharpe_ratio", 5), tiers=2), "rank"),
        (Policy(keep_tags=["x"], tiers=2), "no age"),
        (Policy(keep_within="30d", universe="*_5min", tiers=2), "beginnings"),
        (Policy(keep_within="30d", universe="u?1*", tiers=2), "beginnings"),
    ],
)
def test_a_policy_that_a_bucket_cannot_carry_out_is_left_to_prune(policy: Policy, reason: str) -> None:
    assert reason in (inexpressible(policy) or "")
    assert build_rules(ROOT, [policy], Wishes(abort_days=None)) == ()


def test_the_longest_age_of_policies_that_may_meet_counts() -> None:
    policies = [
        Policy(keep_within="30d", tiers=2, universe="u1*"),
        Policy(keep_within="90d", tiers=2, universe="u12"),
        Policy(keep_within="10d", tiers=2, universe="v*"),
        Policy(keep_within="400d", universe="*"),
    ]
    rules = build_rules(ROOT, policies, Wishes(abort_days=None))
    assert texts(rules) == [
        "tier2/universe=u1: expire after 90 days",
        "tier2/universe=u12/: expire after 90 days",
        "tier2/universe=v: expire after 10 days",
    ]


def test_a_policy_by_rank_over_the_same_universes_stops_a_rule_by_age() -> None:
    ranked = Policy(keep_last=10, tiers=2, universe="u*")
    assert "another policy" in (inexpressible(MONTH, [MONTH, ranked]) or "")
    elsewhere = Policy(keep_within="30d", tiers=2, universe="v*")
    assert inexpressible(elsewhere, [elsewhere, ranked]) is None


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"tier3": "GLACIER:1d"}, "did you mean 'tier2'?"),
        ({"tier2": "GLACIER"}, "CLASS:AGE"),
        ({"tier2": "glacier:1d"}, "CLASS:AGE"),
        ({"tier2": 3}, "CLASS:AGE"),
        ({"tier2": "STANDARD_IA:7d"}, "before 30 days"),
        ({"bundles": "GLACIER:soon"}, "no duration"),
        ({"abort_uploads": True}, "no age"),
        ({"abort_uploads": 7}, "no duration"),
        ({"old_versions": 30}, "no duration"),
        ({"old_versions": ["30d"]}, "no duration"),
        ({"min_size": "big"}, "no size"),
        ({"prices": {"storage": {"GLACIER": 1}}}, "of when"),
        ({"prices": {"date": "2027-01", "storage": {"GLACIER": "cheap"}}}, "a price for each"),
    ],
)
def test_settings_that_cannot_be_meant(table: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Wishes.of(table)


def test_never_ends_what_is_on_by_default() -> None:
    assert (
        build_rules(ROOT, [], Wishes.of({"abort_uploads": False, "old_versions": "never"}), versioned=True)
        == ()
    )
