"""What a strategy's trades made: their distribution, and a calendar of months."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dash import html

from archiver.web import curves, figures, parts
from archiver.web import format as fmt

if TYPE_CHECKING:
    import pyarrow as pa

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def cards(trades: pa.Table) -> list[Any]:
    """Show what the trades made, where they say so."""
    summed = curves.returns(trades)
    if summed is None:
        return []
    unit = fmt.unit(summed.column)
    middles = [(low + high) / 2 for low, high in pairwise(summed.edges)]
    colors = [figures.GOOD if middle > 0 else figures.BAD for middle in middles]
    drawn = figures.figure(
        [
            figures.bars(
                middles,
                summed.counts,
                colors,
                width=[(high - low) * 0.92 for low, high in pairwise(summed.edges)],
                hovertemplate="%{y} trades around %{x:,.2f}<extra></extra>",
            )
        ],
        x=f"{fmt.title(summed.column)} of a trade" + (f" ({unit})" if unit else ""),
        y="Trades",
        bargap=0.05,
        xaxis={"showgrid": False},
    )
    note = f"mean {fmt.shown(summed.column, summed.mean)}, median {fmt.shown(summed.column, summed.median)}"
    chart = figures.graph("distribution", drawn, "Distribution of returns", height=240)
    distribution = html.Div(parts.card("Distribution of returns", chart, note=note))
    if not summed.months:
        return [distribution]
    note = fmt.title(summed.column) + (f" by month, {unit}" if unit else " by month")
    return [distribution, html.Div(parts.card("Calendar", _calendar(summed), note=note), className="span-2")]


def _calendar(summed: curves.Returns) -> Any:
    amounts = [abs(value) for year in summed.months.values() for value in year if value is not None]
    most = max(amounts, default=1) or 1

    def cell(value: float | None) -> Any:
        if value is None:
            return html.Td("", className="none")
        kind = "up" if value > 0 else "down" if value < 0 else ""
        strength = 8 + 62 * (abs(value) / most) ** 0.7
        return html.Td(
            _short(value), className=kind, style={"--strength": f"{strength:.0f}%"}, title=fmt.number(value)
        )

    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in ("", *_MONTHS, "Year")]))
    rows = []
    for year, months in reversed(summed.months.items()):
        total = sum(value for value in months if value is not None)
        rows.append(
            html.Tr(
                [
                    html.Th(str(year), scope="row"),
                    *map(cell, months),
                    html.Td(parts.signed(_short(total), total), className="sum"),
                ]
            )
        )
    return html.Div(
        html.Table(
            [html.Caption("Returns by month", className="unseen"), head, html.Tbody(rows)],
            className="calendar",
        ),
        className="scroll",
        tabIndex="0",
        role="region",
        **{"aria-label": "Returns by month"},
    )


def _short(value: float) -> str:
    sign = "−" if value < 0 else ""
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{sign}{size / limit:.1f}{unit}"
    return f"{sign}{size:.0f}" if size >= 100 else f"{sign}{size:.1f}" if size >= 10 else f"{sign}{size:.2f}"
