"""bt and ffn: what their results say is there, in canonical units too."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.engines.shared import metric
from tests.engine_runs import closes, lost_columns, same

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]  # ffn and what it imports warn
WANTED = "is not installed: pip install 'archiver[engines-dev]'"


def prices() -> pd.DataFrame:
    return pd.DataFrame({"A": closes(), "B": closes() ** 0.5})


@pytest.fixture(scope="module")
def ran() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bt = pytest.importorskip("bt", reason=f"bt {WANTED}")
    algos = [bt.algos.RunMonthly(), bt.algos.SelectAll(), bt.algos.WeighEqually(), bt.algos.Rebalance()]
    hold = [bt.algos.RunOnce(), bt.algos.SelectAll(), bt.algos.WeighEqually(), bt.algos.Rebalance()]
    return bt.run(
        bt.Backtest(bt.Strategy("equal", algos), prices(), progress_bar=False),
        bt.Backtest(bt.Strategy("hold", hold), prices(), progress_bar=False),
    )


def test_nothing_of_a_backtest_is_lost(ran: Any) -> None:
    found = {one["strategy_name"]: one for one in archiver.result(ran)}
    assert list(found) == ["equal", "hold"]
    lost = []
    for key, one in found.items():
        stats, test = ran[key], ran.backtests[key]
        for label, value in stats.stats.items():
            name, own = metric(label, value)
            lost += [] if any(same(one.get(at), own) for at in (name, f"ffn_{name}")) else [label]
        for curve, series in {
            "equity": test.strategy.values,
            "price": ran.prices[key],
            "cash": test.strategy.cash,
            "turnover": test.turnover,
            "fees": test.strategy.fees,
            "drawdown": stats.drawdown,
        }.items():
            kept = one["curves"][curve]
            lost += [] if kept.equals(series) and kept.index.equals(series.index) else [curve]
        for table, frame in {
            "transactions": ran.get_transactions(key).reset_index(),
            "positions": test.positions.rename_axis("time").reset_index(),
            "weights": test.weights.rename_axis("time").reset_index(),
            "drawdowns": stats.drawdown_details.reset_index(drop=True),
            "returns": stats.return_table.rename_axis("year").reset_index(),
        }.items():
            lost += [f"{table}.{name}" for name in lost_columns(frame, one["tables"][table])]
        assert one["max_drawdown"] == -stats.max_drawdown == -one["ffn_max_drawdown"]
        assert one["sharpe_ratio"] == stats.daily_sharpe
    assert lost == []


def test_statistics_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ffn = pytest.importorskip("ffn", reason=f"ffn {WANTED}")
    both = list(archiver.result(ffn.calc_stats(prices()), params={"n": 1}))
    assert [one["strategy_name"] for one in both] == ["A_n=1", "B_n=1"]
    one = archiver.result(ffn.calc_stats(prices()["A"]))
    assert (one["strategy_name"], one["params"]) == ("A", {})
    assert one["curves"]["equity"].tolist() == prices()["A"].tolist()


def test_a_strategy_that_never_trades_and_a_random_benchmark(ran: Any) -> None:
    import bt

    idle = bt.Backtest(bt.Strategy("idle", []), prices(), progress_bar=False)
    (one,) = archiver.result(bt.run(idle))
    assert (one["tables"]["transactions"], one["total_return"], one["final_equity"]) == ([], 0.0, 1e6)
    chosen = [bt.algos.RunOnce(), bt.algos.SelectRandomly(1), bt.algos.WeighEqually(), bt.algos.Rebalance()]
    tried = bt.Backtest(bt.Strategy("chosen", chosen), prices(), progress_bar=False)
    many = list(archiver.result(bt.backtest.benchmark_random(tried, bt.Strategy("random", chosen), nsim=2)))
    assert len(many) == 3
    assert all(len(found["tables"]["transactions"]) for found in many)
