"""Tables with their types: what a frame has that rows of plain data have not is kept as its Arrow schema, and put back.

Columns are stored as plain numbers and texts: moments, dates and durations as the numbers behind them, categories as their
values, decimals as text, bytes as hexadecimal text. What has no such form is plain data, and JSON text in the table.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.columnar import class_name, column_name, has_index
from archiver.format.columns import Column
from archiver.format.rows import decode_column, encode_column
from archiver.format.text import dumps, loads
from archiver.format.values import plain

if TYPE_CHECKING:
    import pyarrow as pa

_JSON = {b"archiver": b"json"}
_CATEGORIES = b"archiver.categories"


def is_frame(value: Any) -> bool:
    """Tell whether a value is a table with types: one of pandas, polars or Arrow."""
    kinds = {class_name(base) for base in type(value).__mro__}
    return bool(
        kinds
        & {("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table"), ("pyarrow", "RecordBatch")}
    )


def to_arrow(frame: Any, where: str) -> pa.Table:
    """Return a frame as an Arrow table whose schema says all of its types, and of pandas the index.

    Raises ConfigError, naming `where`, for columns of one name or of values that cannot be kept.
    """
    import pyarrow as pa

    kinds = {class_name(base) for base in type(frame).__mro__}
    try:
        if ("pandas", "DataFrame") in kinds:
            table = _of_pandas(frame, where)
        elif ("polars", "DataFrame") in kinds:
            table = frame.to_arrow()
        else:
            table = frame if isinstance(frame, pa.Table) else pa.Table.from_batches([frame])
    except ConfigError:
        raise
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())[:200]}") from None
    if len(set(table.column_names)) != len(table.column_names):
        raise ConfigError(
            f"{where}: a table has two columns of one name among {', '.join(table.column_names)}: rename one"
        )
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        array = column.combine_chunks()
        array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
        kept, values = _with_categories(field, array, f"{where}.{field.name}")
        if not _is_simple(kept.type):
            kept, values = _as_text(field.name, values.to_pylist(), f"{where}.{field.name}")
        fields.append(kept)
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=table.schema.metadata))


def _as_text(name: str, values: list[Any], where: str) -> tuple[pa.Field, pa.Array]:
    """Return values of any kind as text: as they are where plain data makes texts of all of them, else as JSON."""
    import pyarrow as pa

    kept = plain(values, where)
    if set(map(type, kept)) <= {str, type(None)}:
        try:
            return pa.field(name, pa.string()), pa.array(kept, pa.string())
        except UnicodeEncodeError:
            pass
    texts = [None if value is None else dumps(value) for value in kept]
    return pa.field(name, pa.string(), metadata=_JSON), pa.array(texts, pa.string())


def _of_pandas(frame: Any, where: str) -> pa.Table:
    import pyarrow as pa

    frame = frame.copy(deep=False)
    names = [column_name(name) for name in frame.columns.tolist()]
    if len(set(names)) != len(names):
        raise ConfigError(
            f"{where}: a table has two columns of one name among {', '.join(names)}: rename one"
        )
    frame.columns = names
    texts = {}
    for name in names:
        dtype = frame[name].dtype
        if class_name(type(dtype))[1] == "SparseDtype":
            frame[name] = frame[name].sparse.to_dense()
        elif dtype.kind == "c" or (dtype.kind == "O" and not _is_arrows(frame[name].tolist())):
            texts[name] = _as_text(name, frame[name].tolist(), f"{where}.{name}")
    kept = frame.assign(**dict.fromkeys(texts)) if texts else frame
    table = pa.Table.from_pandas(kept, preserve_index=has_index(frame.index))
    for name in names:
        at = table.schema.get_field_index(name)
        if name in texts:
            table = table.set_column(at, *texts[name])
        elif frame[name].dtype.kind == "f" and class_name(type(frame[name].dtype))[0] == "numpy":
            # Arrow makes null of NaN, which is another value.
            table = table.set_column(
                at, table.schema.field(at), pa.array(frame[name].to_numpy(), from_pandas=False)
            )
    return table


def _is_arrows(values: list[Any]) -> bool:
    """Tell whether Arrow has one simple type for objects, and takes none for another: moments with a zone for such without."""
    import pyarrow as pa

    try:
        kind = pa.array(values, from_pandas=True).type
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return all(
            value.tzinfo is not None for value in values if isinstance(value, dt.datetime) and value == value
        )
    return _is_simple(kind)


def _with_categories(field: pa.Field, array: pa.Array, where: str) -> tuple[pa.Field, pa.Array]:
    """Say in a field which categories there are, also those that no row has."""
    import pyarrow as pa

    if not pa.types.is_dictionary(field.type) or not _is_simple(field.type.value_type):
        return (
            (field, array)
            if not pa.types.is_dictionary(field.type)
            else (pa.field(field.name, field.type.value_type), array.dictionary_decode())
        )
    names = dumps(_plain_column(array.dictionary, f"{where}.{field.name}"))
    return field.with_metadata({**(field.metadata or {}), _CATEGORIES: names.encode()}), array


def _is_simple(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(kind):
        return _is_simple(kind.value_type)
    tests = (
        is_.is_integer, is_.is_floating, is_.is_boolean, is_.is_string, is_.is_large_string, is_.is_string_view,
        is_.is_temporal, is_.is_decimal, is_.is_binary, is_.is_large_binary, is_.is_binary_view, is_.is_fixed_size_binary,
        is_.is_null,
    )  # fmt: skip
    return any(test(kind) for test in tests) and not is_.is_interval(kind)


def schema_text(table: pa.Table) -> str:
    """Write the schema of a table as text."""
    return base64.b64encode(table.schema.serialize().to_pybytes()).decode()


def plain_rows(table: pa.Table, where: str) -> list[dict[str, Any]]:
    """Return the rows of a table that `to_arrow` made as they are stored."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        values = _plain_column(column.combine_chunks(), f"{where}.{field.name}")
        if _is_json(field):
            values = [None if text is None else loads(text) for text in values]
        columns.append(values)
    names = table.column_names
    if not names:
        return [{} for _ in range(table.num_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _is_json(field: pa.Field) -> bool:
    return (field.metadata or {}).get(b"archiver") == b"json"


def _plain_column(array: Any, where: str) -> list[Any]:
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _plain_column(array.dictionary_decode(), where)
    if pa.types.is_temporal(kind):
        narrow = kind.bit_width == 32
        return list(array.cast(pa.int32() if narrow else pa.int64()).to_pylist())
    if pa.types.is_decimal(kind):
        return [None if value is None else str(value) for value in array.to_pylist()]
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    values: list[Any] = plain(array.to_pylist(), where)
    return values


def stored_columns(table: pa.Table, where: str) -> dict[str, Column]:
    """Return a table that `to_arrow` made as the columns that its `plain_rows` would be encoded as."""
    found = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        array = column.combine_chunks()
        plainly = None if _is_json(field) else _stored(array)
        if plainly is None or plainly.null_count == len(plainly):
            values = _plain_column(array, f"{where}.{field.name}")
            if _is_json(field):
                values = [None if text is None else loads(text) for text in values]
            found[field.name] = encode_column(values, f"{where}.{field.name}")
        else:
            found[field.name] = Column(plainly)
    return found


def _stored(array: Any) -> pa.Array | None:
    """Return an array as it is stored, where Arrow makes that of it: numbers, texts and flags; None for any other."""
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _stored(array.dictionary_decode())
    try:
        if pa.types.is_temporal(kind):
            return array.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(pa.int64())
        if pa.types.is_floating(kind):
            return (array.cast(pa.float32()) if pa.types.is_float16(kind) else array).cast(pa.float64())
        if pa.types.is_integer(kind):
            return array.cast(pa.int64())
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return array.cast(pa.string())
    except pa.ArrowException:  # more than 64 bits of a number, more than 2 GB of text
        return None
    return array if pa.types.is_boolean(kind) else None


def from_columns(
    columns: Mapping[str, tuple[pa.Array, bool, dict[str, Any]]], rows: int, schema: str
) -> pa.Table:
    """Return a table with the schema that `schema_text` wrote, of columns as `columns_by_key` has them."""
    import pyarrow as pa

    types = read_schema(schema)
    arrays = []
    for field in types:
        array, text, layout = columns.get(field.name, (pa.nulls(rows), False, {}))
        typed = None if text or _is_json(field) else _retyped(array, field)
        if typed is None:
            typed = _typed(decode_column(array, text=text, layout=layout), field)
        arrays.append(typed)
    return _table_of(arrays, types, rows)


def _retyped(array: pa.Array, field: pa.Field) -> pa.Array | None:
    """Return a stored array with the type that it had, where Arrow can make it; None for any other."""
    import pyarrow as pa
    from pyarrow import compute as pc

    kind = field.type
    try:
        if pa.types.is_dictionary(kind):
            names = _typed(loads((field.metadata or {})[_CATEGORIES].decode()), pa.field("", kind.value_type))
            stored = _stored(names)
            if stored is None or stored.type != array.type:
                return None
            codes = pc.index_in(array, value_set=stored).cast(kind.index_type)
            if codes.null_count != array.null_count:
                return None
            return pa.DictionaryArray.from_arrays(codes, names, ordered=kind.ordered)
        if pa.types.is_temporal(kind):
            return array.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
        if pa.types.is_float16(kind):
            return array.cast(pa.float32()).cast(kind)
        simple = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if simple or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return array.cast(kind)
    except pa.ArrowException:
        return None
    return None


def read_schema(schema: str) -> pa.Schema:
    """Return the schema that `schema_text` wrote."""
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema)))


def from_rows(rows: list[dict[str, Any]], schema: str) -> pa.Table:
    """Return a table with the schema that `schema_text` wrote, of rows as they are stored."""
    types = read_schema(schema)
    arrays = [_typed([row.get(field.name) for row in rows], field) for field in types]
    return _table_of(arrays, types, len(rows))


def _table_of(arrays: list[pa.Array], types: pa.Schema, rows: int) -> pa.Table:
    import pyarrow as pa

    bare = [field.with_metadata(_without_ours(field.metadata)) for field in types]
    if not arrays:
        return pa.table({"": pa.nulls(rows)}).select([])
    return pa.Table.from_arrays(arrays, schema=pa.schema(bare, metadata=types.metadata))


def _without_ours(metadata: Any) -> dict[bytes, bytes]:
    return {key: value for key, value in (metadata or {}).items() if key != _CATEGORIES}


def _typed(values: list[Any], field: pa.Field) -> pa.Array:
    import pyarrow as pa

    kind = field.type
    if pa.types.is_dictionary(kind):
        names = loads((field.metadata or {})[_CATEGORIES].decode())
        number = {name: at for at, name in enumerate(names)}
        codes = pa.array([None if value is None else number[value] for value in values], kind.index_type)
        dictionary = _typed(names, pa.field(field.name, kind.value_type))
        return pa.DictionaryArray.from_arrays(codes, dictionary, ordered=kind.ordered)
    if _is_json(field):
        return pa.array([None if value is None else dumps(value) for value in values], kind)
    if pa.types.is_temporal(kind):
        return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
    if pa.types.is_decimal(kind):
        from decimal import Decimal

        return pa.array([None if value is None else Decimal(value) for value in values], kind)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):  # fmt: skip
        return pa.array([None if value is None else bytes.fromhex(value) for value in values], kind)
    if pa.types.is_float16(kind):
        return pa.array(values, pa.float32()).cast(kind)
    return pa.array(values, kind)


def written_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a typed table as plain data: moments as ISO 8601 text, JSON text as what it says."""
    import pyarrow as pa

    from archiver.format.clocks import iso_texts

    columns: list[list[Any]] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        array = column.combine_chunks()
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
        if pa.types.is_timestamp(array.type):
            columns.append(iso_texts(array))
        elif pa.types.is_duration(array.type):
            scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
            columns.append(
                [None if value is None else value / scale for value in array.cast(pa.int64()).to_pylist()]
            )
        elif _is_json(field):
            columns.append([None if text is None else loads(text) for text in array.to_pylist()])
        else:
            columns.append(plain(array.to_pylist()))
    if not columns:
        return [{} for _ in range(table.num_rows)]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
