"""Rows waiting on disk until their universe's turn comes, so that memory holds one universe at a time."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import zstandard

from archiver.errors import StorageError
from archiver.format.text import dumps, loads

_HELD = 1 << 20


class Spool:
    """Lists of plain values by name, in compressed temporary files; a context manager that removes them."""

    def __init__(self) -> None:  # the class says it
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._numbers: dict[str, int] = {}
        self._held: dict[str, list[str]] = {}
        self._bytes: dict[str, int] = {}
        self._digests: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        """How many values each name has."""

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, name: str, value: Any) -> None:
        """Append a value to the list of that name."""
        line = dumps(value)
        if name not in self._numbers:
            self._numbers[name] = len(self._numbers)
            self._digests[name] = hashlib.sha256()
        self.counts[name] = self.counts.get(name, 0) + 1
        self._held.setdefault(name, []).append(line)
        self._bytes[name] = self._bytes.get(name, 0) + len(line)
        if self._bytes[name] >= _HELD:
            self._flush(name)

    def names(self) -> list[str]:
        """Return the names, in the order in which they came first."""
        return list(self._numbers)

    def digest(self, name: str) -> str:
        """Return the sha256 of a list's values."""
        self._flush(name)
        return str(self._digests[name].hexdigest())

    def values(self, name: str) -> Iterator[Any]:
        """Yield a list's values in order."""
        self._flush(name)
        with self._path(name).open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            for line in io.TextIOWrapper(reader, encoding="ascii"):
                yield loads(line)

    def _flush(self, name: str) -> None:
        lines = self._held.pop(name, [])
        self._bytes[name] = 0
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        self._digests[name].update(data)
        try:
            with self._path(name).open("ab") as file:
                file.write(zstandard.ZstdCompressor(level=1).compress(data))
        except OSError as error:
            where = tempfile.gettempdir()
            raise StorageError(
                f"cannot write to {where}: {error.strerror}; set TMPDIR to a folder with space"
            ) from None

    def _path(self, name: str) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="archiver-import-")
        return Path(self._folder.name) / f"{self._numbers[name]}.zst"
