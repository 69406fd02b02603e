"""JSON text that loses nothing: NaN, infinities, -0.0, big ints and lone surrogates come back as they were.

Numbers are what Python's `json` writes: `NaN`, `Infinity` and `-Infinity` stand for themselves, floats are the
shortest text that gives the same bits back. Everything but ASCII is escaped, so any text is valid UTF-8.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from archiver.errors import ConfigError

_TEXT = {str}
_LEVELS = 20
"""How deep values are nested at most where they are written the fast way: whoever takes more care counts for itself."""
PLAIN = frozenset({str, int, float, bool, type(None)})
_SHAPE = bytes(48 if 48 <= byte < 58 else 46 if byte == 46 else 32 for byte in range(256))
_LONG = b" " + b"0" * 19
"""An int of 19 digits or more, where digits are written as 0 and all but the point as a blank."""
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def dumps(value: Any) -> str:
    """Write plain data (see `values.plain`) as text."""
    try:
        return _encode(value)
    except ValueError as error:
        raise ConfigError(f"a number is too long to be kept: {error}") from None


def compact(value: Any) -> str | None:
    """Write lists and dicts of plain data ten times as fast as `dumps`; None for what needs its care or is not plain.

    Texts that are no ASCII stand as they are, and floats may be written otherwise (`1e16`): `loads` gives the same.
    """
    if not _is_plain(value):
        return None
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError):  # an int of more than 64 bits, a text that is no Unicode
        return None
    # orjson makes null of NaN and infinities.
    return text if "null" not in text or _is_finite(value) else None


def _is_plain(value: Any, levels: int = _LEVELS) -> bool:
    kind = type(value)
    if kind is not dict and kind is not list:
        return kind in PLAIN
    if not levels or (kind is dict and not set(map(type, value)) <= _TEXT):
        return False
    inner = value.values() if kind is dict else value
    return set(map(type, inner)) <= PLAIN or all(_is_plain(one, levels - 1) for one in inner)


def _is_finite(value: Any) -> bool:
    kind = type(value)
    if kind is dict or kind is list:
        return all(map(_is_finite, value.values() if kind is dict else value))
    return kind is not float or value - value == 0.0


def parse(data: bytes) -> Any:
    """Parse JSON bytes as `loads` does, faster where it is safe: NaN, long ints and odd texts are Python's own to read.

    Raises ValueError or RecursionError for what is no JSON.
    """
    if _LONG not in b" " + data.translate(_SHAPE):  # of an int beyond 64 bits orjson makes a float
        try:
            return orjson.loads(data)
        except ValueError:
            pass
    return json.loads(data.decode("utf-8-sig"))


def loads(text: str) -> Any:
    """Read back what `dumps` wrote."""
    return json.loads(text)
