"""What a run's id looks like: the UTC second of its save, and 32 random bits in hex."""

from __future__ import annotations

import re

RUN_ID = r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}"
_WHOLE = re.compile(RUN_ID)


def is_run_id(text: str) -> bool:
    """Tell whether a text has the shape of a run id."""
    return _WHOLE.fullmatch(text) is not None
