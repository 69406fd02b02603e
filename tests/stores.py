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
    """A store in which someone else does something just before the n-th call.

    answers: what each call has been told, None where it changed something.
    """

    def __init__(self, inner: Store, at: int, other: Callable[[], object]) -> None:
        super().__init__(inner)
        self.workers = 1
        self.at, self.other = at, other
        self.answers: list[object] = []
        self._threads: set[int] = set()
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Return how many calls there were."""
        return len(self.answers)

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any], **_: Any) -> Iterator[Any]:
        """Call one after the other: a memory that others change can't be listed."""
        return map(fn, items)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        number = self._turn("no such key")
        data = super().get(key, start, end)
        self.answers[number] = data
        return data

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._turn(None)
        super().put(key, data, create=create)

    def open(self, key: str) -> BinaryIO:
        self.between()
        return super().open(key)

    @contextmanager
    def write(self, key: str, *, create: bool = False) -> Iterator[BinaryIO]:
        self.between()
        with super().write(key, create=create) as stream:
            yield stream

    def list(self, prefix: str = "") -> Iterator[Entry]:
        number = self._turn(None)
        found = [*super().list(prefix)]
        self.answers[number] = [*map(_told, found)]
        return iter(found)

    def stat(self, key: str) -> Entry | None:
        number = self._turn("no such key")
        found = super().stat(key)
        if found is not None:
            self.answers[number] = _told(found)
        return found

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self._turn(None)
        return super().delete(keys)

    def _turn(self, answer: object) -> int:
        with self._lock:
            self._threads.add(threading.get_ident())
            number = len(self.answers)
            self.answers.append(answer)
        if number == self.at:
            self.other()
        return number

    def told(self) -> list[object]:
        """Return the answers; of calls by several threads, which have no order, nothing is known."""
        return self.answers if len(self._threads) < 2 else [None] * self.calls

    def between(self) -> None:
        """Say that something happens that is no call: it belongs to the call before it, which then is as one that changes something."""
        if self.answers:
            self.answers[-1] = None


def _told(entry: Entry) -> tuple[str, int, int]:
    """Return what matters of an entry: to the minute, for one run of a test is some seconds after another."""
    return entry.key, entry.size, round(entry.modified.timestamp() / 60)


def interleaved(
    store: Store,
    first: Callable[[SharedStore], object],
    second: Callable[[SharedStore], object],
    at: int,
    until: int,
) -> tuple[SharedStore, SharedStore]:
    """Run two pieces of work at once: the second from the first's call `at` to its own call `until`, then the first, then the rest.

    Return what both were told. What the second raises is raised at the end.
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
        if outer.calls <= at:
            start()
    finally:
        go_on.set()
        if thread.ident is not None:
            thread.join()
    if failed:
        raise failed[0]
    return outer, inner


THINNED = [pytest.param(11, id="one in eleven"), pytest.param(1, id="each", marks=pytest.mark.slow)]
"""Before which calls somebody else acts."""
PAIRED = [pytest.param(53, id="one in 53"), pytest.param(1, id="each", marks=pytest.mark.slow)]
"""Which pairs of calls are tried; of one in 53, most calls of both are in some."""
_NEVER = 10**6


def _alike(answers: Sequence[object], others: Sequence[object], at: int) -> int:
    """Return the first call from `at` on that changed something or was told otherwise, or how many there are."""
    while at < min(len(answers), len(others)) and answers[at] is not None and answers[at] == others[at]:
        at += 1
    return at


def interleavings(
    new: Callable[[], Store],
    first: Callable[[Store], Callable[[SharedStore], object]],
    second: Callable[[Store], Callable[[SharedStore], object]],
    every: int = 1,
) -> Iterator[Any]:
    """Run two pieces of work at once, in a new store for each two calls at which they change over; yield the stores.

    Arguments:
        new: makes the store.
        first: returns a piece of work, given the store beneath; so does `second`.
        every: try one in so many pairs of calls. At 1, all pairs that differ: where a call only looks, and is told
            the same before and after what the other did in between, both meet alike before it and behind it.
    """

    def meet(at: int, until: int) -> tuple[Store, Sequence[object], Sequence[object]]:
        store = new()
        outer, inner = interleaved(store, first(store), second(store), at, until)
        return store, outer.told(), inner.told()

    store, alone, later = meet(_NEVER, _NEVER)
    yield store
    if every > 1:
        yield meet(0, _NEVER)[0]
    known: set[tuple[int, int]] = set()
    wholes: dict[int, Sequence[object]] = {}
    for at in range(len(alone)):
        if every == 1 and at not in wholes:
            store, answers, whole = meet(at, _NEVER)
            yield store
            wholes |= dict.fromkeys(range(at, _alike(answers, alone, at) + 1), whole)
        for until in range(7 * at % every, len(wholes.get(at, later)), every):
            if (at, until) in known:
                continue
            store, answers, others = meet(at, until)
            yield store
            end = _alike(others, wholes[at], until) if every == 1 else until
            known |= {
                (row, column)
                for row in range(at, _alike(answers, alone, at) + 1)
                for column in range(until, end + 1)
            }


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
