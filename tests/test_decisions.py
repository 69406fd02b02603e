"""Decisions on runs: golden files, and what holds for all runs and policies."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import PolicyError
from archiver.format.model import Record, Ref
from archiver.retention.decisions import Decision, Decisions, refuse_empty
from archiver.retention.decisions import decide as decide_on
from archiver.retention.policy import Policy, judged_by, parse_policies
from archiver.runs.outlines import outlines_of

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden" / "policies"


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


def decide(
    records: Sequence[Record], tags: dict[str, list[str]], policies: Sequence[Policy], now: datetime
) -> Decisions:
    return decide_on(outlines_of(records, judged_by(policies)), tags, policies, now)


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


def test_a_misspelt_metric_is_an_error_that_suggests_the_right_one() -> None:
    records = [record("a", metrics={"sharpe_ratio": 1.0}), record("b", "v", metrics={"profit": 1.0})]
    with pytest.raises(PolicyError, match=r"'sharp_ratio'.*did you mean 'sharpe_ratio'"):
        decide(records, {}, [Policy(keep_best="sharp_ratio:1")], NOW)
    # Another universe has it, the one that is meant has not.
    with pytest.raises(PolicyError, match="no run has a number as metric 'sharpe_ratio'"):
        decide(records, {}, [Policy(keep_best="sharpe_ratio:1", universe="v")], NOW)
    assert decide([], {}, [Policy(keep_best="sharp_ratio:1")], NOW)[:] == ()


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


def actions(decisions: Sequence[Decision]) -> dict[str, str]:
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
