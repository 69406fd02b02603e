"""The public contract, over every kind of store."""

from __future__ import annotations

import datetime as dt
import pickle
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import StorageError
from archiver.format import layout
from tests.benchmarks.workload import universe
from tests.conftest import Place
from tests.same import assert_same_detail
from tests.wire import Wire


@pytest.fixture
def archive(place: Place) -> Archive:
    return archiver.open(place.url, **place.options)


@pytest.fixture
def local(file_place: Place) -> Archive:
    return archiver.open(file_place.url)


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
    assert wire.counts["LIST"] == 1  # whether another record took the place of the run's own


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


def test_columns_of_a_strategy_without_trades_are_empty(local: Archive) -> None:
    results = [
        {"strategy_name": "some", "trades": [{"pnl": 1.5, "side": "long"}]},
        {"strategy_name": "other", "trades": [{"x": 1}]},
        {"strategy_name": "none", "trades": []},
        {"strategy_name": "curve", "equity_curve": [1.0]},
    ]
    local.save_universe_results("u", results, code="none")
    tables = [local.load_trades(name, columns=["pnl", "side"]) for name in ("none", "some", "curve")]
    assert {tuple(table.column_names) for table in tables} == {("pnl", "side")}
    together = pa.concat_tables(tables, promote_options="default")
    assert together.to_pylist() == [{"pnl": 1.5, "side": "long"}]


def test_names_that_are_no_text_are_told(local: Archive) -> None:
    results: list[Any] = [{"strategy_name": "s", "sharpe_ratio": 1.0, "trades": [{"pnl": 1.5}]}]
    wrong: Any = ["u"]
    with pytest.raises(archiver.ConfigError, match="name"):
        local.save_universe_results(wrong, results, code="none")
    local.save_universe_results("u", results, code="none")
    nothing: Any = None
    numbers: Any = [3]
    with pytest.raises(archiver.ConfigError, match="None is no name of a strategy"):
        local.load_strategy(nothing)
    with pytest.raises(archiver.ConfigError, match="3 is no name of a column"):
        local.load_metrics(columns=numbers)
    twice = local.load_metrics(columns=["sharpe_ratio", "sharpe_ratio"])
    assert twice.column_names == ["universe", "strategy_name", "run", "sharpe_ratio"]


def test_jobs_of_a_pool_may_use_an_archive_with_that_pool(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        archive = archiver.open(tmp_path / "a", executor=pool)
        for at in range(3):
            rows = [{"strategy_name": f"s{n}", "x": float(n)} for n in range(40)]
            archive.save_universe_results(f"u{at}", rows, code="none")
        jobs = [pool.submit(lambda: archive.load_metrics(history=True).num_rows) for _ in range(6)]
        assert [job.result(60) for job in jobs] == [120] * 6


def test_an_archive_answers_while_other_work_fills_its_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archiver.store.contract._PATIENCE", 0.02)
    answered = threading.Event()
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as outside:
        archive = archiver.open(tmp_path / "a", executor=pool)
        archive.save_universe_results("u", [{"strategy_name": "s", "x": 1.0}], code="none")
        busy = pool.submit(answered.wait, 60)
        try:
            rows = outside.submit(lambda: archive.load_metrics(history=True).num_rows).result(30)
        finally:
            answered.set()
        assert rows == 1
        assert busy.result()


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


class Elsewhere(Executor):
    """An executor that is none of Python's: what it is given pickles, or it fails, as on a cluster."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        fn, args = pickle.loads(pickle.dumps((fn, args)))
        done.set_result(fn(*args, **kwargs))
        return done


def test_what_cannot_travel_to_an_executor_is_done_here(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "a", executor=Elsewhere())
    rows = [{"strategy_name": "s", "x": 1.5}]
    runs = {archive.save_universe_results(name, rows, code="none").id for name in "uvw"}
    assert archive.compact() == 3
    assert archive.verify(read_data=True).ok
    copied = archiver.open(tmp_path / "b", executor=Elsewhere())
    assert set(archive.copy_to(copied).runs) == runs
    assert copied.gc("0d", apply=True).failed == {}
    assert copied.load_metrics(history=True).num_rows == 3


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
    local.store.put(layout.ARCHIVE, b'{"format": 3}')
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


@pytest.mark.parametrize("how", ["folder", "content"])
def test_an_archive_that_went_while_it_was_open_stays_gone(how: str, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    rows = [{"strategy_name": "s", "sharpe_ratio": 1.0}]
    made = archiver.open(root)
    run = made.save_universe_results("u", rows, code="none").id
    other = archiver.open(tmp_path / "other")
    other.save_universe_results("u", rows, code="none")
    plan = made.plan_prune(archiver.Policy(keep_last=0), allow_empty=True)
    shutil.rmtree(root)
    if how == "content":
        root.mkdir()
    acts: list[Callable[[], object]] = [
        lambda: made.save_universe_results("u", rows, code="none"),
        lambda: made.apply(plan, max_remove=1),
        lambda: made.gc("0d", apply=True),
        lambda: made.gc("0d"),
        lambda: made.verify(repair=True),
        lambda: made.tag(run, "pinned"),
        lambda: made.untag(run, "t"),
        lambda: made.undelete(run),
        made.compact,
        lambda: made.bundle([run], "b"),
        made.du,
        made.df,
        made.runs,
        made.trash,
        lambda: other.copy_to(made),
        lambda: made.bundles.restore(str(tmp_path / "b.tar.zst"), home=other.bundles),
    ]
    other.bundle(other.run_ids(), str(tmp_path / "b.tar.zst"))
    for act in acts:
        with pytest.raises(StorageError, match=r"is gone|is none any more"):
            act()
    assert root.exists() is (how == "content")
    assert list(root.glob("**/*")) == []
    assert archiver.open(root).save_universe_results("u", rows, code="none").id


def test_an_archive_is_a_context_manager_and_works_on_after_it_was_closed(tmp_path: Path) -> None:
    with archiver.open(tmp_path / "a") as archive:
        run = archive.save_universe_results("u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none")
        again = pickle.loads(pickle.dumps(archive))
    assert [one.id for one in archive.runs()] == [run.id] == [one.id for one in again.runs()]
    archive.close()
    archive.close()
