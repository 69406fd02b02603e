"""Robustness: each strategy beside its neighbours, which differ from it in one parameter by one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.analysis.axes import Axis, Grid, numpy
from archiver.format.arrays import float_array, int_array

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("neighbours", "neighbours_median", "neighbours_worst", "plateau")
"""What a strategy's neighbours say, as columns."""
_DENSE = 1 << 25
"""Cells up to which a table says of each which strategy it is: 128 MB."""
_ROWS = 1 << 16
"""Strategies whose neighbours are sorted at once."""


@dataclass(frozen=True, slots=True)
class _Points:
    """The points of a grid that strategies are on."""

    cells: Any
    """A number for each combination of run and parameters: uint64, one a point."""
    rows: Any
    """Of each point one of its rows."""
    of_row: Any
    """The point of each row."""
    values: Any
    """The mean of the metric at each point."""
    find: Callable[[Any], Any]
    """Gives the point of each of some cells, -1 for none."""


def beside_neighbours(
    axes: Iterable[Axis], grid: Grid, values: Any, *, greatest: bool
) -> dict[str, pa.Array]:
    """Return COLUMNS: what its neighbours say of each strategy.

    A neighbour is a strategy of the same run that differs in one numeric parameter alone, by one step: to the next
    value up or down that any strategy has. `neighbours` counts those with a finite number; `neighbours_median` and
    `neighbours_worst` are of their metric. `plateau` is the worse of the strategy's own number and the median of its
    neighbours: a lonely peak is worth what is around it, a hole in a plateau no more than itself. NaN where there is no
    neighbour or no number. Strategies of a run with equal parameters are one neighbour, by their mean.
    """
    np = numpy()
    points = _points(grid, values)
    steps = [(one, np.uint64(grid.strides[one.name])) for one in axes if one.is_number]
    worse = np.minimum if greatest else np.maximum
    counts, medians, worst = _around(points, steps, worse)
    of_row = points.of_row
    plateau = np.where(counts[of_row] > 0, worse(values, medians[of_row]), np.nan)
    columns = (int_array(counts[of_row]), *map(float_array, (medians[of_row], worst[of_row], plateau)))
    return dict(zip(COLUMNS, columns, strict=True))


def _points(grid: Grid, values: Any) -> _Points:
    np = numpy()
    cells = grid.cells
    if grid.size is not None and grid.size <= _DENSE:
        rows = np.arange(len(cells), dtype=np.int32)
        table = np.full(grid.size, -1, np.int32)
        table[cells] = rows
        if (table[cells] == rows).all():
            return _Points(cells, rows, rows, values, lambda asked: table[asked])
    own, rows, of_row = np.unique(cells, return_index=True, return_inverse=True)
    known = np.isfinite(values)
    counts = np.bincount(of_row[known], minlength=len(own))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(of_row[known], values[known], len(own)) / counts

    def find(asked: Any) -> Any:
        at = np.minimum(np.searchsorted(own, asked), len(own) - 1)
        return np.where(own[at] == asked, at, -1)

    return _Points(own, rows, of_row, means, find)


def _around(points: _Points, steps: list[tuple[Axis, Any]], worse: Any) -> tuple[Any, Any, Any]:
    """Return of each point how many neighbours have a number, and the median and the worst of these."""
    np = numpy()
    size = len(points.values)
    counts, medians, worst = np.zeros(size, np.int64), np.full(size, np.nan), np.full(size, np.nan)
    for start in range(0, size, _ROWS):
        part = slice(start, min(size, start + _ROWS))
        cells = points.cells[part]
        values = np.full((len(cells), 2 * len(steps)), np.nan)
        for at, (one, stride) in enumerate(steps):
            places = one.places[points.rows[part]]
            for side, there in enumerate(((places >= 0) & (places < len(one.values) - 1), places > 0)):
                inside = np.flatnonzero(there)
                near = points.find(cells[inside] - stride if side else cells[inside] + stride)
                values[inside[near >= 0], 2 * at + side] = points.values[near[near >= 0]]
        counts[part], medians[part], worst[part] = _summed(values, worse)
    return counts, medians, worst


def _summed(values: Any, worse: Any) -> tuple[Any, Any, Any]:
    """Return of each row how many numbers it has, their median and their worst."""
    np = numpy()
    values.sort(axis=1)  # NaN last
    counts = np.count_nonzero(values == values, axis=1)
    rows, last = np.arange(len(values)), np.maximum(counts - 1, 0)
    if not values.shape[1]:
        nothing = np.full(len(values), np.nan)
        return counts, nothing, nothing
    medians = (values[rows, last // 2] + values[rows, (last + 1) // 2]) / 2
    return counts, medians, values[rows, 0 if worse is np.minimum else last]
