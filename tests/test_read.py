from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, NotFoundError
from tests.conftest import Place
from tests.faults import FaultyStore


@pytest.fixture
def archive(file_place: Place) -> Archive:
    return archiver.open(file_place.url)


def save(
    archive: Archive, universe: str, kept: dict[str, float], others: dict[str, float] | None = None
) -> str:
    results: list[dict[str, Any]] = [
        {"strategy_name": name, "sharpe_ratio": score, "equity_curve": [score]}
        for name, score in kept.items()
    ]
    results += [{"strategy_name": name, "sharpe_ratio": score} for name, score in (others or {}).items()]
    return archive.save_universe_results(universe, results, code="none").id


def test_the_newest_run_counts_also_without_the_detail(archive: Archive) -> None:
    old = save(archive, "u", {"a": 1.0, "b": 2.0})
    new = save(archive, "u", {"a": 3.0}, {"b": 1.0, "c": 0.5})
    assert archive.load_strategy("a")["equity_curve"] == [3.0]
    with pytest.raises(archiver.NotKeptError, match=f"ranks 2 of 3 .* top_n is 50; .*run {old} kept it"):
        archive.load_strategy("b")
    assert archive.load_strategy("b", run=old)["equity_curve"] == [2.0]
    with pytest.raises(archiver.NotKeptError):
        archive.load_strategy("c", run=new)
    assert archive.detailed_strategies() == [("u", "a")]
    assert archive.detailed_strategies(run=old) == [("u", "b"), ("u", "a")]


def test_of_several_universes_the_newest_that_kept_it_counts(archive: Archive) -> None:
    save(archive, "u", {"a": 1.0})
    save(archive, "v", {"a": 2.0})
    save(archive, "w", {"z": 1.0}, {"a": 0.0})
    assert archive.load_strategy("a")["universe"] == "v"
    assert archive.load_strategy("a", universe="u")["universe"] == "u"
    with pytest.raises(archiver.NotKeptError):
        archive.load_strategy("a", universe="w")


def test_a_strategy_only_older_runs_have_is_found(archive: Archive) -> None:
    save(archive, "u", {"a": 1.0})
    save(archive, "u", {"b": 1.0})
    assert archive.load_strategy("a")["rank"] == 1
    assert set(archive.detailed_strategies()) == {("u", "a"), ("u", "b")}


def test_what_is_listed_as_detailed_can_be_loaded(archive: Archive) -> None:
    chance = random.Random(7)
    names = [f"s{at}" for at in range(8)]
    for _ in range(25):
        chosen = chance.sample(names, chance.randint(1, 8))
        cut = chance.randint(0, len(chosen))
        scores = {name: chance.random() for name in chosen}
        save(
            archive,
            chance.choice("uvw"),
            {name: scores[name] for name in chosen[:cut]},
            {name: scores[name] for name in chosen[cut:]},
        )
    listed = set(archive.detailed_strategies())
    assert listed
    newest = {(row["universe"], row["strategy_name"]): row for row in archive.load_metrics().to_pylist()}
    for universe in "uvw":
        for name in names:
            try:
                found = archive.load_strategy(name, universe=universe)
            except archiver.NotFoundError:
                assert (universe, name) not in listed
            else:
                assert (universe, name) in listed
                assert found["metrics"]["sharpe_ratio"] == newest[universe, name]["sharpe_ratio"]


def test_an_unknown_strategy_suggests_a_known_one(archive: Archive) -> None:
    save(archive, "u", {"MeanReverter_L5": 1.0})
    with pytest.raises(archiver.NotFoundError, match="did you mean 'MeanReverter_L5'"):
        archive.load_strategy("MeanReverter_L6")
    with pytest.raises(archiver.NotFoundError, match="no run has a strategy"):
        archive.load_strategy("MeanReverter_L5", universe="none")


def test_runs_of_the_same_strategies_are_read_once(archive: Archive) -> None:
    for _ in range(5):
        save(archive, "u", {f"s{at}": float(at) for at in range(40)})
    archive.records()
    store = FaultyStore(archive.store)
    counted = Archive(store)
    counted.load_metrics()
    reads = [key for verb, key in store.calls if verb == "get" and key.startswith("tier1/")]
    assert len(reads) == 1


def test_metrics_called_like_our_columns_are_kept_apart(archive: Archive) -> None:
    result = {"strategy_name": "s", "universe": "mine", "run": 3}
    run = archive.save_universe_results("u", [result], code="none")
    assert archive.load_metrics().to_pylist() == [
        {
            "universe": "u",
            "strategy_name": "s",
            "run": run.id,
            "metrics.universe": "mine",
            "metrics.run": 3,
        }
    ]


def test_rows_come_universe_by_universe_newest_first(archive: Archive) -> None:
    save(archive, "b", {"x": 1.0})
    save(archive, "a", {"x": 1.0, "y": 2.0})
    save(archive, "b", {"z": 1.0})
    rows = archive.load_metrics().select(["universe", "strategy_name"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [("a", "x"), ("a", "y"), ("b", "z"), ("b", "x")]


def test_dicts_in_a_table_of_trades_show_no_column_of_ours(tmp_path: Path) -> None:
    archive = archiver.open(str(tmp_path))
    trades = [{"context": {"a": 1, "in": {"x": 1.0}}}, {"context": {"b": "t", "in": {}}}, {"context": None}]
    archive.save_universe_results("u", [{"strategy_name": "s", "trades": trades}], code="none")
    assert archive.load_trades("s").to_pylist() == [
        {"context": {"a": 1, "in": {"x": 1.0}, "b": None}},
        {"context": {"a": None, "in": {"x": None}, "b": "t"}},
        {"context": None},
    ]
    assert archive.load_strategy("s")["trades"] == trades


def test_columns_of_a_table_have_names_of_their_own(tmp_path: Path) -> None:
    archive = archiver.open(str(tmp_path))
    rows = [
        {
            "strategy_name": f"s{at}",
            "x": "t" if at == 3 else 1.5,
            "x.text": 2.0,
            "universe": 7,
            "metrics.universe": 8,
        }
        for at in range(20)
    ]
    archive.save_universe_results("u", rows, code="none")
    names = archive.load_metrics().column_names
    assert len(set(names)) == len(names)
    assert {"x", "x.text", "x.text_", "metrics.universe", "metrics.universe_"} <= set(names)


def test_one_column_may_be_given_as_text(tmp_path: Path) -> None:
    archive = archiver.open(str(tmp_path))
    for universe, metric in (("u", "x"), ("v", "y")):
        rows = [{"strategy_name": "s", metric: 1.0, "trades": [{"pnl": 1.0, "b": 2}]}]
        archive.save_universe_results(universe, rows, code="none")
    assert archive.load_metrics(columns="x").column_names == ["universe", "strategy_name", "run", "x"]
    assert archive.load_trades("s", columns="pnl").column_names == ["pnl"]
    with pytest.raises(archiver.ConfigError, match="no run of 'u' has a metric 'y'"):
        archive.load_metrics("u", columns=["y"])


def test_a_strategy_of_the_best_without_detail_says_so(archive: Archive) -> None:
    results: list[dict[str, Any]] = [
        {"strategy_name": f"s{at}", "sharpe_ratio": float(at), "equity_curve": [1.0]} for at in range(4)
    ]
    del results[2]["equity_curve"]
    archive.save_universe_results("u", results, top_n=3, code="none")
    with pytest.raises(
        archiver.NotKeptError, match=r"it ranks 2 of 4 .*; it was saved without trades and curves"
    ):
        archive.load_strategy("s2")
    assert archive.detailed_strategies() == [("u", "s3"), ("u", "s1"), ("u", "s0")]


def test_a_run_of_another_universe_is_not_nothing(archive: Archive) -> None:
    run = archive.save_universe_results("one", [{"strategy_name": "s", "equity_curve": [1.0]}]).id
    for load in (
        lambda: archive.load_metrics("other", run=run),
        lambda: archive.load_strategy("s", "other", run),
        lambda: archive.load_trades("s", "other", run),
        lambda: archive.detailed_strategies("other", run),
    ):
        with pytest.raises(NotFoundError, match=f"run {run} is of universe 'one', not of 'other'"):
            load()
    assert archive.load_metrics("one", run=run).num_rows == 1


def test_columns_are_asked_of_trades_that_are_no_dicts_too(archive: Archive) -> None:
    archive.save_universe_results("u", [{"strategy_name": "s", "trades": [[1.0, 2.0]]}])
    assert archive.load_trades("s", columns=["trade"]).to_pydict() == {"trade": ["[1.0,2.0]"]}
    with pytest.raises(ConfigError, match="have no column 'pnl': there are trade"):
        archive.load_trades("s", columns=["pnl"])


def test_a_rank_by_the_least_is_told_as_it_is(archive: Archive) -> None:
    results = [{"strategy_name": f"s{at}", "dd": float(at), "equity_curve": [1.0]} for at in range(4)]
    archive.save_universe_results("u", results, top_n=2, rank_by="-dd", code="none")
    assert archive.detailed_strategies() == [("u", "s0"), ("u", "s1")]
    with pytest.raises(archiver.NotKeptError, match=r"it ranks 4 of 4 by -dd, and the run's top_n is 2"):
        archive.load_strategy("s3")
