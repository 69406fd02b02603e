"""A pause of the garbage collector while many objects live: it would walk all of the caller's data, again and again."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_holders = 0
_was_enabled = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """Switch cyclic garbage collection off for the block; it comes back as it was when the last such block ends."""
    global _holders, _was_enabled  # noqa: PLW0603 - the collector is one for the process, and so is this state
    with _lock:
        if _holders == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0 and _was_enabled:
                gc.enable()
