"""A plan as a value: what it counts, shows, and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from archiver.base.humanize import json_bytes
from archiver.errors import PolicyError
from archiver.retention.plan import Plan, fingerprint
from archiver.retention.policy import Decision, Policy
from tests.test_policy import record

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def decision(run: str, universe: str, action: str) -> Decision:
    return Decision(run, universe, NOW, action, ("because", "and so"), "p")  # type: ignore[arg-type]


PLAN = Plan(
    url="here",
    now=NOW,
    policies=(Policy(keep_last=1, name="short"),),
    decisions=(
        decision("r1", "a", "remove"),
        decision("r2", "a", "remove details"),
        decision("r3", "a", "keep"),
        decision("r4", "b", "keep"),
    ),
    fingerprint="0",
    frees={"r1": 1_500_000, "r2": 999},
    freed=1_501_000,
    freed_objects=3,
    shared=1,
    shared_bytes=5,
)


def test_it_shows_every_removal_with_its_reasons_and_the_sum_for_each_universe() -> None:
    assert str(PLAN).splitlines() == [
        "remove r1 of a (1.5 MB): because; and so",
        "remove details r2 of a (999 B): because; and so",
        "universe a: of 3 runs 1 stay whole, 1 go, 1 lose their details",
        "universe b: of 1 run 1 stay whole",
        "of 4 runs 2 stay whole, 1 go, 1 lose their details; gc frees 1.5 MB in 3 objects once its grace has passed",
        "1 shared object (5 B) stays: other runs use it",
    ]
    kept = replace(PLAN, decisions=PLAN.decisions[2:])
    assert kept.summary()[-1] == "nothing to remove"
    assert replace(PLAN, decisions=()).share == 0


def test_it_is_plain_data() -> None:
    document = json.loads(json_bytes(PLAN.document()))
    assert document["policies"] == ["short (keep-last 1)"]
    assert document["share"] == 0.5
    assert document["removals"][0] == {
        "run": "r1",
        "universe": "a",
        "created": "2026-03-31T12:00:00Z",
        "action": "remove",
        "reasons": ["because", "and so"],
        "bytes": 1_500_000,
        "policy": "p",
    }
    assert [one["run"] for one in document["keeps"]] == ["r3", "r4"]


def test_it_refuses_to_remove_more_than_a_share() -> None:
    PLAN.check_share(0.5)
    with pytest.raises(PolicyError, match=r"50% of the runs \(2 of 4\).*49%.*--max-remove 51%"):
        PLAN.check_share(0.49)


def test_it_holds_while_its_removals_do() -> None:
    PLAN.check("0", [])  # nothing has changed at all
    PLAN.check("1", [*PLAN.decisions, decision("r5", "a", "remove")])
    with pytest.raises(PolicyError, match="run r2 is now to remove"):
        PLAN.check("1", [*PLAN.decisions[:1], decision("r2", "a", "remove")])
    with pytest.raises(PolicyError, match="run r1 is gone already"):
        PLAN.check("1", PLAN.decisions[1:])
    with pytest.raises(PolicyError, match="the plan is for here"):
        PLAN.check_url("there")


def test_the_fingerprint_tells_runs_records_and_tags_apart() -> None:
    a, b = record("a"), record("b")
    marks = [
        fingerprint([a, b], {}),
        fingerprint([a], {}),
        fingerprint([a, b], {"a": ["x"]}),
        fingerprint([a, b], {"b": ["x"]}),
        fingerprint([a, replace(b, size=9)], {}),
    ]
    assert len(set(marks)) == len(marks)
    assert fingerprint([b, a], {"c": ["x"]}) == marks[0]
