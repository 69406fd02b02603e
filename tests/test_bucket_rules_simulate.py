"""What rules will do to which object on which day, and what a move costs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from archiver.retention.bucket_rules import Estimate, Prices, Wishes, build_rules, estimate, simulate
from archiver.retention.bucket_rules.document import element, rule
from archiver.store.entry import Entry
from tests.test_bucket_rules_merge import ROOT, expire, made

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def entry(key: str, days: float, size: int = 1 << 20) -> Entry:
    return Entry(key, size, NOW - timedelta(days=days))


def test_an_age_counts_to_the_next_midnight() -> None:
    # The example of S3's own documentation: created 2014-01-15 10:30, after 3 days, gone from 2014-01-19 00:00 on.
    one = Entry("tier2/x", 1, datetime(2014, 1, 15, 10, 30, tzinfo=UTC))
    (event,) = simulate([expire(ROOT + "tier2/", 3)], [one], ROOT)
    assert event == (date(2014, 1, 19), "expire", "tier2/x", 1, "theirs", False)


def test_the_shorter_expiry_wins_and_nothing_moves_after_it() -> None:
    move = element("Transition", element("Days", 10), element("StorageClass", "GLACIER"))
    late = element("Transition", element("Days", 40), element("StorageClass", "DEEP_ARCHIVE"))
    rules = [
        expire(ROOT + "tier2/", 30, "short"),
        expire(ROOT, 90, "long"),
        made(ROOT, move, late, name="mover"),
        expire("elsewhere/", 1),
    ]
    events = list(
        simulate(rules, [entry("tier2/a", 5), entry("runs/b", 5), entry("tier2/small", 5, 1000)], ROOT)
    )
    assert [(event.key, event.action, event.rule, (event.day - NOW.date()).days) for event in events] == [
        ("tier2/a", "move to GLACIER", "mover", 6),
        ("tier2/a", "expire", "short", 26),
        ("runs/b", "move to GLACIER", "mover", 6),
        ("runs/b", "move to DEEP_ARCHIVE", "mover", 36),
        ("runs/b", "expire", "long", 86),
        ("tier2/small", "expire", "short", 26),
    ]
    assert any(
        event.key == "tier2/small" and event.action != "expire"
        for event in simulate(rules, [entry("tier2/small", 5, 1000)], ROOT, moves_small=True)
    )


def test_tags_sizes_dates_and_disabled_rules() -> None:
    tag = "<Filter><And><Prefix>some/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>"
    small = "<Filter><And><Prefix>some/</Prefix><ObjectSizeLessThan>100</ObjectSizeLessThan></And></Filter>"
    ends = "<Status>Enabled</Status><Expiration><Date>2026-12-24T00:00:00Z</Date></Expiration>"
    rules = [
        rule(f"<Rule><ID>tag</ID>{tag}{ends}</Rule>"),
        rule(f"<Rule><ID>small</ID>{small}{ends}</Rule>"),
        made(ROOT, status="Disabled"),
    ]
    events = list(simulate(rules, [entry("x", 1, 50), entry("y", 1, 100)], ROOT))
    assert [(event.key, event.rule, event.if_tagged) for event in events] == [
        ("x", "small", False),
        ("y", "tag", True),
    ]
    assert {event.day for event in events} == {date(2026, 12, 24)}


def test_an_estimate_is_what_the_price_list_says() -> None:
    prices = Prices.of({"date": "2027-05", "requests": {"DEEP_ARCHIVE": 0.06}})
    rules = build_rules(ROOT, [], Wishes.of({"bundles": "DEEP_ARCHIVE:1d"}))
    entries = [entry("bundles/a", 9, 10**9), entry("bundles/b", 9, 10**9), entry("bundles/small", 9, 1000)]
    (found,) = estimate(rules, [*entries, entry("tier2/x", 9)], ROOT, prices)
    own, standard = 2 * 32768 / 1e9 * 0.00099, 2 * 8192 / 1e9 * 0.023
    assert found == Estimate(
        rule=rules[0].id,
        storage_class="DEEP_ARCHIVE",
        days=1,
        objects=2,
        bytes=2 * 10**9,
        small=1,
        once=2 / 1000 * 0.06,
        month_before=2 * 0.023,
        month_after=pytest.approx(2 * 0.00099 + own + standard),
        minimum_days=180,
        prices_of="2027-05",
    )
    assert found.pays_back == pytest.approx(0.00012 / (0.046 - 0.00198), rel=1e-3)


def test_small_objects_are_dearer_in_a_cold_class() -> None:
    rules = build_rules(ROOT, [], Wishes.of({"tier2": ["GLACIER_IR:1d", "OWN_CLASS:2d"]}))
    entries = [entry("tier2/x", 9, 2000)] * 1000
    first, second = estimate(rules, entries, ROOT, Prices(), moves_small=True)
    assert first.saves is not None
    assert first.saves < 0
    assert first.pays_back is None
    assert (second.once, second.month_after, second.pays_back) == (None, None, None)
