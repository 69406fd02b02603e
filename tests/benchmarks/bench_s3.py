"""Measure what S3 costs beside rclone, s5cmd and obstore, on the same server with the same files, in one run.

    python -m tests.benchmarks.bench_s3 [--tiny] [--server rclone|moto|seaweed]

Each figure is the best of several turns: seconds of the wall and, behind the stroke, of the client's processor. Requests are counted by a wire
between client and server. `rclone serve s3` and SeaweedFS check every signature.
"""

from __future__ import annotations

import argparse
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import archiver
from tests.benchmarks.clients import PIECE, Client, Server, clients, names_in
from tests.conftest import ACCESS, SECRET
from tests.servers import moto, rclone, seaweed
from tests.wire import Wire

SERVERS = {"rclone": rclone, "moto": moto, "seaweed": seaweed}
DELAY = 0.03


class Sizes(NamedTuple):
    """How much is sent."""

    files: int = 2_000
    listed: int = 15_000
    delayed: int = 1_000
    copied: int = 4_000
    large: int = 512 << 20
    counted: int = 100
    turns: int = 3


TINY = Sizes(50, 1_100, 50, 100, 20 << 20, 20, 1)


class Took(NamedTuple):
    """What work took, in seconds."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} / {self.processor:.2f}"


def timed(work: Callable[[], object]) -> Took:
    """Do work; whatever it starts as processes counts, too."""

    def spent() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    wall, processor = time.perf_counter(), spent()
    work()
    return Took(time.perf_counter() - wall, spent() - processor)


def best(turns: int, work: dict[str, Callable[[], object]]) -> dict[str, Took]:
    """Let each have its turn, again and again, for what else the machine does hits all; return the best of each."""
    took = [{name: timed(one) for name, one in work.items()} for _ in range(turns)]
    return {name: Took(*(min(turn[name][at] for turn in took) for at in (0, 1))) for name in work}


def made(folder: Path, count: int) -> Path:
    """Make a folder with so many files of 4 kB."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06d}").write_bytes(os.urandom(4000))
    return folder


@contextmanager
def delayed(server: Server) -> Iterator[Server]:
    """Give the same server 30 ms away."""
    port = server.endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.benchmarks.delay", port, str(DELAY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield server._replace(endpoint=f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.terminate()


class Bench:
    """One server, the clients, and a folder for files."""

    def __init__(self, server: Server, folder: Path, sizes: Sizes) -> None:
        self.server, self.folder, self.sizes = server, folder, sizes
        self.clients, self.absent = clients(server)

    def show(self, what: str, took: dict[str, object], reach: str = "") -> None:
        cells = [f"{took.get(one.name, '-')!s:>13}" for one in self.clients]
        print(f"{what:28}", *cells, f" {reach}".rstrip(), flush=True)

    def run(self) -> None:
        """Print a line for each kind of work."""
        print(f"{'':28}", *(f"{one.name:>13}" for one in self.clients), " to reach")
        self.requests()
        self.many(self.server, self.sizes.files, "")
        with delayed(self.server) as far:
            reach = {"put": "2.0 s wall", "get": "1.5 s wall"}
            self.many(far, self.sizes.delayed, f", {DELAY * 1000:.0f} ms away", reach)
        self.listing()
        self.copies()
        self.large()
        for text in self.absent:
            print(f"not measured: {text}")

    def many(self, server: Server, count: int, where: str, reach: dict[str, str] | None = None) -> None:
        """Send and fetch many small files."""
        files = made(self.folder / f"files{'-far' if where else ''}", count)
        there = {one.name: type(one)(server) for one in self.clients}
        places = {name: secrets.token_hex(4) for name in there}
        for verb in ("put", "get"):
            work: dict[str, Callable[[], object]] = {}
            for name, one in there.items():
                if verb == "put":
                    work[name] = lambda one=one, name=name: one.put(files, places[name])
                else:
                    back = self.folder / f"back-{files.name}-{name}"
                    back.mkdir()
                    work[name] = lambda one=one, name=name, back=back: one.get(places[name], back)
            took = best(self.sizes.turns, work)
            self.show(f"{verb} {count} of 4 kB{where}", dict(took), (reach or {}).get(verb, ""))
        for name in there:
            back = self.folder / f"back-{files.name}-{name}"
            assert names_in(back) == names_in(files)

    def listing(self) -> None:
        """List and delete many objects."""
        sender, files = self.clients[0], made(self.folder / "listed", self.sizes.listed)
        sender.put(files, "listed")
        took = best(self.sizes.turns, {one.name: lambda one=one: one.list("listed") for one in self.clients})
        self.show(f"list {self.sizes.listed}", dict(took), "0.15 s processor")
        gone: dict[str, object] = {}
        for one in self.clients:
            place = secrets.token_hex(4)
            sender.put(self.folder / "files", place)
            gone[one.name] = timed(lambda one=one, place=place: one.delete(place))
        self.show(f"delete {self.sizes.files}", gone)

    def copies(self) -> None:
        """Copy an archive of small runs by the command, beside what others take for its files."""
        source = self.folder / "archive"
        with archiver.open(source) as archive:
            for number in range(self.sizes.copied):
                rows = [
                    {"strategy_name": f"S{number}", "sharpe_ratio": 1.0, "trades": [{"pnl": number / 7}] * 40}
                ]
                archive.save_universe_results(f"u{number % 50}", rows, code="none")
        flat = self.folder / "flat"
        flat.mkdir()
        for file in source.rglob("*"):
            if file.is_file():
                (flat / file.name).hardlink_to(file)
        keys = {"AWS_ACCESS_KEY_ID": self.server.access, "AWS_SECRET_ACCESS_KEY": self.server.secret}
        own = {**os.environ, **keys, "AWS_ENDPOINT_URL": self.server.endpoint}

        def copy() -> None:
            url = f"s3://{self.server.bucket}/{secrets.token_hex(4)}"
            command = [sys.executable, "-m", "archiver", "copy", str(source), url]
            subprocess.run(command, check=True, env=own, capture_output=True)

        work: dict[str, Callable[[], object]] = {
            one.name: lambda one=one: one.put(flat, secrets.token_hex(4)) for one in self.clients
        }
        took = best(self.sizes.turns, {**work, "archiver": copy})
        self.show(f"copy {self.sizes.copied} small runs", dict(took), "rclone's")

    def large(self) -> None:
        """Send a large object, and fetch it."""
        big, back = self.folder / "big", self.folder / "back"
        with big.open("wb") as out:
            for _ in range(0, self.sizes.large, PIECE):
                out.write(os.urandom(min(PIECE, self.sizes.large)))
        places = {one.name: secrets.token_hex(4) for one in self.clients}
        name = f"{self.sizes.large >> 20} MB"
        up = {one.name: lambda one=one: one.up(big, places[one.name]) for one in self.clients}
        self.show(f"{name} up", dict(best(self.sizes.turns, up)), "rclone's")
        down = {one.name: lambda one=one: one.down(places[one.name], back) for one in self.clients}
        self.show(f"{name} down", dict(best(self.sizes.turns, down)), "rclone's")
        assert back.read_bytes() == big.read_bytes()

    def requests(self) -> None:
        """Count what each verb asks of the server."""
        files = made(self.folder / "counted", self.sizes.counted)
        with Wire(self.server.endpoint) as wire:
            near = self.server._replace(endpoint=wire.endpoint)
            seen: dict[str, dict[str, object]] = {verb: {} for verb in ("put", "get", "list", "delete")}
            for one in self.clients:
                client: Client = type(one)(near)
                back = self.folder / f"counted-{one.name}"
                back.mkdir()
                place = secrets.token_hex(4)
                acts = (
                    (client.put, files, place),
                    (client.get, place, back),
                    (client.list, place),
                    (client.delete, place),
                )
                for verb, (act, *arguments) in zip(seen, acts, strict=True):
                    wire.reset()
                    act(*arguments)
                    seen[verb][one.name] = sum(wire.counts.values())
        for verb, counts in seen.items():
            self.show(f"requests: {verb} {self.sizes.counted}", counts)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiny", action="store_true", help="only see that it runs")
    parser.add_argument("--server", choices=SERVERS, default="rclone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "server").mkdir()
        with SERVERS[given.server](Path(name) / "server") as place:
            server = Server(place.options["endpoint_url"], "bucket", ACCESS, SECRET)
            Bench(server, Path(name), TINY if given.tiny else Sizes()).run()


if __name__ == "__main__":
    main()
