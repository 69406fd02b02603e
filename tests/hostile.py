"""A sound record with one thing in it replaced: wrong types, huge values, NaN, hostile texts."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from archiver.format import layout
from archiver.format.records import compress, decompress
from archiver.store import Store

NAN = float("nan")
DEEP: Any = None
for _ in range(400):
    DEEP = [DEEP]
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**63 - 1, 2**64, 10**30, 1.5, -0.0, 1e308, NAN, "", "x", "\0", "../../etc/passwd",
    "\x1b[31m", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "2025-01-01", "[[1]]", '{"a": NaN}', "[" * 5_000,
    "[1, 2", "ab" * 32, [], {}, [None], [[]], [1, "x"], [["a", 1, "b"]], {"a": 1}, {"key": "x"}, {"dirty": []}, DEEP,
]  # fmt: skip


def fields_of(store: Store, key: str) -> dict[str, Any]:
    """Return what a record holds as plain data."""
    found: dict[str, Any] = json.loads(decompress(store.get(key), key))
    return found


def put_fields(store: Store, key: str, fields: Any) -> None:
    """Write a record that holds whatever it is given."""
    store.put(key, compress(json.dumps(fields).encode()))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every field and to the first two items of every list."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))[:2]
    for name, item in items:
        yield (*path, name)
        yield from places(item, (*path, name))


def replaced(fields: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a place."""
    changed = copy.deepcopy(fields)
    at: Any = changed
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return changed


def hostile(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield records with one place replaced, each with a name."""
    for path in places(fields):
        for number, value in enumerate(VALUES):
            yield f"{'.'.join(map(str, path))} = value {number}", replaced(fields, path, value)
    for text in ("rows", "params"):
        if text in fields:
            inner = json.loads(fields[text])
            for path in places(inner):
                for number, value in enumerate(VALUES):
                    changed = json.dumps(replaced(inner, path, value))
                    yield f"{text}: {'.'.join(map(str, path))} = value {number}", {**fields, text: changed}


def record_keys(store: Store) -> list[str]:
    """Return the keys of all records."""
    return [entry.key for entry in store.list(layout.RUNS)]
