"""What a listing says of one object."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Entry(NamedTuple):
    """One object as a listing shows it: its key, size in bytes, and last change by the store's clock (UTC)."""

    key: str
    size: int
    modified: datetime


class Version(NamedTuple):
    """One version of an object in a bucket that keeps old ones. `latest` is the current one; a `marker` says: deleted."""

    key: str
    version: str
    size: int
    modified: datetime
    latest: bool
    marker: bool
