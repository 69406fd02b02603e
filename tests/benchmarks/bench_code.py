"""Measure what capturing code costs, beside copying the files for each run and MLflow's log_artifact of the same.

    python -m tests.benchmarks.bench_code [--runs 1000]

The project has 5 files, 19 KB, in a git repository; pandas is loaded and an archive open, as in any backtest. Each measurement is a
process of its own, the best of seven counts. MLflow takes part where it is installed. Nothing is asserted: the table is the result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODULES = ("strategy", "signals", "risk", "sizing")
HEAD = "import sys, time, json, pathlib\nimport pandas\nimport strategy, signals, risk, sizing\n"

CAPTURE = """
import archiver
archiver.open("archive")
start = time.perf_counter()
from archiver.capture import capture
capture(sys.argv[1])
first = time.perf_counter() - start
time.sleep(0.1)
again = []
for seed in range(300):
    start = time.perf_counter()
    capture(sys.argv[1], seed=seed)
    again.append(time.perf_counter() - start)
print(json.dumps([first, again]))
"""

SAVE = """
import archiver
archive = archiver.open(sys.argv[2])
times = []
for seed in range(int(sys.argv[3])):
    start = time.perf_counter()
    rows = [{"strategy_name": "MeanReverter", "sharpe_ratio": seed / 7}]
    archive.save_universe_results("u", rows, code=sys.argv[1], seed=seed)
    times.append(time.perf_counter() - start)
print(json.dumps(times))
"""

COPY = """
import shutil
times = []
for run in range(int(sys.argv[3])):
    start = time.perf_counter()
    folder = pathlib.Path(sys.argv[2], str(run))
    folder.mkdir(parents=True)
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        shutil.copy2(path, folder)
    times.append(time.perf_counter() - start)
print(json.dumps(times))
"""

MLFLOW = """
import os
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
import mlflow
mlflow.set_tracking_uri(pathlib.Path(sys.argv[2]).absolute().as_uri())
times = []
for run in range(int(sys.argv[3])):
    with mlflow.start_run():
        start = time.perf_counter()
        for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
            mlflow.log_artifact(str(path))
        times.append(time.perf_counter() - start)
print(json.dumps(times))
"""


def project(folder: Path, program: str) -> Path:
    """Make the strategy: four modules and the program; commit them."""
    folder.mkdir()
    for name in MODULES:
        chance = random.Random(name)
        text = "import math\n\nimport numpy as np\nimport pandas as pd\n\n"
        while len(text) < 4300:
            text += (
                f"\ndef step_{chance.randrange(10**6)}(prices, window={chance.randrange(100)}):\n    total = 0.0\n"
                f"    for i, price in enumerate(prices[-window:]):\n        total += price * {chance.random():.5f} / (i + 1)\n"
                "    return math.sqrt(abs(total))\n\n"
            )
        (folder / f"{name}.py").write_text(text)
    (folder / "run.py").write_text(HEAD + program)
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "bench"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return folder


def start(folder: Path, *words: str) -> list[list[float]] | list[float]:
    """Run the program once to fill Python's bytecode caches, as any second run finds them, and once to measure."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "run.py", *words], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def size(folder: Path) -> tuple[int, int]:
    """Return bytes and objects below a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def captures(folder: Path) -> None:
    """Print what a capture takes."""
    for mode, first, again in (("entry", 15, 1), ("imports", 25, 1)):
        place = project(folder / f"capture-{mode}", CAPTURE)
        start(place, mode)
        found = [start(place, mode) for _ in range(7)]
        first_ms = min(run[0] for run in found) * 1e3  # type: ignore[type-var, operator]
        rest = min(statistics.median(run[1]) for run in found)  # type: ignore[arg-type]
        print(f"first capture, {mode}: {first_ms:.1f} ms (to reach: {first})")
        print(f"each further capture, {mode}: {rest * 1e3:.3f} ms (to reach: {again})")


def runs(folder: Path, count: int) -> None:
    """Print what many runs take."""
    place = project(folder / "save", SAVE)
    for mode in ("none", "imports"):
        times = start(place, mode, str(folder / mode), str(count))
        print(f"save a run, code={mode}: {statistics.median(times) * 1e3:.2f} ms")  # type: ignore[type-var, operator]
    without, _ = size(folder / "none/runs")
    records, _ = size(folder / "imports/runs")
    code, objects = size(folder / "imports/code")
    per_run = (records - without) / count
    print(
        f"archiver: {code:,} bytes in {objects} objects, and {per_run:.0f} bytes a run (to reach: 12 KB, 300 bytes)"
    )
    for name, program in (("copy of the files", COPY), ("MLflow log_artifact", MLFLOW)):
        place = project(folder / name.split()[0], program)
        target = folder / f"{name.split()[0]}-out"
        try:
            times = start(place, "-", str(target), str(count))
        except subprocess.CalledProcessError as error:
            print(f"{name}: not measured ({error.stderr.strip().splitlines()[-1]})")
            continue
        copied = [path for path in target.rglob("*.py") if path.is_file()]
        total = sum(path.stat().st_size for path in copied)
        print(
            f"{name}: {statistics.median(times) * 1e3:.2f} ms a run, {total:,} bytes in {len(copied):,} objects"
        )  # type: ignore[type-var, operator]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    with tempfile.TemporaryDirectory() as folder:
        captures(Path(folder))
        runs(Path(folder), parser.parse_args().runs)


if __name__ == "__main__":
    main()
