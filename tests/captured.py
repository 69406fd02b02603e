"""Runs a user's program in a process of its own and returns what it captured there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARGUMENTS = "ARGUMENTS"
SHOW = (
    "import dataclasses, json, sys; from archiver.capture import capture; c = capture(ARGUMENTS); "
    "print('CODE=' + json.dumps([dataclasses.asdict(c.code), "
    "{k: v.decode('latin-1') for k, v in c.blobs.items()}]), flush=True)"
)


def show(arguments: str = "") -> str:
    """One line of Python that captures and prints what it captured."""
    return SHOW.replace(ARGUMENTS, arguments)


@dataclass
class Shown:
    """What one capture printed."""

    code: dict[str, Any]
    blobs: dict[str, bytes]
    said: str

    @property
    def files(self) -> dict[str, bytes]:
        return {file["path"]: self.blobs[file["sha256"]] for file in self.code["files"]}

    @property
    def context(self) -> str:
        return self.code["provenance"]["context"]

    @property
    def entry(self) -> str | None:
        return self.code["provenance"].get("entry")

    @property
    def root(self) -> str:
        head = next(text for text in self.code["texts"] if text["path"] == "environment")
        lines = self.blobs[head["sha256"]].decode().splitlines()
        return next(line.removeprefix("# root: ") for line in lines if line.startswith("# root: "))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def environment(**more: str) -> dict[str, str]:
    # What the test run itself was started with must not look like the program's own circumstances.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "JPY_", "GIT_"))
    }
    kept.pop("PYTHONPATH", None)
    # Bytecode of a module that was edited within the second, and is as long as before, passes for that of the new one.
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    return {**kept, **more}


def parse(output: str, said: str = "") -> list[Shown]:
    found = []
    for line in output.splitlines():
        at = line.find("CODE=[")
        if at >= 0:
            code, blobs = json.JSONDecoder().raw_decode(line[at + 5 :])[0]
            found.append(
                Shown(code, {sha256: text.encode("latin-1") for sha256, text in blobs.items()}, said)
            )
    return found


def run_all(
    *words: str | Path, cwd: Path, stdin: str | None = None, python: str = sys.executable, **env: str
) -> list[Shown]:
    done = subprocess.run(
        [python, *map(str, words)],
        cwd=cwd,
        env=environment(**env),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return parse(done.stdout, done.stderr)


def run(
    *words: str | Path, cwd: Path, stdin: str | None = None, python: str = sys.executable, **env: str
) -> Shown:
    (shown,) = run_all(*words, cwd=cwd, stdin=stdin, python=python, **env)
    return shown
