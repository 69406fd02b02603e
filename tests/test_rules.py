"""Bucket rules as values: what is built, merged, refused, estimated and simulated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver import layout
from archiver.errors import ArchiverError, ConfigError, PolicyError, StorageError
from archiver.model import Entry, Record, Ref
from archiver.policy import PINNED, Policy
from archiver.rules import (
    Change,
    Estimate,
    Prices,
    Rule,
    Wishes,
    at_risk,
    build_rules,
    dangers,
    describe,
    estimate,
    inexpressible,
    is_ours,
    merge,
    parse,
    protected_tags,
    refuse,
    refuse_pins,
    simulate,
)
from archiver.rules.build import days_of
from archiver.rules.document import EMPTY, Xml, element, rule

ROOT = "some/prefix/"
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
MONTH = Policy(keep_within="30d", tiers=2)
FOREIGN = b"""<?xml version="1.0"?>
<s3:LifecycleConfiguration xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/" xmlns:x="urn:newer">
  <!-- kept by hand -->
  <s3:Rule><s3:ID>logs &amp; more</s3:ID><s3:Prefix>logs/</s3:Prefix><s3:Status>Enabled</s3:Status>
    <s3:Expiration><s3:Days>007</s3:Days></s3:Expiration><x:Fancy>yes</x:Fancy></s3:Rule>
  <s3:Rule><s3:ID>tagged</s3:ID><s3:Filter><s3:And><s3:Prefix>a</s3:Prefix><s3:Tag><s3:Key>k</s3:Key><s3:Value> v </s3:Value></s3:Tag>
    <s3:ObjectSizeGreaterThan>10</s3:ObjectSizeGreaterThan></s3:And></s3:Filter><s3:Status>Disabled</s3:Status>
    <s3:Transition><s3:Date>2030-01-01T00:00:00.000Z</s3:Date><s3:StorageClass>GLACIER</s3:StorageClass></s3:Transition></s3:Rule>
</s3:LifecycleConfiguration>
"""


def made(prefix: str, *actions: Xml, name: str = "archiver-x", status: str = "Enabled") -> Rule:
    actions = actions or (element("Expiration", element("Days", 3)),)
    scope = element("Filter", element("Prefix", prefix))
    return rule(element("Rule", element("ID", name), scope, element("Status", status), *actions))


def expire(prefix: str, days: int, name: str = "theirs") -> Rule:
    return made(prefix, element("Expiration", element("Days", days)), name=name)


def texts(rules: tuple[Rule, ...]) -> list[str]:
    return [describe(one, ROOT) for one in rules]


# -- building ------------------------------------------------------------------------------------------------


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
        ({"tier3": "GLACIER:1d"}, "did you mean tier2?"),
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


# -- reading and merging -------------------------------------------------------------------------------------


def test_what_a_rule_says_is_read_in_every_spelling() -> None:
    first, second = parse(FOREIGN).rules
    assert (first.id, first.prefix, first.expire_days, first.enabled) == ("logs & more", "logs/", 7, True)
    assert not first.known, "an element of another namespace"
    assert (second.tags, second.larger, second.enabled) == ((("k", " v "),), 10, False)
    assert second.moves[0].date == datetime(2030, 1, 1, tzinfo=UTC)
    assert describe(second, ROOT) == (
        "a: move to GLACIER on 2030-01-01 (only tag k= v , larger than 10 B) (disabled)"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<Prefix>a</Prefix><Status>Enabled</Status>", "<Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status>"),
        ("<Filter/><Status>Enabled</Status>", "<Prefix/><Status>Enabled</Status>"),
        ("<Status>Enabled</Status><Filter></Filter>", "<Filter><Prefix></Prefix></Filter><Status>Enabled</Status>"),
        ("<Prefix>a</Prefix><Filter><Prefix>a</Prefix></Filter><Transition/>", "<Filter><Prefix>a</Prefix></Filter>"),
        ("<Expiration><Days>3</Days><ExpiredObjectDeleteMarker>False</ExpiredObjectDeleteMarker></Expiration>",
         "<Expiration><Days>3</Days></Expiration>"),
        ("<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>",
         "<Expiration><Date>2030-01-01T00:00:00+00:00</Date></Expiration>"),
    ],
)  # fmt: skip
def test_the_same_said_otherwise_is_the_same(one: str, other: str) -> None:
    assert rule(f"<Rule>{one}</Rule>").meaning == rule(f"<Rule>{other}</Rule>").meaning


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<Prefix>a</Prefix>", "<Prefix>a </Prefix>"),
        ("<Prefix>1</Prefix>", "<Prefix>01</Prefix>"),
        ("<Prefix>a</Prefix><Filter><Prefix>b</Prefix></Filter>", "<Filter><Prefix>b</Prefix></Filter>"),
        ("<Filter><And><Prefix>a</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>",
         "<Filter><And><Prefix>a</Prefix></And></Filter>"),
        ("<Expiration><Days>3</Days></Expiration>", "<Expiration><Days>30</Days></Expiration>"),
        ("<Filter><Prefix>a</Prefix></Filter>", "<Filter/>"),
    ],
)  # fmt: skip
def test_what_differs_is_not_the_same(one: str, other: str) -> None:
    assert rule(f"<Rule>{one}</Rule>").meaning != rule(f"<Rule>{other}</Rule>").meaning


def test_rules_of_others_stay_byte_for_byte() -> None:
    wanted = build_rules(ROOT, [MONTH], Wishes())
    change = merge(parse(FOREIGN), wanted, ROOT)
    refuse(change)
    head, tail = FOREIGN.split(b"</s3:LifecycleConfiguration>")
    assert change.xml.startswith(head)
    assert change.xml.endswith(b"</s3:LifecycleConfiguration>" + tail)
    back = merge(parse(change.xml), (), ROOT)
    assert back.xml == FOREIGN
    assert back.remove == parse(change.xml).rules[2:]


def test_merging_twice_changes_nothing_more() -> None:
    wanted = build_rules(ROOT, [MONTH], Wishes())
    once = merge(parse(FOREIGN), wanted, ROOT)
    twice = merge(parse(once.xml), wanted, ROOT)
    assert twice.empty
    assert twice.xml == once.xml
    assert len(twice.stay) == len(wanted)


def test_a_changed_age_replaces_one_rule() -> None:
    once = merge(parse(None), build_rules(ROOT, [MONTH], Wishes()), ROOT)
    longer = build_rules(ROOT, [replace(MONTH, keep_within="60d")], Wishes())
    change = merge(parse(once.xml), longer, ROOT)
    assert texts(change.remove) == ["tier2/: expire after 30 days"]
    assert texts(change.add) == ["tier2/: expire after 60 days"]
    assert len(change.stay) == 3


def test_rules_of_another_archive_in_the_bucket_are_not_ours() -> None:
    for root, other in (("", "some/prefix/"), ("some/prefix/", ""), ("a/", "a/b/")):
        theirs = build_rules(other, [MONTH], Wishes(), versioned=True)
        change = merge(parse(merge(parse(None), theirs, other).xml), (), root)
        assert change.empty, (root, other)
        assert len(change.others) == len(theirs)


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)


@given(
    st.lists(st.tuples(NAMES, NAMES, st.integers(1, 999), st.booleans()), max_size=6),
    st.sampled_from(["", "some/prefix/", "ünï/"]),
    st.lists(st.tuples(st.sampled_from(["u*", "u1", "ü&<", "*"]), st.integers(1, 500)), max_size=3),
)
def test_merge_keeps_whatever_others_have(
    others: list[tuple[str, str, int, bool]], root: str, ages: list[tuple[str, int]]
) -> None:
    theirs = [
        made(prefix, element("Expiration", element("Days", days)), name=f"their {name}",
             status="Enabled" if on else "Disabled")
        for name, prefix, days, on in others
    ]  # fmt: skip
    found = parse(parse(None).replaced((), theirs))
    policies = [Policy(keep_within=f"{days}d", tiers=2, universe=name) for name, days in ages]
    wanted = build_rules(root, policies, Wishes(), versioned=True)
    change = merge(found, wanted, root)
    after = parse(change.xml)
    assert [one.xml for one in after.rules[: len(theirs)]] == [one.xml for one in theirs]
    assert sorted(one.id for one in after.rules[len(theirs) :]) == sorted({one.id for one in wanted})
    assert merge(after, (), root).xml == found.xml
    assert all(is_ours(one, root) for one in wanted)


@pytest.mark.parametrize(
    "xml", [b"", b"<ListBucketResult/>", b"<LifecycleConfiguration><Rule>", b"plain text", b"\xff\xfe"]
)
def test_what_is_no_configuration_is_refused(xml: bytes) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        parse(xml)


@pytest.mark.parametrize(
    "xml", [EMPTY, b"<LifecycleConfiguration/>", b"<LifecycleConfiguration> </LifecycleConfiguration>"]
)
def test_an_empty_configuration_takes_rules(xml: bytes) -> None:
    change = merge(parse(xml), build_rules(ROOT, [MONTH], Wishes()), ROOT)
    assert len(parse(change.xml).rules) == 4


# -- refusing ------------------------------------------------------------------------------------------------


def changed(*rules: Rule, root: str = ROOT, others: tuple[Rule, ...] = ()) -> Change:
    xml = parse(None).replaced((), [*others, *rules])
    return Change(root, rules, (), (), others, xml)


@pytest.mark.parametrize("root", ["", ROOT])
@pytest.mark.parametrize(
    "below",
    [
        "",
        "runs/",
        "runs/2025",
        "tags/",
        "code/",
        "tapes/",
        "tier1/",
        "t",
        "tier",
        "archive.json",
        "trash",
        "x/",
    ],
)
def test_no_rule_may_cover_what_runs_are_made_of(root: str, below: str) -> None:
    with pytest.raises(PolicyError, match="would cover"):
        refuse(changed(made(root + below), root=root))


@pytest.mark.parametrize("prefix", ["", "som", "some/prefix", "other/tier2/"])
def test_no_rule_may_reach_beyond_the_archive(prefix: str) -> None:
    with pytest.raises(PolicyError, match="would cover"):
        refuse(changed(made(prefix)))


@pytest.mark.parametrize("area", [layout.BUNDLES, layout.TRASH, layout.CATALOG])
def test_only_details_expire_by_age(area: str) -> None:
    with pytest.raises(PolicyError, match="only details expire"):
        refuse(changed(made(ROOT + area)))


def test_only_details_and_bundles_move() -> None:
    move = element("Transition", element("Days", 3), element("StorageClass", "GLACIER"))
    with pytest.raises(PolicyError, match="only details and bundles"):
        refuse(changed(made(ROOT + layout.TRASH, move)))


def test_a_bucket_takes_a_thousand_rules() -> None:
    theirs = tuple(expire(f"x{at}/", 3, f"r{at}") for at in range(996))
    wanted = build_rules(ROOT, [MONTH], Wishes())
    refuse(changed(*wanted, others=theirs))
    with pytest.raises(PolicyError, match="1001 rules"):
        refuse(changed(*wanted, others=(*theirs, expire("y/", 3))))


def test_a_name_is_not_taken_twice() -> None:
    (one,) = build_rules(ROOT, [MONTH], Wishes(abort_days=None))
    taken = expire("logs/", 3, one.id)
    with pytest.raises(PolicyError, match=f"two rules would be called {one.id}"):
        refuse(merge(parse(parse(None).replaced((), [taken])), [one], ROOT))


def record(run: str, universe: str = "u1", *, detailed: bool = True, archived: str | None = None) -> Record:
    tier2 = Ref(layout.tier2_key(universe, run), 5, "0" * 64) if detailed else None
    return Record(run, universe, NOW, 1, 1, tier2=tier2, archived=archived)


def test_a_rule_that_would_expire_pinned_details_is_refused_and_the_runs_are_named() -> None:
    runs = [f"20250101T00000{at}Z-0000000{at}" for at in range(8)]
    records = [record(run) for run in runs]
    rules = build_rules(ROOT, [MONTH], Wishes())
    tags = {runs[1]: ["pinned"], runs[2]: ["nightly"]}
    with pytest.raises(PolicyError) as caught:
        refuse_pins(at_risk(rules, records, tags, ROOT, {PINNED}))
    assert runs[1] in str(caught.value)
    assert runs[2] not in str(caught.value)
    assert f"archiver bundle create NAME {runs[1]}" in str(caught.value)
    with pytest.raises(PolicyError, match=rf"{runs[4]} and 3 more"):
        refuse_pins(at_risk(rules, records, {run: ["pinned"] for run in runs}, ROOT, {PINNED}))
    with pytest.raises(PolicyError, match=r"has such a rule already.*--keep-within never"):
        refuse_pins(records, now=True)


@pytest.mark.parametrize(
    "one", [record("r", detailed=False), record("r", archived="important"), record("r", universe="v1")]
)
def test_a_pinned_run_without_details_there_or_in_a_bundle_is_no_obstacle(one: Record) -> None:
    rules = build_rules(ROOT, [Policy(keep_within="30d", tiers=2, universe="u*")], Wishes())
    assert at_risk(rules, [one], {"r": ["pinned"]}, ROOT, {PINNED}) == []


def test_what_a_policy_keeps_by_tag_is_protected_like_pinned() -> None:
    policy = replace(MONTH, keep_tags=["paper"])
    other = replace(MONTH, keep_tags=["other"], universe="v*")
    tags = protected_tags([policy, other, Policy(keep_tags=["whole"])], PINNED, "u")
    assert tags == {"pinned", "paper"}
    rules = build_rules(ROOT, [policy], Wishes())
    assert at_risk(rules, [record("r")], {"r": ["paper", "x"]}, ROOT, tags) == [record("r")]
    refuse_pins([])


def test_moves_and_old_versions_do_not_touch_pins() -> None:
    rules = build_rules(ROOT, [], Wishes.of({"tier2": "GLACIER_IR:30d"}), versioned=True)
    assert at_risk(rules, [record("r")], {"r": ["pinned"]}, ROOT, {PINNED}) == []


@pytest.mark.parametrize("prefix", ["", "some", "some/prefix/runs/", "some/prefix/tapes/ab/"])
def test_rules_of_others_that_would_harm_the_archive_are_named(prefix: str) -> None:
    (text,) = dangers([expire(prefix, 3, "cleaner")], ROOT)
    assert text.startswith("rule cleaner, which is not archiver's, removes objects of this archive")
    assert dangers([made(prefix, status="Disabled")], ROOT) == []


def test_rules_of_others_elsewhere_are_no_danger() -> None:
    abort = element("AbortIncompleteMultipartUpload", element("DaysAfterInitiation", 3))
    warm = element("Transition", element("Days", 3), element("StorageClass", "GLACIER_IR"))
    assert dangers([expire("logs/", 1), made("", abort), made("", warm)], ROOT) == []


# -- simulating and estimating -------------------------------------------------------------------------------


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


def test_every_refusal_is_one_line() -> None:
    for broken in (made(""), made(ROOT + layout.TRASH)):
        with pytest.raises(ArchiverError) as caught:
            refuse(changed(broken))
        assert "\n" not in str(caught.value)
