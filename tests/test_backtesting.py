from __future__ import annotations

import json
import math
import warnings
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import archiver
from archiver.demo import strategies
from archiver.engines.backtesting import from_backtesting
from archiver.errors import ConfigError
from tests.engine_runs import lost_columns

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from backtesting import Backtest, Strategy
    from backtesting.test import GOOG


class Idle(Strategy):
    def init(self) -> None: ...

    def next(self) -> None: ...


class Tagged(Strategy):
    length = 3

    def init(self) -> None: ...

    def next(self) -> None:
        if len(self.data) == 20:
            self.buy(size=10, sl=1.0, tag="first")
        if len(self.data) == 30:
            self.position.close()
            self.sell(size=5)


def run(kind: type, data: pd.DataFrame = GOOG, **params: Any) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Backtest(data, kind, cash=10_000, finalize_trades=True).run(**params)


@pytest.fixture(scope="module")
def stats() -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = Backtest(GOOG, strategies.SmaCross, cash=100_000, commission=0.0002, finalize_trades=True)
        return test.run(fast=10, slow=50)


def test_every_metric_is_kept_under_a_plain_name_with_its_unit(stats: pd.Series) -> None:
    result = from_backtesting(stats)
    public = [label for label in stats.index if not label.startswith("_")]
    lists = {"trades_detailed", "equity_curve", "drawdown_curve"}
    metrics = [key for key in result if key not in {"strategy_name", "param_fast", "param_slow"} | lists]
    assert len(metrics) == len(public) >= 30
    for key, label in {
        "sharpe_ratio": "Sharpe Ratio",
        "n_trades": "# Trades",
        "max_drawdown_pct": "Max. Drawdown [%]",
        "return_ann_pct": "Return (Ann.) [%]",
        "buy_and_hold_return_pct": "Buy & Hold Return [%]",
        "equity_final": "Equity Final [$]",
        "kelly_criterion": "Kelly Criterion",
        "sqn": "SQN",
    }.items():
        assert result[key] == stats[label]
    assert result["start"] == "2004-08-19T00:00:00"
    assert result["duration_days"] == 3116.0
    assert result["avg_trade_duration_days"] == stats["Avg. Trade Duration"] / pd.Timedelta(days=1)


def test_result_is_plain_data_only(stats: pd.Series) -> None:
    def kinds(value: Any) -> set[type]:
        if isinstance(value, dict):
            return {dict}.union(*map(kinds, value), *map(kinds, value.values()))
        if isinstance(value, list):
            return {list}.union(*map(kinds, value))
        return {type(value)}

    result = from_backtesting(stats)
    assert kinds(result) <= {dict, list, str, int, float, bool, type(None)}
    assert type(result["n_trades"]) is int
    assert type(result["sharpe_ratio"]) is float
    json.dumps(result)


def test_name_and_params_come_from_the_strategy_or_the_caller(stats: pd.Series) -> None:
    result = from_backtesting(stats)
    assert result["strategy_name"] == "SmaCross_fast=10_slow=50"
    assert (result["param_fast"], result["param_slow"]) == (10, 50)
    named = from_backtesting(stats, name="mine", params={"slow": 1.5})
    assert named["strategy_name"] == "mine"
    assert named["param_slow"] == 1.5
    assert "param_fast" not in named


def test_trades_and_curves_agree_with_the_result(stats: pd.Series) -> None:
    result = from_backtesting(stats)
    trades, frame = result["trades_detailed"], stats["_trades"]
    assert len(trades) == len(frame) == result["n_trades"]
    first, row = trades[0], frame.iloc[0]
    assert first["entry_time"] == row.EntryTime.isoformat()
    assert first["direction"] == ("long" if row.Size > 0 else "short")
    assert first["size"] == row.Size
    assert first["pnl"] == row.PnL
    assert first["pnl_pct"] == row.ReturnPct * 100
    assert first["duration_minutes"] == (row.ExitTime - row.EntryTime).total_seconds() / 60
    assert (first["entry_bar"], first["exit_bar"]) == (row.EntryBar, row.ExitBar)
    assert set(first["indicators"]) == {c for c in frame.columns if c.startswith(("Entry_", "Exit_"))}
    assert result["equity_curve"] == stats["_equity_curve"].Equity.tolist()
    assert len(result["drawdown_curve"]) == len(result["equity_curve"]) == len(GOOG)
    assert max(result["drawdown_curve"]) == pytest.approx(-result["max_drawdown_pct"])


def test_tags_and_stops_are_text_and_numbers_or_none() -> None:
    first, second = from_backtesting(run(Tagged, length=4))["trades_detailed"]
    assert (first["tag"], first["sl"], first["tp"]) == ("first", 1.0, None)
    assert (second["tag"], second["sl"], second["direction"]) == (None, None, "short")
    assert "indicators" not in first


def test_no_trades_gives_empty_lists_and_nan() -> None:
    result = from_backtesting(run(Idle))
    assert result["trades_detailed"] == []
    assert result["n_trades"] == 0
    assert math.isnan(result["avg_trade_duration_days"])
    assert math.isnan(result["sharpe_ratio"])
    assert set(result["drawdown_curve"]) == {0.0}


def test_data_without_dates_counts_in_bars() -> None:
    result = from_backtesting(run(Tagged, GOOG.reset_index(drop=True).iloc[:100]))
    assert result["duration_bars"] == 99
    assert "duration_days" not in result
    assert "duration_minutes" not in result["trades_detailed"][0]


@pytest.mark.parametrize("wrong", [None, 3, {}, {"Sharpe Ratio": 1.0}, pd.Series({"a": 1.0})])
def test_anything_else_is_a_one_line_error(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"Backtest\.run"):
        from_backtesting(wrong)


def test_trades_show_the_bars_around_them(stats: pd.Series) -> None:
    trades = from_backtesting(stats, bars=7)["trades_detailed"]
    assert "price_history" not in from_backtesting(stats)["trades_detailed"][0]
    for trade in trades:
        first, last = max(trade["entry_bar"] - 7, 0), min(trade["exit_bar"] + 7, len(GOOG) - 1)
        window = trade["price_history"]
        assert list(window) == ["timestamps", "open", "high", "low", "close", "volume"]
        assert window["timestamps"][0] == GOOG.index[first].isoformat()
        assert window["close"] == GOOG["Close"].iloc[first : last + 1].tolist()
        assert {type(value) for value in window["volume"]} == {int}
    with pytest.raises(ConfigError, match="bars is -1"):
        from_backtesting(stats, bars=-1)


def average(values: Any) -> Any:
    return values


class Lookup:
    pass


class Parametrised(Strategy):
    weights: Any = None
    series: Any = None
    maker: Any = None
    part: Any = None
    shape: Any = None
    lookup: Any = None

    def init(self) -> None: ...

    def next(self) -> None: ...


def test_parameters_of_any_kind_give_a_name_that_is_the_same_in_every_process() -> None:
    stats = run(
        Parametrised,
        weights=np.array([0.5, 0.25]),
        series=pd.Series(range(100)),
        maker=average,
        part=partial(average, 30),
        shape=Lookup,
        lookup=Lookup(),
    )
    result = from_backtesting(stats)
    digest = sha256(json.dumps(list(range(100)), separators=(",", ":")).encode()).hexdigest()[:8]
    part = sha256(b"functools.partial(<function average>, 30)").hexdigest()[:8]
    assert result["strategy_name"] == (
        f"Parametrised_weights=[0.5,0.25]_series={digest}_maker=average_part={part}_shape=Lookup"
        "_lookup=<tests.test_backtesting.Lookup object>"
    )
    assert result["param_weights"] == [0.5, 0.25]
    assert result["param_series"] == list(range(100))
    assert result["param_maker"] == "tests.test_backtesting.average"
    assert result["param_part"] == "functools.partial(<function average>, 30)"
    assert "0x" not in json.dumps(result)


def test_an_index_of_a_parameter_is_not_lost_without_a_word() -> None:
    days = pd.Series([1.0], index=pd.DatetimeIndex(["2025-01-01"]))
    with pytest.warns(UserWarning, match=r"an index is not kept: param_series \(DatetimeIndex\)") as told:
        from_backtesting(run(Parametrised, series=days))
    assert told[0].filename == __file__


def test_a_result_holds_every_field_of_the_engine_s_own_object(stats: pd.Series) -> None:
    found = archiver.result(stats)
    old = from_backtesting(stats)
    lists = {"trades_detailed", "equity_curve", "drawdown_curve"}
    lost = [key for key in old.keys() - lists if not key.startswith("param_") and found.get(key) != old[key]]
    assert lost == []
    assert found["params"] == {"fast": 10, "slow": 50}
    assert found["trades"] == old["trades_detailed"]
    names = {
        "Size": "size", "EntryBar": "entry_bar", "ExitBar": "exit_bar", "EntryPrice": "entry_price", "Tag": "tag",
        "ExitPrice": "exit_price", "SL": "sl", "TP": "tp", "PnL": "pnl", "Commission": "commission",
        "EntryTime": "entry_time", "ExitTime": "exit_time",
    }  # fmt: skip
    trades = [{**trade, **trade["indicators"]} for trade in found["trades"]]
    own = stats["_trades"].drop(
        columns=["ReturnPct", "Duration"]
    )  # `pnl_pct` and `duration_minutes` say these
    assert lost_columns(own, trades, names) == []
    assert [trade["pnl_pct"] / 100 for trade in trades] == pytest.approx(
        stats["_trades"]["ReturnPct"].tolist()
    )
    durations = stats["_trades"]["Duration"] / pd.Timedelta(minutes=1)
    assert [trade["duration_minutes"] for trade in trades] == durations.tolist()
    equity = stats["_equity_curve"]
    pd.testing.assert_series_equal(found["curves"]["equity"], equity["Equity"])
    pd.testing.assert_series_equal(found["curves"]["drawdown"], equity["DrawdownPct"])
    drops = found["tables"]["drawdowns"]
    assert drops["duration"].tolist() == equity["DrawdownDuration"].dropna().tolist()
    assert found["max_drawdown"] == stats["Max. Drawdown [%]"] / -100
    assert found["total_return"] == stats["Return [%]"] / 100
    assert found["win_rate"] == stats["Win Rate [%]"] / 100
    assert archiver.result(stats, name="mine", params={"a": [1]})["params"] == {"a": [1]}


def test_what_stands_in_the_class_is_a_parameter_too(tmp_path: Path) -> None:
    found = archiver.result(run(Tagged))
    assert (found["strategy_name"], found["params"]) == ("Tagged", {"length": 3})
    assert archiver.result(run(Tagged, length=4))["params"] == {"length": 4}
    with pytest.raises(TypeError, match="benchmark= is no option for a backtesting _Stats: it takes bars="):
        archiver.result(run(Tagged), benchmark=1)


def test_the_heatmap_of_optimize_gives_a_result_a_combination(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = Backtest(GOOG[:300], Tagged, cash=10_000).optimize(
            length=[2, 3, 4], maximize="Return [%]", return_heatmap=True
        )
    found = list(archiver.result(pair))
    assert len(found) == 3
    assert len({one["strategy_name"] for one in found}) == 3
    assert sorted(one["params"]["length"] for one in found) == [2, 3, 4]
    assert [one["return_pct"] for one in archiver.result(pair[1])] == pair[1].tolist()
    assert "trades" in found[0]
    assert all(one["strategy_name"].startswith("Tagged_length=") for one in found)
    archive = archiver.open(tmp_path / "archive")
    assert archive.save(pair, "u", code="none").rank_by == "return_pct"
    assert archive.save(pair[1], "u", code="none").rank_by == "return_pct"


def test_a_table_of_several_data_gives_a_result_each(stats: pd.Series) -> None:
    public = stats[[label for label in stats.index if not label.startswith("_")]]
    table = pd.DataFrame([public, public]).transpose()  # as MultiBacktest.run() makes it
    found = list(archiver.result(table, name="SmaCross"))
    assert [one["strategy_name"] for one in found] == ["SmaCross_data=0", "SmaCross_data=1"]
    assert found[0]["sharpe_ratio"] == stats["Sharpe Ratio"]
    assert found[0]["max_drawdown_days"] == stats["Max. Drawdown Duration"] / pd.Timedelta(days=1)
    assert found[0]["n_trades"] == stats["# Trades"]


def test_a_run_without_trades_and_dates_is_a_result() -> None:
    found = archiver.result(run(Idle, GOOG[:50].reset_index(drop=True)))
    assert found["trades"] == []
    assert found["n_trades"] == 0
    assert found["total_return"] == 0.0
