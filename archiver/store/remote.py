"""Every fsspec filesystem without a store of its own: memory, gcs, azure, sftp, chained URLs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar, cast

from archiver.errors import ConfigError, NotFoundError, StorageError
from archiver.model import Entry
from archiver.store.contract import Store, check_key, check_prefix
from archiver.store.ranges import check_range, open_ranges, probe_clock
from archiver.store.retry import DEADLINE, Retry

T = TypeVar("T")

_WORKERS = 32
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
        deadline: float = DEADLINE,
    ) -> None:
        """Take the filesystem, the path of the root in it, and the URL as shown to people."""
        self.url = shown
        self.workers = _WORKERS
        self.read_only = read_only
        self.executor = executor
        self._fs = fs
        self._root = root.rstrip("/") + "/" if root else ""
        self._reopen = reopen
        self._retry = Retry(shown, deadline=deadline)

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


def _aware(value: Any) -> datetime:
    """Make aware UTC of what backends use for a time: datetime, seconds, or ISO text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return datetime.fromtimestamp(float(value), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
