"""Stores whose clock can be moved or that let others act in between, and runs of any age in them."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, NamedTuple

import pytest

from archiver.errors import AccessError, StorageError
from archiver.format import layout
from archiver.format.model import Code, CodeFile, Record
from archiver.format.records import compress, decompress
from archiver.runs import write
from archiver.runs.write import Writer, add_code, draft_run
from archiver.store import Store, open_store
from archiver.store.entry import Entry, Version


class PassingStore(Store):
    """Passes every call on to another store."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.url, self.local, self.workers = inner.url, inner.local, inner.workers

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return self.inner.get(key, start, end)

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self.inner.put(key, data, create=create)

    def open(self, key: str) -> BinaryIO:
        return self.inner.open(key)

    @contextmanager
    def write(self, key: str, *, create: bool = False) -> Iterator[BinaryIO]:
        with self.inner.write(key, create=create) as stream:
            yield stream

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return self.inner.list(prefix)

    def stat(self, key: str) -> Entry | None:
        return self.inner.stat(key)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        return self.inner.delete(keys)

    def now(self) -> datetime:
        return self.inner.now()

    def leftovers(self) -> Iterator[Entry]:
        return self.inner.leftovers()

    def keeps_versions(self) -> bool | None:
        return self.inner.keeps_versions()

    def versions(self, prefix: str = "") -> Iterator[Version]:
        return self.inner.versions(prefix)

    def get_version(self, version: Version) -> bytes:
        return self.inner.get_version(version)

    def delete_versions(self, versions: Sequence[Version]) -> dict[str, StorageError]:
        return self.inner.delete_versions(versions)

    def refuse_locked(self) -> None:
        self.inner.refuse_locked()


class MovedStore(PassingStore):
    """A store whose clock, and so the times of what is written from then on, can be moved."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.ahead = timedelta()
        self._moved: dict[str, timedelta] = {}

    def move(self, **length: float) -> None:
        """Move the clock by days, hours, ..."""
        self.ahead += timedelta(**length)

    def written(self, key: str) -> timedelta:
        """Tell how far ahead the clock was when an object was written."""
        return self._moved[key]

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        super().put(key, data, create=create)
        self._moved[key] = self.ahead

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return (self._shown(entry) for entry in super().list(prefix))

    def stat(self, key: str) -> Entry | None:
        found = super().stat(key)
        return None if found is None else self._shown(found)

    def now(self) -> datetime:
        return super().now() + self.ahead

    def leftovers(self) -> Iterator[Entry]:
        return (self._shown(entry) for entry in super().leftovers())

    def _shown(self, entry: Entry) -> Entry:
        return entry._replace(modified=entry.modified + self._moved.get(entry.key, timedelta()))


class SharedStore(PassingStore):
    """A store in which someone else does something just before the n-th call."""

    def __init__(self, inner: Store, at: int, other: Callable[[], object]) -> None:
        super().__init__(inner)
        self.workers = 1
        self.at, self.other = at, other
        self.calls = 0

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any], **_: Any) -> Iterator[Any]:
        """Call one after the other: a memory that others change can't be listed."""
        return map(fn, items)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._turn()
        return super().get(key, start, end)

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._turn()
        super().put(key, data, create=create)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        self._turn()
        return iter([*super().list(prefix)])

    def stat(self, key: str) -> Entry | None:
        self._turn()
        return super().stat(key)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self._turn()
        return super().delete(keys)

    def _turn(self) -> None:
        self.calls += 1
        if self.calls - 1 == self.at:
            self.other()


def interleaved(
    store: Store, first: Callable[[Store], object], second: Callable[[Store], object], at: int, until: int
) -> tuple[bool, bool]:
    """Run two pieces of work at once: the second from the first's call `at` to its own call `until`, then the first, then the rest.

    Return whether the first made that many calls, and the second. What the second raises is raised at the end.
    """
    paused, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        paused.set()
        go_on.wait()

    inner = SharedStore(store, until, pause)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            second(inner)
        except BaseException as error:  # noqa: BLE001 - raised where the test waits for it
            failed.append(error)
        finally:
            paused.set()

    thread = threading.Thread(target=work)

    def start() -> None:
        thread.start()
        paused.wait()

    outer = SharedStore(store, at, start)
    try:
        first(outer)
    finally:
        if outer.calls <= at:
            start()
        go_on.set()
        thread.join()
    if failed:
        raise failed[0]
    return outer.calls > at, inner.calls > until


THINNED = [pytest.param(11, id="one in eleven"), pytest.param(1, id="each", marks=pytest.mark.slow)]
"""Which pairs of calls are tried; of one in eleven, nearly each call of both is in some."""


def next_pair(pair: tuple[int, int], reached: tuple[bool, bool], every: int) -> tuple[int, int] | None:
    """Return the next two calls at which to change over, one of `every` pairs, after what `interleaved` returned."""
    at, until = pair
    if not reached[0]:
        return None
    return (at, until + every) if reached[1] else (at + 1, (at + 1) % every)


class StubbornStore(PassingStore):
    """A store that refuses to delete some keys."""

    def __init__(self, inner: Store, refused: Callable[[str], bool]) -> None:
        super().__init__(inner)
        self.refused = refused

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        wanted = list(keys)
        failed = {key: AccessError(f"cannot delete {key}: denied") for key in wanted if self.refused(key)}
        return {**failed, **super().delete([key for key in wanted if key not in failed])}


def fresh_store(objects: Mapping[str, bytes] | None = None) -> Store:
    """Return a store in memory: empty, or with the objects of a snapshot, which costs less than to save them again.

    What an earlier call gave is forgotten, for every listing walks all of them.
    """
    forget_memory("fresh-")
    store = open_store(f"memory://fresh-{secrets.token_hex(8)}/archive")
    for key, data in (objects or {}).items():
        store.put(key, data)
    return store


def forget_memory(beginning: str = "") -> None:
    """Empty fsspec's one filesystem in memory, or what lies there below names that begin so."""
    from fsspec.implementations.memory import MemoryFileSystem

    for path in [path for path in MemoryFileSystem.store if path.startswith(f"/{beginning}")]:
        del MemoryFileSystem.store[path]
    MemoryFileSystem.pseudo_dirs[:] = [""]


def snapshot(store: Store) -> dict[str, bytes]:
    """Return everything a store holds."""
    return {entry.key: store.get(entry.key) for entry in store.list()}


class Frozen(NamedTuple):
    """A snapshot of a store, and the runs in it: what `fresh_store` takes again and again."""

    objects: dict[str, bytes]
    runs: Sequence[str]


def result(name: str, score: float = 1.0, *, bars: int = 0) -> dict[str, Any]:
    """Make a result with two trades; with bars, its trades' windows make a tape."""
    trades: list[dict[str, Any]] = [{"pnl": float(at), "exit": name} for at in range(2)]
    if bars:
        times = [f"2025-01-06T{at // 60:02}:{at % 60:02}:00" for at in range(bars)]
        prices = [1.0 + at / 1000 for at in range(bars)]
        for at, trade in enumerate(trades):
            begin, end = at * 5, bars - 10 + at * 5
            trade["price_history"] = {
                "timestamps": times[begin:end],
                **dict.fromkeys(("open", "high", "low", "close", "volume"), prices[begin:end]),
            }
    return {
        "strategy_name": name,
        "sharpe_ratio": score,
        "trades_detailed": trades,
        "equity_curve": [1.0, 2.0 + score],
        "drawdown_curve": [0.0, -0.5],
    }


@contextmanager
def details_in_objects() -> Iterator[None]:
    """Have details in objects of their own, as those of larger runs are, however small they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "MOST_INLINE", 0)
        yield


def of_format_3(record: bytes) -> bytes:
    """Return a record as a later version would write it."""
    return compress(re.sub(rb'^{"format":\d', b'{"format":3', decompress(record, "")))


def save(
    store: Store,
    universe: str = "u",
    *,
    days: float = 0,
    score: float = 1.0,
    tags: Sequence[str] = (),
    strategies: int = 1,
    bars: int = 0,
    code: bytes | None = None,
    detail: bool = True,
) -> Record:
    """Save a run that claims to be so many days old.

    strategies: more than some thousands have their metrics in an object of their own; bars: price windows in a tape,
    the same one for the same number; code: the content of its one captured file.
    """
    results = [result(f"s{at}", score, bars=bars if at == 0 else 0) for at in range(strategies)]
    if not detail:
        results = [{"strategy_name": "s0", "sharpe_ratio": score}]
    draft = draft_run(universe, results, top_n=1)
    draft.record = replace(draft.record, created=datetime.now(UTC) - timedelta(days=days))
    if code is not None:
        from hashlib import sha256

        digest = sha256(code).hexdigest()
        add_code(draft, Code("listed", (CodeFile("run.py", len(code), digest),)), {digest: code})
    if store.stat(layout.ARCHIVE) is None:
        store.put(layout.ARCHIVE, b'{"format": 1, "id": "0", "created": "2025-01-01T00:00:00+00:00"}')
    return Writer(store).commit(draft, tags)
