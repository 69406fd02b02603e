"""The demo: a real parameter search over real prices, archived, read back and compared."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError, IntegrityError
from archiver.format.layout import code_key

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.format.model import Run

UNIVERSES = ("goog_daily", "goog_daily_oos", "eurusd_hourly")
"""The second is the first out of sample: the years after it."""
TOP_N = 25
_BARS = 20
"""Bars that each trade shows before its entry and after its exit."""
SOURCE = Path(__file__).with_name("strategies.py")


@dataclass(frozen=True)
class Saved:
    """What the demo saved: runs, the results that went in, their size in the archive and as indented JSON."""

    runs: tuple[Run, ...]
    results: tuple[list[dict[str, Any]], ...]
    bytes: int
    json_bytes: int


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    """Return every backtest of the demo: universe, strategy, parameters.

    Raises ConfigError that says what to install when backtesting.py is not there.
    """
    try:
        from archiver.demo.strategies import GRIDS
    except ImportError as error:
        raise ConfigError(f"the demo needs {error.name}: pip install 'archiver[demo]'") from None
    return [
        (universe, name, params) for universe in UNIVERSES for name, grid in GRIDS.items() for params in grid
    ]


def search(tasks: list[tuple[str, str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Run the backtests on all cores; yields results in the order of the tasks."""
    # Spawned, not forked: a fork of a process with threads (an open archive has some) may hang.
    workers = min(len(tasks), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_one, tasks, chunksize=8)


def _one(task: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    from archiver.demo.strategies import backtest, buy_and_hold
    from archiver.engines.backtesting import result

    universe, strategy, params = task
    found = result(backtest(universe, strategy, params), params=params, bars=_BARS)
    assert isinstance(found, dict)  # noqa: S101 - of one backtest there is one result
    del found["tables"]  # the drawdowns can be read off the curve
    return {**found, "curves": {**found["curves"], "benchmark": buy_and_hold(universe)}}


def run(archive: Archive, *, step: Callable[[], None] = lambda: None) -> Saved:
    """Search, save with the code, read back, compare.

    Arguments:
        archive: where the runs go.
        step: called after each backtest, for a progress bar.

    Raises IntegrityError should anything come back otherwise than it went in.
    """
    from archiver.demo.strategies import CASH, COMMISSION

    tasks = jobs()
    found: dict[str, list[dict[str, Any]]] = {universe: [] for universe in UNIVERSES}
    for task, result in zip(tasks, search(tasks), strict=True):
        found[task[0]].append(result)
        step()
    runs = tuple(
        archive.save_universe_results(
            universe,
            results,
            top_n=TOP_N,
            rank_by="sharpe_ratio",
            code=SOURCE,
            tags=["demo"],
            params={"cash": CASH, "commission": COMMISSION},
            note="archiver demo",
        )
        for universe, results in found.items()
    )
    indented = sum(_check(archive, saved, found[saved.universe]) for saved in runs)
    return Saved(runs, tuple(found.values()), _stored_bytes(archive, runs), indented)


def _stored_bytes(archive: Archive, runs: tuple[Run, ...]) -> int:
    """Return what the runs take, the code they share counted once."""
    codes = [archive.record(run.id).code for run in runs]
    keys = {code_key(file.sha256) for code in codes if code for file in (*code.files, *code.texts)}
    entries = [archive.store.stat(key) for key in sorted(keys)]
    return sum(run.bytes for run in runs) + sum(entry.size for entry in entries if entry)


def _check(archive: Archive, run: Run, results: list[dict[str, Any]]) -> int:
    """Read a run back and compare it with what went in; returns the size of the same as indented JSON."""
    by_name = {result["strategy_name"]: result for result in results}
    details = []
    for _, name in archive.detailed_strategies(run=run.id):
        loaded = archive.load_strategy(name, universe=run.universe, run=run.id)
        given = by_name[name]
        expected = {
            "metrics": _metrics(given),
            "trades": given["trades"],
            "curves": {curve: _pairs(series) for curve, series in given["curves"].items()},
        }
        for part, value in expected.items():
            if not same(loaded[part], value):
                raise IntegrityError(
                    f"{part} of {name} in run {run.id} came back changed: please report this"
                )
        details.append(expected)
    rows = archive.load_metrics(universe=run.universe, run=run.id).to_pylist()
    for row in rows:
        given = _metrics(by_name.pop(row["strategy_name"]))
        params = {f"params.{key}": value for key, value in given.pop("params").items()}
        if not all(_equal(row[key], value) for key, value in (given | params).items()):
            raise IntegrityError(f"metrics of {row['strategy_name']} in run {run.id} came back changed")
    if by_name or len(details) != min(TOP_N, len(results)):
        raise IntegrityError(f"run {run.id} came back incomplete: please report this")
    everything = {"strategies": [_metrics(result) for result in results], "detailed": details}
    return len(json.dumps(everything, indent=2))


def _metrics(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in _NOT_METRICS}


_NOT_METRICS = frozenset({"strategy_name", "trades", "curves"})


def _pairs(series: Any) -> list[list[Any]]:
    """Return a curve as a strategy that is loaded has it."""
    return [[moment.isoformat(), value] for moment, value in series.items()]


def _equal(one: Any, other: Any) -> bool:
    """Compare as values of one column: a table has one type a column, so 1 and 1.0 are equal there."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON-like values are equal in value, type, key order and float bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
