"""Programs that begin warm: forks of one Python that has imported what is heavy, which is most of what a short one takes."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

CODE = "import sys; from archiver.cli import main; sys.exit(main())"
_FORKS = """
import json, os, socket, sys, types
import pandas, polars, pyarrow.dataset, pyarrow.parquet, rich.console
import archiver.archive, archiver.cli, archiver.query.sql

asking = socket.socket(fileno=int(sys.argv[1]))
while True:
    asked, streams, _, _ = socket.recv_fds(asking, 1 << 20, 3)
    if not asked:
        sys.exit()
    if child := os.fork():
        for stream in streams:
            os.close(stream)
        asking.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    break
asking.close()
for number, stream in enumerate(streams):
    os.dup2(stream, number)
    os.close(stream)
sys.stdin, sys.stdout = open(0), open(1, "w", encoding="utf-8")
sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")
code, arguments, folder, environment = json.loads(asked)
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
sys.argv = ["-c", *arguments]
sys.orig_argv[1:] = ["-c", code, *arguments]
main = sys.modules["__main__"] = types.ModuleType("__main__")
exec(compile(code, "<string>", "exec"), main.__dict__)
"""


class Warm:
    """A Python that runs code as `python -c` would, one after the other, each in a fork of its own."""

    def __init__(self, home: Path) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _FORKS, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "HOME": str(home)},
            )

    def start(
        self, code: str, *arguments: str, folder: Path, environment: dict[str, str], streams: Sequence[int]
    ) -> None:
        """Start a program. streams: file descriptors of its input, output and errors; they can be closed then."""
        asked = json.dumps([code, arguments, str(folder), environment]).encode()
        socket.send_fds(self._ours, [asked], [*streams])

    def wait(self) -> int:
        """Return the exit code of what was started."""
        return int(self._ours.recv(64))

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.wait(60)


Terminal = Callable[..., str]
"""Runs a command in a terminal and returns what came."""


def in_terminal(warm: Warm, *args: str, code: int = 0, **environment: str) -> str:
    """Run a command in a terminal of 100 columns and 24 lines; return what came, colours included."""
    ours, theirs = pty.openpty()
    settings = {"COLUMNS": "100", "LINES": "24", "TERM": "xterm-256color", **environment}
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "PAGER", "LESS")}
    warm.start(CODE, *args, folder=Path.cwd(), environment=clean | settings, streams=[theirs] * 3)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert warm.wait() == code
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")
