"""A calendar of months: a row a year, coloured by sign and size; on a phone each year is two lines of six months."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import html

from archiver.web.elements import parts

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST_YEARS = 40


def table(
    title: str,
    months: Mapping[int, Sequence[float | None]],
    years: Mapping[int, float],
    short: Callable[[float], str],
    full: Callable[[float], str],
) -> Any:
    """Show values by year and month, newest year first.

    Arguments:
        title: what the values are.
        months: for each year twelve values, None where there is none.
        years: the value of each whole year.
        short, full: write a value in its cell, and where a pointer rests.
    """
    amounts = [abs(value) for row in months.values() for value in row if value is not None]
    most = max(amounts, default=1) or 1

    def cell(value: float | None, month: str) -> Any:
        if value is None:
            return html.Td("", className="none", **{"data-month": month})
        kind = "up" if value > 0 else "down" if value < 0 else ""
        strength = 8 + 62 * (abs(value) / most) ** 0.7
        return html.Td(
            short(value),
            className=kind,
            style={"--strength": f"{strength:.0f}%"},
            title=f"{month} {full(value)}",
            **{"data-month": month},
        )

    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in ("", *MONTHS, "Year")]))
    rows = [
        html.Tr(
            [
                html.Th(str(year), scope="row"),
                *map(cell, months[year], MONTHS),
                html.Td(parts.signed(short(years[year]), years[year]), className="sum"),
            ]
        )
        for year in sorted(months, reverse=True)[:_MOST_YEARS]
    ]
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
