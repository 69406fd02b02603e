"""Tables of runs that know nothing of each other, brought to one schema.

A column has one type in all of them: ints among floats are floats, moments take the finest unit, and UTC where zones
differ. What differs otherwise is JSON text, which its metadata says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.clocks import UNITS
from archiver.format.metrics import is_json, json_field
from archiver.format.text import dumps
from archiver.format.values import plain
from archiver.query.sql_extras import KEYS

if TYPE_CHECKING:
    import pyarrow as pa


def one_schema(tables: Iterable[pa.Table | pa.Schema], *, unknown: bool = False) -> pa.Schema:
    """Return the schema that tables, or tables of these schemas, can be brought to.

    unknown: a column that holds nothing has the type null, which goes with any.
    """
    import pyarrow as pa

    fields: dict[str, list[pa.Field]] = {name: [pa.field(name, pa.string())] for name in KEYS}
    for table in tables:
        known = isinstance(table, pa.Schema)
        for item in table if known else table.schema:
            # Text that is nowhere something goes with any type.
            empty = (
                not known
                and 0 < table.num_rows == table[item.name].null_count
                and pa.types.is_string(item.type)
            )
            own = pa.field(item.name, pa.null()) if empty else item
            fields.setdefault(item.name, []).append(own)
    found = []
    for name, own in fields.items():
        nothing = unknown and all(pa.types.is_null(item.type) for item in own)
        kind = pa.null() if nothing else one_type(name, own)
        found.append(json_field(name, kind, text=_is_mixed(own, kind) and name not in KEYS))
    return pa.schema(found)


def mixed(schemas: Sequence[pa.Schema]) -> set[str]:
    """Return the columns that are text in one schema and something else in another."""
    one = one_schema(schemas)
    return {
        item.name for item in one if is_json(item) and not all(_agrees(schema, item) for schema in schemas)
    }


def _agrees(schema: pa.Schema, item: pa.Field) -> bool:
    at = schema.get_field_index(item.name)
    return at < 0 or is_json(schema.field(at))


def _is_mixed(fields: Sequence[pa.Field], kind: pa.DataType) -> bool:
    """Tell whether a column holds JSON text: it does in one table, or the types that there are do not go together."""
    import pyarrow as pa

    some = [item for item in fields if not pa.types.is_null(item.type)]
    if not some:
        return False
    texts = all(pa.types.is_string(item.type) for item in some)
    return any(map(is_json, some)) or (pa.types.is_string(kind) and not texts)


def one_type(name: str, fields: Sequence[pa.Field]) -> pa.DataType:
    """Return the type that all have, or that all can be brought to."""
    import pyarrow as pa

    is_ = pa.types
    kinds = list(dict.fromkeys(item.type for item in fields if not is_.is_null(item.type)))
    if any(map(is_json, fields)):
        return pa.string()
    if not kinds:
        return pa.timestamp("us") if name == "time" else pa.string()
    if len(kinds) == 1:
        return kinds[0]
    if all(is_.is_integer(kind) or is_.is_floating(kind) for kind in kinds):
        return pa.float64() if any(map(is_.is_floating, kinds)) else pa.int64()
    if all(map(is_.is_timestamp, kinds)):
        zones = {kind.tz for kind in kinds}
        unit = max((kind.unit for kind in kinds), key=UNITS.index)
        return pa.timestamp(unit, zones.pop() if len(zones) == 1 else "UTC" if None not in zones else None)
    return pa.string()


def conform(tables: Sequence[pa.Table], schema: pa.Schema, run: str | None = None) -> pa.Table:
    """Return tables as one of the schema. Raises ConfigError for values that do not fit it."""
    import pyarrow as pa

    try:
        made = [_brought(table, schema) for table in tables]
    except pa.ArrowInvalid as error:
        where = "" if run is None else f" of run {run}"
        raise ConfigError(
            f"values{where} do not fit the type that other runs have ({error!s:.120}): load such runs apart, by run="
        ) from None
    return pa.concat_tables(made) if made else schema.empty_table()


def _brought(table: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    if table.schema.equals(schema, check_metadata=True):
        return table
    columns = []
    for item in schema:
        at = table.schema.get_field_index(item.name)
        if at < 0:
            columns.append(pa.nulls(table.num_rows, item.type))
        else:
            columns.append(_cast(table.column(at), table.schema.field(at), item))
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, given: pa.Field, wanted: pa.Field) -> Any:
    import pyarrow as pa

    if pa.types.is_null(given.type) or column.null_count == len(column):
        return pa.nulls(len(column), wanted.type)
    if is_json(wanted) and not is_json(given):
        texts = [None if value is None else _text(value) for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    if column.type == wanted.type:
        return column
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(wanted.type):
        column = column.cast(pa.timestamp(column.type.unit, wanted.type.tz))
    return column.cast(wanted.type)


def _text(value: Any) -> str:
    try:
        return dumps(plain(value))
    except ConfigError:  # a date, say
        return dumps(str(value))
