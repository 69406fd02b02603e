"""The started script as it was when archiver was imported: after an edit during a long run, nobody else knows it."""

from __future__ import annotations

import os
import stat
import sys

_LIMIT = 4 * 2**20


def _script() -> tuple[str, bytes] | None:
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        if not isinstance(name, str) or not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116  # pathlib is slow to load
            return None
        with open(name, "rb") as file:
            data = file.read(_LIMIT + 1)
    except (OSError, ValueError):
        return None
    return (os.path.abspath(name), data) if len(data) <= _LIMIT else None  # noqa: PTH100  # the same


SCRIPT = _script()
"""Path and source of the started script; None where there is no such file."""
