"""One column: a list of values as an Arrow array that gives the very objects back, or as text where none does.

A typed column holds only values of one Python type (float, int of 64 bits, bool, str, lists of one of these, or dicts
of one layout), and None. Floats may have exact ints among them: their places are told apart (`ints`). All else is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from archiver.format.text import PLAIN, dumps, loads
from archiver.format.values import plain

if TYPE_CHECKING:
    import pyarrow as pa

Values = Sequence[Any]
_NONE = type(None)
_KNOWN = PLAIN | {list, dict}
_MOST_LEVELS = 8
"""Dicts in dicts are columns down to here, and text below: readers of Parquet have limits."""
EXACT = 2**53
"""Ints up to this size are told apart from floats and fit a double exactly."""


@dataclass(slots=True, eq=False)
class Column:
    """An encoded column: its array, whether that is text, the rows that hold an int among floats, a dict's layout.

    A window column holds places in tapes; `full` has as text what fits none.
    """

    array: pa.Array
    text: bool = False
    ints: list[int] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    window: bool = False
    full: pa.Array | None = None


def encode_column(values: Values, where: str, depth: int = 0) -> Column:
    """Encode the values of one key; None stands for None and for a missing value.

    Raises ConfigError, naming `where`, for a value that cannot be kept.
    """
    import pyarrow as pa

    kinds = set(map(type, values)) - {_NONE}
    if not kinds <= _KNOWN:
        values = [plain(value, f"{where}[{at}]") for at, value in enumerate(values)]
        kinds = set(map(type, values)) - {_NONE}
    if kinds == {dict} and depth < _MOST_LEVELS:
        return _encode_dicts(values, where, depth)
    arrow = arrow_type(kinds, values)
    if arrow is not None:
        return Column(pa.array(values, arrow))
    if kinds == {float, int} and all(-EXACT <= v <= EXACT for v in values if type(v) is int):
        ints = [at for at, value in enumerate(values) if type(value) is int]
        return Column(pa.array([None if v is None else float(v) for v in values], pa.float64()), ints=ints)
    if kinds == {list}:
        return _encode_lists(values, where)
    return encode_text(values, where)


def arrow_type(kinds: set[type], values: Values) -> pa.DataType | None:
    """Return the Arrow type that holds scalars of these exact Python types unchanged, or None."""
    import pyarrow as pa

    if kinds == {float}:
        return pa.float64()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        numbers = [v for v in values if v is not None]
        return pa.int64() if min(numbers) >= -(2**63) and max(numbers) < 2**63 else None
    if kinds == {str}:
        return pa.string() if _is_utf8(values) else None
    return None


def encode_text(values: Values, where: str) -> Column:
    """Encode values as JSON text; None stays null."""
    import pyarrow as pa

    texts = [None if v is None else dumps(plain(v, f"{where}[{at}]")) for at, v in enumerate(values)]
    return Column(pa.array(texts, pa.string()), text=True)


def decode_column(array: pa.Array, *, text: bool, layout: dict[str, Any]) -> list[Any]:
    """Return the values that `encode_column` was given, but for ints among floats, which rows put back."""
    import pyarrow as pa

    if text:
        return [None if value is None else loads(value) for value in array.to_pylist()]
    if pa.types.is_struct(array.type):
        return _decode_dicts(array, layout)
    if pa.types.is_list(array.type):
        return _decode_lists(array)
    return scalars(array)


def join_columns(pieces: Sequence[tuple[Column | None, int]], where: str) -> Column:
    """Join one key's columns of successive chunks, each with its number of rows; None where no row has the key."""
    import pyarrow as pa

    if len(pieces) == 1 and pieces[0][0] is not None:
        return pieces[0][0]
    real = [
        column for column, _ in pieces if column is not None and column.array.null_count < len(column.array)
    ]
    alike = len({(str(column.array.type), column.text) for column in real}) <= 1
    if not alike or any(column.layout for column in real):
        return encode_column([value for column, rows in pieces for value in _values(column, rows)], where)
    kind = real[0].array.type if real else pa.string()
    arrays, ints, at = [], [], 0
    for column, rows in pieces:
        arrays.append(column.array if column is not None and column in real else pa.nulls(rows, kind))
        ints += [at + row for row in column.ints] if column else []
        at += rows
    return Column(pa.concat_arrays(arrays), text=not real or real[0].text, ints=ints)


def _values(column: Column | None, rows: int) -> list[Any]:
    return [None] * rows if column is None else column_values(column)


def column_values(column: Column) -> list[Any]:
    """Return the values that a column was encoded from."""
    values = decode_column(column.array, text=column.text, layout=column.layout)
    for row in column.ints:
        values[row] = int(values[row])
    return values


def scalars(array: pa.Array) -> list[Any]:
    """Return an array of plain scalars as a list; numbers without nulls skip Arrow's per-value boxing."""
    import pyarrow as pa

    floats = pa.types.is_float64(array.type)
    if array.null_count or not len(array) or not (floats or pa.types.is_int64(array.type)):
        return list(array.to_pylist())
    data = memoryview(array.buffers()[1]).cast("B")
    numbers = data.cast("d") if floats else data.cast("q")
    return list(numbers[array.offset : array.offset + len(array)].tolist())


def _is_utf8(values: Values) -> bool:
    try:
        "".join([v for v in values if v is not None]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _encode_lists(values: Values, where: str) -> Column:
    import pyarrow as pa

    flat = list(chain.from_iterable(v for v in values if v is not None))
    kinds = set(map(type, flat)) - {_NONE}
    if not kinds <= _KNOWN:
        return encode_column([plain(value, f"{where}[{at}]") for at, value in enumerate(values)], where)
    arrow = arrow_type(kinds, flat)
    return encode_text(values, where) if arrow is None else Column(pa.array(values, pa.list_(arrow)))


def _decode_lists(array: pa.ListArray) -> list[list[Any] | None]:
    flat = scalars(array.values)
    offsets = array.offsets.to_pylist()
    present = array.is_valid().to_pylist()
    return [
        flat[start:end] if there else None
        for start, end, there in zip(offsets, offsets[1:], present, strict=False)
    ]


def _encode_dicts(values: Values, where: str, depth: int) -> Column:
    import pyarrow as pa

    from archiver.format.rows import encode_rows

    present = [value for value in values if value is not None]
    encoded = encode_rows(present, where, depth=depth + 1)
    if encoded is None:
        return encode_text(values, where)
    arrays, mask = encoded.arrays, None
    if len(present) < len(values):
        places = iter(range(len(present)))
        take = pa.array([None if value is None else next(places) for value in values], pa.int64())
        arrays = [array.take(take) for array in arrays]
        mask = take.is_null()
    return Column(pa.StructArray.from_arrays(arrays, encoded.names, mask=mask), layout=encoded.layout)


def _decode_dicts(array: pa.StructArray, layout: dict[str, Any]) -> list[dict[str, Any] | None]:
    from archiver.format.rows import decode_rows

    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    rows: list[dict[str, Any] | None] = []
    rows.extend(decode_rows(names, array.flatten(), layout))
    if array.null_count:
        rows = [row if there else None for row, there in zip(rows, array.is_valid().to_pylist(), strict=True)]
    return rows
