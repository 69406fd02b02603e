"""Parquet of strangers: values that Parquet has types for and results have not, and files that cannot be read."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import archiver
from archiver.importing import Report, import_results, known_imports, open_source

MOMENT = dt.datetime.fromisoformat("2025-01-02T03:04:05")


def take(archive: archiver.Archive, path: Path) -> Report:
    return import_results(open_source(path), archive.add, known_imports(archive.store))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (MOMENT, "2025-01-02T03:04:05"),
        (MOMENT.date(), "2025-01-02"),
        (MOMENT.time(), "03:04:05"),
        (dt.timedelta(seconds=90), 90.0),
    ],
)
def test_moments_become_what_a_save_makes_of_them(tmp_path: Path, value: Any, kept: Any) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    table = pa.table({"strategy_name": ["a", "b"], "x": [value, None]})
    pq.write_table(table, folder / "u_backtest.parquet")
    archive = archiver.open(tmp_path / "archive")
    assert take(archive, folder).ok
    assert archive.load_metrics()["x"].to_pylist() == [kept, None]


@pytest.mark.parametrize("value", [decimal.Decimal("1.5"), b"\xff"])
def test_a_value_that_cannot_be_kept_is_named_and_stops_nothing_else(tmp_path: Path, value: Any) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    pq.write_table(pa.table({"strategy_name": ["a"], "x": [value]}), folder / "u_backtest.parquet")
    sound = {"universe_name": "v", "results": [{"strategy_name": "s", "x": 1.0}]}
    (folder / "universe_v_backtest.json").write_text(json.dumps(sound))
    archive = archiver.open(tmp_path / "archive")
    report = take(archive, folder)
    assert [run.universe for run in archive.runs()] == ["v"]
    assert [outcome.source for outcome in report.of("damaged")] == ["u_backtest.parquet"]


def test_a_universe_is_dated_by_its_own_timestamp_wherever_it_stands(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    text = '{"universe_name": "v", "results": [{"strategy_name": "s"}], "backtest_timestamp": "2024-01-01T00:00:00"}'
    (folder / "universe_v_backtest.json").write_text(text)
    archive = archiver.open(tmp_path / "archive")
    take(archive, folder)
    assert archive.runs()[0].created == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
