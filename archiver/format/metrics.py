"""Tier 1: the metrics of all strategies of a run, as Parquet; of small runs as JSON text inside the record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from archiver.format.arrays import array_of
from archiver.format.columns import EXACT
from archiver.format.groups import Ranges, RowGroups
from archiver.format.model import Ref
from archiver.format.params import Shown, stored, with_params
from archiver.format.parquet import ParquetObject
from archiver.format.rows import decode_rows, encode_rows, free_name
from archiver.format.text import dumps, loads
from archiver.format.values import place, placed, plain

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 2048
_INLINE_ROWS = 16
_INLINE_BYTES = 16 * 1024
_MOST_METRICS = 20_000
BOUND = 2**63
"""What is not less has no range: JSON readers would not keep it."""
_KIND = b"archiver"
_JSON = b"json"


class MetricsEncoder:
    """Takes rows one by one and holds them as columns."""

    def __init__(self) -> None:
        self._groups = RowGroups("results", _MOST_METRICS)
        self._buffer: list[dict[str, Any]] = []
        self._spilled = False

    def add(self, row: dict[str, Any]) -> None:
        """Take one strategy's row: strategy_name first, then its metrics."""
        self._buffer.append(row)
        if len(self._buffer) >= _CHUNK:
            self._spill()

    def finish(self) -> tuple[str | None, tuple[bytes, Ref] | None, Ranges]:
        """Return the text for the record or else the Parquet bytes with their Ref, and each metric's range.

        Raises ConfigError for a metric that cannot be kept.
        """
        text = self._inline()
        if text is not None:
            return text, None, ranges_of_rows(inline_rows(text))
        self._spill()
        data, ref, ranges = self._groups.finish({"tier": 1})
        return None, (data, ref), ranges

    def _inline(self) -> str | None:
        if self._spilled or len(self._buffer) > _INLINE_ROWS:
            return None
        with placed(lambda: _values(self._buffer)):
            text = dumps([plain(row, place(row["strategy_name"])) for row in self._buffer])
        return text if len(text) <= _INLINE_BYTES else None

    def _spill(self) -> None:
        if self._buffer:
            with placed(lambda: _values(self._buffer)):
                self._groups.add(self._buffer)
            self._buffer = []
            self._spilled = True


def _values(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    return ((place(row["strategy_name"]), row) for row in rows)


def decode_metrics(source: ParquetObject) -> list[dict[str, Any]]:
    """Return every row exactly as it was given: strategy_name, then the metrics in their order."""
    table = source.read()
    arrays = [table[name].combine_chunks() for name in table.column_names]
    return decode_rows(table.column_names, arrays, source.facts["rows"])


def table_metrics(source: ParquetObject) -> set[str]:
    """Return the names of the columns that `metrics_table` gives."""
    layout = source.facts["rows"]
    names = (name for name in source.file.schema_arrow.names if name != layout.get("shape"))
    return {layout.get("keys", {}).get(name, name) for name in names}


def metrics_table(
    source: ParquetObject, columns: Sequence[str] | None, *, params: bool = True, keys: Sequence[str] = ()
) -> pa.Table:
    """Return strategy_name and metrics (all, or those of `columns` that it has) as a table; JSON columns are marked.

    params: show parameters as columns; else they are the dicts that they were saved as. keys: columns that are none.
    """
    read = stored(columns)
    layout = source.facts["rows"]
    apart = {layout.get("shape"), *keys}
    names = [name for name in source.file.schema_arrow.names if name not in apart]
    shown = {name: layout.get("keys", {}).get(name, name) for name in names}
    wanted = [n for n in names if read is None or shown[n] in read or n == "strategy_name"]
    table = source.read(
        columns=None if len(wanted) == len(shown) == len(source.file.schema_arrow.names) else wanted
    )
    return _marked([(shown[name], name, table[name]) for name in wanted], layout, params=params)


def inline_table(
    rows: Sequence[dict[str, Any]], columns: Sequence[str] | None, *, params: bool = True
) -> pa.Table:
    """Return rows of small runs as a table like `metrics_table`."""
    import pyarrow as pa

    read = stored(columns)
    if read is not None:
        keep = {"strategy_name", *read}
        rows = [{key: value for key, value in row.items() if key in keep} for row in rows]
    encoded = encode_rows(rows, "results")
    if encoded is None:
        return pa.table({"strategy_name": array_of([row["strategy_name"] for row in rows], pa.string())})
    layout = encoded.layout
    keys = layout.get("keys", {})
    named = zip(encoded.names, encoded.arrays, strict=True)
    columns_of = [(keys.get(name, name), name, array) for name, array in named if name != layout.get("shape")]
    return _marked(columns_of, layout, params=params)


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables whose columns may differ: a missing column is null, ints join floats.

    A metric that is a number in some tables only keeps its numbers, and what is none stands in `<metric>.text`; one
    that is nowhere a number becomes JSON.
    """
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    tables = [_without_kind(table) for table in tables]
    kinds: dict[str, list[pa.Field]] = {}
    for table in tables:
        for item in table.schema:
            if not pa.types.is_null(item.type):
                kinds.setdefault(item.name, []).append(item)
    mixed = {name for name, fields in kinds.items() if not _joins(fields, tables)}
    if mixed:
        numeric = {name for name in mixed if any(_is_number(item.type) for item in kinds[name])}
        tables = [_numbers_apart(_json_columns(table, mixed), numeric, elsewhere=True) for table in tables]
    joined = pa.concat_tables(tables, promote_options="permissive")
    for at, item in enumerate(joined.schema):
        if pa.types.is_null(item.type):
            joined = joined.set_column(at, item.name, pa.nulls(joined.num_rows, pa.string()))
    return joined


def with_keys(table: pa.Table, universes: pa.Array, runs: pa.Array) -> pa.Table:
    """Put universe and run beside the name of each row's strategy; a metric that is called so steps aside."""
    there = table.column_names
    names = [free_name(f"metrics.{name}", there) if name in ("universe", "run") else name for name in there]
    table = table.rename_columns(names)
    table = table.add_column(0, "universe", universes)
    return table.add_column(2, "run", runs)


def inline_rows(text: str) -> list[dict[str, Any]]:
    """Read the rows that a record holds as text."""
    rows: list[dict[str, Any]] = loads(text)
    return rows


def names_digest(names: Iterable[str]) -> str:
    """Return the sha256 of sorted strategy names: equal where two runs have the same strategies."""
    digest = hashlib.sha256()
    ordered = sorted(names)
    for start in range(0, len(ordered), _CHUNK):  # of a million all at once would take as much again, twice
        text = "\0" * (start > 0) + "\0".join(ordered[start : start + _CHUNK])
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def ranges_of_rows(rows: Iterable[dict[str, Any]]) -> Ranges:
    """Return each numeric metric's least and greatest finite value."""
    numbers: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            if type(value) in (int, float) and -BOUND < value < BOUND:
                numbers.setdefault(key, []).append(value)
    return {key: (min(values), max(values)) for key, values in numbers.items()}


def _marked(columns: Iterable[tuple[str, str, Any]], layout: dict[str, Any], *, params: bool) -> pa.Table:
    """Return columns, each given as its key, its physical name and its array, as a table of the keys."""
    import pyarrow as pa

    texts = set(layout.get("text", ()))
    shown = [Shown(key, array, name in texts) for key, name, array in columns]
    shown = with_params(shown, layout) if params else shown
    fields = [
        pa.field(
            item.name.encode("utf-8", "backslashreplace").decode(),
            item.array.type,
            metadata={_KIND: _JSON} if item.text else None,
        )
        for item in shown
    ]
    table = pa.Table.from_arrays([item.array for item in shown], schema=pa.schema(fields))
    return _numbers_apart(table, {item.name for item in fields if is_json(item)})


def _numbers_apart(table: pa.Table, names: set[str], *, elsewhere: bool = False) -> pa.Table:
    """Part JSON columns that hold numbers, here or `elsewhere`, into these and, as `<name>.text`, everything else."""
    import pyarrow as pa

    for name in names & set(table.column_names):
        at = table.schema.get_field_index(name)
        texts = table[name].to_pylist()
        values = [None if text is None else loads(text) for text in texts]
        numbers = [value if type(value) in (int, float) else None for value in values]
        none = all(number is None for number in numbers)
        if none and not elsewhere:
            continue
        exact = [type(v) is float or (type(v) is int and -EXACT <= v <= EXACT) for v in values]
        whole = all(
            type(number) is int and fits
            for number, fits in zip(numbers, exact, strict=True)
            if number is not None
        )
        kind = pa.null() if none else pa.int64() if whole else pa.float64()
        column = array_of(numbers if whole else list(map(_double, numbers)), kind)
        table = table.set_column(at, name, column)
        rest = [None if fits else text for text, fits in zip(texts, exact, strict=True)]
        if any(text is not None for text in rest):
            apart = free_name(f"{name}.text", table.column_names)
            field = pa.field(apart, pa.string(), metadata={_KIND: _JSON})
            table = table.add_column(at + 1, field, array_of(rest, pa.string()))
    return table


def _double(number: float | None) -> float | None:
    try:
        return None if number is None else float(number)
    except OverflowError:
        return math.inf if number is not None and number > 0 else -math.inf


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _without_kind(table: pa.Table) -> pa.Table:
    """Return the table with columns that hold nothing but null typed as such: they join any other."""
    import pyarrow as pa

    for at, item in enumerate(table.schema):
        if is_json(item) and table[item.name].null_count == table.num_rows:
            table = table.set_column(at, item.name, pa.nulls(table.num_rows))
    return table


def json_field(name: str, kind: pa.DataType, *, text: bool) -> pa.Field:
    """Return a column's name and type; text: it holds JSON text, which its metadata says."""
    import pyarrow as pa

    return pa.field(name, kind, metadata={_KIND: _JSON} if text else None)


def is_json(item: pa.Field) -> bool:
    """Tell whether a column holds JSON text."""
    return (item.metadata or {}).get(_KIND) == _JSON


def _joins(fields: Sequence[pa.Field], tables: Sequence[pa.Table]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    types = {(str(item.type), is_json(item)) for item in fields}
    if len(types) == 1:
        return True
    if types != {("double", False), ("int64", False)}:
        return False
    ints = [table[fields[0].name] for table in tables if fields[0].name in table.column_names]
    bounds = [pc.min_max(column) for column in ints if pa.types.is_integer(column.type)]
    return all(
        not b["min"].is_valid or -EXACT <= b["min"].as_py() <= b["max"].as_py() <= EXACT for b in bounds
    )


def _json_columns(table: pa.Table, names: set[str]) -> pa.Table:
    import pyarrow as pa

    for at, item in enumerate(table.schema):
        if item.name in names:
            column = table[item.name]
            if pa.types.is_null(item.type):
                continue
            if not is_json(item):
                texts = [None if v is None else dumps(plain(v)) for v in column.to_pylist()]
                column = array_of(texts, pa.string())
            table = table.set_column(at, pa.field(item.name, pa.string(), metadata={_KIND: _JSON}), column)
    return table
