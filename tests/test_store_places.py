"""Places that fsspec opens, each with its real server: an sshd, an ftp server, Samba, Azurite, a GCS emulator.

Those that are not installed here are skipped, and the reason says what to install.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

import archiver
from archiver.errors import AccessError, StorageError
from archiver.health.doctor import examine
from archiver.store import open_store
from archiver.testing import Opened, StoreTests, keys
from tests import servers
from tests.conftest import Place
from tests.stores import result

KINDS = {
    "sftp": servers.sftp,
    "ftp": servers.ftp,
    "smb": servers.smb,
    "azure": servers.azurite,
    "gcs": servers.gcs,
}


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    """Start each kind of server when it is first asked for; what is not installed skips the test that asks."""
    with ExitStack() as stack:

        @cache
        def start(kind: str) -> Place | str:
            try:
                return stack.enter_context(KINDS[kind](tmp_path_factory.mktemp(kind)))
            except servers.AbsentError as error:
                return str(error)

        def place(kind: str) -> Place:
            found = start(kind)
            if isinstance(found, str):
                pytest.skip(found)
            return found._replace(url=f"{found.url}/{secrets.token_hex(4)}")

        yield place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, started: Callable[[str], Place]) -> Place:
    return started(request.param)


@pytest.mark.filterwarnings("ignore")  # what client libraries say of themselves is theirs to mend
class TestPlaces(StoreTests):
    @pytest.fixture
    def opened(self, place: Place) -> Opened:
        return place.open

    @pytest.fixture(autouse=True)
    def _quick(self, request: pytest.FixtureRequest) -> None:
        if "gcs" in request.node.name and "more_than_a_page" in request.node.name:
            pytest.skip("the emulator knows no pages, and takes a minute for a thousand objects")


@pytest.mark.filterwarnings("ignore")
def test_the_doctor_approves_and_leaves_nothing(place: Place) -> None:
    store = place.open()
    findings = list(examine(store))
    assert [one for one in findings if not one.sound] == []
    assert keys(store) == []


@pytest.mark.filterwarnings("ignore")
def test_an_archive_lives_there(place: Place) -> None:
    archive = archiver.open(place.url, **place.options)
    for at in range(3):
        archive.save_universe_results("u", [result(f"s{at}", at, bars=60)], code="none", tags=["t"])
    again = archiver.open(place.url, **place.options)
    assert len(again.runs()) == 3
    assert again.load_strategy("s1", "u")["trades"]
    again.compact()
    again.apply(again.plan_prune(archiver.Policy(keep_last=1)), max_remove=1)
    assert [run.tags for run in archiver.open(place.url, **place.options).runs()] == [("t",)]
    assert again.verify(read_data=True).ok


@pytest.fixture
def stopped(request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """Give a list for processes that a test stops; they go on afterwards."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    inner = [int(child) for child in found if Path(f"/proc/{child}").exists()]
    return inner + [deep for child in inner for deep in children_of(child)]


def serving(port: str) -> list[int]:
    """Return the processes of a server that this test run has started."""
    servers = [pid for pid in children_of(os.getpid()) if port in Path(f"/proc/{pid}/cmdline").read_text()]
    return sorted({*servers, *(deep for pid in servers for deep in children_of(pid))})


@pytest.mark.parametrize("kind", ["sftp", "ftp", "smb"])
def test_a_server_that_falls_silent_is_given_up_and_found_again(
    kind: str, started: Callable[[str], Place], stopped: list[int]
) -> None:
    place = started(kind)
    store = place.open(deadline=3)
    store.put("d/a", b"there")
    port = place.url.partition("127.0.0.1:")[2].partition("/")[0]
    stopped.extend(serving(port))
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    for act in (lambda: store.get("d/a"), lambda: list(store.list()), lambda: store.put("d/b", b"x")):
        with pytest.raises(StorageError):
            act()
    assert time.monotonic() - began < 60, "it does not wait for ever"
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert store.get("d/a") == b"there"
    assert "d/a" in keys(store)


@pytest.mark.parametrize("kind", ["sftp", "ftp", "smb"])
def test_wrong_credentials_are_an_access_error(kind: str, started: Callable[[str], Place]) -> None:
    place = started(kind)
    wrong = "not" + "thepassword"
    options = {**place.options, "username": "nobody-here"}
    if "password" in options:
        options["password"] = wrong
    with pytest.raises(AccessError) as caught:
        open_store(place.url, storage_options=options).get("d/a")
    assert wrong not in str(caught.value)


def test_sftp_holds_nothing_back(started: Callable[[str], Place]) -> None:
    """Else 16 MB take 15 seconds: each 32 KB wait for the answer to those before."""
    store = started("sftp").open()
    store.put("d/a", b"there")
    connection = store._fs.client.get_transport().sock  # type: ignore[attr-defined]
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("kind", ["ftp", "smb"])
def test_many_threads_share_what_bears_one(kind: str, started: Callable[[str], Place]) -> None:
    store = started(kind).open()
    before = threading.active_count()

    def work(number: int) -> bool:
        store.put(f"d/{number}", bytes([number]) * 100_000)
        return store.get(f"d/{number}", 10, 50_000) == bytes([number]) * 49_990

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(24)))
    assert threading.active_count() <= before + 1
