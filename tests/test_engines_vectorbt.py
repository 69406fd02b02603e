"""vectorbt: every column of a grid is a result that holds what the portfolio says of that column."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

import archiver
from archiver.engines import vectorbt
from archiver.errors import ConfigError
from tests.engine_runs import closes, lost_columns

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]  # vectorbt and what it imports warn


@pytest.fixture(scope="module")
def grid() -> Any:
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # compiling takes half a minute, these prices a second
    vbt = pytest.importorskip(
        "vectorbt", reason="vectorbt is not installed: pip install 'archiver[engines-dev]'"
    )
    close = closes()
    fast, slow = vbt.MA.run_combs(close, window=np.arange(3, 7), r=2, short_names=["fast", "slow"])
    return vbt.Portfolio.from_signals(
        close, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow), init_cash=100, fees=0.001, freq="1D"
    )


def test_nothing_of_a_grid_is_lost(grid: Any) -> None:
    from archiver.engines.shared import metric

    found = list(archiver.result(grid))
    stats = grid.stats(agg_func=None)
    value, benchmark = grid.value(), grid.benchmark_value()
    assert len(found) == len(stats) == 6
    lost = []
    for at, (one, label) in enumerate(zip(found, stats.index, strict=True)):
        assert one["params"] == dict(zip(("fast_window", "slow_window"), label, strict=True))
        for key, own in stats.iloc[at].items():
            name, kept = metric(key, own)
            lost += [key] * (one.get(name) != kept and kept == kept)
        pd.testing.assert_series_equal(one["curves"]["equity"], value[label])
        pd.testing.assert_series_equal(one["curves"]["benchmark"], benchmark[label])
        for name, records in (
            ("trades", grid.trades),
            ("orders", grid.orders),
            ("positions", grid.positions),
        ):
            own = records.records_readable
            own = own[own["Column"] == label].drop(columns="Column")
            table = one["trades"] if name == "trades" else one["tables"][name]
            assert len(own) == len(table)
            if "Direction" in own:
                own = own.assign(Direction=own["Direction"].str.lower())
            lost += [f"{name}.{column}" for column in lost_columns(own, table, vectorbt._NAMES)]
    assert lost == []
    assert found[0]["total_return"] == stats["Total Return [%]"].iloc[0] / 100
    assert found[0]["max_drawdown"] == stats["Max Drawdown [%]"].iloc[0] / 100


def test_one_column_is_a_result(grid: Any) -> None:
    label = grid.wrapper.columns[0]
    one, first = archiver.result(grid[label], name="Cross"), next(iter(archiver.result(grid)))
    assert one["strategy_name"] == "Cross_fast_window=3_slow_window=4"
    assert one["params"] == first["params"]
    assert one["sharpe_ratio"] == pytest.approx(first["sharpe_ratio"])


def test_groups_symbols_open_trades_and_none(grid: Any) -> None:
    import vectorbt as vbt

    close = closes()
    two = pd.DataFrame({"A": close, "B": close * 2})
    group = archiver.result(vbt.Portfolio.from_holding(two, group_by=True, cash_sharing=True, freq="1D"))
    assert set(group["tables"]["orders"]["Column"]) <= {"A", "B"}
    each = list(archiver.result(vbt.Portfolio.from_holding(two, freq="1D")))
    assert [one["params"] for one in each] == [{"column": "A"}, {"column": "B"}]
    assert each[0]["trades"]["Status"].tolist() == ["Open"]
    none = archiver.result(vbt.Portfolio.from_orders(close, size=np.full(len(close), np.nan), freq="1D"))
    assert (len(none["trades"]), none["n_trades"], none["column"]) == (0, 0, "Close")
    with pytest.raises(ConfigError, match=r"stats\(\) fails .*: give the portfolio freq"):
        archiver.result(vbt.Portfolio.from_holding(close))  # of working days
    with pytest.raises(
        TypeError, match="benchmark= is no option for a vectorbt Portfolio: it takes none but"
    ):
        archiver.result(grid, benchmark=close)
