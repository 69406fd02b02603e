"""SQL over an archive: DuckDB sees the views metrics, trades, curves, runs and one of each further table, made of what
the query asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.metrics import join_tables
from archiver.format.model import Record, Run
from archiver.format.params import PARAMS
from archiver.format.rows import free_name
from archiver.format.text import loads
from archiver.query.sql_extras import KEYS, curves, rows_of_table, tables_there
from archiver.query.trades import trades_of
from archiver.runs.newest import Part
from archiver.runs.read import Reader

if TYPE_CHECKING:
    import pyarrow as pa

VIEWS = ("metrics", "trades", "curves", "runs")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_WORD = re.compile(r'"((?:[^"]|"")+)"|(\w+)')


def query(
    reader: Reader,
    records: Sequence[Record],
    runs: Sequence[Run],
    text: str,
    *,
    newest: str = "strategy",
    values: Sequence[Any] | Mapping[str, Any] = (),
    history: bool = False,
    keep_nan: bool = False,
) -> pa.Table:
    """Run a query of DuckDB's SQL over the views and return its result.

    Arguments:
        reader, records, runs: the archive, newest first; the reader was told what to do about what cannot be read.
        text: the query; of the views, only the columns that it names are read.
        newest, history: which rows the views show, see `archiver.runs.newest`.
        values: those of its parameters: a list for `?`, a dict for `$name`.
        keep_nan: leave NaN as it is; else it is NULL, which SQL sorts last and leaves out of averages.

    Result columns that share a name are told apart as DuckDB does it: `x`, `x_1`, `x_2`.
    Raises ConfigError for a query that DuckDB refuses, with what DuckDB says, and where DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise ConfigError("SQL needs DuckDB: pip install 'archiver[sql]'") from None
    import pyarrow as pa

    makers: dict[str, Callable[[], pa.Table]] = {
        "metrics": lambda: _metrics(reader, records, wanted, newest=newest, history=history),
        "trades": lambda: _trades(
            reader, reader.detailed_parts(records, newest=newest, history=history), wanted
        ),
        "curves": lambda: curves(
            reader, reader.detailed_parts(records, newest=newest, history=history), wanted.columns
        ),
        "runs": lambda: _runs(runs),
    }
    with duckdb.connect(":memory:") as connection:
        wanted = _Wanted(connection, text)

        def run() -> pa.Table:
            for name in VIEWS:
                if wanted.names(name):
                    table = makers[name]()
                    connection.register(name, table if keep_nan else _without_nan(table))
            found = connection.sql(text, params=values) if values else connection.sql(text)
            return pa.table({}) if found is None else _told_apart(found.to_arrow_table())

        def further() -> bool:
            """Register the further tables that the query names; tell whether there are some."""
            parts = reader.detailed_parts(records, newest=newest, history=history)
            found = {_view(name): name for name in tables_there(reader, parts)}
            named = [view for view in found if wanted.names(view)]
            for view in named:
                table = rows_of_table(reader, parts, found[view])
                connection.register(view, table if keep_nan else _without_nan(table))
            return bool(named)

        try:
            try:
                return run()
            except duckdb.CatalogException:
                if not further():
                    raise
                return run()
            except duckdb.BinderException:
                if wanted.all:
                    raise
            wanted.all = True  # what it looked for, or what is near to it, may be among the others
            return run()
        except duckdb.Error as error:
            raise ConfigError(f"DuckDB: {' '.join(str(error).split())}") from None


def _view(table: str) -> str:
    """Return the name of the view of a further table: its own, but where that is taken."""
    return f"{table}_table" if table.lower() in VIEWS else table


class _Wanted:
    """What a query may want of the views, by its words and DuckDB's parser: too much rather than too little.

    Nothing is bound to a table here, so that only the engine itself ever refuses a query.
    """

    def __init__(self, connection: Any, text: str) -> None:
        self._words = {(quoted or word).replace('""', '"').lower() for quoted, word in _WORD.findall(text)}
        self.all = _wants_all(connection, text)
        self.columns = {(quoted or word).lower() for quoted, word in _WORD.findall(_TEXT.sub(" ", text))}
        """What it names outside of texts."""

    def names(self, name: str) -> bool:
        """Tell whether the query may name something."""
        return name.lower() in self._words

    def of(self, names: Sequence[str]) -> list[str]:
        """Return those of the names that the query may want, in their order."""
        return [name for name in names if self.all or self.names(name)]

    @property
    def params(self) -> bool:
        """Whether it names a strategy's parameter, as `params.fast` or as `"params.fast"`."""
        return any(word.partition(".")[0] == PARAMS for word in self._words)


def _wants_all(connection: Any, text: str) -> bool:
    """Tell whether a query may want columns that it does not name, by `*`, `natural join`, a row as a whole, and so on."""
    import duckdb

    try:
        ((parsed,),) = connection.execute("select json_serialize_sql(?)", [text]).fetchall()
    except duckdb.Error:
        return True
    tree = loads(parsed)
    if tree.get("error"):
        return True  # no plain select: describe, pivot, create
    nodes = list(_nodes(tree))
    tables = {str(node[key]).lower() for node in nodes for key in ("alias", "table_name") if node.get(key)}
    for node in nodes:
        names = node.get("column_names") or [""]
        whole_row = node.get("class") == "COLUMN_REF" and names[-1].lower() in tables
        if node.get("class") == "STAR" or node.get("ref_type") in ("NATURAL", "POSITIONAL") or whole_row:
            return True
    return False


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
        waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _told_apart(table: pa.Table) -> pa.Table:
    """Give columns of one name names of their own; names differ in more than case, as DuckDB's do."""
    taken = {name.lower() for name in table.column_names}
    seen: set[str] = set()
    names = []
    for name in table.column_names:
        own, number = name, 0
        while own.lower() in (seen if not number else seen | taken):
            number += 1
            own = f"{name}_{number}"
        seen.add(own.lower())
        names.append(own)
    return table.rename_columns(names)


def _metrics(
    reader: Reader, records: Sequence[Record], wanted: _Wanted, *, newest: str, history: bool
) -> pa.Table:
    known = reader.metric_names(records)
    # A metric that is called as a key has another name in the table, which cannot be asked for.
    names = None if wanted.all or known & set(KEYS) else wanted.of(sorted(known - {PARAMS}))
    if names is not None and wanted.params and PARAMS in known:
        names.append(PARAMS)
    table = reader.metrics(records, names, newest=newest, history=history)
    return _with_struct(table) if wanted.params else table


def _with_struct(table: pa.Table) -> pa.Table:
    """Add the parameters as one struct: unquoted, `params.fast` is a member of it. What is no dict is `params.text`."""
    members = {
        name.removeprefix(f"{PARAMS}."): (table.schema.field(name), table[name].combine_chunks())
        for name in table.column_names
        if name.startswith(f"{PARAMS}.")
    }
    if not members:
        return table
    if PARAMS in table.column_names:
        aside = free_name(f"{PARAMS}.text", table.column_names)
        table = table.rename_columns([aside if name == PARAMS else name for name in table.column_names])
    return table.append_column(PARAMS, _struct(members))


def _struct(members: Mapping[str, tuple[pa.Field, Any]]) -> Any:
    """Return a struct of members; those whose names go on behind a dot are structs inside it."""
    import pyarrow as pa

    inner: dict[str, dict[str, tuple[pa.Field, Any]]] = {}
    fields, arrays = [], []
    taken: set[str] = set()  # DuckDB tells members apart by more than case

    def add(name: str, array: Any, metadata: Any = None) -> None:
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        fields.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)

    for name, (field, array) in members.items():
        first, dot, rest = name.partition(".")
        if dot and first and rest and first not in members:
            inner.setdefault(first, {})[rest] = (field, array)
        else:
            add(name, array, field.metadata)
    for name, inside in inner.items():
        add(name, _struct(inside))
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _trades(reader: Reader, parts: Sequence[Part], wanted: _Wanted) -> pa.Table:
    """Return all trades of the details that count; price windows are left out."""
    import pyarrow as pa

    tables: list[pa.Table] = []
    for part in parts:
        tables += reader.take(part.record, partial(trades_of, reader, part, wanted.of)) or []
    tables = [table for table in tables if table.num_rows]
    if not tables:
        return pa.table({key: pa.array([], pa.string()) for key in KEYS})
    joined = join_tables(tables)
    return joined.select(list(dict.fromkeys([*KEYS, *joined.column_names])))


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
