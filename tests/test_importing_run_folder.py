"""What files of a run's folder mean, and that their values stay what they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.importing import Report, import_results, known_imports, open_source
from tests.same import same


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archiver.open(tmp_path / "archive")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "old" / "20250102_030405_678" / "results"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"strategy_name": "S", "sharpe_ratio": 1.0}))
    return folder


def take(archive: Archive, results: Path) -> Report:
    return import_results(open_source(results.parents[1]), archive.add, known_imports(archive.store))


def test_columns_of_a_curve_are_told_by_their_names(archive: Archive, results: Path) -> None:
    (results / "equity_curve.csv").write_text(
        "time,equity,drawdown\n2025-01-01,100,0\n2025-01-02,101.5,0.5\n"
    )
    take(archive, results)
    loaded = archive.load_strategy("S")
    assert same(loaded["equity_curve"], [100.0, 101.5])
    assert same(loaded["drawdown_curve"], [0.0, 0.5])


def test_a_table_that_does_not_tell_its_curve_is_left_out(archive: Archive, results: Path) -> None:
    (results / "equity_curve.csv").write_text("a,b\n1,2\n3,4\n")
    (results / "drawdown.csv").write_text("time,x\nmon,0.5\ntue,1\n")
    report = take(archive, results)
    loaded = archive.load_strategy("S")
    assert loaded["equity_curve"] is None
    assert same(loaded["drawdown_curve"], [0.5, 1.0])
    assert [outcome.source.rpartition("/")[2] for outcome in report.of("skipped")] == ["equity_curve.csv"]


def test_values_of_csv_stay_what_they_are(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text(
        'entry_time,trade_id,pnl,size,win,note\n2025-01-01 00:00:00,007,nan,3,True,"a, b"\n2025-01-02 00:00:00,008,-1.5,,False,\n'
    )
    take(archive, results)
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
    take(archive, results)
    assert [trade["at"] for trade in archive.load_strategy("S")["trades"]] == [
        1735689600000000001,
        1735689600000000002,
    ]


def test_names_that_look_like_numbers_are_names(archive: Archive, results: Path) -> None:
    (results / "metrics.json").unlink()
    (results / "results.csv").write_text("strategy_name,sharpe_ratio\n001,1.5\n002,-0.5\n")
    assert take(archive, results).ok
    assert archive.load_metrics()["strategy_name"].to_pylist() == ["001", "002"]


def test_a_line_of_another_length_is_damage(archive: Archive, results: Path) -> None:
    (results / "trades.csv").write_text("a,b\n1,2\n3\n")
    assert [outcome.status for outcome in take(archive, results).outcomes] == ["damaged"]
