"""Details that leave an archive because a bundle holds them: when they go, when they stay, how they come back."""

from __future__ import annotations

from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, IntegrityError, NotKeptError, PolicyError
from archiver.format import layout
from archiver.transfer.bundle.place import locate
from archiver.transfer.bundle.remove import apply_removal
from tests.faults import flip
from tests.runs_made import everything, fill, opened, seen
from tests.stores import SharedStore


@pytest.fixture
def mine(tmp_path: Path) -> Archive:
    """Give an archive with runs of every kind."""
    archive = opened(tmp_path / "mine")
    fill(archive)
    return archive


def test_removed_details_are_archived_and_come_back(mine: Archive) -> None:
    runs = mine.run_ids()
    before = seen(mine, runs)
    mine.tag(runs[0], "pinned")
    made = mine.bundle(runs, "all")
    plan = mine.bundles.plan_removal("all")
    assert {item.run: item.remove for item in plan.items} == {run: run != runs[0] for run in runs}
    assert [item.reason for item in plan.items if item.run == runs[0]] == ["it is pinned"]
    assert seen(mine, runs[1:]) == {run: before[run] for run in runs[1:]}
    assert mine.bundles.apply_removal(plan) == tuple(runs[1:])
    assert sorted(mine.verify().archived) == runs[1:]
    assert mine.verify(read_data=True).ok
    assert {run.id: run.archived for run in mine.runs()} == {
        run: None if run == runs[0] else "all" for run in runs
    }
    record = next(record for record in mine.records() if record.archived and record.details)
    with pytest.raises(NotKeptError, match="archiver bundle restore all"):
        mine.load_strategy(record.details[0].strategy, record.universe, record.run)
    assert mine.load_metrics(run=record.run).num_rows == record.strategies
    assert mine.bundle(runs, "all").name == made.name
    with pytest.raises(ConfigError, match="bundle restore all"):
        mine.bundle(runs, "other")
    mine.gc("0d", apply=True)
    assert record.tier2 is None
    assert [entry for entry in mine.store.list(layout.TIER2) if record.run in entry.key] == []
    restored = mine.bundles.restore("all")
    assert list(restored.runs) == runs[1:]
    mine.untag(runs[0], "pinned")
    assert seen(mine, runs) == before
    assert mine.verify(read_data=True).ok


def test_undelete_brings_archived_details_back_within_the_grace(mine: Archive) -> None:
    runs = mine.run_ids()
    before = seen(mine, runs)
    mine.bundle(runs, "all")
    mine.bundles.apply_removal(mine.bundles.plan_removal("all"))
    for run in runs:
        mine.undelete(run)
    assert seen(mine, runs) == before


def test_nothing_is_removed_for_a_damaged_bundle_or_a_stale_plan(mine: Archive) -> None:
    runs = mine.run_ids()
    mine.bundle(runs, "all")
    plan = mine.bundles.plan_removal("all")
    before = everything(mine.store, but=("bundles/",))
    size = len(mine.store.get("bundles/all.tar.zst"))
    flip(mine.store, "bundles/all.tar.zst", at=size // 2)
    with pytest.raises(IntegrityError, match="nothing was removed"):
        mine.bundles.apply_removal(plan)
    flip(mine.store, "bundles/all.tar.zst", at=size // 2)
    mine.tag(runs[0], "pinned")
    with pytest.raises(PolicyError, match="plan again"):
        mine.bundles.apply_removal(plan)
    mine.untag(runs[0], "pinned")
    assert everything(mine.store, but=("bundles/",)) == before


def _without_details(archive: Archive) -> str:
    """Save two runs, and let a policy take the details of the older one; return that one."""
    rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
    run, _ = (archive.save_universe_results("one", rows, code="none").id for _ in range(2))
    archive.bundle([run], "full")
    archive.apply(archive.plan_prune(archiver.Policy(keep_last=1, tiers=2, universe="one")))
    assert archive.record(run).detail_removed
    archive.bundle([run], "poor")
    return run


def test_details_that_went_before_are_in_no_bundle(mine: Archive) -> None:
    run = _without_details(mine)
    plan = mine.bundles.plan_removal("poor")
    why = "its details went before: keep-last 1, tiers 2, universe one"
    assert [(item.run, item.remove, item.reason) for item in plan.items] == [(run, False, why)]
    assert mine.bundles.apply_removal(plan) == ()
    assert mine.record(run).archived is None


def test_a_bundle_without_details_does_not_hide_the_one_that_has_them(mine: Archive) -> None:
    run = _without_details(mine)
    mine.bundles.restore("full")
    mine.bundles.apply_removal(mine.bundles.plan_removal("full"))
    assert mine.bundles.restore("poor").there == (run,)
    assert mine.record(run).archived == "full"
    mine.bundles.restore("full")
    assert mine.load_strategy("s", run=run)["trades"] == [{"pnl": 1.0}]


def test_details_stay_where_another_upload_takes_the_place_of_the_bundle(mine: Archive) -> None:
    first, second, *_ = mine.run_ids()
    before = seen(mine, [first])
    other = mine.bundle([second], "other")
    data = mine.store.get(layout.bundle_key("other"))
    mine.bundle([first], "b")
    plan = mine.bundles.plan_removal("b")
    calls = SharedStore(mine.store, 0, lambda: None)
    apply_removal(calls, locate(mine.store, "b"), mine.bundles.plan_removal("b"))
    assert mine.record(first).archived == "b"
    mine.undelete(first)
    for at in range(calls.calls):
        mine.store.delete([layout.bundle_key("b")])
        mine.bundle([first], "b")
        store = SharedStore(mine.store, at, lambda: mine.store.put(layout.bundle_key("b"), data))
        with pytest.raises(PolicyError, match="plan again"):
            apply_removal(store, locate(mine.store, "b"), plan)
        assert mine.bundles.verify("b").runs == other.runs
        assert seen(mine, [first]) == before
        assert mine.verify(read_data=True).ok
