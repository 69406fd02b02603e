"""The greatest value of each metric in each packed run, as columns: who ranks runs needs no record of any."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from archiver.format.arrays import numpy_of
from archiver.format.metrics import BOUND, metrics_table
from archiver.format.packs import Pack
from archiver.format.records import to_ranges
from archiver.runs.packs import Packs

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def greatest(packs: Packs, pack: Pack, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return of each metric its greatest value in each run of a pack, as the run's record says it; NaN where it has none.

    Raises IntegrityError for a pack that cannot be read.
    """
    import numpy as np

    found = {name: np.full(pack.runs, np.nan) for name in names if name in pack.ranges}
    if not found:
        return {}
    source = packs.metrics(pack)
    if source is not None:
        of_row = packs.of_row(pack)
        table = metrics_table(source, list(found), params=False, keys=source.facts["keys"])
        for name, scores in found.items():
            if name in table.column_names and _is_number(table.schema.field(name).type):
                _take_greatest(scores, of_row, table[name])
    for row, text in _larger(packs, pack):
        every = orjson.loads(text).get("metrics", {})
        for name, (_, high) in to_ranges({one: every[one] for one in found if one in every}).items():
            found[name][row] = high
    return found


def _take_greatest(scores: np.ndarray, of_row: np.ndarray, column: pa.ChunkedArray) -> None:
    import numpy as np

    values = numpy_of(column.cast("double", safe=False).fill_null(np.nan))
    has = np.flatnonzero(np.abs(values) < BOUND)  # what is NaN is not less either
    rows, values = of_row[has], values[has]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    if len(starts):
        scores[rows[starts]] = np.maximum.reduceat(values, starts)


def _larger(packs: Packs, pack: Pack) -> Iterator[tuple[int, str]]:
    """Yield the rows of runs whose metrics lie in an object of their own, each with what is left of its record."""
    import numpy as np

    has = numpy_of(packs.narrow(pack, ("tier1",))["tier1"].is_valid())
    start = 0
    for group, runs in enumerate(pack.groups):
        own = has[start : start + runs]
        if own.any():
            texts: Sequence[str] = (
                packs.records(pack).read(groups=[group], columns=["record"])["record"].to_pylist()
            )
            yield from ((start + at, texts[at]) for at in np.flatnonzero(own).tolist())
        start += runs


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
