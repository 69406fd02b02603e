"""What files of a run's folder mean, and that their values stay what they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from tests import old_formats as old
from tests.imported import named, rows, statuses, take, tree
from tests.same import same


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archiver.open(tmp_path / "archive")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "old"


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
