"""Parquet bytes: how tables are written small and readable by others, and read by verified ranges.

Statistics and the stored Arrow schema are left out: they are most of a small file. What Arrow's types do not say
stands as JSON in the file's key-value metadata under `archiver`.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from archiver.errors import ArchiverError, ConfigError, FormatError, IntegrityError
from archiver.format import layout
from archiver.format.model import Ref
from archiver.format.text import dumps, loads

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT = 1
NEWEST = 2
"""The format of a table without anything new, and the newest that is read."""
_KEY = b"archiver"
_LEVEL = 6
_WHOLE = 256 * 1024
"""Objects up to this size are read in one request: a second one costs more than the bytes."""
_FEW_ROWS = 2_000
_FEW_ROWS_HELD, _ROWS_A_BYTE = 1_000_000, 64
"""Rows that so many bytes can hold. Consecutive names alone, which differ in every row, take 0.07 each."""
_FEW_HELD, _HELD_A_BYTE = 64 << 20, 1_024
"""Values in all columns and lists, and unpacked bytes of these."""

_BROKEN = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, OSError)
"""What decoders raise for bytes that are none of ours."""

Fetch = Callable[[int, int], bytes]
"""Reads the bytes from a start to an end offset of one object."""


def write_parquet(tables: Iterable[pa.Table], facts: dict[str, Any], *, parts: str) -> tuple[bytes, Ref]:
    """Write tables as the row groups of one Parquet file.

    `parts` is "column" or "group": what a reader will want alone. Returns the bytes, and a Ref without its key.
    """
    writer = ParquetWriter()
    for table in tables:
        writer.add(table)
    return writer.finish(facts, parts=parts)


class ParquetWriter:
    """Writes one Parquet file in memory, a row group at a time."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._writer: pq.ParquetWriter | None = None
        self._held = 0

    def add(self, table: pa.Table) -> None:
        """Write a table as a row group; the first one says how all are encoded."""
        import pyarrow.parquet as pq

        self._held += table.nbytes
        if self._writer is None:
            dictionary, encodings = _encodings(table)
            self._writer = pq.ParquetWriter(
                self._out,
                table.schema,
                compression="zstd",
                compression_level=_LEVEL,
                use_dictionary=dictionary,
                column_encoding=encodings,
                dictionary_pagesize_limit=8 << 20,
                write_statistics=False,
                store_schema=False,
            )
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def finish(self, facts: dict[str, Any], *, parts: str) -> tuple[bytes, Ref]:
        """Return the bytes of the file, with `facts` in it, and a Ref without its key; parts: see `write_parquet`."""
        if self._writer is None:
            raise ValueError("a Parquet file needs at least one table")
        self._writer.add_key_value_metadata({_KEY: dumps({"format": FORMAT, **facts}).encode()})
        self._writer.close()
        data = self._out.getvalue()
        if self._held > _FEW_HELD:
            _check_readable(data)
        return data, ref_of("", data, _boundaries(data, parts))

    def take_back(self) -> Iterator[pa.Table]:
        """Yield the tables that were written; there will be no file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is not None:
            self._writer.close()
            file = pq.ParquetFile(pa.BufferReader(self._out.getvalue()))
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, use_threads=False)


def _check_readable(data: bytes) -> None:
    """Refuse what readers would take for a bomb. Raises ConfigError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_bounds(pq.read_metadata(pa.BufferReader(data)), "a table", len(data))
    except IntegrityError:
        raise ConfigError(
            f"results repeat the same values so often that {len(data):,} bytes hold them all, which no reader would"
            " believe: leave out curves and metrics that never change"
        ) from None


def ref_of(key: str, data: bytes, ends: Sequence[int] = ()) -> Ref:
    """Describe an object's bytes: size, sha256, and the sha256 of each part that ends at one of `ends`."""
    view = memoryview(data)
    starts = [0, *ends]
    parts = tuple(
        (end, hashlib.sha256(view[start:end]).hexdigest()) for start, end in zip(starts, ends, strict=False)
    )
    return Ref(key, len(data), hashlib.sha256(data).hexdigest(), parts)


def check(ref: Ref, data: bytes) -> bytes:
    """Return the bytes if they are the object's; IntegrityError if not."""
    if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
        wrong = (
            "its content is not what its record says"
            if len(data) == ref.size
            else f"it has {len(data):,} bytes instead of {ref.size:,}"
        )
        raise IntegrityError(f"{ref.key} is damaged: {wrong}; run `archiver verify --read-data`")
    return data


@contextmanager
def decoding(key: str) -> Iterator[None]:
    """Turn what breaks while an object is decoded, whose bytes are as promised, into IntegrityError."""
    try:
        yield
    except ArchiverError:
        raise
    except _BROKEN as error:
        why = str(error).partition("\n")[0][:120] or type(error).__name__
        raise IntegrityError(f"{key} is damaged: it is no table of archiver's ({why})") from None


def check_bounds(metadata: pq.FileMetaData, key: str, size: int, rows: int | None = None) -> None:
    """Make sure that a table unpacks to what its bytes can hold, before any of it is unpacked.

    size: of the object in bytes; rows: how many its record promises, None where it says nothing. Raises
    IntegrityError.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    held = sum(group.num_rows for group in groups)
    if rows is not None and held != rows:
        raise IntegrityError(f"{key} is damaged: it has {held:,} rows, and its record says {rows:,}")
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    values = sum(chunk.num_values for chunk in chunks)
    plain = sum(chunk.total_uncompressed_size for chunk in chunks)
    if held > _FEW_ROWS_HELD + _ROWS_A_BYTE * size or max(values, plain) > _FEW_HELD + _HELD_A_BYTE * size:
        raise IntegrityError(
            f"{key} is damaged: it claims {held:,} rows with {values:,} values in {plain:,} bytes, more than"
            f" {size:,} bytes can hold"
        )


def _check_type(kind: pa.DataType, key: str) -> None:
    """Refuse a column of a type that no save writes: it would end whatever it is joined with."""
    import pyarrow as pa

    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        for at in range(kind.num_fields):
            _check_type(kind.field(at).type, key)
    elif key.startswith(layout.CLOCKS) and pa.types.is_timestamp(kind):
        return
    elif kind not in (pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.null()):
        raise IntegrityError(f"{key} is damaged: it has a column of {kind}, which no table of archiver's has")


class ParquetObject:
    """One Parquet object of an archive: reads what is asked for, and verifies every byte it uses."""

    def __init__(self, ref: Ref, fetch: Fetch, *, whole: bool = False, rows: int | None = None) -> None:
        """Read the footer, or all at once where `whole` says that most of the object will be needed.

        rows: how many the record promises. Raises IntegrityError for what the record does not describe.
        """
        self.key = ref.key
        self._ref = ref
        self._fetch = fetch
        self._image: mmap.mmap | bytes = b""
        self._have: set[int] = set()
        self._lock = threading.Lock()
        self._last: tuple[Any, pa.Table | None] = (None, None)
        if whole or ref.size <= _WHOLE or len(ref.parts) < 2:
            self._whole()
        else:
            self._load([len(ref.parts) - 1])
        with decoding(ref.key):
            self.file: pq.ParquetFile = self._open()
            check_bounds(self.file.metadata, ref.key, ref.size, rows)
            self.facts = self._facts()

    @property
    def schema(self) -> pa.Schema:
        """The types of its columns."""
        return self.file.schema_arrow

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        names: list[str] = self.file.schema_arrow.names
        return names

    def read(self, *, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Read row groups (all) and columns (all; a nested column by its name or its dotted path).

        What was read last is at hand: strategies of one row group are asked for one after the other.
        """
        wanted = range(self.file.metadata.num_row_groups) if groups is None else groups
        asked = (tuple(wanted), None if columns is None else tuple(columns))
        with self._lock:
            known, table = self._last
            if table is None or known != asked:
                with decoding(self._ref.key):
                    self._need(wanted, columns)
                    table = self.file.read_row_groups(list(wanted), columns=columns, use_threads=False)
                self._last = asked, table
            return table

    def forget(self) -> None:
        """Let go of what was read, when it will not be asked for again: the footer stays."""
        with self._lock:
            self._last = (None, None)
            if isinstance(self._image, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                end = self._ref.parts[-2][0] // mmap.PAGESIZE * mmap.PAGESIZE
                if end:
                    self._image.madvise(mmap.MADV_DONTNEED, 0, end)
                self._have = {len(self._ref.parts) - 1}

    def _open(self) -> pq.ParquetFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.ParquetFile(pa.BufferReader(self._image))
        except pa.ArrowInvalid as error:
            raise FormatError(f"{self._ref.key} is not Parquet: {error}") from error
        for item in found.schema_arrow:
            _check_type(item.type, self._ref.key)
        return found

    def _facts(self) -> dict[str, Any]:
        text = (self.file.metadata.metadata or {}).get(_KEY)
        if text is None:
            raise FormatError(f"{self._ref.key} was not written by archiver: it has no `archiver` metadata")
        facts: dict[str, Any] = loads(text.decode())
        if type(facts) is not dict or type(facts.get("format", 0)) is not int:
            raise IntegrityError(f"{self._ref.key} is damaged: its `archiver` metadata is no table's")
        if facts.get("format", 0) > NEWEST:
            raise FormatError(f"{self._ref.key} is of format {facts['format']}: upgrade archiver to read it")
        return facts

    def _whole(self) -> None:
        self._image = check(self._ref, self._fetch(0, self._ref.size))
        self._have = set(range(len(self._ref.parts)))

    def _need(self, groups: Iterable[int], columns: Sequence[str] | None) -> None:
        if len(self._have) == len(self._ref.parts):
            return
        ends = [end for end, _ in self._ref.parts]
        needed: set[int] = set()
        for number in groups:
            group = self.file.metadata.row_group(number)
            for at in range(group.num_columns):
                chunk = group.column(at)
                if columns is None or any(
                    chunk.path_in_schema == name or chunk.path_in_schema.startswith(name + ".")
                    for name in columns
                ):
                    start = _chunk_start(chunk)
                    last = start + chunk.total_compressed_size - 1
                    needed.update(range(bisect_right(ends, start), bisect_right(ends, last) + 1))
        self._load(sorted(needed - self._have))

    def _load(self, numbers: Sequence[int]) -> None:
        """Fetch parts, neighbours and near ones in one request, and verify each."""
        parts = self._ref.parts
        for first, last in _near(numbers, [end for end, _ in parts]):
            start = parts[first - 1][0] if first else 0
            data = memoryview(self._fetch(start, parts[last][0]))
            for number in range(first, last + 1):
                begin, (end, sha256) = (parts[number - 1][0] if number else 0), parts[number]
                piece = data[begin - start : end - start]
                if len(piece) != end - begin or hashlib.sha256(piece).hexdigest() != sha256:
                    raise IntegrityError(
                        f"{self._ref.key} is damaged between bytes {begin} and {end}: its sha256 differs from the"
                        " record's; run `archiver verify --read-data`"
                    )
            if not self._image:
                # A sparse image: bytes that nobody asked for stay zero and are never looked at. It is made once the
                # last part has shown that the object is as large as the record says.
                # Mapped zeros take no memory until they are written to, and give it back on request.
                self._image = mmap.mmap(-1, self._ref.size)
            self._image[start : start + len(data)] = data  # type: ignore[index]  # parts are only read into zeros
            self._have.update(range(first, last + 1))


def _near(numbers: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    """Join ascending parts to (first, last) where less than a request's worth of bytes lies between."""
    joined: list[tuple[int, int]] = []
    for number in numbers:
        if joined and ends[number - 1] - ends[joined[-1][1]] <= _WHOLE:
            joined[-1] = (joined[-1][0], number)
        else:
            joined.append((number, number))
    return joined


def _chunk_start(chunk: Any) -> int:
    first = chunk.data_page_offset
    return int(min(first, chunk.dictionary_page_offset) if chunk.has_dictionary_page else first)


def _boundaries(data: bytes, parts: str) -> list[int]:
    """Return where parts end: the start of each column chunk or row group but the first, of the footer, and the end."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(data) <= _WHOLE:
        return []
    metadata = pq.read_metadata(pa.BufferReader(data))
    starts = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = range(group.num_columns) if parts == "column" else range(1)
        starts += [_chunk_start(group.column(at)) for at in chunks]
    footer = len(data) - metadata.serialized_size - 8
    starts = sorted(set(starts))
    return [*starts[1 : bisect_left(starts, footer)], footer, len(data)]


def _encodings(table: pa.Table) -> tuple[list[str], dict[str, str]]:
    """Choose each leaf column's encoding: a dictionary where values repeat, else what suits the type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    for path, array in _leaves(table):
        if pa.types.is_boolean(array.type):
            continue
        rows, distinct = len(array), len(pc.unique(array))
        if distinct * 4 < rows or (pa.types.is_floating(array.type) and _dictionary_pays(rows, distinct)):
            dictionary.append(path)
        elif pa.types.is_floating(array.type) and len(array) > _FEW_ROWS:
            encodings[path] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_integer(array.type) or pa.types.is_timestamp(array.type):
            encodings[path] = "DELTA_BINARY_PACKED"
        elif pa.types.is_string(array.type):
            encodings[path] = "DELTA_BYTE_ARRAY"
    return dictionary, encodings


def _dictionary_pays(rows: int, distinct: int) -> bool:
    """Compare the bytes of a dictionary of doubles and its indices with those of doubles that zstd can halve at best."""
    return distinct * 8 + rows * distinct.bit_length() / 8 < rows * 5


def _leaves(table: pa.Table) -> list[tuple[str, pa.Array]]:
    import pyarrow as pa

    def below(path: str, array: pa.Array) -> list[tuple[str, pa.Array]]:
        if pa.types.is_struct(array.type):
            fields = [array.type.field(at).name for at in range(array.type.num_fields)]
            children = zip(fields, array.flatten(), strict=True)
            return [leaf for name, child in children for leaf in below(f"{path}.{name}", child)]
        if pa.types.is_list(array.type):
            return below(f"{path}.list.element", array.flatten())
        return [(path, array)]

    return [leaf for name in table.column_names for leaf in below(name, table[name].combine_chunks())]
