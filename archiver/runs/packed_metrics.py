"""Metrics of loose and packed runs as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archiver.format.metrics import join_tables
from archiver.format.model import Record
from archiver.format.packs import microseconds
from archiver.runs.newest import counting, first_rows
from archiver.runs.packed_rows import PackedRows
from archiver.runs.read import Reader
from archiver.runs.tables import FIRST, column_names, inline_table_of, selected

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def all_metrics(
    reader: Reader,
    records: Sequence[Record],
    packed: PackedRows | None,
    columns: Sequence[str] | None,
    *,
    universe: str | None = None,
    newest: str = "strategy",
    history: bool = False,
    params: bool = True,
) -> pa.Table:
    """Return the rows that count as one table, as `Reader.metrics` does, of packed runs too.

    records: newest first, of the universe; packed: of all. Raises what that raises.
    """
    import numpy as np
    import pyarrow as pa

    if not packed:
        return reader.metrics(records, columns, newest=newest, history=history, params=params)
    columns = column_names(columns)
    wanted = None if columns is None else [name for name in columns if name not in FIRST]
    chosen = counting(records, newest=newest, history=history)
    moments = {record.run: microseconds(record.created) for record in chosen}
    tables: list[pa.Table] = []
    created: list[np.ndarray] = []
    for table in reader.tables(chosen, wanted, params=params):
        tables.append(table)
        created.append(np.array([moments[run] for run in table["run"].to_pylist()], np.int64))
    for found, at in packed.metrics(universe, wanted, params=params):
        tables.append(found)
        created.append(at)
    joined = join_tables(tables or [inline_table_of([], wanted, params=params)])
    tables.clear()  # what is not sorted yet goes as soon as it is
    joined = _in_order(
        joined, np.concatenate(created or [np.array([], np.int64)]), records, packed, newest, history
    )
    pa.default_memory_pool().release_unused()
    if not history:
        joined = first_rows(joined)
    return joined if wanted is None else selected(joined, wanted, [*records, *packed.heads()])


def _in_order(
    table: pa.Table,
    created: np.ndarray,
    records: Sequence[Record],
    packed: PackedRows,
    newest: str,
    history: bool,
) -> pa.Table:
    """Sort rows by universe, then newest run first, then as they were saved; leave out what no newest run has."""
    import numpy as np

    codes, names = _universes(table)
    if newest == "universe" and not history:
        last = packed.newest()
        for record in records:
            last[record.universe] = max(microseconds(record.created), last.get(record.universe, -(2**63)))
        keep = created == np.array([last[name] for name in names], np.int64)[codes]
        table, codes, created = table.filter(keep), codes[keep], created[keep]
    if len(created) > 1 and (np.any(np.diff(codes) < 0) or np.any(np.diff(created)[np.diff(codes) == 0] > 0)):
        table = table.take(np.lexsort((-created, codes)))
    return table


def _universes(table: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Return each row's universe as a number that sorts as their names do, and these names."""
    import numpy as np

    coded = table["universe"].combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    codes = coded.indices.to_numpy(zero_copy_only=False)
    return (place[codes] if len(names) else codes.astype(np.int64)), [names[at] for at in order]
