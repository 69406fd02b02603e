"""Numbers of NumPy as arrays of Arrow. `pyarrow.array` imports pandas where that is installed, which takes longer than most looks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_LONG = 10_000
"""Of more values `pyarrow.array` is quicker, even where it has to import pandas once."""


def int_array(numbers: np.ndarray | Sequence[int]) -> pa.Array:
    """Return whole numbers as an array of int64 without nulls."""
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(numbers, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def float_array(numbers: np.ndarray) -> pa.Array:
    """Return numbers as an array of doubles without nulls; NaN stays NaN."""
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(numbers, np.float64)
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(values)])


def bool_array(flags: np.ndarray) -> pa.Array:
    """Return flags as an array without nulls: a mask to filter by."""
    import numpy as np
    import pyarrow as pa

    bits = np.packbits(np.ascontiguousarray(flags, bool), bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(bits)])


def text_array(texts: Sequence[str]) -> pa.Array:
    """Return texts as an array."""
    import numpy as np
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def array_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return floats, whole numbers, flags or texts, None among them, as an array of that type.

    Raises OverflowError for a number of more than 64 bits and UnicodeEncodeError for a text that is no Unicode.
    """
    import numpy as np
    import pyarrow as pa

    if "pandas" in sys.modules or len(values) > _LONG:
        return pa.array(values, kind)
    valid = np.fromiter((value is not None for value in values), bool, len(values))
    lacking = len(values) - int(np.count_nonzero(valid))
    bits = pa.py_buffer(np.packbits(valid, bitorder="little")) if lacking else None
    if pa.types.is_string(kind):
        encoded = [b"" if value is None else value.encode() for value in values]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=ends[1:])
        if ends[-1] < 2**31:
            buffers = [bits, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(encoded))]
            return pa.Array.from_buffers(kind, len(values), buffers, lacking)
    elif kind in (pa.float64(), pa.int64(), pa.int32(), pa.bool_()):
        whole = [0 if value is None else value for value in values] if lacking else values
        if pa.types.is_boolean(kind):
            data = np.packbits(np.fromiter(whole, bool, len(values)), bitorder="little")
        else:
            data = np.fromiter(whole, kind.to_pandas_dtype(), len(values))
        return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(data)], lacking)
    return pa.array(values, kind)


def numpy_of(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column of numbers or flags without nulls as an array of NumPy."""
    import numpy as np
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    start, end = array.offset, array.offset + len(array)
    if pa.types.is_boolean(array.type):
        bits = np.frombuffer(array.buffers()[1], np.uint8) if end else np.zeros(0, np.uint8)
        return np.unpackbits(bits, count=end, bitorder="little")[start:].astype(bool)
    kind = array.type.to_pandas_dtype()
    return np.frombuffer(array.buffers()[1], kind, count=end)[start:] if end else np.zeros(0, kind)


def texts_of(column: pa.ChunkedArray) -> np.ndarray:
    """Return ASCII texts as an array; ids are all of one length, and a million of them need no objects of Python."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    sizes = pc.min_max(pc.binary_length(array))
    size = sizes["max"].as_py()
    if not size:
        return np.zeros(len(array), "S1")
    if sizes["min"].as_py() != size or array.null_count:
        return np.array([text or "" for text in array.to_pylist()], dtype="S")
    fixed = array.cast(pa.binary()).cast(pa.binary(size))
    return np.frombuffer(fixed.buffers()[1], dtype=f"S{size}", count=len(fixed), offset=fixed.offset * size)
