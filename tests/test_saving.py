"""`archive.save`: one line for whatever an engine returned; the run is the one that `save_universe_results` makes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError

MINE = pd.Series([0.01, -0.02, 0.03], index=pd.date_range("2024-01-01", periods=3), name="mine")
TABLE = pd.DataFrame({"a": MINE, "b": MINE * 2})
OWN = {"strategy_name": "own", "sharpe_ratio": 1.5, "params": {"x": 1}, "trades": [{"pnl": 1.0}]}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archiver.open(tmp_path / "archive")


@pytest.mark.parametrize(
    ("obj", "names"),
    [
        (MINE, {"mine"}),
        (TABLE, {"a", "b"}),
        (OWN, {"own"}),
        ([MINE, OWN, MINE], {"mine", "own", "mine #2"}),
        ((MINE, TABLE), {"mine", "a", "b"}),
        ([[MINE], [MINE]], {"mine", "mine #2"}),
        ([], set()),
    ],
    ids=["one", "several", "dict", "mixed", "tuple", "nested", "none"],
)
@pytest.mark.parametrize("given", [lambda obj: obj, lambda obj: iter([obj])], ids=["itself", "iterator"])
def test_whatever_holds_results_is_one_run(
    archive: Archive, given: Callable[[Any], Any], obj: Any, names: set[str]
) -> None:
    run = archive.save(given(obj), universe="u", tags=["first"], note="tried", code="none")
    assert (run.universe, run.strategies, run.tags, run.note) == ("u", len(names), ("first",), "tried")
    kept = archive.load_metrics("u")["strategy_name"].to_pylist() if names else []
    assert {*kept} == names


def test_a_result_is_kept_as_it_is(archive: Archive) -> None:
    archive.save(OWN, "u", code="none")
    archive.save_universe_results("same", [OWN], code="none")
    kept, same = (archive.load_strategy("own", universe_name) for universe_name in ("u", "same"))
    assert kept["metrics"] == same["metrics"] == {"sharpe_ratio": 1.5, "params": {"x": 1}}
    assert kept["trades"] == same["trades"] == OWN["trades"]
    assert archiver.result(OWN) == OWN


def test_name_params_and_what_the_engine_takes_go_to_its_adapter(archive: Archive) -> None:
    archive.save(OWN, "u", "other", {"y": 2}, code="none")
    assert archive.load_strategy("other")["metrics"]["params"] == {"x": 1, "y": 2}
    assert archiver.result({**OWN, "params": None}, params={"y": 2})["params"] == {"y": 2}
    archive.save(MINE, "u", "named", {"y": 2}, benchmark=MINE / 2, code="none")
    assert archive.load_strategy("named")["metrics"]["beta"] == pytest.approx(2.0)


def test_the_best_are_detailed_as_they_are_of_every_save(archive: Archive) -> None:
    run = archive.save(TABLE, "u", top_n=1, rank_by="-volatility", code="none")
    assert (run.detailed, run.rank_by) == (1, "-volatility")
    assert archive.detailed_strategies("u") == [("u", "a")]


def test_what_a_save_takes_is_called_the_same_in_both() -> None:
    one, whole = (
        inspect.signature(method).parameters for method in (Archive.save, Archive.save_universe_results)
    )
    both = one.keys() & whole.keys() - {"self", "params"}
    assert {*both} == {"top_n", "rank_by", "tags", "note", "code", "seed", "data"}
    assert all(one[key].default == whole[key].default for key in both)


def test_what_is_no_result_is_refused_and_no_run_is_there(archive: Archive) -> None:
    for obj, why in (
        ({"sharpe_ratio": 1.0}, "a result of your own has strategy_name"),
        (3, "does not know a builtins.int"),
        ([MINE, 3], "does not know a builtins.int"),
    ):
        with pytest.raises(ConfigError, match=why):
            archive.save(obj, "u", code="none")
    with pytest.raises(TypeError, match="top"):
        archive.save(MINE, "u", top=3, code="none")
    assert not (Path(archive.store.url) / "runs").exists()


def test_the_script_that_saves_is_captured(archive: Archive) -> None:
    run = archive.save(MINE, "u", code="entry")
    assert archive.code(run.id).files


def test_an_iterator_may_fill_one_list_anew_for_each_result(archive: Archive) -> None:
    trades: list[dict[str, Any]] = [{"pnl": 0.0}]

    def results() -> Iterator[dict[str, Any]]:
        for at in range(3):
            trades[0]["pnl"] = float(at)
            yield {"strategy_name": f"s{at}", "sharpe_ratio": 1.0, "trades": trades}

    archive.save_universe_results("u", results(), code="none")
    assert [archive.load_strategy(f"s{at}")["trades"] for at in range(3)] == [
        [{"pnl": float(at)}] for at in range(3)
    ]
