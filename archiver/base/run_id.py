"""What a run's id looks like: the UTC second of its save, and 32 random bits in hex."""

from __future__ import annotations

import re
from collections.abc import Collection

SECOND = "%Y%m%dT%H%M%SZ"
"""How an id begins: the moment of the save as `strftime` writes it."""
RUN_ID = r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
_WHOLE = re.compile(RUN_ID)


def is_run_id(text: str) -> bool:
    """Tell whether a text has the shape of a run id."""
    return _WHOLE.fullmatch(text) is not None


def common_beginning(runs: Collection[str]) -> str:
    """Return what all of these ids, one at least, begin with."""
    least, greatest = min(runs), max(runs)
    same = (at for at, (one, other) in enumerate(zip(least, greatest, strict=False)) if one != other)
    return least[: next(same, len(least))]
