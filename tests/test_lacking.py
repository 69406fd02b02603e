"""What a store lacks of the runs that it has, by listings and by records."""

from __future__ import annotations

import pytest

from archiver.archive import Archive
from archiver.format import layout
from archiver.retention.policy import Policy
from archiver.runs.records import load_record
from archiver.store import Store, open_store
from archiver.transfer.lacking import Lack, judge_run, lacking
from tests.stores import fresh_store, save, snapshot

pytestmark = pytest.mark.usefixtures("details_apart")


def pair() -> tuple[Store, Store, list[str]]:
    """Make two stores with the same three runs."""
    source = fresh_store()
    runs = [save(source, f"u{at}", strategies=100, bars=40).run for at in range(3)]
    target = open_store(f"memory://lacking-{runs[0]}")
    for key, data in snapshot(source).items():
        target.put(key, data)
    return source, target, runs


def test_listings_tell_which_runs_lack_objects_of_their_own() -> None:
    source, target, runs = pair()
    assert lacking(source, target, layout.TIER1) == lacking(source, target, layout.TIER2) == set()
    target.put("tier2/notes.txt", b"mine")
    source.put("tier2/others.txt", b"mine")
    for at, run in enumerate(runs):
        target.delete([layout.tier2_key(f"u{at}", run)])
        assert lacking(source, target, layout.TIER2) == set(runs[: at + 1])
    assert lacking(source, target, layout.TIER1) == set()
    assert lacking(target, source, layout.TIER2) == set()


def test_a_run_is_judged_by_the_record_that_the_target_has() -> None:
    source, target, runs = pair()
    run = runs[0]
    record = load_record(target, run)
    assert record.tier1 is not None
    assert judge_run(source, target, False, [run], run) == Lack()
    target.delete([record.tier1.key])
    assert judge_run(source, target, False, [], run) == Lack()
    assert judge_run(source, target, False, [run], run).refs == (record.tier1,)
    assert judge_run(source, target, True, [run], run) == Lack(again=True)
    archive = Archive(target)
    archive.apply(archive.plan_prune(Policy(keep_last=0, tiers=2), allow_empty=True), max_remove=1)
    assert judge_run(source, target, False, [run], run).refs == (record.tier1,)
    assert judge_run(source, target, True, [run], run) == Lack(again=True)
    target.delete([layout.record_key(run)])
    assert judge_run(source, target, False, [run], run) == Lack(again=True)
    source.delete([layout.record_key(run)])
    assert judge_run(source, target, False, [run], run) == Lack()
