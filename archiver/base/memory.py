"""Memory of a process that runs for long: what is free goes back to the system."""

from __future__ import annotations

import ctypes
import sys

_MMAP_THRESHOLD = -3
_LARGE = 1 << 20


def return_large_blocks() -> None:
    """Let every block of 1 MiB or more go back to the system as soon as it is free, where the C library is glibc.

    glibc raises this bound by itself, up to 32 MiB, to the size of what was freed last: then arrays of a million
    numbers stay with the thread that needed them for a moment, and another thread takes new ones.
    """
    if sys.platform == "linux":
        change = getattr(ctypes.CDLL(None), "mallopt", None)
        if change is not None:
            change(_MMAP_THRESHOLD, _LARGE)
