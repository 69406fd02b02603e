"""What calls over a network are held to."""

from __future__ import annotations

WORKERS = 32
"""How many calls of a store are on their way at once."""
SLOW_LINK = 256 * 1024
"""Bytes a second that a link carries at least: what a large body adds to the time for a request."""
