"""What parameters make of a metric: heat maps, slices, importance. One pass over columns, however many strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.analysis.axes import (
    Axis,
    Classes,
    Grid,
    axis,
    classes,
    grid,
    kinds,
    known_parameter,
    numpy,
    parameter_columns,
)
from archiver.analysis.neighbours import beside_neighbours
from archiver.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

HOW = ("mean", "best", "median", "worst", "count")
"""What a cell of a heat map may show of the strategies that fall on it."""
_DENSE = 1 << 22
"""Cells up to which groups are counted in a table of all cells."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A metric over two parameters: a row of `values` for each class of `y`, a column for each of `x`; NaN where none is."""

    x: Classes
    y: Classes
    values: Any
    counts: Any
    best: tuple[int, int] | None
    """Row and column of the best cell."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much of a metric's variance a parameter explains, as shares; None where too few strategies tell it."""

    alone: float | None
    with_others: float | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """A metric of some strategies, by their parameters."""

    metric: str
    greatest: bool
    """Whether the greatest is the best."""
    axes: tuple[Axis, ...]
    """Parameters that have several values."""
    constant: Mapping[str, Any]
    """Parameters that have one."""
    values: Any
    """The metric, float64, one a row; NaN where a strategy has no finite number."""
    keys: pa.Table
    """`universe`, `strategy_name`, `run` of each row."""
    run: Axis
    """The run of each row: only strategies of one run are neighbours."""
    grid: Grid
    """What these and the axes make together."""
    _drawn: dict[str, Classes] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the columns of the parameters that vary."""
        return [one.name for one in self.axes]

    def axis(self, name: str) -> Axis:
        """Return a parameter that varies, by its column or its plain name. Raises ConfigError."""
        known = known_parameter(name, self.names())
        return next(one for one in self.axes if one.name == known)

    def classes(self, name: str) -> Classes:
        """Return a parameter as it is drawn."""
        found = self.axis(name)
        return self._drawn.setdefault(found.name, classes(found))

    def heat(self, x: str, y: str, how: str = "mean", at: Mapping[str, int] | None = None) -> Heat:
        """Return the metric over two parameters, summed up over all others.

        Arguments:
            x, y: two parameters.
            how: `mean`, `best`, `median` or `worst` of the strategies that fall on a cell, or their `count`.
            at: of further parameters the place of the one class that counts.

        Raises ConfigError for a parameter that is not there, or the same twice.
        """
        np = numpy()
        if self.axis(x).name == self.axis(y).name:
            raise ConfigError(f"{x!r} is given twice: a heat map is over two parameters")
        across, up = self.classes(x), self.classes(y)
        chosen = (across.places >= 0) & (up.places >= 0) & self._at(at)
        cells = up.places[chosen].astype(np.int64) * len(across) + across.places[chosen]
        size = len(across) * len(up)
        summed, counts = self._summed(cells, self.values[chosen], size, how)
        shape = (len(up), len(across))
        best = self._best(summed) if how != "count" else None
        place = None if best is None else (best // len(across), best % len(across))
        return Heat(across, up, summed.reshape(shape), counts.reshape(shape), place)

    def slice(self, name: str, at: Mapping[str, int] | None = None) -> pa.Table:
        """Return the metric by one parameter: `value`, `count`, `mean`, `median`, `best`, `worst`, a row a class."""
        import pyarrow as pa

        np = numpy()
        drawn = self.classes(name)
        chosen = (drawn.places >= 0) & self._at(at)
        cells, values = drawn.places[chosen].astype(np.int64), self.values[chosen]
        columns: dict[str, Any] = {"value": pa.array(drawn.labels, pa.string())}
        for how in HOW[::-1]:
            columns[how] = pa.array(self._summed(cells, values, len(drawn), how)[0], from_pandas=True)
        columns["count"] = columns["count"].cast(pa.int64())
        return pa.table({name: columns[name] for name in ("value", "count", *HOW[:-1])})

    def importance(self) -> dict[str, Importance]:
        """Return how much of the metric's variance each parameter explains, by column, the greatest first.

        `alone`: epsilon squared, 1 - (SSW / (n - k)) / (SST / (n - 1)), the share of variance between the k values of
        the parameter, freed of what chance gives (T. L. Kelley, "An Unbiased Correlation Ratio Measure", PNAS 21(9),
        1935); on a full grid the first-order index of Sobol. `with_others`: mean variance along the parameter, all others
        held, by the whole variance: Sobol's total index (T. Homma, A. Saltelli, "Importance measures in global
        sensitivity analysis", 1996); None where no two strategies differ in this parameter alone.
        """
        found = {one.name: Importance(self.alone(one.name), self._with_others(one)) for one in self.axes}
        return dict(
            sorted(found.items(), key=lambda item: -max(item[1].alone or 0, item[1].with_others or 0))
        )

    def robustness(self) -> pa.Table:
        """Return each strategy beside its neighbours, in the order of the rows.

        Columns: `universe`, `strategy_name`, `run`, the parameters, the metric, then of the strategies of the same run that
        differ in one numeric parameter by one step: how many `neighbours` have a number, `neighbours_median`,
        `neighbours_worst`; and `plateau`, the worse of its own number and that median. NaN without neighbours.
        """
        import pyarrow as pa

        around = beside_neighbours(self.axes, self.grid, self.values, greatest=self.greatest)
        table = self.keys
        for name, column in {**self._columns(), self.metric: pa.array(self.values), **around}.items():
            table = table.append_column(name, column)
        return table

    def _columns(self) -> dict[str, pa.Array]:
        """Return the parameters that vary, as columns."""
        import pyarrow as pa

        np = numpy()
        found = {}
        for one in self.axes:
            places = pa.array(one.places, mask=np.asarray(one.places) < 0)
            found[one.name] = pa.array(one.values).take(places)
        return found

    def _at(self, at: Mapping[str, int] | None) -> Any:
        np = numpy()
        chosen = np.isfinite(self.values)
        for name, place in (at or {}).items():
            chosen &= self.classes(name).places == place
        return chosen

    def _summed(self, cells: Any, values: Any, size: int, how: str) -> tuple[Any, Any]:
        """Return of each cell what `how` says of its values, NaN where it has none, and how many they are."""
        np = numpy()
        if how not in HOW:
            raise ConfigError(f"a cell shows {', '.join(HOW)}, not {how[:40]!r}")
        counts = np.bincount(cells, minlength=size)
        if how == "count":
            return counts.astype(float), counts
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if how == "mean":
                return np.bincount(cells, values, size) / counts, counts
        if how == "median":
            return _medians(cells, values, counts), counts
        greatest = (how == "best") == self.greatest
        ends = np.full(size, -np.inf if greatest else np.inf)
        (np.maximum if greatest else np.minimum).at(ends, cells, values)
        ends[counts == 0] = np.nan
        return ends, counts

    def _best(self, summed: Any) -> int | None:
        np = numpy()
        if not np.isfinite(summed).any():
            return None
        return int((np.nanargmax if self.greatest else np.nanargmin)(summed))

    def alone(self, name: str) -> float | None:
        """Return a parameter's importance alone."""
        np = numpy()
        drawn = self.classes(name)
        chosen = np.isfinite(self.values) & (drawn.places >= 0)
        return _share(drawn.places[chosen], self.values[chosen], len(drawn))

    def _with_others(self, one: Axis) -> float | None:
        """Return the mean variance within the lines along which only this parameter changes, by that of all."""
        np = numpy()
        chosen = np.isfinite(self.values) & (one.places >= 0)
        values = self.values[chosen]
        lines = self.grid.along(one)[chosen]
        size = self.grid.size or _DENSE
        if size >= _DENSE:
            _, lines = np.unique(lines, return_inverse=True)
            size = int(lines.max()) + 1 if len(lines) else 0
        lines = lines.astype(np.int64)
        counts = np.bincount(lines, minlength=size)
        free, total = len(values) - int(np.count_nonzero(counts)), _variance(values)
        if free < 1 or total is None:
            return None
        return min(1.0, _within(lines, values, counts) / free / total)


def parameters(table: pa.Table, metric: str, *, greatest: bool = True) -> Parameters:
    """Take a table of metrics apart: its parameters, and one metric of numbers. Raises ConfigError for any other."""
    import pyarrow as pa

    np = numpy()
    column = table[metric]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ConfigError(f"{metric!r} holds no numbers: choose another metric")
    given = np.asarray(column.cast(pa.float64(), safe=False).fill_null(float("nan")))
    values = np.where(np.isfinite(given), given, np.nan)
    axes = [axis(name, table[name]) for name in parameter_columns(table.column_names) if name != metric]
    constant = {one.name: one.values[0] for one in axes if len(one.values) == 1}
    varying = tuple(one for one in axes if one.varies)
    keys = table.select(["universe", "strategy_name", "run"])
    run = kinds("run", keys["run"])
    return Parameters(metric, greatest, varying, constant, values, keys, run, grid([run, *varying]))


def _share(cells: Any, values: Any, size: int) -> float | None:
    """Return epsilon squared of groups, at least 0; None where values do not vary, or no group has two of them."""
    np = numpy()
    counts = np.bincount(cells, minlength=size)
    groups, rows, total = int(np.count_nonzero(counts)), len(values), _variance(values)
    if rows - groups < 1 or groups < 2 or total is None:
        return None
    return max(0.0, 1 - _within(cells, values, counts) / (rows - groups) / total)


def _variance(values: Any) -> float | None:
    """Return the variance of a sample; None where it does not vary, or is too large."""
    np = numpy()
    found = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
    return found if 0 < found < float("inf") else None


def _within(cells: Any, values: Any, counts: Any) -> float:
    """Return the sum of squares within groups."""
    np = numpy()
    apart = values - np.mean(values)
    sums = np.bincount(cells, apart, len(counts))
    some = counts > 0
    return max(0.0, float(apart @ apart - sums[some] @ (sums[some] / counts[some])))


def _medians(cells: Any, values: Any, counts: Any) -> Any:
    np = numpy()
    by_value = np.argsort(values)
    # Numbers of two bytes are sorted by their digits, in one pass.
    own = cells[by_value].astype(np.uint16 if len(counts) <= 1 << 16 else np.int64)
    ordered = values[by_value][np.argsort(own, kind="stable")]
    ends = np.cumsum(counts)
    starts = ends - counts
    found = np.full(len(counts), np.nan)
    some = counts > 0
    low, high = starts[some] + (counts[some] - 1) // 2, starts[some] + counts[some] // 2
    found[some] = (ordered[low] + ordered[high]) / 2
    return found
