"""How alike the days of strategies are: all pairs in colours, and the pairs that matter in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from archiver.analysis.portfolio import Portfolio
from archiver.web.elements import figures, parts

_MOST_LABELS, _MOST_NUMBERS = 25, 12
_SCALE = [[0, "rgba(43,108,212,0.62)"], [0.5, "rgba(138,148,166,0.1)"], [1, "rgba(212,80,43,0.62)"]]
_PAIRS = 5


def card(made: Portfolio) -> Any:
    """Draw the correlation of each two."""
    title = "Correlation of daily P&L"
    count = len(made.names)
    height = max(320, min(900, 130 + 34 * count))
    chart = figures.graph("correlation", _figure(made), title, height=height)
    said = f"Pearson's, of daily {'returns' if made.share else 'profits'}; numbers as in the list below"
    return parts.card(title, chart, note=said)


def _figure(made: Portfolio) -> figures.Figure:
    """Name rows and columns by the strategies' numbers in what is in it: a phone has no room for more."""
    axis = [f"{at}." for at in range(1, len(made.names) + 1)]
    gap = 1 if len(axis) <= _MOST_LABELS else 0
    rows = [
        [None if value is None or at == other else round(value, 4) for other, value in enumerate(row)]
        for at, row in enumerate(made.correlation)
    ]
    texts = [["" if value is None else _hundredths(value) for value in row] for row in rows]
    heat = {
        "type": "heatmap",
        "x": axis,
        "y": axis,
        "z": rows,
        "zmin": -1,
        "zmax": 1,
        "colorscale": _SCALE,
        "xgap": gap,
        "ygap": gap,
        "text": texts,
        "texttemplate": "%{text}" if len(axis) <= _MOST_NUMBERS else "",
        "customdata": [[f"{first}<br>{second}" for second in made.names] for first in made.names],
        "hovertemplate": "%{customdata}<br>%{z:.3f}<extra></extra>",
        "hoverongaps": False,
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickvals": [-1, 0, 1], "len": 0.8},
    }
    numbers = {"type": "category", "showgrid": False, "tickangle": 0}
    return figures.figure(
        [heat],
        xaxis=numbers | {"nticks": _MOST_NUMBERS},
        yaxis=numbers | {"autorange": "reversed", "nticks": _MOST_LABELS},
    )


def _hundredths(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


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
                html.Div(
                    [
                        parts.link(parts.spaced(name), addresses.get(name, ""), kind="line")
                        for name in (one, other)
                    ]
                ),
                _hundredths(value),
            ]
            for value, one, other in some
        ]

    tables = [
        parts.table([head, "Correlation"], rows(some), right=[1], caption=head, dense=True)
        for head, some in (("Least alike", least), ("Most alike", most))
        if some
    ]
    return parts.card("Most and least alike", html.Div(tables, className="alike"))
