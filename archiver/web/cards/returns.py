"""What a strategy's trades made: their distribution, and a calendar of months."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from archiver.web.cards import calendar
from archiver.web.elements import figures, parts
from archiver.web.reading import curves
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    import pyarrow as pa


def cards(trades: pa.Table, *, months: bool = True) -> list[tuple[int, Any]]:
    """Return what the trades made, where they say so, each card with the thirds of the page it wants.

    months: also by month, in the unit of the trades.
    """
    summed = curves.returns(trades)
    if summed is None:
        return []
    made = fmt.title(summed.column)
    unit = f" ({own})" if (own := fmt.unit(summed.column)) else ""
    note = f"mean {fmt.shown(summed.column, summed.mean)}, median {fmt.shown(summed.column, summed.median)}"
    title = f"{made} of each trade{unit}"
    chart = figures.graph("distribution", _distribution(summed), title, height=240)
    distribution = (1, parts.card(title, chart, note=note))
    if not summed.months or not months:
        return [distribution]
    title = f"{made} by month{unit}"
    sums = {year: sum(value for value in row if value is not None) for year, row in summed.months.items()}
    table = calendar.table(title, summed.months, sums, _short, fmt.number)
    return [distribution, (2, parts.card(title, table, note="each trade in the month in which it ended"))]


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


def _short(value: float) -> str:
    sign = "−" if value < 0 else ""
    size = abs(value)
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{sign}{size / limit:.1f}{unit}"
    return f"{sign}{size:.0f}" if size >= 100 else f"{sign}{size:.1f}" if size >= 10 else f"{sign}{size:.2f}"
