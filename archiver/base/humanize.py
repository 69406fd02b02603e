"""Values as people read them in a terminal, and as programs read them in JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import nan
from sys import float_info
from typing import Any

_BARS = "▁▂▃▄▅▆▇█"
_MOST_DIGITS = 40
"""Ints with more digits than the longest ids have are no ids."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z)?")


def size(count: int | float) -> str:
    """Write a number of bytes as people do: `812 B`, `4.7 MB` (powers of 1000)."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if abs(value) < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 99.95 else f"{value:.1f} {unit}"


def age(then: datetime, now: datetime | None = None) -> str:
    """Write how long ago a moment was: `now`, `5 min`, `3 h`, `12 d`, `8 mo`, `2 y`."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for unit, length in (
        ("y", 365.25 * 86400),
        ("mo", 30.44 * 86400),
        ("d", 86400),
        ("h", 3600),
        ("min", 60),
    ):
        if seconds >= length * (2 if unit in ("y", "mo") else 1):
            return f"{int(seconds / length)} {unit}"
    return "now"


def moment(then: datetime) -> str:
    """Write a moment in UTC to the second: `2025-01-21 14:03:07Z`."""
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def shortened(text: str) -> str:
    """Write text as it is, but moments in ISO 8601 shorter: `2025-01-21 14:03`, a day without the midnight."""
    if _ISO.fullmatch(text) is None:
        return text
    day, clock = text[:10], text[11:]
    clock = clock.removesuffix(":00") if len(clock) == 8 else clock
    return day if clock == "00:00" else f"{day} {clock}"


def whole(value: int) -> str:
    """Write an int in full: a count with grouped thousands, what is longer than any count, an id say, as it is."""
    if abs(value) < 10**15:
        return f"{value:,}"
    if abs(value) < 10**_MOST_DIGITS:
        return str(value)
    from decimal import Decimal  # an integer may be longer than any float

    return f"{Decimal(value):.3e}"


def number(value: float) -> str:
    """Write a number with as many digits as a reader can use; thousands are grouped."""
    if value != value:
        return "nan"
    if isinstance(value, int):
        return whole(value)
    if value.is_integer() and 1000 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    if value == 0 or 0.0005 <= abs(value) < 1e15:
        return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.1f}"
    return f"{value:.3g}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun: `1 run`, `2 runs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def price(value: float) -> str:
    """Write a price with the digits that a pip of it needs: `1.08612`, `186.000`."""
    return f"{value:.5f}" if value - value == 0 and abs(value) < 20 else number(value)


def cell(value: Any, column: str = "") -> str:
    """Write any value into one cell of a table; the name of its column tells prices from other numbers."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return price(value) if "price" in column else number(value)
    if isinstance(value, datetime):
        return moment(value) if value.tzinfo else shortened(value.isoformat())
    if isinstance(value, list | dict):
        return printable(json_bytes(value, indent=False).decode().strip())
    return printable(shortened(str(value)))


_CAPTURED = {
    "entry": "from the script that ran",
    "imports": "from the script that ran and what it imports",
    "listed": "as the save named them",
    "notebook": "from the notebook",
    "cells": "from the notebook's executed cells",
    "lines": "from the lines entered",
    "none": "not captured",
}


def captured(how: str) -> str:
    """Say where the code of a run was taken from: `how` of its record, in words."""
    return _CAPTURED.get(how, how)


def printable(text: str) -> str:
    """Replace what could steer a terminal or break a line by its escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


NOT_DRAWN = "kept, but not drawn: it is no list of numbers"


def curve_values(curve: Any) -> list[float] | None:
    """Return a curve as floats, NaN for what is no number; None for what is no curve: here alone that is decided.

    A curve is a list of single values. Of pairs of time and value, tables and their like nobody knows what to draw.
    """
    if type(curve) is not list:
        return None
    kinds = set(map(type, curve))
    if kinds <= {float}:
        return curve
    return None if kinds & {list, dict} else [_double(value) for value in curve]


def _double(value: Any) -> float:
    number = type(value) is float or (type(value) is int and _is_finite(value))
    return float(value) if number else nan


def numbers(curve: Any) -> list[float]:
    """Return the finite numbers of a curve, whatever else stands in it; empty where it is none."""
    return [value for value in curve_values(curve) or () if _is_finite(value)]


def _is_finite(value: float) -> bool:
    """Tell whether it is a number that a float can be; ints may be greater."""
    return abs(value) <= float_info.max


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Draw a curve in one line of text, keeping its extremes; empty where nothing is finite."""
    finite = [value / 2 for value in values if _is_finite(value)]  # halves: their differences are finite, too
    if not finite:
        return ""
    width = max(1, min(width, len(finite)))
    cuts = [len(finite) * at // width for at in range(width + 1)]
    steps = [finite[begin:end] for begin, end in pairwise(cuts)]
    low, high = min(finite), max(finite)
    if high == low:
        return _BARS[3] * width
    middle = low / 2 + high / 2
    # Of the points that share a column the one farthest from the middle is drawn, so that no peak is lost.
    points = [max(step, key=lambda value: abs(value - middle)) for step in steps]
    return "".join(_BARS[round((point - low) / (high - low) * (len(_BARS) - 1))] for point in points)


def json_bytes(document: Any, *, indent: bool = True) -> bytes:
    """Encode plain data as a line of JSON: NaN and infinities are null, datetimes ISO 8601 text."""
    import orjson

    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(document, option=option, default=str)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        import json

        text = json.dumps(_finite(document), indent=2 if indent else None, default=_text)
        return text.encode() + b"\n"


def _text(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
