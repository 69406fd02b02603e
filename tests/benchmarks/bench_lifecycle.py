"""Measure what keeps an archive in shape: plans, deletions, verification, and memory over a million objects.

    python -m tests.benchmarks.bench_lifecycle [--tiny]

Every figure stands beside what is to be reached. `rclone` and `sha256sum` work on the very same objects.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from archiver.errors import NotFoundError, StorageError
from archiver.format import layout
from archiver.format.model import Code, CodeFile, Record, Ref
from archiver.format.records import encode_record
from archiver.health.verify import verify
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.retention.prune import plan_prune
from archiver.store import Store, open_store
from archiver.store.entry import Entry

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BIN = Path(sys.executable).parent
ACCESS, SECRET = "test" + "access", "test" + "secret"
POLICIES = [
    Policy(keep_within="30d", keep_last=10, keep_best=("sharpe_ratio", 20), keep_tags=["release"]),
    Policy(keep_within="7d", tiers=2),
]


def records(count: int, universes: int = 50) -> Iterator[Record]:
    """Make records as runs have them: 36 metrics, a tape and 30 captured files that many share."""
    code = [
        Code("imports", tuple(CodeFile(f"src/m{n}.py", 900, f"{n + 100 * at:064x}") for n in range(30)))
        for at in range(20)
    ]
    for at in range(count):
        run = f"{NOW - timedelta(minutes=7 * at):%Y%m%dT%H%M%SZ}-{at:08x}"
        universe = f"universe_{at % universes:03d}"
        yield Record(
            run=run,
            universe=universe,
            created=NOW - timedelta(minutes=7 * at),
            strategies=100,
            top_n=5,
            tier1=Ref(layout.tier1_key(universe, run), 20_000, f"{at:064x}"),
            tier2=Ref(layout.tier2_key(universe, run), 200_000, f"{at:064x}"),
            tapes=(Ref(layout.tape_key(f"{at % universes:064x}"), 50_000, f"{at % universes:064x}"),),
            code=code[at * 20 // count],
            metrics={
                "sharpe_ratio": (-1.0, (at * 7919 % 10_000) / 1000),
                **{f"metric_{n}": (0.0, float(at % (n + 2))) for n in range(35)},
            },
            size=2_000,
        )


def bench_plan(count: int) -> None:
    every = list(records(count))
    tags = {record.run: ["release"] for record in every[::100]}
    store = open_store("memory://bench/plan")
    plan, seconds = timed(lambda: plan_prune(store, (every, tags), POLICIES, NOW))
    report(f"plan over {count:,} runs ({len(plan.removals):,} removals)", f"{seconds:.2f} s", "3 s")


def bench_delete(count: int) -> None:
    for kind in ("rclone", "moto"):
        with tempfile.TemporaryDirectory() as name, served(kind, Path(name)) as endpoint:
            store = open_store(
                "s3://bench/archive",
                storage_options={"endpoint_url": endpoint, "key": ACCESS, "secret": SECRET},
            )
            orphans = [layout.tier2_key("u", f"20250101T000000Z-{at:08x}") for at in range(count)]
            fill(store, orphans)
            done, seconds = timed(
                lambda store=store: collect(store, grace="0d", apply=True, allow_empty=True)
            )
            assert done.objects == count, done
            fill(store, orphans)
            _, theirs = timed(lambda endpoint=endpoint: rclone_delete(endpoint, "bench/archive/tier2"))
            report(
                f"gc of {count:,} objects on {kind} (listing them twice)",
                f"{count / seconds:,.0f} objects/s",
                f"rclone delete: {count / theirs:,.0f} objects/s",
            )
    with tempfile.TemporaryDirectory() as name:
        local = open_store(name)
        orphans = [layout.tier2_key("u", f"20250101T000000Z-{at:08x}") for at in range(count)]
        fill(local, orphans)
        _, seconds = timed(lambda: collect(local, grace="0d", apply=True, allow_empty=True))
        fill(local, orphans)
        _, theirs = timed(
            lambda: subprocess.run([BIN / "rclone", "delete", "--config=", f"{name}/tier2"], check=True)
        )
        report(
            f"gc of {count:,} files",
            f"{count / seconds:,.0f} objects/s",
            f"rclone delete: {count / theirs:,.0f} objects/s (not synced)",
        )


def bench_verify(count: int, size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        store = open_store(name)
        total = 0
        for record in records(count):
            data = os.urandom(size)
            ref = replace(record.tier2, size=size, sha256=hashlib.sha256(data).hexdigest())  # type: ignore[type-var]
            write(Path(name) / ref.key, data)  # type: ignore[union-attr]
            own = replace(record, tier1=None, tier2=ref, tapes=(), code=None, inline="[]")
            write(Path(name) / layout.record_key(record.run), encode_record(own))
            total += size
        command = f"find {name}/tier2 -type f -print0 | xargs -0 sha256sum > /dev/null"
        subprocess.run(command, shell=True, check=True)
        _, theirs = timed(lambda: subprocess.run(command, shell=True, check=True))
        found, ours = timed(lambda: verify(store, read_data=True))
        assert found.ok, found.problems[:3]
        assert found.bytes == total
        report(
            f"verify of {count:,} objects of {size:,} bytes",
            f"{total / ours / 1e6:,.0f} MB/s, {theirs / ours:.0%} of sha256sum",
            "70 %",
        )


class Simulated(Store):
    """A store that makes its objects up: runs with a record, tier 1 and tier 2 each, and as many orphans as runs."""

    def __init__(self, runs: int) -> None:
        self.url, self.workers, self.runs = "simulated://", 4, runs
        self.deleted = 0
        self.data = {record.run: record for record in records(64)}
        self.text = encode_record(next(records(1)))

    def name(self, at: int) -> str:
        return f"20250101T{at // 3600 % 24:02}{at // 60 % 60:02}{at % 60:02}Z-{at:08x}"

    def names(self) -> list[str]:
        return sorted(self.name(at) for at in range(self.runs))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        if prefix == layout.RUNS:
            return (Entry(layout.record_key(run), 900, NOW) for run in self.names())
        if prefix == layout.TIER1:
            return (Entry(layout.tier1_key("u", run), 20_000, NOW) for run in self.names())
        if prefix == layout.TIER2:
            return (
                Entry(layout.tier2_key("u", run), 200_000, NOW)
                for own in self.names()
                for run in (own, own[:-8] + "f" + own[-7:])
            )
        return iter(())

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        run = layout.run_of_record(key)
        if run is None:
            raise NotFoundError(key)
        own = Record(
            run=run,
            universe="u",
            created=NOW,
            strategies=100,
            top_n=5,
            tier1=Ref(layout.tier1_key("u", run), 20_000, "0" * 64),
            tier2=Ref(layout.tier2_key("u", run), 200_000, "0" * 64),
            metrics={f"metric_{n}": (0.0, float(n)) for n in range(36)},
        )
        return encode_record(own)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.deleted += len(list(keys))
        return {}

    def now(self) -> datetime:
        return NOW + timedelta(days=30)

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        raise StorageError("this store is simulated")

    def open(self, key: str) -> BinaryIO:
        raise StorageError("this store is simulated")

    def write(self, key: str, *, create: bool = False) -> Any:
        raise StorageError("this store is simulated")

    def stat(self, key: str) -> Entry | None:
        return None


def bench_memory(runs: int) -> None:
    """Print the greatest memory of this process after each operation; run it in one of its own."""
    store = Simulated(runs)
    before = peak()
    found, seconds = timed(lambda: verify(store))
    assert found.ok
    assert found.objects == 2 * runs
    report(
        f"memory of verify over {4 * runs:,} objects ({seconds:.0f} s)",
        f"{peak():.0f} MB (began at {before:.0f})",
        "300 MB",
    )
    done, seconds = timed(lambda: collect(store, apply=True))
    assert done.objects == store.deleted == runs
    report(f"memory of gc over {4 * runs:,} objects ({seconds:.0f} s)", f"{peak():.0f} MB", "300 MB")


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def fill(store: Store, keys: list[str]) -> None:
    """Put objects; on a disk without syncing each."""
    store.put(layout.ARCHIVE, b'{"format": 1}')
    if store.local is not None:
        for key in keys:
            write(store.local / key, b"detail")
    else:
        for _ in store.map(lambda key: store.put(key, b"detail"), keys):
            pass
    # An object may be as young as the clock's second.
    time.sleep(1.1)


@contextmanager
def served(kind: str, folder: Path) -> Iterator[str]:
    port = 18_400 + os.getpid() % 500 + (kind == "moto")
    (folder / "served" / "bench").mkdir(parents=True)
    rclone = [
        BIN / "rclone",
        "serve",
        "s3",
        f"--auth-key={ACCESS},{SECRET}",
        f"--addr=127.0.0.1:{port}",
        "--config=",
        folder / "served",
    ]
    command = rclone if kind == "rclone" else [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            time.sleep(3)
            if kind == "moto":
                import s3fs

                options = {"endpoint_url": f"http://127.0.0.1:{port}", "key": ACCESS, "secret": SECRET}
                s3fs.S3FileSystem(**options).mkdir("bench")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def rclone_delete(endpoint: str, place: str) -> None:
    keys = f"access_key_id={ACCESS},secret_access_key={SECRET}"
    remote = f":s3,provider=Other,{keys},endpoint='{endpoint}',force_path_style=true:{place}"
    subprocess.run(
        [BIN / "rclone", "delete", "--config=", "--checkers=32", "--transfers=32", remote], check=True
    )


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    value = call()
    return value, time.perf_counter() - begin


def report(what: str, measured: str, wanted: str) -> None:
    print(f"{what:<58} {measured:<42} to reach: {wanted}", flush=True)


def main() -> None:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["plan", "delete", "verify", "memory"])
    parser.add_argument("--tiny", action="store_true", help="only try that it runs")
    arguments = parser.parse_args()
    small = arguments.tiny
    calls: dict[str, Callable[[], None]] = {
        "plan": lambda: bench_plan(1_000 if small else 100_000),
        "delete": lambda: bench_delete(100 if small else 10_000),
        "verify": lambda: (
            bench_verify(50 if small else 400, 2_000_000),
            bench_verify(100 if small else 5_000, 20_000),
        )[0],
        "memory": lambda: bench_memory(1_000 if small else 250_000),
    }
    if len(arguments.names) == 1:
        calls[arguments.names[0]]()
        return
    for name in arguments.names:
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.bench_lifecycle",
            name,
            *(["--tiny"] if small else []),
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
