"""A small run is one object: its details and tags stand in its record, and behave as those of larger runs."""

from __future__ import annotations

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import archiver
from archiver.archive import Archive
from archiver.errors import IntegrityError, NotKeptError
from archiver.format import layout
from archiver.format.detail import Kept, decode_detail, encode_details
from archiver.format.extras import Shared
from archiver.format.inline import InlineTable
from archiver.format.parquet import ParquetObject
from archiver.format.tapes import cut_windows
from archiver.retention.policy import Policy
from archiver.runs import write
from archiver.runs.records import load_record
from tests.conftest import Cli, Place
from tests.same import same
from tests.stores import result, snapshot
from tests.test_format_rows import one_nan, tables
from tests.wire import Wire

RESULT: dict[str, Any] = {
    "strategy_name": "a",
    "sharpe_ratio": 1.5,
    "trades": [{"pnl": 1.0, "side": "long"}, {"pnl": -2, "side": None}],
    "equity_curve": [100.0, 101, 99.5],
    "drawdown_curve": [0.0, 0.0, -0.1],
}
DETAILS = Policy(keep_within="0s", tiers=2)


def save(archive: Archive, **how: Any) -> archiver.Run:
    return archive.save_universe_results("u", [RESULT], code="none", **how)


def intact(archive: Archive, **how: Any) -> bool:
    found = archive.load_strategy("a", **how)
    return same(
        [found["trades"], found["equity_curve"], found["drawdown_curve"]],
        [RESULT["trades"], RESULT["equity_curve"], RESULT["drawdown_curve"]],
    )


def lose_details(archive: Archive) -> None:
    plan = archive.plan_prune(DETAILS, allow_empty=True)
    done = archive.apply(plan, max_remove=1)
    assert (len(done.reduced), done.removed) == (1, [])


# -- one object ----------------------------------------------------------------------------------------------


def test_a_small_run_is_one_object_and_one_request(wired_place: Place, wire: Wire) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    save(archive)
    wire.counts.clear()
    run = save(archive, tags=["t"])
    assert dict(wire.counts) == {"PUT": 1}
    keys = sorted(key for key in snapshot(archive.store) if run.id in key)
    assert keys == [layout.record_key(run.id)]
    assert json.loads(archive.store.get(layout.ARCHIVE))["format"] == 2
    assert (run.tags, run.detailed, archive.record(run.id).format) == (("t",), 1, 2)
    again = archiver.open(wired_place.url, **wired_place.options)
    assert intact(again)
    assert again.runs(tag="t") == [run]


def test_with_code_a_save_is_a_put_and_one_look(wired_place: Place, wire: Wire, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.py").write_text(f"name = {name!r}\n")
    archive = archiver.open(wired_place.url, **wired_place.options)
    keep = partial(archive.save_universe_results, "u", [RESULT], code=str(tmp_path))
    keep()
    wire.counts.clear()
    keep()
    assert dict(wire.counts) == {"PUT": 1, "HEAD": 1}


@pytest.mark.parametrize("losing", ["run", "details"])
def test_code_that_went_with_the_last_run_is_written_again(archive: Archive, losing: str) -> None:
    """The run before was removed, and gc without a grace took what it alone reached: the next save looks itself."""
    given = result("a", bars=60)
    keep = partial(archive.save_universe_results, "u", [given], code=__file__)
    keep()
    policy = Policy(keep_within="0s", tiers="all" if losing == "run" else 2)
    archive.apply(archive.plan_prune(policy, allow_empty=True), max_remove=1)
    shared = {key for key in snapshot(archive.store) if key.startswith(layout.SHARED)}
    archive.gc(grace="0s", apply=True, allow_empty=True)
    assert shared - snapshot(archive.store).keys()
    run = keep()
    assert shared <= snapshot(archive.store).keys()
    assert archive.verify(read_data=True).ok
    assert same(archive.load_strategy("a", run=run.id)["trades"], given["trades_detailed"])


def test_larger_details_are_an_object_of_their_own(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    held = archive.record(save(archive).id).detail_bytes
    for most, inline in ((held, True), (held - 1, False), (0, False)):
        monkeypatch.setattr(write, "MOST_INLINE", most)
        run = save(archive)
        record = archive.record(run.id)
        assert (record.inline_detail is not None, record.tier2 is None) == (inline, inline)
        assert intact(archive, run=run.id)
        assert record.format == (2 if inline else 1)


# -- exact ---------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(rows=tables, curve=tables)
def test_any_details_come_back_alike_from_a_record_and_an_object(
    rows: list[dict[str, Any]], curve: list[dict[str, Any]]
) -> None:
    rows = one_nan(rows)
    # Pairs would be points in time, with a clock of their own.
    given_curve = [value for row in one_nan(curve) for value in row.values() if not isinstance(value, list)]
    found = encode_details([Kept("s", 1, {"m": rows}, rows, given_curve)])
    data, ref = found.parquet()
    inline = found.inline()
    assert inline is not None
    for source in (InlineTable(inline, "k"), ParquetObject(ref, lambda start, end: data[start:end], rows=1)):
        detail = decode_detail(
            source, found.details[0], lambda _, at: cut_windows(found.tapes, at), Shared(_no_clock, list)
        )
        assert same([detail["metrics"], detail["trades"]], [{"m": rows}, rows])
        assert same(detail["equity_curve"], given_curve)


def _no_clock(sha256: str) -> Any:
    raise AssertionError(f"no curve has a clock, and so not {sha256}")


# -- removed, and back ---------------------------------------------------------------------------------------


def test_details_in_a_record_are_pruned_and_come_back(archive: Archive, command: Cli) -> None:
    run = save(archive, tags=["t"])
    before = archive.store.get(layout.record_key(run.id))
    plan = archive.plan_prune(DETAILS, allow_empty=True)
    record = archive.record(run.id)
    assert (plan.freed, plan.freed_objects) == (record.detail_bytes, 0)
    lose_details(archive)
    reduced = load_record(archive.store, run.id)
    assert (reduced.inline_detail, reduced.has_detail, reduced.tags) == (None, False, ("t",))
    assert reduced.size < record.size
    with pytest.raises(NotKeptError, match="removed by"):
        archive.load_strategy("a")
    assert "details\tremoved by" in command("--url", archive.store.url, "show", run.id)[1]
    assert archive.run(run.id).tags == ("t",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        archive.undelete(run.id)
    assert archive.store.get(layout.record_key(run.id)) == before
    assert intact(archive)
    assert "details\tkept of 1 strategy" in command("--url", archive.store.url, "show", run.id)[1]


def test_a_pin_brings_details_in_a_record_back(archive: Archive) -> None:
    run = save(archive)
    archive.tag(run.id, "pinned")
    plan = archive.plan_prune(DETAILS, allow_empty=True)
    assert [(one.action, one.spared, one.detailed) for one in plan.decisions] == [
        ("keep", "remove details", True)
    ]
    archive.untag(run.id, "pinned")
    lose_details(archive)
    archive.gc(grace="0s", apply=True)
    assert archive.verify(read_data=True).ok
    with pytest.raises(NotKeptError):
        archive.load_strategy("a")


def test_what_is_in_the_record_counts_as_details(archive: Archive, command: Cli) -> None:
    run = save(archive)
    usage = archive.du(runs=True)
    record = archive.record(run.id)
    own = usage.universes["u"]
    assert own.tier2 == record.detail_bytes > 0
    assert own.bytes == record.size == usage.part("records").bytes
    assert (usage.runs[0].tier2, usage.runs[0].records) == (own.tier2, own.records)
    assert command("--url", archive.store.url, "du")[0] == 0


def test_a_plan_of_bucket_rules_says_what_they_do_not_reach(moto_place: Place) -> None:
    archive = archiver.open(moto_place.url, **moto_place.options)
    save(archive)
    (said,) = [
        text
        for text in archive.lifecycle.plan([Policy(keep_within="90d", tiers=2)]).warnings
        if "record" in text
    ]
    assert said == "1 small run has its details in the record, which no rule removes: `archiver prune` does"
    assert not [text for text in archive.lifecycle.plan([]).warnings if "record" in text]


# -- travels -------------------------------------------------------------------------------------------------


def test_details_in_a_record_travel_in_bundles_and_copies(archive: Archive, tmp_path: Path) -> None:
    run = save(archive, tags=["t", "u"])
    archive.untag(run.id, "t")
    archive.tag(run.id, "late")
    archive.bundle([run.id], "kept")
    inside = archiver.open(f"bundle::{archive.store.url}/bundles/kept.tar.zst")
    assert intact(inside)
    assert inside.runs()[0].tags == ("late", "u")
    other = archiver.open(tmp_path / "other")
    archive.copy_to(other)
    assert intact(other)
    assert other.runs()[0].tags == ("late", "u")
    assert other.verify(read_data=True).ok
    assert json.loads(other.store.get(layout.ARCHIVE))["format"] == 2
    plan = archive.bundles.plan_removal("kept")
    assert [(one.remove, one.bytes) for one in plan.items] == [(True, archive.record(run.id).detail_bytes)]
    assert archive.bundles.apply_removal(plan) == (run.id,)
    with pytest.raises(NotKeptError, match="bundle restore kept"):
        archive.load_strategy("a")
    archive.gc(grace="0s", apply=True)
    archive.bundles.restore("kept")
    assert intact(archive)
    assert archive.runs()[0].tags == ("late", "u")


# -- damage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"bm90aGluZw==", b"%", b""])
def test_details_in_a_record_that_are_none_are_named_and_given_up(archive: Archive, text: bytes) -> None:
    from dataclasses import replace

    from archiver.format.records import encode_record

    run = save(archive)
    key = layout.record_key(run.id)
    archive.store.put(key, encode_record(replace(archive.record(run.id), inline_detail=text or b"A")))
    with pytest.raises(IntegrityError, match=run.id):
        archive.load_strategy("a")
    assert archive.verify().ok
    report = archive.verify(read_data=True)
    assert [(one.run, one.key) for one in report.problems] == [(run.id, key)]
    report = archive.verify(read_data=True, repair=True)
    assert report.reduced == [run.id]
    assert archive.load_metrics()["sharpe_ratio"].to_pylist() == [1.5]
    assert archive.verify(read_data=True).ok
    with pytest.raises(NotKeptError, match="damage"):
        archive.load_strategy("a")
