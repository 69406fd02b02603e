"""Ray Tune: trials go into one run as they end, with what they reported last; a search that is over is saved, too."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import archiver
from archiver.engines.search import DETAILS, Search, of_trial
from tests.engine_runs import closes, leaves

WANTED = "ray is not installed: pip install 'ray[tune]'"


def test_what_a_trial_reported_is_metrics_params_and_details() -> None:
    returns = archiver.result(closes().pct_change().dropna(), name="Cross", params={"slow": 9})
    reported = {**returns, "score": 2.0, "more": {"a": 1}, "trial_id": "t_1", "config": {"fast": 3}}
    found = of_trial(reported, {"fast": 3, "how": {"k": 1}})
    assert found["strategy_name"] == "Cross_t_1"
    assert (found["score"], found["more.a"], found["error"]) == (2.0, 1, None)
    assert found["params"] == {"slow": 9, "fast": 3, "how.k": 1}
    assert found["curves"] is returns["curves"]
    assert of_trial({"trial_id": "t"}, {}, "mine", ValueError("no"))["error"] == "no"


def test_a_search_adds_to_one_run_from_wherever_it_is_sent(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "archive")
    search = Search(archive, "u", rank_by="score", tags=["t"])
    assert (search.run, search.finish()) == (None, None)
    search.add({"strategy_name": "a", "score": 1.0})
    sent = pickle.loads(pickle.dumps(search))
    sent.add({"strategy_name": "b", "score": 2.0})
    assert sent.run == search.run
    assert sent.finish() is None  # who did not start it leaves it open
    assert (search.finish().strategies, search.finish()) == (2, None)
    assert [(run.tags, run.rank_by, run.open) for run in archive.runs()] == [(("t",), "score", False)]


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")  # ray's own
def test_nothing_of_a_search_is_lost(tmp_path: Path) -> None:
    tune = pytest.importorskip("ray.tune", reason=WANTED)
    ray = pytest.importorskip("ray", reason=WANTED)
    archive = archiver.open(tmp_path / "archive")

    def trainable(config: dict[str, Any]) -> None:
        if config["fast"] == 3:
            raise ValueError("three is not tried")
        tune.report({"score": 0.0})
        returns = pd.Series([0.01 * config["fast"], -0.01], index=pd.date_range("2024-01-01", periods=2))
        tune.report({**archiver.result(returns), "score": config["fast"] * 2, "nested": {"a": 1}})

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        callback = archiver.engines.ray.Callback(archive, "u", rank_by="score", top_n=1)
        run_config = tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0, callbacks=[callback])
        space = {"fast": tune.grid_search([1, 2, 3]), "how": {"k": 3}}
        wanted = tune.TuneConfig(metric="score", mode="min")
        grid = tune.Tuner(trainable, param_space=space, run_config=run_config, tune_config=wanted).fit()
    finally:
        ray.shutdown()
    assert archive.save(grid, universe="after", code="none").rank_by == "-score"
    lost = []
    for universe in ("u", "after"):
        rows = {row["trial_id"]: row for row in archive.load_metrics(universe).to_pylist()}
        for at in range(3):
            own = grid[at]
            row = rows[
                own.metrics["trial_id"] if own.metrics else next(key for key in rows if "00002" in key)
            ]
            told = {key: one for key, one in (own.metrics or {}).items() if key not in ("config", *DETAILS)}
            for key, one in leaves(told).items():
                if key not in ("strategy_name", "params"):
                    lost += [f"{universe}.{key}"] * (row[key] != one and one == one)
            lost += [] if (row["error"] is None) == (own.error is None) else [f"{universe}.error"]
            if own.error is None:
                assert (row["params.fast"], row["params.how.k"]) == (own.config["fast"], 3)
                assert row["nested.a"] == 1
    assert lost == []
    best = archive.load_metrics("after", sort="-score", limit=1)["strategy_name"][0].as_py()
    assert len(archive.load_curve(best, universe="after")) == 2
    assert archive.load_table(best, "reports", universe="after")["score"].to_pylist() == [0.0, 2.0]
    assert not archive.runs(universe="u")[0].open
