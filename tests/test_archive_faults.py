"""The public contract where stores fail, bytes are damaged, disks are full, processes die or many save at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.format import layout
from archiver.store import Store, open_store
from tests.benchmarks.workload import small_run
from tests.faults import FAULT, failing, flip, truncate
from tests.same import same

pytestmark = pytest.mark.usefixtures("details_apart")


def _load_all(archive: Archive) -> None:
    for universe_name, name in archive.detailed_strategies():
        archive.load_strategy(name, universe=universe_name)
    archive.load_metrics()
    for run in archive.runs():
        archive.code(run.id)


@pytest.mark.parametrize(
    "damage", [flip, lambda store, key: truncate(store, key, 40)], ids=["flip", "truncate"]
)
@pytest.mark.parametrize("prefix", [layout.RUNS, layout.TIER1, layout.TIER2, layout.TAPES])
def test_damage_is_an_error_that_names_the_object(
    archive: Archive, results: list[dict[str, Any]], prefix: str, damage: Callable[[Store, str], None]
) -> None:
    archive.save_universe_results("u", results, top_n=8, code="none")
    (key,) = [entry.key for entry in archive.store.list(prefix)]
    damage(archive.store, key)
    with pytest.raises(archiver.IntegrityError) as caught:
        _load_all(archiver.open(archive.store.url))
    assert key in str(caught.value)


def test_no_flipped_bit_gives_other_data(archive: Archive) -> None:
    given = small_run(1, 0, trades=5, points=20)
    run = archive.save_universe_results("u", [given], code="none")
    want = archive.load_strategy(given["strategy_name"])
    store = archive.store
    for key in (layout.record_key(run.id), layout.tier2_key("u", run.id)):
        clean = store.get(key)
        for at in range(0, len(clean), max(1, len(clean) // 150)):
            flip(store, key, at, at % 8)
            try:
                found = archiver.open(store.url).load_strategy(given["strategy_name"])
            except archiver.IntegrityError as error:
                found, text = want, str(error)
            else:
                text = key
            assert same(found, want)
            assert key in text
            store.put(key, clean)


@FAULT
def test_a_save_that_fails_at_any_call_leaves_the_old_or_the_new(
    tmp_path: Path, results: list[dict[str, Any]], die: bool, when: str
) -> None:
    given = results[:20] + [result for result in results if "trades_detailed" in result][:2]
    given = list({result["strategy_name"]: result for result in given}.values())
    before = archiver.open(tmp_path / "before")
    old = before.save_universe_results("u", [{"strategy_name": "old", "trades": [{"x": 1}]}], code="none")
    number = count()

    def new() -> Store:
        return open_store(shutil.copytree(tmp_path / "before", tmp_path / str(next(number))))

    def act(store: Store) -> None:
        Archive(store).save_universe_results("u", given, tags=["t"], code="none")

    for store, failed in failing(new, act, die=die, when=when):
        fresh = archiver.open(store.url)
        _load_all(fresh)
        assert fresh.load_strategy("old")["trades"] == [{"x": 1}]
        runs = fresh.runs()
        assert runs[-1].id == old.id
        assert [run.strategies for run in runs[:-1]] in ([[], [len(given)]] if failed else [[len(given)]])


SAVER = """
import sys, archiver
archive = archiver.open(sys.argv[1])
print("ready", flush=True)
for at in range(int(sys.argv[3])):
    archive.save_universe_results("u", [
        {"strategy_name": f"{sys.argv[2]}_{at}_{n}", "sharpe_ratio": float(n), "trades": [{"pnl": float(n)}] * 20,
         "equity_curve": [float(i * n) for i in range(200)]} for n in range(30)], top_n=3)
"""


@pytest.fixture
def saver(tmp_path: Path) -> Path:
    path = tmp_path / "saver.py"
    path.write_text(textwrap.dedent(SAVER))
    return path


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_save_into_one_archive_at_once(tmp_path: Path, saver: Path, count: int) -> None:
    url = str(tmp_path / "archive")
    processes = [subprocess.Popen([sys.executable, saver, url, f"p{n}", "4"]) for n in range(count)]
    assert [process.wait(120) for process in processes] == [0] * count
    archive = archiver.open(url)
    assert [run.strategies for run in archive.runs()] == [30] * count * 4
    assert archive.load_metrics().num_rows == count * 4 * 30
    assert len(archive.detailed_strategies()) == count * 4 * 3
    _load_all(archive)


def test_a_killed_save_is_there_whole_or_not_at_all(tmp_path: Path, saver: Path) -> None:
    url = str(tmp_path / "archive")
    for wait in (0.0, 0.03, 0.1, 0.2):
        process = subprocess.Popen([sys.executable, saver, url, f"k{wait}", "1000"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
        archive = archiver.open(url)
        try:
            runs = archive.runs()
        except archiver.ArchiveNotFoundError:
            continue
        assert {run.strategies for run in runs} <= {30}
        _load_all(archive)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_full_disk_is_one_error_and_nothing_is_half_visible(tmp_path: Path) -> None:
    url = str(tmp_path / "archive")
    program = textwrap.dedent(
        """
        import resource, signal, sys, archiver
        archive = archiver.open(sys.argv[1])
        archive.save_universe_results("u", [{"strategy_name": "old"}], code="none")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        import random
        try:
            archive.save_universe_results("u", [
                {"strategy_name": "big", "equity_curve": [random.random() for _ in range(20_000)]}], code="none")
        except archiver.StorageError as error:
            print(type(error).__name__, error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("\n") == 1, done.stderr
    assert done.stdout.startswith(("StorageFullError", "StorageError"))
    archive = archiver.open(url)
    assert [run.strategies for run in archive.runs()] == [1]
    left = [path for path in Path(url).rglob("*") if path.is_file() and path.stat().st_size in (0, 20_000)]
    assert left == []
