"""Tables as bytes, piece by piece: JSON, JSON lines, CSV, Parquet and Arrow. Never holds a second copy of a table."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import json_bytes
from archiver.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.rows import Rows

TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
PIECE = 2_000
"""Rows that are text or Python objects at once."""
_ROW_GROUP = 20_000
_maker = ThreadPoolExecutor(1, "archiver-web-export")


def stream(rows: Rows, form: str, key: str = "rows", total: int | None = None) -> Iterator[bytes]:
    """Write rows in one of the formats of TYPES; as JSON they stand under `key`, with their count and the total.

    Raises ConfigError for another format, before the first piece is asked for.
    """
    if form == "json":
        return _json(rows, key, len(rows) if total is None else total)
    if form == "jsonl":
        return _lines(rows)
    if form in ("csv", "parquet", "arrow"):
        return _written(rows, form)
    raise ConfigError(f"format {form[:40]!r} is not known: use {', '.join(TYPES)}")


def apart(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces that one thread makes for all: what a thread once allocated it keeps, and servers have many."""
    try:
        while (piece := _maker.submit(next, pieces, None).result()) is not None:
            yield piece
    finally:
        _maker.submit(_tidy)


def _tidy() -> None:
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _json(rows: Rows, key: str, total: int) -> Iterator[bytes]:
    yield json_bytes(key, indent=False).strip().join((b"{", b":["))
    for at, piece in enumerate(rows.pieces(PIECE)):
        yield (b"," if at else b"") + json_bytes(piece.to_pylist(), indent=False).strip()[1:-1]
    yield b'],"count":%d,"total":%d}\n' % (len(rows), total)


def _lines(rows: Rows) -> Iterator[bytes]:
    for piece in rows.pieces(PIECE):
        yield b"".join(json_bytes(row, indent=False) for row in piece.to_pylist())


class _Outbox(io.RawIOBase):
    """A file that hands on what was written to it."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting.append(bytes(data))
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        taken, self._waiting = b"".join(self._waiting), []
        return taken


def _written(rows: Rows, form: str) -> Iterator[bytes]:
    out = _Outbox()
    fit = {"csv": _flat, "parquet": _storable}.get(form, lambda table: table)
    with _writer(out, form, fit(rows.slice(0, 0).read()).schema) as writer:
        for piece in rows.pieces(_ROW_GROUP if form == "parquet" else PIECE):
            writer.write_table(fit(piece))
            yield out.take()
    yield out.take()


def _writer(out: _Outbox, form: str, schema: pa.Schema) -> Any:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    if form == "csv":
        return csv.CSVWriter(out, schema)
    if form == "parquet":
        return pq.ParquetWriter(out, schema, compression="zstd")
    return pa.ipc.new_stream(out, schema)


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
