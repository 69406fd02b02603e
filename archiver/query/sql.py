"""SQL over an archive: DuckDB sees the views metrics, trades, curves and runs, made of what the query asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import curve_values
from archiver.errors import ConfigError
from archiver.format.curves import apply_rule, decode_curve
from archiver.format.metrics import join_tables
from archiver.format.model import Record, Run
from archiver.format.parquet import ParquetObject, decoding
from archiver.runs.newest import Part
from archiver.runs.read import Reader

if TYPE_CHECKING:
    import pyarrow as pa

VIEWS = ("metrics", "trades", "curves", "runs")
_KEYS = ("universe", "strategy_name", "run")
_COUNT = re.compile(r"count\s*\(\s*\*\s*\)", re.IGNORECASE)
_WORD = re.compile(r'"((?:[^"]|"")+)"|(\w+)')
_ELEMENT = "trades.list.element"


def query(
    reader: Reader,
    records: Sequence[Record],
    runs: Sequence[Run],
    text: str,
    *,
    newest: str = "strategy",
    history: bool = False,
    keep_nan: bool = False,
) -> pa.Table:
    """Run a query of DuckDB's SQL over the views and return its result.

    Arguments:
        reader, records, runs: the archive, newest first; the reader was told what to do about what cannot be read.
        text: the query; of the views, only the columns that it names are read.
        newest, history: which rows the views show, see `archiver.runs.newest`.
        keep_nan: leave NaN as it is; else it is NULL, which SQL sorts last and leaves out of averages.

    Raises ConfigError for a query that DuckDB refuses, and where DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise ConfigError("SQL needs DuckDB: pip install 'archiver[sql]'") from None
    import pyarrow as pa

    wanted = _Columns(text)
    makers: dict[str, Callable[[], pa.Table]] = {
        "metrics": lambda: _metrics(reader, records, wanted, newest=newest, history=history),
        "trades": lambda: _trades(
            reader, reader.detailed_parts(records, newest=newest, history=history), wanted
        ),
        "curves": lambda: _curves(reader, reader.detailed_parts(records, newest=newest, history=history)),
        "runs": lambda: _runs(runs),
    }
    with duckdb.connect(":memory:") as connection:
        try:
            asked = {name.lower() for name in connection.get_table_names(text)}
            for name in VIEWS:
                if name in asked:
                    table = makers[name]()
                    connection.register(name, table if keep_nan else _without_nan(table))
            found = connection.sql(text)
            return pa.table({}) if found is None else found.to_arrow_table()
        except duckdb.Error as error:
            raise ConfigError(f"DuckDB: {' '.join(str(error).split())}") from None


class _Columns:
    """Which columns a query may want: those it names, or all where it says `*`."""

    def __init__(self, text: str) -> None:
        self.all = "*" in _COUNT.sub("", text)
        self._words = {(quoted or word).replace('""', '"').lower() for quoted, word in _WORD.findall(text)}

    def of(self, names: Sequence[str]) -> list[str]:
        """Return those of the names that the query may want, in their order."""
        return [name for name in names if self.all or name.lower() in self._words]


def _metrics(
    reader: Reader, records: Sequence[Record], wanted: _Columns, *, newest: str, history: bool
) -> pa.Table:
    known = reader.metric_names(records)
    # A metric that is called as a key has another name in the table, which cannot be asked for.
    names = None if wanted.all or known & set(_KEYS) else wanted.of(sorted(known))
    return reader.metrics(records, names, newest=newest, history=history)


def _trades(reader: Reader, parts: Sequence[Part], wanted: _Columns) -> pa.Table:
    """Return all trades of the details that count; price windows are left out."""
    import pyarrow as pa

    tables: list[pa.Table] = []
    for part in parts:
        tables += reader.take(part.record, partial(_trades_of, reader, part, wanted)) or []
    tables = [table for table in tables if table.num_rows]
    if not tables:
        return pa.table({key: pa.array([], pa.string()) for key in _KEYS})
    joined = join_tables(tables)
    return joined.select(list(dict.fromkeys([*_KEYS, *joined.column_names])))


def _trades_of(reader: Reader, part: Part, wanted: _Columns) -> list[pa.Table]:
    source = reader.details(part.record)
    with decoding(source.key):
        typed = _typed_trades(source, part, wanted)
        return [*([] if typed is None else [typed]), *_text_trades(reader, source, part)]


def _typed_trades(source: ParquetObject, part: Part, wanted: _Columns) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = source.file.schema_arrow
    if "trades" not in schema.names:
        return None
    facts = source.facts.get("trades", {})
    windows = facts.get("windows", {})
    hidden = {facts.get("shape"), *windows, *windows.values()}
    fields = [item.name for item in schema.field("trades").type.value_type if item.name not in hidden]
    keys = {name: facts.get("keys", {}).get(name, name) for name in fields}
    chosen = wanted.of(list(keys.values()))
    read = [name for name in fields if keys[name] in chosen] or fields[:1]
    table = source.read(columns=["strategy_name", *(f"{_ELEMENT}.{name}" for name in read)])
    lists = table["trades"].combine_chunks()
    lists = lists if isinstance(lists, pa.ListArray) else pa.concat_arrays(lists.chunks)
    rows = pa.Table.from_struct_array(pc.list_flatten(lists)).select(read)
    rows = rows.rename_columns([keys[name] for name in read])
    strategies = table["strategy_name"].combine_chunks().take(pc.list_parent_indices(lists))
    return _of_part(rows, strategies, part)


def _text_trades(reader: Reader, source: ParquetObject, part: Part) -> list[pa.Table]:
    """Return the trades of strategies whose trades are too irregular for columns."""
    if "trades_text" not in source.file.schema_arrow.names:
        return []
    import pyarrow as pa

    table = source.read(columns=["strategy_name", "trades_text"])
    texts = dict(zip(table["strategy_name"].to_pylist(), table["trades_text"].to_pylist(), strict=True))
    found = []
    for detail in part.record.details:
        if texts.get(detail.strategy) is not None:
            rows = reader.trades(part.record, detail, None)
            found.append(_of_part(rows, pa.array([detail.strategy] * len(rows), pa.string()), part))
    return found


def _of_part(rows: pa.Table, strategies: Any, part: Part) -> pa.Table:
    """Put the keys before the rows, and leave out strategies that a newer run has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    taken = [f"trades.{name}" if name in _KEYS else name for name in rows.column_names]
    rows = rows.rename_columns(taken)
    columns = [
        pa.array([part.record.universe] * len(rows), pa.string()),
        strategies,
        pa.array([part.record.run] * len(rows), pa.string()),
    ]
    for at, (name, column) in enumerate(zip(_KEYS, columns, strict=True)):
        rows = rows.add_column(at, name, column)
    if part.names is None:
        return rows
    return rows.filter(pc.is_in(rows["strategy_name"], value_set=pa.array(sorted(part.names), pa.string())))


def _curves(reader: Reader, parts: Sequence[Part]) -> pa.Table:
    """Return the points of all curves: universe, strategy_name, run, point (from 0), equity, drawdown."""
    import pyarrow as pa

    tables: list[pa.Table] = []
    for part in parts:
        tables += reader.take(part.record, partial(_curves_of, reader, part)) or []
    if not tables:
        keys = {key: pa.array([], pa.string()) for key in _KEYS}
        return pa.table(keys | dict(zip(_points(None).column_names, _points(None).columns, strict=True)))
    return pa.concat_tables(tables)


def _curves_of(reader: Reader, part: Part) -> list[pa.Table]:
    import pyarrow as pa

    source = reader.details(part.record)
    tables = []
    with decoding(source.key):
        columns = [name for name in source.file.schema_arrow.names if "equity" in name or "drawdown" in name]
        table = source.read(columns=["strategy_name", *columns])
        for at, strategy in enumerate(table["strategy_name"].to_pylist()):
            if part.has(strategy):
                points = _points(table.slice(at, 1))
                names = pa.array([strategy] * len(points), pa.string())
                tables.append(_of_part(points, names, part))
    return tables


def _points(row: pa.Table | None) -> pa.Table:
    import pyarrow as pa

    equity: Any = decode_curve(row, "equity_curve") if row is not None else None
    rule = (
        row["drawdown_rule"][0].as_py() if row is not None and "drawdown_rule" in row.column_names else None
    )
    drawdown: Any = None
    if rule:
        drawdown = apply_rule(rule, equity)
    elif row is not None:
        drawdown = decode_curve(row, "drawdown_curve")
    curves = [_numbers(equity), _numbers(drawdown)]
    length = max(map(len, curves))
    padded = [curve + [None] * (length - len(curve)) for curve in curves]
    return pa.table(
        {
            "point": pa.array(range(length), pa.int64()),
            "equity": pa.array(padded[0], pa.float64()),
            "drawdown": pa.array(padded[1], pa.float64()),
        }
    )


def _numbers(curve: Any) -> list[float | None]:
    values = curve_values(curve) or []
    return (
        [value if type(given) in (int, float) else None for given, value in zip(curve, values, strict=True)]
        if values
        else []
    )


def _runs(runs: Sequence[Run]) -> pa.Table:
    import pyarrow as pa

    fields = {
        "id": pa.string(),
        "universe": pa.string(),
        "created": pa.timestamp("us", "UTC"),
        "strategies": pa.int64(),
        "detailed": pa.int64(),
        "bytes": pa.int64(),
        "tags": pa.list_(pa.string()),
        "top_n": pa.int64(),
        "rank_by": pa.string(),
        "note": pa.string(),
    }
    values = {
        name: [list(run.tags) if name == "tags" else getattr(run, name) for run in runs] for name in fields
    }
    return pa.table({name: pa.array(values[name], kind) for name, kind in fields.items()})


def _without_nan(table: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, item in enumerate(table.schema):
        if pa.types.is_floating(item.type):
            column = table.column(at)
            table = table.set_column(
                at, item, pc.if_else(pc.is_nan(column), pa.scalar(None, item.type), column)
            )
    return table
