"""Curves and returns made fit for a picture: read, thinned without losing extremes, summed by month, counted by size."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from archiver.analysis.moments import first_of, times, when
from archiver.analysis.trades import MONEY
from archiver.format.series import Series, named

if TYPE_CHECKING:
    import pyarrow as pa

MOST_POINTS = 2_000


def _nothing() -> Any:
    import numpy as np

    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve as it can be drawn: its values, and the moment of each where they are known.

    `unread` says how it was saved where that is no form that is understood: then it has no values, and nothing is drawn.
    """

    values: Any = field(default_factory=_nothing)
    times: list[datetime] | None = None
    unread: str = ""

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.values)


def read(saved: Any) -> Curve:
    """Return a curve from what was saved: numbers, [time, value] pairs, rows or columns of both, or {time: value}."""
    import numpy as np

    if saved is None or (isinstance(saved, str | list | dict | np.ndarray) and not len(saved)):
        return Curve()
    pairs = _pairs(saved)
    if pairs:
        moments = [when(moment) for moment, _ in pairs]
        known = [moment for moment in moments if moment is not None]
        if len(known) == len(pairs) and all(_is_number(value) for _, value in pairs):
            return Curve(floats([value for _, value in pairs]), known)
    is_plain = isinstance(saved, np.ndarray) or (isinstance(saved, list) and all(map(_is_number, saved)))
    if is_plain and len(values := floats(saved)):
        return Curve(values)
    inside = f" of {type(saved[0]).__name__}" if isinstance(saved, list) else ""
    return Curve(unread=f"{type(saved).__name__}{inside}")


def of_series(series: Series | None) -> Curve:
    """Return a curve with the moments of its clock; on a clock of other numbers or texts it has none."""
    import pyarrow as pa

    if series is None:
        return Curve()
    curve = read(series.values)
    if series.clock is None or not pa.types.is_timestamp(series.clock.time.type) or not len(curve):
        return curve
    kind = pa.timestamp("us", series.clock.time.type.tz)
    with suppress(ValueError, OverflowError, LookupError):  # years and zones that this machine does not know
        return Curve(curve.values, series.clock.time.cast(kind, safe=False).to_pylist())
    return curve


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _pairs(saved: Any) -> list[tuple[Any, Any]] | None:
    """Return moments with their values, as far as the form tells which is which; None for a form without moments."""
    if isinstance(saved, dict):
        clock, value = named(list(saved))
        if clock is None:
            return list(saved.items())
        columns = saved[clock], saved[value]
        return list(zip(*columns, strict=False)) if all(isinstance(one, list) for one in columns) else []
    if not isinstance(saved, list):
        return None
    if all(isinstance(row, list | tuple) for row in saved):
        return [tuple(row) for row in saved] if all(len(row) == 2 for row in saved) else []
    if all(isinstance(row, dict) for row in saved):
        clock, value = named(list(saved[0]))
        return [(row.get(clock), row.get(value)) for row in saved] if clock is not None else []
    return None


def axis_texts(moments: Sequence[datetime]) -> list[str]:
    """Write moments as a chart takes them: in UTC where they have a zone."""
    return [f"{moment.astimezone(UTC) if moment.tzinfo else moment:%Y-%m-%dT%H:%M:%S}" for moment in moments]


def floats(values: Any) -> Any:
    """Return a curve as a numpy array of floats, what is no number as NaN."""
    import numpy as np

    if values is None:
        return np.empty(0)
    try:
        return np.asarray(values, dtype=float).ravel()
    except (TypeError, ValueError, OverflowError):
        return np.array([_float(value) for value in values] if isinstance(values, list) else [])


def _float(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float) else float("nan")
    except OverflowError:
        return float("nan")


def thin(values: Any, start: int = 0, end: int | None = None, most: int = MOST_POINTS) -> tuple[Any, Any]:
    """Return (positions, values) of at most about `most` points between two positions.

    In each bucket the least and the greatest value stay, so no peak is lost; NaN and infinities are left out.
    """
    import numpy as np

    curve = floats(values)
    start, end = max(0, start), len(curve) if end is None else min(len(curve), end)
    part = curve[start:end]
    at = np.flatnonzero(np.isfinite(part))
    if len(at) <= most:
        return at + start, part[at]
    kept = part[at]
    edges = np.linspace(0, len(at), most // 2 + 1).astype(int)
    chosen = [0, len(at) - 1]
    for begin, stop in pairwise(edges):
        cut = kept[begin:stop]
        chosen += [begin + int(cut.argmin()), begin + int(cut.argmax())]
    places = np.unique(chosen)
    return at[places] + start, kept[places]


@dataclass(frozen=True, slots=True)
class Returns:
    """Money made by trades: its column, by month (year -> 12 sums or None), and counts by size.

    The first and the last count hold also the `below` and `above` that lie beyond the edges.
    """

    column: str
    months: dict[int, list[float | None]]
    edges: list[float]
    counts: list[int]
    below: int
    above: int
    mean: float
    median: float


def returns(trades: pa.Table) -> Returns | None:
    """Sum up what trades made. None where no column says it."""
    import numpy as np

    column = first_of(trades, MONEY)
    if column is None or not trades.num_rows:
        return None
    made = floats(trades[column].to_pylist())
    # So large that their sum is none is what nobody earns: they only must not break the page.
    finite = np.clip(made[np.isfinite(made)], -1e300, 1e300)
    if not len(finite):
        return None
    edges = _edges(finite)
    counts, _ = np.histogram(np.clip(finite, edges[0], edges[-1]), bins=edges)
    return Returns(
        column,
        _months(trades, made),
        edges.tolist(),
        counts.tolist(),
        int((finite < edges[0]).sum()),
        int((finite > edges[-1]).sum()),
        float(finite.mean()),
        float(np.median(finite)),
    )


def _edges(finite: Any) -> Any:
    """Choose bins of one width for all but the most extreme of many values; zero is an edge, so no bin has both signs."""
    import numpy as np

    low = float(np.quantile(finite, 0.005, method="lower"))
    high = float(np.quantile(finite, 0.995, method="higher"))
    if not max(1e-300, 1e-12 * abs(low)) < high - low < 1e300:
        pad = max(0.5, 1e-6 * abs(low))
        return np.linspace(low - pad, high + pad if high - low < pad else low + pad, 8)
    width = (high - low) / min(40, max(7, len(finite) // 4))
    first, last = np.floor(low / width), np.ceil(high / width)
    if max(abs(first), abs(last)) > 1e6:
        return np.linspace(low, high, 8)
    edges = np.arange(first, last + 1) * width
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    return edges


def drawdown_unit(equity: Any, drawdown: Any) -> str:
    """Tell what a drawdown curve is measured in, by what the equity curve fell: "%", "share" of 1, or "" for neither."""
    import numpy as np

    if not len(equity) or not len(drawdown) or not np.isfinite(equity).all() or equity.min() <= 0:
        return ""
    peaks = np.maximum.accumulate(equity)
    fell = float(((peaks - equity) / peaks).max())
    finite = drawdown[np.isfinite(drawdown)]
    most = float(np.abs(finite).max()) if len(finite) else 0.0
    if fell <= 0 or most <= 0:
        return ""
    sizes = (("%", 100.0), ("share", 1.0))
    return next((unit for unit, size in sizes if abs(most / size / fell - 1) < 0.02), "")


def below_peak(equity: Any) -> Any:
    """Return how far a curve lies below its highest value so far: a share of that, in its own units where it reaches zero."""
    import numpy as np

    finite = np.where(np.isfinite(equity), equity, np.nan)
    peaks = np.fmax.accumulate(finite)
    return 1 - finite / peaks if len(finite) and np.nanmin(finite, initial=np.inf) > 0 else peaks - finite


def _months(trades: pa.Table, made: Any) -> dict[int, list[float | None]]:
    months: dict[int, list[float | None]] = {}
    for moment, amount in zip(times(trades), made.tolist(), strict=True):
        if moment is None or amount - amount != 0:
            continue
        year = months.setdefault(moment.year, [None] * 12)
        year[moment.month - 1] = (year[moment.month - 1] or 0.0) + amount
    return dict(sorted(months.items())[-40:])
