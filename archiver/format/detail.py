"""Tier 2: the full detail of the TOP N as one Parquet object, one row a strategy, a few strategies a row group.

Columns: strategy_name, rank, metrics (JSON text, exact), trades (list of structs), equity_curve, drawdown_curve
(lists of doubles); and only where needed: trades_text, drawdown_rule, `<curve>_ints`, `<curve>_text`, and what
`archiver.format.extras` has of further curves, clocks, tables and files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from archiver.base.suggest import did_you_mean
from archiver.errors import ConfigError
from archiver.format.attached import File
from archiver.format.columns import Column
from archiver.format.extras import (
    Extras,
    Shared,
    as_rows,
    decode_curves,
    decode_files,
    decode_rows_of,
    encode_extras,
    read_curves,
    table_names,
)
from archiver.format.inline import InlineTable, encode_inline
from archiver.format.model import Detail, Ref
from archiver.format.parquet import ParquetObject, write_parquet
from archiver.format.rows import Encoded, decode_rows, encode_rows
from archiver.format.series import Series
from archiver.format.tapes import Tape, window_column, window_keys
from archiver.format.text import dumps, loads
from archiver.format.values import columns_to_lists, place, placed, plain

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 8_192
"""Row groups hold at least so many trades: strategies share dictionaries, one strategy is still read fast."""
_PLAIN_RATIO = 8
"""Details seldom shrink by more: larger ones are not compressed in order to learn that they are too large for a record."""

Source = ParquetObject | InlineTable
"""A table of details: an object of its own, or part of a record."""

_ROWS = ("trades", "table.", "json.", "schema.", "strategy_name")
"""Columns that an outline is without."""

CutWindows = Callable[[str, Sequence[tuple[int, int] | None]], list[Any]]
"""Gives the windows of a key from their places."""


@dataclass(slots=True)
class Kept:
    """One strategy whose detail is kept, as it was given."""

    strategy: str
    rank: int
    metrics: Mapping[str, Any]
    trades: Any = None
    equity_curve: Any = None
    drawdown_curve: Any = None
    curves: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)


@dataclass(slots=True)
class Details:
    """An encoded tier 2: its row groups and facts, where each strategy is, the tapes it points into, and extras."""

    groups: list[pa.Table]
    facts: dict[str, Any]
    details: tuple[Detail, ...]
    tapes: list[Tape]
    extras: Extras

    def parquet(self) -> tuple[bytes, Ref]:
        """Return it as an object of its own: its bytes, and their Ref without the key."""
        return write_parquet(self.groups, self.facts, parts="group")

    def inline(self, most: int | None = None) -> bytes | None:
        """Return it as it stands in a record; None where that would take more bytes than `most`, compressed."""
        if most is not None and sum(group.nbytes for group in self.groups) > most * _PLAIN_RATIO:
            return None
        data = encode_inline(self.groups, self.facts)
        return data if most is None or len(data) * 3 // 4 <= most else None


def encode_details(kept: Sequence[Kept], known: Sequence[Tape] = ()) -> Details:
    """Encode the details of a run's TOP N, best first; `known` are bar series that windows may be cut from.

    Raises ConfigError, naming strategy and place, for a value that cannot be kept.
    """
    curves = [read_curves(one) for one in kept]
    extras = encode_extras(kept, curves)
    with placed(lambda: _values(kept)):
        return _encode(kept, known, extras)


def _values(kept: Sequence[Kept]) -> Iterator[tuple[str, Any]]:
    """Yield metrics and trades, with their place."""
    for one in kept:
        yield place(one.strategy), one.metrics
        yield place(one.strategy, "trades"), one.trades


def _encode(kept: Sequence[Kept], known: Sequence[Tape], extras: Extras) -> Details:
    trades, texts = [], []
    for one in kept:
        rows, text = _trade_rows(one)
        trades.append(rows)
        texts.append(text)
    flat = list(chain.from_iterable(rows for rows in trades if rows))
    encoded, tapes = _encode_trades(flat, known)
    if encoded is None and flat:
        texts = [
            dumps(plain(rows, "trades")) if rows is not None else text
            for rows, text in zip(trades, texts, strict=True)
        ]
        trades = [None] * len(kept)
    tapes += extras.lay_curves(tapes, known)
    table = _table(kept, trades, texts, encoded, extras)
    groups = list(_groups([len(rows) if rows else 0 for rows in trades]))
    slices = [table.slice(start, end - start) for start, end in groups]
    facts: dict[str, Any] = {"tier": 2, **extras.facts}
    if encoded is not None and encoded.layout:
        facts["trades"] = encoded.layout
    details = tuple(
        Detail(kept[at].strategy, kept[at].rank, number)
        for number, (start, end) in enumerate(groups)
        for at in range(start, end)
    )
    return Details(slices, facts, details, tapes, extras)


def decode_detail(source: Source, detail: Detail, cut: CutWindows, shared: Shared) -> dict[str, Any]:
    """Return one strategy's detail: strategy_name, rank, metrics, trades, curves, tables, files, and the two old curves."""
    row = _row(source, detail)
    tables = {name: decode_rows_of(row, name, source.facts) for name in table_names(row.column_names)}
    found = _outline(source, row, detail, shared)
    if extended(source):
        found["tables"] = {name: as_rows(table) for name, table in tables.items() if table is not None}
    return {**found, "trades": _decode_trades(row, source.facts.get("trades", {}), cut)}


def decode_outline(source: Source, detail: Detail, shared: Shared) -> dict[str, Any]:
    """Return one strategy's detail without its trades and tables, which take nearly all of the time."""
    names = [name for name in source.names if not name.startswith(_ROWS)]
    return _outline(source, _row(source, detail, names), detail, shared)


def decode_drawn(source: Source, detail: Detail, shared: Shared) -> tuple[dict[str, Any], dict[str, Series]]:
    """Return one strategy's metrics and its curves with their clocks, as pages draw them."""
    names = [name for name in source.names if not name.startswith(_ROWS)]
    row = _row(source, detail, names)
    return loads(row["metrics"][0].as_py()), decode_curves(row, shared)


def _outline(source: Source, row: pa.Table, detail: Detail, shared: Shared) -> dict[str, Any]:
    curves = decode_curves(row, shared)
    written = {name: series.written() for name, series in curves.items()}
    return {
        "strategy_name": detail.strategy,
        "rank": detail.rank,
        "metrics": loads(row["metrics"][0].as_py()),
        # Under its old name a curve is without its clock, but where that stood in the list itself.
        **{
            f"{name}_curve": written[name]
            if name in curves and curves[name].pairs
            else _values_of(curves.get(name))
            for name in ("equity", "drawdown")
        },
        **(
            {"curves": written, "files": {name: file.told() for name, file in decode_files(row).items()}}
            if extended(source)
            else {}
        ),
    }


def extended(source: Source) -> bool:
    """Tell whether any strategy of a run was given with more than format 1 has: its details say so by keys of their own."""
    return bool(source.facts.get("format", 1) > 1 and not source.facts.get("plain"))


def _values_of(series: Series | None) -> Any:
    return None if series is None else series.values


def detail_row(source: Source, detail: Detail, columns: Sequence[str]) -> pa.Table:
    """Return one strategy's row, with these columns alone as far as they are there; `x.` is all that begin so."""
    begin = tuple(name for name in columns if name.endswith("."))
    names = source.names
    return _row(
        source, detail, [name for name in names if name in columns or (begin and name.startswith(begin))]
    )


def trades_table(source: Source, detail: Detail, columns: Sequence[str] | None, cut: CutWindows) -> pa.Table:
    """Return one strategy's trades as a table; windows only where `columns` names them."""
    import pyarrow as pa

    layout = source.facts.get("trades", {})
    windows: Mapping[str, str | None] = layout.get("windows", {})
    row = _row(source, detail, ["trades", "trades_text"])
    if "trades" not in row.column_names or not row["trades"][0].is_valid:
        text = row["trades_text"][0].as_py() if "trades_text" in row.column_names else None
        table = pa.table({}) if text is None else text_rows(text)
    else:
        table = pa.Table.from_struct_array(row["trades"][0].values)
        for name, inner in layout.get("dicts", {}).items():
            plain_structs = without_shapes(table[name].combine_chunks(), inner)
            table = table.set_column(table.schema.get_field_index(name), name, plain_structs)
        for name in windows:
            if columns is not None and name in columns:
                at = table.schema.get_field_index(name)
                table = table.set_column(at, name, pa.array(window_values(table, name, windows[name], cut)))
    hidden = {layout.get("shape"), *windows.values()} | {name for name in windows if columns is None}
    hidden |= _never_there(table, layout)
    shown = [name for name in table.column_names if name not in hidden]
    if columns is None:
        return table.select(shown)
    if table.num_rows == 0:  # no trade says which columns there are
        return pa.table({name: pa.nulls(0) for name in columns})
    for name in columns:
        if name not in shown:
            hint = did_you_mean(name, shown, f": there are {', '.join(shown) or 'none'}")
            raise ConfigError(f"the trades of {detail.strategy!r} have no column {name!r}{hint}")
    return table.select(list(columns))


def text_rows(text: str) -> pa.Table:
    """Return trades that are text, for they are too irregular for columns, as a table: of dicts, or of a text each."""
    import pyarrow as pa

    rows = _as_rows(loads(text))
    encoded = encode_rows(rows, "trades") if all(type(trade) is dict for trade in rows) else None
    if encoded is None and rows:
        return pa.table({"trade": pa.array([dumps(trade) for trade in rows], pa.string())})
    return pa.table({}) if encoded is None else pa.Table.from_arrays(encoded.arrays, encoded.names)


def _as_rows(trades: Any) -> list[Any]:
    """Return trades that are no list of dicts as rows: of a dict of columns, its rows; anything else is one row."""
    columns = list(trades.values()) if type(trades) is dict else []
    if set(map(type, columns)) == {list} and len(set(map(len, columns))) == 1:
        return [dict(zip(trades, row, strict=True)) for row in zip(*columns, strict=True)]
    return trades if type(trades) is list else [trades]


def without_shapes(array: pa.StructArray, layout: Mapping[str, Any]) -> pa.StructArray:
    """Return dicts without the column that says each one's shape, which is ours."""
    import pyarrow as pa

    inner = layout.get("dicts", {})
    names = [field.name for field in array.type if field.name != layout.get("shape")]
    parts = [
        without_shapes(part, inner[name]) if name in inner else part
        for name, part in zip((field.name for field in array.type), array.flatten(), strict=True)
        if name in names
    ]
    return pa.StructArray.from_arrays(parts, names, mask=array.is_null())


def _never_there(table: pa.Table, layout: Mapping[str, Any]) -> set[str]:
    """Return the columns that only other strategies of the run have."""
    shape, shapes = layout.get("shape"), layout.get("shapes")
    if shape not in table.column_names:
        return set()
    names = [
        name
        for name in table.column_names
        if name != shape and name not in layout.get("windows", {}).values()
    ]
    there: set[int] = set()
    for value in table[shape].unique().to_pylist():
        numbers = value if shapes is None else shapes[value]
        there.update(range(len(names)) if numbers is None else (n if n >= 0 else -1 - n for n in numbers))
    return {name for at, name in enumerate(names) if at not in there}


def _trade_rows(one: Kept) -> tuple[list[dict[str, Any]] | None, str | None]:
    """Return a strategy's trades as a list of dicts, or as text where they are none."""
    rows = one.trades
    if rows is None:
        return None, None
    listed = rows if type(rows) is list else columns_to_lists(rows, place(one.strategy, "trades"))
    if listed is None:
        listed = plain(rows, place(one.strategy, "trades"))
    if type(listed) is list:
        if set(map(type, listed)) <= {dict}:
            return listed, None
        listed = plain(listed, place(one.strategy, "trades"))
        if set(map(type, listed)) <= {dict}:
            return listed, None
    return None, dumps(listed)


def _encode_trades(flat: list[dict[str, Any]], known: Sequence[Tape]) -> tuple[Encoded | None, list[Tape]]:
    tapes: list[Tape] = []
    given: dict[str, Column] = {}
    for key in window_keys(flat):
        column, found = window_column([row.get(key) for row in flat], sum(tape.bars for tape in tapes), known)
        if column is not None:
            given[key] = column
            tapes += found
    return encode_rows(flat, "trades", given), tapes


def _table(
    kept: Sequence[Kept],
    trades: Sequence[list[dict[str, Any]] | None],
    texts: Sequence[str | None],
    encoded: Encoded | None,
    extras: Extras,
) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, pa.Array] = {
        "strategy_name": pa.array([one.strategy for one in kept], pa.string()),
        "rank": pa.array([one.rank for one in kept], pa.int64()),
        "metrics": pa.array([dumps(plain(one.metrics, place(one.strategy))) for one in kept], pa.string()),
    }
    if encoded is not None:
        offsets = [0, *accumulate(len(rows) if rows else 0 for rows in trades)]
        columns["trades"] = pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()),
            pa.StructArray.from_arrays(encoded.arrays, encoded.names),
            mask=pa.array([rows is None for rows in trades]),
        )
    else:
        texts = ["[]" if rows is not None else text for rows, text in zip(trades, texts, strict=True)]
    if any(text is not None for text in texts):
        columns["trades_text"] = pa.array(texts, pa.string())
    return pa.table(columns | extras.columns)


def _groups(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of the strategies of each row group."""
    start, held = 0, 0
    for at, count in enumerate(rows):
        held += count
        if held >= _GROUP_ROWS:
            yield start, at + 1
            start, held = at + 1, 0
    if start < len(rows):
        yield start, len(rows)


def _row(source: Source, detail: Detail, columns: Sequence[str] | None = None) -> pa.Table:
    names = source.names
    wanted = None if columns is None else [name for name in (*columns, "strategy_name") if name in names]
    table = source.read(groups=[detail.group], columns=wanted)
    at = table["strategy_name"].to_pylist().index(detail.strategy)
    return table.slice(at, 1)


def _decode_trades(row: pa.Table, layout: Mapping[str, Any], cut: CutWindows) -> Any:
    if "trades_text" in row.column_names:
        text = row["trades_text"][0].as_py()
        if text is not None:
            return loads(text)
    if "trades" not in row.column_names or not row["trades"][0].is_valid:
        return None
    import pyarrow as pa

    table = pa.Table.from_struct_array(row["trades"][0].values)
    windows: Mapping[str, str | None] = layout.get("windows", {})
    cuts = {name: window_values(table, name, full, cut) for name, full in windows.items()}
    names = [name for name in table.column_names if name not in windows.values()]
    arrays = [table[name].combine_chunks() for name in names]
    return decode_rows(names, arrays, layout, cuts)


def window_values(table: pa.Table, name: str, full: str | None, cut: CutWindows) -> list[Any]:
    """Return the price windows of a column of trades: from their places, or from the text in the column `full`."""
    places = [
        None if place is None else (place["begin"], place["length"]) for place in table[name].to_pylist()
    ]
    values = cut(name, places)
    if full is not None:
        for at, text in enumerate(table[full].to_pylist()):
            if text is not None:
                values[at] = loads(text)
    return values
