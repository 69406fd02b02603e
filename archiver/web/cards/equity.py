"""A strategy's equity and drawdown over time, or over its points where no moment of them is known."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from dash.dependencies import Input, Output, State

from archiver.analysis.moments import when
from archiver.errors import ArchiverError
from archiver.web import curves, figures, parts
from archiver.web import format as fmt
from archiver.web.detail import Strategy

if TYPE_CHECKING:
    from archiver.web.site import Site

_FEW = 8


def connect(app: Any, site: Site) -> None:
    """Answer zooms."""
    app.callback(
        Output("equity", "figure"),
        Input("equity", "relayoutData"),
        State("strategy-of", "data"),
        prevent_initial_call=True,
    )(lambda moved, of: _zoomed(site, moved, of))


def card(found: Strategy) -> Any:
    """Draw both curves, as far as they are there and understood."""
    unread = unreadable(found)
    if not len(found.equity) and not len(found.drawdown):
        said = unread or parts.empty("No curve", "This strategy was saved without curves.")
        return parts.card("Equity", said)
    note = fmt.counted(len(found.equity) or len(found.drawdown), "point")
    if max(len(found.equity), len(found.drawdown)) > curves.MOST_POINTS:
        note += ", thinned to the extremes; zoom in for more"
    if not len(found.drawdown) and not found.drawdown.unread:
        note += "; drawdown worked out from equity"
    chart = figures.graph("equity", figure(found), "Equity and drawdown", height=420)
    return parts.card("Equity and drawdown", chart, unread, note=note)


def unreadable(found: Strategy) -> Any:
    """Say which curves were saved in a form that is not understood, and how to get at them; None where all are."""
    names = [
        f"{name} ({curve.unread})"
        for name, curve in (("equity", found.equity), ("drawdown", found.drawdown))
        if curve.unread
    ]
    if not names:
        return None
    text = (
        f"Saved in a form that is not drawn: {', '.join(names)}. It is kept as it was given: Download has it, "
        "`archiver show --json` prints it. Numbers, or [time, value] pairs, are drawn."
    )
    return parts.empty("A curve that is not understood", text)


def _moments(found: Strategy) -> list[Any] | None:
    """Return the moments of the points, where both curves have the same."""
    equity, drawdown = found.equity, found.drawdown
    if not len(drawdown):
        return equity.times
    if not len(equity) or equity.times == drawdown.times or len(equity) == len(drawdown):
        return equity.times or drawdown.times
    return None


def figure(found: Strategy, start: int = 0, end: int | None = None) -> figures.Figure:
    """Draw the points from start to before end."""
    equity, moments = found.equity.values, _moments(found)
    drawdown = found.drawdown.values if len(found.drawdown) else curves.below_peak(equity)
    x, y = curves.thin(equity, start, end)
    dx, dy = curves.thin(drawdown, start, end)
    # Drawdowns hang from the top, whichever sign they were saved with.
    down = [-abs(value) for value in dy.tolist()]
    unit = curves.drawdown_unit(equity, drawdown)
    written = {"%": "%{y:.2f} %", "share": "%{y:.2%}"}.get(unit, "%{y:,.4~g}")
    axis: figures.Figure = {"%": {"ticksuffix": " %"}, "share": {"tickformat": ".0%"}}.get(unit, {})
    if not any(down):
        axis = {"range": [-1, 0]}

    def places(at: Any) -> list[Any]:
        return at.tolist() if moments is None else curves.axis_texts([moments[place] for place in at])

    traces = [
        figures.line(places(x), y.tolist(), "Equity", hovertemplate="%{y:,.2f}<extra>Equity</extra>"),
        figures.line(
            places(dx),
            down,
            "Drawdown",
            figures.BAD,
            yaxis="y2",
            fill="tozeroy",
            fillcolor="rgba(224,82,106,0.18)",
            hovertemplate=f"{written}<extra>Drawdown</extra>",
        ),
    ]
    return figures.figure(
        traces,
        x="" if moments else _positions(found),
        hovermode="x unified",
        # One box for both: they hang at the same moment.
        hoversubplots="axis",
        uirevision="curve",
        xaxis={"anchor": "y2", "showgrid": False, **_across(moments, max(len(equity), len(drawdown)))},
        yaxis={"domain": [0.34, 1], "visible": bool(len(y)), "title": {"text": "Equity", "standoff": 8}},
        yaxis2={
            "domain": [0, 0.28 if len(y) else 1],
            "title": {"text": "Drawdown", "standoff": 8},
            "automargin": True,
            "zeroline": False,
            "nticks": 4,
            **axis,
        },
    )


def _across(moments: list[Any] | None, points: int) -> figures.Figure:
    if moments:
        return {"type": "date", "hoverformat": "%Y-%m-%d %H:%M", "nticks": 7}
    # Few points would get a line between them, named as one of them again.
    return {"tickformat": ",d", **({"dtick": 1} if points <= _FEW else {"nticks": 7})}


def _positions(found: Strategy) -> str:
    """Tell what a curve without moments runs over: trades where it has one point for each, else what the metrics name."""
    count = found.trades.table.num_rows
    if count and len(found.equity) - count in (0, 1):
        return "Trade"
    start, end = (when(found.metrics.get(name)) for name in ("start", "end"))
    return f"Points from {start:%Y-%m-%d} to {end:%Y-%m-%d}" if start and end else "Points, first to last"


def _zoomed(site: Site, moved: dict[str, Any] | None, of: dict[str, str]) -> Any:
    """Thin the visible part anew, so that zooming in shows every point."""
    from dash import no_update

    try:
        found = site.details.find(of["name"], of["universe"], of["run"])
    except ArchiverError:
        return no_update
    if max(len(found.equity), len(found.drawdown)) <= curves.MOST_POINTS or not moved:
        return no_update
    if moved.get("xaxis.autorange"):
        return figure(found)
    try:
        start, end = _places(_moments(found), moved["xaxis.range[0]"], moved["xaxis.range[1]"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return no_update
    return figure(found, start, end)


def _places(moments: list[Any] | None, left: Any, right: Any) -> tuple[int, int]:
    """Return the first point in view, with one before it, and the one behind the last."""
    if moments is None:
        return int(max(0.0, float(left))), int(min(float(right), 1e12)) + 2
    texts = curves.axis_texts(moments)
    first, last = (str(edge).replace(" ", "T") for edge in (left, right))
    return max(0, bisect_left(texts, first) - 1), bisect_right(texts, last) + 1
