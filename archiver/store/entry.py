"""What a listing says of one object."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Entry(NamedTuple):
    """One object as a listing shows it: its key, size in bytes, and last change by the store's clock (UTC)."""

    key: str
    size: int
    modified: datetime
