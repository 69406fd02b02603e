"""JSON text that loses nothing: NaN, infinities, -0.0, big ints and lone surrogates come back as they were.

Numbers are what Python's `json` writes: `NaN`, `Infinity` and `-Infinity` stand for themselves, floats are the
shortest text that gives the same bits back. Everything but ASCII is escaped, so any text is valid UTF-8.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from archiver.errors import ConfigError

PLAIN = frozenset({str, int, float, bool, type(None)})
_MOST_LEVELS = 100
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def dumps(value: Any) -> str:
    """Write plain data (see `plain`) as text."""
    try:
        return _encode(value)
    except ValueError as error:
        raise ConfigError(f"a number is too long to be kept: {error}") from None


def loads(text: str) -> Any:
    """Read back what `dumps` wrote."""
    return json.loads(text)


def plain(value: Any, where: str = "value", depth: int = 0) -> Any:
    """Return the value as plain data: None, bool, int, float, str, and lists and str-keyed dicts of these.

    Tuples, sets of columns (numpy, pandas, polars, Arrow arrays) become lists; numpy scalars the Python number they
    hold; datetimes, dates, times ISO 8601 text; durations seconds as float; NaT and pandas' NA None.

    Raises ConfigError naming the place (`where`) for anything else, a non-text key among them.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if depth > _MOST_LEVELS:
        raise ConfigError(f"{where[:80]}... is nested more than {_MOST_LEVELS} levels deep: store it flat")
    if kind is list:
        if set(map(type, value)) <= PLAIN:
            return value
        return [plain(item, f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
    if isinstance(value, float):
        return float(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _numpy_scalar(value, where)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"{where} has the key {key!r}: keys must be text, write it as {str(key)!r}")
        return {str(key): plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    return _plain_other(value, where, depth)


def _plain_other(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
    if isinstance(value, str):
        return str.__str__(value)
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, int):
        return int(value)
    listed = columns_to_lists(value)
    if listed is not None:
        return plain(listed, where, depth)
    raise ConfigError(f"{where} is a {type(value).__name__}: give a number, text, list or dict instead")


def _numpy_scalar(value: Any, where: str) -> Any:
    kind = value.dtype.kind
    if kind == "U":
        return str(value)
    if kind == "M":
        return None if str(value) == "NaT" else str(value)
    if kind == "m":
        seconds = float(value / type(value)(1, "s"))
        return None if math.isnan(seconds) else seconds
    if kind in "biuf":
        item = value.tolist()  # item() would make 0.0 of a masked value
        if type(item) in PLAIN:
            return item
    raise ConfigError(f"{where} is a numpy {value.dtype}: give a number, text, list or dict instead")


def columns_to_lists(value: Any) -> list[Any] | None:
    """Return a numpy, pandas, polars or Arrow array, series or table as a list (tables: one dict a row), else None."""
    module = type(value).__module__.partition(".")[0]
    if module == "pandas" and hasattr(value, "to_dict"):
        if hasattr(value, "columns"):
            names = [str(name) if not isinstance(name, str) else name for name in value.columns]
            columns = [_series(value.iloc[:, at]) for at in range(len(names))]
            return _rows(names, columns, len(value))
        return _series(value)
    if module == "polars" and (hasattr(value, "to_dicts") or hasattr(value, "to_list")):
        return list(value.to_dicts() if hasattr(value, "to_dicts") else value.to_list())
    if module == "pyarrow" and hasattr(value, "to_pylist"):
        if hasattr(value, "column_names"):
            return _rows(value.column_names, [_arrow(column) for column in value.columns], len(value))
        return _arrow(value)
    if module == "numpy" and getattr(value, "shape", ()) != ():
        if value.dtype.names:
            names = list(value.dtype.names)
            return _rows(names, [columns_to_lists(value[name]) or [] for name in names], len(value))
        if value.dtype.kind in "Mm":
            return [plain(item) for item in value]
        return list(value.tolist())
    if hasattr(value, "tolist") and hasattr(value, "typecode"):
        return list(value.tolist())
    return None


def _arrow(array: Any) -> list[Any]:
    try:
        return list(array.to_pylist())
    except (
        ValueError,
        OverflowError,
    ) as error:  # two fields of one name, moments that Python's types cannot hold
        raise ConfigError(f"an Arrow array of {array.type} cannot be kept: {error}") from None


def _series(series: Any) -> list[Any]:
    values = list(series.tolist())
    if str(series.dtype) in ("str", "string", "category"):
        # In columns of text and of categories pandas writes NaN for what is missing.
        return [None if gone else value for value, gone in zip(values, series.isna().tolist(), strict=True)]
    return values


def _rows(names: Sequence[str], columns: Sequence[Sequence[Any]], length: int) -> list[dict[str, Any]]:
    if len(set(names)) != len(names):
        raise ConfigError(f"a table has two columns of one name among {', '.join(names)}: rename one")
    if not names:
        return [{} for _ in range(length)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
