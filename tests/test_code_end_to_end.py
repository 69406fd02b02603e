"""A run's code, from the save to a folder where it runs again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import archiver
from archiver.format import layout
from archiver.format.model import Run
from tests.captured import environment, write

SAVE = """
import sys, archiver
import signals, risk
run = archiver.open(sys.argv[1]).save_universe_results(
    "u", [{"strategy_name": "a", "sharpe_ratio": signals.WINDOW * risk.FACTOR}], params={"window": signals.WINDOW}, seed=7
)
print(run.id)
"""
PROJECT = {"run.py": SAVE, "signals.py": "WINDOW = 5\n", "risk.py": "FACTOR = 1.5\n", "pyproject.toml": ""}


def start(project: Path, archive: Path) -> str:
    done = subprocess.run(
        [sys.executable, "run.py", str(archive)],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def objects(archive: Path) -> set[str]:
    return {path.relative_to(archive).as_posix() for path in (archive / "code").rglob("*") if path.is_file()}


@pytest.mark.filterwarnings("ignore::UserWarning:backtesting", "ignore::UserWarning:bokeh")
def test_demo_strategy_restored_into_an_empty_folder_gives_the_same_metrics(tmp_path: Path) -> None:
    pytest.importorskip("backtesting")
    from archiver.demo import SOURCE, jobs
    from archiver.demo.strategies import backtest
    from archiver.engines.backtesting import from_backtesting
    from archiver.engines.shared import metric

    archive = archiver.open(str(tmp_path / "archive"))
    some = [job for job in jobs() if job[0] == "goog_daily"][::12]
    results = [from_backtesting(backtest(*job), params=job[2]) for job in some]
    run = archive.save_universe_results("goog_daily", results, top_n=3, code=SOURCE)
    best = max(zip(results, some, strict=True), key=lambda pair: pair[0]["sharpe_ratio"])[1]

    (script,) = archive.code(run.id).restore(tmp_path / "again")
    assert script.read_bytes() == SOURCE.read_bytes()
    words = [sys.executable, script, best[0], best[1], json.dumps(best[2])]
    done = subprocess.run(
        words, cwd=tmp_path / "again", env=environment(), capture_output=True, text=True, check=True
    )
    again = {
        label: value for label, value in json.loads(done.stdout).items() if isinstance(value, int | float)
    }

    name = archive.load_metrics(run=run.id, columns=["strategy_name", "sharpe_ratio"]).to_pylist()
    name = max(name, key=lambda row: row["sharpe_ratio"])["strategy_name"]
    saved = archive.load_strategy(name, run=run.id)["metrics"]
    assert len(again) > 15
    assert {label: saved[metric(label, value, dated=True)[0]] for label, value in again.items()} == again


def test_one_changed_file_is_one_new_object(tmp_path: Path) -> None:
    project = write(tmp_path / "proj", {**PROJECT, "archiver.toml": "code = 'imports'\n"})
    first = start(project, tmp_path / "archive")
    before = objects(tmp_path / "archive")
    assert len(before) == 4  # three files and the environment
    second = start(project, tmp_path / "archive")
    assert objects(tmp_path / "archive") == before
    (project / "signals.py").write_text("WINDOW = 6\n")
    third = start(project, tmp_path / "archive")
    new = objects(tmp_path / "archive") - before
    assert len(new) == 1
    archive = archiver.open(str(tmp_path / "archive"), read_only=True)
    (changed,) = (file for file in archive.code(third).files if file.path == "signals.py")
    assert new == {layout.code_key(changed.sha256)}
    assert archive.code(first).diff(archive.code(second)) == ""
    diff = archive.code(first).diff(archive.code(third))
    assert "-WINDOW = 5\n+WINDOW = 6\n" in diff
    assert '-  "window": 5\n+  "window": 6\n' in diff


def test_restored_project_runs_again(tmp_path: Path) -> None:
    project = write(tmp_path / "proj", {**PROJECT, "archiver.toml": "code = 'imports'\n"})
    run = start(project, tmp_path / "archive")
    archive = archiver.open(str(tmp_path / "archive"))
    code = archive.code(run)
    code.restore(tmp_path / "again")
    assert [file.path for file in code.files] == ["risk.py", "run.py", "signals.py"]
    again = start(tmp_path / "again", tmp_path / "archive2")
    other = archiver.open(str(tmp_path / "archive2"))
    assert other.load_metrics(run=again).column("sharpe_ratio").to_pylist() == [7.5]
    assert code.provenance["seed"] == 7
    assert code.provenance["entry"] == "run.py"
    assert code.provenance["python"].startswith("3.")


def test_strict_stops_before_anything_is_written(tmp_path: Path) -> None:
    project = write(
        tmp_path / "proj", {**PROJECT, "strategy.yaml": "files: [run.py, gone.py]\nstrict: true\n"}
    )
    words = [sys.executable, "run.py", str(tmp_path / "archive")]
    done = subprocess.run(words, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert "CaptureError: code is not captured as strict asks: gone.py does not exist" in done.stderr
    assert not (tmp_path / "archive").exists()


def test_failing_capture_still_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("archiver.capture.choose.choose", fail)
    archive = archiver.open(str(tmp_path / "archive"))
    with pytest.warns(UserWarning, match=r"code: not captured \(MemoryError: no room\)") as said:
        run = archive.save_universe_results("u", [{"strategy_name": "a", "sharpe_ratio": 1.0}])
    assert isinstance(run, Run)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert archive.code(run.id).reason == "MemoryError: no room"
    assert archive.load_metrics().num_rows == 1


def test_objects_of_many_runs(tmp_path: Path) -> None:
    project = write(tmp_path / "proj", {f"m{at}.py": f"x = {at}\n" for at in range(5)})
    archive = archiver.open(str(tmp_path / "archive"))
    paths = sorted(project.iterdir())
    for at in range(20):
        archive.save_universe_results("u", [{"strategy_name": "a", "sharpe_ratio": float(at)}], code=paths)
    assert len(objects(tmp_path / "archive")) <= 7  # five files, the environment, the diff of this repository
