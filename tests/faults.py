"""A store that fails, or dies, at its n-th call; every way to do so; and ways to damage what is stored."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, BinaryIO, TypeVar

import pytest

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


_CHANGE = frozenset({"put", "write", "delete"})
_AT: dict[tuple[bool, str], frozenset[str] | None] = {
    (False, "before"): None,
    (False, "midway"): frozenset({"list", "delete"}),
    (False, "after"): _CHANGE,
    (True, "before"): _CHANGE,
    (True, "midway"): frozenset({"delete"}),
}
"""The calls at which it matters to fail in a way; None: all.

Who dies leaves what was changed until then: to die at a call that only looks, or after one that changes something, is
to die before the next that does. What looks returns nothing, whether it fails before or after it looked; and but for
listings and deletions, nothing is ever half done.
"""
FAULT = pytest.mark.parametrize(
    ("die", "when"), _AT, ids=[f"{'dies' if die else 'raises'}-{when}" for die, when in _AT]
)
DEATH = pytest.mark.parametrize("when", ["before", "midway"])
CALLS = pytest.mark.parametrize(
    "every", [pytest.param(5, id="one in five"), pytest.param(1, id="each", marks=pytest.mark.slow)]
)
"""Which of these calls are tried; the ways to fail begin at different ones."""


def failing(
    new: Callable[[], Store],
    act: Callable[[Store], object],
    *,
    die: bool = True,
    when: str = "before",
    every: int = 1,
) -> Iterator[tuple[Any, bool]]:
    """Have a piece of work fail at its calls in turn, in a new store each, at last at none; yield the store and whether it did."""
    whole = FaultyStore(new())
    act(whole)
    verbs = _AT[die, when]
    points = [at for at, (verb, _) in enumerate(whole.calls) if verbs is None or verb in verbs]
    begin = list(_AT).index((die, when)) % every
    for at in (*(points[begin::every] or points[-1:]), None):
        store = new()
        faulty = FaultyStore(store, at, die=die, when=when)
        with suppress(StorageError, DiedError):
            act(faulty)
        assert faulty.failed or at is None
        yield store, faulty.failed


def flip(store: Store, key: str, at: int | None = None, bit: int = 0) -> None:
    """Flip one bit of a stored object (default: of its middle byte)."""
    data = bytearray(store.get(key))
    data[len(data) // 2 if at is None else at] ^= 1 << bit
    store.put(key, bytes(data))


def truncate(store: Store, key: str, size: int) -> None:
    """Cut a stored object to a size in bytes."""
    store.put(key, store.get(key)[:size])
