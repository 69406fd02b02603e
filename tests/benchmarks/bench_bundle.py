"""Measure bundles against `tar | zstd` and `tar -czf`, and copies against `rclone copy`: python -m tests.benchmarks.bench_bundle.

Rivals take turns, and the best of some rounds counts, because other work on the machine only ever adds time. A
bundle is durable when it is done, so `tar | zstd` ends with `sync FILE` too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import archiver
from archiver.archive import Archive
from archiver.format import layout
from archiver.format.parquet import ref_of
from archiver.runs.write import Writer, draft_run
from archiver.store import open_store

from . import workload

BIN = Path(sys.executable).parent
ACCESS, SECRET = "bench" + "access", "bench" + "secret"


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def rounds(count: int, works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Let works take turns; return the best time of each."""
    best: dict[str, float] = {}
    for _ in range(count):
        for name, work in works.items():
            best[name] = min(best.get(name, float("inf")), timed(work))
    return best


def shell(command: str) -> None:
    subprocess.run(["bash", "-c", command], check=True)


def against_tar(name: str, folder: Path, count: int) -> Path:
    """Compare a bundle of all runs with the same folder through tar and zstd."""
    out, other = folder.parent / "bundle.tar.zst", folder.parent / "tar.tar.zst"

    def bundle() -> None:
        out.unlink(missing_ok=True)
        archive = archiver.open(folder)
        archive.bundle(archive.run_ids(), str(out))

    def tar() -> None:
        other.unlink(missing_ok=True)
        shell(f"tar -C {folder} -cf - . | zstd -3 -T0 -q -o {other} && sync {other}")

    best = rounds(count, {"bundle": bundle, "tar": tar})
    print(
        f"{name}: bundle {best['bundle']:.3f} s, {out.stat().st_size / 1e6:.2f} MB; "
        f"tar | zstd -3 -T0 {best['tar']:.3f} s, {other.stat().st_size / 1e6:.2f} MB"
    )
    return out


def small_runs(folder: Path, count: int) -> None:
    archive = archiver.open(folder)
    for at in range(count):
        archive.save_universe_results(f"u{at % 10}", [workload.small_run(7, at)], 1, code="none")


def against_json(folder: Path, results: list[Any], bundle: Path, seconds: float) -> None:
    """Compare with `tar -czf` over the same results in the tiered JSON layout."""
    (folder / "detailed_trades").mkdir(parents=True)
    tier1 = [
        {
            "strategy_name": result["strategy_name"],
            "universe": "u",
            "metrics": {key: value for key, value in result.items() if not isinstance(value, list)},
        }
        for result in results
    ]
    (folder / "all_strategies_metrics.json").write_text(json.dumps({"strategies": tier1}, indent=2))
    for result in results:
        if "trades_detailed" in result:
            path = folder / "detailed_trades" / f"{result['strategy_name']}.json"
            trades = result.pop("trades_detailed")
            path.write_text(json.dumps({**result, "trades": trades}, indent=2))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    out = folder.parent / "json.tar.gz"
    taken = timed(lambda: shell(f"tar -C {folder} -czf {out} ."))
    share = bundle.stat().st_size / out.stat().st_size
    print(
        f"the same as JSON, {size / 1e6:.0f} MB: tar -czf {taken:.1f} s, {out.stat().st_size / 1e6:.1f} MB; "
        f"bundle {share:.1%} of its size, {taken / seconds:.0f} x its speed"
    )


def synthetic(folder: Path, runs: int, size: int) -> Archive:
    """Put runs whose details are random bytes."""
    store = open_store(folder)
    archive = Archive(store)
    archive.create()
    draft = draft_run("u", [workload.small_run(1, 0, 5, 20)], top_n=0)
    writer = Writer(store)
    for at in range(runs):
        run = f"20250101T{at // 3600:02}{at // 60 % 60:02}{at % 60:02}Z-{at:08x}"
        key = layout.tier2_key("u", run)
        data = os.urandom(size)
        record = replace(draft.record, run=run, tier2=ref_of(key, data))
        writer.commit(replace(draft, record=record, own={key: data}))
    return archive


def memory(folder: Path, runs: int, size: int) -> None:
    """Report the most memory that a bundle, its verification and its restore take, each in a process of its own."""
    synthetic(folder, runs, size)
    work = {
        "bundle": "a.bundle(a.run_ids(), 'all')",
        "verify": "assert a.bundles.verify('all').ok",
        "restore": f"archiver.open({str(folder.parent / 'restored')!r}).bundles.restore('all', home=a.bundles)",
    }
    print(f"{runs} runs of {size / 1e6:.0f} MB:", end=" ")
    for name, text in work.items():
        code = (
            f"import archiver, resource; a = archiver.open({str(folder)!r}); {text}; "
            "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        print(f"{name} {int(done.stdout) / 1000:.0f} MB,", end=" ")
    print("at most, interpreter and pyarrow included")


@contextmanager
def server(kind: str, folder: Path) -> Any:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    commands = {
        "moto": [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        "rclone": [
            str(BIN / "rclone"), "serve", "s3", f"--auth-key={ACCESS},{SECRET}", f"--addr=127.0.0.1:{port}",
            "--config=", str(folder),
        ],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(commands[kind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def against_rclone(folder: Path, runs: int, kind: str, count: int) -> None:
    """Copy an archive of two objects a run to an S3 server, and the same folder by `rclone copy`."""
    import s3fs

    if not folder.exists():
        synthetic(folder, runs, 4000)
    with server(kind, folder.parent / f"served-{kind}") as endpoint:
        options = {"endpoint_url": endpoint, "key": ACCESS, "secret": SECRET}
        fs = s3fs.S3FileSystem(**options)
        turn = iter(range(1000))

        def bucket() -> str:
            name = f"bench-{next(turn)}"
            fs.mkdir(name)
            return name

        def ours() -> None:
            archiver.open(folder).copy_to(archiver.open(f"s3://{bucket()}/a", **options))

        def theirs() -> None:
            remote = (
                f":s3,provider=Other,access_key_id={ACCESS},secret_access_key={SECRET},"
                f"endpoint='{endpoint}',no_check_bucket=true:{bucket()}/a"
            )
            command = [str(BIN / "rclone"), "--config=", "copy", str(folder), remote, "--transfers=32"]
            subprocess.run([*command, "--checkers=32", "--quiet"], check=True)

        def cpu() -> float:
            own = resource.getrusage(resource.RUSAGE_SELF)
            return own.ru_utime + own.ru_stime

        began = cpu()
        best = rounds(count, {"archiver": ours, "rclone": theirs})
        spent = (cpu() - began) / count
    print(
        f"copy of {2 * runs + 1:,} objects to {kind}: archiver {best['archiver']:.1f} s (of which {spent:.1f} s are "
        f"its own processor time), rclone {best['rclone']:.1f} s"
    )


def main() -> None:
    """Run the parts that are asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_bundle")
    parser.add_argument("parts", nargs="*", help="small, full, json, memory, copy (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--objects", type=int, default=10_000)
    chosen = parser.parse_args()
    parts = chosen.parts or ["small", "full", "json", "memory", "copy"]
    work = Path(tempfile.mkdtemp(prefix="bench-bundle-"))
    try:
        if "small" in parts:
            small_runs(work / "s" / "archive", chosen.runs)
            against_tar(f"{chosen.runs:,} small runs", work / "s" / "archive", chosen.rounds)
        if "full" in parts or "json" in parts:
            results = workload.universe(7)
            archive = archiver.open(work / "f" / "archive")
            archive.save_universe_results("u", results, 50, code="none")
            bundle = against_tar("one full universe", work / "f" / "archive", chosen.rounds)
            if "json" in parts:
                again = work / "f" / "again.tar.zst"
                seconds = timed(lambda: archive.bundle(archive.run_ids(), str(again)))
                against_json(work / "f" / "json", results, bundle, seconds)
        if "memory" in parts:
            memory(work / "m" / "archive", 40, 20_000_000)
        if "copy" in parts:
            for kind in ("rclone", "moto"):
                against_rclone(work / "c" / "archive", chosen.objects // 2, kind, 2)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
