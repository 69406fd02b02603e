"""How far reading has come, in a file that outlives the process."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from archiver.errors import ConfigError
from archiver.health.verify.report import Problem, Report
from archiver.store import Store

SAVE_EVERY = 2_000
SAVE_BYTES = 1 << 30
SAVE_SECONDS = 30.0


class Progress:
    """Notes after which run reading is to go on; without a path it keeps nothing.

    Raises ConfigError for a path that cannot be written, or a file that is of something else.
    """

    def __init__(self, store: Store, report: Report, path: Path | None) -> None:
        self.after = ""
        self._store, self._report, self._path = store, report, path
        self._run = ""
        self._complete: tuple[str, int, int] | None = None
        self._count = 0
        if path is not None:
            _require_writable(path)
            if path.is_file():
                self._continue(path)
        self._saved, self._saved_bytes = time.monotonic(), report.bytes

    def _continue(self, path: Path) -> None:
        try:
            state = json.loads(path.read_bytes())
            url = state["url"]
            self.after = str(state["after"])
            self._report.read, self._report.bytes = int(state["read"]), int(state["bytes"])
            found = [Problem(*item) for item in state["problems"]]
        except (ValueError, KeyError, TypeError, OSError):
            raise ConfigError(f"{path} does not tell how far a verify came: name another file") from None
        if url != self._store.url:
            raise ConfigError(f"{path} is of {url}: name another file, or remove it")
        self._report.problems += found

    def passed(self, run: str) -> None:
        """Take note that reading has come to an object of a run: all objects of earlier runs were read."""
        self._count += 1
        if run == self._run:
            return
        if self._run:
            self._complete = (self._run, self._report.read, self._report.bytes)
        self._run = run
        if (
            self._count >= SAVE_EVERY
            or self._report.bytes - self._saved_bytes >= SAVE_BYTES
            or time.monotonic() - self._saved >= SAVE_SECONDS
        ):
            self.save()

    def finish(self) -> None:
        """Forget the progress: everything was read."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def interrupted(self) -> None:
        """Save what was done so far, if it can be: something else went wrong already."""
        with suppress(ConfigError):
            self.save()

    def save(self) -> None:
        """Write down how far reading has come. Raises ConfigError where the file cannot be written."""
        self._count, self._saved, self._saved_bytes = 0, time.monotonic(), self._report.bytes
        if self._path is None or self._complete is None:
            return
        run, read, amount = self._complete
        state: dict[str, Any] = {
            "url": self._store.url,
            "after": run,
            "read": read,
            "bytes": amount,
            # Those of a run that was begun are found once more: each is told once in the end.
            "problems": [astuple(problem) for problem in self._report.problems],
        }
        part = _part(self._path)
        try:
            part.write_text(json.dumps(state))
            part.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from None


def _require_writable(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file that is to hold how far reading came")
    part = _part(path)
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written ({error.strerror}): name a file in a folder that is there")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")
