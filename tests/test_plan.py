"""A plan as a value: what it counts, shows, and refuses."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from archiver.base.humanize import json_bytes
from archiver.errors import PolicyError
from archiver.format.model import Record
from archiver.retention.decisions import Decisions, decide
from archiver.retention.plan import Frees, Plan, fingerprint
from archiver.retention.policy import Policy
from archiver.runs.outlines import outlines_of
from tests.test_decisions import record

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


RUNS = [
    replace(record("r1", "a", NOW - timedelta(days=3)), size=1_500_000),
    replace(record("r2", "a", NOW - timedelta(days=2)), size=999),
    record("r3", "a"),
    record("r4", "b"),
]


def decisions(runs: Sequence[Record], *details: str) -> Decisions:
    """Keep what is younger than a day, and the metrics of these runs."""
    kept = Policy(keep_within="1d", keep_tags=["metrics"])
    tags = {run: ["metrics"] for run in details}
    return decide(outlines_of(runs), tags, [kept, Policy(keep_within="1d", tiers=2, name="short")], NOW)


def plan(runs: Sequence[Record], *details: str, frees: Sequence[int] = ()) -> Plan:
    found = decisions(runs, *details)
    return Plan(
        url="here",
        now=NOW,
        policies=(Policy(keep_last=1, name="short"),),
        decisions=found,
        fingerprint="0",
        frees=Frees(found.runs, found.removing, np.array(frees, np.int64)),
        freed=1_501_000,
        freed_objects=3,
        shared=1,
        shared_bytes=5,
    )


PLAN = plan(RUNS, "r2", frees=[999, 1_500_000])


def test_it_shows_every_removal_with_its_reasons_and_the_sum_for_each_universe() -> None:
    assert str(PLAN).splitlines() == [
        "remove details r2 of a (999 B): older than 1d",
        "remove r1 of a (1.5 MB): older than 1d; not tagged metrics",
        "universe a: of 3 runs 1 stay whole, 1 go, 1 lose their details",
        "universe b: of 1 run 1 stay whole",
        "of 4 runs 2 stay whole, 1 go, 1 lose their details; gc frees 1.5 MB in 3 objects once its grace has passed",
        "1 shared object (5 B) stays: other runs use it",
    ]
    assert plan(RUNS[2:]).summary()[-1] == "nothing to remove"
    assert plan([]).share == 0


def test_what_each_removal_frees_is_found_by_its_run() -> None:
    assert dict(PLAN.frees) == {"r2": 999, "r1": 1_500_000}
    for other in ("r3", "r0", "r5"):
        assert PLAN.frees.get(other) is None


def test_a_plan_can_be_taken_elsewhere() -> None:
    assert str(pickle.loads(pickle.dumps(PLAN))) == str(PLAN)


def test_it_is_plain_data() -> None:
    document = json.loads(json_bytes(PLAN.document()))
    assert document["policies"] == ["short (keep-last 1)"]
    assert document["share"] == 0.5
    assert document["removals"][0] == {
        "run": "r2",
        "universe": "a",
        "created": "2026-03-29T12:00:00Z",
        "action": "remove details",
        "reasons": ["older than 1d"],
        "bytes": 999,
        "policy": "short",
    }
    assert [one["run"] for one in document["keeps"]] == ["r3", "r4"]


def test_it_refuses_to_remove_more_than_a_share() -> None:
    PLAN.check_share(0.5)
    with pytest.raises(PolicyError, match=r"50% of the runs \(2 of 4\).*49%.*--max-remove 51%"):
        PLAN.check_share(0.49)


def test_it_holds_while_its_removals_do() -> None:
    PLAN.check("0", decisions([]))  # nothing has changed at all
    PLAN.check("1", decisions([*RUNS, record("r5", "a", NOW - timedelta(days=9))], "r2"))
    with pytest.raises(PolicyError, match="run r2 is now to remove"):
        PLAN.check("1", decisions(RUNS))
    with pytest.raises(PolicyError, match="run r1 is gone already"):
        PLAN.check("1", decisions(RUNS[1:], "r2"))
    with pytest.raises(PolicyError, match="the plan is for here"):
        PLAN.check_url("there")


def fingerprint_of(runs: Sequence[Record], tags: dict[str, list[str]]) -> str:
    return fingerprint(outlines_of(runs), tags)


def test_the_fingerprint_tells_runs_records_and_tags_apart() -> None:
    a, b = record("a"), record("b")
    marks = [
        fingerprint_of([a, b], {}),
        fingerprint_of([a], {}),
        fingerprint_of([a, b], {"a": ["x"]}),
        fingerprint_of([a, b], {"b": ["x"]}),
        fingerprint_of([a, replace(b, size=9)], {}),
    ]
    assert len(set(marks)) == len(marks)
    assert fingerprint_of([b, a], {"c": ["x"]}) == marks[0]
