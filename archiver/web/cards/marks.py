"""Where a trade was entered and left on its strategy's equity curve."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from archiver.analysis.moments import BEGINS, ENDS, first_of, when
from archiver.web.elements import figures
from archiver.web.elements.bars import COLORS
from archiver.web.reading import curves
from archiver.web.reading.detail import Strategy

_BARS = {"entry": "entry_bar", "exit": "exit_bar"}


def marks(
    found: Strategy, trade: int | None, moments: list[Any] | None, value: Callable[[float], float]
) -> tuple[list[figures.Figure], list[figures.Figure]]:
    """Return points on the curve and what is drawn behind it, for one trade; nothing where the curve does not tell its place.

    value: where on the axis a value of the equity lies.
    """
    table = found.trades.table
    if trade is None or not 0 <= trade < table.num_rows or not len(found.equity):
        return [], []
    row = table.slice(trade, 1).to_pylist()[0]
    places = _by_time(found, row, moments) if moments else _by_point(found, trade, row)
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"{side.title()} of trade {trade + 1:,}",
            "x": [x],
            "y": [value(float(found.equity.values[at]))],
            "marker": {"size": 11, "color": COLORS[side], "line": {"width": 1.5, "color": "#ffffff"}},
            "hovertemplate": "%{y:,.2f}<extra>%{fullData.name}</extra>",
        }
        for side, (x, at) in places.items()
    ]
    if len(places) < len(COLORS):
        return traces, []
    (begin, _), (end, _) = places["entry"], places["exit"]
    band = {
        "type": "rect", "xref": "x", "yref": "paper", "x0": begin, "x1": end, "y0": 0, "y1": 1,
        "fillcolor": "rgba(79,124,255,0.14)", "line": {"width": 1, "color": "rgba(79,124,255,0.45)"}, "layer": "below",
    }  # fmt: skip
    return traces, [band]


def _by_time(found: Strategy, row: dict[str, Any], moments: list[Any]) -> dict[str, tuple[Any, int]]:
    """Return where on the axis each side is, and the last point of the curve at or before it."""
    names = {side: first_of(found.trades.table, some) for side, some in (("entry", BEGINS), ("exit", ENDS))}
    places: dict[str, tuple[Any, int]] = {}
    for side, name in names.items():
        moment = when(row.get(name or ""))
        try:
            if moment is not None and len(moments) == len(found.equity):
                at = max(0, bisect_right(moments, moment) - 1)
                places[side] = (curves.axis_texts([moment])[0], at)
        except TypeError:  # one side has a time zone, the other none
            continue
    return places


def _by_point(found: Strategy, trade: int, row: dict[str, Any]) -> dict[str, tuple[Any, int]]:
    """Return the points of the bars that a trade names, or of the trade where each of them has a point."""
    points = len(found.equity)
    bars = {side: row.get(name) for side, name in _BARS.items()}
    if all(type(at) is int and 0 <= at < points for at in bars.values()):
        return {side: (at, at) for side, at in bars.items() if at is not None}
    more = points - found.trades.table.num_rows
    if more not in (0, 1):
        return {}
    before, after = max(0, trade + more - 1), trade + more
    return {"entry": (before, before), "exit": (after, after)}
