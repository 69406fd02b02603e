"""How rules are read and merged with those of others, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ArchiverError, PolicyError, StorageError
from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.retention.bucket_rules import (
    Change,
    Rule,
    Wishes,
    at_risk,
    build_rules,
    dangers,
    describe,
    is_ours,
    merge,
    parse,
    protected_tags,
    refuse,
    refuse_pins,
)
from archiver.retention.bucket_rules.document import EMPTY, Xml, element, rule
from archiver.retention.policy import Policy
from archiver.runs.tags import PINNED

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


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "some",
        "some/prefix/runs/",
        "some/prefix/tapes/ab/",
        "some/prefix/packs/",
        "some/prefix/masks/",
        "some/prefix/open/",
        "some/prefix/rev",
    ],
)
def test_rules_of_others_that_would_harm_the_archive_are_named(prefix: str) -> None:
    (text,) = dangers([expire(prefix, 3, "cleaner")], ROOT)
    assert text.startswith("rule cleaner, which is not archiver's, removes objects of this archive")
    assert dangers([made(prefix, status="Disabled")], ROOT) == []


def test_rules_of_others_elsewhere_are_no_danger() -> None:
    abort = element("AbortIncompleteMultipartUpload", element("DaysAfterInitiation", 3))
    warm = element("Transition", element("Days", 3), element("StorageClass", "GLACIER_IR"))
    assert dangers([expire("logs/", 1), made("", abort), made("", warm)], ROOT) == []


def test_every_refusal_is_one_line() -> None:
    for broken in (made(""), made(ROOT + layout.TRASH)):
        with pytest.raises(ArchiverError) as caught:
            refuse(changed(broken))
        assert "\n" not in str(caught.value)
