"""PyBroker: metrics, orders, positions, trades and portfolio are those of its own result."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.engines.shared import plain_value
from tests.engine_runs import bars, leaves, same

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]  # PyBroker's own


@pytest.fixture(scope="module")
def ran() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pybroker = pytest.importorskip(
            "pybroker", reason="pybroker is not installed: pip install lib-pybroker"
        )
    return backtest(pybroker, {"initial_cash": 10_000})


def backtest(pybroker: Any, how: dict[str, Any], **more: Any) -> Any:
    both = [bars().rename_axis("date").reset_index().assign(symbol=symbol) for symbol in ("A", "B")]

    def execute(ctx: Any) -> None:
        if not ctx.long_pos() and ctx.bars > 5 and ctx.close[-1] > ctx.close[-5]:
            ctx.buy_shares, ctx.hold_bars = 10, 5

    strategy = pybroker.Strategy(pd.concat(both), "2024-01-01", "2024-12-31", pybroker.StrategyConfig(**how))
    strategy.add_execution(execute, ["A", "B"])
    return strategy.backtest(**{"calc_bootstrap": False, **more})


def test_nothing_of_a_result_is_lost(ran: Any) -> None:
    found = archiver.result(ran, name="mine", params={"hold": 5})
    lost = [
        key
        for key, value in dataclasses.asdict(ran.metrics).items()
        if not any(same(found.get(name), plain_value(value)) for name in (key, f"pybroker_{key}"))
    ]
    assert lost == []
    assert (found["strategy_name"], found["params"]) == ("mine", {"hold": 5})
    for name in ("orders", "positions", "portfolio"):
        own = getattr(ran, name).reset_index()
        pd.testing.assert_frame_equal(found["tables"][name], own)
    own = ran.trades.reset_index()
    assert found["trades"].to_numpy().tolist() == own.to_numpy().tolist()
    assert {"entry_time", "exit_time", "entry_price", "direction", "size", "pnl"} <= {
        *found["trades"].columns
    }
    assert found["curves"]["equity"].tolist() == ran.portfolio["equity"].tolist()
    assert found["max_drawdown"] == pytest.approx(ran.metrics.max_drawdown_pct / -100)
    assert found["win_rate"] == pytest.approx(ran.metrics.win_rate / 100)
    assert "sharpe_ratio" not in found
    assert found["symbols"] == ["A", "B"]


def test_bootstrap_signals_stops_and_annual_ratios_are_kept(ran: Any) -> None:
    import pybroker

    how = {"bars_per_year": 252, "bootstrap_samples": 20, "return_signals": True, "return_stops": True}
    own = backtest(pybroker, how, calc_bootstrap=True)
    found = archiver.result(own)
    assert (found["sharpe_ratio"], found["sortino_ratio"]) == (own.metrics.sharpe, own.metrics.sortino)
    told = own.bootstrap._asdict()
    for key in ("conf_intervals", "drawdown_conf"):
        pd.testing.assert_frame_equal(found["tables"][f"bootstrap.{key}"], told.pop(key).reset_index())
    for key, value in leaves(plain_value(told)).items():
        assert same(found[f"bootstrap.{key}"], value), key
    pd.testing.assert_frame_equal(found["tables"]["stops"], own.stops.reset_index())
    for symbol in ("A", "B"):
        pd.testing.assert_frame_equal(found["tables"][f"signals.{symbol}"], own.signals[symbol].reset_index())
