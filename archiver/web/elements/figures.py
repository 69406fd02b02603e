"""Charts as plain Plotly figures. Colours that depend on light and dark come from the style sheet, not from here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dash import dcc, html

Figure = dict[str, Any]

COLORS = (
    "#4f7cff",
    "#f08c2e",
    "#1aa179",
    "#c85bd6",
    "#e0526a",
    "#2ba8c9",
    "#9a8a2c",
    "#7a6cf0",
    "#6f8f3f",
    "#a8715a",
)
GOOD, BAD, ACCENT, GREY = "#1aa179", "#e0526a", "#4f7cff", "#8a94a6"
_FONT = "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "displayModeBar": False,
    "scrollZoom": False,
    "showTips": False,
    "doubleClick": "reset",
}
DATES: Figure = {
    "type": "date",
    "tickangle": 0,
    # The year stands below the first month of it: beside each they run into each other on a phone.
    "tickformatstops": [{"dtickrange": ["M1", "M6"], "value": "%b\n%Y"}],
}
"""An axis of dates."""
_WAYS = {"png": "Save as a picture", "csv": "Save its data"}


def figure(traces: Sequence[Figure], *, x: str = "", y: str = "", **layout: Any) -> Figure:
    """Return a figure with the looks that all charts share; x and y are the titles of the axes."""
    axes = {
        axis: {
            "title": {"text": text, "standoff": 8, "font": {"size": 12}},
            "zeroline": False,
            "automargin": True,
            "fixedrange": False,
            # A label at the end of one axis would touch that of the other.
            "ticklabelstandoff": 6,
            "ticks": "",
            "showline": False,
            "gridwidth": 1,
            "spikethickness": 1,
            "spikecolor": GREY,
            "spikedash": "solid",
            **layout.pop(axis, {}),
        }
        for axis, text in (("xaxis", x), ("yaxis", y))
    }
    return {
        "data": list(traces),
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": _FONT, "size": 12},
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8, "pad": 0},
            "showlegend": False,
            "hoverlabel": {"font": {"family": _FONT, "size": 12}},
            "colorway": list(COLORS),
            "modebar": {"orientation": "h", "bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": ACCENT},
            **axes,
            **layout,
        },
    }


def graph(
    name: Any, drawn: Figure, label: str, *, height: int | None = 300, csv: str = "", **more: Any
) -> Any:
    """Return a chart on the page, and its ways out: as a picture, and its data as CSV.

    label: says in words what it shows. height: pixels; None: as its place has it. csv: the address of all its data, where
    the chart has but a part of them; else what is drawn is saved (assets/plots.js).
    """
    chart = dcc.Graph(
        id=name,
        figure=drawn,
        config={**CONFIG, **more.pop("config", {})},
        style={"height": f"{height}px" if height else "100%"},
        className="chart",
        **more,
    )
    return html.Div([chart, _ways_out(label, csv)], role="figure", **{"aria-label": label})


def _ways_out(label: str, csv: str) -> Any:
    file = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60] or "plot"

    def button(kind: str) -> Any:
        said = {
            "data-plot": kind,
            "data-file": file,
            "data-title": label,
            "aria-label": f"{kind.upper()} of {label}",
        }
        return html.Button(kind.upper(), type="button", title=_WAYS[kind], **said)

    data = (
        html.A("CSV", href=csv, download="", title=_WAYS["csv"], **{"aria-label": f"CSV of {label}"})
        if csv
        else button("csv")
    )
    return html.Div([button("png"), data], className="ways-out")


def line(x: Any, y: Any, name: str = "", color: str = ACCENT, **more: Any) -> Figure:
    """Return a line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "name": name,
        "line": {"color": color, "width": 1.6},
        **more,
    }


def bars(x: Any, y: Any, color: Any = ACCENT, **more: Any) -> Figure:
    """Return bars."""
    return {"type": "bar", "x": x, "y": y, "marker": {"color": color, "line": {"width": 0}}, **more}
