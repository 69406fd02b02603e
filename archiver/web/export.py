"""Tables and details as bytes: JSON, JSON lines, CSV, Parquet and Arrow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from archiver.errors import ConfigError
from archiver.readable import json_bytes

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


def table_bytes(table: pa.Table, form: str, key: str = "rows") -> bytes:
    """Write a table in one of the formats of TYPES; as JSON it stands under `key`.

    Raises ConfigError for another format.
    """
    if form == "json":
        return json_bytes({key: table.to_pylist(), "count": table.num_rows}, indent=False)
    if form == "jsonl":
        return b"".join(json_bytes(row, indent=False) for row in table.to_pylist())
    out = io.BytesIO()
    if form == "csv":
        import pyarrow.csv as csv

        csv.write_csv(_flat(table), out)
    elif form == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(_storable(table), out, compression="zstd")
    elif form == "arrow":
        import pyarrow as pa

        with pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
    else:
        raise ConfigError(f"format {form[:40]!r} is not known: use {', '.join(TYPES)}")
    return out.getvalue()


def _flat(table: pa.Table) -> pa.Table:
    """Write nested columns as JSON text, which CSV can hold."""
    import pyarrow as pa

    for at, item in enumerate(table.schema):
        if pa.types.is_nested(item.type):
            texts = [
                None if value is None else json_bytes(value, indent=False).decode().strip()
                for value in table[item.name].to_pylist()
            ]
            table = table.set_column(at, item.name, pa.array(texts, pa.string()))
    return table


def _storable(table: pa.Table) -> pa.Table:
    """Drop columns that Parquet has no type for: a struct without fields."""
    import pyarrow as pa

    kept = [
        item.name
        for item in table.schema
        if not (pa.types.is_struct(item.type) and item.type.num_fields == 0)
    ]
    return table.select(kept)
