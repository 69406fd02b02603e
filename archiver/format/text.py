"""JSON text that loses nothing: NaN, infinities, -0.0, big ints and lone surrogates come back as they were.

Numbers are what Python's `json` writes: `NaN`, `Infinity` and `-Infinity` stand for themselves, floats are the
shortest text that gives the same bits back. Everything but ASCII is escaped, so any text is valid UTF-8.
"""

from __future__ import annotations

import json
from typing import Any

from archiver.errors import ConfigError

PLAIN = frozenset({str, int, float, bool, type(None)})
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def dumps(value: Any) -> str:
    """Write plain data (see `values.plain`) as text."""
    try:
        return _encode(value)
    except ValueError as error:
        raise ConfigError(f"a number is too long to be kept: {error}") from None


def loads(text: str) -> Any:
    """Read back what `dumps` wrote."""
    return json.loads(text)
