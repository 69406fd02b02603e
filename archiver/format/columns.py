"""One column: a list of values as an Arrow array that gives the very objects back, or as text where none does.

A typed column holds only values of one Python type (float, int of 64 bits, bool, str, or lists of one of these), and
None. Dicts are columns in a column: `rows` has them. Floats may have exact ints among them: their places are told apart (`ints`). All else is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from archiver.format.arrays import array_of
from archiver.format.text import PLAIN, compact, dumps, loads
from archiver.format.values import plain

if TYPE_CHECKING:
    import pyarrow as pa

Values = Sequence[Any]
_NONE = type(None)
_KNOWN = PLAIN | {list, dict}
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


def plain_values(values: Values, where: str) -> tuple[Values, set[type]]:
    """Return values as plain data, and which types there are among them but None.

    Raises ConfigError, naming `where`, for a value that cannot be kept.
    """
    kinds = set(map(type, values)) - {_NONE}
    if not kinds <= _KNOWN:
        values = [plain(value, f"{where}[{at}]") for at, value in enumerate(values)]
        kinds = set(map(type, values)) - {_NONE}
    return values, kinds


def encode_values(values: Values, kinds: set[type], where: str) -> Column:
    """Encode plain values of these types that are not all dicts; None stays null."""
    import pyarrow as pa

    array = _typed(values, kinds)
    if array is not None:
        return Column(array)
    if kinds == {float, int} and all(-EXACT <= v <= EXACT for v in values if type(v) is int):
        ints = [at for at, value in enumerate(values) if type(value) is int]
        return Column(array_of([None if v is None else float(v) for v in values], pa.float64()), ints=ints)
    if kinds == {list}:
        return _encode_lists(values, where)
    return encode_text(values, where)


def decode_values(array: pa.Array, *, text: bool) -> list[Any]:
    """Return the values that `encode_values` was given, but for ints among floats, which rows put back."""
    import pyarrow as pa

    if text:
        return [None if value is None else loads(value) for value in array.to_pylist()]
    return _decode_lists(array) if pa.types.is_list(array.type) else scalars(array)


def _typed(values: Values, kinds: set[type]) -> pa.Array | None:
    """Return scalars of these types as an array that holds them unchanged; None where there is none."""
    import pyarrow as pa

    made = {float: pa.float64, bool: pa.bool_, int: pa.int64, str: pa.string}
    if len(kinds) != 1 or not kinds <= made.keys():
        return None
    try:
        return array_of(values, made[next(iter(kinds))]())
    except (OverflowError, UnicodeEncodeError):  # an int of more than 64 bits, a text that is no Unicode
        return None


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

    texts = [
        None if v is None else compact(v) or dumps(plain(v, f"{where}[{at}]")) for at, v in enumerate(values)
    ]
    return Column(array_of(texts, pa.string()), text=True)


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

    present = [value for value in values if value is not None]
    flat = list(chain.from_iterable(present))
    kinds = set(map(type, flat)) - {_NONE}
    if not kinds <= _KNOWN:
        return _encode_lists([plain(value, f"{where}[{at}]") for at, value in enumerate(values)], where)
    array = _typed(flat, kinds)
    if array is None:
        return encode_text(values, where)
    mask = None
    if len(present) < len(values):
        mask = array_of([value is None for value in values], pa.bool_())
    ends = accumulate(0 if value is None else len(value) for value in values)
    return Column(pa.ListArray.from_arrays(array_of([0, *ends], pa.int32()), array, mask=mask))


def _decode_lists(array: pa.ListArray) -> list[list[Any] | None]:
    flat = scalars(array.values)
    offsets = array.offsets.to_pylist()
    present = array.is_valid().to_pylist()
    return [
        flat[start:end] if there else None
        for start, end, there in zip(offsets, offsets[1:], present, strict=False)
    ]
