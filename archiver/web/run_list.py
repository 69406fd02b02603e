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
from archiver.runs.ranking import rank_order

if TYPE_CHECKING:
    from archiver.web.site import Site

COLUMNS = ("saved", "universe", "strategies", "best", "median", "bytes", "tags")
"""What runs can be sorted by, beside `params.<name>`."""
PARAMS = "params."


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


def row_of(run: Run, record: Record | None) -> Row:
    """Return a run as a row; without its record, which may be new, it has no number."""
    if record is None:
        return Row(run, None, None, {})
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
