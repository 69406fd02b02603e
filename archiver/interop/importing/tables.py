"""Parquet: results of one universe with a sidecar of facts, or the merged metrics of many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.base.run_id import is_run_id
from archiver.errors import FormatError, IntegrityError
from archiver.format.text import loads
from archiver.format.values import plain
from archiver.interop.importing.batch import (
    DETAIL,
    Batch,
    Entries,
    Outcome,
    Result,
    fingerprint,
    load_json,
    moment,
)
from archiver.interop.importing.find import Found
from archiver.interop.importing.source import SIDECAR, Source
from archiver.interop.importing.spool import Spool
from archiver.interop.importing.universe_json import universe_name

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1_000
_JSON = {b"archiver": b"json"}
_METRIC = b"archiver.metric"
"""On a column that an export named otherwise than the metric, which is called as one of the first columns."""
_APART = ".text"
_UNIVERSES = ("universe", "universe_name")


def read_table(source: Source, found: Found, spool: Spool, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield a batch for each universe of a Parquet file. `outcomes` takes what is left out of it.

    Raises IntegrityError for a damaged file, FormatError for one without a column `strategy_name`.
    """
    facts, single = facts_of(source, found)
    for universe, row in table_rows(source, found.key, single, outcomes):
        spool.add(universe, row)
    modified = next(entry.modified for entry in found.entries if entry.key == found.key)
    created = moment(facts.get("backtest_timestamp"), modified)
    for universe in spool.names():
        yield Batch(
            key=found.key,
            form="parquet",
            universe=universe,
            created=created,
            fingerprint=fingerprint("parquet", universe, spool.digest(universe)),
            results=partial(spool.values, universe),
            facts=dict(facts),
        )


def facts_of(source: Source, found: Found) -> tuple[dict[str, Any], str]:
    """Return what the sidecar says, and the universe of rows that name none. Raises IntegrityError."""
    facts: dict[str, Any] = {}
    for entry in found.entries:
        if entry.key.endswith(SIDECAR):
            known = load_json(source.read(entry.key), entry.key)
            facts |= known if isinstance(known, dict) else {"metadata": known}
    name = universe_name(facts, found.key)
    return facts, name.removesuffix("_backtest_results_merged").removesuffix("_merged")


def table_rows(
    source: Source, key: str, single: str, outcomes: list[Outcome]
) -> Iterator[tuple[str, Result]]:
    """Yield (universe, result) of a Parquet file; `single` is the universe of rows that name none.

    Names that repeat, once for each `lot_size`, are told apart by a universe for each lot size.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with source.open(key) as file:
        try:
            parquet = pq.ParquetFile(file)
            schema = parquet.schema_arrow
            if "strategy_name" not in schema.names:
                raise FormatError(f"{key} holds no results: it has no column strategy_name")
            lots = _repeats(parquet)
            entries = Entries(key)
            metrics = {item.name: _metric(item) for item in schema}
            aside = any(name != metric for name, metric in metrics.items())
            for batch in parquet.iter_batches(_ROWS):
                for row in batch.to_pylist():
                    universe, entry = _row(plain(row, key), schema, single, lots)
                    yield universe, entries.result(entry, "" if aside else universe)
            outcomes += entries.outcomes()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise IntegrityError(f"{key} is damaged: {str(error).splitlines()[0]}") from None


def _repeats(parquet: Any) -> bool:
    """Tell whether strategies come once for each lot size."""
    import pyarrow.compute as pc

    names = parquet.schema_arrow.names
    if "lot_size" not in names or any(name in names for name in _UNIVERSES):
        return False
    column = parquet.read(columns=["strategy_name"])["strategy_name"]
    return int(pc.count_distinct(column).as_py()) < len(column)


def _row(row: Result, schema: pa.Schema, single: str, lots: bool) -> tuple[str, Result]:
    universe = single
    for name in _UNIVERSES:
        if isinstance(row.get(name), str):
            universe = row.pop(name)
            break
    if lots:
        universe = f"{single}_lot{row['lot_size']}"
    row.pop("__index_level_0__", None)
    if isinstance(row.get("run"), str) and is_run_id(row["run"]):
        del row["run"]
    fields = {_metric(item): item for item in schema if item.name in row}
    row = {metric: row[item.name] for metric, item in fields.items()}
    for metric, item in fields.items():
        value = row[metric]
        ours = (item.metadata or {}).items() >= _JSON.items()
        if (ours or metric in DETAIL) and isinstance(value, str):
            value = row[metric] = loads(value)
        name = metric.rstrip("_").removesuffix(_APART)
        if ours and name != metric and name in row and _is_apart(row[name], value):
            del row[metric]
            row[name] = row[name] if value is None else value
        elif metric in DETAIL and value is None:
            del row[metric]
    return universe, row


def _metric(item: pa.Field) -> str:
    """Return the metric that a column holds: its name, unless an export had to call it otherwise."""
    mark = (item.metadata or {}).get(_METRIC)
    return item.name if mark is None else str(mark.decode())


def _is_apart(number: Any, value: Any) -> bool:
    """Tell whether a value is one that an export parted from its column of numbers, which holds at most its nearest."""
    if number is None or value is None:
        return True
    if type(value) is not int:
        return False
    try:
        return bool(number == float(value))
    except OverflowError:
        return bool(abs(number) == math.inf)
