from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks import bench_engines, bench_growth, run, workload

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def results() -> list[workload.Result]:
    return workload.universe(7, n_strategies=600, top=4, trades=60, bars=4000)


def test_the_same_seed_gives_the_same_results(results: list[workload.Result]) -> None:
    again = workload.universe(7, n_strategies=600, top=4, trades=60, bars=4000)
    assert json.dumps(again) == json.dumps(results)
    assert json.dumps(workload.universe(8, 600, 4, 60, 4000)) != json.dumps(results)
    assert json.dumps(workload.small_run(7, 3)) == json.dumps(workload.small_run(7, 3))


def test_results_have_the_shape_and_the_flaws_of_real_ones(results: list[workload.Result]) -> None:
    assert len({result["strategy_name"] for result in results}) == 600
    kinds = Counter((key, type(value)) for result in results for key, value in result.items())
    assert kinds["win_rate", int] > 0
    assert kinds["win_rate", float] > 500
    assert kinds["best_month", type(None)] > 0
    assert kinds["omega", type(None)] > 0
    assert kinds["composite_score", float] < 600
    assert kinds["valid", bool] == 600
    assert any(math.isnan(result["sharpe_ratio"]) for result in results)
    assert any(result["profit_factor"] == math.inf for result in results)
    qualified = next(result for result in results if "composite_score" in result)
    assert len(set(qualified) - {"strategy_name", "trades_detailed", "equity_curve", "drawdown_curve"}) == 36


def test_details_belong_to_the_best_and_agree_with_their_metrics(results: list[workload.Result]) -> None:
    detailed = [result for result in results if "trades_detailed" in result]
    assert len(detailed) == 4
    limit = min(result["composite_score"] for result in detailed)
    assert sum(result.get("composite_score", -math.inf) >= limit for result in results) == 4
    for result in detailed:
        trades = result["trades_detailed"]
        assert len(trades) == result["n_trades"] == len(result["equity_curve"]) - 1 == 60
        assert sum(trade["pnl_usd"] for trade in trades) == pytest.approx(result["net_pnl"])
        assert max(result["drawdown_curve"]) == result["max_drawdown"]


def test_windows_are_fresh_copies_of_one_series(results: list[workload.Result]) -> None:
    trades = [trade for result in results for trade in result.get("trades_detailed", ())]
    closes: dict[str, float] = {}
    for trade in trades:
        window = trade["price_history"]
        at = window["timestamps"].index(trade["entry_time"])
        assert at == workload.BEFORE
        assert window["close"][at] == trade["entry_price"]
        assert len(window["close"]) - at - workload.AFTER - 1 == trade["duration_minutes"] / 5
        for moment, close in zip(window["timestamps"], window["close"], strict=True):
            assert closes.setdefault(moment, close) == close
    assert len({id(trade["price_history"]["close"]) for trade in trades}) == len(trades)


def test_small_runs_differ() -> None:
    one, other = workload.small_run(7, 0), workload.small_run(7, 1)
    assert one["strategy_name"] != other["strategy_name"]
    assert (len(one["trades_detailed"]), len(one["equity_curve"]), len(one["drawdown_curve"])) == (
        100,
        1000,
        1000,
    )
    assert "price_history" not in one["trades_detailed"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "peers",
    [
        ["archiver", "json indent=2"],
        pytest.param(
            ["archiver", "json indent=2", "orjson+zstd-3", "nested Parquet"], marks=pytest.mark.slow
        ),
    ],
    ids=["two", "four"],
)
def test_the_benchmark_runs_and_fills_its_table(peers: list[str]) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--tiny"]
    for peer in peers:
        command += ["--only", peer]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    _, header, _, *lines = done.stdout.splitlines()
    assert header.split() == ["to", "reach", *" ".join(peers).split()]
    assert len(lines) == len(run.ROWS)
    for line in lines:
        assert len(line.split("<=")[1].split()) == 1 + len(peers), line
        assert "-" not in line.split("<=")[1].split(), line


@pytest.mark.slow
def test_growth_is_measured_and_drawn(tmp_path: Path) -> None:
    sizes = ["20", "40"]
    found = bench_growth.main([*sizes, "--svg", str(tmp_path / "growth.svg")])
    assert set(found) == set(bench_growth.LOOKS)
    assert all(len(row) == len(sizes) and seconds > 0 for row in found.values() for seconds, _ in row)
    assert (tmp_path / "growth.svg").read_text().count("<polyline") == 2 * len(bench_growth.LOOKS)


def test_the_benchmark_of_engines_measures_files_and_tables() -> None:
    ((what, figure, unit, goal),) = bench_engines.of_freqtrade(results=2, trades=3)
    assert (what.startswith("freqtrade: 2 results"), unit, goal) == (True, "MB/s", 20.0)
    assert figure > 0
    ((what, figure, unit, _),) = bench_engines.of_tables(rows=1000)
    assert (what.startswith("load_table of 1,000 rows"), figure > 0, unit) == (True, True, "MB")
