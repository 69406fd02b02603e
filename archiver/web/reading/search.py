"""Searches as the pages see them: the parameters of a selection, computed once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.analysis.axes import Classes, parameter_columns
from archiver.analysis.neighbours import COLUMNS, beside_neighbours
from archiver.analysis.parameters import Importance, Parameters, parameters
from archiver.errors import ConfigError
from archiver.query.expression import known_column
from archiver.query.selection import KEYS, Ask
from archiver.runs.ranking import rank_order
from archiver.web.reading.data import Metrics, Recent, checked_newest
from archiver.web.reading.rows import ask_of, numeric_columns
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.data import Data
    from archiver.web.reading.rows import Views

PLATEAU = COLUMNS[-1]
"""A column of every table of metrics whose strategies have parameters, made where it is asked for."""
_NAMED = ("universe", "run", "newest", "where")


@dataclass(frozen=True, slots=True)
class Search:
    """A selection of strategies and one metric of theirs, by their parameters."""

    key: tuple[Any, ...]
    table: Metrics
    """The selection's keys, parameters and metric."""
    found: Parameters
    metrics: tuple[str, ...]
    """All metrics of numbers that there are."""
    asked: Mapping[str, str]
    """`universe`, `run`, `newest`, `where` and `metric`, as they stand in the address."""


@dataclass(frozen=True)
class Searches:
    """Reads selections; what was computed last is kept."""

    _found: Recent[Search] = field(default_factory=lambda: Recent(2))
    _importance: Recent[dict[str, Importance]] = field(default_factory=lambda: Recent(4))
    _robust: Recent[Metrics] = field(default_factory=lambda: Recent(1))
    _plateaus: Recent[Metrics] = field(default_factory=lambda: Recent(2))

    def of(self, data: Data, views: Views, query: links.Query) -> Search:
        """Return the selection and metric that an address names. Raises ConfigError, NotFoundError."""
        asked = {name: links.first(query, name) for name in (*_NAMED, "metric")}
        asked["newest"] = checked_newest(asked["newest"])
        data.require_universe(asked["universe"])
        metrics = data.metrics(asked["run"] or None, asked["newest"])
        key = (metrics.version, *asked.values())
        return self._found.get(key, lambda: _read(data, views, metrics, key, asked))

    def importance(self, search: Search) -> dict[str, Importance]:
        """Return how much each parameter explains."""
        return self._importance.get(search.key, search.found.importance)

    def robust(self, search: Search) -> Metrics:
        """Return the selection with what neighbours say of each strategy."""
        return self._robust.get(search.key, lambda: _robust(search))

    def with_plateau(self, data: Data, metrics: Metrics) -> Metrics:
        """Return metrics with the plateau score of what strategies are ranked by, where they have parameters."""
        if not has_plateau(metrics.table.column_names):
            return metrics
        return self._plateaus.get(metrics.version, lambda: _with_plateau(data, metrics))


def has_plateau(names: Sequence[str]) -> bool:
    """Tell whether a table with these columns has a plateau score: a metric of that name stays what it is."""
    return PLATEAU not in names and bool(parameter_columns(names))


def _with_plateau(data: Data, metrics: Metrics) -> Metrics:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = metrics.table
    numeric = [name for name in numeric_columns(table) if name not in parameter_columns(table.column_names)]
    score = data.score(numeric)
    column = pa.nulls(table.num_rows, pa.float64())
    if score:
        found = parameters(table, score, greatest=data.greatest_first(score))
        column = beside_neighbours(found.axes, found.grid, found.values, greatest=found.greatest)[PLATEAU]
        column = pc.if_else(pc.is_nan(column), None, column)
    return Metrics(f"{metrics.version}/plateau", table.append_column(PLATEAU, column), metrics.damaged)


def _read(
    data: Data, views: Views, metrics: Metrics, key: tuple[Any, ...], asked: Mapping[str, str]
) -> Search:
    names = metrics.table.column_names
    there = parameter_columns(names)
    numeric = tuple(name for name in numeric_columns(metrics.table) if name not in there)
    name, greatest = rank_order(asked["metric"])
    if not name:
        name = data.score(numeric) or next(iter(numeric), "")
        greatest = data.greatest_first(name)
    if not name:
        raise ConfigError("no metric holds numbers: there is nothing to sum up")
    known_column(name, names)
    rows = views.rows(metrics, ask_of(asked), list(dict.fromkeys([*KEYS, *there, name]))).read()
    found = parameters(rows, name, greatest=greatest)
    return Search(key, Metrics(repr(key), rows, metrics.damaged), found, numeric, asked)


def _robust(search: Search) -> Metrics:
    found, table = search.found, search.table.table
    columns = beside_neighbours(found.axes, found.grid, found.values, greatest=found.greatest)
    for name in COLUMNS:
        table = table.append_column(name, columns[name])
    return Metrics(f"{search.table.version}/robust", table)


def best_first(search: Search, column: str = "", where: str = "") -> Ask:
    """Return an ask for the strategies that satisfy a filter, the best by a column first."""
    name, turned = column.removeprefix("-"), column.startswith("-")
    down = True if name == COLUMNS[0] else search.found.greatest
    return Ask(where=where, sort=(((name or search.found.metric), down is not turned),))


def default_axes(found: Parameters) -> tuple[str, str] | None:
    """Return the two parameters to begin with: those of the best strategy that tell most, and are there together."""
    import numpy as np

    told = sorted(found.axes, key=lambda one: -(found.alone(one.name) or 0))
    if np.isfinite(found.values).any():
        best = (np.nanargmax if found.greatest else np.nanargmin)(found.values)
        told.sort(key=lambda one: one.places[best] < 0)
    for first in told:
        both = [
            one for one in told if one is not first and bool(np.any((one.places >= 0) & (first.places >= 0)))
        ]
        if both:
            # Numbers with more values go across.
            pair = sorted([first, both[0]], key=lambda one: len(found.classes(one.name)))
            return pair[1].name, pair[0].name
    return None


def condition(name: str, drawn: Classes, place: int) -> str:
    """Write a class of a parameter as a filter has it: `params.fast == 10`, `1 <= params.x <= 2`."""
    column = name if all(part.isidentifier() for part in name.split(".")) else f"`{name}`"
    low, high = drawn.bounds[place]
    if low == high:
        return f"{column} == {_literal(low)}"
    return f"{_literal(low)} <= {column} <= {_literal(high)}"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
