"""A strategy's curves as one table: what the page draws, every point of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.web.reading.curves import Curve

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.detail import Strategy


def table(found: Strategy) -> pa.Table:
    """Return equity, drawdown and benchmark beside each other, as far as they are there; by time where they have one.

    A curve without moments stands by the number of its points, beginning with 0.
    """
    import pyarrow as pa

    there = {"equity": found.equity, "drawdown": found.drawdown, "benchmark": found.benchmark}
    curves = {name: curve for name, curve in there.items() if len(curve)}
    if len({curve.times is None for curve in curves.values()}) > 1:
        curves = {name: Curve(curve.values) for name, curve in curves.items()}
    rows: dict[Any, dict[str, float]] = {}
    for name, curve in curves.items():
        keys = range(len(curve)) if curve.times is None else curve.times
        for key, value in zip(keys, curve.values.tolist(), strict=True):
            rows.setdefault(key, {})[name] = value
    dated = any(curve.times is not None for curve in curves.values())
    places = sorted(rows)
    axis = pa.array([place.isoformat() for place in places] if dated else places)
    columns = {name: pa.array([rows[place].get(name) for place in places], pa.float64()) for name in curves}
    return pa.table({"time" if dated else "point": axis, **columns})
