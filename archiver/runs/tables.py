"""Rows of several runs as one table: whose they are, which of them count, which columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archiver.base.suggest import did_you_mean
from archiver.errors import ConfigError
from archiver.format.arrays import array_of
from archiver.format.metrics import inline_table, with_keys
from archiver.format.model import Record
from archiver.format.params import asked

if TYPE_CHECKING:
    import pyarrow as pa

FIRST = ("universe", "strategy_name", "run")


def inline_table_of(
    rows_of_runs: Sequence[tuple[Record, list[dict[str, Any]]]],
    columns: Sequence[str] | None,
    *,
    params: bool,
) -> pa.Table:
    """Return the rows of small runs as one table; params: as columns, not as dicts."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    universes: list[str] = []
    runs: list[str] = []
    for record, own in rows_of_runs:
        rows += own
        universes += [record.universe] * len(own)
        runs += [record.run] * len(own)
    return with_keys(
        inline_table(rows, columns, params=params),
        array_of(universes, pa.string()),
        array_of(runs, pa.string()),
    )


def column_names(columns: Sequence[str] | None) -> Sequence[str] | None:
    """Take one name for a list of it, not for its letters, and the same name once."""
    names = [columns] if isinstance(columns, str) else columns
    if names is not None and (wrong := [name for name in names if not isinstance(name, str)]):
        raise ConfigError(f"{wrong[0]!r} is no name of a column: give texts")
    return None if names is None else list(dict.fromkeys(names))


def selected(table: pa.Table, wanted: Sequence[str], records: Sequence[Record]) -> pa.Table:
    """Return the columns asked for; one that no run has is a ConfigError."""
    import pyarrow as pa

    wanted = asked(wanted, table.column_names)
    missing = [name for name in wanted if name not in table.column_names]
    ranked = {name for record in records for name in record.metrics}
    for name in [name for name in missing if name in ranked]:  # of runs that cannot be read
        table = table.append_column(name, pa.nulls(table.num_rows, pa.float64()))
        missing.remove(name)
    if missing and table.num_rows:
        known = sorted(ranked | set(table.column_names))
        where = f" of {records[0].universe!r}" if len({record.universe for record in records}) == 1 else ""
        raise ConfigError(f"no run{where} has a metric {missing[0]!r}{did_you_mean(missing[0], known)}")
    for name in missing:
        table = table.append_column(name, pa.nulls(0))
    return table.select([*FIRST, *wanted])
