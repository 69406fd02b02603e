"""Every fsspec filesystem without a store of its own: memory, gcs, azure, sftp, chained URLs."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar, cast

from archiver.errors import NotFoundError, StorageError
from archiver.store.contract import TEMPORARY, Store, check_key, check_prefix, reopened, taken_error
from archiver.store.entry import Entry
from archiver.store.failures import TruncatedError, web_status
from archiver.store.filesystem import Filesystem
from archiver.store.limits import SLOW_LINK, WORKERS
from archiver.store.ranges import check_range, open_ranges, probe_clock
from archiver.store.retry import DEADLINE, FIRST_CONTACT, Retry

T = TypeVar("T")

_SPOOL = 64 << 20
_TOLD = (FileNotFoundError, PermissionError, ConnectionError, TimeoutError, EOFError)
"""What needs no second look."""
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class RemoteStore(Store):
    """A filesystem of fsspec, called verb by verb.

    Some show every object at once (flat: memory, buckets), others have folders, whose files grow in place:
    there a temporary file gets its name when it is whole. Caches of a chain serve reading only.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Any, str]],
        shown: str,
        *,
        reopen: tuple[Any, ...],
        read_only: bool = False,
        executor: Executor | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Open the place. connect: returns its filesystem and the root's path there; shown: the URL as people see it."""
        self.url = shown
        self.read_only = read_only
        self.executor = executor
        self._filesystem = Filesystem(connect, min(deadline, FIRST_CONTACT))
        self.workers = 1 if self._filesystem.alone else WORKERS
        self._flat = _lists_flat(self._fs)
        # A cache fills its files in place, and a second reader would find them half full.
        self._reading = threading.Lock() if self._filesystem.cached else nullcontext()
        self._used = False
        self._honest: bool | None = None
        root = self._filesystem.root
        self._root = root.rstrip("/") + "/" if root else ""
        self._reopen = reopen
        self._retry = Retry(shown, deadline=deadline)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, self._reopen

    @property
    def _fs(self) -> Any:
        return self._filesystem.fs

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        check_range(key, start, end)
        if end is not None and end <= start:
            if self.stat(key) is None:
                raise NotFoundError(f"{key} is not in {self.url}")
            return b""
        whole = start == 0 and end is None
        try:
            with self._reading:
                data = self._try(
                    lambda: self._whole(key) if whole else self._part(key, start, end), f"read {key}"
                )
        except NotFoundError:
            self._refuse_gone()
            raise
        self._used = True
        return data

    def _whole(self, key: str) -> bytes:
        path = self._root + key
        try:
            return bytes(self._filesystem.reader.cat_file(path))
        except _TOLD:
            raise
        except Exception as error:
            # Of a folder some only say that reading failed; who refuses is not asked again.
            if web_status(error) not in (401, 403) and self._is_folder(path):
                raise FileNotFoundError(path) from error
            raise

    def _is_folder(self, path: str) -> bool:
        try:
            return bool(self._fs.info(path).get("type") == "directory")
        except Exception:  # noqa: BLE001 - why reading failed is what counts
            return False

    def _size(self, path: str) -> int:
        info = self._fs.info(path)
        if info.get("type") == "directory":
            raise FileNotFoundError(path)
        return int(info.get("size") or 0)

    def _part(self, key: str, start: int, end: int | None) -> bytes:
        """Read a range of a filesystem that may give the whole file for it, or an error at the end of a file."""
        path = self._root + key
        data, failure = b"", None
        if self._honest is not False:
            try:
                data = bytes(self._filesystem.reader.cat_file(path, start=start, end=end))
            except _TOLD:
                raise
            except Exception as error:  # noqa: BLE001 - some say of a range beyond the end that it is invalid
                failure = error
            if self._honest and failure is None and end is not None and len(data) == end - start:
                return data
        size = self._size(path)
        stop = size if end is None else min(end, size)
        if start >= stop:
            return b""
        if failure is not None:
            raise failure
        if self._honest is not False and len(data) == stop - start:
            self._honest = True
            return data
        # It gave the whole file, or cut the answer: what it opens as a file it may read by parts.
        self._honest = False
        with self._filesystem.reader.open(path, "rb") as file:
            file.seek(start)
            data = bytes(file.read(stop - start))
        if len(data) != stop - start:
            raise TruncatedError(f"{len(data)} of {stop - start} bytes came")
        return data

    def open(self, key: str) -> BinaryIO:
        check_key(key)
        return open_ranges(self, key)

    def stat(self, key: str) -> Entry | None:
        check_key(key)
        try:
            info = self._try(lambda: self._fs.info(self._root + key), f"read {key}")
        except NotFoundError:
            self._refuse_gone()
            return None
        self._used = True
        return None if info.get("type") == "directory" else self._entry(self._root + key, info)

    # -- writing ---------------------------------------------------------------------------------------------

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        if create and self._taken(key, data):
            return
        self._publish(key, lambda path: self._fs.pipe_file(path, bytes(data)), len(data))

    def _taken(self, key: str, data: bytes) -> bool:
        """Tell whether a create meets its own earlier write; raise ConfigError when it meets another's."""
        try:
            there = self.get(key)
        except NotFoundError:
            return False
        if there != data:
            raise taken_error(key, self.url)
        return True

    @contextmanager
    def write(self, key: str, *, create: bool = False) -> Iterator[BinaryIO]:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        # Not every filesystem keeps an object hidden until it is complete: what is written waits here.
        with tempfile.TemporaryFile() as spool:
            yield cast(BinaryIO, spool)
            size = spool.seek(0, os.SEEK_END)
            if create and self.stat(key) is not None:
                raise taken_error(key, self.url)
            self._publish(key, lambda path: self._upload(cast(BinaryIO, spool), path), size)

    def _upload(self, spool: BinaryIO, path: str) -> None:
        spool.seek(0)
        data = spool.read(_SPOOL)
        if len(data) < _SPOOL:
            self._fs.pipe_file(path, data)
            return
        with self._fs.open(path, "wb") as out:
            while data:
                out.write(data)
                data = spool.read(_SPOOL)

    def _publish(self, key: str, send: Callable[[str], None], size: int) -> None:
        path = self._root + key
        self._refuse_gone()

        def whole() -> None:
            if self._flat:
                send(path)
                return
            folder = path.rpartition("/")[0]
            temporary = f"{folder}/{TEMPORARY}{secrets.token_hex(8)}"
            self._fs.makedirs(folder, exist_ok=True)
            try:
                send(temporary)
                self._fs.mv(temporary, path)
            except BaseException:
                with suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

        self._try(whole, f"write {key}", extra=size / SLOW_LINK)
        self._used = True
        self._forget(path)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        wanted = list(keys)
        self._refuse_gone()
        for key in wanted:
            check_key(key)
        failed = zip(wanted, self.map(self._delete_one, wanted), strict=True)
        return {key: error for key, error in failed if error is not None}

    def _delete_one(self, key: str) -> StorageError | None:
        try:
            self._try(lambda: self._fs.rm_file(self._root + key), f"delete {key}")
        except NotFoundError:
            pass
        except StorageError as error:
            return error
        self._forget(self._root + key)
        return None

    def _refuse_gone(self) -> None:
        """Raise StorageError where the folder of a file system with folders was there and is not: it is not made anew."""
        if self._flat or not self._used:
            return
        if not self._try(lambda: bool(self._fs.exists(self._root.rstrip("/"))), "find the folder"):
            raise StorageError(f"{self.url} was there and is gone: check the disk, or open the archive anew")

    def _forget(self, path: str) -> None:
        """Drop the copy that a cache in front may hold."""
        reader = self._filesystem.reader
        if self._filesystem.cached:
            with suppress(FileNotFoundError):
                held = reader._check_file(reader._strip_protocol(path))
                if held:
                    os.remove(held if isinstance(held, str) else held[1])  # noqa: PTH107 - a path as text

    # -- listing ---------------------------------------------------------------------------------------------

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return (entry for entry in self._below(prefix) if not _is_temporary(entry.key))

    def leftovers(self) -> Iterator[Entry]:
        return (entry for entry in self._below("") if _is_temporary(entry.key))

    def _below(self, prefix: str) -> Iterator[Entry]:
        folder = prefix.rpartition("/")[0]
        top = (self._root + folder).rstrip("/")
        try:
            found = self._try(lambda: self._find(top), f"list {prefix or 'objects'}")
        except NotFoundError as error:
            raise StorageError(f"{self.url} cannot be listed: the place it is in does not exist") from error
        entries = [self._entry(path, info) for path, info in found.items() if info.get("type") != "directory"]
        return iter(sorted(entry for entry in entries if entry.key.startswith(prefix)))

    def _find(self, top: str) -> Mapping[str, Any]:
        self._fs.invalidate_cache()
        if self._flat:
            return cast(Mapping[str, Any], self._fs.find(top, detail=True))
        # The find() that all filesystems inherit leaves out folders that it cannot read, so it is not used.
        found: dict[str, Any] = {}
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                inside = self._fs.ls(folder, detail=True)
            except FileNotFoundError:
                # Nobody wrote below this prefix, or its last object was deleted meanwhile; or all of it went.
                if self._used and not self._fs.exists(self._root):
                    raise
                continue
            for info in inside:
                kind = info.get("type")
                if kind == "directory":
                    folders.append(info["name"])
                elif kind == "link":
                    name = str(info["name"]).removeprefix(self._root)
                    raise StorageError(
                        f"{name} in {self.url} is a symbolic link: an archive holds none, remove it"
                    )
                elif kind == "file":
                    found[info["name"]] = info
                    self._used = True
        return found

    # -- the rest --------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.now(UTC) if self.read_only else probe_clock(self)

    def _entry(self, path: str, info: Mapping[str, Any]) -> Entry:
        return Entry(path.removeprefix(self._root), int(info.get("size") or 0), self._modified(path, info))

    def _modified(self, path: str, info: Mapping[str, Any]) -> datetime:
        for name in _TIMES:
            if (value := info.get(name)) is not None:
                return _aware(value)
        return _aware(self._try(lambda: _time_of(self._fs, path), f"read the time of {path}"))

    def _try(self, call: Callable[[], T], action: str, extra: float = 0.0) -> T:
        return self._retry(lambda left: self._filesystem.call(call, left), action, extra=extra)


def _time_of(fs: Any, path: str) -> Any:
    try:
        return fs.modified(path)
    except NotImplementedError:  # of a web server; what has no time must not look old
        return datetime.now(UTC)


def _lists_flat(fs: Any) -> bool:
    """Tell whether a filesystem lists all objects by itself; those that only inherit it have folders."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    inherited = (AbstractFileSystem.find, AsyncFileSystem.find, AsyncFileSystem._find, None)
    kind = type(fs)
    own = kind.find not in inherited or getattr(kind, "_find", None) not in inherited
    return own or kind.protocol == "memory"


def _is_temporary(key: str) -> bool:
    return key.rpartition("/")[2].startswith(TEMPORARY)


def _aware(value: Any) -> datetime:
    """Make aware UTC of what backends use for a time: datetime, seconds, or ISO text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return datetime.fromtimestamp(float(value), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
