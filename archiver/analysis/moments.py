"""Moments of curves and trades: read as they were saved, or told by what has a point for each trade or bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import curve_values

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.format.series import Series

_SINCE_1970 = ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (float("inf"), 1e9))
"""Numbers up to which a moment is meant in seconds, milliseconds, microseconds, nanoseconds."""
BEGINS = ("entry_time", "entry_date", "open_time")
ENDS = ("exit_time", "exit_date", "close_time", "entry_time", "time", "date")
_YEAR = 365.2425 * 86_400


@dataclass(frozen=True, slots=True)
class Points:
    """A curve: its finite values, and the moment of each where they are known."""

    values: list[float] = field(default_factory=list)
    times: list[datetime] | None = None

    def years(self) -> float | None:
        """Return how long it lasts, in years of 365.2425 days; None where that is not known."""
        if not self.times or len(self.times) < 2:
            return None
        seconds = (self.times[-1] - self.times[0]).total_seconds()
        return seconds / _YEAR if seconds > 0 else None

    def per_year(self) -> float | None:
        """Return how many of its steps fall on a year: those there are, by the time from the first point to the last."""
        years = self.years()
        return None if years is None else (len(self.values) - 1) / years


def read(saved: Any) -> Points:
    """Return a curve from a list of numbers or of [time, value] pairs; an empty one for any other form."""
    if not isinstance(saved, list) or not saved:
        return Points()
    if all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in saved):
        moments, values = [when(moment) for moment, _ in saved], curve_values([value for _, value in saved])
        known = [moment for moment in moments if moment is not None]
        if values is None:
            return Points()
        return _finite(values, known if len(known) == len(moments) and _is_ordered(known) else None)
    return _finite(curve_values(saved) or [], None)


def of_series(series: Series | None) -> Points:
    """Return a curve with the moments of its clock, or with those that its own pairs have; an empty one for None."""
    import pyarrow as pa

    if series is None:
        return Points()
    values = curve_values(series.values) if isinstance(series.values, list) else None
    if series.clock is None or not pa.types.is_timestamp(series.clock.time.type) or not values:
        return read(series.written())
    kind = pa.timestamp("us", series.clock.time.type.tz)
    try:
        moments = series.clock.time.cast(kind, safe=False).to_pylist()
    except (ValueError, OverflowError, LookupError):  # years and zones that this machine does not know
        return _finite(values, None)
    return _finite(values, moments if _is_ordered(moments) else None)


def _finite(values: Sequence[float], moments: Sequence[datetime] | None) -> Points:
    at = [place for place, value in enumerate(values) if isfinite(value)]
    if len(at) == len(values):
        return Points(list(values), None if moments is None else list(moments))
    return Points([values[one] for one in at], None if moments is None else [moments[one] for one in at])


def of_trades(trades: pa.Table, points: int) -> list[datetime] | None:
    """Return the moments of a curve that has a point for each trade, or one more for the beginning; None for another."""
    count = trades.num_rows
    if not count or points - count not in (0, 1):
        return None
    ended = [moment for moment in times(trades) if moment is not None]
    column = first_of(trades, BEGINS)
    begun = [when(value) for value in trades[column].to_pylist()] if column else ended
    known = [moment for moment in begun if moment is not None]
    if len(ended) != count or len(known) != count or not _is_ordered(known):
        return None
    try:
        # Trades that overlap end in another order: the sum of the first so many is there once all of them have ended.
        moments = list(accumulate(ended, max))
        return [known[0], *moments] if points > count else moments
    except TypeError:  # one has a time zone, another none
        return None


def of_clock(clock: Sequence[Any], points: int) -> list[datetime] | None:
    """Return the moments of a curve that has a point for each bar of a clock; None for another."""
    if len(clock) != points:
        return None
    known = [moment for moment in map(when, clock) if moment is not None]
    return known if len(known) == points and _is_ordered(known) else None


def _is_ordered(moments: Sequence[datetime]) -> bool:
    try:
        return all(one <= other for one, other in pairwise(moments))
    except TypeError:  # one has a time zone, another none
        return False


def first_of(trades: pa.Table, names: Sequence[str]) -> str | None:
    """Return the first of these names that is a column of numbers or text."""
    return next((name for name in names if name in trades.column_names), None)


def times(trades: pa.Table) -> list[datetime | None]:
    """Return when each trade ended, as far as its data says so."""
    column = first_of(trades, ENDS)
    if column is None:
        return [None] * trades.num_rows
    return [when(value) for value in trades[column].to_pylist()]


def when(value: Any) -> datetime | None:
    """Read a moment as traders write them: ISO 8601 text, or seconds to nanoseconds since 1970."""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 1e8:
            unit = next(size for most, size in _SINCE_1970 if value <= most)
            return datetime.fromtimestamp(value / unit, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return value if isinstance(value, datetime) else None
