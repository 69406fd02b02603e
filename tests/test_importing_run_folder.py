"""What files of a run's folder mean, and that their values stay what they are."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.interop.importing import import_results, open_source
from archiver.runs.records import origin
from archiver.store import open_store
from tests import old_formats as old
from tests.imported import named, rows, statuses, take, tree, write_large
from tests.same import same


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "old" / "20250102_030405_678" / "results"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"strategy_name": "S", "sharpe_ratio": 1.0}))
    return folder


def test_columns_of_a_curve_are_told_by_their_names(archive: Archive, results: Path) -> None:
    (results / "equity_curve.csv").write_text(
        "time,equity,drawdown\n2025-01-01,100,0\n2025-01-02,101.5,0.5\n"
    )
    take(archive, results.parents[1])
    loaded = archive.load_strategy("S")
    assert same(loaded["equity_curve"], [100.0, 101.5])
    assert same(loaded["drawdown_curve"], [0.0, 0.5])


def test_a_table_that_does_not_tell_its_curve_is_left_out(archive: Archive, results: Path) -> None:
    (results / "equity_curve.csv").write_text("a,b\n1,2\n3,4\n")
    (results / "drawdown.csv").write_text("time,x\nmon,0.5\ntue,1\n")
    report = take(archive, results.parents[1])
    loaded = archive.load_strategy("S")
    assert loaded["equity_curve"] is None
    assert same(loaded["drawdown_curve"], [0.5, 1.0])
    assert [outcome.source.rpartition("/")[2] for outcome in report.of("skipped")] == ["equity_curve.csv"]


def test_values_of_csv_stay_what_they_are(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text(
        'entry_time,trade_id,pnl,size,win,note\n2025-01-01 00:00:00,007,nan,3,True,"a, b"\n2025-01-02 00:00:00,008,-1.5,,False,\n'
    )
    take(archive, results.parents[1])
    expected: list[dict[str, Any]] = [
        {
            "entry_time": "2025-01-01 00:00:00",
            "trade_id": "007",
            "pnl": math.nan,
            "size": 3,
            "win": True,
            "note": "a, b",
        },
        {
            "entry_time": "2025-01-02 00:00:00",
            "trade_id": "008",
            "pnl": -1.5,
            "size": None,
            "win": False,
            "note": "",
        },
    ]
    assert same(archive.load_strategy("S")["trades"], expected)


def test_numbers_of_any_length_lose_no_digit(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text("at,pnl\n1735689600000000001,1\n1735689600000000002,2\n")
    take(archive, results.parents[1])
    assert [trade["at"] for trade in archive.load_strategy("S")["trades"]] == [
        1735689600000000001,
        1735689600000000002,
    ]


def test_names_that_look_like_numbers_are_names(archive: Archive, results: Path) -> None:
    (results / "metrics.json").unlink()
    (results / "results.csv").write_text("strategy_name,sharpe_ratio\n001,1.5\n002,-0.5\n")
    assert take(archive, results.parents[1]).ok
    assert archive.load_metrics()["strategy_name"].to_pylist() == ["001", "002"]


def test_the_kind_of_a_column_is_that_of_all_its_cells(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text("a,b,c,d,e\n,1,1,1,\n1,2.5,true,x,\n2,3,0,2,\n")
    take(archive, results.parents[1])
    assert same(
        archive.load_strategy("S")["trades"],
        [
            {"a": None, "b": 1.0, "c": "1", "d": "1", "e": ""},
            {"a": 1, "b": 2.5, "c": "true", "d": "x", "e": ""},
            {"a": 2, "b": 3.0, "c": "0", "d": "2", "e": ""},
        ],
    )


def test_columns_without_a_name_or_of_one_name_are_all_kept(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text(",pnl,pnl\n0,1.5,2.5\n1,3.5,4.5\n")
    take(archive, results.parents[1])
    assert archive.load_strategy("S")["trades"] == [
        {"": 0, "pnl": 1.5, "pnl.1": 2.5}, {"": 1, "pnl": 3.5, "pnl.1": 4.5}
    ]  # fmt: skip


def test_metadata_that_no_record_should_hold_is_left_out(archive: Archive, results: Path) -> None:
    (results.parent / "metadata").mkdir()
    (results.parent / "metadata" / "log.json").write_text(json.dumps(["x" * 1_100_000]))
    report = take(archive, results.parents[1])
    assert [(one.source.rpartition("/")[2], one.why) for one in report.of("skipped")] == [
        ("log.json", "larger than 1048576 bytes")
    ]
    assert archive.records()[0].size < 5_000


def test_a_line_of_another_length_is_damage(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text("a,b\n1,2\n3\n")
    assert [outcome.status for outcome in take(archive, results.parents[1]).outcomes] == ["damaged"]


def test_run_folders_come_in_with_their_code(archive: Archive, folder: Path, tmp_path: Path) -> None:
    results = old.results("Opt", 2)
    home = old.write_run_folder(folder / "optimisation", "20250121_140307_250", results[0])
    old.write_run_folder(folder / "optimisation", "20250122_090000_001", results[1])
    before = tree(folder)
    report = take(archive, folder)
    assert tree(folder) == before
    assert [o.universe for o in report.of("imported")] == ["optimisation", "optimisation"]
    first = archive.runs()[1]
    assert first.created.isoformat() == "2025-01-21T14:03:07.250000+00:00"
    detail = archive.load_strategy(results[0]["strategy_name"], run=first.id)
    assert same(detail["metrics"], old.metrics_of(results[0]))
    assert same(detail["trades"], results[0]["trades_detailed"])
    assert detail["equity_curve"] == [10_000.0, 10_012.5]
    archive.code(first.id).restore(tmp_path / "code")
    assert sorted(str(p.relative_to(tmp_path / "code")) for p in (tmp_path / "code").rglob("*.py")) == [
        "pkg/model.py", "run.py"
    ]  # fmt: skip
    assert not (tmp_path / "code/.env").exists()
    assert {o.source.removeprefix(f"optimisation/{home.name}/") for o in report.of("skipped")} >= {
        "results/chart.png", "code/.env"
    }  # fmt: skip
    params = json.loads(archive.record(first.id).params or "")["imported"]
    assert params["metadata"]["notes.txt"] == "first try\n"
    assert set(statuses(take(archive, folder))) == {"present", "skipped"}
    (folder / "optimisation").rename(folder / "2025")
    assert set(statuses(take(archive, folder))) == {"present", "skipped"}


def test_one_run_folder_can_be_named(archive: Archive, folder: Path) -> None:
    first, second = (
        old.write_run_folder(folder / "optimisation", stamp, result)
        for stamp, result in zip(
            ("20250121_140307_250", "20250122_090000"), old.results("Opt", 2), strict=True
        )
    )
    report = take(archive, first)
    assert [(o.source, o.universe) for o in report.of("imported")] == [(first.name, "optimisation")]
    assert [o.universe for o in take(archive, folder).of("imported")] == ["optimisation"]
    assert set(statuses(take(archive, second))) == {"present", "skipped"}
    store = open_store("memory://one-run-folder")
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    again = archiver.open(folder.parent / "again")
    report = take(again, f"memory://one-run-folder/optimisation/{second.name}/")
    assert [(o.source, o.universe) for o in report.of("imported")] == [(second.name, "optimisation")]


def test_a_run_folder_with_many_results_or_damage(archive: Archive, folder: Path) -> None:
    listed = old.results("A", 4)
    old.dump(folder / "20250121_140307_250/results/optimization_results.json", {"results": listed})
    old.dump(folder / "20250121_140307_250/metadata/info.json", {"universe": "eurusd"})
    old.dump(folder / "20250123_140307/results/metrics.json", {"sharpe_ratio": 1.0})
    (folder / "20250124_140307/results").mkdir(parents=True)
    (folder / "20250124_140307/results/metrics.json").write_text('{"sharpe_ratio": ')
    (folder / "20250125_140307/code").mkdir(parents=True)
    (folder / "20250125_140307/code/run.py").write_text("")
    report = take(archive, folder)
    assert [(o.source, o.status) for o in report.outcomes] == [
        ("20250121_140307_250", "imported"),
        ("20250123_140307", "imported"),
        ("20250124_140307", "damaged"),
        ("20250125_140307", "damaged"),
    ]
    assert same(rows(archive, "eurusd"), [named(result) for result in listed])
    assert rows(archive, "old") == [{"strategy_name": "20250123_140307", "sharpe_ratio": 1.0}]


def test_a_run_folder_with_a_file_for_each_strategy(archive: Archive, folder: Path) -> None:
    home = folder / "20250121_140307_250/results"
    listed = old.results("A", 3)
    old.write_tiered(home, {"eurusd": listed}, top=2)
    report = take(archive, folder)
    assert [(o.status, o.universe, o.strategies, o.detailed) for o in report.outcomes] == [
        ("imported", "eurusd", 3, 2)
    ]
    assert same(rows(archive, "eurusd"), [named(result) for result in listed])
    assert same(archive.load_strategy("A_L1_T0.5")["trades"], listed[1]["trades_detailed"])
    other = folder / "20250122_140307_250"
    old.dump(other / "results/summary.json", {"strategy_name": "s", "metrics": {"sharpe_ratio": 1.5}})
    old.dump(other / "results/trades.json", {"trades_detailed": [{"pnl": 1}]})
    old.dump(other / "metadata/metadata.json", {"universe": "gbpusd", "params": {"n": 5}})
    assert take(archive, folder).of("imported")[0].universe == "gbpusd"
    detail = archive.load_strategy("s")
    assert (detail["metrics"], detail["trades"]) == ({"sharpe_ratio": 1.5}, [{"pnl": 1}])


def test_memory_does_not_grow_with_a_file_of_results(archive: Archive, results: Path) -> None:
    take(archive, results.parents[1])  # loads the modules that an import needs
    size = write_large(results / "optimization_results.json", '{"results": ')
    tracemalloc.start()
    report = import_results(open_source(results.parents[1]), archive.add, top_n=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.outcomes[0].strategies == 251
    assert peak < size / 2


def test_rows_without_a_name_are_called_by_their_parameters(archive: Archive, results: Path) -> None:
    (results / "metrics.json").unlink()
    listed = [
        {"params": {"L": 5, "mode": "fast"}, "sharpe_ratio": 1.0, "trades": [{"pnl": 1.5}]},
        {"params": {"L": 6, "mode": "fast"}, "metrics": {"sharpe_ratio": 2.0}},
        {"params": {"L": 6, "mode": "fast"}, "sharpe_ratio": 3.0},
        {"sharpe_ratio": 4.0},
    ]
    (results / "best.json").write_text(json.dumps(listed))
    report = take(archive, results.parents[1])
    assert statuses(report) == ["imported"]
    assert {row["strategy_name"]: row["sharpe_ratio"] for row in rows(archive, "old")} == {
        "L=5,mode=fast": 1.0, "L=6,mode=fast": 2.0, "L=6,mode=fast #2": 3.0, "row 4": 4.0
    }  # fmt: skip
    detail = archive.load_strategy("L=5,mode=fast")
    assert detail["metrics"]["params"] == {"L": 5, "mode": "fast"}
    assert detail["trades"] == [{"pnl": 1.5}]


def test_rows_of_results_without_parameters_are_numbered(archive: Archive, results: Path) -> None:
    (results / "optimization_results.csv").write_text("L,sharpe_ratio\n5,1.0\n6,2.0\n")
    take(archive, results.parents[1])
    found = {row["strategy_name"]: row.get("L") for row in rows(archive, "old")}
    assert found == {"row 1": 5, "row 2": 6, "S": None}


def test_parameters_are_facts_and_no_metrics(archive: Archive, results: Path) -> None:
    (results / "best_params.json").write_text(json.dumps({"L": 5, "sharpe_ratio": 9.0}))
    (results / "monthly.json").write_text(json.dumps([{"month": 1, "x": 2.0}, {"month": 2, "x": 1.0}]))
    (results / "nothing.json").write_text("[]")
    (results / "word.json").write_text('"done"')
    report = take(archive, results.parents[1])
    assert rows(archive, "old") == [{"strategy_name": "S", "sharpe_ratio": 1.0}]
    facts = origin(archive.records()[0])
    assert facts is not None
    assert facts["results"] == {"best_params.json": {"L": 5, "sharpe_ratio": 9.0}}
    assert {one.source.rpartition("/")[2]: one.why for one in report.of("skipped")} == {
        "monthly.json": "neither results, metrics, trades nor a curve",
        "nothing.json": "it is empty",
        "word.json": "neither results, metrics, trades nor a curve",
    }


def test_of_two_lists_the_one_with_results_is_read(archive: Archive, results: Path) -> None:
    (results / "metrics.json").unlink()
    text = {"strategies": ["a", "b"], "all_results": [{"strategy_name": "a", "x": 1}], "results": [], "n": 2}
    (results / "run.json").write_text(json.dumps(text))
    assert statuses(take(archive, results.parents[1])) == ["imported"]
    assert rows(archive, "old") == [{"strategy_name": "a", "x": 1}]
    facts = origin(archive.records()[0])
    assert facts is not None
    assert facts["results"] == {"run.json": {"n": 2, "strategies": ["a", "b"]}}


def test_what_two_files_say_otherwise_is_named(archive: Archive, results: Path) -> None:
    (results / "summary.json").write_text(json.dumps({"sharpe_ratio": 2.0, "n_trades": 3}))
    (results / "trades.json").write_text(json.dumps([{"pnl": 1}]))
    (results / "trades_again.csv").write_text("pnl\n2\n")
    (results / "metrics.json").write_text(json.dumps({"sharpe_ratio": 1.0}))
    report = take(archive, results.parents[1])
    assert rows(archive, "old") == [
        {"strategy_name": "20250102_030405_678", "sharpe_ratio": 1.0, "n_trades": 3}
    ]
    assert [(one.source.rpartition("/")[2], one.why) for one in report.of("skipped")] == [
        ("summary.json", "its sharpe_ratio: another file of the run says otherwise"),
        ("trades_again.csv", "its trades_detailed: another file of the run says otherwise"),
    ]


def test_trades_of_several_strategies_are_theirs(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text("strategy_name,pnl\nS,1.5\nT,2.5\nS,3.5\n")
    take(archive, results.parents[1])
    assert [trade["pnl"] for trade in archive.load_strategy("S")["trades"]] == [1.5, 3.5]
    assert archive.load_strategy("S")["metrics"] == {"sharpe_ratio": 1.0}
    assert archive.load_strategy("T")["trades"] == [{"strategy_name": "T", "pnl": 2.5}]


def test_a_curve_with_gaps_keeps_its_length(archive: Archive, results: Path) -> None:
    (results / "equity_curve.csv").write_text("time,equity,flag\nmon,100.5,\ntue,,\nwed,101.5,\n")
    assert take(archive, results.parents[1]).of("skipped") == []
    assert same(archive.load_strategy("S")["equity_curve"], [100.5, math.nan, 101.5])


def test_results_of_several_universes_are_runs_of_their_own(archive: Archive, results: Path) -> None:
    (results / "metrics.json").unlink()
    listed = [
        {"strategy_name": f"s{at // 2}", "universe": f"u{at % 2}", "sharpe_ratio": float(at)}
        for at in range(4)
    ]
    text = {"results": [*listed, {"strategy_name": "none", "sharpe_ratio": 9.0}]}
    (results / "optimization_results.json").write_text(json.dumps(text))
    own = {"strategy_name": "s1", "universe": "u1", "trades_detailed": [{"n": 1}]}
    (results / "s1.json").write_text(json.dumps(own))
    (results.parent / "metadata").mkdir()
    (results.parent / "metadata" / "run.json").write_text(json.dumps({"universe": "u2"}))
    report = take(archive, results.parents[1])
    assert [(one.universe, one.strategies, one.detailed) for one in report.outcomes] == [
        ("u0", 2, 0), ("u1", 2, 1), ("u2", 1, 0)
    ]  # fmt: skip
    assert rows(archive, "u0") == [
        {"strategy_name": "s0", "sharpe_ratio": 0.0}, {"strategy_name": "s1", "sharpe_ratio": 2.0}
    ]  # fmt: skip
    assert archive.load_strategy("s1")["metrics"] == {"sharpe_ratio": 3.0}
    assert set(statuses(take(archive, results.parents[1]))) == {"present"}
