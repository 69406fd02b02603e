from __future__ import annotations

import io
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import archiver
from archiver import cli, demo
from archiver.demo import strategies
from archiver.errors import ConfigError, IntegrityError
from tests.conftest import Cli
from tests.documented import environment, readme_line

NAN = float("nan")


class Made(NamedTuple):
    """What the demo made: the archive, and what it printed and said; how many backtests, of which it keeps how many."""

    archive: archiver.Archive
    out: str
    err: str
    backtests: int
    kept: int
    most_bytes: int


def _line() -> str:
    """Return what README's line does once all is installed; the environment is the one at hand.

    What installs it is tried by .ci/run and by whoever clones.
    """
    install, _, demo_line = readme_line("archiver demo").rpartition(" && ")
    assert install.endswith("pip install -q '.[demo]'")
    return demo_line.replace(".venv/bin/", "")


FEW = {name: grid[7:8] for name, grid in strategies.GRIDS.items()}


@contextmanager
def _searched(found: list[dict[str, Any]] | None = None) -> Iterator[None]:
    """Let the demo try each strategy once in each universe, and keep the better one's details.

    found: what that finds, if that is known.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategies, "GRIDS", FEW)
        patch.setattr(demo, "TOP_N", 1)
        if found is not None:
            patch.setattr(demo, "search", lambda tasks: iter(found[: len(tasks)]))
        yield


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    """Return what a demo of few backtests finds."""
    with _searched():
        return list(demo.search(demo.jobs()))


@pytest.fixture
def searched(found: list[dict[str, Any]]) -> Iterator[None]:
    """Have the few backtests of a demo done already."""
    with _searched(found):
        yield


@pytest.fixture(scope="module")
def made(found: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make the archive that README's line makes, with few backtests."""
    folder = tmp_path_factory.mktemp("demo")
    archive = archiver.open(folder / "my-archive")
    out, err = io.StringIO(), io.StringIO()
    with _searched(found), redirect_stdout(out), redirect_stderr(err):
        program, *words = shlex.split(_line())
        assert program == "archiver"
        assert cli.main(["--url", str(folder / "my-archive"), *words]) == 0
    return Made(archive, out.getvalue(), err.getvalue(), len(found), 1, 250_000)


@pytest.fixture
def archive(made: Made) -> archiver.Archive:
    """Return the archive that the demo made."""
    return made.archive


def test_demo_says_what_came_of_it(made: Made) -> None:
    assert "every value is the same" in made.err
    assert "arning" not in made.err
    assert made.out.startswith("universe\tstrategy_name\tsharpe_ratio\t")


def test_demo_saves_a_run_for_each_universe(made: Made) -> None:
    runs = made.archive.runs()
    assert {run.universe for run in runs} == set(demo.UNIVERSES)
    assert all(run.tags == ("demo",) and run.detailed == made.kept for run in runs)
    assert sum(run.strategies for run in runs) == made.backtests == len(made.archive.load_metrics())


def test_demo_stores_bars_once_for_all_trades(archive: archiver.Archive) -> None:
    for run in archive.runs():
        record = archive.record(run.id)
        assert len(record.tapes) == 1
        universe, name = archive.detailed_strategies(run=run.id)[0]
        trades = archive.load_strategy(name, universe=universe)["trades"]
        assert all(len(trade["price_history"]["close"]) > 20 for trade in trades)


def test_demo_takes_little_as_its_curves_follow_the_bars(made: Made) -> None:
    archive = made.archive
    assert sum(entry.size for entry in archive.store.list("")) < made.most_bytes
    for run in archive.runs():
        names = archive.reader.details(archive.record(run.id)).names
        assert {"segments.equity", "bits.equity", "drawdown_rule"} <= set(names)


def test_saved_code_runs_again_to_the_same_metrics(archive: archiver.Archive, tmp_path: Path) -> None:
    universe, name = archive.detailed_strategies(universe="goog_daily")[0]
    metrics = archive.load_strategy(name, universe=universe)["metrics"]
    (run,) = archive.runs(universe=universe)
    archive.code(run.id).restore(tmp_path / "code")
    (source,) = (tmp_path / "code").rglob("strategies.py")
    command = [sys.executable, "-I", str(source), universe, name.split("_")[0], json.dumps(metrics["params"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    again = json.loads(done.stdout)
    for label, key in {
        "Sharpe Ratio": "sharpe_ratio",
        "Return [%]": "return_pct",
        "# Trades": "n_trades",
    }.items():
        assert again[label] == metrics[key]


@pytest.mark.slow
def test_all_that_holds_of_few_backtests_holds_of_readmes_line_as_it_stands(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-euc", _line()],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    archive = archiver.open(tmp_path / "my-archive")
    made = Made(archive, done.stdout, done.stderr, len(demo.jobs()), demo.TOP_N, 600_000)
    test_demo_says_what_came_of_it(made)
    test_demo_saves_a_run_for_each_universe(made)
    test_demo_stores_bars_once_for_all_trades(archive)
    test_demo_takes_little_as_its_curves_follow_the_bars(made)
    test_saved_code_runs_again_to_the_same_metrics(archive, tmp_path)


@pytest.mark.usefixtures("searched")
def test_demo_prints_one_document(tmp_path: Path, command: Cli) -> None:
    code, out, err = command("demo", "--json", "--url", str(tmp_path / "archive"))
    assert code == 0, err
    document = json.loads(out)
    assert document["backtests"] == 6
    assert [run["universe"] for run in document["runs"]] == list(demo.UNIVERSES)
    assert document["json_bytes"] > document["bytes"] > 0


@pytest.mark.usefixtures("searched")
def test_demo_does_not_claim_what_is_not_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archiver.open(str(tmp_path / "archive"))
    load = archive.load_strategy

    def changed(*args: Any, **kwargs: Any) -> dict[str, Any]:
        detail = load(*args, **kwargs)
        detail["curves"]["equity"][7][1] = math.nextafter(detail["curves"]["equity"][7][1], math.inf)
        return detail

    monkeypatch.setattr(archive, "load_strategy", changed)
    with pytest.raises(IntegrityError, match="curves of"):
        demo.run(archive)


def test_demo_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "archiver.demo.strategies", None)
    with pytest.raises(ConfigError, match=r"pip install 'archiver\[demo\]'"):
        demo.jobs()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": [NAN, None]}, {"a": 1, "b": [NAN, None]}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        (0, 0.0, False),
        (1, True, False),
        (0.0, -0.0, False),
        (None, NAN, False),
        ([1.0], [1.0, 2.0], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (1.0, math.nextafter(1.0, 2.0), False),
    ],
)
def test_same_means_value_type_order_and_bits(one: Any, other: Any, equal: bool) -> None:
    assert demo.same(one, other) is equal
