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
    made = fmt.title(summed.column)
    unit = f" ({own})" if (own := fmt.unit(summed.column)) else ""
    note = f"mean {fmt.shown(summed.column, summed.mean)}, median {fmt.shown(summed.column, summed.median)}"
    title = f"{made} of each trade{unit}"
    chart = figures.graph("distribution", _distribution(summed), title, height=240)
    distribution = html.Div(parts.card(title, chart, note=note))
    if not summed.months:
        return [distribution]
    title = f"{made} by month{unit}"
    calendar = parts.card(title, _calendar(summed, title), note="each trade in the month in which it ended")
    return [distribution, html.Div(calendar, className="span-2")]


def _distribution(summed: curves.Returns) -> figures.Figure:
    """Draw counts by size; outer bars that hold what lies beyond them are paler, and say so."""
    unit = fmt.unit(summed.column)
    pairs = list(pairwise(summed.edges))
    middles = [(low + high) / 2 for low, high in pairs]
    texts = [f"{fmt.shown(summed.column, low)} to {fmt.shown(summed.column, high)}" for low, high in pairs]
    opacity = [1.0] * len(pairs)
    labels: list[figures.Figure] = []
    for at, more, sign, edge, side in (
        (0, summed.below, "≤", summed.edges[1], "left"),
        (-1, summed.above, "≥", summed.edges[-2], "right"),
    ):
        if more:
            texts[at] = f"{sign} {fmt.shown(summed.column, edge)}"
            opacity[at] = 0.5
            labels.append(
                {
                    "x": summed.edges[at], "y": summed.counts[at], "text": f"{sign} {_short(edge)}",
                    "showarrow": False, "xanchor": side, "yanchor": "bottom", "font": {"size": 11},
                }
            )  # fmt: skip
    bars = figures.bars(
        middles,
        summed.counts,
        [figures.GOOD if middle > 0 else figures.BAD for middle in middles],
        width=[(high - low) * 0.92 for low, high in pairs],
        customdata=texts,
        hovertemplate="Trades: %{y}, %{customdata}<extra></extra>",
    )
    bars["marker"]["opacity"] = opacity
    return figures.figure(
        [bars],
        x=f"{fmt.title(summed.column)} of a trade" + (f" ({unit})" if unit else ""),
        y="Trades",
        bargap=0.05,
        annotations=labels,
        xaxis={"showgrid": False, "nticks": 6},
        # Trades are whole: few of them are not counted in halves.
        yaxis={"dtick": 1} if max(summed.counts) <= 5 else {},
    )


def _calendar(summed: curves.Returns, title: str) -> Any:
    amounts = [abs(value) for year in summed.months.values() for value in year if value is not None]
    most = max(amounts, default=1) or 1

    def cell(value: float | None, month: str) -> Any:
        if value is None:
            return html.Td("", className="none", **{"data-month": month})
        kind = "up" if value > 0 else "down" if value < 0 else ""
        strength = 8 + 62 * (abs(value) / most) ** 0.7
        return html.Td(
            _short(value),
            className=kind,
            style={"--strength": f"{strength:.0f}%"},
            title=f"{month} {fmt.number(value)}",
            **{"data-month": month},
        )

    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in ("", *_MONTHS, "Year")]))
    rows = []
    for year, months in reversed(summed.months.items()):
        total = sum(value for value in months if value is not None)
        rows.append(
            html.Tr(
                [
                    html.Th(str(year), scope="row"),
                    *map(cell, months, _MONTHS),
                    html.Td(parts.signed(_short(total), total), className="sum"),
                ]
            )
        )
    return html.Div(
        html.Table(
            [html.Caption(title, className="unseen"), head, html.Tbody(rows)],
            className="calendar",
        ),
        className="scroll",
        tabIndex="0",
        role="region",
        **{"aria-label": title},
    )


def _short(value: float) -> str:
    sign = "−" if value < 0 else ""
    size = abs(value)
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{sign}{size / limit:.1f}{unit}"
    return f"{sign}{size:.0f}" if size >= 100 else f"{sign}{size:.1f}" if size >= 10 else f"{sign}{size:.2f}"
