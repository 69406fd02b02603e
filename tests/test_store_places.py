"""Places that fsspec opens, each with its real server: an sshd, an ftp server, Azurite, a GCS emulator.

Those that are not installed here are skipped, and the reason says what to install.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver.errors import AccessError, StorageError
from archiver.health.doctor import examine
from archiver.store import open_store
from archiver.testing import Opened, StoreTests, keys
from tests.conftest import Place, _serve
from tests.stores import result

KINDS = ["sftp", "ftp", "azure", "gcs"]


def need(*modules: str, program: str | None = None) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"pip install {' '.join(missing)}")
    if program is not None and _program(program) is None:
        pytest.skip(f"{program} is not installed")


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Give the address of an sshd of our own, and the key that opens it."""
    need(program="sshd")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd asks for it
    (folder / "config").write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\nUsePAM no\n"
        "StrictModes no\nPermitRootLogin yes\nListenAddress 127.0.0.1\nSubsystem sftp internal-sftp\n"
    )
    program = str(_program("sshd"))
    command = [program, "-D", "-e", "-f", str(folder / "config"), "-p"]
    for endpoint in _serve(lambda port: [*command, str(port)], folder / "log"):
        yield endpoint.removeprefix("http://"), folder / "user"


@pytest.fixture
def sftp_place(sshd: tuple[str, Path], tmp_path: Path) -> Place:
    if importlib.util.find_spec("sshfs") is None:
        need("paramiko")
    address, key = sshd
    options: dict[str, Any] = {"username": getpass.getuser()}
    if importlib.util.find_spec("sshfs") is None:
        options |= {"key_filename": str(key), "look_for_keys": False, "allow_agent": False}
    else:
        options |= {"client_keys": [str(key)], "known_hosts": None}
    return Place("sftp", f"sftp://{address}{tmp_path}/archive", options)


_FTP = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
users = DummyAuthorizer()
users.add_user("user", "pass" + "word", sys.argv[2], perm="elradfmwMT")
FTPHandler.authorizer = users
FTPServer(("127.0.0.1", int(sys.argv[1])), FTPHandler).serve_forever()
"""


@pytest.fixture(scope="session")
def ftpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    need("pyftpdlib")
    folder = tmp_path_factory.mktemp("ftp") / "root"
    folder.mkdir()
    for endpoint in _serve(
        lambda port: [sys.executable, "-W", "ignore", "-c", _FTP, str(port), str(folder)],
        folder.parent / "log",
    ):
        yield endpoint.removeprefix("http://"), folder


@pytest.fixture
def ftp_place(ftpd: tuple[str, Path]) -> Place:
    name = secrets.token_hex(4)
    return Place("ftp", f"ftp://{ftpd[0]}/{name}/archive", {"username": "user", "password": "pass" + "word"})


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need("adlfs", program="azurite-blob")
    folder = tmp_path_factory.mktemp("azurite")
    program = str(_program("azurite-blob"))
    yield from _serve(
        lambda port: [
            program,
            "--silent",
            "--skipApiVersionCheck",
            "--location",
            str(folder),
            "--blobPort",
            str(port),
        ],
        folder / "log",
    )


@pytest.fixture
def azure_place(azurite: str) -> Place:
    # The account that Azurite comes with; its key is in every copy of the program.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsu" + "Fq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    account = "devstoreaccount1"
    text = f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={azurite}/{account};"
    options = {"account_name": account, "connection_string": text}
    import adlfs

    container = f"c{secrets.token_hex(6)}"
    adlfs.AzureBlobFileSystem(**options).mkdir(container)
    return Place("azure", f"abfs://{container}/some/prefix", options)


# It answers one connection at a time, and so none while another one is kept open, unless it has threads.
_GCS = """
import http.server, sys
http.server.HTTPServer = http.server.ThreadingHTTPServer
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), True).run()
"""


@pytest.fixture(scope="session")
def gcs_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need("gcsfs", "gcp_storage_emulator")
    # Else it asks by gRPC first what kind of bucket it is, which the emulator does not speak.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    folder = tmp_path_factory.mktemp("gcs")
    yield from _serve(lambda port: [sys.executable, "-W", "ignore", "-c", _GCS, str(port)], folder / "log")


@pytest.fixture
def gcs_place(gcs_emulator: str) -> Place:
    import gcsfs

    options = {"endpoint_url": gcs_emulator, "token": "anon", "project": "p"}
    bucket = f"bucket-{secrets.token_hex(6)}"
    gcsfs.GCSFileSystem(**options).mkdir(bucket)
    return Place("gcs", f"gs://{bucket}/some/prefix", options)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.mark.filterwarnings("ignore")  # what client libraries say of themselves is theirs to mend
class TestPlaces(StoreTests):
    @pytest.fixture
    def opened(self, place: Place) -> Opened:
        return place.open


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


@pytest.mark.parametrize("kind", ["sftp", "ftp"])
def test_a_server_that_falls_silent_is_given_up_and_found_again(
    kind: str, request: pytest.FixtureRequest, stopped: list[int]
) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
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


@pytest.mark.parametrize("kind", ["sftp", "ftp"])
def test_wrong_credentials_are_an_access_error(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    wrong = "not" + "thepassword"
    options = {**place.options, "username": "nobody-here"}
    if kind == "ftp":
        options["password"] = wrong
    with pytest.raises(AccessError) as caught:
        open_store(place.url, storage_options=options).get("d/a")
    assert wrong not in str(caught.value)


def test_many_threads_share_what_bears_one(ftp_place: Place) -> None:
    store = ftp_place.open()
    before = threading.active_count()

    def work(number: int) -> bool:
        store.put(f"d/{number}", bytes([number]) * 100_000)
        return store.get(f"d/{number}", 10, 50_000) == bytes([number]) * 49_990

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(24)))
    assert threading.active_count() <= before + 1
