"""Parameters as axes: which columns are parameters, and each row's place among a parameter's values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.base.suggest import did_you_mean
from archiver.errors import ConfigError
from archiver.format.arrays import int_array, numpy_of

if TYPE_CHECKING:
    import pyarrow as pa

PREFIXES = ("params.", "param_")
"""How columns begin that are parameters: of results with `params`, and of engines that write metrics alone."""
MOST_PLACES = 40
"""A parameter of more values is drawn in classes, so many at most."""


def numpy() -> Any:
    """Return numpy, which comes with the pages and the terminal's. Raises ConfigError where it is missing."""
    try:
        import numpy as np
    except ImportError:
        raise ConfigError("parameters are summed up by numpy: pip install numpy") from None
    return np


def parameter_columns(names: Iterable[str]) -> list[str]:
    """Return those columns that are parameters."""
    return [name for name in names if name.startswith(PREFIXES)]


def plain(name: str) -> str:
    """Return a parameter's name without what marks its column: `params.fast` is `fast`."""
    return next((name.removeprefix(one) for one in PREFIXES if name.startswith(one)), name)


def known_parameter(name: str, names: Sequence[str]) -> str:
    """Return the column of a parameter, which may be named without its prefix. Raises ConfigError."""
    found = next((one for one in names if name in (one, plain(one))), None)
    if found is None:
        known = [plain(one) for one in names]
        there = f": there are {', '.join(known[:12])}" if known else ": no parameter has several values"
        raise ConfigError(f"no parameter {name!r}{did_you_mean(name, known, there)}")
    return found


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter: its values, least first, and of each row the place of its value; -1 where it has none."""

    name: str
    values: Sequence[Any]
    places: Any
    """int32, one a row."""
    is_number: bool

    @property
    def label(self) -> str:
        """Its name as it was given."""
        return plain(self.name)

    @property
    def varies(self) -> bool:
        """Whether there are at least two values."""
        return len(self.values) > 1


@dataclass(frozen=True, slots=True)
class Classes:
    """An axis as it is drawn: values, or where these are many, classes of them that hold as many rows each."""

    labels: list[str]
    bounds: list[tuple[Any, Any]]
    """Least and greatest value of each class; equal where it is one value."""
    places: Any
    """int32, one a row; -1 for rows that are not drawn."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Grid:
    """All axes together: each row's cell, a number that tells one combination of values from all others."""

    cells: Any
    """uint64, one a row."""
    size: int | None
    """How many cells there may be; None where they are too many to number."""
    strides: dict[str, int]
    """What one step of an axis adds to a cell."""

    def along(self, axis: Axis) -> Any:
        """Return cells without one axis: rows that differ in it alone have the same."""
        np = numpy()
        return self.cells - (axis.places + 1).astype(np.uint64) * np.uint64(self.strides[axis.name])


def grid(axes: Sequence[Axis]) -> Grid:
    """Give each combination of values a number; no value is a value, too.

    Where they are more than 2^62, a step adds a random number: that two of a million combinations get one cell happens
    once in some 10^7 searches.
    """
    np = numpy()
    strides, size = {}, 1
    for one in reversed(axes):
        strides[one.name] = size
        size *= len(one.values) + 1
    if size >= 1 << 62:
        random = np.random.default_rng(14).integers(1 << 63, size=len(axes))
        strides = {one.name: int(step) | 1 for one, step in zip(axes, random, strict=True)}
    cells = np.zeros(len(axes[0].places), np.uint64)
    for one in axes:
        cells += (one.places + 1).astype(np.uint64) * np.uint64(strides[one.name])
    return Grid(cells, size if size < 1 << 62 else None, strides)


def axis(name: str, column: pa.ChunkedArray) -> Axis:
    """Read a column as an axis. Numbers and booleans are ordered by value, text by letters; NaN is no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    np = numpy()
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_nested(column.type) or pa.types.is_null(column.type):
        return Axis(name, [], np.full(len(column), -1, np.int32), is_number=False)
    coded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    order = np.asarray(pc.array_sort_indices(coded.dictionary)).astype(np.int64)
    rank = np.empty(len(order) + 1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[-1] = -1
    places = rank[np.asarray(coded.indices.fill_null(-1))]
    return Axis(name, coded.dictionary.take(int_array(order)).to_pylist(), places, is_number)


def kinds(name: str, column: pa.ChunkedArray) -> Axis:
    """Read a column of which nothing counts but which rows have the same value: values are numbers in place of its own."""
    coded = column.combine_chunks().dictionary_encode()
    return Axis(name, range(len(coded.dictionary)), numpy_of(coded.indices), is_number=False)


def classes(axis: Axis, most: int = MOST_PLACES) -> Classes:
    """Return an axis as it is drawn; of text with more values than can be, the most frequent ones."""
    np = numpy()
    count = len(axis.values)
    if count <= most:
        return Classes([text(value) for value in axis.values], [(v, v) for v in axis.values], axis.places)
    rows = np.bincount(axis.places[axis.places >= 0], minlength=count)
    if axis.is_number:
        each = 20
        before = np.cumsum(rows) - rows
        of_value = np.minimum(before * each // max(1, int(rows.sum())), each - 1)
        _, of_value = np.unique(of_value, return_inverse=True)
        last = int(of_value.max())
        firsts = np.searchsorted(of_value, np.arange(last + 1))
        lasts = np.searchsorted(of_value, np.arange(last + 1), side="right") - 1
        bounds = [(axis.values[a], axis.values[b]) for a, b in zip(firsts, lasts, strict=True)]
    else:
        kept = np.sort(np.argsort(-rows, kind="stable")[:most])
        of_value = np.full(count, -1)
        of_value[kept] = np.arange(len(kept))
        bounds = [(axis.values[at], axis.values[at]) for at in kept]
    known = np.append(of_value, -1).astype(np.int32)
    return Classes([_span(*ends) for ends in bounds], bounds, known[axis.places])


def _span(first: Any, last: Any) -> str:
    return text(first) if first == last else f"{text(first)} to {text(last)}"


def text(value: Any) -> str:
    """Write a parameter's value."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
