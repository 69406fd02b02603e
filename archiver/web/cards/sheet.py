"""The tear sheet of a strategy's page: figures of its curve, returns by month and year, drawdowns, rolling figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from dash import html

from archiver.analysis.moments import Points
from archiver.analysis.returns import Drawdown, TearSheet, tear_sheet
from archiver.web.cards import calendar
from archiver.web.elements import figures, parts
from archiver.web.reading import curves
from archiver.web.reading.curves import Curve
from archiver.web.words import format as fmt

_MOST_ROLLING = 800
_FEW_YEARS = 2


def of_curve(curve: Curve) -> TearSheet:
    """Return the tear sheet of a curve as it is drawn."""
    values = curve.values.tolist()
    at = [place for place, value in enumerate(values) if isfinite(value)]
    times = None if curve.times is None else [curve.times[place] for place in at]
    return tear_sheet(Points([values[place] for place in at], times))


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as percent."""
    return fmt.NONE if share is None else f"{100 * share:,.{digits}f} %".replace("-", "−")


def stats(sheet: TearSheet) -> Any:
    """Show the figures of the curve in a row; None of a curve that says nothing."""
    found = [
        *(
            parts.stat(title, parts.signed(percent(value), sign * value))
            for title, value, sign in (
                ("Return", sheet.total, 1),
                ("CAGR", sheet.cagr, 1),
                ("Volatility", sheet.volatility, 0),
            )
            if value is not None
        ),
        *(
            parts.stat(title, parts.signed(fmt.number(value), value))
            for title, value in (
                ("Sharpe", sheet.sharpe),
                ("Sortino", sheet.sortino),
                ("Calmar", sheet.calmar),
            )
            if value is not None
        ),
    ]
    if sheet.drawdowns:
        one = sheet.drawdowns[0]
        lasted = f"{_lasted(one)} until recovered" if _lasted(one) else "not recovered yet"
        found.append(parts.stat("Max drawdown", parts.signed(_deep(one), one.depth), lasted))
    return parts.stats(*found) if found else None


def note(sheet: TearSheet) -> str:
    """Say what the figures are computed from."""
    if sheet.points.times is None:
        return "Computed from the equity curve, which has no dates: what needs them is left out"
    text = "Computed from the equity curve by its dates"
    text += "" if sheet.per_year is None else f", {sheet.per_year:,.0f} steps a year"
    return f"{text}; the engine's own numbers above may be defined in other ways"


def cards(sheet: TearSheet) -> list[tuple[int, Any]]:
    """Return the cards that the curve allows, each with the thirds of the page it wants."""
    falls = _drawdowns(sheet)
    if len(sheet.years) < _FEW_YEARS:
        found = [(2, _months(sheet, drawn=True)), (1, falls), (3, _rolling(sheet))]
    else:
        found = [(2, _months(sheet)), (1, _years(sheet)), (2, _rolling(sheet)), (1, falls)]
    return [(width, made) for width, made in found if made is not None]


def _months(sheet: TearSheet, *, drawn: bool = False) -> Any:
    """Show the months in a calendar; `drawn` as bars too."""
    if not sheet.months:
        return None
    title = "Returns by month (%)"
    table = calendar.table(title, sheet.months, sheet.years, _tenths, percent)
    known = {
        f"{calendar.MONTHS[at]} {year}": value
        for year, row in sheet.months.items()
        for at, value in enumerate(row)
        if value is not None
    }
    best, worst, up = max(known.values()), min(known.values()), sum(value > 0 for value in known.values())
    said = f"{up} of {len(known)} months up, best {percent(best, 1)}, worst {percent(worst, 1)}"
    chart = figures.graph("months", _bars(known), "Returns by month, drawn", height=200) if drawn else None
    return parts.card(title, table, chart, note=said)


def _tenths(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")


def _years(sheet: TearSheet) -> Any:
    title = "Returns by year"
    drawn = _bars({str(year): value for year, value in sheet.years.items()})
    return parts.card(
        title, figures.graph("years", drawn, title, height=max(240, min(560, 90 + 26 * len(sheet.years))))
    )


def _bars(shares: dict[str, float]) -> figures.Figure:
    bars = figures.bars(
        list(shares),
        [100 * value for value in shares.values()],
        [figures.GOOD if value > 0 else figures.BAD for value in shares.values()],
        name="Return (%)",
        hovertemplate="%{x}: %{y:.2f} %<extra></extra>",
    )
    return figures.figure(
        [bars],
        bargap=0.25,
        xaxis={"type": "category", "showgrid": False, "nticks": 8},
        yaxis={"ticksuffix": " %", "zeroline": True, "zerolinecolor": figures.GREY, "zerolinewidth": 1},
    )


def _rolling(sheet: TearSheet) -> Any:
    if not any(value is not None for value in sheet.rolling_sharpe):
        return None
    traces = [_rolled(sheet, sheet.rolling_sharpe, "Sharpe ratio", figures.ACCENT, "%{y:.2f}", 1)]
    split = any(value is not None for value in sheet.rolling_volatility)
    if split:
        line = _rolled(sheet, sheet.rolling_volatility, "Volatility", figures.COLORS[1], "%{y:.2f} %", 100)
        traces.append({**line, "yaxis": "y2"})
    axes: figures.Figure = {
        "xaxis": {**figures.DATES, "hoverformat": "%Y-%m-%d", "nticks": 5, "showgrid": False, "anchor": "y2" if split else "y"},
        "yaxis": {
            "domain": [0.54 if split else 0, 1], "nticks": 5, "title": {"text": "Sharpe ratio", "standoff": 8},
            "zeroline": True, "zerolinecolor": figures.GREY, "zerolinewidth": 1,
        },
    }  # fmt: skip
    if split:
        axes["yaxis2"] = {
            "domain": [0, 0.44], "nticks": 4, "title": {"text": "Volatility", "standoff": 8}, "ticksuffix": " %",
            "automargin": True, "zeroline": False, "rangemode": "tozero",
        }  # fmt: skip
    drawn = figures.figure(traces, hovermode="x unified", hoversubplots="axis", **axes)
    title = "Rolling Sharpe ratio and volatility"
    half = sheet.per_year and round(sheet.per_year / 2) == sheet.window
    said = f"of the last {sheet.window:,} steps{' (half a year)' if half else ''}, annualised"
    return parts.card(title, figures.graph("rolling", drawn, title, height=320), note=said)


def _rolled(
    sheet: TearSheet, values: Sequence[float | None], name: str, color: str, written: str, unit: int
) -> figures.Figure:
    at, y = curves.thin([float("nan") if value is None else value for value in values], most=_MOST_ROLLING)
    times = sheet.points.times or []
    return figures.line(
        curves.axis_texts([times[place] for place in at]),
        [round(unit * value, 6) for value in y.tolist()],
        name,
        color,
        hovertemplate=f"{written}<extra>{name}</extra>",
    )


def _drawdowns(sheet: TearSheet) -> Any:
    if not sheet.drawdowns:
        return None
    rows = [[parts.signed(_deep(one), one.depth), _span(one)] for one in sheet.drawdowns]
    head = ["Depth", "Peak to lowest, and recovery"]
    table = parts.table(head, rows, caption="Deepest drawdowns")
    return parts.card("Deepest drawdowns", html.Div(table, className="falls"))


def _deep(one: Drawdown) -> str:
    return percent(one.depth) if one.share else fmt.number(one.depth)


def _span(one: Drawdown) -> Any:
    if one.since is None or one.lowest is None:
        fell = f"point {one.begin:,} to {one.valley:,}"
        again = "not recovered yet" if one.end is None else f"recovered at {one.end:,}"
    else:
        fell = f"{_day(one.since)} to {_day(one.lowest)}"
        again = "not recovered yet" if one.recovered is None else f"recovered {_day(one.recovered)}"
    if lasted := _lasted(one):
        again += f" · {lasted}"
    return html.Div([html.Div(fell), html.Div(again, className="muted")], className="span")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _lasted(one: Drawdown) -> str:
    if one.days is not None:
        return f"{one.days:,.0f} days" if one.days >= 1 else f"{24 * one.days:.0f} h"
    return "" if one.end is None or one.since is not None else f"{one.end - one.begin:,} points"
