"""`archiver top`: places, bars, and what has no place."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver import cli
from tests.conftest import Cli

NAN, INF = float("nan"), float("inf")


def row(name: str, sharpe: Any, trades: int = 10, **more: Any) -> dict[str, Any]:
    return {"strategy_name": name, "sharpe_ratio": sharpe, "n_trades": trades, **more}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("archive") / "here")
    archive = archiver.open(folder)
    archive.save_universe_results("alpha", [row("a", 99.0)], code="none")
    archive.save_universe_results("alpha", [row("a", 1.0), row("b", NAN), row("c", 3.0, 40)], code="none")
    archive.save_universe_results("beta", [row("a", 2.0, 50), row("d", -1.0), row("e", None)], code="none")
    return folder


@pytest.fixture
def run(url: str, command: Cli) -> Cli:
    return partial(command, "--url", url)


def places(run: Cli, *args: str) -> list[tuple[int, str, str]]:
    code, out, _ = run("top", "--json", *args)
    assert code == 0
    return [(one["place"], one["universe"], one["strategy_name"]) for one in json.loads(out)["top"]]


def test_the_newest_run_of_each_universe_counts(run: Cli) -> None:
    assert places(run) == [(1, "alpha", "c"), (2, "beta", "a"), (3, "alpha", "a"), (4, "beta", "d")]


def test_least_first_one_universe_a_filter_and_a_limit(run: Cli) -> None:
    assert places(run, "--by", "-sharpe_ratio", "-n", "1") == [(1, "beta", "d")]
    assert places(run, "-u", "alpha") == [(1, "alpha", "c"), (2, "alpha", "a")]
    assert places(run, "--where", "n_trades >= 40 and sharpe_ratio < 3") == [(1, "beta", "a")]
    assert places(run, "--by", "n_trades", "-n", "2") == [(1, "beta", "a"), (2, "alpha", "c")]


def test_the_document_says_what_was_ranked(run: Cli) -> None:
    found = json.loads(run("top", "--json", "-n", "1")[1])
    assert (found["by"], found["order"], found["strategies"]) == ("sharpe_ratio", "greatest", 4)
    assert list(found["top"][0]) == ["place", "universe", "strategy_name", "run", "sharpe_ratio", "n_trades"]


def test_piped_it_is_plain_and_says_what_has_no_place(run: Cli) -> None:
    code, out, err = run("top", "-n", "2")
    beta, alpha, _ = (one["id"] for one in json.loads(run("ls", "--json")[1])["runs"])
    assert (code, [line.split("\t") for line in out.splitlines()]) == (
        0,
        [
            ["#", "strategy_name", "universe", "sharpe_ratio", "n_trades", "run", "age"],
            ["1", "c", "alpha", "3.000", "40", alpha, "now"],
            ["2", "a", "beta", "2.000", "50", beta, "now"],
        ],
    )
    said = "2 of 4 strategies by sharpe_ratio, each of the newest run that has it; 2 have no sharpe_ratio"
    assert err.splitlines()[0] == said
    assert err.splitlines()[1].startswith("-1.000 ")
    assert err.splitlines()[1].endswith(" 3.000")


def test_a_metric_that_no_run_has_is_an_error_that_suggests_one(run: Cli) -> None:
    assert run("top", "--by", "sharp_ratio") == (
        2,
        "",
        "archiver: no run has a metric 'sharp_ratio'; did you mean 'sharpe_ratio'?\n",
    )
    assert run("top", "--where", "n_trade > 1")[0] == 2


@pytest.mark.parametrize("values", [[INF, NAN, 1.0], [None, NAN], ["a", "b"], [True, False], [0, 0]])
def test_any_values_have_a_table(tmp_path: Path, capsys: Any, values: list[Any]) -> None:
    archive = archiver.open(tmp_path / "archive")
    rows = [row(f"s{at}", float(at), odd=value) for at, value in enumerate(values)]
    archive.save_universe_results("[red]u", rows, code="none")
    assert cli.main(["--url", str(tmp_path / "archive"), "top", "--by", "odd"]) == 0
    ranked = [value for value in values if value is not None and value == value]
    assert len(capsys.readouterr().out.splitlines()) == (1 + len(ranked) if ranked else 0)


def test_an_archive_without_runs_and_none_at_all(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["--url", str(tmp_path / "none"), "top"]) == 10
    archiver.open(tmp_path / "empty").create()
    assert cli.main(["--url", str(tmp_path / "empty"), "top"]) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("0 of 0 strategies")
    assert cli.main(["--url", str(tmp_path / "empty"), "top", "--json"]) == 0


def test_what_was_ranked_by_the_least_shows_it_first(tmp_path: Path, command: Cli) -> None:
    archive = archiver.open(str(tmp_path / "here"))
    rows = [{"strategy_name": name, "dd": dd} for name, dd in (("a", 0.3), ("b", 0.1), ("c", 0.2))]
    run = archive.save_universe_results("u", rows, rank_by="-dd", code="none")
    found = json.loads(command("--url", archive.store.url, "top", "--json")[1])
    assert (found["by"], found["order"]) == ("dd", "least")
    assert [one["strategy_name"] for one in found["top"]] == ["b", "c", "a"]
    shown = command("--url", archive.store.url, "show", run.id)[1]
    assert shown.index("\nb\t") < shown.index("\nc\t") < shown.index("\na\t")
