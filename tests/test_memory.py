"""Memory that is free goes back to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys
from archiver.base.memory import return_large_blocks

malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def held():
    fields = open("/proc/self/statm").read().split()
    return int(fields[0]) * 4096

def churn():
    "Free a large block, so that glibc keeps those that are smaller; then take some, and free all but the last."
    free(malloc(30 << 20))
    blocks = [malloc(8 << 20) for _ in range(16)]
    before = held()
    for block in blocks[:-1]:
        free(block)
    return before - held()

if sys.argv[1] == "with":
    return_large_blocks()
print(churn())
"""


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/statm").exists(), reason="about glibc")
@pytest.mark.parametrize("way", ["with", "without"])
def test_large_blocks_go_back_at_once(way: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
    assert (int(done.stdout) >= 15 * (8 << 20)) == (way == "with")
