"""Many rows as row groups of one Parquet file that are written while the rows come: only one group is held as columns.

The first group says which columns there are. Where a later row has another key, or a value of another type, all that
was written is taken back, and every row is held to the end: only then is known what holds them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.columns import Column
from archiver.format.model import Ref
from archiver.format.parquet import ParquetWriter, write_parquet
from archiver.format.rows import Encoded, Row, RowsEncoder, Shapes, assemble

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 65_536

Ranges = dict[str, tuple[float, float]]


@dataclass(slots=True)
class _Kind:
    """What all groups of a file have alike: the keys and their columns, and the physical table; all without values."""

    columns: dict[str, Column]
    encoded: Encoded

    @classmethod
    def of(cls, columns: Mapping[str, Column], encoded: Encoded) -> _Kind:
        """Return the kind of a group."""
        empty = {
            key: Column(_empty(column.array), text=column.text, layout=column.layout)
            for key, column in columns.items()
        }
        return cls(empty, Encoded(encoded.names, list(map(_empty, encoded.arrays)), encoded.layout))

    def has(self, encoded: Encoded) -> bool:
        """Tell whether a group is of this kind; shapes may have come to those that there are."""
        types = [array.type for array in encoded.arrays]
        mine, its = ({**one.layout, "shapes": None} for one in (self.encoded, encoded))
        return (self.encoded.names, [array.type for array in self.encoded.arrays], mine) == (
            encoded.names,
            types,
            its,
        )

    def completed(self, columns: Mapping[str, Column], rows: int) -> dict[str, Column]:
        """Return a group's columns; one without a value in this group is of the type that it has in others."""
        import pyarrow as pa

        found = {}
        for key, known in self.columns.items():
            column = columns[key]
            if column.array.null_count == rows:
                column = Column(pa.nulls(rows, known.array.type), text=known.text, layout=known.layout)
            found[key] = column
        return found


class RowGroups:
    """Takes rows chunk by chunk and gives one Parquet file."""

    def __init__(self, where: str, most_keys: int, group_rows: int = _GROUP_ROWS) -> None:
        self._group_rows = group_rows
        self._encoder = RowsEncoder(where, most_keys)
        self._most_keys = most_keys
        self._file = ParquetWriter()
        self._kind: _Kind | None = None
        self._shapes = Shapes()
        self._written: list[dict[str, list[int]]] = []
        """Of each written group, the rows of each key that hold an int among floats."""
        self._ranges: Ranges = {}
        self._differ = False

    @property
    def held(self) -> int:
        """Number of rows that are held as columns, and not yet written."""
        return self._encoder.held

    def add(self, rows: Sequence[Row]) -> None:
        """Take some more rows. Raises ConfigError for a key or value that cannot be kept."""
        self._encoder.add(rows)
        if not self._differ and self._encoder.held >= self._group_rows:
            self._write()

    def finish(self, facts: Mapping[str, Any]) -> tuple[bytes, Ref, Ranges]:
        """Return the file's bytes, their Ref without its key, and each number's least and greatest finite value.

        facts: stand in the file beside the layout of its rows. Raises ConfigError where there are too many keys.
        """
        if self._kind is not None and (
            self._encoder.held or len(self._encoder.keys) > len(self._kind.columns)
        ):
            self._write()
        if self._kind is not None:
            layout = self._kind.encoded.layout
            return *self._file.finish({**facts, "rows": layout}, parts="column"), self._ranges
        encoded = self._encoder.finish()
        if encoded is None:
            raise ConfigError(
                f"results have more than {self._most_keys} different metrics: metrics must be few"
            )
        ranges = _ranges(encoded)
        return *write_parquet(
            _groups(encoded, self._group_rows), {**facts, "rows": encoded.layout}, parts="column"
        ), ranges

    def _write(self) -> None:
        """Write the rows that are held as a row group, or else take all groups back."""
        import pyarrow as pa

        kind, keys = self._kind, self._encoder.keys
        if len(keys) > self._most_keys or (kind is not None and len(keys) > len(kind.columns)):
            self._take_back()
            return
        columns, keysets = self._encoder.take()
        group = columns if kind is None else kind.completed(columns, len(keysets))
        encoded = assemble(group, *self._shapes.of(self._encoder.keysets, keysets, group))
        if kind is not None and not kind.has(encoded):
            self._encoder.hold([(columns, len(keysets))])
            self._take_back()
            return
        for key, (least, greatest) in _ranges(encoded).items():
            known = self._ranges.get(key, (least, greatest))
            self._ranges[key] = min(known[0], least), max(known[1], greatest)
        self._file.add(pa.Table.from_arrays(encoded.arrays, encoded.names))
        self._written.append({key: column.ints for key, column in group.items() if column.ints})
        self._kind = _Kind.of(group, encoded)

    def _take_back(self) -> None:
        """Hold all rows that were written to the end."""
        self._differ = True
        if self._kind is not None:
            self._encoder.hold(self._chunks(self._kind))
            self._kind = None

    def _chunks(self, kind: _Kind) -> Iterator[tuple[dict[str, Column], int]]:
        names = dict(zip(kind.columns, kind.encoded.names, strict=False))  # a column of shapes comes last
        for table, ints in zip(self._file.take_back(), self._written, strict=True):
            chunk = {
                key: Column(
                    table[names[key]].combine_chunks(),
                    text=known.text,
                    ints=ints.get(key, []),
                    layout=known.layout,
                )
                for key, known in kind.columns.items()
            }
            yield chunk, table.num_rows


def _empty(array: pa.Array) -> pa.Array:
    """Return an array of the same type without values: a slice would keep the memory of all."""
    import pyarrow as pa

    return pa.nulls(0, array.type)


def _groups(encoded: Encoded, rows: int) -> Iterator[pa.Table]:
    """Yield the rows as row groups. Of many a column goes as it is cut, and a group once it is written."""
    import pyarrow as pa

    starts = range(0, len(encoded.arrays[0]), rows)
    if len(starts) <= 1:
        yield pa.Table.from_arrays(encoded.arrays, encoded.names)
        return
    pieces: list[list[pa.Array]] = [[] for _ in starts]
    while encoded.arrays:
        array = encoded.arrays.pop(0)
        for own, start in zip(pieces, starts, strict=True):
            piece = array.slice(start, rows)
            own.append(pa.concat_arrays([piece.slice(0, 1), piece.slice(1)]))  # two are joined by copying
    while pieces:
        yield pa.Table.from_arrays(pieces.pop(0), encoded.names)


def _ranges(encoded: Encoded) -> Ranges:
    import pyarrow as pa
    import pyarrow.compute as pc

    ranges: Ranges = {}
    for name, column in zip(encoded.names, encoded.arrays, strict=True):
        numbers = column
        if name == encoded.layout.get("shape") or not pa.types.is_primitive(column.type):
            continue
        if pa.types.is_floating(column.type):
            numbers = pc.filter(column, pc.is_finite(column), null_selection_behavior="drop")
        elif not pa.types.is_integer(column.type):
            continue
        least = pc.min_max(numbers)
        if least["min"].is_valid:
            key = encoded.layout.get("keys", {}).get(name, name)
            ranges[key] = (least["min"].as_py(), least["max"].as_py())
    return ranges
