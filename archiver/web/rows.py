"""Rows of a table of metrics or trades: filtered, sorted, cut into pages, summed up for charts. Knows no framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.expression import Expression, known_column
from archiver.web.data import Metrics, Recent

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 10_000
"""A page of rows is never longer."""
_MOST_KEYS = 8
_LONGEST_SEARCH = 400


@dataclass(frozen=True, slots=True)
class Ask:
    """Which rows, in which order: `sort` holds (column, descending)."""

    universe: str = ""
    search: str = ""
    where: str = ""
    sort: tuple[tuple[str, bool], ...] = ()


def ask_of(texts: Mapping[str, Any], sort: tuple[tuple[str, bool], ...] = ()) -> Ask:
    """Return the ask that a page or a URL says in texts."""
    universe, search, where = (str(texts.get(name) or "") for name in ("universe", "search", "where"))
    return Ask(universe, search, where, sort)


def parse_sort(text: str) -> tuple[tuple[str, bool], ...]:
    """Read `-sharpe_ratio,n_trades`: a leading `-` is descending.

    Raises ConfigError for too many columns.
    """
    keys = tuple(
        (part.removeprefix("-"), part.startswith("-")) for part in text.split(",") if part.strip("-")
    )
    if len(keys) > _MOST_KEYS:
        raise ConfigError(f"sort by at most {_MOST_KEYS} columns")
    return keys


def sort_text(keys: Sequence[tuple[str, bool]]) -> str:
    """Write what `parse_sort` reads."""
    return ",".join(f"-{name}" if descending else name for name, descending in keys)


class Views:
    """Answers asks over tables; a filtered and sorted index is kept, so that paging costs nothing."""

    def __init__(self) -> None:
        self._kept: Recent[pa.Array | None] = Recent(12)
        self._spans: Recent[tuple[float, float] | None] = Recent(400)

    def count(self, metrics: Metrics, ask: Ask) -> int:
        """Return how many rows there are. Raises ConfigError for a column or expression that cannot be."""
        chosen = self._chosen(metrics, ask)
        return int(metrics.table.num_rows if chosen is None else len(chosen))

    def page(
        self, metrics: Metrics, ask: Ask, start: int, end: int, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the rows from start to before end, of the columns named."""
        start, end = max(0, start), max(0, min(end, start + MOST_ROWS))
        chosen = self._chosen(metrics, ask)
        table = metrics.table if columns is None else metrics.table.select(list(columns))
        if chosen is None:
            return table.slice(start, end - start)
        return table.take(chosen.slice(start, max(0, end - start)))

    def all(self, metrics: Metrics, ask: Ask, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, of the columns named."""
        chosen = self._chosen(metrics, ask)
        table = metrics.table if columns is None else metrics.table.select(list(columns))
        return table if chosen is None else table.take(chosen)

    def span(self, metrics: Metrics, name: str) -> tuple[float, float] | None:
        """Return the 2nd and 98th percentile of a numeric column's finite values, None where there are none."""
        return self._spans.get((metrics.version, name), lambda: _span(metrics.table[name]))

    def _chosen(self, metrics: Metrics, ask: Ask) -> pa.Array | None:
        return self._kept.get((metrics.version, ask), lambda: choose(metrics.table, ask))


def choose(table: pa.Table, ask: Ask) -> pa.Array | None:
    """Return the indices of the rows asked for in their order; None for all rows as they stand.

    Raises ConfigError for an unknown column, one that cannot be sorted, or an expression that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = _mask(table, ask)
    keys = [(known_column(name, table.column_names), down) for name, down in ask.sort]
    for name, _ in keys:
        if pa.types.is_nested(table.schema.field(name).type):
            raise ConfigError(f"{name!r} holds lists or dicts and cannot be sorted: choose another column")
    chosen = None if mask is None else pc.indices_nonzero(mask)
    if not keys:
        return chosen
    narrow = table.select(list(dict.fromkeys(name for name, _ in keys)))
    if chosen is not None:
        narrow = narrow.take(chosen)
    order = pc.sort_indices(
        narrow, sort_keys=[(name, "descending" if down else "ascending") for name, down in keys]
    )
    return order if chosen is None else chosen.take(order)


def _mask(table: pa.Table, ask: Ask) -> pa.ChunkedArray | None:
    import pyarrow.compute as pc

    masks = []
    if ask.universe:
        masks.append(pc.equal(table["universe"], ask.universe))
    if len(ask.search) > _LONGEST_SEARCH:
        raise ConfigError(f"search for at most {_LONGEST_SEARCH} characters")
    words = ask.search.split()
    masks += [pc.match_substring(table["strategy_name"], word, ignore_case=True) for word in words]
    if ask.where.strip():
        masks.append(Expression(ask.where).mask(table))
    result = None
    for mask in masks:
        result = mask if result is None else pc.and_(result, mask)
    return result


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
        within: x from, x to, y from, y to; None: from the 0.5th to the 99.5th percentile.
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
        bounds = [*np.quantile(xs, [0.005, 0.995]), *np.quantile(ys, [0.005, 0.995])]
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
