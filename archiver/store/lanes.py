"""Calls that may never return, made so that whoever waits for them goes on in time."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_IDLE = 10.0
"""Seconds after which a thread without work ends."""


class Lanes:
    """Threads that make one call at a time each; they end when nobody has needed them for a while.

    A thread whose call is overdue is left behind with it: nothing can stop a call, and the process does not wait for
    it when it ends.
    """

    def __init__(self) -> None:
        """Begin without threads."""
        self._idle: list[_Lane] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """Make the call in another thread and return what it does. Raises TimeoutError when it takes longer."""
        job = _Job(call)
        with self._lock:
            if self._process != os.getpid():  # threads do not follow into a child process
                self._process, self._idle = os.getpid(), []
            lane = self._idle.pop() if self._idle else None
        if lane is None:
            lane = _Lane(self)
        lane.jobs.put(job)
        if not job.done.wait(seconds):
            raise TimeoutError(f"no answer within {seconds:.0f} s")
        return job.result()

    def rest(self, lane: _Lane) -> None:
        """Take a thread whose call has returned."""
        with self._lock:
            self._idle.append(lane)

    def leave(self, lane: _Lane) -> bool:
        """Let a thread end, unless it has just been given work."""
        with self._lock:
            if lane not in self._idle:
                return False
            self._idle.remove(lane)
            return True


class _Job(Generic[T]):
    """A call, and what came of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call
        self.done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def make(self) -> None:
        try:
            self._value = self.call()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback would hold this frame, and so on in a circle
        value: T = self._value
        return value


class _Lane:
    """One thread and the queue it takes its work from."""

    def __init__(self, lanes: Lanes) -> None:
        self.jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(lanes,), daemon=True, name="archiver-lane").start()

    def _work(self, lanes: Lanes) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=_IDLE)
            except queue.Empty:
                if lanes.leave(self):
                    return
                continue
            job.make()
            lanes.rest(self)
            job.done.set()
            del job
