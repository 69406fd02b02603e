"""Measure what a request to S3 costs, beside rclone on the same server and the same objects.

    python -m tests.benchmarks.bench_s3 [--tiny] [--endpoint URL]

Seconds of processor are those of the client alone. Every figure stands beside what is to be reached. Without an
endpoint (its credentials are those of AWS) `rclone serve s3` is started, which checks every signature.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from archiver.store import Store, open_store
from archiver.transfer.checked import pieces

BIN = Path(sys.executable).parent
ACCESS, SECRET = "test" + "access", "test" + "secret"
BODY = os.urandom(4000)
PIECE = 8 << 20


class Sizes(NamedTuple):
    """How much is sent."""

    requests: int = 2_000
    listed: int = 15_000
    delayed: int = 1_000
    copied: int = 4_000
    large: int = 512 << 20


TINY = Sizes(50, 1_100, 50, 100, 20 << 20)


class Took(NamedTuple):
    """What work took, in seconds."""

    wall: float
    processor: float


def timed(work: Callable[[], object], who: int = resource.RUSAGE_SELF) -> Took:
    """Do work. who: whose processor time counts, this process' or its children's."""

    def spent() -> float:
        usage = resource.getrusage(who)
        return usage.ru_utime + usage.ru_stime

    wall, processor = time.perf_counter(), spent()
    work()
    return Took(time.perf_counter() - wall, spent() - processor)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Start a server and give its endpoint."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "bucket").mkdir(parents=True)
    keys = f"--auth-key={ACCESS},{SECRET}"
    command = [BIN / "rclone", "serve", "s3", keys, f"--addr=127.0.0.1:{port}", "--config=", folder]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def delayed(endpoint: str, seconds: float) -> Iterator[str]:
    """Give an endpoint that passes on what is sent to it after so many seconds."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float) -> None:
        while data := await reader.read(1 << 16):
            await asyncio.sleep(wait)
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, back, seconds), pump(there, writer, 0))

    server = loop.run_until_complete(asyncio.start_server(accept, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loop.call_soon_threadsafe(server.close)


def rclone(endpoint: str, *arguments: str) -> None:
    """Run rclone over the bucket."""
    environment = {
        **os.environ,
        "RCLONE_CONFIG_S_TYPE": "s3",
        "RCLONE_CONFIG_S_PROVIDER": "Other",
        "RCLONE_CONFIG_S_ENDPOINT": endpoint,
        "RCLONE_CONFIG_S_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", ACCESS),
        "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", SECRET),
    }
    command = [BIN / "rclone", *arguments, "--config=", "--transfers=32", "--checkers=32"]
    subprocess.run(command, check=True, env=environment)


def opened(endpoint: str, bucket: str, options: dict[str, Any]) -> Store:
    """Open a fresh prefix, and let the client learn how requests are made."""
    url = f"s3://{bucket}/{secrets.token_hex(4)}"
    store = open_store(url, storage_options={**options, "endpoint_url": endpoint})
    store.put("warm", BODY)
    assert store.get("warm") == BODY
    store.delete(["warm"])
    assert not list(store.list())
    return store


def rows(
    endpoint: str, bucket: str, options: dict[str, Any], sizes: Sizes, folder: Path
) -> Iterator[tuple[str, str, float, float]]:
    """Yield what was measured, its unit, the figure and what is to be reached."""
    store = opened(endpoint, bucket, options)
    names = [f"a/{number:06d}" for number in range(max(sizes.requests, sizes.listed))]

    def put(name: str, into: Store = store) -> None:
        into.put(name, BODY)

    def get(name: str, of: Store = store) -> None:
        assert of.get(name) == BODY

    few = names[: sizes.requests]
    yield f"put {len(few)} of 4 kB", "s cpu", timed(lambda: list(store.map(put, few))).processor, 0.5
    yield f"get {len(few)}", "s cpu", timed(lambda: list(store.map(get, few))).processor, 0.5
    list(store.map(put, names[len(few) :]))
    yield f"list {len(names)}", "s cpu", timed(lambda: list(store.list("a/"))).processor, 0.15
    yield f"delete {len(names)}", "s cpu", timed(lambda: store.delete(names)).processor, 0.5

    with delayed(endpoint, 0.03) as far:
        slow = opened(far, bucket, options)
        some = names[: sizes.delayed]
        for work, reach in ((put, 2.0), (get, 1.5)):
            took = timed(
                lambda work=work: list(
                    slow.map(partial(work, **{"of" if work is get else "into": slow}), some)
                )
            )
            yield f"{work.__name__} {len(some)} with 30 ms more", "s", took.wall, reach
        slow.close()

    small = folder / "small"
    small.mkdir()
    for name in names[: sizes.copied]:
        (small / Path(name).name).write_bytes(os.urandom(4000))
    theirs = timed(
        lambda: rclone(endpoint, "copy", str(small), f"s:{bucket}/{secrets.token_hex(4)}"),
        resource.RUSAGE_CHILDREN,
    )
    source, target = open_store(small), opened(endpoint, bucket, options)
    ours = timed(
        lambda: list(target.map(lambda entry: target.put(entry.key, source.get(entry.key)), source.list()))
    )
    yield f"copy {sizes.copied} of 4 kB, to rclone's", "x wall", ours.wall / theirs.wall, 1.0
    yield f"copy {sizes.copied} of 4 kB, to rclone's", "x cpu", ours.processor / theirs.processor, 1.0

    yield from _large(endpoint, bucket, store, sizes.large, folder)
    store.close()
    target.close()


def _large(
    endpoint: str, bucket: str, store: Store, size: int, folder: Path
) -> Iterator[tuple[str, str, float, float]]:
    big = folder / "big"
    with big.open("wb") as out:
        for _ in range(0, size, PIECE):
            out.write(os.urandom(PIECE))
    size = big.stat().st_size
    place = f"s:{bucket}/{secrets.token_hex(4)}"
    theirs_back = folder / "theirs"

    def up() -> None:
        with big.open("rb") as data, store.write("big") as out:
            while piece := data.read(PIECE):
                out.write(piece)

    def down() -> None:
        with (folder / "back").open("wb") as out:
            for piece in pieces(store, "big", size):
                out.write(piece)

    for name, ours, theirs in (
        # Otherwise it would see that all is there.
        ("up", up, lambda: rclone(endpoint, "copyto", "--ignore-times", str(big), f"{place}/big")),
        (
            "down",
            down,
            lambda: rclone(endpoint, "copyto", "--ignore-times", f"{place}/big", str(theirs_back)),
        ),
    ):
        # In turn, for what else the machine does hits both.
        pairs = [(timed(theirs, resource.RUSAGE_CHILDREN), timed(ours)) for _ in range(3)]
        other, took = (min(column) for column in zip(*pairs, strict=True))
        yield f"{size >> 20} MB {name}, to rclone's", "x wall", took.wall / other.wall, 1.0
        yield f"{size >> 20} MB {name}", "MB/s", size / took.wall / 1e6, size / other.wall / 1e6
    assert (folder / "back").read_bytes() == big.read_bytes()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiny", action="store_true", help="only see that it runs")
    parser.add_argument("--endpoint", help="of another server; its credentials are those of AWS")
    parser.add_argument("--bucket", default="bucket", help="in it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.endpoint:
            table = rows(given.endpoint, given.bucket, {}, TINY if given.tiny else Sizes(), folder)
            _print(table)
        else:
            with served(folder / "served") as endpoint:
                keys = {"key": ACCESS, "secret": SECRET}
                _print(rows(endpoint, "bucket", keys, TINY if given.tiny else Sizes(), folder))


def _print(table: Iterator[tuple[str, str, float, float]]) -> None:
    print(f"{'':40} {'measured':>10} {'to reach':>10}")
    for what, unit, figure, reach in table:
        print(f"{what:40} {figure:10.2f} {reach:10.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
