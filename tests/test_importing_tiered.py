"""The tiered JSON layout comes in exactly, once; what of it is not kept is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from tests import old_formats as old
from tests.imported import named, rows, statuses, take, tree
from tests.same import same


@pytest.mark.parametrize("with_name", [False, True])
def test_tiered_json_comes_in_exactly(archive: Archive, folder: Path, with_name: bool) -> None:
    universes = {"universe_002": old.results("B", 40), "universe_001_5min/x": old.results("A", 9)}
    old.write_tiered(folder, universes, with_name=with_name)
    before = tree(folder)
    report = take(archive, folder)
    assert statuses(report) == ["imported", "imported"]
    assert tree(folder) == before
    for universe, listed in universes.items():
        assert same(rows(archive, universe), [named(result) for result in listed])
        for rank, result in enumerate(listed[:3], 1):
            detail = archive.load_strategy(result["strategy_name"], universe=universe)
            assert same(detail, old.detail_of(universe, rank, result, with_name=with_name))
    run = archive.runs(universe="universe_002")[0]
    assert run.created.isoformat() == "2025-01-21T14:03:07.250000+00:00"
    assert (run.strategies, run.detailed, run.note) == (40, 3, "imported from old")
    assert archive.verify(read_data=True).ok


def test_a_second_import_finds_everything_there_wherever_the_folder_is(
    archive: Archive, folder: Path
) -> None:
    universes = {"u1": old.results("A", 30), "u2": old.results("B", 4)}
    old.write_tiered(folder, universes)
    take(archive, folder)
    before = {entry.key for entry in archive.store.list()}
    moved = folder.rename(folder.parent / "moved")
    report = take(archive, moved)
    assert statuses(report) == ["present", "present"]
    assert [outcome.run for outcome in report.outcomes] == [
        archive.runs(universe=universe)[0].id for universe in universes
    ]
    assert {entry.key for entry in archive.store.list()} == before


def test_a_folder_that_grew_gives_only_what_is_new(archive: Archive, folder: Path) -> None:
    first = {"u1": old.results("A", 5)}
    old.write_tiered(folder, first)
    take(archive, folder)
    old.write_tiered(folder, {**first, "u2": old.results("B", 5)}, updated="2025-02-01T00:00:00")
    assert statuses(take(archive, folder)) == ["present", "imported"]
    changed = old.results("A", 5)
    changed[0]["sharpe_ratio"] = 9.0
    old.write_tiered(folder, {"u1": changed, "u2": old.results("B", 5)}, updated="2025-03-01T00:00:00")
    assert statuses(take(archive, folder)) == ["imported", "present"]
    assert rows(archive, "u1")[0]["sharpe_ratio"] == 9.0
    assert len(archive.runs()) == 3


def test_metrics_without_the_details_that_came_with_them_are_there_already(
    archive: Archive, folder: Path
) -> None:
    universes = {"u1": old.results("A", 5), "u2": old.results("B", 4)}
    old.write_tiered(folder, universes)
    take(archive, folder)
    runs = [archive.runs(universe=universe)[0].id for universe in universes]
    report = take(archive, folder / "all_strategies_metrics.json")
    assert statuses(report) == ["present", "present"]
    assert [outcome.run for outcome in report.outcomes] == runs
    assert archive.load_strategy(old.results("A", 5)[0]["strategy_name"])["trades"]
    assert len(archive.runs()) == 2


def test_details_that_come_after_their_metrics_are_new(archive: Archive, folder: Path) -> None:
    old.write_tiered(folder, {"u1": old.results("A", 5)})
    assert statuses(take(archive, folder / "all_strategies_metrics.json")) == ["imported"]
    assert statuses(take(archive, folder)) == ["imported"]
    assert statuses(take(archive, folder / "all_strategies_metrics.json")) == ["present"]
    assert archive.load_strategy(old.results("A", 5)[0]["strategy_name"])["trades"]


def test_a_pruned_import_is_not_imported_again(archive: Archive, folder: Path) -> None:
    old.write_tiered(folder, {"u1": old.results("A", 5), "u2": old.results("B", 5)})
    take(archive, folder)
    plan = archive.plan_prune(archiver.Policy(universe="u1", keep_last=0), allow_empty=True)
    archive.apply(plan, max_remove=1.0)
    assert [run.universe for run in archive.runs()] == ["u2"]
    assert statuses(take(archive, folder)) == ["present", "present"]


def test_the_universe_in_a_detail_file_decides(archive: Archive, folder: Path) -> None:
    both = old.results("S", 4)
    old.write_tiered(folder, {"first": both, "second": both})
    alone = old.results("Only", 1)[0]
    old.dump(folder / "detailed_trades/any name.json", old.detail_of("first", 7, alone))
    report = take(archive, folder)
    assert [(o.universe, o.strategies, o.detailed) for o in report.of("imported")] == [
        ("first", 5, 1),
        ("second", 4, 3),
    ]
    assert archive.detailed_strategies(universe="first") == [("first", alone["strategy_name"])]
    assert same(archive.load_strategy(alone["strategy_name"]), old.detail_of("first", 7, alone))
    assert rows(archive, "first")[-1] == named(alone)


def test_universes_that_alternate_are_kept_apart(archive: Archive, folder: Path) -> None:
    listed = [
        {"strategy_name": f"s{at}", "universe": f"u{at % 7}", "metrics": {"sharpe_ratio": float(at)}}
        for at in range(700)
    ]
    old.dump(folder / "all_strategies_metrics.json", {"strategies": listed})
    assert len(take(archive, folder).of("imported")) == 7
    assert [row["sharpe_ratio"] for row in rows(archive, "u3")] == [float(at) for at in range(3, 700, 7)]


def test_a_name_that_repeats_makes_a_later_run(archive: Archive, folder: Path) -> None:
    listed = [
        {"strategy_name": f"s{at % 3}", "universe": "u", "metrics": {"sharpe_ratio": float(at)}}
        for at in range(8)
    ]
    old.dump(folder / "all_strategies_metrics.json", {"strategies": listed, "last_updated": old.STAMP})
    report = take(archive, folder)
    assert [outcome.strategies for outcome in report.outcomes] == [3, 2, 3]
    assert {row["strategy_name"]: row["sharpe_ratio"] for row in rows(archive, "u")} == {
        "s0": 6.0, "s1": 7.0, "s2": 5.0
    }  # fmt: skip
    assert archive.load_metrics(history=True).num_rows == 8
    assert statuses(take(archive, folder)) == ["present"]


def test_a_detail_goes_with_the_name_that_counts(archive: Archive, folder: Path) -> None:
    one = old.results("A", 1)[0]
    old.write_tiered(folder, {"u": [one, one]})
    assert [outcome.detailed for outcome in take(archive, folder).outcomes] == [1, 1]
    assert same(archive.load_strategy("A_L0_T0.5")["trades"], one["trades_detailed"])


def test_a_detail_without_a_universe_is_that_of_the_only_one(archive: Archive, folder: Path) -> None:
    both, alone = old.results("S", 1), old.results("Only", 1)
    old.write_tiered(folder, {"first": both + alone, "second": both}, top=0)
    for number, name in enumerate(("S_L0_T0.5", "Only_L0_T0.5", "unknown")):
        detail = old.detail_of("", 1, {**both[0], "strategy_name": name})
        del detail["universe"]
        old.dump(folder / f"detailed_trades/{number}.json", detail)
    report = take(archive, folder)
    assert archive.detailed_strategies() == [("first", "Only_L0_T0.5")]
    assert [(one.source, one.why) for one in report.of("skipped")] == [
        ("detailed_trades/0.json", "it names no universe, and 2 universes have 'S_L0_T0.5'"),
        ("detailed_trades/2.json", "it names no universe, and no universe has its strategy"),
    ]
    assert archive.load_strategy("Only_L0_T0.5")["universe"] == "first"


def test_a_detail_may_call_its_trades_detailed(archive: Archive, folder: Path) -> None:
    listed = old.results("A", 3)
    old.write_tiered(folder, {"u": listed})
    for number, result in enumerate(listed):
        path = folder / f"detailed_trades/{result['strategy_name']}.json"
        detail = json.loads(path.read_text())
        detail["trades_detailed"] = [{"n": number}] if number < 2 else detail["trades"]
        if number == 0:
            del detail["trades"]
        old.dump(path, detail)
    report = take(archive, folder)
    assert archive.load_strategy("A_L0_T0.5")["trades"] == [{"n": 0}]
    assert same(archive.load_strategy("A_L1_T0.5")["trades"], listed[1]["trades_detailed"])
    assert [one.why for one in report.of("skipped")] == [
        "only its trades_detailed: a detail has no such part, and its trades are there"
    ]


def test_what_a_metrics_file_says_besides_is_named_where_it_is_not_kept(
    archive: Archive, folder: Path
) -> None:
    metrics = {"strategy_name": "x", "trades": [{"n": 1}], "equity_curve": None}
    listed = [
        {"strategy_name": f"s{at}", "universe": f"u{at % 2}", "metrics": metrics if at else {"trades": 3}}
        | ({"notes": 1} if at else {})
        for at in range(4)
    ]
    text = {"total_strategies": 7, "strategies": listed, "pages": ["x" * 70_000]}
    old.dump(folder / "all_strategies_metrics.json", text)
    for _ in range(2):
        assert [one.why for one in take(archive, folder).of("skipped")] == [
            "its pages: facts of a run are kept up to 65536 bytes",
            "the notes of its entries: only strategy_name, universe and metrics are read",
            "the trades among its metrics: details are in files of their own",
            "the order in which its universes alternate: an export writes one after the other",
            "the strategy_name among some metrics: an export writes it for all of a universe or for none",
            "its total_strategies 7: it has 4 strategies, and an export says so",
        ]
    assert len(archive.runs()) == 2
