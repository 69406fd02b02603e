"""Types of what was decoded from JSON, checked: each function returns the value, or says which field is what instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 2**53
"""Sizes and counts: more than any store holds, and still exact in every reader's numbers."""
_MOST_LEVELS = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
_WORDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "missing",
}


class FieldError(ValueError):
    """A field is not what it must be; the text names it."""

    def __init__(self, field: str, wanted: str, value: Any) -> None:
        found = _WORDS.get(type(value), type(value).__name__)
        super().__init__(f"`{field}` is {found}, not {wanted}")


def text(value: Any, field: str) -> str:
    """Return a text."""
    if type(value) is not str:
        raise FieldError(field, "text", value)
    return value


def maybe_text(value: Any, field: str) -> str | None:
    """Return a text, or None for what is absent."""
    return None if value is None else text(value, field)


def count(value: Any, field: str, most: int = MOST) -> int:
    """Return a whole number that counts or measures something."""
    if type(value) is not int or not 0 <= value <= most:
        raise FieldError(field, f"a count of up to {most:,}", value)
    return value


def sha256(value: Any, field: str) -> str:
    """Return 64 hex digits."""
    if type(value) is not str or _SHA256.fullmatch(value) is None:
        raise FieldError(field, "a sha256 in hex", value)
    return value


def moment(value: Any, field: str) -> datetime:
    """Return an aware moment in UTC, within the years that calendars of all readers can add to."""
    try:
        found = datetime.fromisoformat(text(value, field))
        if found.tzinfo is not None and _FIRST <= found < _LAST:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise FieldError(field, "an ISO 8601 moment with its offset, of 1970 to 2999", value)


def items(value: Any, field: str) -> list[Any]:
    """Return a list; nothing for what is absent."""
    if value is None:
        return []
    if type(value) is not list:
        raise FieldError(field, "a list", value)
    return value


def members(value: Any, field: str) -> dict[str, Any]:
    """Return an object; an empty one for what is absent."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise FieldError(field, "an object", value)
    return value


def each(values: Iterable[Any], field: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
    """Return what `read` makes of each item of a list."""
    return tuple(read(value, f"{field}[{at}]") for at, value in enumerate(values))


def all_of(kind: type[T], values: list[Any], field: str) -> list[T]:
    """Return the values if all are of exactly one type; a million of them are looked at in milliseconds."""
    if set(map(type, values)) - {kind}:
        at = next(at for at, value in enumerate(values) if type(value) is not kind)
        raise FieldError(f"{field}[{at}]", _WORDS[kind], values[at])
    return values


def shallow(value: Any, field: str) -> Any:
    """Return data that is nested no deeper than what a save takes: deeper data ends every encoder."""
    level = [value]
    for _ in range(_MOST_LEVELS + 2):
        level = [
            item
            for outer in level
            if type(outer) in (dict, list)
            for item in (outer.values() if type(outer) is dict else outer)
            if type(item) in (dict, list)
        ]
        if not level:
            return value
    raise FieldError(field, f"nested at most {_MOST_LEVELS} levels deep", value)
