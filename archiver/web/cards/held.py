"""Sums of strategies against the best alone: their curves, their figures, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from archiver.analysis.portfolio import Held, Portfolio
from archiver.web.cards.sheet import percent
from archiver.web.elements import figures, parts
from archiver.web.reading import curves as points
from archiver.web.words import best
from archiver.web.words import format as fmt

_MOST_POINTS = 1_200
_WAYS = (("Equal weight", figures.ACCENT), ("Inverse volatility", figures.COLORS[2]), ("Best alone", figures.COLORS[1]))  # fmt: skip


def ways(made: Portfolio) -> list[tuple[str, str, Held]]:
    """Return the sums and the best alone, each with its name and colour."""
    found = (made.equal, made.inverse, made.alone[made.best])
    return [(name, color, one) for (name, color), one in zip(_WAYS, found, strict=True)]


def stats(made: Portfolio) -> Any:
    """Show what is to be known first."""
    mean, spread = made.mean_correlation, made.diversification
    equal, alone = made.equal.sheet, made.alone[made.best].sheet
    return parts.stats(
        parts.stat("Days in common", fmt.count(len(made.days)), f"{made.days[0]} to {made.days[-1]}"),
        parts.stat("Mean correlation", fmt.number(mean), "of each two"),
        parts.stat("Diversification", fmt.number(spread), "volatility alone by together"),
        parts.stat("Sharpe, equal weight", fmt.number(equal.sharpe), f"best alone {fmt.number(alone.sharpe)}"),
        parts.stat("Max drawdown, equal weight", _deepest(equal), f"best alone {_deepest(alone)}"),
    )  # fmt: skip


def _deepest(sheet: Any) -> str:
    if not sheet.drawdowns:
        return fmt.NONE
    one = sheet.drawdowns[0]
    return percent(one.depth) if one.share else fmt.number(one.depth)


def curves_figure(made: Portfolio, *, log: bool) -> figures.Figure:
    """Draw the curves, and below them how far each is under its peak."""
    traces: list[figures.Figure] = []
    below: list[figures.Figure] = []
    for name, color, one in ways(made):
        for values, axis in ((one.sheet.points.values, "y"), (one.sheet.underwater, "y2")):
            at, y = points.thin(values, most=_MOST_POINTS)
            times = [f"{made.days[place]}" for place in at]
            unit = 100 if made.share else 1
            drawn = [round(unit * (value - (1 if axis == "y" and made.share and not log else 0)), 6) for value in y.tolist()]  # fmt: skip
            percents = made.share and not (log and axis == "y")
            hover = "%{y:,.2f}" + (" %" if percents else "") + f"<extra>{name}</extra>"
            line = figures.line(times, drawn, name, color, hovertemplate=hover, yaxis=axis)
            if axis == "y2":
                line |= {"name": f"{name}, drawdown", "line": {"color": color, "width": 1.1}}
                line["hovertemplate"] = hover.replace("</extra>", ", drawdown</extra>")
            (below if axis == "y2" else traces).append(line)
    title = "Made" if not made.share else "Capital, first day = 100" if log else "Made (%)"
    suffix = {"ticksuffix": " %"} if made.share else {}
    return figures.figure(
        [*traces, *below],
        hovermode="x unified",
        hoversubplots="axis",
        xaxis={
            **figures.DATES,
            "hoverformat": "%Y-%m-%d",
            "nticks": 6,
            "showgrid": False,
            "anchor": "y2",
        },
        yaxis={
            "domain": [0.36, 1],
            "title": {"text": title, "standoff": 8},
            **({"type": "log", "nticks": 6} if log else suffix),
        },
        yaxis2={
            "domain": [0, 0.3],
            "title": {"text": "Drawdown", "standoff": 8},
            "automargin": True,
            "nticks": 4,
            "zeroline": False,
            **suffix,
        },
    )


def curves(made: Portfolio, *, log: bool, switch: str) -> Any:
    """Show the curves, named, with the switch of their scale."""
    legend = [
        html.Span(
            [html.Span(className="dot", style={"background": color}), f"{name}: {made.best}" if name == "Best alone" else name],
            className="key",
        )
        for name, color, _ in ways(made)
    ]  # fmt: skip
    can_log = made.share and all(min(one.sheet.points.values) > 0 for _, _, one in ways(made))
    toggle = parts.link("Linear scale" if log else "Log scale", switch) if can_log else None
    drawn = curves_figure(made, log=log and can_log)
    chart = figures.graph("held", drawn, "Sums of the strategies and the best alone", height=420)
    return parts.card("Held together", html.Div(legend, className="keys"), chart, note=toggle)


def table(made: Portfolio) -> Any:
    """Show the figures side by side, the best of each row marked."""
    rows: list[list[Any]] = []
    sheets = [one.sheet for _, _, one in ways(made)]
    for title, metric, values, text in (
        ("Return", "total_return", [one.total for one in sheets], _tenths),
        ("CAGR", "cagr", [one.cagr for one in sheets], _tenths),
        ("Volatility", "volatility", [one.volatility for one in sheets], _tenths),
        ("Sharpe", "sharpe_ratio", [one.sharpe for one in sheets], fmt.number),
        ("Sortino", "sortino_ratio", [one.sortino for one in sheets], fmt.number),
        ("Calmar", "calmar_ratio", [one.calmar for one in sheets], fmt.number),
        (
            "Max drawdown",
            "max_drawdown",
            [one.drawdowns[0].depth if one.drawdowns else 0.0 for one in sheets],
            _tenths if made.share else fmt.number,
        ),
    ):
        if all(value is None for value in values):
            continue
        marked = best.places(metric, values)
        rows.append([title, *(parts.marked(text(value), best=at in marked) for at, value in enumerate(values))])  # fmt: skip
    head = ["Figure", *(html.Span([html.Span(className="dot", style={"background": color}), html.Span(name.replace("volatility", "vol."))], className="key") for name, color, _ in ways(made))]  # fmt: skip
    shown = parts.table(head, rows, right=[1, 2, 3], caption="Figures side by side", dense=True)
    return parts.card("Side by side", html.Div(shown, className="side-by-side"))


def _tenths(share: float | None) -> str:
    return percent(share, 1)


def members(made: Portfolio, addresses: Mapping[str, str], note: Any) -> Any:
    """Show each strategy: its weights, what it is alone, how alike it is to the others."""
    rows = []
    most = max(made.inverse.weights.values()) or 1.0
    for at, name in enumerate(made.names, 1):
        sheet, mean = made.alone[name].sheet, made.mean_with_others(name)
        rows.append(
            [
                html.Div(
                    [
                        html.Span(f"{at}.", className="muted"),
                        html.Span(
                            [
                                parts.link(parts.spaced(name), addresses.get(name, "")),
                                parts.badge("best alone", "accent") if name == made.best else None,
                            ]
                        ),
                    ],
                    className="numbered",
                ),
                percent(made.equal.weights[name], 1),
                parts.bar(made.inverse.weights[name] / most, percent(made.inverse.weights[name], 1)),
                percent(sheet.total, 1) if made.share else fmt.number(sheet.points.values[-1]),
                percent(sheet.volatility, 1),
                fmt.number(sheet.sharpe),
                _deepest(sheet),
                fmt.number(mean),
            ]
        )
    head = [
        "Strategy", "Equal weight", "By inverse volatility", "Return" if made.share else "Made", "Volatility",
        "Sharpe", "Max drawdown", "Mean correlation",
    ]  # fmt: skip
    shown = parts.table(head, rows, right=range(1, len(head)), caption="What is in it", dense=True)
    return parts.card("What is in it", html.Div(shown, className="first-stays"), note)
