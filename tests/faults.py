"""A store that fails, or dies, at its n-th call; and ways to damage what is stored."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO, TypeVar

from archiver.errors import StorageError
from archiver.store import Store
from archiver.store.entry import Entry

T = TypeVar("T")
R = TypeVar("R")


class DiedError(BaseException):
    """The process is gone: no `except Exception` sees it, and the store does nothing any more."""


class FaultyStore(Store):
    """Passes every call on to another store, until the one that is to fail.

    counts: calls by verb; calls: all of them, in order, as (verb, key or prefix). `map` runs one call at a
    time, so that the n-th is always the same one.
    """

    def __init__(
        self,
        inner: Store,
        at: int | None = None,
        *,
        die: bool = False,
        when: str = "before",
        lasting: bool = False,
    ) -> None:
        """Fail at call number `at` (from 0; None: never).

        die: raise DiedError, then and at every later call, instead of StorageError once; when: before or
        after the effect, or midway (half the keys of a delete are gone, half of a listing was seen; else as
        before); lasting: every later call raises StorageError too.
        """
        self.inner = inner
        self.url, self.local = inner.url, inner.local
        self.read_only, self.conditional = inner.read_only, inner.conditional
        self.workers = 1
        self.at, self.die, self.when, self.lasting = at, die, when, lasting
        self.counts: Counter[str] = Counter()
        self.calls: list[tuple[str, str]] = []
        self.failed = False
        self._lock = threading.Lock()

    def _fails(self, verb: str, what: str) -> bool:
        with self._lock:
            number = len(self.calls)
            self.calls.append((verb, what))
            self.counts[verb] += 1
            if self.failed and (self.die or self.lasting):
                self._fail()
            return number == self.at

    def _fail(self) -> None:
        self.failed = True
        if self.die:
            raise DiedError
        raise StorageError(f"{self.url} failed because the test says so: try again")

    @contextmanager
    def _step(self, verb: str, what: str) -> Iterator[None]:
        fails = self._fails(verb, what)
        if fails and self.when != "after":
            self._fail()
        yield
        if fails:
            self._fail()

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        with self._step("get", key):
            return self.inner.get(key, start, end)

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        with self._step("put", key):
            self.inner.put(key, data, create=create)

    def open(self, key: str) -> BinaryIO:
        with self._step("open", key):
            return self.inner.open(key)

    @contextmanager
    def write(self, key: str, *, create: bool = False) -> Iterator[BinaryIO]:
        fails = self._fails("write", key)
        with self.inner.write(key, create=create) as stream:
            yield stream
            if fails and self.when != "after":
                self._fail()
        if fails:
            self._fail()

    def list(self, prefix: str = "") -> Iterator[Entry]:
        fails = self._fails("list", prefix)
        if fails and self.when == "before":
            self._fail()
        found = list(self.inner.list(prefix))
        if not fails:
            return iter(found)
        return self._broken(found if self.when == "after" else found[: len(found) // 2])

    def _broken(self, found: Iterable[Entry]) -> Iterator[Entry]:
        yield from found
        self._fail()

    def stat(self, key: str) -> Entry | None:
        with self._step("stat", key):
            return self.inner.stat(key)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        wanted = list(keys)
        fails = self._fails("delete", " ".join(wanted))
        if fails and self.when == "before":
            self._fail()
        half = fails and self.when == "midway"
        failed = self.inner.delete(wanted[: len(wanted) // 2] if half else wanted)
        if fails:
            self._fail()
        return failed

    def map(
        self, fn: Callable[[T], R], items: Iterable[T], *, at_once: int | None = None, small: bool = False
    ) -> Iterator[R]:
        return (fn(item) for item in items)

    def now(self) -> datetime:
        with self._step("now", ""):
            return self.inner.now()

    def leftovers(self) -> Iterator[Entry]:
        with self._step("leftovers", ""):
            return self.inner.leftovers()


def flip(store: Store, key: str, at: int | None = None, bit: int = 0) -> None:
    """Flip one bit of a stored object (default: of its middle byte)."""
    data = bytearray(store.get(key))
    data[len(data) // 2 if at is None else at] ^= 1 << bit
    store.put(key, bytes(data))


def truncate(store: Store, key: str, size: int) -> None:
    """Cut a stored object to a size in bytes."""
    store.put(key, store.get(key)[:size])
