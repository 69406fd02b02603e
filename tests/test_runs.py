"""What a save makes of results: exact values, one tape for many windows, the best details only, or one clear error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import archiver
from archiver.archive import Archive
from archiver.format import layout
from tests.conftest import Place
from tests.same import assert_same_detail, same
from tests.test_format_rows import CASES


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_awkward_metrics_and_trades_come_back_exactly(file_place: Place, rows: list[dict[str, Any]]) -> None:
    archive = archiver.open(file_place.url)
    result = [
        {"strategy_name": f"s{at}", **row, "trades_detailed": rows, "equity_curve": [1.0]}
        for at, row in enumerate(rows)
        if "strategy_name" not in row
    ]
    archive.save_universe_results("u", result, code="none")
    for at, row in enumerate(rows):
        loaded = archive.load_strategy(f"s{at}")
        assert same(loaded["metrics"], row)
        assert same(loaded["trades"], rows)
    assert archive.load_metrics().num_rows == len(rows)
    assert archive.load_trades("s0").num_rows == len(rows)


@pytest.mark.parametrize(
    "curve",
    [
        [],
        [1.0],
        [10_000, 10_001.5, 9_999],
        [0, 0.0, -0.0, math.nan, math.inf],
        [None, 1.0],
        [1, 2, 3],
        [2**60, 1.0],
        ["x", 1.0],
        {"time": ["a"], "equity": [1.0]},
        None,
    ],
)
def test_awkward_curves_come_back_exactly(archive: Archive, curve: Any) -> None:
    result = {"strategy_name": "s", "equity_curve": curve, "drawdown_curve": curve, "trades": []}
    archive.save_universe_results("u", [result, {"strategy_name": "t", "equity_curve": [1.0]}], code="none")
    loaded = archive.load_strategy("s")
    assert same(loaded["equity_curve"], curve)
    assert same(loaded["drawdown_curve"], curve)
    assert loaded["trades"] == []
    assert archive.load_strategy("t")["trades"] is None


def test_zero_trades_no_strategy_and_missing_details(archive: Archive) -> None:
    run = archive.save_universe_results("empty", [], code="none")
    assert (run.strategies, run.detailed) == (0, 0)
    assert archive.load_metrics("empty").num_rows == 0
    archive.save_universe_results("u", [{"strategy_name": "s", "trades_detailed": []}], code="none")
    assert archive.load_strategy("s")["trades"] == []
    assert archive.load_trades("s").num_rows == 0
    archive.save_universe_results("v", [{"strategy_name": "t", "n": 1}], code="none")
    with pytest.raises(archiver.NotKeptError, match=r"top_n is 50|kept the top 50"):
        archive.load_strategy("t")


def test_details_may_be_tables_of_any_library(archive: Archive) -> None:
    trades = {"entry_time": ["2025-01-01", "2025-01-02"], "pnl": [1.5, -2.0], "n": [1, 2]}
    rows = [dict(zip(trades, row, strict=True)) for row in zip(*trades.values(), strict=True)]
    forms: dict[str, Any] = {
        "pandas": pd.DataFrame(trades),
        "polars": pl.DataFrame(trades),
        "arrow": pa.table(trades),
        "list": rows,
        "tuple": tuple(rows),
    }
    curves = [
        np.array([1.0, 2.0]),
        pl.Series([1.0, 2.0]),
        pa.array([1.0, 2.0]),
        [1.0, 2.0],
        pd.Series([1.0, 2.0]),
    ]
    archive.save_universe_results(
        "u",
        [
            {"strategy_name": name, "sharpe_ratio": np.float64(1.0), "trades": table, "equity_curve": curve}
            for (name, table), curve in zip(forms.items(), curves, strict=True)
        ],
        code="none",
    )
    for name in forms:
        loaded = archive.load_strategy(name)
        assert same(loaded["trades"], rows)
        assert same(loaded["equity_curve"], [1.0, 2.0])
        assert same(loaded["metrics"], {"sharpe_ratio": 1.0})
        assert archive.load_trades(name, columns=["pnl"]).to_pydict() == {"pnl": [1.5, -2.0]}
    with pytest.raises(archiver.ConfigError, match="'pnl'"):
        archive.load_trades("list", columns=["pln"])


def test_a_number_of_trades_is_a_metric_not_detail(archive: Archive) -> None:
    archive.save_universe_results("u", [{"strategy_name": "s", "trades": 120}], code="none")
    assert archive.load_metrics()["trades"].to_pylist() == [120]


def test_price_windows_are_cut_from_one_tape_that_runs_share(
    archive: Archive, results: list[dict[str, Any]]
) -> None:
    for name in ("u", "v"):
        archive.save_universe_results(name, results, code="none")
    tapes = list(archive.store.list(layout.TAPES))
    assert len(tapes) == 1
    name = archive.detailed_strategies("u")[0][1]
    (given,) = [result for result in results if result["strategy_name"] == name]
    table = archive.load_trades(name, universe="u", columns=["price_history", "entry_time"])
    assert table.column_names == ["price_history", "entry_time"]
    assert same(
        table["price_history"].to_pylist(), [trade["price_history"] for trade in given["trades_detailed"]]
    )
    assert "price_history" not in archive.load_trades(name, universe="u").column_names


def test_runs_of_other_strategies_share_the_tape_too(archive: Archive, results: list[dict[str, Any]]) -> None:
    detailed = [result for result in results if "trades_detailed" in result]
    archive.save_universe_results("u", detailed, code="none")
    for result in detailed:
        archive.save_universe_results("u", [result], code="none")
    assert len(list(archive.store.list(layout.TAPES))) == 1
    for result in detailed:
        assert_same_detail(archive.load_strategy(result["strategy_name"]), result)


def test_windows_that_fit_no_tape_are_stored_in_full(archive: Archive, results: list[dict[str, Any]]) -> None:
    given = next(result for result in results if "trades_detailed" in result)
    trades = json.loads(json.dumps(given["trades_detailed"]))
    trades[3]["price_history"]["close"][5] += 1e-9
    trades[4]["price_history"]["close"][5] = 1
    trades[5]["price_history"] = None
    del trades[6]["price_history"]
    trades[7]["price_history"]["extra"] = "x"
    trades[8]["price_history"] = {}
    trades[9]["price_history"]["close"].pop()
    archive.save_universe_results("u", [{"strategy_name": "s", "trades_detailed": trades}], code="none")
    assert same(archive.load_strategy("s")["trades"], trades)


def test_bars_given_by_the_user_are_the_tape(archive: Archive) -> None:
    bars = {"time": list(range(500)), "close": [float(at) for at in range(500)]}
    for run, start in enumerate((10, 200)):
        window = {key: column[start : start + 9] for key, column in bars.items()}
        result = {"strategy_name": "s", "trades": [{"window": window}]}
        archive.save_universe_results(f"u{run}", [result], bars=bars, code="none")
        assert same(archive.load_strategy("s", universe=f"u{run}")["trades"], [{"window": window}])
    assert len(list(archive.store.list(layout.TAPES))) == 1


def test_a_generator_is_consumed_once_and_only_the_best_details_are_held(archive: Archive) -> None:
    import weakref

    class Trades(list[Any]):
        pass

    alive: list[weakref.ref[Trades]] = []
    most = 0

    def stream() -> Iterator[dict[str, Any]]:
        nonlocal most
        for at in range(300):
            trades = Trades([{"pnl": float(at)}])
            alive.append(weakref.ref(trades))
            yield {"strategy_name": f"s{at}", "sharpe_ratio": float(at % 97), "trades": trades}
            del trades
            most = max(most, sum(ref() is not None for ref in alive))

    run = archive.save_universe_results("u", stream(), top_n=5, code="none")
    assert (run.strategies, run.detailed) == (300, 5)
    # Two rank metrics are possible until one is seen, and the one in hand.
    assert most <= 2 * 5 + 2
    assert {name for _, name in archive.detailed_strategies()} == {"s96", "s193", "s290", "s95", "s192"}


def test_a_generator_may_use_one_buffer_again_and_again(archive: Archive) -> None:
    def stream() -> Iterator[dict[str, Any]]:
        buffer = np.zeros(3)
        grows: list[float] = []
        trades: list[dict[str, Any]] = []
        for at in range(4):
            buffer[:] = at
            grows.append(float(at))
            trades.clear()
            trades.append({"pnl": at})
            yield {
                "strategy_name": f"s{at}",
                "sharpe_ratio": float(at),
                "equity_curve": buffer,
                "drawdown_curve": grows,
                "trades": trades,
            }

    archive.save_universe_results("u", stream(), code="none")
    for at in range(4):
        loaded = archive.load_strategy(f"s{at}")
        assert loaded["equity_curve"] == [float(at)] * 3
        assert loaded["drawdown_curve"] == [float(n) for n in range(at + 1)]
        assert loaded["trades"] == [{"pnl": at}]


def test_deep_nesting_comes_back_or_is_refused(archive: Archive) -> None:
    deep: Any = None
    for _ in range(90):
        deep = {"a": deep}
    results = [{"strategy_name": "s", "x": deep, "trades": [{"m": deep}, {"m": [deep]}]}]
    archive.save_universe_results("u", results, code="none")
    assert archive.load_strategy("s")["trades"] == [{"m": deep}, {"m": [deep]}]
    assert archive.load_metrics().num_rows == 1
    for _ in range(30):
        deep = {"a": deep}
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (deep, cycle, 10**5_000):
        for bad in ({"x": value}, {"trades": [{"m": value}]}, {"equity_curve": [value]}):
            with pytest.raises(archiver.ConfigError):
                archive.save_universe_results("v", [{"strategy_name": "s", **bad}], code="none")


BAD: dict[str, tuple[Any, dict[str, Any]]] = {
    "no iterable": (42, {}),
    "a text": ("results", {}),
    "one dict": ({"strategy_name": "s"}, {}),
    "not dicts": ([1, 2], {}),
    "no name": ([{"sharpe_ratio": 1.0}], {}),
    "a name that is no text": ([{"strategy_name": 7}], {}),
    "an empty name": ([{"strategy_name": ""}], {}),
    "a name that is not Unicode": ([{"strategy_name": "\ud800"}], {}),
    "two of one name": ([{"strategy_name": "s"}, {"strategy_name": "s"}], {}),
    "top_n below 0": ([{"strategy_name": "s"}], {"top_n": -1}),
    "top_n no number": ([{"strategy_name": "s"}], {"top_n": "5"}),
    "a rank metric nobody has": ([{"strategy_name": "s", "sharpe": 1.0}], {"rank_by": "sharp"}),
    "a metric that cannot be kept": ([{"strategy_name": "s", "x": object()}], {}),
    "a trade that cannot be kept": ([{"strategy_name": "s", "trades": [{"x": object()}]}], {}),
    "a key that is no text": ([{"strategy_name": "s", 3: 1}], {}),
    "params that cannot be kept": ([{"strategy_name": "s"}], {"params": {"x": object()}}),
    "a universe's rank metric that is no text": ([{"strategy_name": "s"}], {"rank_by": 5}),
    "params that are no dict": ([{"strategy_name": "s"}], {"params": [1]}),
    "a tag without a name": ([{"strategy_name": "s"}], {"tags": [""]}),
    "a tag that is no text": ([{"strategy_name": "s"}], {"tags": [3]}),
    "both kinds of trades": ([{"strategy_name": "s", "trades": [{}], "trades_detailed": [{}]}], {}),
}


@pytest.mark.parametrize(("results", "options"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    archive: Archive, results: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(archiver.ConfigError) as caught:
        archive.save_universe_results("u", results, code="none", **options)
    assert "\n" not in str(caught.value)
    assert not Path(archive.store.url.removeprefix("file://")).exists()


def test_an_error_in_the_callers_generator_goes_through_and_writes_nothing(archive: Archive) -> None:
    def stream() -> Iterator[dict[str, Any]]:
        yield {"strategy_name": "s"}
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        archive.save_universe_results("u", stream(), code="none")
    assert not Path(archive.store.url.removeprefix("file://")).exists()


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt()])
def test_what_ends_a_generator_says_how_many_results_are_lost(archive: Archive, error: BaseException) -> None:
    def stream() -> Iterator[dict[str, Any]]:
        yield from ({"strategy_name": f"s{at}"} for at in range(900))
        raise error

    with pytest.raises(type(error)) as caught:
        archive.save_universe_results("u", stream(), code="none")
    assert caught.value is error
    assert error.__notes__ == ["900 results came before this; no run was written, none of them is kept"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"p": object()}, r"trades\[382\]\.p is a object: "),
        ({"p": [1, {"x": object()}]}, r"trades\[382\]\.p\[1\]\.x is a object: "),
        ({3: 1}, r"trades\[382\] has the key 3: "),
        ({"p": 10**5000}, r"trades: a number is too long"),
    ],
)
def test_an_error_names_universe_strategy_and_place(archive: Archive, wrong: Any, said: str) -> None:
    results = [
        {"strategy_name": "a", "sharpe": 1.0, "trades": [{"p": 1.0}] * 380},
        {"strategy_name": "b", "sharpe": 2.0, "trades": [{"p": 1.0}] * 382 + [wrong]},
    ]
    with pytest.raises(archiver.ConfigError, match=f"^universe 'eurusd': strategy 'b': {said}"):
        archive.save_universe_results("eurusd", results, code="none")


@pytest.mark.parametrize("count", [3, 20, 9_000])
def test_an_error_in_a_metric_names_strategy_and_metric(archive: Archive, count: int) -> None:
    results = [{"strategy_name": f"s{at}", "x": object() if at == count - 2 else 1.0} for at in range(count)]
    with pytest.raises(
        archiver.ConfigError, match=rf"^universe 'u': strategy 's{count - 2}': x is a object: "
    ):
        archive.save_universe_results("u", results, code="none")


def test_values_without_a_place_are_converted_by_default(archive: Archive) -> None:
    class Money:
        def __init__(self, cents: int) -> None:
            self.cents = cents

    results = [
        {"strategy_name": f"s{at}", "sharpe": Money(at), "trades": [{"p": Money(at)}]} for at in range(3)
    ]
    archive.save_universe_results("u", results, 1, code="none", default=lambda money: money.cents)
    assert archive.detailed_strategies() == [("u", "s2")]
    found = archive.load_strategy("s2")
    assert found["metrics"] == {"sharpe": 2}
    assert found["trades"] == [{"p": 2}]


def test_an_index_that_is_not_kept_is_told_once_with_its_place(archive: Archive) -> None:
    days = pd.date_range("2025-01-01", periods=3, name="Date")
    results = [
        {
            "strategy_name": f"s{at}",
            "sharpe": 1.0,
            "equity_curve": pd.Series([1.0, 2.0, 3.0], index=days),
            "rolling": pd.Series([1.0, 2.0, 3.0], index=days),
            "trades": pd.DataFrame({"p": [1.0, 2.0, 3.0]}, index=days),
        }
        for at in range(3)
    ]
    said = r"universe 'u': an index is not kept: strategy 's0': rolling \(DatetimeIndex Date\) and 2 more"
    with pytest.warns(UserWarning, match=said) as told:
        archive.save_universe_results("u", results, code="none")
    assert [Path(one.filename).name for one in told] == [Path(__file__).name]
    found = archive.load_strategy("s1")
    assert found["equity_curve"] == [1.0, 2.0, 3.0]
    assert found["trades"][0] == {"Date": "2025-01-01T00:00:00", "p": 1.0}


def test_results_and_what_they_hold_are_not_changed(archive: Archive) -> None:
    class Growing(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            value = self[key] = Growing()
            return value

        def __getattr__(self, name: str) -> Any:
            return self[name]

    def made() -> Any:
        inner = Growing(total=Growing(open=1), won=Growing())
        detail = {"strategy_name": "s", "trades": inner, "equity_curve": Growing(), "analysis": inner}
        return Growing({**detail, "trades_detailed": [Growing(p=Growing())]})

    result = made()
    archive.save_universe_results("u", [result], code="none", params=Growing(a=Growing()))
    assert result == made()
    assert archive.load_strategy("s")["metrics"]["analysis"] == {"total": {"open": 1}, "won": {}}
