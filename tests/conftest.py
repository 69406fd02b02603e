"""Places to store things: real servers on free ports, a fresh URL a test, no way to a real account."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

import archiver
from archiver import cli
from archiver.archive import Archive
from archiver.store import Store, open_store
from tests import waits
from tests.benchmarks.workload import universe
from tests.stores import details_in_objects, forget_memory
from tests.warm import Terminal, Warm, in_terminal
from tests.wire import Wire

# How long an example takes says something of the machine, nothing of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# S3 in every run is rclone's: what moto does it does ten times slower.
THINNED_PLACES = ["file", "memory", "rclone", pytest.param("moto", marks=pytest.mark.slow)]
_BIN = Path(sys.executable).parent
AS_ROOT, NOBODY = os.geteuid() == 0, 65534
# Made of pieces, so that no scanner takes them for real ones.
ACCESS, SECRET = "test" + "access", "test" + "secret"


Cli = Callable[..., tuple[int, str, str]]
"""Runs a command and returns its exit code, what it printed and what it said."""


class Place(NamedTuple):
    """Where a test may write: nothing is there yet."""

    kind: str
    url: str
    options: dict[str, Any]

    def open(self, **arguments: Any) -> Store:
        return open_store(self.url, storage_options=self.options, **arguments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, the browser's tests, so that no worker is alone with them in the end."""
    items.sort(key=lambda item: ("web" not in item.path.parts, item.path))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Let the second worker collect from the end: in a fresh clone each compiles one half of all there is, not all of it."""
    report = yield
    if isinstance(collector, pytest.Package) and os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        report.result.reverse()
    return report


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an archive on disk that is yet to be made."""
    return archiver.open(tmp_path / "archive")


@pytest.fixture(scope="module")
def details_apart() -> Iterator[None]:
    """Have details in objects of their own, for the tests of a file that are about these."""
    with details_in_objects():
        yield


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """Return a universe's results, the best of them with trades and curves."""
    return universe(3, n_strategies=300, top=8, trades=60, bars=3_000)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run commands in this process."""

    def call(*args: str) -> tuple[int, str, str]:
        code = cli.main(list(args))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a place for results in an old format; nothing is there yet."""
    return tmp_path / "old"


@pytest.fixture(scope="session", autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the credentials and settings of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "ARCHIVER_", "BOTO_", "S3FS_", "FSSPEC_", "GOOGLE_", "AZURE_")):
                patch.delenv(name)
        # Else each of the hundreds of processes that tests start compiles this package anew, for half of its time.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("AWS_CONFIG_FILE", str(home / "no-config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "no-credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="session", autouse=True)
def _without_waiting() -> Iterator[None]:
    """Spend no time between the attempts of a call."""
    with waits.skipped():
        yield


@pytest.fixture(scope="session")
def warm(_isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Give a Python that has imported what is heavy."""
    with Warm(tmp_path_factory.mktemp("warm")) as warm:
        yield warm


@pytest.fixture
def terminal(warm: Warm) -> Terminal:
    """Run commands in a terminal."""
    return partial(in_terminal, warm)


def _serve(command: Callable[[int], list[str]], log: Path) -> Iterator[str]:
    """Run a server on a free port until the session ends; try again when another one took the port."""
    for _ in range(5):
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with log.open("wb") as out:
            process = subprocess.Popen(command(port), stdout=out, stderr=out, cwd=log.parent)
        try:
            if _answers(process, port):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            process.wait(10)
    pytest.fail(f"{command(0)[0]} does not start: {log.read_text()[-500:]}")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process.poll() is None
        time.sleep(0.02)
    return False


@pytest.fixture(scope="session")
def moto_endpoint(_isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the endpoint of a moto server: knows every S3 call, checks nothing."""
    log = tmp_path_factory.mktemp("moto") / "log"
    yield from _serve(lambda port: [str(_BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], log)


@pytest.fixture(scope="session")
def rclone_endpoint(_isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the endpoint of `rclone serve s3`: checks signatures and digests, knows plain objects only."""
    folder = tmp_path_factory.mktemp("rclone") / "buckets"
    folder.mkdir()
    keys = f"--auth-key={ACCESS},{SECRET}"
    yield from _serve(
        lambda port: [
            str(_BIN / "rclone"), "serve", "s3", keys, f"--addr=127.0.0.1:{port}", "--config=", str(folder)
        ],
        folder.parent / "log",
    )  # fmt: skip


def s3_options(endpoint: str) -> dict[str, Any]:
    return {"endpoint_url": endpoint, "key": ACCESS, "secret": SECRET}


def new_bucket(endpoint: str) -> str:
    """Make a bucket on a server. (Its folder would not do: rclone caches what folders there are.)

    A signed request of our own: a client of S3 costs a tenth of a second of processor time to make.
    """
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    name = f"bucket-{secrets.token_hex(6)}"
    signed = AWSRequest("PUT", f"{endpoint}/{name}")
    S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "us-east-1").add_auth(signed)
    request = urllib.request.Request(signed.url, method="PUT", headers=dict(signed.headers))
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    return name


@pytest.fixture
def moto_place(moto_endpoint: str) -> Place:
    """Give a prefix of a fresh bucket on moto."""
    return Place("moto", f"s3://{new_bucket(moto_endpoint)}/some/prefix", s3_options(moto_endpoint))


@pytest.fixture
def rclone_place(rclone_endpoint: str) -> Place:
    """Give a prefix of a fresh bucket on rclone."""
    return Place("rclone", f"s3://{new_bucket(rclone_endpoint)}/some/prefix", s3_options(rclone_endpoint))


@pytest.fixture
def file_place(tmp_path: Path) -> Place:
    """Give a folder that does not exist yet."""
    return Place("file", str(tmp_path / "archive"), {})


@pytest.fixture
def memory_place() -> Place:
    """Give a corner of fsspec's one memory filesystem."""
    return Place("memory", f"memory://{secrets.token_hex(6)}/archive", {})


@pytest.fixture(autouse=True)
def _memory_is_empty() -> Iterator[None]:
    """Leave nothing in fsspec's one memory filesystem: every listing there walks all that other tests left."""
    yield
    if "fsspec.implementations.memory" in sys.modules:
        forget_memory()


@pytest.fixture(params=THINNED_PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    """Give each kind of place in turn."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def store(place: Place) -> Store:
    """Give an empty store in each kind of place in turn."""
    return place.open()


@pytest.fixture
def wire(moto_endpoint: str) -> Iterator[Wire]:
    """Give a wire to the moto server that counts requests and breaks on demand."""
    with Wire(moto_endpoint) as wire:
        yield wire


@pytest.fixture
def wired_place(moto_endpoint: str, wire: Wire) -> Place:
    """Give a prefix of a fresh bucket on moto, reached through the wire."""
    return Place("wired", f"s3://{new_bucket(moto_endpoint)}/some/prefix", s3_options(wire.endpoint))


@pytest.fixture
def wired_store(wired_place: Place, wire: Wire) -> Store:
    """Give a store that has answered before, behind the wire, with nothing counted yet."""
    store = wired_place.open(deadline=10)
    assert list(store.list()) == []
    wire.reset()
    return store


@pytest.fixture
def plain_folder() -> Iterator[Path]:
    """Give a folder to someone to whom the rights of files apply: root becomes nobody meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        if not AS_ROOT:
            yield Path(name)
            return
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
