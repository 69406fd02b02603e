"""Details of many strategies at once: as a table, batch by batch, on Dask, or as the files that other readers open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.archive.listing import Listing
from archiver.base.unread import Errors
from archiver.errors import ArchiverError, ConfigError
from archiver.runs.newest import Part
from archiver.runs.read import Reader
from archiver.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.query.many import Bulk, Strategies

_TASK = 8 << 20
"""Bytes of details in records that go with one task."""


@dataclass(frozen=True)
class Many:
    """Loads the details of many strategies."""

    store: Store
    reader: Reader
    listing: Listing

    def load_many(
        self,
        strategies: Strategies | None = None,
        what: str = "trades",
        columns: Sequence[str] | None = None,
        universe: str | None = None,
        run: str | None = None,
        *,
        where: str | None = None,
        top: int | None = None,
        sort: str | None = None,
        batches: bool = False,
        errors: Errors = "raise",
    ) -> pa.Table | Iterator[pa.Table]:
        """Load the trades, the curves or a further table of many strategies, object by object, many at a time.

        Arguments:
            strategies: names, or (universe, name) as `detailed_strategies` gives them; a name alone is meant in every
                universe. None: all whose details can be loaded.
            what: `trades`; `curves`, a row a point: curve, time, value; or the name of a further table, `orders` say.
            columns: only these of the trades or the table, price windows only where they are named; or names of curves.
            universe, run: only of this one.
            where: only strategies whose metrics pass a filter, as in `sharpe_ratio > 1`.
            top: of those whose details can be loaded, so many of the best.
            sort: what is best, as `load_metrics` takes it; None: what the newest run was ranked by.
            batches: give an iterator of tables, one for each object, so that memory is that of a few.
            errors: about what cannot be read, see `load_metrics`.

        Returns an Arrow table of universe, strategy_name, run and what was asked for; rows stand together by run, there
        by rank. A column has one type in all of it: ints among floats are floats, moments take the finest unit, and UTC
        where zones differ; what differs otherwise is JSON text, which its metadata says. A batch has the types of its
        own run. What counts is what `load_strategy` would load. Raises NotFoundError, NotKeptError for a strategy
        that was named and has no details, ConfigError for a column or a table that none has, IntegrityError for damage.
        """
        from archiver.query.many import Bulk

        parts = self._parts(strategies, universe, run, where, sort, top, errors)
        bulk = Bulk(self.store, what, _names(columns))
        found = self._read(bulk, parts, errors)
        if batches:
            return found
        table = bulk.joined(list(found))
        self._check(
            bulk, parts, table["curve"].unique().to_pylist() if what == "curves" else table.column_names
        )
        return table

    def to_dask(
        self,
        what: str = "trades",
        strategies: Strategies | None = None,
        columns: Sequence[str] | None = None,
        universe: str | None = None,
        run: str | None = None,
        *,
        where: str | None = None,
        top: int | None = None,
        sort: str | None = None,
        errors: Errors = "raise",
    ) -> Any:
        """Return what `load_many` loads as a Dask DataFrame, which reads nothing before it is computed (extra: dask).

        Each object is one task: whoever runs it reads the object, from the store, and verifies it. Small runs, whose
        details stand in their records, go along with the task, many in one. What counts is decided here and now;
        of all objects only types are read. Columns have Arrow's types (`pandas.ArrowDtype`).

        Arguments: as `load_many` takes them; errors: about records. Raises what `load_many` raises; a task raises
        IntegrityError for damage.
        """
        try:
            import dask.dataframe as dd
            import pandas as pd
        except ImportError:
            raise ConfigError("this needs Dask and pandas: pip install 'archiver[dask]'") from None
        from archiver.query.many import Bulk, travelling
        from archiver.query.schemas import mixed, one_schema

        parts = self._parts(strategies, universe, run, where, sort, top, errors)
        names = _names(columns)
        bulk = Bulk(self.store, what, names)
        schemas = list(self._schemas(bulk.schema, parts, errors))
        if look := mixed(schemas):
            schemas = list(self._schemas(partial(bulk.schema, look=look), parts, errors))
        schema = one_schema(schemas)
        if what != "curves":  # all have the same columns
            self._check(bulk, parts, schema.names)
        meta = schema.empty_table().to_pandas(types_mapper=pd.ArrowDtype)
        read = Bulk(self.store, what, names, schema)
        tasks = list(_tasks([travelling(part) for part in parts])) or [[]]
        return dd.from_map(  # type: ignore[no-untyped-call]  # Dask has no types
            _frame, tasks, read=read, meta=meta, label=f"archiver-{what}"
        )

    def detail_files(
        self, universe: str | None = None, run: str | None = None, *, errors: Errors = "raise"
    ) -> pa.Table:
        """Return the Parquet files that details are in, for readers such as Spark, DuckDB or Polars, which verify nothing.

        Returns an Arrow table: path (what such a reader takes: a path, or a URL such as s3://bucket/key; null where
        the details stand in the run's record, which is no file), universe, run, strategies (the names of those
        that count: a file may hold more, which a newer run has replaced), bytes, sha256.
        docs/how-to/cluster.md says what such reads see. Raises ConfigError for an archive inside a bundle.
        """
        import pyarrow as pa

        if self.store.url.startswith("bundle::"):
            raise ConfigError(
                "details in a bundle are no files: `archiver bundle restore` makes such of them"
            )
        parts = self._parts(None, universe, run, None, None, None, errors)
        kinds = {
            "path": pa.string(),
            "universe": pa.string(),
            "run": pa.string(),
            "strategies": pa.list_(pa.string()),
            "bytes": pa.int64(),
            "sha256": pa.string(),
        }
        rows = [self._file(part) for part in parts]
        return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))

    def _file(self, part: Part) -> dict[str, Any]:
        record, ref = part.record, part.record.tier2
        names = [detail.strategy for detail in part.details]
        own = {"universe": record.universe, "run": record.run, "strategies": names}
        if ref is None:
            return own
        root = self.store.url if self.store.local is None else str(self.store.local)
        return {"path": f"{root.rstrip('/')}/{ref.key}", **own, "bytes": ref.size, "sha256": ref.sha256}

    def _schemas(
        self, schema: Callable[[Part], Any], parts: Sequence[Part], errors: Errors
    ) -> Iterator[pa.Schema]:
        reader = self.reader.telling(errors)
        for part, found in zip(parts, self.store.map(schema, parts), strict=True):
            if (known := reader.take(part.record, partial(_raised, found))) is not None:
                yield known

    def _check(self, bulk: Bulk, parts: Sequence[Part], seen: Sequence[str]) -> None:
        """Raise ConfigError for a table, or columns or curves that are asked for, of which none was seen."""
        if not parts or not bulk.lacks(seen):
            return
        known: dict[str, None] = {}
        for names in self.store.map(bulk.names, parts):
            known.update(dict.fromkeys(names))
        bulk.refuse(list(known))

    def _parts(
        self,
        strategies: Strategies | None,
        universe: str | None,
        run: str | None,
        where: str | None,
        sort: str | None,
        top: int | None,
        errors: Errors,
    ) -> list[Part]:
        from archiver.query.many import chosen_parts

        records = self.listing.chosen(universe, run, errors)
        reader = self.reader.telling(errors)
        return chosen_parts(reader, records, strategies, where=where, sort=sort, top=top)

    def _read(self, bulk: Bulk, parts: Sequence[Part], errors: Errors) -> Iterator[pa.Table]:
        reader = self.reader.telling(errors)
        for part, found in zip(parts, self.store.map(bulk.attempt, parts), strict=True):
            table = reader.take(part.record, partial(_raised, found))
            if table is not None and table.num_rows:
                yield table


def _names(columns: Sequence[str] | None) -> list[str] | None:
    from archiver.runs.tables import column_names

    names = column_names(columns)
    return None if names is None else list(names)


def _raised(found: Any) -> Any:
    if isinstance(found, ArchiverError):
        raise found
    return found


def _tasks(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yield the parts of each task: an object of its own, or as many of those in records as go along well."""
    held: list[Part] = []
    size = 0
    for part in parts:
        if part.record.inline_detail is None:
            yield [part]
            continue
        held.append(part)
        size += len(part.record.inline_detail)
        if size >= _TASK:
            yield held
            held, size = [], 0
    if held:
        yield held


def _frame(parts: Sequence[Part], read: Bulk) -> Any:
    """Read a task's parts where it runs."""
    import pandas as pd

    return read.several(parts).to_pandas(types_mapper=pd.ArrowDtype)
