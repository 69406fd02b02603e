"""Waits between attempts, in no time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from archiver.store.retry import Retry


class Skipping(threading.local):
    """A clock that is put on by what would have been slept: each thread has its own, for each makes its own attempts."""

    skipped = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


_OWN = Retry.__init__.__kwdefaults__
_USUAL = {"clock": time.monotonic, "sleep": time.sleep}


@contextmanager
def skipped() -> Iterator[None]:
    """Have the retry layer go on at once; its deadlines end after as many attempts as if it had waited."""
    assert _USUAL.items() <= _OWN.items(), "what is replaced is what users get"
    clock = Skipping()
    with _with({"clock": clock, "sleep": clock.sleep}):
        yield


@contextmanager
def real() -> Iterator[None]:
    """Have it wait again."""
    with _with(_USUAL):
        yield


@contextmanager
def _with(defaults: Mapping[str, Any]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in defaults.items():
            patch.setitem(_OWN, name, value)
        yield
