"""Every version reads what earlier ones wrote; and what this one writes, others can check without it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import archiver
from archiver.archive import Archive
from archiver.runs.reach import reachable
from tests.fixtures import make_format_2, make_format_2_bars, make_format_2_small
from tests.fixtures.make_format_1 import expected
from tests.same import same

FROZEN = Path(__file__).parent / "fixtures" / "format_1"
DETAIL = ("trades", "trades_detailed", "equity_curve", "drawdown_curve")


@pytest.fixture
def frozen() -> Archive:
    return archiver.open(FROZEN, read_only=True)


def test_every_result_of_the_frozen_archive_is_what_was_saved(frozen: Archive) -> None:
    for universe, results in expected().items():
        table = frozen.load_metrics(universe)
        assert table["strategy_name"].to_pylist() == [result["strategy_name"] for result in results]
        for result in results:
            if not any(key in result for key in DETAIL):
                continue
            loaded = frozen.load_strategy(result["strategy_name"], universe)
            metrics = {k: v for k, v in result.items() if k not in (*DETAIL, "strategy_name")}
            assert same(loaded["metrics"], metrics)
            assert same(loaded["trades"], result.get("trades_detailed", result.get("trades")))
            assert same(loaded["equity_curve"], result.get("equity_curve"))
            assert same(loaded["drawdown_curve"], result.get("drawdown_curve"))
        (record,) = [record for record in frozen.records() if record.universe == universe]
        rows = [{k: v for k, v in result.items() if k not in DETAIL} for result in results]
        assert same(frozen.reader.rows(record), rows)


def test_runs_tags_code_and_notes_of_the_frozen_archive(frozen: Archive) -> None:
    runs = {run.universe: run for run in frozen.runs()}
    assert runs["ä/b"].tags == ("nightly", "pinned")
    assert runs["universe_001_5min_5lb"].tags == ("nightly",)
    assert {run.note for run in runs.values()} == {"frozen"}
    code = frozen.code(runs["ä/b"].id)
    assert code.read("make_format_1.py") == (FROZEN.parent / "make_format_1.py").read_bytes()


def test_the_frozen_archive_is_whole(frozen: Archive, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(FROZEN, copy)
    assert archiver.open(copy).verify(read_data=True).ok


def test_names_and_checksums_can_be_checked_with_other_tools(frozen: Archive) -> None:
    seen = 0
    for record in frozen.records():
        for ref in reachable(record):
            path = FROZEN / ref.key
            if ref.plain:
                done = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True)
                assert hashlib.sha256(done.stdout).hexdigest() == ref.sha256 == path.stem
                assert len(done.stdout) == ref.size
            else:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == ref.sha256
                assert path.stat().st_size == ref.size
                assert b"archiver" in pq.read_metadata(path).metadata
            seen += 1
    assert seen >= 8


def test_curves_tables_and_files_of_the_frozen_archive_of_format_2_are_what_was_saved() -> None:
    frozen = archiver.open(FROZEN.parent / "format_2", read_only=True)
    assert [(record.universe, record.format) for record in frozen.records()] == [("plain", 1), ("u", 2)]
    dated, pairs, bars = make_format_2.expected()
    for name in ("equity", "benchmark"):
        found = frozen.load_curve("dated", name).to_pandas().set_index("time")["value"]
        pd.testing.assert_series_equal(found, dated["curves"][name], check_names=False, check_freq=False)
    pd.testing.assert_frame_equal(frozen.load_table("dated", "orders").to_pandas(), make_format_2.ORDERS)
    pd.testing.assert_frame_equal(
        frozen.load_table("bars", "orders").to_pandas(), make_format_2.ORDERS.iloc[:0]
    )
    assert same(frozen.load_strategy("dated")["tables"]["fills"], dated["tables"]["fills"])
    assert frozen.load_file("dated", "tearsheet.html").decode() == dated["files"]["tearsheet.html"]
    assert frozen.load_file("dated", "blob.bin") == dated["files"]["blob.bin"]
    assert same(frozen.load_strategy("dated")["metrics"]["params"], dated["params"])
    assert same(frozen.load_strategy("pairs")["equity_curve"], pairs["equity_curve"])
    assert same(frozen.load_strategy("bars")["curves"], bars["curves"])
    assert frozen.verify(read_data=True).ok


def test_curves_of_the_frozen_archive_that_follow_the_bars_are_what_was_saved() -> None:
    frozen = archiver.open(FROZEN.parent / "format_2_bars", read_only=True)
    (record,) = frozen.records()
    assert (record.format, len(record.tapes)) == (2, 1)
    detail = pq.read_table(FROZEN.parent / "format_2_bars" / record.tier2.key)
    assert [curve.is_valid for curve in detail["segments.equity"]] == [True, True, True, False]
    for result in make_format_2_bars.expected():
        found = frozen.load_strategy(result["strategy_name"])
        curves = result.get("curves", {})
        assert same(found["equity_curve"], result.get("equity_curve", curves.get("equity")))
        assert same(found["drawdown_curve"], result.get("drawdown_curve"))
        assert all(same(found["curves"][name], curve) for name, curve in curves.items())
    assert frozen.verify(read_data=True).ok


def test_small_runs_of_the_frozen_archive_of_format_2_are_what_was_saved() -> None:
    frozen = archiver.open(FROZEN.parent / "format_2_small", read_only=True)
    (run,) = frozen.runs()
    assert (run.detailed, run.tags) == (2, ("kept", "later", "pinned"))
    (record,) = frozen.records()
    assert (record.format, record.tier2, record.tags) == (2, None, ("kept", "lost"))
    for result in make_format_2_small.expected()[:2]:
        loaded = frozen.load_strategy(result["strategy_name"])
        assert same(loaded["trades"], result["trades"])
        assert same(loaded["equity_curve"], result["equity_curve"])
        assert same(loaded["drawdown_curve"], result.get("drawdown_curve"))
    assert frozen.load_metrics()["params.fast"].to_pylist() == [10, None, None]
    assert frozen.verify(read_data=True).ok
