"""How alike the days of strategies are: all pairs in colours, and the pairs that matter in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from archiver.analysis.portfolio import Portfolio
from archiver.web import figures, parts

_MOST_LABELS, _MOST_NUMBERS = 25, 14
_LONGEST = 24
_SCALE = [[0, "#2b6cd4"], [0.5, "rgba(138,148,166,0.12)"], [1, "#d4502b"]]
_PAIRS = 5


def card(made: Portfolio) -> Any:
    """Draw the correlation of each two."""
    title = "Correlation of daily P&L"
    count = len(made.names)
    height = max(320, min(900, 130 + 34 * count))
    chart = figures.graph("correlation", _figure(made), title, height=height)
    said = "Pearson's, of daily returns" if made.share else "Pearson's, of daily profits"
    return parts.card(title, chart, note=said)


def _figure(made: Portfolio) -> figures.Figure:
    names = [_short(name) for name in made.names]
    # Names that are alike when cut would be one row.
    axis = [f"{at}. {name}" for at, name in enumerate(names, 1)]
    few = len(names) <= _MOST_LABELS
    rows = [
        [None if value is None or at == other else round(value, 4) for other, value in enumerate(row)]
        for at, row in enumerate(made.correlation)
    ]
    numbers = len(names) <= _MOST_NUMBERS
    texts = [["" if value is None else f"{value:.2f}".replace("-", "−") for value in row] for row in rows]
    whole = [
        [f"{first}<br>{second}" for second in made.names] for first in made.names
    ]  # the names as they are
    heat = {
        "type": "heatmap",
        "x": axis,
        "y": axis,
        "z": rows,
        "zmin": -1,
        "zmax": 1,
        "colorscale": _SCALE,
        "xgap": 1,
        "ygap": 1,
        "text": texts,
        "texttemplate": "%{text}" if numbers else "",
        "customdata": whole,
        "hovertemplate": "%{customdata}<br>%{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickvals": [-1, 0, 1], "len": 0.8},
    }
    numbers_of = {"tickvals": axis, "ticktext": [str(at) for at in range(1, len(axis) + 1)]}
    return figures.figure(
        [heat],
        xaxis={"showgrid": False, "tickangle": 0, **(numbers_of if few else {"showticklabels": False})},
        yaxis={"showgrid": False, "autorange": "reversed", **({} if few else {"showticklabels": False})},
    )


def _short(name: str) -> str:
    """Cut a name in its middle: names differ at their ends."""
    return name if len(name) <= _LONGEST else f"{name[:9]}…{name[10 - _LONGEST :]}"


def alike(made: Portfolio, addresses: Mapping[str, str]) -> Any:
    """Say which two are most and least alike."""
    pairs = sorted(
        (value, made.names[other], made.names[at])
        for at, row in enumerate(made.correlation)
        for other, value in enumerate(row[:at])
        if value is not None
    )
    if not pairs:
        return parts.card("Most and least alike", parts.empty("No two vary"))
    least, most = pairs[:_PAIRS], pairs[_PAIRS:][::-1][:_PAIRS]

    def rows(some: list[tuple[float, str, str]]) -> list[list[Any]]:
        return [
            [
                html.Div([parts.link(name, addresses.get(name, ""), kind="line") for name in (one, other)]),
                f"{value:.2f}".replace("-", "−"),
            ]
            for value, one, other in some
        ]

    tables = [
        parts.table([head, "Correlation"], rows(some), right=[1], caption=head, dense=True)
        for head, some in (("Least alike", least), ("Most alike", most))
        if some
    ]
    return parts.card("Most and least alike", html.Div(tables, className="stack"))
