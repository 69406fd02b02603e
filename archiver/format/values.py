"""Values of any kind as plain data: the one table of conversions, written down in docs/reference/values.md.

What a value is, its class tells, never an attribute: some objects make up whatever they are asked for, and
keep it. No caller's object is ever changed.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any

from archiver.errors import ConfigError
from archiver.format.columnar import class_name, is_columnar, lister, to_list
from archiver.format.text import PLAIN, dumps

Default = Callable[[Any], Any]
"""Makes plain data of a value that the table does not know."""
_Convert = Callable[[Any, str, int], Any]
_TEXT = frozenset({str})
_MOST_LEVELS = 100


@dataclass(slots=True)
class Saving:
    """What holds for the values of one save, and where an index was found that has no place in what is kept."""

    default: Default | None = None
    lost: dict[str, None] = field(default_factory=dict)


_saving: ContextVar[Saving | None] = ContextVar("saving", default=None)


@contextmanager
def saving(default: Default | None) -> Iterator[Saving]:
    """Convert values within as one save asks for; tells at its end what was not kept."""
    mine = Saving(default)
    token = _saving.set(mine)
    try:
        yield mine
    finally:
        _saving.reset(token)


def place(strategy: str, part: str = "") -> str:
    """Write where a value of a strategy is; without a part, what follows is one."""
    return f"strategy {strategy!r}: {part}"


@contextmanager
def placed(values: Callable[[], Iterable[tuple[str, Any]]]) -> Iterator[None]:
    """Name exactly where a value is that cannot be kept, or loses its index, within: columns know only their own.

    values: gives place and value of all that is converted within.
    """
    mine = _saving.get() or Saving()
    before = dict(mine.lost)
    try:
        yield
    except ConfigError:
        _look(values())
        raise
    if len(mine.lost) > len(before):
        mine.lost.clear()
        mine.lost.update(before)
        _look(values())


def _look(values: Iterable[tuple[str, Any]]) -> None:
    for where, value in values:
        found = plain(value, where)
        try:
            dumps(found)
        except ConfigError as error:
            raise ConfigError(f"{where.rstrip(': ')}: {error}") from None


def plain(value: Any, where: str = "value", depth: int = 0) -> Any:
    """Return the value as plain data: None, bool, int, float, str, and lists and str-keyed dicts of these.

    What else is converted, and how, is the table of docs/reference/values.md; the rest is the save's `default`.

    Raises ConfigError naming the place (`where`) for anything else, a non-text key among them.
    """
    kind: type = type(value)
    if kind in PLAIN:
        return value
    if depth > _MOST_LEVELS:
        raise ConfigError(f"{where[:80]}... is nested more than {_MOST_LEVELS} levels deep: store it flat")
    if kind is list:
        if set(map(type, value)) <= PLAIN:
            return value
        return _items(value, where, depth)
    if kind is dict:
        return _mapping(value, where, depth)
    convert = _conversion(kind)
    return _by_default(value, where, depth) if convert is None else convert(value, where, depth)


def columns_to_lists(value: Any, where: str = "value") -> list[Any] | None:
    """Return an array or series as a list of its values, a table as one dict a row; None for anything else.

    Values are what the library gives for them. Raises ConfigError, naming `where`, for two columns of one name.
    """
    return to_list(value, where, _lose) if is_columnar(value) else None


def _lose(where: str) -> None:
    mine = _saving.get()
    if mine is not None:
        mine.lost[where] = None


def _by_default(value: Any, where: str, depth: int) -> Any:
    mine = _saving.get()
    if mine is None or mine.default is None:
        raise ConfigError(
            f"{where} is a {type(value).__name__}: give a number, text, list or dict instead, or a default="
            " that makes one of it"
        )
    try:
        given = mine.default(value)
    except Exception as error:
        kind, text = type(error).__name__, " ".join(str(error).split())
        raise ConfigError(
            f"{where} is a {type(value).__name__}, for which default= raised {kind}: {text}"
        ) from error
    return plain(given, where, depth + 1)


@lru_cache(maxsize=1024)
def _conversion(kind: type) -> _Convert | None:
    """Return what converts the values of a class; None where nothing does."""
    if issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
        return _namedtuple
    if lister(kind) is not None:
        return _columns
    for base in kind.__mro__:
        found = _BY_NAME.get(class_name(base))
        if found is not None:
            return found
    if is_dataclass(kind):
        return _dataclass
    return next((convert for base, convert in _BY_KIND if issubclass(kind, base)), None)


def _float(value: Any, _where: str, _depth: int) -> float:
    return float(value)


def _int(value: Any, _where: str, _depth: int) -> int:
    return int(value)


def _str(value: Any, _where: str, _depth: int) -> str:
    return str.__str__(value)


def _text(value: Any, _where: str, _depth: int) -> str:
    return str(value)


def _none(_value: Any, _where: str, _depth: int) -> None:
    return None


def _hex(value: Any, _where: str, _depth: int) -> str:
    return bytes(value).hex()


def _iso(value: dt.date | dt.time, _where: str, _depth: int) -> str:
    return value.isoformat()


def _seconds(value: dt.timedelta, _where: str, _depth: int) -> float:
    return value.total_seconds()


def _enum(value: Any, _where: str, _depth: int) -> Any:
    """Return what a member stands for, or its name where that is no number or text."""
    return value._value_ if type(value._value_) in PLAIN else value._name_


def _qualified(value: Any, _where: str, _depth: int) -> str:
    """Return the name of a class or function: text that is the same in every process."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or value.__name__
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else str(name)


def _offset(value: Any, _where: str, _depth: int) -> str:
    return str(value.freqstr)


def _items(value: Iterable[Any], where: str, depth: int) -> list[Any]:
    return [
        item if type(item) in PLAIN else plain(item, f"{where}[{at}]", depth + 1)
        for at, item in enumerate(value)
    ]


def _set(value: Iterable[Any], where: str, depth: int) -> list[Any]:
    """Return members in an order that does not depend on hashes."""
    members = _items(value, where, depth)
    try:
        return sorted(members)
    except TypeError:
        return sorted(members, key=dumps)


def _mapping(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    if type(value) is dict and set(map(type, value)) <= _TEXT and set(map(type, value.values())) <= PLAIN:
        return value.copy()
    # Through the class: where an object's keys are its attributes, one may be called `items`.
    found = {}
    for key, item in type(value).items(value):
        if not isinstance(key, str):
            raise ConfigError(
                f"{where.rstrip()} has the key {key!r}: keys must be text, write it as {str(key)!r}"
            )
        name = str.__str__(key)
        if type(item) in PLAIN:
            found[name] = item
        else:
            place = f"{where}{name}" if where.endswith(": ") else f"{where}.{name}"
            found[name] = plain(item, place, depth + 1)
    return found


def _namedtuple(value: Any, where: str, depth: int) -> dict[str, Any]:
    return _mapping(dict(zip(type(value)._fields, tuple.__iter__(value), strict=False)), where, depth)


def _dataclass(value: Any, where: str, depth: int) -> dict[str, Any]:
    return _mapping({one.name: getattr(value, one.name) for one in fields(value)}, where, depth)


def _numpy_scalar(value: Any, where: str, depth: int) -> Any:
    kind = value.dtype.kind
    if kind == "M":
        return None if str(value) == "NaT" else str(value)
    if kind == "m":
        return _numpy_duration(value)
    if kind == "V" and value.dtype.names:
        return _mapping({name: value[name] for name in value.dtype.names}, where, depth)
    if kind == "V":
        return value.tobytes().hex()
    item = value.tolist()
    if type(item) is type(value):  # longer floats than Python has
        return float(value) if kind == "f" and (value != value or float(value) == value) else str(value)
    return plain(item, where, depth + 1)


def _numpy_duration(value: Any) -> float | str | None:
    if str(value) == "NaT":
        return None
    try:
        seconds = float(value / type(value)(1, "s"))
    except TypeError:  # months and years have no length
        return str(value)
    return None if math.isnan(seconds) else seconds


def _arrow_scalar(value: Any, where: str, depth: int) -> Any:
    return plain(value.as_py(), where, depth + 1)


def _columns(value: Any, where: str, depth: int) -> Any:
    if is_columnar(value):
        return plain(columns_to_lists(value, where), where, depth)
    # An array without dimensions: tolist() gives None for a masked value, of which item() would make 0.0.
    return plain(value[()] if value.dtype.kind in "MmV" else value.tolist(), where, depth + 1)


_BY_NAME: dict[tuple[str, str], _Convert] = {
    ("builtins", "str"): _str,
    ("builtins", "int"): _int,
    ("builtins", "float"): _float,
    ("builtins", "complex"): _text,
    ("builtins", "bytes"): _hex,
    ("builtins", "bytearray"): _hex,
    ("builtins", "memoryview"): _hex,
    ("builtins", "type"): _qualified,
    ("builtins", "function"): _qualified,
    ("builtins", "method"): _qualified,
    ("builtins", "builtin_function_or_method"): _qualified,
    ("collections", "UserString"): _text,
    ("datetime", "date"): _iso,
    ("datetime", "time"): _iso,
    ("datetime", "timedelta"): _seconds,
    ("datetime", "tzinfo"): _text,
    ("decimal", "Decimal"): _text,
    ("enum", "Enum"): _enum,
    ("fractions", "Fraction"): _text,
    ("pathlib", "PurePath"): _text,
    ("uuid", "UUID"): _text,
    ("numpy", "float64"): _float,
    ("numpy", "generic"): _numpy_scalar,
    ("numpy", "ufunc"): _qualified,
    ("pandas", "NaTType"): _none,
    ("pandas", "NAType"): _none,
    ("pandas", "Period"): _text,
    ("pandas", "Interval"): _text,
    ("pandas", "BaseOffset"): _offset,
    ("pyarrow", "Scalar"): _arrow_scalar,
}
"""By top module and name of a class or of one that it is made from; arrays and tables stand in `columnar`."""

_BY_KIND: tuple[tuple[type, _Convert], ...] = (
    (Mapping, _mapping),
    (MappingView, _items),
    (Set, _set),
    (Sequence, _items),
)
