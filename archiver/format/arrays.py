"""Numbers of NumPy as arrays of Arrow. `pyarrow.array` imports pandas where that is installed, which takes longer than most looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def int_array(numbers: np.ndarray) -> pa.Array:
    """Return whole numbers as an array of int64 without nulls."""
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(numbers, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def bool_array(flags: np.ndarray) -> pa.Array:
    """Return flags as an array without nulls: a mask to filter by."""
    import numpy as np
    import pyarrow as pa

    bits = np.packbits(np.ascontiguousarray(flags, bool), bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(bits)])
