"""Runs as rows: searched by words, sorted by the best or the median of what ranks them, by parameters, tags and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from archiver.base.suggest import did_you_mean
from archiver.base.unread import ONE_OBJECT
from archiver.errors import ConfigError
from archiver.format.model import Record, Run
from archiver.format.text import loads
from archiver.runs.all_runs import growth, has_text
from archiver.runs.ranking import rank_order
from archiver.runs.records import run_of

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.site import Site

COLUMNS = ("saved", "universe", "strategies", "best", "median", "bytes", "tags")
"""What runs can be sorted by, beside `params.<name>`."""
PARAMS = "params."
_SORTED_MANY = {"saved": "created", "universe": "universe", "strategies": "strategies", "bytes": "bytes"}
"""What many runs can be sorted by, and the column of `AllRuns.table` that has it."""
_LEFT_OUT = (
    "Of so many runs only ids, universes and notes are searched, not tags and parameters; the best that sorts is that of what"
    " the newest run was ranked by; bytes that runs share count with each. Choose a universe or tag with fewer for all of it."
)


@dataclass(frozen=True, slots=True)
class Row:
    """A run, what ranked it, the best and (where it was asked for) the median of that, and its parameters."""

    run: Run
    metric: str | None
    best: float | None
    params: Mapping[str, Any]
    median: float | None = None
    record: Record | None = field(default=None, repr=False)

    def text(self) -> str:
        """Return all that a search looks at."""
        run = self.run
        params = " ".join(f"{name}={value}" for name, value in self.params.items())
        return " ".join([run.id, run.universe, *run.tags, run.note or "", params]).casefold()

    def value(self, column: str) -> Any:
        """Return what it is sorted by."""
        if column.startswith(PARAMS):
            return self.params.get(column.removeprefix(PARAMS))
        run = self.run
        return {
            "saved": (run.created, run.id),
            "universe": run.universe,
            "strategies": run.strategies,
            "best": self.best,
            "median": self.median,
            "bytes": run.bytes,
            "tags": " ".join(run.tags) or None,
        }[column]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A page of the runs that were asked for: its rows; all rows where their records were read; how many, their bytes.

    `note` says what was left out.
    """

    rows: list[Row]
    all: Sequence[Row]
    count: int
    size: int
    note: str = ""


def among(table: pa.Table, runs: Sequence[str]) -> pa.Table:
    """Return those rows of a table of runs that are of these runs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["run"], value_set=pa.array(runs, pa.string())))


def chosen(
    site: Site, table: pa.Table, tags: Mapping[str, Sequence[str]], search: str, sort: str, page: slice
) -> Chosen:
    """Search and sort the runs of a table, and return a page of them.

    Of many runs only what the table says is looked at: what their records say, parameters and the best, is not.
    Raises ConfigError for what runs, or so many, cannot be sorted by.
    """
    if len(table) > site.data.many:
        return _of_many(site, table, tags, search, sort, page)
    rows = searched(_rows(site, table, tags), search)
    # The median is in the metrics themselves: read of all only where it sorts.
    rows = ordered(with_medians(site, rows) if sort.removeprefix("-") == "median" else rows, sort)
    size = sum(growth([row.record for row in rows if row.record is not None]))
    return Chosen(with_medians(site, rows[page]), rows, len(rows), size)


def _of_many(
    site: Site, table: pa.Table, tags: Mapping[str, Sequence[str]], search: str, sort: str, page: slice
) -> Chosen:
    import pyarrow.compute as pc

    for word in search.split():
        table = table.filter(has_text(table, word, ("run", "universe", "note")))
    values = _values(site, table, sort.removeprefix("-"), sort)
    order = [("", "ascending" if sort.startswith("-") else "descending")]
    shown = pc.sort_indices(values, sort_keys=order)[page] if sort != "saved" else None
    rows = _rows(site, table[page] if shown is None else table.take(shown), tags)
    rows = with_medians(site, rows)
    size = int(pc.sum(table["bytes"]).as_py() or 0)
    return Chosen(rows, rows, len(table), size, _LEFT_OUT)


def _values(site: Site, table: pa.Table, column: str, sort: str) -> pa.ChunkedArray:
    """Return what each row of a table of many runs is sorted by. Raises ConfigError."""
    import pyarrow.compute as pc

    if column in _SORTED_MANY:
        return table[_SORTED_MANY[column]]
    metrics, columns = site.data.headline("all") if column == "best" else (None, [])
    if metrics is not None and columns:
        end = "max" if site.data.greatest_first(columns[0]) else "min"
        best = metrics.table.group_by("run").aggregate([(columns[0], end)])
        return best[f"{columns[0]}_{end}"].take(
            pc.index_in(table["run"], value_set=best["run"].combine_chunks())
        )
    ordered([], sort)
    raise ConfigError(
        f"more than {site.data.many:,} runs are not sorted by {column!r}, which takes the record of each: choose a"
        f" universe or tag with fewer, or sort by {', '.join(_SORTED_MANY)}, best"
    )


def _rows(site: Site, table: pa.Table, tags: Mapping[str, Sequence[str]]) -> list[Row]:
    ids = table["run"].to_pylist()
    records = site.data.seen().whole(ids)
    return [row_of(run_of(records[run], tags.get(run, ())), records[run]) for run in ids if run in records]


def row_of(run: Run, record: Record) -> Row:
    """Return a run as a row."""
    metric, greatest = rank_order(record.rank_by or "")
    span = record.metrics.get(metric)
    best = None if span is None else float(span[greatest])
    params = loads(record.params) if record.params else {}
    return Row(run, metric or None, best, params if isinstance(params, dict) else {}, None, record)


def varying(rows: Sequence[Row], most: int) -> list[str]:
    """Return the parameters in which runs differ, those that most runs have first."""
    values: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.params.items():
            values.setdefault(str(name), []).append(repr(value))
    told = [name for name, own in values.items() if len({*own}) > 1 or len(own) < len(rows)]
    return sorted(told, key=lambda name: -len(values[name]))[:most]


def with_medians(site: Site, rows: Sequence[Row]) -> list[Row]:
    """Return rows with the median of what ranked each; one whose metrics cannot be read has none."""
    return [_with_median(site, row) for row in rows]


def _with_median(site: Site, row: Row) -> Row:
    from archiver.query.selection import finite

    if row.record is None or row.metric is None:
        return row
    try:
        table = site.data.reader.metrics([row.record], [row.metric], history=True)
    except ONE_OBJECT:
        return row
    values = finite(table[row.metric])
    found = median(values) if values else None
    return Row(row.run, row.metric, row.best, row.params, found, row.record)


def searched(rows: Sequence[Row], text: str) -> list[Row]:
    """Return the rows that have all the words."""
    words = text.casefold().split()
    return [row for row in rows if all(word in row.text() for word in words)]


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """Return rows in order: greatest first, with a `-` least; what has no value comes last. Raises ConfigError."""
    column, down = sort.removeprefix("-"), not sort.startswith("-")
    if column not in COLUMNS and not column.startswith(PARAMS):
        raise ConfigError(
            f"runs cannot be sorted by {column[:40]!r}"
            + did_you_mean(column, COLUMNS, f": there are {', '.join(COLUMNS)}")
        )
    values = [row.value(column) for row in rows]
    known = [at for at, value in enumerate(values) if value is not None]
    rest = [at for at, value in enumerate(values) if value is None]
    # Numbers before texts: parameters of several runs may be of several kinds.
    known.sort(key=lambda at: _comparable(values[at]), reverse=down)
    return [rows[at] for at in (*known, *rest)]


def _comparable(value: Any) -> tuple[bool, Any]:
    if isinstance(value, int | float):
        return True, value
    return False, value if isinstance(value, tuple) else str(value)
