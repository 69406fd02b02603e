"""How looks grow with the number of runs: small runs, a strategy each, packed; each look in a process of its own.

    python -m tests.benchmarks.bench_growth                        # 1,000 to 100,000 runs on a disk
    python -m tests.benchmarks.bench_growth 1000 10000 --svg growth.svg --peers
    python -m tests.benchmarks.bench_growth 1000 --there FOLDER    # and an archive of such runs that is there, read-only

Prints a table of seconds of processor, imports aside, and MB at most for each look, and draws both.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

import archiver
from archiver.format import layout
from archiver.format.model import Code
from archiver.format.packs import MOST_RUNS, PackEncoder
from archiver.format.records import decompress, encode_record
from archiver.runs.format_number import raise_number
from archiver.runs.packed.packing import packed
from archiver.runs.write import Draft, add_code, draft_run
from archiver.store.entry import Entry

LOOKS: dict[str, str] = {
    "ls -n 20": "archive.runs(limit=20), archive.run_count()",
    "top -n 20": "archive.leaderboard(['sharpe_ratio', 'n_trades', 'params'], sort='sharpe_ratio', limit=20)",
    "load_metrics, two columns": "archive.load_metrics(columns=['sharpe_ratio', 'n_trades'])",
    "load_strategy": "try:\n    archive.load_strategy('s0')\nexcept archiver.NotKeptError: pass",
    "prune plan": "archive.plan_prune(archiver.Policy(keep_within='1d'), allow_empty=True)",
    "du": "archive.du()",
    "gc, dry run": "archive.gc()",
    "verify, structure": "archive.verify()",
}
_LOOK = """
import archiver, pyarrow.parquet, numpy
archive = archiver.open({url!r}, read_only=True)
{timed}
"""
_TIMED = """
import json, pathlib, resource, time
began = time.process_time()
{look}
seconds = time.process_time() - began
# Not `ru_maxrss`: that begins with what the process had that started this one.
status = pathlib.Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
held = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
most = held[0] if held else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([seconds, most / 1024]))
"""
_PEERS = {
    "pyarrow, one Parquet file": "import pyarrow.parquet as pq; pq.read_table({path!r}, columns={columns!r})",
    "DuckDB, one Parquet file": "import duckdb; duckdb.sql({sql!r}).fetch_arrow_table()",
}
_COLUMNS = ["universe", "strategy_name", "run", "sharpe_ratio", "n_trades"]
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
    """Add packs of so many runs, as a packer writes them. Returns seconds of processor a run: to save it, and to pack it."""
    archive = archiver.open(folder)
    archive.create()
    raise_number(archive.store, 2)
    saving = packing = 0.0
    for batch in range(start, end, MOST_RUNS):
        last = min(end, batch + MOST_RUNS)
        began = time.process_time()
        records = [encode_record(draft(at).record) for at in range(batch, last)]
        saving += time.process_time() - began
        began = time.process_time()
        encoder = PackEncoder()
        for data in reversed(records):
            encoder.add(packed(entry_of(data), (0, ""), data))
        for key, data in encoder.finish()[1].items():
            archive.store.put(key, data)
        packing += time.process_time() - began
    return saving / (end - start), packing / (end - start)


def draft(at: int) -> Draft:
    """Make a run of one trial."""
    rng = random.Random(at)
    created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=20 * at)
    made = draft_run(f"u{at % 5}", [result(at, rng)], top_n=1, created=created)
    add_code(made, Code("none", reason="a benchmark"), {})
    return made


def entry_of(data: bytes) -> Entry:
    """Return a record as a listing would show it."""
    run = orjson.loads(decompress(data, "a record"))["run"]
    return Entry(layout.record_key(run), len(data), datetime.now(UTC))


def measure(url: str, look: str) -> tuple[float, float]:
    """Return the seconds of processor and the MB at most that a look takes in a process of its own."""
    return _measured(_LOOK.format(url=url, timed=_TIMED.format(look=look)))


def _measured(script: str) -> tuple[float, float]:
    """Run a script of `_TIMED` three times, and return the least it took."""
    pairs = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        pairs.append(tuple(json.loads(done.stdout.splitlines()[-1])))
    return min(seconds for seconds, _ in pairs), min(most for _, most in pairs)


def peers(folder: Path, place: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield what others take for the two columns of ONE Parquet file of the same rows."""
    import pyarrow.parquet as pq

    path = str(place / "rows.parquet")
    pq.write_table(archiver.open(folder, read_only=True).load_metrics(), path)
    sql = f"SELECT {', '.join(_COLUMNS)} FROM '{path}'"
    for name, script in _PEERS.items():
        begin = "import archiver, pyarrow.parquet, numpy; " + script.partition(";")[0]
        look = script.partition("; ")[2].format(path=path, columns=_COLUMNS, sql=sql)
        yield name, _measured(f"{begin}\n{_TIMED.format(look=look)}")


def draw(sizes: Sequence[int], found: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Draw seconds and MB against runs, all axes logarithmic, as an SVG."""
    panels = [("s of processor", 0.001, 0), ("MB at most", 10.0, 1)]
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 370" font-family="sans-serif" font-size="12">',
        '<rect width="980" height="370" fill="white"/>',
    ]
    for number, (unit, least, which) in enumerate(panels):
        lines += _panel(
            sizes,
            {name: [pair[which] for pair in row] for name, row in found.items()},
            unit,
            least,
            70 + 390 * number,
        )
    for number, name in enumerate(found):
        at = 34 + 20 * number
        lines.append(
            f'<path d="M790 {at - 4}h18" {_stroke(number, name)}/><text x="814" y="{at}">{name}</text>'
        )
    path.write_text("\n".join([*lines, "</svg>", ""]))


def _panel(
    sizes: Sequence[int], rows: dict[str, list[float]], unit: str, least: float, left: int
) -> list[str]:
    from math import log10

    top, width, height = 20, 310, 300
    most = max(value for row in rows.values() for value in row) * 1.5

    def x(size: float) -> float:
        return left + width * (log10(size) - log10(sizes[0])) / max(1e-9, log10(sizes[-1]) - log10(sizes[0]))

    def y(value: float) -> float:
        return top + height * (1 - (log10(max(value, least)) - log10(least)) / (log10(most) - log10(least)))

    lines = []
    for exponent in range(-3, 6):
        if least <= 10**exponent <= most:
            at = y(10**exponent)
            lines.append(f'<path d="M{left} {at:.1f}H{left + width}" stroke="#ddd"/>')
            lines.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10**exponent:g}</text>')
    lines += [
        f'<text x="{x(size):.1f}" y="{top + height + 18}" text-anchor="middle">{size:,}</text>'
        for size in sizes
    ]
    lines.append(
        f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">packed runs: {unit}</text>'
    )
    for number, (name, row) in enumerate(rows.items()):
        points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in zip(sizes, row, strict=True))
        lines.append(f'<polyline points="{points}" fill="none" {_stroke(number, name)}/>')
    return lines


def _stroke(number: int, name: str) -> str:
    """Return how a line looks: that of another tool is dashed."""
    colors = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#79706e"]
    dashes = ' stroke-dasharray="5 4"' if name in _PEERS else ""
    return f'stroke="{colors[number % len(colors)]}" stroke-width="2"{dashes}'


def look_at(folder: Path, place: Path, found: dict[str, list[tuple[float, float]]], *, others: bool) -> None:
    """Measure every look at an archive."""
    for name, look in LOOKS.items():
        found[name].append(measure(str(folder), look))
    for name, pair in peers(folder, place) if others else ():
        found.setdefault(name, []).append(pair)
    for name, row in found.items():
        print(f"  {name:<28} {row[-1][0]:8.3f} s {row[-1][1]:8.0f} MB", flush=True)


def main(arguments: list[str] | None = None) -> dict[str, list[tuple[float, float]]]:
    """Measure, print and draw. Returns seconds and MB of each look by size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--there", type=Path, nargs="*", default=[], help="archives that are there, larger than these"
    )
    parser.add_argument("--svg", type=Path, help="draw the curves into this file")
    parser.add_argument("--peers", action="store_true", help="also pyarrow and DuckDB over one Parquet file")
    asked = parser.parse_args(arguments)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOOKS}
    sizes = list(asked.sizes)
    with tempfile.TemporaryDirectory() as temporary:
        place, there = Path(temporary), 0
        folder = place / "archive"
        for size in asked.sizes:
            saving, packing = grow(folder, there, size)
            there = size
            files = [path for path in folder.rglob("*") if path.is_file()]
            taken = sum(path.stat().st_size for path in files)
            print(f"{size:,} runs: {len(files)} objects, {taken / 1e6:.1f} MB", end="; ")
            print(f"{1e6 * saving:.0f} us of processor to make a run, {1e6 * packing:.0f} to pack it")
            look_at(folder, place, found, others=asked.peers)
        for folder in asked.there:
            sizes.append(archiver.open(folder, read_only=True).run_count())
            print(f"{sizes[-1]:,} runs in {folder}")
            look_at(folder, place, found, others=asked.peers)
    if asked.svg is not None:
        draw(sizes, found, asked.svg)
    return found


if __name__ == "__main__":
    main()
