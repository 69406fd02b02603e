"""Metrics of packed runs, and of loose ones beside them, as one table, of which only what is asked for is put in order."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING

from archiver.format.arrays import int_array, numpy_of
from archiver.format.metrics import is_json, join_tables
from archiver.format.model import Record
from archiver.format.packs import microseconds
from archiver.format.params import PARAMS, asked
from archiver.runs.newest import counting, first_places
from archiver.runs.packed.rows import PackedRows
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
    import pyarrow as pa

    if not packed:
        return reader.metrics(records, columns, newest=newest, history=history, params=params)
    rows = Rows(
        reader, records, packed, columns, universe=universe, newest=newest, history=history, params=params
    )
    found = rows.taken()
    pa.default_memory_pool().release_unused()
    return found if columns is not None else rows.as_saved(found)


class Rows:
    """The rows that count of loose and packed runs: `places` says where they lie in `joined`, in their order.

    The order is that of universes, then newest run first, then as they were saved.
    """

    def __init__(
        self,
        reader: Reader,
        records: Sequence[Record],
        packed: PackedRows,
        columns: Sequence[str] | None,
        *,
        universe: str | None = None,
        newest: str = "strategy",
        history: bool = False,
        params: bool = True,
        again: bool = False,
    ) -> None:
        """Read columns; arguments as `all_metrics` takes them. again: `read` will be asked, too."""
        import numpy as np

        self._reader, self._records, self._packed = reader, records, packed
        self._universe, self._params, self._again = universe, params, again
        self._chosen = counting(records, newest=newest, history=history)
        names = column_names(columns)
        tables: list[pa.Table] = []
        created: list[np.ndarray] = []
        for table, moments in self._sources(_metrics(names)):
            tables.append(table)
            created.append(moments)
        self.joined = self._selected(self._join(tables, names), names)
        tables.clear()
        moments = np.concatenate(created or [np.array([], np.int64)])
        self.places = self._order(moments, newest, history)

    def taken(self) -> pa.Table:
        """Return the rows that count, in their order, from then on `joined`: a column that is not in order goes as soon as it is."""
        import pyarrow as pa

        if _are_in_order(self.joined, self.places):
            return self.joined
        schema, columns = self.joined.schema, self.joined.columns
        self.joined = None
        columns.reverse()
        index = int_array(self.places)
        self.joined = pa.Table.from_arrays([columns.pop().take(index) for _ in schema], schema=schema)
        return self.joined

    def take(self, places: np.ndarray) -> pa.Table:
        """Return the rows at these places."""
        return _taken(self.joined, places)

    def only(self, columns: Sequence[str]) -> pa.Table:
        """Return some of the columns, of the rows that count, in their order."""
        return _taken(self.joined.select(list(columns)), self.places)

    def read(self, columns: Sequence[str], places: np.ndarray) -> pa.Table | None:
        """Read these columns of the rows at a few places: of each source no more stays than is wanted.

        Returns None where what it takes to join all rows, their types, is not alike, where rows have come or gone, and
        for no rows, which say of no column that it is nobody's.
        """
        import numpy as np

        if not len(places):
            return None
        names = column_names(columns) or []
        order = np.argsort(places, kind="stable")
        wanted = places[order]
        found: list[pa.Table] = []
        start = 0
        for table, _ in self._sources(_metrics(names)):
            low, high = np.searchsorted(wanted, [start, start + len(table)])
            found.append(table.take(int_array(wanted[low:high] - start)))
            start += len(table)
        if start != len(self.joined) or not _are_alike(found):
            return None
        table = self._selected(self._join(found, names), names)
        return table.take(int_array(np.argsort(order, kind="stable")))

    def as_saved(self, table: pa.Table) -> pa.Table:
        """Put the columns of a table of these rows in the order in which rows, one after the other, first have them."""
        import pyarrow.compute as pc

        metrics = [name for name in table.column_names if name not in FIRST]
        first = {name: pc.index(table[name].is_valid(), True).as_py() for name in metrics}
        order: list[str] = list(FIRST)
        for at in sorted({place for place in first.values() if place >= 0}):
            keys = self._keys(*(table[name][at].as_py() for name in ("run", "strategy_name")))
            own = [name for name in metrics if first[name] == at]
            order += sorted(own, key=lambda name: keys.get(_key(name, keys), len(keys)))
        return table.select([*order, *(name for name in metrics if first[name] < 0)])

    def _keys(self, run: str, strategy: str) -> dict[str, int]:
        """Return which metric of a row of a small run is the how manyeth; nothing for larger runs."""
        own = [record for record in self._chosen if record.run == run] or self._packed.of([run])
        rows = [row for record in own for row in self._reader.rows(record) if record.tier1 is None]
        return next(
            ({name: at for at, name in enumerate(row)} for row in rows if row["strategy_name"] == strategy),
            {},
        )

    def _sources(self, wanted: Sequence[str] | None) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """Yield tables of rows, and when the run of each was made."""
        import numpy as np

        moments = {record.run: microseconds(record.created) for record in self._chosen}
        for table in self._reader.tables(self._chosen, wanted, params=self._params):
            yield table, np.array([moments[run] for run in table["run"].to_pylist()], np.int64)
        yield from self._packed.metrics(self._universe, wanted, params=self._params, again=self._again)

    def _join(self, tables: Sequence[pa.Table], names: Sequence[str] | None) -> pa.Table:
        return join_tables(tables or [inline_table_of([], _metrics(names), params=self._params)])

    def _selected(self, table: pa.Table, names: Sequence[str] | None) -> pa.Table:
        wanted = _metrics(names)
        if wanted is None:
            return table
        there = set(asked(wanted, table.column_names)) <= set(table.column_names)
        return selected(table, wanted, self._records if there else [*self._records, *self._packed.heads()])

    def _order(self, created: np.ndarray, newest: str, history: bool) -> np.ndarray:
        """Return where the rows that count lie, in their order."""
        import numpy as np

        codes, names = _universes(self.joined)
        places = np.arange(len(created))
        if newest == "universe" and not history:
            last = self._packed.newest()
            for record in self._records:
                moment = microseconds(record.created)
                last[record.universe] = max(moment, last.get(record.universe, moment))
            newer = np.array([last[name] for name in names], np.int64)
            places = np.flatnonzero(created == newer[codes])
            codes, created = codes[places], created[places]
        steps = np.diff(codes)
        if np.any(steps < 0) or np.any(np.diff(created)[steps == 0] > 0):
            order = np.lexsort((-created, codes))
            places, codes = places[order], codes[order]
            del order
        del created, steps
        return places if history else first_places(self.joined["strategy_name"], codes, places)


def _taken(table: pa.Table, places: np.ndarray) -> pa.Table:
    return table if _are_in_order(table, places) else table.take(int_array(places))


def _are_in_order(table: pa.Table, places: np.ndarray) -> bool:
    """Tell whether these places are those of all rows as they lie."""
    import numpy as np

    return len(places) == len(table) and not np.any(np.diff(places) < 0)


def _key(column: str, keys: Container[str]) -> str:
    """Return the key of a row that a column was made of."""
    if column in keys:
        return column
    return PARAMS if column.startswith(f"{PARAMS}.") else column.removesuffix(".text")


def _metrics(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else [name for name in names if name not in FIRST]


def _are_alike(tables: Sequence[pa.Table]) -> bool:
    """Tell whether a few rows of each of these tables have the columns and types that all of them joined have."""
    import pyarrow as pa

    kinds: dict[str, pa.DataType] = {}
    for table in tables:
        for item in table.schema:
            if pa.types.is_null(item.type):
                continue
            if is_json(item) or kinds.setdefault(item.name, item.type) != item.type:
                return False
    return True


def _universes(table: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Return each row's universe as a number that sorts as their names do, and these names."""
    import numpy as np

    coded = table["universe"].combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    codes = numpy_of(coded.indices)
    return (place[codes] if len(names) else codes.astype(np.int64)), [names[at] for at in order]
