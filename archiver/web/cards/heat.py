"""A heat map as a table: each cell a link that filters, so that keys, screen readers and phones have it too."""

from __future__ import annotations

from typing import Any

from dash import html

from archiver.analysis.parameters import HOW, Heat, Parameters
from archiver.base.colors import SCALE, ink, shade, shares
from archiver.web.cards.columns import heading
from archiver.web.elements import parts
from archiver.web.reading.search import condition
from archiver.web.words import format as fmt

_WORDS = {"mean": "Mean", "best": "Best", "median": "Median", "worst": "Worst", "count": "Count"}
SHOWS = [{"label": _WORDS[how], "value": how} for how in HOW]
_MOST_WRITTEN = 16
"""Columns up to which cells have numbers in them."""


def heat_map(found: Parameters, heat: Heat, x: str, y: str, how: str, pick: str) -> Any:
    """Show a heat map and its colours; `pick` is the filter of the cell that is chosen."""
    across, up = found.axis(x), found.axis(y)
    if not heat.counts.any():
        return parts.empty(
            "Nothing falls on this map", "No strategy with a finite number has both parameters."
        )
    counted = how == "count"
    colours = shares(heat.values.tolist(), greatest=found.greatest or counted)
    written = len(heat.x) <= _MOST_WRITTEN
    rows = []
    # The greatest value is above, as in a plot.
    for row in reversed(range(len(heat.y))):
        cells = [html.Th(heat.y.labels[row], scope="row")]
        for column in range(len(heat.x)):
            share, value = colours[row][column], float(heat.values[row, column])
            if share is None or not heat.counts[row, column]:
                cells.append(html.Td(className="none"))
                continue
            chosen = f"{condition(across.name, heat.x, column)} and {condition(up.name, heat.y, row)}"
            text = fmt.count(int(value)) if counted else fmt.number(value)
            count = fmt.counted(int(heat.counts[row, column]), "strategy", "strategies")
            told = f"{across.label} {heat.x.labels[column]}, {up.label} {heat.y.labels[row]}: " + (
                count if counted else f"{_WORDS[how].lower()} {found.metric} {text}, {count}"
            )
            classes = ["best"] if heat.best == (row, column) else []
            classes += ["on"] if chosen == pick else []
            link = html.A(
                text if written else html.Span(told, className="unseen"),
                href="parameters",
                title=told,
                tabIndex="-1",
                **{"data-pick": chosen, "aria-pressed": str(chosen == pick).lower(), "role": "button"},
                style={"background": _rgb(shade(share)), "color": _rgb(ink(share))},
            )
            cells.append(html.Td(link, className=" ".join(classes) or None))
        rows.append(html.Tr(cells))
    foot = html.Tr([html.Td(className="corner"), *(html.Th(label, scope="col") for label in heat.x.labels)])
    table = html.Table(
        [
            html.Caption(f"{found.metric} by {across.label} and {up.label}", className="unseen"),
            html.Tbody([*rows, foot]),
        ],
        className="heat" if written else "heat narrow",
    )
    return html.Div(
        [
            html.Div(
                [
                    html.Div(html.Span(up.label), className="heat-up"),
                    html.Div(
                        [table, html.Div(across.label, className="heat-across")],
                        className="scroll heat-scroll",
                    ),
                ],
                className="heat-frame",
            ),
            _legend(found, heat, how),
        ]
    )


def _legend(found: Parameters, heat: Heat, how: str) -> Any:
    import numpy as np

    low, high = float(np.nanmin(heat.values)), float(np.nanmax(heat.values))
    ends = (low, high) if found.greatest or how == "count" else (high, low)
    texts = [fmt.count(int(end)) if how == "count" else fmt.number(end) for end in ends]
    ramp = html.Span(className="ramp", style={"background": f"linear-gradient(90deg, {', '.join(SCALE)})"})
    what = "strategies" if how == "count" else f"{_WORDS[how].lower()} {heading(found.metric)}"
    ringed = None if heat.best is None else html.Span("ringed: the best cell", className="muted")
    return html.Div(
        [html.Span(texts[0]), ramp, html.Span(texts[1]), html.Span(what), ringed], className="legend"
    )


def _rgb(color: tuple[int, int, int]) -> str:
    return "rgb({}, {}, {})".format(*color)
