"""Several equity curves over each other: by date where all of them have dates, else by point, and saying so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dash import html

from archiver.web.elements import figures, parts
from archiver.web.reading import curves
from archiver.web.reading.curves import Curve

_MOST_POINTS = 1200


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, its colour, and what is drawn."""

    label: str
    color: str
    curve: Curve


def card(lines: Sequence[Line], *, percent: bool, log: bool, toggle: Any) -> Any:
    """Draw the curves that can be drawn; None where there is none."""
    lines = [line for line in lines if len(line.curve) or line.curve.unread]
    shown = [line for line in lines if len(line.curve)]
    if not lines:
        return None
    said = [html.P(text, className="note") for text in _notes(lines, shown)]
    if not shown:
        return parts.card("Equity", *said)
    chart = figures.graph(
        "compare-curves", figure(shown, percent=percent, log=log), "Equity of all sides", height=360
    )
    return parts.card("Equity", chart, *said, note=toggle)


def _notes(lines: Sequence[Line], shown: Sequence[Line]) -> list[str]:
    notes = [
        f"{line.label}: its curve was saved in a form that is not drawn ({line.curve.unread})."
        for line in lines
        if line.curve.unread
    ]
    undated = [line.label for line in shown if line.curve.times is None]
    if undated and len(shown) > 1:
        notes.append(
            f"No dates are known of {', '.join(undated)}: the curves lie over each other by the number of the point, "
            "which need not be the same day."
        )
    return notes


def can_log(lines: Sequence[Line]) -> bool:
    """Tell whether a log scale has a place for all values."""
    return all(bool((line.curve.values > 0).all()) for line in lines if len(line.curve))


def figure(lines: Sequence[Line], *, percent: bool, log: bool = False) -> figures.Figure:
    """Draw lines over dates, or over the number of the point where one of them has no dates.

    On a log scale, which has no place for a change of zero, percent begin at 100.
    """
    log = log and can_log(lines)
    dated = all(line.curve.times is not None for line in lines)
    traces = []
    for line in lines:
        x, y = curves.thin(line.curve.values, most=_MOST_POINTS)
        start = next((value for value in line.curve.values.tolist() if value == value and value), None)
        if percent and start:
            y = y / start * 100 if log else (y / start - 1) * 100
        moments = line.curve.times
        across = curves.axis_texts([moments[at] for at in x]) if dated and moments else x.tolist()
        traces.append(
            figures.line(
                across,
                y.tolist(),
                line.label,
                line.color,
                hovertemplate="%{y:,.2f}"
                + ("%" if percent and not log else "")
                + "<extra>%{fullData.name}</extra>",
            )
        )
    axis: figures.Figure = (
        {**figures.DATES, "hoverformat": "%Y-%m-%d %H:%M"} if dated else {"tickformat": ",d"}
    )
    change = "Equity, first point = 100" if log else "Change of equity since its first point (%)"
    return figures.figure(
        traces,
        x="" if dated else "Point of each curve, counted from its own first one",
        y=change if percent else "Equity",
        hovermode="x unified",
        xaxis=axis,
        yaxis={"type": "log", "nticks": 6} if log else {},
    )
