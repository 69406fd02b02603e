"""Optuna: trials go into one run, with their states, directions and what the objective keeps."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.errors import ConfigError
from tests.engine_runs import closes

optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install 'archiver[engines-dev]'")
pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:universe .* an index is not kept"),
]
adapter = archiver.engines.optuna


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial: Any) -> float:
    x = trial.suggest_int("x", 0, 10)
    kind = trial.suggest_categorical("kind", ["sma", None, 3])
    trial.set_user_attr("note", {"about": [x, 2]})
    trial.report(x / 2, step=1)
    if x > 7:
        raise optuna.TrialPruned
    if x == 0:
        raise ValueError(kind)
    return float(x)


def study(**options: Any) -> Any:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5), **options)


def test_every_field_of_every_trial_is_kept(tmp_path: Path) -> None:
    mine = study(study_name="mine", direction="minimize")
    mine.optimize(objective, n_trials=12, catch=(ValueError,))
    found = list(archiver.result(mine))
    assert {one["state"] for one in found} == {"complete", "pruned", "fail"}
    lost = []
    for trial, one in zip(mine.trials, found, strict=True):
        assert one["strategy_name"] == f"mine_{trial.number}"
        held = {
            "number": one["trial"],
            "state": one["state"].upper(),
            "value": one.get("value"),
            "params": one["params"],
            "datetime_start": one["started"],
            "datetime_complete": one["completed"],
            "duration": one["seconds"],
            "system_attrs": {
                key.removeprefix("system_attrs."): value
                for key, value in one.items()
                if key.startswith("system_attrs.")
            },
            "user_attrs": {"note": {"about": one["note.about"]}},
            "intermediate_values": {
                row["step"]: row["value"] for row in one["tables"].get("intermediate_values", [])
            },
            "distributions": one["distributions"],
        }
        own = {
            "number": trial.number,
            "state": trial.state.name,
            "value": trial.value,
            "params": trial.params,
            "datetime_start": trial.datetime_start.isoformat(),
            "datetime_complete": trial.datetime_complete.isoformat(),
            "duration": trial.duration.total_seconds(),
            "system_attrs": trial.system_attrs,
            "user_attrs": trial.user_attrs,
            "intermediate_values": trial.intermediate_values,
            "distributions": {key: str(value) for key, value in trial.distributions.items()},
        }
        lost += [key for key in own if held[key] != own[key]]
    assert lost == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_callback_makes_one_run_that_ends_with_it(tmp_path: Path, jobs: int) -> None:
    archive = archiver.open(tmp_path / "archive")
    mine = study(direction="minimize")
    mine.optimize(
        objective,
        n_trials=8,
        n_jobs=jobs,
        catch=(ValueError,),
        callbacks=[adapter.Callback(archive, "eur", tags=["search"])],
    )
    gc.collect()
    (run,) = archive.runs("eur")
    assert (run.strategies, run.rank_by, run.tags) == (8, "-value", ("search",))
    table = archive.load_metrics("eur", columns=["strategy_name", "params", "value", "state"])
    assert sorted(table["strategy_name"].to_pylist()) == [f"trial_{at}" for at in range(8)]
    kept = dict(zip(table["strategy_name"].to_pylist(), table["params.x"].to_pylist(), strict=True))
    assert kept == {f"trial_{trial.number}": trial.params["x"] for trial in mine.trials}


def test_several_objectives_have_their_names_and_directions(tmp_path: Path) -> None:
    mine = study(directions=["maximize", "minimize"])
    mine.set_metric_names(["sharpe_ratio", "max_drawdown"])
    archive = archiver.open(tmp_path / "archive")
    with adapter.Callback(archive, "eur") as callback:
        mine.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.5), n_trials=2, callbacks=[callback])
    assert callback.run is not None
    (run,) = archive.runs("eur")
    assert run.rank_by == "sharpe_ratio"
    (first, _) = archiver.result(mine)
    assert first["sharpe_ratio"] == first["params"]["x"]
    assert (first["max_drawdown"], first["directions"]) == (0.5, "maximize,minimize")


def test_what_the_objective_keeps_is_the_trial_s_detail() -> None:
    mine = study()

    @adapter.keeping
    def kept(trial: Any) -> tuple[float, Any]:
        trial.suggest_int("x", 1, 3)
        return 1.5, closes(5).pct_change().fillna(0.0)

    mine.optimize(kept, n_trials=1)
    (found,) = archiver.result(mine)
    assert found["strategy_name"] == "trial_0"
    assert (found["value"], found["total_return"] > -1.0) == (1.5, True)
    assert len(found["curves"]["equity"]) == 5
    assert kept.__name__ == "kept"


def test_a_grid_is_no_result_of_one_trial() -> None:
    mine = study()

    def several(trial: Any) -> float:
        adapter.keep(trial, [closes(3), closes(3)])
        return 1.0

    with pytest.raises(ConfigError, match="a trial has one result"):
        mine.optimize(several, n_trials=1)


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0.0), ("maximize", 3.0)])
def test_a_study_that_is_over_is_ranked_by_its_direction(tmp_path: Path, direction: str, best: float) -> None:
    archive = archiver.open(tmp_path / "archive")
    mine = study(direction=direction)
    mine.enqueue_trial({"x": 0})
    mine.enqueue_trial({"x": 3})

    def found(trial: Any) -> float:
        trial.report(1.0, step=1)  # what is reported on the way is a detail
        return float(trial.suggest_int("x", 0, 3))

    mine.optimize(found, n_trials=4)
    run = archive.save(mine, "eur", top_n=1, code="none")
    ((_, kept),) = archive.detailed_strategies("eur")
    assert (run.rank_by, run.detailed) == ({"minimize": "-value"}.get(direction, "value"), 1)
    assert archive.load_strategy(kept)["metrics"]["value"] == best == mine.best_value
    assert archive.save(mine, "named", rank_by="seconds", code="none").rank_by == "seconds"
    assert archive.save([mine, mine], "two", code="none").rank_by == run.rank_by
    assert archive.save(mine.trials[0], "one", code="none").rank_by is None


def test_a_study_without_trials_makes_no_run(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "archive")
    with adapter.Callback(archive, "eur") as callback:
        pass
    assert callback.run is None
    assert list(archiver.result(study())) == []


def test_another_process_adds_to_a_run_that_it_did_not_start(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "archive")
    run = archive.start("eur")
    mine = study()
    with adapter.Callback(archive, "eur", run=run.id) as callback:
        mine.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, callbacks=[callback])
    assert callback.run == run.id
    assert archive.run(run.id).open
    assert run.finish().strategies == 2
