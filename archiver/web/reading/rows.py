"""Rows of a table of metrics or trades: filtered, sorted, cut into pages, summed up for charts. Knows no framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.query.expression import known_column
from archiver.query.selection import Ask, choose
from archiver.web.reading.data import Metrics, Recent

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 10_000
"""A page of rows is never longer."""


def ask_of(texts: Mapping[str, Any], sort: tuple[tuple[str, bool], ...] = ()) -> Ask:
    """Return the ask that a page or a URL says in texts."""
    universe, search, where = (str(texts.get(name) or "") for name in ("universe", "search", "where"))
    return Ask(universe, search, where, sort)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table that were chosen, not yet taken: taking all of a large table doubles it in memory."""

    table: pa.Table
    index: pa.Array | None

    def __len__(self) -> int:
        """Return how many rows were chosen."""
        return int(self.table.num_rows if self.index is None else len(self.index))

    def slice(self, start: int, length: int) -> Rows:
        """Return those from start on, at most so many."""
        if self.index is None:
            return Rows(self.table.slice(start, length), None)
        return Rows(self.table, self.index.slice(start, length))

    def among(self, column: str, values: Sequence[str]) -> Rows:
        """Return those whose text in a column is one of the values."""
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = self.table[column] if self.index is None else self.table[column].take(self.index)
        found = pc.indices_nonzero(pc.is_in(texts, value_set=pa.array(values, pa.string())))
        return Rows(self.table, found if self.index is None else self.index.take(found))

    def read(self) -> pa.Table:
        """Return the rows."""
        return self.table if self.index is None else self.table.take(self.index)

    def pieces(self, length: int) -> Iterator[pa.Table]:
        """Yield the rows piece by piece, so many at once."""
        for start in range(0, len(self), length):
            yield self.slice(start, length).read()


_STEPS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.997, 0.999, 1.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Percentiles of the distance from zero, of a column's values below zero and of the others.

    They are closer to each other near the end, so that the best differ even where all of a page are among them.
    """

    below: list[float]
    above: list[float]


class Views:
    """Answers asks over tables; a filtered and sorted index is kept, so that paging costs nothing."""

    def __init__(self) -> None:
        self._kept: Recent[pa.Array | None] = Recent(12)
        self._scales: Recent[Scale] = Recent(400)

    def count(self, metrics: Metrics, ask: Ask) -> int:
        """Return how many rows there are. Raises ConfigError for a column or expression that cannot be."""
        return len(self.rows(metrics, ask))

    def page(
        self, metrics: Metrics, ask: Ask, start: int, end: int, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the rows from start to before end, of the columns named."""
        start, end = max(0, start), max(0, min(end, start + MOST_ROWS))
        return self.rows(metrics, ask, columns).slice(start, max(0, end - start)).read()

    def rows(self, metrics: Metrics, ask: Ask, columns: Sequence[str] | None = None) -> Rows:
        """Return all rows, of the columns named."""
        index = self._kept.get((metrics.version, ask), lambda: choose(metrics.table, ask))
        return Rows(metrics.table if columns is None else metrics.table.select(list(columns)), index)

    def scale(self, metrics: Metrics, name: str) -> Scale:
        """Return how a numeric column's values spread, for colours."""
        return self._scales.get((metrics.version, name), lambda: _scale(metrics.table[name]))


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds numbers."""
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def numeric_columns(table: pa.Table) -> list[str]:
    """Return the names of the columns that hold numbers."""
    return [item.name for item in table.schema if is_number(item.type)]


def well_filled(table: pa.Table, names: Sequence[str]) -> list[str]:
    """Return those columns that at least half of the rows have a value in."""
    return [name for name in names if table[name].null_count * 2 <= table.num_rows]


def _scale(column: pa.ChunkedArray) -> Scale:
    import pyarrow.compute as pc

    values = _finite(column)

    def steps(some: pa.Array) -> list[float]:
        if not len(some):
            return []
        return [float(f"{value:.6g}") for value in pc.quantile(some, q=list(_STEPS)).to_pylist()]

    above = values.filter(pc.greater_equal(values, 0))
    return Scale(steps(pc.negate(values.filter(pc.less(values, 0)))), steps(above))


def _finite(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    floats = column.cast(pa.float64(), safe=False)
    return floats.filter(pc.fill_null(pc.is_finite(floats), False)).combine_chunks()


@dataclass(frozen=True, slots=True)
class Cloud:
    """Two columns against each other: counts on a grid over the bulk, and single points.

    `x_edges` and `y_edges` bound the cells of `counts` (rows are y); `points` are all rows, or of many those that
    have few others near them; `best` are the first rows, in their order, which are not among the points;
    `rows` is how many rows have both values, `outside` how many of them lie beyond the edges. `means` are the means of a
    third column in each cell, None where it has none, and `span` between what its colours run.
    """

    x_edges: list[float]
    y_edges: list[float]
    counts: list[list[int]]
    points: pa.Table
    best: pa.Table
    rows: int
    outside: int
    means: list[list[float | None]] = field(default_factory=list)
    span: tuple[float, float] | None = None


def cloud(
    table: pa.Table,
    x: str,
    y: str,
    *,
    best: int = 0,
    within: tuple[float, float, float, float] | None = None,
    color: str | None = None,
    log: tuple[bool, bool] = (False, False),
    cells: int = 70,
    most: int = 2_500,
    lone: int = 400,
) -> Cloud:
    """Sum up two numeric columns for a scatter plot.

    Arguments:
        table: the rows to draw.
        x, y: numeric columns.
        best: so many of the first rows that have both are the best: the axes never leave them out.
        color: a third numeric column.
        log: whether x and y have a log scale: then what is not above zero is left out, and cells are even in the logarithm.
        within: x from, x to, y from, y to; None: from the 0.5th to the 99.5th percentile and all the best; of few rows all.
        cells: grid cells in each direction.
        most: so many rows are drawn as points, all of them.
        lone: of more rows so many, those that have the fewest others near them.

    Raises ConfigError for a column that is unknown or holds no numbers.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in (x, y, color):
        if name and not is_number(table.schema.field(known_column(name, table.column_names)).type):
            raise ConfigError(f"{name!r} holds no numbers: choose another column")
    xs, ys = (_scaled(table, name, is_log) for name, is_log in zip((x, y), log, strict=True))
    both = np.isfinite(xs) & np.isfinite(ys)
    at = np.flatnonzero(both)
    if not len(at):
        return Cloud([], [], [], table.slice(0, 0), table.slice(0, 0), 0, 0)
    xs, ys = xs[at], ys[at]
    if within is None:
        # A few extremes would squeeze the many; where few are drawn, all of them are.
        ends = [0.005, 0.995] if len(at) > most else [0.0, 1.0]
        bounds = [*_around(np.quantile(xs, ends), xs[:best]), *_around(np.quantile(ys, ends), ys[:best])]
    else:
        bounds = list(within)
    x0, x1, y0, y1 = (float(value) for value in bounds)
    x0, x1 = (x0, x1) if x1 > x0 else (x0 - 0.5, x0 + 0.5)
    y0, y1 = (y0, y1) if y1 > y0 else (y0 - 0.5, y0 + 0.5)
    inside = (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
    area: Any = {"bins": cells, "range": [[y0, y1], [x0, x1]]}
    counts, y_edges, x_edges = np.histogram2d(ys[inside], xs[inside], **area)
    others = np.flatnonzero(inside[best:]) + best
    if len(others) > most:
        # In a crowd a point tells nothing that the shading does not.
        row, column = (
            np.clip(np.searchsorted(edges, values[others], side="right") - 1, 0, cells - 1)
            for edges, values in ((y_edges, ys), (x_edges, xs))
        )
        others = np.sort(others[np.argsort(counts[row, column], kind="stable")[:lone]])
    columns = list(dict.fromkeys(["universe", "strategy_name", "run", x, y, *([color] if color else [])]))
    points, first = (
        table.select(columns).take(pa.array(at[some])) for some in (others, np.flatnonzero(inside[:best]))
    )
    means, span = _colored(_scaled(table, color)[at], (ys, xs), inside, area) if color else ([], None)
    return Cloud(
        x_edges.tolist(),
        y_edges.tolist(),
        counts.astype(int).tolist(),
        points,
        first,
        len(at),
        int(len(at) - pc.sum(pa.array(inside)).as_py()),
        means,
        span,
    )


def _scaled(table: pa.Table, name: str, log: bool = False) -> Any:
    """Return a column as floats; their logarithms to 10 on a log scale, which has no place for what is not above zero."""
    import numpy as np
    import pyarrow as pa

    values = np.asarray(table[name].cast(pa.float64(), safe=False).fill_null(float("nan")))
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values)


def _colored(
    values: Any, places: tuple[Any, Any], inside: Any, area: Any
) -> tuple[list[list[float | None]], tuple[float, float] | None]:
    """Return the mean of a column in each cell, and its 2nd and 98th percentile: extremes would leave one colour for all others."""
    import numpy as np

    there = inside & np.isfinite(values)
    if not there.any():
        return [], None
    down, across = (place[there] for place in places)
    sums = np.histogram2d(down, across, weights=values[there], **area)[0]
    counts = np.histogram2d(down, across, **area)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(counts > 0, sums / counts, np.nan)
    low, high = (float(end) for end in np.quantile(values[there], [0.02, 0.98]))
    found = [[None if value != value else float(f"{value:.5g}") for value in row] for row in means.tolist()]
    return found, (low, high) if high > low else (low - 0.5, high + 0.5)


def _around(ends: Any, best: Any) -> list[float]:
    """Widen an axis so that it holds the best too, none of them cut in half at its edge."""
    low, high = (float(end) for end in ends)
    if not len(best) or (low <= best.min() and best.max() <= high):
        return [low, high]
    low, high = min(low, float(best.min())), max(high, float(best.max()))
    return [low - 0.03 * (high - low), high + 0.03 * (high - low)]
