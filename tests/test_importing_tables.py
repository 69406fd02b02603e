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
from archiver.archive import Archive
from archiver.runs.records import origin
from tests import old_formats as old
from tests.imported import rows, statuses, take

MOMENT = dt.datetime.fromisoformat("2025-01-02T03:04:05")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (MOMENT, "2025-01-02T03:04:05"),
        (MOMENT.date(), "2025-01-02"),
        (MOMENT.time(), "03:04:05"),
        (dt.timedelta(seconds=90), 90.0),
        (decimal.Decimal("1.50"), "1.50"),
        (b"\xff", "ff"),
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


def test_a_value_that_cannot_be_kept_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    far = pa.array([2**60], pa.timestamp("us"))  # beyond the years that Python knows
    pq.write_table(pa.table({"strategy_name": ["a"], "x": far}), folder / "u_backtest.parquet")
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


def test_parquet_with_its_sidecar(archive: Archive, folder: Path) -> None:
    listed = [{**old.metrics_of(r), "strategy_name": r["strategy_name"]} for r in old.results("A", 3, 0)]
    for row in listed:
        row.pop("big")
        row["regime"] = "calm"
    path = old.write_parquet(folder, "universe_001_5min_5lb", listed)
    report = take(archive, folder)
    assert statuses(report) == ["imported"]
    expected = pq.read_table(path).to_pylist()
    found = rows(archive, "universe_001_5min_5lb")
    assert [row["strategy_name"] for row in found] == [row["strategy_name"] for row in expected]
    assert [{**row} for row in found] == expected
    assert archive.runs()[0].created.isoformat() == "2025-01-21T14:03:07.250000+00:00"
    facts = origin(archive.records()[0])
    assert facts is not None
    assert facts["universe_metadata"] == {"interval": 5, "lookback": 5}
    assert statuses(take(archive, path)) == ["present"]
    sidecar = folder / "universe_001_5min_5lb_backtest_metadata.json"
    sidecar.rename(folder / "universe_001_5min_5lb_metadata.json")
    assert statuses(take(archive, folder)) == ["present"]


def test_parquet_with_details(archive: Archive, folder: Path) -> None:
    listed = [
        {"strategy_name": f"s{at}", "sharpe_ratio": float(at), "trades_detailed": [{"pnl": 1.5, "n": at}],
         "equity_curve": [1.0, 2.5]}
        for at in range(5)
    ]  # fmt: skip
    old.write_parquet(folder, "u", listed)
    take(archive, folder, top_n=2)
    assert archive.detailed_strategies() == [("u", "s4"), ("u", "s3")]
    assert archive.load_strategy("s4")["trades"] == [{"pnl": 1.5, "n": 4}]
    assert archive.load_strategy("s4")["equity_curve"] == [1.0, 2.5]


def test_a_table_without_rows_is_named(archive: Archive, folder: Path) -> None:
    folder.mkdir()
    pq.write_table(pa.table({"strategy_name": pa.array([], pa.string())}), folder / "u_backtest.parquet")
    report = take(archive, folder)
    assert [(one.source, one.status, one.why) for one in report.outcomes] == [
        ("u_backtest.parquet", "skipped", "it holds no strategies")
    ]


def test_merged_metrics_by_universe_and_by_lot_size(archive: Archive, folder: Path) -> None:
    (folder / "batch_results").mkdir(parents=True)
    lots = [
        {"strategy_name": f"s{n}", "lot_size": lot, "sharpe_ratio": n * lot}
        for lot in (0.01, 0.1)
        for n in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(lots), folder / "EURUSD_2025_backtest_results_merged.parquet")
    pq.write_table(pa.Table.from_pylist(lots[:2]), folder / "batch_results/results_batch_0.parquet")
    many = [{"strategy_name": "s", "universe": f"u{n}", "sharpe_ratio": float(n)} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(many), folder / "all.parquet")
    pq.write_table(pa.table({"close": [1.0]}), folder / "prices.parquet")
    (folder / "cut.parquet").write_bytes((folder / "all.parquet").read_bytes()[:-9])
    report = take(archive, folder)
    assert sorted(outcome.universe or "" for outcome in report.of("imported")) == [
        "EURUSD_2025_lot0.01", "EURUSD_2025_lot0.1", "u0", "u1", "u2"
    ]  # fmt: skip
    assert [row["lot_size"] for row in rows(archive, "EURUSD_2025_lot0.1")] == [0.1] * 3
    assert {o.source: o.status for o in report.outcomes if o.status != "imported"} == {
        "batch_results/results_batch_0.parquet": "skipped",
        "prices.parquet": "skipped",
        "cut.parquet": "damaged",
    }
