"""The one interface to stored bytes, and the one place where keys are checked."""

from __future__ import annotations

import os
import pickle
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self, TypeVar

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.store.entry import Entry, Version

if TYPE_CHECKING:
    from archiver.store.parallel_listing import Line
    from archiver.store.s3.bucket import BucketApi
    from archiver.store.s3.classes import StorageClasses
    from archiver.store.s3.locks import ObjectLocks

T = TypeVar("T")
R = TypeVar("R")

TEMPORARY = ".archiver-tmp-"
"""Begins the name of a file that is still being written; `layout.quote` never makes such a name."""

_QUICK, _HEAD_START = 0.0005, 0.05
"""Seconds that a small read takes from a warm disk at most, and that the first ones may take more."""
_PATIENCE = 1.0
"""Seconds that an item waits for a thread of a pool before whoever waits for it does it."""
_reopened: dict[tuple[int, bytes], Any] = {}
_MOST_REOPENED = 16
_KEY = re.compile(r"(?:(?!\.\.?/)[^/\\\0]+/)*(?!\.\.?\Z)[^/\\\0]+")


def check_key(key: str) -> None:
    """Refuse a key that is not a plain relative path.

    Raises ConfigError for an empty key, an empty, `.` or `..` part, a backslash, NUL or invalid Unicode.
    """
    if _KEY.fullmatch(key) is None:
        raise ConfigError(
            f"{key!r} is no key: use relative parts between single '/', none of them '.' or '..'"
        )
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{key!r} is no key: it is not valid Unicode") from None


def _can_run(executor: Executor | None, fn: Callable[..., object]) -> bool:
    """Tell whether a function can go to where an executor runs it, which may be another process: that takes what pickles."""
    if executor is None or isinstance(executor, ThreadPoolExecutor):
        return True
    try:
        pickle.dumps(fn)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _while_quick(fn: Callable[[T], R], source: Iterator[T]) -> Iterator[R]:
    """Yield results as long as items take no longer than a warm disk: those of a network mount wait."""
    spent, left = 0.0, 0.0
    for item in source:
        began = time.perf_counter()
        result = fn(item)
        spent += time.perf_counter() - began
        left += _QUICK
        yield result
        # The first items may load libraries.
        if spent > left + _HEAD_START:
            return


def _in_order(
    executor: Executor, fn: Callable[[T], R], source: Iterator[T], ahead: int, *, own: bool = False
) -> Iterator[R]:
    """Yield results in the order of the items, of which so many are in flight.

    own: nobody else's work is in the executor: who waits for an item that has not begun does it, and at the end
    nothing of this work goes on.
    """
    # A pool whose threads all wait for calls like this one would wait for ever: one of its own threads helps.
    helps = own or threading.current_thread() in getattr(executor, "_threads", ())
    pending: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in islice(source, ahead):
            pending.append((item, executor.submit(fn, item)))
        while pending:
            item, future = pending.popleft()
            helps = helps or _is_left(executor, future)
            yield fn(item) if helps and future.cancel() else future.result()
            for item in islice(source, 1):
                pending.append((item, executor.submit(fn, item)))
    finally:
        running = [future for _, future in pending if not future.cancel()]
        if own:
            wait(running)


def _is_left(executor: Executor, future: Future[Any]) -> bool:
    """Tell whether no thread takes up an item: a pool may be full of others' work, or not yet know its newest thread."""
    if not isinstance(executor, ThreadPoolExecutor):
        return False
    wait([future], _PATIENCE)
    return not (future.done() or future.running())


def _batches(source: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(source, size)):
        yield batch


def _do_batch(fn: Callable[[T], R], workers: int, batch: list[T]) -> tuple[list[R], Exception | None]:
    """Call fn for every item by threads, where the batch was sent to; return results up to the first exception."""
    done: list[R] = []
    with ThreadPoolExecutor(min(workers, len(batch))) as pool:
        futures = [pool.submit(fn, item) for item in batch]
        try:
            for future in futures:
                done.append(future.result())  # noqa: PERF401 - what was done before an exception counts
        except Exception as error:  # noqa: BLE001 - raised again where the results are taken
            pool.shutdown(wait=False, cancel_futures=True)
            return done, error
    return done, None


def reopened(make: Callable[..., Any], *arguments: Any) -> Any:
    """Open a store that was pickled, once in a process: its connections serve all work that comes there."""
    key = os.getpid(), pickle.dumps((make, arguments))
    store = _reopened.get(key)
    if store is None:
        if len(_reopened) >= _MOST_REOPENED:
            _reopened.clear()
        store = _reopened[key] = make(*arguments)
    return store


def taken_error(key: str, url: str) -> ConfigError:
    """Return the error for a create that met other bytes."""
    return ConfigError(f"{key} exists in {url} with other content: it is never replaced")


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that no key can begin with."""
    if prefix:
        check_key(prefix.removesuffix("/"))


class _Threads(ThreadPoolExecutor):
    """Threads of one store; they end when it is closed or forgotten."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, thread_name_prefix="archiver-store")
        self.process = os.getpid()


_threads_lock = threading.Lock()
os.register_at_fork(after_in_child=_threads_lock._at_fork_reinit)  # type: ignore[attr-defined] # not in typeshed


class Store(ABC):
    """Bytes by key: everything an archive asks of the place it lives in.

    A key is a relative path of parts between `/`. A backend must offer:

    1. An object becomes visible whole or not at all; `put` and `write` return when it is durable.
    2. After `put` returns, `get`, `stat` and `list` of every client show the object (strong consistency
       by key); nothing is asked across keys: no locks, no renames, no transactions, no conditional writes.
    3. `list` shows every object below a prefix, or raises. An answer that may be partial is an error.
    4. `delete` removes exactly the keys given. Keys are never patterns.
    5. `stat`, `list` and `now` use one clock.

    All methods may be called from many threads at once. Errors are those of `archiver.errors`: an absent
    object is NotFoundError; everything the backend does wrong is a StorageError, also a missing bucket,
    which must never look like an absent object. Stores pickle, so that work can move to other processes.
    """

    url: str
    """Where the store is, as shown to people: never holds credentials."""
    local: Path | None = None
    """The folder of a store on a local disk."""
    workers: int = 8
    """How many calls at a time suit the backend."""
    read_only: bool = False
    """Whether put, write and delete are refused."""
    conditional: bool | None = None
    """Whether the store itself refuses a create that would replace other bytes; None: not known (yet)."""
    executor: Executor | None = None
    """Where `map` runs; None: its own threads."""
    _threads: _Threads | None = None
    look_ahead: ClassVar[int] = 2
    """`map` keeps at most this many times `workers` items in flight."""

    @abstractmethod
    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Read an object, or the bytes from start to before end (clipped to its size).

        Raises NotFoundError when there is none.
        """

    @abstractmethod
    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        """Write an object, whole or not at all, durable on return.

        create: refuse to replace other bytes where the store can tell; own bytes met again are success.
        Raises ConfigError when it refuses.
        """

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """Open an object for reading: seekable, fetched by ranges.

        Raises NotFoundError when there is none.
        """

    @abstractmethod
    def write(self, key: str, *, create: bool = False) -> AbstractContextManager[BinaryIO]:
        """Stream a large object: it becomes visible at a clean exit; on an exception nothing stays.

        create: refuse, at the exit, to replace what has the key by then, where the store can tell. Raises
        ConfigError when it refuses.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield every object whose key begins with the prefix, sorted by key.

        Raises StorageError when the listing may not be complete; a missing bucket or folder is not empty.
        """

    def list_many(self, prefix: str, line: Line) -> Iterator[Entry]:  # noqa: ARG002 - for stores where it helps
        """Yield what `list` does, for who takes it all: of very many objects parts at once, where that is faster.

        line: where keys lie between others.
        """
        return self.list(prefix)

    @abstractmethod
    def stat(self, key: str) -> Entry | None:
        """Tell an object's size and time of last change, or None when there is none."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        """Delete exactly these objects, in batches; absent ones are fine. Return what failed, and why."""

    @abstractmethod
    def now(self) -> datetime:
        """Read the store's own clock (aware UTC), the one that `stat` and `list` show."""

    def bucket_api(self) -> BucketApi | None:
        """Return what the server does for a bucket as a whole, or None for what is no bucket of S3."""
        return None

    def undurable(self) -> Sequence[str]:
        """Say what the place does not do that keeps the last writes through a loss of power; nothing where it does."""
        return ()

    def storage_classes(self) -> StorageClasses | None:
        """Return the storage classes of the store's objects, or None for what is no bucket of S3."""
        return None

    def object_locks(self) -> ObjectLocks | None:
        """Return the locks of the store's objects, or None for what is no bucket of S3."""
        return None

    @property
    def details(self) -> Store:
        """The same store, writing objects of the storage class that details are to have."""
        return self

    def written_as(self, storage_class: str) -> Store:
        """Return the same store, writing objects of another storage class. Raises ConfigError where there are none."""
        raise ConfigError(f"{self.url} has no storage classes, so not {storage_class}: only buckets of S3 do")

    def close(self) -> None:
        """Close connections and end threads, when no call runs any more; a later call opens new ones."""
        with _threads_lock:
            pool, self._threads = self._threads, None
        if pool is not None and pool.process == os.getpid():
            pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _pool(self) -> _Threads:
        """Return the threads of `map`; those of a process that was forked stayed with its parent."""
        with _threads_lock:
            if self._threads is None or self._threads.process != os.getpid():
                self._threads = _Threads(self.workers)
            return self._threads

    def keeps_versions(self) -> bool | None:
        """Tell whether the store keeps old versions of what is replaced or deleted; None: not known."""
        return False if self.local is not None else None

    def versions(self, prefix: str = "") -> Iterator[Version]:
        """Yield every version of every object below a prefix, delete markers among them; none where none are kept."""
        check_prefix(prefix)
        return iter(())

    def get_version(self, version: Version) -> bytes:
        """Read an object as it was in a version that `versions` told of. Raises NotFoundError when that is gone."""
        raise NotFoundError(f"{self.url} keeps no version of {version.key}")

    def delete_versions(self, versions: Sequence[Version]) -> dict[str, StorageError]:  # noqa: ARG002 - there are none
        """Delete exactly these versions. Return what failed, and why, by key."""
        raise StorageError(f"{self.url} keeps no versions that could be deleted")

    def refuse_locked(self) -> None:  # noqa: B027 - most stores have no locks
        """Raise PolicyError where old versions are under Object Lock, StorageError where that cannot be known."""

    def leftovers(self) -> Iterator[Entry]:
        """Yield what writers that died left behind and `list` does not show; `delete` takes these keys."""
        return iter(())

    def map(
        self, fn: Callable[[T], R], items: Iterable[T], *, at_once: int | None = None, small: bool = False
    ) -> Iterator[R]:
        """Call fn for every item, at most `workers` at a time; yield the results in the items' order.

        at_once: fewer than `workers`, for work that takes much memory or mostly a processor. small: each item is
        a small read; on a disk that answers at once they are done one by one, for threads would only wait for
        each other.

        Takes items as results are consumed, so a million of them are not queued. The first exception is
        raised in its place; what had not begun by then never does. An executor that may be of other processes or
        machines gets small work in batches, each done by threads where it arrives.
        """
        workers = self.workers if at_once is None else min(at_once, self.workers)
        ahead = workers * self.look_ahead
        executor = self.executor if _can_run(self.executor, fn) else None
        source = iter(items)
        if small and self.local is not None and executor is None:
            yield from _while_quick(fn, source)
        if executor is None:
            ahead = ahead if at_once is None else workers
            yield from _in_order(self._pool(), fn, source, ahead, own=True)
        elif isinstance(executor, ThreadPoolExecutor) or at_once is not None:
            yield from _in_order(executor, fn, source, ahead)
        else:
            batches = _batches(source, ahead)
            for done, error in _in_order(executor, partial(_do_batch, fn, workers), batches, workers):
                yield from done
                if error is not None:
                    raise error

    def refuse_when_read_only(self, action: str) -> None:
        """Raise AccessError when this store was opened read-only."""
        if self.read_only:
            raise AccessError(f"{self.url} was opened read-only: cannot {action}")
