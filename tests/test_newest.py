from __future__ import annotations

import json
from typing import Any

import pytest

import archiver
from archiver import Policy
from archiver.archive import Archive
from archiver.format.model import Run
from archiver.legacy import get_strategies_with_trades, load_strategy_detailed_trades
from tests.conftest import Cli, Place

pytestmark = pytest.mark.usefixtures("details_apart")

Losing = Any


def save(archive: Archive, universe: str, score: float, *names: str) -> Run:
    results = [
        {
            "strategy_name": name,
            "sharpe_ratio": score,
            "equity_curve": [score],
            "trades_detailed": [{"pnl": score}],
        }
        for name in names or ("a",)
    ]
    return archive.save_universe_results(universe, results, code="none")


def prune(archive: Archive, universe: str) -> None:
    archive.apply(
        archive.plan_prune(Policy(universe=universe, tiers=2, keep_last=0), allow_empty=True), max_remove=1
    )


def bundle(archive: Archive, universe: str) -> None:
    archive.bundle([run.id for run in archive.runs(universe)], "kept")
    archive.bundles.apply_removal(archive.bundles.plan_removal("kept"))


def lose(archive: Archive, universe: str) -> None:
    for entry in archive.store.list(f"tier2/universe={universe}/"):
        archive.store.delete([entry.key])
    archive.verify(repair=True)


@pytest.mark.parametrize("losing", [prune, bundle, lose])
def test_what_is_listed_loads_where_the_newer_universe_lost_its_details(
    archive: Archive, command: Cli, losing: Losing
) -> None:
    save(archive, "old", 1.0)
    save(archive, "new", 2.0)
    losing(archive, "new")
    url = archive.store.url
    assert archive.detailed_strategies() == [("old", "a")]
    assert archive.load_strategy("a")["universe"] == "old"
    assert archive.load_trades("a").to_pylist() == [{"pnl": 1.0}]
    assert get_strategies_with_trades(url) == ["a"]
    assert (load_strategy_detailed_trades("a", url) or {})["universe"] == "old"
    rows = json.loads(command("--url", url, "--json", "sql", "select universe from trades")[1])["rows"]
    assert rows == [{"universe": "old"}]
    assert json.loads(command("--url", url, "--json", "trades", "a")[1])["universe"] == "old"
    with pytest.raises(archiver.NotKeptError):
        archive.load_strategy("a", universe="new")


@pytest.mark.parametrize("kind", ["memory_place", "moto_place"])
def test_what_a_rule_of_the_bucket_took_without_a_word_is_not_listed(
    kind: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(kind)
    archive = archiver.open(place.url, **place.options)
    save(archive, "old", 1.0)
    save(archive, "new", 2.0)
    archive.store.delete([entry.key for entry in archive.store.list("tier2/universe=new/")])
    assert archive.detailed_strategies() == [("old", "a")]
    assert archive.detailed_strategies("new") == []
    assert archive.load_strategy("a")["universe"] == "old"
    with pytest.raises(archiver.NotKeptError, match="no longer in the store"):
        archive.load_strategy("a", universe="new")


def test_of_one_universe_the_newest_run_counts_though_it_lost_its_details(archive: Archive) -> None:
    older = save(archive, "u", 1.0, "a", "b")
    save(archive, "u", 2.0)
    archive.apply(archive.plan_prune(Policy(tiers=2, keep_last=1)), max_remove=1)
    archive.undelete(older.id)
    prune(archive, "u")
    archive.undelete(older.id)
    assert archive.detailed_strategies() == [("u", "b")]
    with pytest.raises(archiver.NotKeptError, match="was removed by"):
        archive.load_strategy("a")
    assert archive.load_strategy("a", run=older.id)["equity_curve"] == [1.0]


def test_newest_says_whose_newest_run_counts(archive: Archive, command: Cli) -> None:
    older = save(archive, "u", 9.0, "a", "b")
    newer = save(archive, "u", 1.0, "a")
    other = save(archive, "v", 5.0, "c")

    def rows(**how: Any) -> list[tuple[str, str]]:
        table = archive.load_metrics(**how)
        return list(zip(table["strategy_name"].to_pylist(), table["run"].to_pylist(), strict=True))

    assert rows() == rows(newest="strategy") == [("a", newer.id), ("b", older.id), ("c", other.id)]
    assert rows(newest="universe") == [("a", newer.id), ("c", other.id)]
    with pytest.raises(archiver.ConfigError, match="'strategy' or 'universe'"):
        archive.load_metrics(newest="run")
    url = archive.store.url
    for args in (["metrics"], ["top"], ["export"], ["sql", "select * from metrics"]):
        found = command("--url", url, "--json", *args, "--newest", "universe")
        assert (found[0], found[1].count('"b"')) == (0, 0), args
        assert command("--url", url, "--json", *args)[1].count('"b"') == 1
    assert command("--url", url, "top", "--newest", "run")[0] == 2
    for args, said in (
        ([], "each of the newest run that has it"),
        (["--newest", "universe"], "newest run of each"),
    ):
        for name in ("metrics", "top"):
            code, out, err = command("--url", url, name, *args)
            lines = [line.split("\t") for line in out.splitlines()]
            assert (code, lines[0][-2:]) == (0, ["run", "age"])
            assert {line[-2] for line in lines[1:]} <= {older.id, newer.id, other.id}
            assert said in err
