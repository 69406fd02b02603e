"""The view `curves` of SQL, and a view of each further table that strategies have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import curve_values
from archiver.format.detail import detail_row
from archiver.format.extras import decode_curves, table_names
from archiver.format.metrics import join_tables
from archiver.format.model import Detail
from archiver.format.parquet import decoding
from archiver.format.series import Series, on_its_clock
from archiver.runs.extras import table_in
from archiver.runs.newest import Part
from archiver.runs.read import Reader

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("universe", "strategy_name", "run")
_LONG, _WIDE = {"curve", "time", "value"}, {"point", "equity", "drawdown"}
_COLUMNS = ("equity_curve", "equity_curve_ints", "equity_curve_text", "drawdown_curve", "drawdown_curve_ints",
            "drawdown_curve_text", "drawdown_rule", "curve.", "ints.", "text.", "clock.", "rule.", "segments.", "bits.")  # fmt: skip


def curves(reader: Reader, parts: Sequence[Part], named: Collection[str]) -> pa.Table:
    """Return the points of all curves: universe, strategy_name, run, curve, time, value.

    named: what the query names. One that names of these columns only `point`, `equity` or `drawdown` gets a row a point
    with these; one that names both gets all, equity and drawdown in the rows of their own curve.
    """
    wide, long = bool(_WIDE.intersection(named)), bool(_LONG.intersection(named))
    make = _wide if wide and not long else partial(_long, extra=wide)
    tables: list[pa.Table] = []
    for part in parts:
        tables += reader.take(part.record, partial(curves_of, reader, part, make)) or []
    empty = make({"equity": Series([])})
    tables.append(of_part(empty, [], None))
    return _joined(tables)


def curves_of(reader: Reader, part: Part, make: Callable[[dict[str, Series]], pa.Table]) -> list[pa.Table]:
    """Return what `make` makes of the curves of each of a part's strategies, the keys before it."""
    source = reader.details(part.record)
    shared = reader.shared(part.record)
    tables = []
    with decoding(source.key):
        for detail in _details(part):
            row = detail_row(source, detail, _COLUMNS)
            made = make(decode_curves(row, shared))
            tables.append(of_part(made, [detail.strategy] * len(made), part))
    return tables


def _details(part: Part) -> list[Detail]:
    return [detail for detail in part.record.details if part.has(detail.strategy)]


def _wide(found: dict[str, Series]) -> pa.Table:
    import pyarrow as pa

    both = [numbers(found[name].values) if name in found else [] for name in ("equity", "drawdown")]
    length = max(map(len, both))
    columns = [pa.array(one + [None] * (length - len(one)), pa.float64()) for one in both]
    return pa.table([pa.array(range(length), pa.int64()), *columns], names=["point", "equity", "drawdown"])


def _long(found: dict[str, Series], *, extra: bool) -> pa.Table:
    import pyarrow as pa

    tables = []
    for name, kept in found.items():
        series = on_its_clock(kept)
        values = pa.array(numbers(series.values), pa.float64())
        count = len(values)
        known = series.clock is not None and count
        time = series.clock.time if known and series.clock is not None else pa.nulls(count)
        columns = {"curve": pa.array([name] * count, pa.string()), "time": time, "value": values}
        if extra:
            none = pa.nulls(count, pa.float64())
            columns |= {"point": pa.array(range(count), pa.int64())}
            columns |= {old: values if old == name else none for old in ("equity", "drawdown")}
        tables.append(pa.table(columns))
    return _joined(tables) if tables else _long({"equity": Series([])}, extra=extra)


def numbers(curve: Any) -> list[float | None]:
    """Return the values of a curve as numbers, None for what is none."""
    if type(curve) is list and set(map(type, curve)) == {float}:
        return curve
    values = curve_values(curve) or []
    if not values:
        return []
    pairs = zip(curve, values, strict=True)
    return [value if type(given) in (int, float) else None for given, value in pairs]


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Join points, whose moments may have units and zones of their own; what are no moments is null among moments."""
    import pyarrow as pa

    if "time" not in tables[0].column_names:
        return pa.concat_tables(tables)
    kinds = {table.schema.field("time").type for table in tables if table.num_rows}
    kinds -= {pa.null()}
    moments = [kind for kind in kinds if pa.types.is_timestamp(kind)]
    aware = bool(moments) and all(kind.tz for kind in moments)
    kind = pa.timestamp("us", "UTC" if aware else None)
    if len(kinds) == 1 and not moments:
        kind = kinds.pop()
    return pa.concat_tables([_with_time(table, kind) for table in tables])


def _with_time(table: pa.Table, kind: pa.DataType) -> pa.Table:
    import pyarrow as pa

    at = table.schema.get_field_index("time")
    time = table["time"]
    if time.type == kind:
        return table
    if not pa.types.is_timestamp(time.type) or not pa.types.is_timestamp(kind):
        time = pa.nulls(len(time), kind)
    else:
        time = time.cast(pa.timestamp(time.type.unit, kind.tz)).cast(kind, safe=False)
    return table.set_column(at, "time", time)


def tables_there(reader: Reader, parts: Sequence[Part]) -> list[str]:
    """Return the names of the further tables that strategies have."""

    def names(part: Part) -> list[str]:
        return table_names(reader.details(part.record).names)

    found: dict[str, None] = {}
    for part in parts:
        found.update(dict.fromkeys(reader.take(part.record, partial(names, part)) or []))
    return list(found)


def rows_of_table(reader: Reader, parts: Sequence[Part], name: str) -> pa.Table:
    """Return the rows of a table of all strategies that have it."""
    tables: list[pa.Table] = []
    for part in parts:
        tables += reader.take(part.record, partial(tables_of, reader, part, name)) or []
    joined = join_tables([table for table in tables if table.num_rows] or tables)
    return joined.select(list(dict.fromkeys([*KEYS, *joined.column_names])))


def tables_of(reader: Reader, part: Part, name: str) -> list[pa.Table]:
    """Return a further table of each of a part's strategies that have it, the keys before it."""
    source = reader.details(part.record)
    found = []
    with decoding(source.key):
        if name not in table_names(source.names):
            return []
        for detail in _details(part):
            table = table_in(source, detail, name)
            if table is not None:
                rows = common(table)
                found.append(of_part(rows, [detail.strategy] * len(rows), part, name))
    return found


def common(table: pa.Table) -> pa.Table:
    """Return a table in the few types that tables of several strategies are joined in."""
    import pyarrow as pa

    is_ = pa.types
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = field.type.value_type if is_.is_dictionary(field.type) else field.type
        if is_.is_timestamp(kind):
            kind = pa.timestamp("us", "UTC" if kind.tz else None)
        elif is_.is_integer(kind) and not is_.is_uint64(kind):
            kind = pa.int64()
        elif is_.is_floating(kind):
            kind = pa.float64()
        elif is_.is_large_string(kind) or is_.is_string_view(kind) or is_.is_decimal(kind):
            kind = pa.string()
        plain = column.cast(field.type.value_type) if is_.is_dictionary(field.type) else column
        columns.append(plain.cast(kind, safe=False))
        fields.append(pa.field(field.name, kind, metadata=field.metadata))
    if not fields:
        return table
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def of_part(rows: pa.Table, strategies: Any, part: Part | None, owner: str = "trades") -> pa.Table:
    """Put the keys before the rows, and leave out strategies that a newer run has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.rename_columns([f"{owner}.{name}" if name in KEYS else name for name in rows.column_names])
    universe, run = ("", "") if part is None else (part.record.universe, part.record.run)
    names = pa.array(strategies, pa.string()) if isinstance(strategies, list) else strategies
    keys = (pa.array([universe] * len(rows), pa.string()), names, pa.array([run] * len(rows), pa.string()))
    for at, (name, column) in enumerate(zip(KEYS, keys, strict=True)):
        rows = rows.add_column(at, name, column)
    if part is None or part.names is None:
        return rows
    return rows.filter(pc.is_in(rows["strategy_name"], value_set=pa.array(sorted(part.names), pa.string())))
