"""What stores without files of their own share: reading by ranges, and reading the clock."""

from __future__ import annotations

import io
import secrets
from datetime import datetime
from typing import Any, BinaryIO, cast

from archiver.errors import ConfigError, NotFoundError, StorageError
from archiver.store.contract import Store

_READ_AHEAD = 1 << 16


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
