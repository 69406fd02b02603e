"""What is given as a curve, in whatever form, as numbers and their clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archiver.errors import ConfigError
from archiver.format.clocks import Clock, clock_of
from archiver.format.columnar import class_name, has_index, is_columnar
from archiver.format.values import columns_to_lists, plain

CLOCKS = ("time", "timestamp", "timestamps", "datetime", "date", "index", "t")
"""Names of columns that hold moments."""
VALUES = ("value", "values", "equity", "drawdown", "balance", "v")
"""Names of columns that hold a curve's values, before any other."""


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


def series_of(value: Any, where: str) -> Series | None:
    """Return a curve that was given as a pandas Series, pairs, (times, values), a table of both, or a list of values.

    None for what is none of these. Raises ConfigError, naming `where`, for moments that are none, or lengths that differ.
    """
    kind: type = type(value)
    if kind is Series:
        return value  # type: ignore[no-any-return]  # one that was read from an archive
    kinds = {class_name(base) for base in kind.__mro__}
    if ("pandas", "Series") in kinds:
        numbers = value.reset_index(drop=True)
        return _series(value.index if has_index(value.index) else None, numbers, where)
    if kinds & {
        ("pandas", "DataFrame"),
        ("polars", "DataFrame"),
        ("pyarrow", "Table"),
        ("pyarrow", "RecordBatch"),
    }:
        return _of_frame(value, kinds, where)
    if ("numpy", "ndarray") in kinds and value.ndim == 2:
        return _series(value[:, 0], value[:, 1], where, pairs=True) if value.shape[1] == 2 else None
    if is_columnar(value):
        return _series(None, value, where)
    if issubclass(kind, Mapping):
        clock, name = named(list(value))
        return None if clock is None else _series(value[clock], value[name], where)
    if issubclass(kind, tuple) and len(value) == 2 and all(map(_is_many, value)):
        return _series(value[0], value[1], where)
    return (
        _of_list(list(value), where)
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


def _of_frame(value: Any, kinds: set[tuple[str, str]], where: str) -> Series | None:
    is_pandas = ("pandas", "DataFrame") in kinds
    names = (
        list(value.schema.names) if any(library == "pyarrow" for library, _ in kinds) else list(value.columns)
    )
    if len(set(names)) != len(names):
        raise ConfigError(
            f"{where}: two columns have one name among {', '.join(map(str, names))}: rename one"
        )
    clock, name = named(names)
    if clock is not None:
        times = value[clock]
        return _series(times, value[name].reset_index(drop=True) if is_pandas else value[name], where)
    only = _value_among(names)
    if is_pandas and only is not None and has_index(value.index):
        return _series(value.index, value[only].reset_index(drop=True), where)
    return None


def _of_list(items: list[Any], where: str) -> Series | None:
    kinds = set(map(type, items))
    if items and kinds <= {list, tuple}:
        if any(len(item) != 2 for item in items):
            return None
        return _series([item[0] for item in items], [item[1] for item in items], where, pairs=True)
    if items and kinds == {dict}:
        clock, name = named(list(items[0]))
        if clock is None or any(clock not in item for item in items):
            return None
        return _series([item[clock] for item in items], [item.get(name) for item in items], where)
    return Series(plain(items, where))


def _is_many(value: Any) -> bool:
    return is_columnar(value) or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def _series(times: Any, values: Any, where: str, *, pairs: bool = False) -> Series:
    listed = columns_to_lists(values, where)
    numbers = plain(list(values) if listed is None else listed, where)
    if times is None:
        return Series(numbers)
    if not _is_many(times) or len(times) != len(numbers):
        given = len(times) if _is_many(times) else "no list of"
        raise ConfigError(f"{where} has {given} moments for {len(numbers)} values: give one for each")
    return Series(numbers, clock_of(times, where), pairs)
