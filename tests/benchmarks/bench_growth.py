"""How looks grow with the number of runs: small runs, a strategy each, packed; each look in a process of its own.

    python -m tests.benchmarks.bench_growth                        # 1,000 to 100,000 runs on a disk
    python -m tests.benchmarks.bench_growth 1000 10000 --svg growth.svg --peers

Prints a table of seconds and MB for each look, and draws it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import archiver
from archiver.format.model import Code
from archiver.runs.write import Writer, add_code, draft_run

LOOKS: dict[str, str] = {
    "ls -n 20": "archive.runs(limit=20)",
    "top -n 20": "archive.load_metrics(columns=['sharpe_ratio'], sort='sharpe_ratio', limit=20)",
    "load_metrics, two columns": "archive.load_metrics(columns=['sharpe_ratio', 'n_trades'])",
    "load_strategy": "archive.load_strategy('s0')",
    "prune plan": "archive.plan_prune(archiver.Policy(keep_within='1d'), allow_empty=True)",
    "du": "archive.du()",
    "gc, dry run": "archive.gc()",
    "verify, structure": "archive.verify()",
}
_LOOK = """
import json, resource, sys, time
import archiver, pyarrow, numpy
url, look = sys.argv[1:]
archive = archiver.open(url, read_only=True)
began = time.perf_counter()
eval(look)
print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
_BATCH = 50_000
_SHARE_WITH_DETAILS = 20
"""One run in so many has trades."""


def result(at: int, rng: random.Random) -> dict[str, Any]:
    """Make a trial: ten metrics, two parameters, and one in twenty with trades."""
    trades = [{"pnl": rng.gauss(0, 1), "bars": rng.randint(1, 90)} for _ in range(40)]
    return {
        "strategy_name": f"s{at}",
        "sharpe_ratio": rng.gauss(1, 1),
        "total_return": rng.gauss(10, 5),
        "n_trades": rng.randint(1, 900),
        **{f"m{number}": round(rng.random(), 4) for number in range(7)},
        "params": {"fast": at % 20, "slow": at % 7},
        **({"trades": trades} if at % _SHARE_WITH_DETAILS == 0 else {}),
    }


def grow(folder: Path, start: int, end: int) -> tuple[float, float]:
    """Save runs, then pack them. Returns the seconds that each took."""
    archive = archiver.open(folder)
    archive.create()
    writer, rng = Writer(archive.store), random.Random(start)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    saving = packing = 0.0
    for batch in range(start, end, _BATCH):
        began = time.perf_counter()
        for at in range(batch, min(end, batch + _BATCH)):
            draft = draft_run(
                f"u{at % 5}", [result(at, rng)], top_n=1, created=first + timedelta(seconds=20 * at)
            )
            add_code(draft, Code("none", reason="a benchmark"), {})
            writer.commit(draft)
        saving += time.perf_counter() - began
        began = time.perf_counter()
        archive.compact()
        packing += time.perf_counter() - began
    return saving, packing


def measure(url: str, look: str) -> tuple[float, float]:
    """Return the seconds and the MB at most that a look takes in a process of its own."""
    command = [sys.executable, "-c", _LOOK, url, look]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, most = json.loads(done.stdout.splitlines()[-1])
    return seconds, most


def peers(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield how long DuckDB and pyarrow take for the same two columns of ONE Parquet file of the same rows."""
    import pyarrow.parquet as pq

    table = archiver.open(folder, read_only=True).load_metrics()
    path = folder.parent / "rows.parquet"
    pq.write_table(table, path)
    columns = ["universe", "strategy_name", "run", "sharpe_ratio", "n_trades"]

    def pyarrow_reads() -> None:
        pq.read_table(path, columns=columns)

    def duckdb_reads() -> None:
        import duckdb

        duckdb.sql(f"SELECT {', '.join(columns)} FROM '{path}'").arrow()

    for name, read in (("pyarrow", pyarrow_reads), ("duckdb", duckdb_reads)):
        yield name, _best(read)


def _best(read: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        read()
        times.append(time.perf_counter() - began)
    return min(times)


def draw(sizes: list[int], found: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Draw seconds against runs, both on logarithmic axes, as an SVG."""
    from math import log10

    left, top, width, height = 60, 20, 460, 300
    least, most = 0.001, max(seconds for row in found.values() for seconds, _ in row) * 1.5
    colors = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#79706e"]

    def x(size: float) -> float:
        return left + width * (log10(size) - log10(sizes[0])) / max(1e-9, log10(sizes[-1]) - log10(sizes[0]))

    def y(seconds: float) -> float:
        return top + height * (1 - (log10(max(seconds, least)) - log10(least)) / (log10(most) - log10(least)))

    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 370" font-family="sans-serif" font-size="12">',
        '<rect width="760" height="370" fill="white"/>',
    ]
    for exponent in range(-3, 4):
        if 10**exponent <= most:
            at = y(10**exponent)
            lines.append(f'<path d="M{left} {at:.1f}H{left + width}" stroke="#ddd"/>')
            lines.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10**exponent:g} s</text>')
    lines += [
        f'<text x="{x(size):.1f}" y="{top + height + 18}" text-anchor="middle">{size:,}</text>'
        for size in sizes
    ]
    lines.append(
        f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">packed runs</text>'
    )
    for number, (name, row) in enumerate(found.items()):
        points = " ".join(
            f"{x(size):.1f},{y(seconds):.1f}" for size, (seconds, _) in zip(sizes, row, strict=True)
        )
        color = colors[number % len(colors)]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        at = top + 14 + 20 * number
        lines.append(f'<path d="M{left + width + 20} {at - 4}h18" stroke="{color}" stroke-width="2"/>')
        lines.append(f'<text x="{left + width + 44}" y="{at}">{name}</text>')
    path.write_text("\n".join([*lines, "</svg>", ""]))


def main(arguments: list[str] | None = None) -> dict[str, list[tuple[float, float]]]:
    """Measure, print and draw. Returns seconds and MB of each look by size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--svg", type=Path, help="draw the curves into this file")
    parser.add_argument("--peers", action="store_true", help="also pyarrow and DuckDB over one Parquet file")
    asked = parser.parse_args(arguments)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOOKS}
    with tempfile.TemporaryDirectory() as temporary:
        folder, there = Path(temporary, "archive"), 0
        for size in asked.sizes:
            saving, packing = grow(folder, there, size)
            new, there = size - there, size
            files = [path for path in folder.rglob("*") if path.is_file()]
            taken = sum(path.stat().st_size for path in files)
            print(f"{size:,} runs: {len(files)} objects, {taken / 1e6:.1f} MB", end="; ")
            print(f"save {1000 * saving / new:.1f} ms a run, pack {new / packing:,.0f} runs a second")
            for name, look in LOOKS.items():
                seconds, most = measure(str(folder), look)
                found[name].append((seconds, most))
                print(f"  {name:<28} {seconds:8.3f} s {most:8.0f} MB")
            for name, seconds in peers(folder) if asked.peers else ():
                print(f"  {name + ', one file':<28} {seconds:8.3f} s")
    if asked.svg is not None:
        draw(asked.sizes, found, asked.svg)
    return found


if __name__ == "__main__":
    main()
