"""What is given as a curve, in whatever form, as numbers and their clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from archiver.errors import ConfigError
from archiver.format.clocks import Clock, clock_of
from archiver.format.columnar import class_name, has_index, is_columnar
from archiver.format.values import columns_to_lists, plain

CLOCKS = ("time", "timestamp", "timestamps", "datetime", "date", "index", "t")
"""Names of columns that hold moments."""
VALUES = ("value", "values", "equity", "drawdown", "balance", "v")
"""Names of columns that hold a curve's values, before any other."""
_EXACT = {("decimal", "Decimal"), ("fractions", "Fraction")}
_NUMBERS = {float, int, bool, type(None)}
_FRAMES = {("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table"), ("pyarrow", "RecordBatch")}

Keep = Callable[[Any, str], Any]
"""Makes plain data of a curve's values; is told their place."""
Pair = Callable[..., "Series"]
"""Makes a curve of moments and values."""


@dataclass(slots=True, eq=False)
class Series:
    """A curve: its values as plain data, the clock they are on, and whether it came as pairs of time and value."""

    values: Any
    clock: Clock | None = None
    pairs: bool = False

    def written(self) -> Any:
        """Return it as plain data: a list of values, or of pairs where there is a clock."""
        if self.clock is None:
            return self.values
        return [list(pair) for pair in zip(self.clock.written(), self.values, strict=True)]


def series_of(value: Any, where: str, keep: Keep | None = None) -> Series | None:
    """Return a curve that was given as a pandas Series, pairs, (times, values), a table or dict of both, or a list of values.

    keep: makes plain data of its values; None makes numbers of them, as `numbers` does. None for what is none of these.
    Raises ConfigError, naming `where`, for moments that are none, or lengths that differ.
    """
    kind: type = type(value)
    if kind is Series:
        return value  # type: ignore[no-any-return]  # one that was read from an archive
    kinds = {class_name(base) for base in kind.__mro__}
    pair = partial(_series, where=where, keep=keep or numbers)
    if ("pandas", "Series") in kinds:
        return pair(value.index if has_index(value.index) else None, value.reset_index(drop=True))
    if kinds & _FRAMES:
        return _of_frame(value, kinds, where, pair)
    if ("numpy", "ndarray") in kinds and value.ndim == 2:
        return pair(value[:, 0], value[:, 1], pairs=True) if value.shape[1] == 2 else None
    if is_columnar(value):
        return pair(None, value)
    if issubclass(kind, Mapping):
        clock, name = named(list(value))
        if clock is not None and _is_many(value[clock]):
            return pair(value[clock], value[name])
        values = list(value.values())
        return None if any(map(_is_nested, values)) else pair(list(value), values)
    if issubclass(kind, tuple) and len(value) == 2 and all(map(_is_many, value)):
        return pair(value[0], value[1])
    return (
        _of_list(list(value), pair)
        if issubclass(kind, Sequence) and not issubclass(kind, str | bytes)
        else None
    )


def on_its_clock(series: Series) -> Series:
    """Return a curve that was kept as it was given, pairs or rows say, on the clock that it holds itself."""
    if series.clock is not None or (
        type(series.values) is list and not {list, dict} & set(map(type, series.values))
    ):
        return series
    try:
        return series_of(series.values, "curve") or series
    except ConfigError:
        return series


def named(names: Sequence[Any]) -> tuple[Any, Any]:
    """Return the names of the moments and of the values among columns; None, None where that cannot be told."""
    lower = {str(name).lower(): name for name in names}
    clock = next((lower[name] for name in CLOCKS if name in lower), None)
    value = _value_among([name for name in names if name != clock])
    return (None, None) if clock is None or value is None else (clock, value)


def _value_among(names: Sequence[Any]) -> Any:
    lower = {str(name).lower(): name for name in names}
    return next((lower[name] for name in VALUES if name in lower), names[0] if len(names) == 1 else None)


def _of_frame(value: Any, kinds: set[tuple[str, str]], where: str, pair: Pair) -> Series | None:
    is_pandas = ("pandas", "DataFrame") in kinds
    names = frame_columns(value)
    if len(set(names)) != len(names):
        raise ConfigError(
            f"{where}: two columns have one name among {', '.join(map(str, names))}: rename one"
        )
    clock, name = named(names)
    moments = [one for one in names if _has_moments(value, one)] if clock is None and len(names) == 2 else []
    if len(moments) == 1:
        clock, name = moments[0], next(one for one in names if one != moments[0])
    if clock is not None:
        return pair(value[clock], value[name].reset_index(drop=True) if is_pandas else value[name])
    only = _value_among(names)
    if is_pandas and only is not None and has_index(value.index):
        return pair(value.index, value[only].reset_index(drop=True))
    return None


def frame_columns(value: Any) -> list[Any]:
    """Return the names of the columns of a table of pandas, polars or Arrow."""
    return list(value.columns if hasattr(type(value), "dtypes") else value.schema.names)


def _has_moments(table: Any, name: Any) -> bool:
    column = table[name]
    kind = str(column.dtype if hasattr(type(column), "dtype") else column.type).lower()
    return kind.startswith(("date", "timestamp"))


def _of_list(items: list[Any], pair: Pair) -> Series | None:
    kinds = set(map(type, items))
    if items and kinds <= {list, tuple}:
        if any(len(item) != 2 for item in items):
            return None
        return pair([item[0] for item in items], [item[1] for item in items], pairs=True)
    if items and kinds == {dict}:
        clock, name = named(list(items[0]))
        if clock is None or any(clock not in item for item in items):
            return None
        return pair([item[clock] for item in items], [item.get(name) for item in items])
    return pair(None, items)


def numbers(values: Sequence[Any], where: str) -> Any:
    """Return values as plain data; a Decimal or Fraction is the nearest float. Raises ConfigError for lists and dicts."""
    kinds = set(map(type, values))
    # By name: to import these takes longer than a list of runs.
    exact: tuple[Any, ...] = tuple(kind for kind in kinds if (kind.__module__, kind.__name__) in _EXACT)
    if exact:
        values = [float(value) if isinstance(value, exact) else value for value in values]
    found = plain(values, where)
    if not kinds <= _NUMBERS and any(map(_is_nested, found)):
        raise ConfigError(
            f"{where} has a list or dict among its values: a curve is one number for each moment"
        )
    return found


def _is_nested(value: Any) -> bool:
    return issubclass(type(value), Mapping) or _is_many(value)


def _is_many(value: Any) -> bool:
    return is_columnar(value) or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _series(times: Any, values: Any, *, where: str, keep: Keep, pairs: bool = False) -> Series:
    listed = columns_to_lists(values, where)
    kept = keep(list(values) if listed is None else listed, where)
    if times is None:
        return Series(kept)
    if not _is_many(times) or len(times) != len(kept):
        given = len(times) if _is_many(times) else "no list of"
        raise ConfigError(f"{where} has {given} moments for {len(kept)} values: give one for each")
    return Series(kept, clock_of(times, where), pairs)
