"""Where old results are read from: a folder, one file, or any URL. Nothing is ever written there."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from archiver.base.address import is_local
from archiver.errors import ConfigError, IntegrityError, NotFoundError, StorageError
from archiver.store import Store, local_path, open_store
from archiver.store.entry import Entry

SIDECAR = "_metadata.json"
_BLOCK = 1 << 20
_SUFFIXES = (".json", ".parquet", ".zip", ".fthypt")
RUN_FOLDER = re.compile(r"\d{8}_\d{6}(?:_\d{1,6})?(?:[_-].*)?")
"""Name of the folder of an optimiser's run."""


class Source(ABC):
    """A tree of files by key, read only; `name` is the last part of its path, `url` is how people see it."""

    url: str
    name: str
    passed_over: list[tuple[str, str]]
    """(key, why) of what was seen and is not read: links to folders, sockets."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Return every file, sorted by key. Raises NotFoundError when there is nothing of that name."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Open a file. Raises NotFoundError, IntegrityError for a file that may not be read, StorageError."""

    def read(self, key: str, most: int | None = None) -> bytes:
        """Return a file's bytes, or its first ones."""
        with self.open(key) as file:
            return file.read() if most is None else file.read(most)

    def sha256(self, key: str) -> str:
        """Return the sha256 of a file, read block by block."""
        digest = hashlib.sha256()
        with self.open(key) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


class FolderSource(Source):
    """A local folder. Unlike an archive it may hold links: those to files are read.

    Arguments:
        folder: where.
        only: names of files to which it is limited.
        within: names of the only folders that are entered; None: all.
        under: the one folder in it that is read.
    """

    def __init__(
        self, folder: Path, only: tuple[str, ...] = (), within: tuple[str, ...] | None = None, under: str = ""
    ) -> None:
        self.url = str(folder / (only[0] if only else under))
        self.name = folder.name
        self.passed_over = []
        self._folder = folder
        self._only = only
        self._within = within
        self._under = under

    def entries(self) -> list[Entry]:  # noqa: D102  # Source says it
        if self._only:
            names = [name for name in self._only if (self._folder / name).is_file()]
            return sorted(self._entry(name, (self._folder / name).stat()) for name in names)
        found = []
        for folder, folders, files in os.walk(self._folder / self._under, onerror=_raise):
            for name in folders:
                if (Path(folder) / name).is_symlink():
                    self.passed_over.append((self._key(folder, name), "a link to a folder"))
            if self._within is not None:
                folders[:] = [name for name in folders if name in self._within]
            for name in files:
                entry = self._of_file(folder, name)
                if entry is not None:
                    found.append(entry)
        return sorted(found)

    def _of_file(self, folder: str, name: str) -> Entry | None:
        key = self._key(folder, name)
        try:
            seen = (Path(folder) / name).stat()
        except OSError as error:
            self.passed_over.append((key, error.strerror or "cannot be read"))
            return None
        if not stat.S_ISREG(seen.st_mode):
            self.passed_over.append((key, "not a regular file"))
            return None
        return self._entry(key, seen)

    def _key(self, folder: str, name: str) -> str:
        return (Path(folder) / name).relative_to(self._folder).as_posix()

    def _entry(self, key: str, seen: os.stat_result) -> Entry:
        return Entry(key, seen.st_size, datetime.fromtimestamp(seen.st_mtime, UTC))

    def open(self, key: str) -> BinaryIO:  # noqa: D102  # Source says it
        try:
            return (self._folder / key).open("rb")
        except FileNotFoundError:
            raise NotFoundError(f"{key} is not in {self.url}") from None
        except OSError as error:
            raise IntegrityError(f"{key} cannot be read: {error.strerror}") from None


class StoreSource(Source):
    """Any other place that a store reads."""

    def __init__(
        self, store: Store, only: tuple[str, ...] = (), under: str = ""
    ) -> None:  # the class says it
        self.url = f"{store.url}/{only[0] if only else under}".rstrip("/")
        self.name = store.url.rstrip("/").rpartition("/")[2]
        self.passed_over = []
        self._store = store
        self._only = only
        self._under = under and f"{under}/"

    def entries(self) -> list[Entry]:  # noqa: D102  # Source says it
        if self._only:
            return [entry for name in self._only if (entry := self._store.stat(name)) is not None]
        return list(self._store.list(self._under))

    def open(self, key: str) -> BinaryIO:  # noqa: D102  # Source says it
        return self._store.open(key)


def open_source(url: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Source:
    """Open a folder, one file (`.json`, `.parquet`; its sidecar comes along), or the same at a URL.

    Raises ConfigError when there is no such place.
    """
    text = os.fspath(url)
    if is_local(text):
        try:
            return _local_source(Path(local_path(text)).expanduser().absolute(), text)
        except OSError as error:
            raise ConfigError(f"nothing to import at {text}: {error.strerror}") from None
    parent, _, name = text.rstrip("/").rpartition("/")
    file, run = name.endswith(_SUFFIXES), RUN_FOLDER.fullmatch(name)
    store = open_store(parent if file or run else text, storage_options=storage_options, read_only=True)
    if file:
        return StoreSource(store, _with_sidecar(name))
    return StoreSource(store, under=name if run else "")


def _local_source(path: Path, text: str) -> Source:
    if path.is_dir() and RUN_FOLDER.fullmatch(path.name):
        return FolderSource(path.parent, under=path.name)  # its name is the run's time
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and path.name.endswith(".tar.zst"):
        raise ConfigError(f"{text} is a bundle: `archiver bundle restore {text}` brings its runs back")
    if path.is_file():
        return FolderSource(path.parent, _with_sidecar(path.name))
    raise ConfigError(f"nothing to import at {text}: no such file or folder")


def sidecars(key: str) -> tuple[str, str]:
    """Return the names that the facts of a Parquet file may stand under."""
    stem = key.removesuffix(".parquet")
    return f"{stem}{SIDECAR}", f"{stem.removesuffix('_backtest')}{SIDECAR}"


def _with_sidecar(name: str) -> tuple[str, ...]:
    return (name, *dict.fromkeys(sidecars(name))) if name.endswith(".parquet") else (name,)


def _raise(error: OSError) -> Iterator[None]:
    raise StorageError(f"{error.filename} cannot be listed: {error.strerror}")
