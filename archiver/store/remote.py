"""Every fsspec filesystem without a store of its own: memory, gcs, azure, sftp, chained URLs."""

from __future__ import annotations

import io
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar, cast

from archiver.errors import ConfigError, NotFoundError, StorageError
from archiver.model import Entry
from archiver.store.contract import Store, check_key, check_prefix
from archiver.store.retry import BUDGET, Retry

T = TypeVar("T")

_WORKERS = 32
_READ_AHEAD = 1 << 16
_SPOOL = 64 << 20
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class RemoteStore(Store):
    """A filesystem of fsspec, called verb by verb."""

    def __init__(
        self,
        fs: Any,
        root: str,
        shown: str,
        *,
        reopen: tuple[Any, ...],
        read_only: bool = False,
        executor: Executor | None = None,
        budget: float = BUDGET,
    ) -> None:
        """Take the filesystem, the path of the root in it, and the URL as shown to people."""
        self.url = shown
        self.workers = _WORKERS
        self.read_only = read_only
        self.executor = executor
        self._fs = fs
        self._root = root.rstrip("/") + "/" if root else ""
        self._reopen = reopen
        self._retry = Retry(shown, budget=budget)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reopen

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        check_range(key, start, end)
        whole = start == 0 and end is None
        return self._try(
            lambda: bytes(
                self._fs.cat_file(self._root + key, **({} if whole else {"start": start, "end": end}))
            ),
            f"read {key}",
        )

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        if create and self._taken(key, data):
            return
        self._try(lambda: self._fs.pipe_file(self._root + key, bytes(data)), f"write {key}")

    def _taken(self, key: str, data: bytes) -> bool:
        """Tell whether a create meets its own earlier write; raise ConfigError when it meets another's."""
        try:
            there = self.get(key)
        except NotFoundError:
            return False
        if there != data:
            raise ConfigError(f"{key} exists in {self.url} with other content: it is never replaced")
        return True

    def open(self, key: str) -> BinaryIO:
        return open_ranges(self, key)

    @contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        # Some filesystems show an object before it is complete: what is written waits here until it is.
        with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            self._try(lambda: self._upload(spool, key), f"write {key}", extra=3600.0)

    def _upload(self, spool: Any, key: str) -> None:
        spool.seek(0)
        if not getattr(spool, "_rolled", True):
            self._fs.pipe_file(self._root + key, spool.read())
            return
        with self._fs.open(self._root + key, "wb") as out:
            while chunk := spool.read(_SPOOL):
                out.write(chunk)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        folder = prefix.rpartition("/")[0]
        found = self._try(lambda: self._find(folder), f"list {prefix or 'everything'}")
        entries = [self._entry(path, info) for path, info in found.items() if info.get("type") != "directory"]
        return iter(sorted(entry for entry in entries if entry.key.startswith(prefix)))

    def _find(self, folder: str) -> Mapping[str, Any]:
        self._fs.invalidate_cache()
        return cast(Mapping[str, Any], self._fs.find((self._root + folder).rstrip("/"), detail=True))

    def stat(self, key: str) -> Entry | None:
        check_key(key)
        try:
            info = self._try(lambda: self._fs.info(self._root + key), f"read {key}")
        except NotFoundError:
            return None
        return None if info.get("type") == "directory" else self._entry(self._root + key, info)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        wanted = list(keys)
        for key in wanted:
            check_key(key)
        failed = zip(wanted, self.map(self._delete_one, wanted), strict=True)
        return {key: error for key, error in failed if error is not None}

    def _delete_one(self, key: str) -> StorageError | None:
        try:
            self._try(lambda: self._fs.rm_file(self._root + key), f"delete {key}")
        except NotFoundError:
            return None
        except StorageError as error:
            return error
        return None

    def now(self) -> datetime:
        if self.read_only:
            return datetime.now(UTC)
        return probe_clock(self)

    def _entry(self, path: str, info: Mapping[str, Any]) -> Entry:
        key = path.removeprefix(self._root)
        return Entry(key, int(info.get("size") or 0), self._modified(path, info))

    def _modified(self, path: str, info: Mapping[str, Any]) -> datetime:
        for name in _TIMES:
            if (value := info.get(name)) is not None:
                return _aware(value)
        return _aware(self._try(lambda: self._fs.modified(path), f"read the time of {path}"))

    def _try(self, call: Callable[[], T], action: str, extra: float = 0.0) -> T:
        return self._retry(lambda _left: call(), action, extra=extra)


def check_range(key: str, start: int, end: int | None) -> None:
    """Refuse a range that does not count from the object's beginning."""
    if start < 0 or (end is not None and end < 0):
        raise ConfigError(f"range {start}:{end} of {key}: offsets count from 0")


def probe_clock(store: Store) -> datetime:
    """Read a store's clock from an object written for that purpose, and delete it."""
    probe = f"trash/probe-{secrets.token_hex(8)}"
    store.put(probe, b"archiver")
    try:
        found = store.stat(probe)
    finally:
        store.delete([probe])
    if found is None:
        raise StorageError(
            f"{store.url} does not show an object right after it was written: it cannot hold an archive"
        )
    return found.modified


def open_ranges(store: Store, key: str) -> BinaryIO:
    """Open an object of any store as a file that fetches what is read."""
    found = store.stat(key)
    if found is None:
        raise NotFoundError(f"{key} is not in {store.url}")
    return cast(BinaryIO, _Ranges(store, key, found.size))


class _Ranges(io.RawIOBase):
    """A read-only file over `get`: one request a read, with some read ahead for small ones."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        self._store, self._key, self._size = store, key, size
        self._at = 0
        self._block, self._block_at = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("seek before the beginning")
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if stop <= self._at:
            return b""
        begin = self._at - self._block_at
        if not (begin >= 0 and stop <= self._block_at + len(self._block)):
            self._block = self._store.get(
                self._key, self._at, max(stop, min(self._at + _READ_AHEAD, self._size))
            )
            self._block_at, begin = self._at, 0
        data = self._block[begin : begin + stop - self._at]
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        return self.read(-1)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _aware(value: Any) -> datetime:
    """Make aware UTC of what backends use for a time: datetime, seconds, or ISO text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return datetime.fromtimestamp(float(value), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
