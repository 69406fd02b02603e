"""Details of many strategies as tables: trades, curves, or a further table, object by object, in threads or on a cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archiver.base.suggest import did_you_mean
from archiver.base.unread import ONE_OBJECT
from archiver.errors import ArchiverError, ConfigError, NotKeptError
from archiver.format.detail import Source
from archiver.format.extras import as_table, table_names
from archiver.format.metrics import json_field
from archiver.format.model import Record
from archiver.format.parquet import decoding
from archiver.format.series import Series, on_its_clock
from archiver.format.typed import from_rows
from archiver.query.schemas import conform, one_schema, one_type
from archiver.query.selection import greatest_first, parse_sort, score_of, select
from archiver.query.sql_extras import KEYS, common, curves_of, numbers, of_part, tables_of
from archiver.query.trades import trades_of
from archiver.runs.newest import Part
from archiver.runs.read import Reader
from archiver.runs.records import records_of
from archiver.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

TRADES, CURVES = "trades", "curves"
Strategies = Sequence[str | tuple[str, str]]
"""Names, or (universe, name) as `detailed_strategies` gives them."""


class Bulk:
    """Reads of one object at a time what is asked for, and verifies it; it goes wherever the work is done."""

    def __init__(
        self, store: Store, what: str, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
    ) -> None:
        """Take the store; what: `trades`, `curves` or the name of a further table; columns: of these, or names of curves;
        schema: that every table is to have."""
        self._of = store, what, columns, schema
        self._reader = Reader(store)

    def __reduce__(self) -> tuple[Any, ...]:
        return Bulk, self._of

    def __call__(self, part: Part) -> pa.Table:
        """Return the rows of a part's strategies, the keys first. Raises IntegrityError for damage."""
        _, _, _, schema = self._of
        tables = self._read(part)
        if schema is None:
            schema = one_schema(tables)
        return conform(tables, schema, part.record.run)

    def several(self, parts: Sequence[Part]) -> pa.Table:
        """Return the rows of several parts as one table of the schema that was given."""
        schema = self._of[3]
        return conform([self(part) for part in parts], one_schema(()) if schema is None else schema)

    def joined(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Return the tables of several parts as one."""
        none = [_curves_schema([])] if self._of[1] == CURVES and not tables else []
        return conform(tables, one_schema([*tables, *none]))

    def attempt(self, part: Part) -> pa.Table | ArchiverError:
        """Return the rows, or the error where that is about this object alone."""
        try:
            return self(part)
        except ONE_OBJECT as error:
            return error

    def schema(self, part: Part, look: Collection[str] = ()) -> pa.Schema | ArchiverError:
        """Return the types of a part's rows without reading these; look: columns that may turn out to hold nothing."""
        _, what, _, _ = self._of
        try:
            if what == CURVES:
                return self._curves(part)
            tables = self._read(part, only=look) if what == TRADES else self._empty(part, what, look)
            return one_schema(tables, unknown=True)
        except ONE_OBJECT as error:
            return error

    def names(self, part: Part) -> list[str]:
        """Return the names of the curves, or of the columns of trades or of the table, that a part has."""
        store, what, _, _ = self._of
        if what == CURVES:
            found: list[str] = Bulk(store, what)(part)["curve"].unique().to_pylist()
            return found
        schema = Bulk(store, what).schema(part)
        return (
            [] if isinstance(schema, ArchiverError) else [name for name in schema.names if name not in KEYS]
        )

    def lacks(self, seen: Sequence[str]) -> bool:
        """Tell whether nothing was seen of a table, or not all of what is asked for by name."""
        _, what, columns, _ = self._of
        return not set(columns or ()) <= set(seen) or (
            what not in (TRADES, CURVES) and set(seen) <= set(KEYS)
        )

    def refuse(self, known: Sequence[str]) -> None:
        """Raise ConfigError for what is asked for and is not known, if anything is."""
        _, what, columns, _ = self._of
        if not known and what not in (TRADES, CURVES):
            raise ConfigError(f"no strategy has a table {what!r}: `archive.contents(name)` says what one has")
        for name in columns or () if known else ():
            if name not in known:
                hint = did_you_mean(name, list(known), f": there are {', '.join(known)}")
                of = "there is no curve" if what == CURVES else f"the {what} have no column"
                raise ConfigError(f"{of} {name!r}{hint}")

    def _read(self, part: Part, *, only: Collection[str] | None = None) -> list[pa.Table]:
        _, what, columns, _ = self._of
        if what == CURVES:
            return curves_of(self._reader, part, lambda found: _points(found, columns))
        if what != TRADES:
            return [_selected(table, columns) for table in tables_of(self._reader, part, what)]
        named = columns or ()
        tables = trades_of(
            self._reader,
            part,
            lambda names: names if columns is None else [name for name in names if name in named],
            named,
            only=only,
        )
        return [_selected(table, columns) for table in tables]

    def _curves(self, part: Part) -> pa.Schema:
        if any(
            name.startswith("text.") or name.endswith("_text")
            for name in self._reader.details(part.record).names
        ):
            return self(part).schema  # moments may stand among the values
        record = part.record
        shared = self._reader.shared(record)
        return _curves_schema(shared.clock(ref.sha256).time.type for ref in record.clocks)

    def _empty(self, part: Part, name: str, look: Collection[str]) -> list[pa.Table]:
        """Return tables without rows that have the types of a part's further table."""
        source = self._reader.details(part.record)
        with decoding(source.key):
            if name not in table_names(source.names):
                return []
            if look or f"json.{name}" in source.names:
                return self._read(part)
            columns = self._of[2]
            return [
                _selected(of_part(common(table), [], part, name), columns)
                for table in _types_of(source, part, name)
            ]


def _types_of(source: Source, part: Part, name: str) -> list[pa.Table]:
    import pyarrow as pa

    texts: list[str | None] = [None]
    if f"schema.{name}" in source.names:
        texts = source.read(groups=part.groups(), columns=[f"schema.{name}"])[0].unique().to_pylist()
    facts = source.facts.get("tables", {}).get(name, {})
    fields = source.schema.field(f"table.{name}").type.value_type
    rows = pa.schema(
        [
            json_field(
                facts.get("keys", {}).get(item.name, item.name),
                item.type,
                text=item.name in facts.get("text", ()),
            )
            for item in fields
            if item.name != facts.get("shape")
        ]
    ).empty_table()
    return [rows if text is None else as_table(from_rows([], text), name) for text in texts]


def _selected(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    if columns is None:
        return table
    there = set(table.column_names)
    return table.select(dict.fromkeys(name for name in (*KEYS, *columns) if name in there))


def _points(found: dict[str, Series], names: Sequence[str] | None) -> pa.Table:
    """Return the points of curves: curve, time, value."""
    import pyarrow as pa

    tables = []
    for name, kept in found.items():
        if names is not None and name not in names:
            continue
        series = on_its_clock(kept)
        values = pa.array(numbers(series.values), pa.float64())
        time = series.clock.time if series.clock is not None and len(values) else pa.nulls(len(values))
        tables.append(
            pa.table(
                {CURVES[:-1]: pa.array([name] * len(values), pa.string()), "time": time, "value": values}
            )
        )
    schema = _curves_schema([table.schema.field("time").type for table in tables], keys=False)
    return conform(tables, schema)


def _curves_schema(times: Iterable[pa.DataType], *, keys: bool = True) -> pa.Schema:
    import pyarrow as pa

    time = one_type("time", [pa.field("time", kind) for kind in times])
    own = [("curve", pa.string()), ("time", time), ("value", pa.float64())]
    return pa.schema([*((name, pa.string()) for name in KEYS if keys), *own])


def chosen_parts(
    reader: Reader,
    records: Sequence[Record],
    strategies: Strategies | None = None,
    *,
    where: str | None = None,
    sort: str | None = None,
    top: int | None = None,
) -> list[Part]:
    """Return the details that are asked for, a part for each object. Arguments: as `Archive.load_many` takes them.

    Raises NotKeptError, NotFoundError for a strategy that is named and has no details, ConfigError.
    """
    found = reader.detailed_parts(records)
    if top is not None and top < 0:
        raise ConfigError(f"top is {top}: give 0 or more")
    there = {(part.record.universe, detail.strategy) for part in found for detail in part.details}
    wanted = there
    if strategies is not None:
        wanted = set(_named(reader, records, strategies, there))
    if where is not None or top is not None:
        ranked = _ranked(reader, records, where, sort, order=top is not None)
        own = [key for key in ranked if key in wanted]
        wanted = set(own if top is None else own[:top])
    return found if wanted == there else list(_narrowed(found, wanted))


def _narrowed(parts: Sequence[Part], wanted: set[tuple[str, str]]) -> Iterator[Part]:
    for part in parts:
        own = [detail.strategy for detail in part.details]
        names = frozenset(name for name in own if (part.record.universe, name) in wanted)
        if names:
            yield part if len(names) == len(own) else Part(part.record, names)


def _named(
    reader: Reader, records: Sequence[Record], strategies: Strategies, there: set[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield universe and name of strategies; a name alone is meant in every universe that has its details."""
    given = [strategies] if isinstance(strategies, str) else strategies
    by_name: dict[str, list[tuple[str, str]]] = {}
    for key in there:
        by_name.setdefault(key[1], []).append(key)
    for one in given:
        if isinstance(one, str):
            keys, universe, name = by_name.get(one, []), None, one
        elif isinstance(one, (tuple, list)) and len(one) == 2 and all(isinstance(text, str) for text in one):
            universe, name = one
            keys = [(universe, name)] if (universe, name) in there else []
        else:
            raise ConfigError(f"{one!r} is no strategy: give its name, or (universe, name)")
        if not keys:
            reader.find(list(records_of(records, universe=universe)), name)
            raise NotKeptError(f"the details of {name!r} are gone since they were listed: try again")
        yield from keys


def _ranked(
    reader: Reader, records: Sequence[Record], where: str | None, sort: str | None, *, order: bool
) -> list[tuple[str, str]]:
    """Return universe and name of the strategies that a filter lets through, in the order that `top` counts in."""
    if order and not parse_sort(sort):
        metric = score_of(records, {name for record in records for name in record.metrics})
        if metric is None:
            raise ConfigError("no run was ranked by a metric: say what is best, as in sort='sharpe_ratio'")
        sort = f"`{metric}`" if greatest_first(records, metric) else f"-`{metric}`"
    table = select(lambda columns: reader.metrics(records, columns), [], where, sort if order else None)
    return list(zip(table["universe"].to_pylist(), table["strategy_name"].to_pylist(), strict=True))


def travelling(part: Part) -> Part:
    """Return a part as it goes to a worker: without what of its record a reader of details does not need."""
    return Part(replace(part.record, inline=None, metrics={}, code=None, params=None), part.names)
