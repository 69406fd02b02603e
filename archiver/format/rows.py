"""Rows of dicts as typed columns, exactly: which keys a row has, their order, and where an int stands among floats.

A row's shape lists the numbers of its columns in key order; one whose float is an int counts as -1 - number. Where
shapes differ, one small column holds each row's: its number in the layout, or where there are many, the list itself.
The layout holds only what Arrow's types do not say; for regular rows it is empty:

text    names of columns that hold JSON text
dicts   layout of each column of dicts, where it is not empty
windows column of windows -> column that holds as text what fits no tape, or null
keys    physical column name -> key, where they differ
shape   name of the shape column
shapes  the shapes that rows have; null for all columns in order
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.columns import Column, Values, decode_values, encode_text, encode_values, plain_values

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_LEVELS = 8
"""Dicts in dicts are columns down to here, and text below: readers of Parquet have limits."""
_MOST_SHAPES = 256
"""With more shapes than this, each row lists its own."""
_MOST_KEYS = 1_000
"""With more keys than this, keys vary like data do: columns do not pay."""

_BLOCK = 4_096
"""Rows whose values are taken at once."""

Row = Mapping[str, Any]


@dataclass(slots=True)
class Encoded:
    """Encoded rows: physical column names, their arrays, and the layout that decoding needs."""

    names: list[str]
    arrays: list[pa.Array]
    layout: dict[str, Any]


def encode_rows(
    rows: Sequence[Row], where: str, given: Mapping[str, Column] | None = None, depth: int = 0
) -> Encoded | None:
    """Encode dicts as columns; `given` holds columns that are encoded already.

    Returns None where rows differ so much in their keys that columns do not pay: store them as text.
    Raises ConfigError, naming `where`, for a key or value that cannot be kept.
    """
    encoder = RowsEncoder(where, depth=depth)
    encoder.add(rows, given or {})
    return encoder.finish()


class RowsEncoder:
    """Encodes rows chunk by chunk, so that only columns are held, not dicts."""

    def __init__(self, where: str, most_keys: int = _MOST_KEYS, depth: int = 0) -> None:
        self._depth = depth
        self._where = where
        self._most_keys = most_keys
        self._keys: dict[str, None] = {}
        self._chunks: list[tuple[dict[str, Column], int]] = []
        self._keysets: dict[tuple[str, ...], int] = {}
        self._of_row: list[int] = []

    def add(self, rows: Sequence[Row], given: Mapping[str, Column] | None = None) -> None:
        """Encode some more rows. Raises ConfigError for a key or value that cannot be kept."""
        keysets = self._keysets
        before = len(keysets)
        of_row, regular = self._number(rows)
        self._of_row += of_row
        for keyset in list(keysets)[before:]:
            self._keys.update(dict.fromkeys(keyset))
            _check_keys(keyset, self._where)
        if len(self._keys) > self._most_keys:
            return
        known = list(keysets)
        keys = list(dict.fromkeys(key for at in dict.fromkeys(of_row) for key in known[at]))
        # Popped, so that values which only this chunk holds go as soon as they are encoded.
        lists = _transposed(rows, keys) if regular else {}
        columns: dict[str, Column] = {}
        for key in keys:
            if given and key in given:
                columns[key] = given[key]
                continue
            values = lists.pop(key) if regular else [row.get(key) for row in rows]
            columns[key] = encode_column(values, f"{self._where}.{key}", self._depth)
        self._chunks.append((columns, len(rows)))

    def _number(self, rows: Sequence[Row]) -> tuple[list[int], bool]:
        """Return the number of each row's keys, and whether all rows have the same ones in the same order."""
        keysets = self._keysets
        first = list(rows[0]) if rows else []
        if rows and all(list(row) == first for row in rows):
            return [keysets.setdefault(tuple(first), len(keysets))] * len(rows), True
        return [keysets.setdefault(tuple(row), len(keysets)) for row in rows], False

    def add_columns(self, columns: dict[str, Column], rows: int) -> None:
        """Take some more rows as columns that are encoded already; each row has all of them."""
        keyset = tuple(columns)
        self._of_row += [self._keysets.setdefault(keyset, len(self._keysets))] * rows
        self._keys.update(dict.fromkeys(keyset))
        _check_keys(keyset, self._where)
        self._chunks.append((columns, rows))

    @property
    def held(self) -> int:
        """Number of rows that are held as columns."""
        return sum(rows for _, rows in self._chunks)

    @property
    def keys(self) -> list[str]:
        """All keys that rows have so far."""
        return list(self._keys)

    @property
    def keysets(self) -> list[tuple[str, ...]]:
        """The keys that rows have, in their order, by number."""
        return list(self._keysets)

    def take(self) -> tuple[dict[str, Column], list[int]]:
        """Return the columns of the rows that are held, and the number of each row's keys, and hold them no more."""
        rows, columns = self.held, self._joined()
        self._chunks = []
        return columns, self._of_row[len(self._of_row) - rows :]

    def hold(self, chunks: Iterable[tuple[dict[str, Column], int]]) -> None:
        """Hold columns that were taken again, before those that are held; each chunk with its number of rows."""
        self._chunks = [*chunks, *self._chunks]

    def finish(self) -> Encoded | None:
        """Return all rows as columns, or None where there are too many keys for columns, or none."""
        if not 0 < len(self._keys) <= self._most_keys:
            return None
        columns = self._joined()
        return assemble(columns, *Shapes().of(self.keysets, self._of_row, columns))

    def _joined(self) -> dict[str, Column]:
        return {
            key: join_columns(
                # A key at a time: a chunk's column goes as soon as it is joined.
                [(chunk.pop(key, None), rows) for chunk, rows in self._chunks],
                f"{self._where}.{key}",
            )
            for key in self._keys
        }


def decode_rows(
    names: Sequence[str],
    arrays: Sequence[pa.Array],
    layout: Mapping[str, Any],
    decoded: Mapping[str, list[Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows that `encode_rows` was given, from columns in their order.

    `decoded` holds the values of columns that the caller has decoded.
    """
    shape_name = layout.get("shape")
    text = frozenset(layout.get("text", ()))
    dicts = layout.get("dicts", {})
    keys, columns, shape_of = [], [], None
    for name, array in zip(names, arrays, strict=True):
        if name == shape_name:
            shape_of = array.to_pylist()
            continue
        keys.append(layout.get("keys", {}).get(name, name))
        if decoded and name in decoded:
            columns.append(decoded[name])
        else:
            columns.append(decode_column(array, text=name in text, layout=dicts.get(name, {})))
    shapes: list[Any] | None = layout.get("shapes")
    if shapes is None and shape_of is None:
        return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
    if shape_of is None:
        shape_of = [0] * len(columns[0])
    every = list(range(len(keys)))
    rows = []
    for at, shape in enumerate(shape_of):
        # The row of a null dict has no shape; whoever holds the dicts puts None there.
        numbers = [] if shape is None else shape if shapes is None else shapes[shape]
        rows.append(_shaped(keys, columns, every if numbers is None else numbers, at))
    return rows


def _shaped(keys: list[str], columns: list[list[Any]], numbers: list[int], at: int) -> dict[str, Any]:
    return {
        keys[number if number >= 0 else -1 - number]: columns[number][at]
        if number >= 0
        else int(columns[-1 - number][at])
        for number in numbers
    }


def _transposed(rows: Sequence[Row], keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of rows that have all of these keys in this order as a list for each key."""
    lists: list[list[Any]] = [[] for _ in keys]
    for start in range(0, len(rows), _BLOCK):
        # Row by row, for a row's values lie together in memory; by key they would be fetched anew for every key.
        flat = list(chain.from_iterable(row.values() for row in rows[start : start + _BLOCK]))
        for at, own in enumerate(lists):
            own.extend(flat[at :: len(keys)])
    return dict(zip(keys, lists, strict=True))


def _check_keys(keys: Sequence[Any], where: str) -> None:
    for key in keys:
        if not isinstance(key, str):
            raise ConfigError(f"{where} has the key {key!r}: keys must be text, write it as {str(key)!r}")


class Shapes:
    """Numbers the shapes of rows, in the order in which rows have them first."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], int] = {}

    def of(
        self, keysets: Sequence[tuple[str, ...]], keyset_of: Sequence[int], columns: Mapping[str, Column]
    ) -> tuple[list[list[int]], Sequence[int]]:
        """Return all shapes so far, and the number of each row's, from the number of its keys and from the columns."""
        known = self._known
        numbers = {key: at for at, key in enumerate(columns)}
        plain = [[numbers[key] for key in keyset] for keyset in keysets]
        ints: dict[int, set[int]] = {}
        for key, column in columns.items():
            for row in column.ints:
                ints.setdefault(row, set()).add(numbers[key])
        if not ints:
            number = {at: known.setdefault(tuple(plain[at]), len(known)) for at in dict.fromkeys(keyset_of)}
            same = all(at == own for at, own in number.items())
            of_row = keyset_of if same else [number[at] for at in keyset_of]
            return [list(shape) for shape in known], of_row
        of_row = []
        for row, keyset in enumerate(keyset_of):
            marked = ints.get(row, ())
            shape = tuple(-1 - number if number in marked else number for number in plain[keyset])
            of_row.append(known.setdefault(shape, len(known)))
        return [list(shape) for shape in known], of_row


def assemble(columns: Mapping[str, Column], shapes: list[list[int]], shape_of: Sequence[int]) -> Encoded:
    """Return columns with their layout; shapes: those that rows have, shape_of: the number of each row's."""
    import pyarrow as pa

    names: list[str] = []
    layout: dict[str, Any] = {}
    for key, column in columns.items():
        name = _physical(key, names)
        names.append(name)
        if name != key:
            layout.setdefault("keys", {})[name] = key
        if column.text:
            layout.setdefault("text", []).append(name)
        if column.window:
            layout.setdefault("windows", {})[name] = None
        if column.layout:
            layout.setdefault("dicts", {})[name] = column.layout
    arrays = [column.array for column in columns.values()]
    every = list(range(len(names)))
    for name, column in zip(list(names), columns.values(), strict=True):
        if column.full is not None:
            layout["windows"][name] = _physical(f"{name}_full", names)
            names.append(layout["windows"][name])
            arrays.append(column.full)
    if len(shapes) > 1:
        layout["shape"] = _physical("_shape", names)
        names.append(layout["shape"])
        listed = len(shapes) > _MOST_SHAPES
        values: Sequence[Any] = [shapes[shape] for shape in shape_of] if listed else shape_of
        arrays.append(pa.array(values, pa.list_(pa.int64()) if listed else pa.int64()))
    if len(shapes) <= _MOST_SHAPES and shapes != [every]:
        layout["shapes"] = [None if shape == every else shape for shape in shapes]
    return Encoded(names, arrays, layout)


def _physical(key: str, taken: Sequence[str]) -> str:
    """Return a column name for the key: itself where Parquet can hold it and nothing has it yet."""
    name = key.encode("ascii", "backslashreplace").decode() if not _encodable(key) else key
    return free_name(name or "_", taken)


def free_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with as many `_` behind it as make it differ from those taken."""
    while name in taken:
        name += "_"
    return name


def _encodable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in key


def encode_column(values: Values, where: str, depth: int = 0) -> Column:
    """Encode the values of one key; None stands for None and for a missing value.

    Raises ConfigError, naming `where`, for a value that cannot be kept.
    """
    values, kinds = plain_values(values, where)
    if kinds == {dict} and depth < _MOST_LEVELS:
        return _encode_dicts(values, where, depth)
    return encode_values(values, kinds, where)


def columns_by_key(
    names: Sequence[str], arrays: Sequence[pa.Array], layout: Mapping[str, Any]
) -> dict[str, tuple[pa.Array, bool, dict[str, Any]]]:
    """Return the columns that `encode_rows` made by key: the array, whether it is JSON text, and its layout."""
    texts, dicts = layout.get("text", ()), layout.get("dicts", {})
    return {
        layout.get("keys", {}).get(name, name): (array, name in texts, dicts.get(name, {}))
        for name, array in zip(names, arrays, strict=True)
        if name != layout.get("shape")
    }


def decode_column(array: pa.Array, *, text: bool, layout: dict[str, Any]) -> list[Any]:
    """Return the values that `encode_column` was given, but for ints among floats, which rows put back."""
    import pyarrow as pa

    if pa.types.is_struct(array.type) and not text:
        return _decode_dicts(array, layout)
    return decode_values(array, text=text)


def join_columns(pieces: Sequence[tuple[Column | None, int]], where: str) -> Column:
    """Join one key's columns of successive chunks, each with its number of rows; None where no row has the key."""
    import pyarrow as pa

    if len(pieces) == 1 and pieces[0][0] is not None:
        return pieces[0][0]
    real = [
        column for column, _ in pieces if column is not None and column.array.null_count < len(column.array)
    ]
    alike = len({(str(column.array.type), column.text) for column in real}) <= 1
    if not alike or any(column.layout for column in real):
        return encode_column([value for column, rows in pieces for value in _values(column, rows)], where)
    kind = real[0].array.type if real else pa.string()
    arrays, ints, at = [], [], 0
    for column, rows in pieces:
        arrays.append(column.array if column is not None and column in real else pa.nulls(rows, kind))
        ints += [at + row for row in column.ints] if column else []
        at += rows
    return Column(pa.concat_arrays(arrays), text=not real or real[0].text, ints=ints)


def _values(column: Column | None, rows: int) -> list[Any]:
    return [None] * rows if column is None else column_values(column)


def column_values(column: Column) -> list[Any]:
    """Return the values that a column was encoded from."""
    values = decode_column(column.array, text=column.text, layout=column.layout)
    for row in column.ints:
        values[row] = int(values[row])
    return values


def _encode_dicts(values: Values, where: str, depth: int) -> Column:
    import pyarrow as pa

    present = [value for value in values if value is not None]
    encoded = encode_rows(present, where, depth=depth + 1)
    if encoded is None:
        return encode_text(values, where)
    arrays, mask = encoded.arrays, None
    if len(present) < len(values):
        places = iter(range(len(present)))
        take = pa.array([None if value is None else next(places) for value in values], pa.int64())
        arrays = [array.take(take) for array in arrays]
        mask = take.is_null()
    return Column(pa.StructArray.from_arrays(arrays, encoded.names, mask=mask), layout=encoded.layout)


def _decode_dicts(array: pa.StructArray, layout: dict[str, Any]) -> list[dict[str, Any] | None]:
    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    rows: list[dict[str, Any] | None] = []
    rows.extend(decode_rows(names, array.flatten(), layout))
    if array.null_count:
        rows = [row if there else None for row, there in zip(rows, array.is_valid().to_pylist(), strict=True)]
    return rows
