"""Measure every peer on the same seeded results and print one table.

Each peer runs in a process of its own, so that memory is its own: `VmHWM` is reset before the save, and what
the process held then (the results) is taken off. Times are the best of three reads and of one save, warm.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from . import peers, workload

# Row: what is measured, its unit, and what archiver is to reach.
ROWS: dict[str, tuple[str, float]] = {
    "tier-2 bytes": ("MB", 5.0),
    "tier-1 bytes": ("MB", 2.4),
    "save a universe": ("s", 2.5),
    "memory over the input": ("MB", 250),
    "load metrics of 25 universes to pandas": ("s", 0.25),
    "load one strategy as objects": ("ms", 45),
    "load its trades without bars as a table": ("ms", 6),
    "save a small run, median": ("ms", 6),
    "bytes of a small run": ("kB", 27),
    "objects of a small run": ("", 3),
    "read metrics of 1,000 small runs": ("s", 0.3),
}


@dataclass(frozen=True)
class Sizes:
    """How much is made."""

    strategies: int = 10_000
    top: int = 50
    trades: int = 1404
    bars: int = 60_000
    universes: int = 25
    small_runs: int = 1000


TINY = Sizes(strategies=200, top=3, trades=40, bars=3000, universes=3, small_runs=5)


@dataclass
class Measured:
    """What one peer took, in the units of ROWS; rows it has no operation for are missing."""

    peer: str
    values: dict[str, float] = field(default_factory=dict)


def measure(peer: type[peers.Peer], sizes: Sizes, folder: Path) -> Measured:
    """Measure one peer in this process."""
    result = Measured(peer.name)
    # What was written before must not be on its way to the disk still: the next fsync would wait for it.
    os.sync()
    if peers.has(peer, "save_small"):
        _measure_small(peer, sizes, folder / "small", result.values)
        os.sync()
    if peers.has(peer, "save"):
        _measure_universe(peer, sizes, folder / "universe", result.values)
        os.sync()
        _measure_metrics(peer, sizes, folder / "metrics", result.values)
    return result


def _measure_universe(peer: type[peers.Peer], sizes: Sizes, folder: Path, values: dict[str, float]) -> None:
    results = workload.universe(7, sizes.strategies, sizes.top, sizes.trades, sizes.bars)
    name = peers.detailed(results)[0]["strategy_name"]
    keeps_details = peers.has(peer, "strategy")
    store = peer(folder)
    gc.collect()
    before = reset_peak()
    seconds, _ = _timed(lambda: store.save("universe_001", results))
    if keeps_details:
        values["save a universe"] = seconds
        values["memory over the input"] = (peak() - before) / 1e6
        tier1, tier2 = _bytes(folder, "metrics", "tier1"), _bytes(folder, "detail", "tier2", "tapes")
        values["tier-1 bytes"] = tier1 / 1e6
        values["tier-2 bytes"] = tier2 / 1e6
    if keeps_details:
        values["load one strategy as objects"] = _best(lambda: store.strategy("universe_001", name)) * 1e3
    if peers.has(peer, "table"):
        values["load its trades without bars as a table"] = (
            _best(lambda: store.table("universe_001", name)) * 1e3
        )


def _measure_metrics(peer: type[peers.Peer], sizes: Sizes, folder: Path, values: dict[str, float]) -> None:
    store = peer(folder)
    for at in range(sizes.universes):
        store.save(f"universe_{at:03}", workload.universe(at, sizes.strategies, top=0))
    store.ready()
    rows = len(store.metrics())
    assert rows == sizes.universes * sizes.strategies, f"{peer.name} gave {rows} rows"
    values["load metrics of 25 universes to pandas"] = _best(store.metrics)


def _measure_small(peer: type[peers.Peer], sizes: Sizes, folder: Path, values: dict[str, float]) -> None:
    store = peer(folder)
    empty_bytes, empty_objects = _bytes(folder), _objects(folder)
    seconds = []
    for at in range(sizes.small_runs):
        result = workload.small_run(7, at)
        seconds.append(_timed(lambda at=at, result=result: store.save_small(at, result))[0])  # type: ignore[misc]
    values["save a small run, median"] = median(seconds) * 1e3
    values["bytes of a small run"] = (_bytes(folder) - empty_bytes) / sizes.small_runs / 1e3
    values["objects of a small run"] = (_objects(folder) - empty_objects) / sizes.small_runs
    store.ready()
    assert len(store.small_metrics()) == sizes.small_runs
    values["read metrics of 1,000 small runs"] = _best(store.small_metrics)


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    value = call()
    return time.perf_counter() - started, value


def _best(call: Callable[[], Any], times: int = 3) -> float:
    return min(_timed(call)[0] for _ in range(times))


def _files(folder: Path, *below: str) -> list[Path]:
    roots = [folder / name for name in below] if below else [folder]
    return [path for root in roots for path in root.rglob("*") if path.is_file()]


def _bytes(folder: Path, *below: str) -> int:
    return sum(path.stat().st_size for path in _files(folder, *below))


def _objects(folder: Path) -> int:
    return len(_files(folder))


def reset_peak() -> float:
    """Forget the highest memory use so far; returns what is in use, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("nan")
    return peak()


def peak() -> float:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return float(status.split("VmHWM:")[1].split()[0]) * 1024


def _in_own_process(peer: type[peers.Peer], *, tiny: bool, below: str | None) -> Measured:
    command = [sys.executable, "-m", "tests.benchmarks", "--peer", peer.name]
    command += ["--tiny"] if tiny else []
    command += ["--folder", below] if below else []
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{peer.name} failed")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def table(columns: list[Measured]) -> str:
    """Lay out what was measured: a row for each figure, a column for each peer, and what is to be reached."""
    header = ["", "to reach", *(column.peer for column in columns)]
    lines = [header]
    for row, (unit, limit) in ROWS.items():
        cells = [column.values.get(row) for column in columns]
        texts = [
            "-" if cell is None or cell != cell else f"{cell:.3g}" if cell < 100 else f"{cell:.0f}"
            for cell in cells
        ]
        lines.append([f"{row}, {unit}".removesuffix(", "), f"<= {limit:g}", *texts])
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    aligned = [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    ]
    return "\n".join([aligned[0], "-" * len(aligned[0]), *aligned[1:]])


def main(argv: list[str] | None = None) -> None:
    """Measure all peers, or the one that `--peer` names, in a temporary folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that all of it works")
    parser.add_argument("--only", action="append", metavar="PEER", help="measure only this peer (repeatable)")
    parser.add_argument("--folder", help="make the temporary folder here, to measure that disk")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    sizes = TINY if options.tiny else Sizes()
    by_name = {peer.name: peer for peer in peers.peers()}
    if options.peer:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            print(json.dumps(asdict(measure(by_name[options.peer], sizes, Path(folder)))))
        return
    chosen = [peer for name, peer in by_name.items() if not options.only or name in options.only]
    print(f"seeded results: {asdict(sizes)}")
    measured = []
    for peer in chosen:
        print(f"  {peer.name} ...", file=sys.stderr, flush=True)
        measured.append(_in_own_process(peer, tiny=options.tiny, below=options.folder))
    print(table(measured))
