"""Packed runs are ranked by columns: by the same numbers, with the same reasons, as their records say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from archiver.archive import Archive
from archiver.format import layout
from archiver.retention.decisions import Decision
from archiver.retention.policy import Policy
from archiver.runs.packed.scores import greatest
from archiver.runs.record_view import viewed
from archiver.store import Store
from tests.stores import MovedStore, fresh_store, snapshot

RUNS: list[list[dict[str, Any]]] = [
    [{"sharpe": 1.5, "n": 3, "mixed": 1}, {"sharpe": 2.5, "n": 2**62, "mixed": "text"}],
    [{"sharpe": math.nan, "n": None, "mixed": 0.5}, {"sharpe": -1.0, "odd": True}],
    [{"sharpe": math.inf, "n": 2**70, "mixed": "none", "great": 1e300}],
    [{"n": -5, "params": {"sharpe": 9.0}, "universe": 7.0, "run": -0.0}],
    [{"sharpe": 0.1 * at, "n": at, "odd": at % 2 == 0} for at in range(5_000)],
    [{"sharpe": 2.5, "only here": 1e18, "odd": 2}],
    [{"other": None}],
]
METRICS = [
    "sharpe",
    "n",
    "mixed",
    "odd",
    "universe",
    "run",
    "params",
    "params.sharpe",
    "only here",
    "other",
    "nowhere",
]


def test_packed_runs_are_ranked_as_loose_ones() -> None:
    store = fresh_store()
    archive = Archive(store)
    for at, rows in enumerate(RUNS):
        results = [{"strategy_name": f"s{place}", **row} for place, row in enumerate(rows)]
        archive.save_universe_results("ab"[at % 2], results)
    records = archive.records()
    known = {name for record in records for name in record.metrics}
    assert known == {*METRICS} - {"params", "params.sharpe", "great", "other", "nowhere"}
    every = [Policy(keep_best=[(name, 1), (name, 3)]) for name in METRICS if name in known]

    def plans(one: Store) -> list[list[Decision]]:
        some = [every, *([policy] for policy in every)]
        return [[*Archive(one).plan_prune(*policies, allow_empty=True).decisions] for policies in some]

    loose = plans(store)
    packed = MovedStore(fresh_store(snapshot(store)))
    assert Archive(packed).compact() == len(RUNS)
    assert not list(packed.list(layout.RUNS))
    assert plans(packed) == loose
    assert any("among the best 3 by sharpe (2.5)" in one.reasons for one in loose[1])

    packs = viewed(packed).packs
    (pack,) = packs.live()
    scores = greatest(packs, pack, METRICS)
    rows = packs.rows(pack)
    for record in records:
        (row,) = rows.rows[rows.runs == record.run.encode()]
        own = {name: column[row] for name, column in scores.items() if not np.isnan(column[row])}
        assert own == {name: record.metrics[name][1] for name in METRICS if name in record.metrics}
