"""The public contract, over every kind of store."""

from __future__ import annotations

import datetime as dt
import json
import math
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import archiver
from archiver import layout
from archiver.archive import Archive
from tests.benchmarks.workload import universe
from tests.conftest import Place
from tests.same import same
from tests.test_codec_rows import CASES
from tests.wire import Wire

DETAIL = ("trades_detailed", "equity_curve", "drawdown_curve")


@pytest.fixture
def archive(place: Place) -> Archive:
    return archiver.open(place.url, **place.options)


@pytest.fixture
def local(file_place: Place) -> Archive:
    return archiver.open(file_place.url)


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return universe(3, n_strategies=300, top=8, trades=60, bars=3_000)


def metrics_of(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in (*DETAIL, "strategy_name")}


def assert_same_detail(loaded: dict[str, Any], result: dict[str, Any]) -> None:
    assert loaded["strategy_name"] == result["strategy_name"]
    assert same(loaded["metrics"], metrics_of(result))
    assert same(loaded["trades"], result["trades_detailed"])
    assert same(loaded["equity_curve"], result["equity_curve"])
    assert same(loaded["drawdown_curve"], result["drawdown_curve"])


def test_a_universe_goes_to_any_store_and_comes_back_exactly(
    archive: Archive, results: list[dict[str, Any]]
) -> None:
    run = archive.save_universe_results(
        "universe_001_5min_5lb", results, top_n=8, tags=["nightly"], code="none"
    )

    assert (run.universe, run.strategies, run.detailed, run.tags) == (
        "universe_001_5min_5lb",
        300,
        8,
        ("nightly",),
    )
    assert abs((dt.datetime.now(dt.UTC) - run.created).total_seconds()) < 600
    assert archive.runs() == [run] == archive.runs(universe=run.universe, tag="nightly")
    assert archive.runs(universe="other") == archive.runs(tag="other") == []
    detailed = [result for result in results if "trades_detailed" in result]
    assert set(archive.detailed_strategies()) == {(run.universe, one["strategy_name"]) for one in detailed}
    for result in detailed:
        assert_same_detail(archive.load_strategy(result["strategy_name"]), result)
    table = archive.load_metrics()
    assert table.column_names[:3] == ["universe", "strategy_name", "run"]
    assert table["strategy_name"].to_pylist() == [result["strategy_name"] for result in results]
    sizes = [
        entry.size for entry in archive.store.list() if entry.key.startswith(("runs/", "tier", "tapes/"))
    ]
    assert run.bytes == sum(sizes)


def test_metrics_are_pushed_down_to_the_columns_and_universes_asked_for(
    archive: Archive, results: list[dict[str, Any]]
) -> None:
    first = archive.save_universe_results("a", results[:30], code="none")
    archive.save_universe_results("b", results[:20], code="none")
    table = archive.load_metrics(universe="a", columns=["sqn", "win_rate"])
    assert table.column_names == ["universe", "strategy_name", "run", "sqn", "win_rate"]
    assert table["sqn"].to_pylist() == [result["sqn"] for result in results[:30]]
    assert set(table["run"].to_pylist()) == {first.id}
    assert archive.load_metrics(run=first.id[:-1]).num_rows == 30
    with pytest.raises(archiver.ConfigError, match="did you mean 'win_rate'"):
        archive.load_metrics(columns=["winrate"])


def test_the_newest_run_wins_and_history_has_all(archive: Archive) -> None:
    old = archive.save_universe_results(
        "u", [{"strategy_name": "a", "x": 1.0}, {"strategy_name": "b", "x": 2.0}]
    )
    new = archive.save_universe_results("u", [{"strategy_name": "a", "x": 3.0}])
    other = archive.save_universe_results("v", [{"strategy_name": "a", "x": 4.0}])
    rows = archive.load_metrics().to_pylist()
    assert {(row["universe"], row["strategy_name"], row["run"], row["x"]) for row in rows} == {
        ("u", "a", new.id, 3.0),
        ("u", "b", old.id, 2.0),
        ("v", "a", other.id, 4.0),
    }
    assert archive.load_metrics(history=True).num_rows == 4
    assert [run.id for run in archive.runs()] == [other.id, new.id, old.id]


def test_tags_go_on_and_off(archive: Archive) -> None:
    run = archive.save_universe_results("u", [{"strategy_name": "a"}], tags=("x", "ä/b"))
    archive.tag(run.id, "pinned")
    archive.tag(run.id[:18], "pinned")
    assert archive.run(run.id).tags == ("pinned", "x", "ä/b")
    archive.untag(run.id, "x")
    archive.untag(run.id, "never")
    assert [found.tags for found in archive.runs(tag="pinned")] == [("pinned", "ä/b")]
    with pytest.raises(archiver.RunNotFoundError):
        archive.tag("20000101T000000Z-00000000", "x")


HOSTILE = [
    "a/b",
    "..",
    ".",
    "a b",
    "ü",
    "%41",
    "*?[x]",
    "universe=x",
    "🏦",
    "con",
    "a\nb",
    "<script>",
    "x" * 200,
    "-",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_safe_and_comes_back(file_place: Place, name: str) -> None:
    archive = archiver.open(file_place.url)
    result = {"strategy_name": name, "sharpe_ratio": 1.0, "trades": [{"pnl": 1.0}]}
    run = archive.save_universe_results(name, [result], tags=[name], code="none")
    assert (run.universe, run.tags) == (name, (name,))
    assert archive.runs(universe=name, tag=name) == [run]
    assert archive.load_strategy(name, universe=name)["trades"] == [{"pnl": 1.0}]
    assert sorted(path.name for path in Path(file_place.url).parent.iterdir()) == ["archive"]


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
def test_awkward_curves_come_back_exactly(local: Archive, curve: Any) -> None:
    result = {"strategy_name": "s", "equity_curve": curve, "drawdown_curve": curve, "trades": []}
    local.save_universe_results("u", [result, {"strategy_name": "t", "equity_curve": [1.0]}], code="none")
    loaded = local.load_strategy("s")
    assert same(loaded["equity_curve"], curve)
    assert same(loaded["drawdown_curve"], curve)
    assert loaded["trades"] == []
    assert local.load_strategy("t")["trades"] is None


def test_zero_trades_no_strategy_and_missing_details(local: Archive) -> None:
    run = local.save_universe_results("empty", [], code="none")
    assert (run.strategies, run.detailed) == (0, 0)
    assert local.load_metrics("empty").num_rows == 0
    local.save_universe_results("u", [{"strategy_name": "s", "trades_detailed": []}], code="none")
    assert local.load_strategy("s")["trades"] == []
    assert local.load_trades("s").num_rows == 0
    local.save_universe_results("v", [{"strategy_name": "t", "n": 1}], code="none")
    with pytest.raises(archiver.NotKeptError, match=r"top_n is 50|kept the top 50"):
        local.load_strategy("t")


def test_details_may_be_tables_of_any_library(local: Archive) -> None:
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
    local.save_universe_results(
        "u",
        [
            {"strategy_name": name, "sharpe_ratio": np.float64(1.0), "trades": table, "equity_curve": curve}
            for (name, table), curve in zip(forms.items(), curves, strict=True)
        ],
        code="none",
    )
    for name in forms:
        loaded = local.load_strategy(name)
        assert same(loaded["trades"], rows)
        assert same(loaded["equity_curve"], [1.0, 2.0])
        assert same(loaded["metrics"], {"sharpe_ratio": 1.0})
        assert local.load_trades(name, columns=["pnl"]).to_pydict() == {"pnl": [1.5, -2.0]}
    with pytest.raises(archiver.ConfigError, match="'pnl'"):
        local.load_trades("list", columns=["pln"])


def test_a_number_of_trades_is_a_metric_not_detail(local: Archive) -> None:
    local.save_universe_results("u", [{"strategy_name": "s", "trades": 120}], code="none")
    assert local.load_metrics()["trades"].to_pylist() == [120]


def test_metrics_of_runs_that_differ_join(local: Archive) -> None:
    local.save_universe_results(
        "a", [{"strategy_name": f"s{at}", "x": 1, "y": None} for at in range(40)], code="none"
    )
    local.save_universe_results("b", [{"strategy_name": "s", "x": 1.5, "y": 2.0}], code="none")
    local.save_universe_results("c", [{"strategy_name": "s", "x": "n/a", "run": 7}], code="none")
    table = local.load_metrics()
    assert table.num_rows == 42
    by_universe = {row["universe"]: row for row in table.to_pylist()}
    assert [by_universe[name]["x"] for name in "abc"] == [1.0, 1.5, None]
    assert [by_universe[name]["x.text"] for name in "abc"] == [None, None, '"n/a"']
    assert (by_universe["b"]["y"], by_universe["c"]["metrics.run"]) == (2.0, 7)
    assert local.load_metrics(columns=["y"]).schema.field("y").type == pa.float64()


def test_price_windows_are_cut_from_one_tape_that_runs_share(
    local: Archive, results: list[dict[str, Any]]
) -> None:
    for name in ("u", "v"):
        local.save_universe_results(name, results, code="none")
    tapes = list(local.store.list(layout.TAPES))
    assert len(tapes) == 1
    name = local.detailed_strategies("u")[0][1]
    (given,) = [result for result in results if result["strategy_name"] == name]
    table = local.load_trades(name, universe="u", columns=["price_history", "entry_time"])
    assert table.column_names == ["price_history", "entry_time"]
    assert same(
        table["price_history"].to_pylist(), [trade["price_history"] for trade in given["trades_detailed"]]
    )
    assert "price_history" not in local.load_trades(name, universe="u").column_names


def test_runs_of_other_strategies_share_the_tape_too(local: Archive, results: list[dict[str, Any]]) -> None:
    detailed = [result for result in results if "trades_detailed" in result]
    local.save_universe_results("u", detailed, code="none")
    for result in detailed:
        local.save_universe_results("u", [result], code="none")
    assert len(list(local.store.list(layout.TAPES))) == 1
    for result in detailed:
        assert_same_detail(local.load_strategy(result["strategy_name"]), result)


def test_windows_that_fit_no_tape_are_stored_in_full(local: Archive, results: list[dict[str, Any]]) -> None:
    given = next(result for result in results if "trades_detailed" in result)
    trades = json.loads(json.dumps(given["trades_detailed"]))
    trades[3]["price_history"]["close"][5] += 1e-9
    trades[4]["price_history"]["close"][5] = 1
    trades[5]["price_history"] = None
    del trades[6]["price_history"]
    trades[7]["price_history"]["extra"] = "x"
    trades[8]["price_history"] = {}
    trades[9]["price_history"]["close"].pop()
    local.save_universe_results("u", [{"strategy_name": "s", "trades_detailed": trades}], code="none")
    assert same(local.load_strategy("s")["trades"], trades)


def test_bars_given_by_the_user_are_the_tape(local: Archive) -> None:
    bars = {"time": list(range(500)), "close": [float(at) for at in range(500)]}
    for run, start in enumerate((10, 200)):
        window = {key: column[start : start + 9] for key, column in bars.items()}
        result = {"strategy_name": "s", "trades": [{"window": window}]}
        local.save_universe_results(f"u{run}", [result], bars=bars, code="none")
        assert same(local.load_strategy("s", universe=f"u{run}")["trades"], [{"window": window}])
    assert len(list(local.store.list(layout.TAPES))) == 1


def test_one_strategy_is_read_without_the_others(wired_place: Place, wire: Wire) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    many = universe(5, n_strategies=400, top=20, trades=1_200, bars=6_000)
    archive.save_universe_results("first", [], code="none")
    wire.counts.clear()
    run = archive.save_universe_results("u", many, top_n=20, code="none")
    assert wire.counts["PUT"] <= 4 + 1
    assert wire.counts["LIST"] == 0
    fresh = archiver.open(wired_place.url, **wired_place.options)
    name = archive.detailed_strategies(run=run.id)[0][1]
    wire.counts.clear()
    assert fresh.load_trades(name, run=run.id).num_rows == 1_200
    assert wire.counts["GET"] <= 4
    assert wire.counts["LIST"] == 0


def test_a_generator_is_consumed_once_and_only_the_best_details_are_held(local: Archive) -> None:
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

    run = local.save_universe_results("u", stream(), top_n=5, code="none")
    assert (run.strategies, run.detailed) == (300, 5)
    # Two rank metrics are possible until one is seen, and the one in hand.
    assert most <= 2 * 5 + 2
    assert {name for _, name in local.detailed_strategies()} == {"s96", "s193", "s290", "s95", "s192"}


def test_a_generator_may_use_one_buffer_again_and_again(local: Archive) -> None:
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

    local.save_universe_results("u", stream(), code="none")
    for at in range(4):
        loaded = local.load_strategy(f"s{at}")
        assert loaded["equity_curve"] == [float(at)] * 3
        assert loaded["drawdown_curve"] == [float(n) for n in range(at + 1)]
        assert loaded["trades"] == [{"pnl": at}]


def test_trades_have_their_own_columns_only(local: Archive) -> None:
    results = [
        {"strategy_name": "p", "trades": [{"a": 1}]},
        {"strategy_name": "q", "trades": [{"b": 1}, {"c": {}}]},
        {"strategy_name": "r", "trades": {"x": [1.0, 2.0], "y": ["a", "b"]}},
        {"strategy_name": "s", "trades_detailed": 5},
    ]
    local.save_universe_results("u", results, code="none")
    assert local.load_trades("p").column_names == ["a"]
    assert set(local.load_trades("q").column_names) == {"b", "c"}
    with pytest.raises(archiver.ConfigError, match="no column 'b'"):
        local.load_trades("p", columns=["b"])
    assert local.load_trades("r").to_pydict() == {"x": [1.0, 2.0], "y": ["a", "b"]}
    assert local.load_strategy("r")["trades"] == {"x": [1.0, 2.0], "y": ["a", "b"]}
    assert local.load_trades("s").to_pydict() == {"trade": ["5"]}


def test_deep_nesting_comes_back_or_is_refused(local: Archive) -> None:
    deep: Any = None
    for _ in range(90):
        deep = {"a": deep}
    results = [{"strategy_name": "s", "x": deep, "trades": [{"m": deep}, {"m": [deep]}]}]
    local.save_universe_results("u", results, code="none")
    assert local.load_strategy("s")["trades"] == [{"m": deep}, {"m": [deep]}]
    assert local.load_metrics().num_rows == 1
    for _ in range(30):
        deep = {"a": deep}
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (deep, cycle, 10**5_000):
        for bad in ({"x": value}, {"trades": [{"m": value}]}, {"equity_curve": [value]}):
            with pytest.raises(archiver.ConfigError):
                local.save_universe_results("v", [{"strategy_name": "s", **bad}], code="none")


def test_jobs_of_a_pool_may_use_an_archive_with_that_pool(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        archive = archiver.open(tmp_path / "a", executor=pool)
        for at in range(3):
            rows = [{"strategy_name": f"s{n}", "x": float(n)} for n in range(40)]
            archive.save_universe_results(f"u{at}", rows, code="none")
        jobs = [pool.submit(lambda: archive.load_metrics(history=True).num_rows) for _ in range(6)]
        assert [job.result(60) for job in jobs] == [120] * 6


def test_an_archive_goes_to_other_processes(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a")
    run = archive.save_universe_results("u", [{"strategy_name": "s", "x": 1.5}], code="none")
    again = pickle.loads(pickle.dumps(archive))
    assert again.run(run).id == run.id
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = archiver.open(tmp_path / "a", executor=pool)
        assert there.verify(read_data=True).ok
        assert there.compact() == 1
        assert pool.submit(archive.load_metrics).result(60)["x"].to_pylist() == [1.5]


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
    "a metric that cannot be kept": ([{"strategy_name": "s", "x": {1, 2}}], {}),
    "a trade that cannot be kept": ([{"strategy_name": "s", "trades": [{"x": b"1"}]}], {}),
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
    local: Archive, results: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(archiver.ConfigError) as caught:
        local.save_universe_results("u", results, code="none", **options)
    assert "\n" not in str(caught.value)
    assert not Path(local.store.url.removeprefix("file://")).exists()


def test_an_error_in_the_callers_generator_goes_through_and_writes_nothing(local: Archive) -> None:
    def stream() -> Iterator[dict[str, Any]]:
        yield {"strategy_name": "s"}
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        local.save_universe_results("u", stream(), code="none")
    assert not Path(local.store.url.removeprefix("file://")).exists()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("x")
    archive = archiver.open(tmp_path)
    with pytest.raises(archiver.FormatError, match=r"thesis\.docx"):
        archive.save_universe_results("u", [{"strategy_name": "s"}], code="none")
    with pytest.raises(archiver.ArchiveNotFoundError, match="no archive"):
        archive.runs()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_an_archive_of_a_newer_format_is_left_alone(local: Archive) -> None:
    local.save_universe_results("u", [{"strategy_name": "s"}], code="none")
    local.store.put(layout.ARCHIVE, b'{"format": 2}')
    fresh = archiver.open(local.store.url)
    for act in (fresh.runs, lambda: fresh.save_universe_results("u", [{"strategy_name": "s"}], code="none")):
        with pytest.raises(archiver.FormatError, match="upgrade archiver"):
            act()


def test_no_archive_is_told_from_an_empty_one(archive: Archive) -> None:
    with pytest.raises(archiver.ArchiveNotFoundError):
        archive.runs()
    with pytest.raises(archiver.ArchiveNotFoundError):
        archive.load_metrics()


def test_nothing_configured_uses_a_folder_here_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = archiver.open()
    assert archive.store.local == tmp_path / "archive"
    assert "archive" in capsys.readouterr().err
    archive.save_universe_results("u", [{"strategy_name": "s"}], code="none")
    assert (tmp_path / "archive" / "archive.json").exists()
