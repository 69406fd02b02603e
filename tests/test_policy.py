"""The policy engine: golden files, durations by the calendar, and rules that hold for all runs and policies."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import PolicyError
from archiver.format.model import Record, Ref
from archiver.retention.policy import Decision, Policy, before, decide, parse_policies, refuse_empty

GOLDEN = Path(__file__).parent / "golden" / "policies"
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def record(
    run: str,
    universe: str = "u",
    created: datetime = NOW,
    metrics: dict[str, float] | None = None,
    *,
    detail: bool = True,
) -> Record:
    return Record(
        run=run,
        universe=universe,
        created=created,
        strategies=1,
        top_n=1,
        tier2=Ref(f"tier2/{run}", 10, "0" * 64) if detail else None,
        metrics={name: (value - 1, value) for name, value in (metrics or {}).items()},
    )


@pytest.mark.parametrize("case", sorted(GOLDEN.glob("*.toml")), ids=lambda path: path.stem)
def test_decisions_are_the_golden_ones(case: Path) -> None:
    given_ = tomllib.loads(case.read_text())
    records = [
        record(one["id"], one["universe"], one["created"], one.get("metrics"), detail=one.get("detail", True))
        for one in given_["run"]
    ]
    tags = {one["id"]: one.get("tags", []) for one in given_["run"]}
    decisions = decide(records, tags, parse_policies(given_["policy"]), given_["now"])
    lines = []
    for one in decisions:
        policy = f" [{one.policy}]" if one.policy else ""
        lines.append(f"{one.universe} | {one.run} | {one.action} | {'; '.join(one.reasons)}{policy}\n")
    assert "".join(lines) == case.with_suffix(".txt").read_text()


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


def test_a_misspelt_metric_is_an_error_that_suggests_the_right_one() -> None:
    records = [record("a", metrics={"sharpe_ratio": 1.0}), record("b", "v", metrics={"profit": 1.0})]
    with pytest.raises(PolicyError, match=r"'sharp_ratio'.*did you mean 'sharpe_ratio'"):
        decide(records, {}, [Policy(keep_best="sharp_ratio:1")], NOW)
    # Another universe has it, the one that is meant has not.
    with pytest.raises(PolicyError, match="no run has a number as metric 'sharpe_ratio'"):
        decide(records, {}, [Policy(keep_best="sharpe_ratio:1", universe="v")], NOW)
    assert decide([], {}, [Policy(keep_best="sharp_ratio:1")], NOW) == []


def test_a_policy_that_keeps_nothing_is_refused() -> None:
    records = [record("a", created=NOW - timedelta(days=3)), record("b", "v")]
    for policy in (Policy(), Policy(universe="none")):
        with pytest.raises(PolicyError, match="without rules"):
            refuse_empty(decide(records, {}, [policy], NOW), [policy])
    for policy in (
        Policy(keep_last=0),
        Policy(keep_within="1d", universe="u"),
        Policy(keep_within="1d", universe="u", tiers=2),
    ):
        with pytest.raises(PolicyError, match="keeps none of the"):
            refuse_empty(decide(records, {}, [policy], NOW), [policy])
        # A pin does not show that the rest may go, but where nothing goes there is nothing to refuse.
        pinned = decide(records, {"a": ["pinned"]}, [policy], NOW)
        if policy.universe == "u":
            refuse_empty(pinned, [policy])
        else:
            with pytest.raises(PolicyError, match="but what is pinned"):
                refuse_empty(pinned, [policy])
    refuse_empty(decide(records, {}, [Policy(keep_within="1d")], NOW), [Policy(keep_within="1d")])


def test_runs_without_details_are_not_what_a_policy_on_details_keeps() -> None:
    records = [record("a", created=NOW - timedelta(days=3)), record("b", detail=False)]
    policy = Policy(keep_within="1d", tiers=2)
    with pytest.raises(PolicyError, match="keeps none of the 1 details"):
        refuse_empty(decide(records, {}, [policy], NOW), [policy])
    # Whole runs are another matter: the newest stays.
    whole = Policy(keep_within="1d")
    refuse_empty(decide(records, {}, [whole], NOW), [whole])


def test_a_pinned_run_that_a_rule_keeps_too_counts() -> None:
    records = [record("a"), record("b", created=NOW - timedelta(days=3))]
    for policy in (Policy(keep_last=1), Policy(keep_tags=["pinned"])):
        refuse_empty(decide(records, {"a": ["pinned"]}, [policy], NOW), [policy])


RUNS = st.lists(
    st.builds(
        lambda n, universe, days, sharpe, tags, detail: (
            record(
                f"r{n}",
                universe,
                NOW - timedelta(days=days),
                {} if sharpe is None else {"sharpe_ratio": sharpe},
                detail=detail,
            ),
            tags,
        ),
        st.integers(0, 10_000),
        st.sampled_from(["a", "b", "ab"]),
        st.integers(-2, 60),
        st.none() | st.floats(-2, 2).map(lambda value: round(value, 1)),
        st.lists(st.sampled_from(["pinned", "x", "y"]), unique=True),
        st.booleans(),
    ),
    unique_by=lambda item: item[0].run,
    max_size=25,
)
POLICIES = st.lists(
    st.builds(
        Policy,
        keep_within=st.none() | st.sampled_from(["1d", "2w", "1mo"]),
        keep_last=st.none() | st.integers(0, 5),
        keep_tags=st.lists(st.sampled_from(["x", "y"]), max_size=1),
        tiers=st.sampled_from(["all", 2]),
        universe=st.sampled_from(["*", "a", "a*"]),
    ),
    max_size=3,
)


def actions(decisions: list[Decision]) -> dict[str, str]:
    return {one.run: one.action for one in decisions}


@given(RUNS, POLICIES)
def test_decisions_hold_together(runs: list[tuple[Record, list[str]]], policies: list[Policy]) -> None:
    records = [one for one, _ in runs]
    tags = {one.run: labels for one, labels in runs}
    decisions = decide(records, tags, policies, NOW)

    assert sorted(one.run for one in decisions) == sorted(one.run for one in records)
    assert all(one.reasons for one in decisions)
    assert decide(records[::-1], tags, policies, NOW) == decisions  # the order in does not matter
    for one in decisions:
        if "pinned" in tags[one.run]:
            assert one.action == "keep"
        if one.action != "keep":
            assert one.policy
    # What is kept stays kept once the rest is gone: a second prune finds nothing to do.
    left = [one for one in records if actions(decisions)[one.run] != "remove"]
    gone = {one.run for one in decisions if one.action == "remove details"}
    left = [
        record(one.run, one.universe, one.created, detail=False) if one.run in gone else one for one in left
    ]
    assert all(one.action == "keep" for one in decide(left, tags, policies, NOW))
    # One more rule never removes more.
    for at, policy in enumerate(policies):
        looser = Policy(policy.keep_within, policy.keep_last, (), ["x", "y"], policy.tiers, policy.universe)
        again = actions(decide(records, tags, [*policies[:at], looser, *policies[at + 1 :]], NOW))
        kept = [run for run, action in actions(decisions).items() if action == "keep"]
        assert all(again[run] == "keep" for run in kept)
