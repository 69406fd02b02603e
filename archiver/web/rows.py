"""Rows of a table of metrics or trades: filtered, sorted, cut into pages, summed up for charts. Knows no framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.expression import known_column
from archiver.selection import Ask, choose
from archiver.web.data import Metrics, Recent

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


class Views:
    """Answers asks over tables; a filtered and sorted index is kept, so that paging costs nothing."""

    def __init__(self) -> None:
        self._kept: Recent[pa.Array | None] = Recent(12)
        self._spans: Recent[tuple[float, float] | None] = Recent(400)

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

    def span(self, metrics: Metrics, name: str) -> tuple[float, float] | None:
        """Return the 2nd and 98th percentile of a numeric column's finite values, None where there are none."""
        return self._spans.get((metrics.version, name), lambda: _span(metrics.table[name]))


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds numbers."""
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def numeric_columns(table: pa.Table) -> list[str]:
    """Return the names of the columns that hold numbers."""
    return [item.name for item in table.schema if is_number(item.type)]


def _span(column: pa.ChunkedArray) -> tuple[float, float] | None:
    import pyarrow.compute as pc

    finite = _finite(column)
    if not len(finite):
        return None
    low, high = pc.quantile(finite, q=[0.02, 0.98]).to_pylist()
    return float(low), float(high)


def _finite(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    floats = column.cast(pa.float64(), safe=False)
    return floats.filter(pc.fill_null(pc.is_finite(floats), False)).combine_chunks()


@dataclass(frozen=True, slots=True)
class Cloud:
    """Two columns against each other: counts on a grid over the bulk, and a sample of single points.

    `x_edges` and `y_edges` bound the cells of `counts` (rows are y); `points` are rows of the sample;
    `rows` is how many rows have both values, `outside` how many of them lie beyond the edges.
    """

    x_edges: list[float]
    y_edges: list[float]
    counts: list[list[int]]
    points: pa.Table
    rows: int
    outside: int


def cloud(
    table: pa.Table,
    x: str,
    y: str,
    *,
    within: tuple[float, float, float, float] | None = None,
    cells: int = 70,
    most: int = 2_500,
) -> Cloud:
    """Sum up two numeric columns for a scatter plot.

    Arguments:
        table: the rows to draw.
        x, y: numeric columns.
        within: x from, x to, y from, y to; None: from the 0.5th to the 99.5th percentile, of few rows all.
        cells: grid cells in each direction.
        most: points in the sample.

    Raises ConfigError for a column that is unknown or holds no numbers.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in (x, y):
        if not is_number(table.schema.field(known_column(name, table.column_names)).type):
            raise ConfigError(f"{name!r} holds no numbers: choose another column")
    xs, ys = (
        np.asarray(table[name].cast(pa.float64(), safe=False).fill_null(float("nan"))) for name in (x, y)
    )
    both = np.isfinite(xs) & np.isfinite(ys)
    at = np.flatnonzero(both)
    if not len(at):
        return Cloud([], [], [], table.slice(0, 0), 0, 0)
    xs, ys = xs[at], ys[at]
    if within is None:
        # A few extremes would squeeze the many; where few are drawn, all of them are.
        ends = [0.005, 0.995] if len(at) > most else [0.0, 1.0]
        bounds = [*np.quantile(xs, ends), *np.quantile(ys, ends)]
    else:
        bounds = list(within)
    x0, x1, y0, y1 = (float(value) for value in bounds)
    x0, x1 = (x0, x1) if x1 > x0 else (x0 - 0.5, x0 + 0.5)
    y0, y1 = (y0, y1) if y1 > y0 else (y0 - 0.5, y0 + 0.5)
    inside = (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
    counts, y_edges, x_edges = np.histogram2d(ys[inside], xs[inside], bins=cells, range=[[y0, y1], [x0, x1]])
    shown = at[inside]
    if len(shown) > most:
        # A fixed seed: the same rows give the same picture.
        shown = np.sort(np.random.default_rng(0).choice(shown, most, replace=False))
    columns = list(dict.fromkeys(["universe", "strategy_name", "run", x, y]))
    points = table.select(columns).take(pa.array(shown))
    return Cloud(
        x_edges.tolist(),
        y_edges.tolist(),
        counts.astype(int).tolist(),
        points,
        len(at),
        int(len(at) - pc.sum(pa.array(inside)).as_py()),
    )
