"""A strategy's equity and drawdown over time, or over its points where no moment of them is known."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, dcc, html, no_update
from dash.dependencies import Input, Output, State

from archiver.analysis.moments import when
from archiver.errors import ArchiverError
from archiver.web.cards.marks import marks
from archiver.web.elements import figures, parts
from archiver.web.reading import curves
from archiver.web.reading.curves import Curve
from archiver.web.reading.detail import Strategy
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

_FEW = 8
SWITCHES = {"percent": "Percent", "log": "Log scale", "benchmark": "Benchmark"}
"""How the curve can be looked at."""
_BEGINNING = ["benchmark"]
View = tuple[Any, Any]


def connect(app: Any, site: Site) -> None:
    """Answer zooms, switches, and the trade that is chosen."""
    app.callback(
        Output("equity", "figure"),
        Input("equity-view", "data"),
        Input("equity-switches", "data"),
        Input("trade", "data"),
        State("strategy-of", "data"),
        prevent_initial_call=True,
    )(lambda view, shown, trade, of: _again(site, view, shown, trade, of))
    # A plot tells of more than zooms. A question that is followed by another gets no answer, so whatever
    # asks for a drawing must get one: what is nothing to draw anew for is sorted out in the browser.
    app.clientside_callback(
        ClientsideFunction("strategy", "viewed"),
        Output("equity-view", "data"),
        Input("equity", "relayoutData"),
        State("equity-view", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("strategy", "switched"),
        Output("equity-switches", "data"),
        *(Output(f"equity-{name}", "aria-pressed") for name in SWITCHES),
        *(Input(f"equity-{name}", "n_clicks") for name in SWITCHES),
        State("equity-switches", "data"),
        prevent_initial_call=True,
    )


def switched(query: links.Query) -> list[str]:
    """Return the switches that an address sets; without a word of them those to begin with."""
    if "curve" not in query:
        return _BEGINNING
    return [name for name in links.first(query, "curve").split(",") if name in SWITCHES]


def card(found: Strategy, shown: Collection[str] = (), trade: int | None = None) -> Any:
    """Draw both curves, as far as they are there and understood."""
    unread = unreadable(found)
    if not len(found.equity) and not len(found.drawdown):
        said = unread or parts.empty("No curve", "This strategy was saved without curves.")
        return parts.card("Equity", said)
    note = fmt.counted(len(found.equity) or len(found.drawdown), "point")
    if is_thinned(found):
        note += ", thinned to the extremes; zoom in for more"
    if not len(found.drawdown) and not found.drawdown.unread:
        note += "; drawdown worked out from equity"
    chart = figures.graph(
        "equity",
        figure(found, shown, trade),
        "Equity and drawdown",
        height=420,
        csv=_everything(found) if is_thinned(found) else "",
    )
    view = dcc.Store(id="equity-view", data={"thinned": is_thinned(found), "ends": None})
    return parts.card("Equity and drawdown", _switches(found, shown), chart, view, unread, note=note)


def is_thinned(found: Strategy) -> bool:
    """Tell whether some curve has more points than are drawn."""
    return max(map(len, (found.equity, found.drawdown, found.benchmark))) > curves.MOST_POINTS


def _everything(found: Strategy) -> str:
    at = {"universe": found.record.universe, "name": found.name, "run": found.record.run}
    return links.href("/api/curves", **at, format="csv")


def _switches(found: Strategy, shown: Collection[str]) -> Any:
    there = {
        "percent": _first(found.equity) is not None,
        "log": _is_positive(found.equity),
        "benchmark": len(found.benchmark) > 0,
    }
    chosen = [name for name in SWITCHES if name in shown and there[name]]
    color = html.Span(className="dot", style={"background": figures.GREY})
    buttons = [
        html.Button(
            [color, text] if name == "benchmark" else text,
            id=f"equity-{name}",
            type="button",
            className="button small",
            hidden=not there[name],
            **{"aria-pressed": str(name in chosen).lower()},
        )
        for name, text in SWITCHES.items()
    ]
    return html.Div(
        [*buttons, dcc.Store(id="equity-switches", data=chosen)],
        className="switches",
        role="group",
        **{"aria-label": "How the curve is drawn"},
    )


def unreadable(found: Strategy) -> Any:
    """Say which curves were saved in a form that is not understood, and how to get at them; None where all are."""
    names = [
        f"{name} ({curve.unread})"
        for name, curve in (
            ("equity", found.equity),
            ("drawdown", found.drawdown),
            ("benchmark", found.benchmark),
        )
        if curve.unread
    ]
    if not names:
        return None
    text = (
        f"Saved in a form that is not drawn: {', '.join(names)}. It is kept as it was given: Download has it, "
        "`archiver show --json` prints it. Numbers, or [time, value] pairs, are drawn."
    )
    return parts.empty("A curve that is not understood", text)


def moments_of(found: Strategy) -> list[Any] | None:
    """Return the moments of the points, where both curves have the same."""
    equity, drawdown = found.equity, found.drawdown
    if not len(drawdown):
        return equity.times
    if not len(equity) or equity.times == drawdown.times or len(equity) == len(drawdown):
        return equity.times or drawdown.times
    return None


def figure(
    found: Strategy, shown: Collection[str] = (), trade: int | None = None, view: View | None = None
) -> figures.Figure:
    """Draw the curves between the ends of a view, all of them without one; a trade is marked on them."""
    equity, moments = found.equity.values, moments_of(found)
    drawdown = found.drawdown.values if len(found.drawdown) else curves.below_peak(equity)
    start, end = (0, None) if view is None else _places(moments, *view)
    dx, dy = curves.thin(drawdown, start, end)
    # Drawdowns hang from the top, whichever sign they were saved with.
    down = [-abs(value) or 0.0 for value in dy.tolist()]
    unit = curves.drawdown_unit(equity, drawdown)
    written = {"%": "%{y:.2f} %", "share": "%{y:.2%}"}.get(unit, "%{y:,.4~g}")
    axis: figures.Figure = {"%": {"ticksuffix": " %"}, "share": {"tickformat": ".0%"}}.get(unit, {})
    if not any(down):
        axis = {"range": [-1, 0]}
    scale = _Scale(found, shown)
    lines = [scale.line(found.equity, moments, "Equity", figures.ACCENT, (start, end))]
    if "benchmark" in shown and len(found.benchmark) and (line := _benchmark(found, moments, scale, view)):
        lines.insert(0, line)
    fell = figures.line(
        _across(moments, dx),
        down,
        "Drawdown",
        figures.BAD,
        yaxis="y2",
        fill="tozeroy",
        fillcolor="rgba(224,82,106,0.18)",
        hovertemplate=f"{written}<extra>Drawdown</extra>",
    )
    points, shapes = marks(found, trade, moments, scale.value)
    has_equity = bool(len(equity))
    return figures.figure(
        [*lines, fell, *points],
        x="" if moments else _positions(found),
        hovermode="x unified",
        # One box for both: they hang at the same moment.
        hoversubplots="axis",
        uirevision="curve",
        shapes=shapes,
        xaxis={"anchor": "y2", "showgrid": False, **_axis(moments, max(len(equity), len(drawdown)))},
        yaxis={
            "domain": [0.34, 1],
            "visible": has_equity,
            "title": {"text": scale.title, "standoff": 8},
            "uirevision": scale.title,
            **({"type": "log", "nticks": 6} if scale.log else {}),
        },
        yaxis2={
            "domain": [0, 0.28 if has_equity else 1],
            "title": {"text": "Drawdown", "standoff": 8},
            "automargin": True,
            "zeroline": False,
            "nticks": 4,
            **axis,
        },
    )


class _Scale:
    """How values are drawn: as they are, or as change since the first; a log scale has no room for zero, and so begins at 100."""

    def __init__(self, found: Strategy, shown: Collection[str]) -> None:
        """Take the equity, and the switches that are set."""
        self.first = _first(found.equity)
        self.log = "log" in shown and _is_positive(found.equity)
        self.percent = "percent" in shown and self.first is not None
        self.title = "Equity"
        if self.percent:
            self.title = "Equity, first = 100" if self.log else "Change of equity (%)"
        self._written = "%{y:,.2f}" + (" %" if self.percent and not self.log else "")

    def value(self, value: float, first: float | None = None) -> float:
        """Return where a value lies; first: of the curve that it is of, the equity without one."""
        first = self.first if first is None else first
        if not self.percent or not first:
            return value
        return value / first * 100 if self.log else (value / first - 1) * 100

    def line(
        self,
        curve: Curve,
        moments: list[Any] | None,
        name: str,
        color: str,
        part: tuple[int, int | None],
        **more: Any,
    ) -> figures.Figure:
        """Draw a part of a curve."""
        at, y = curves.thin(curve.values, *part)
        first = _first(curve)
        values = [self.value(value, first) for value in y.tolist()]
        hover = f"{self._written}<extra>{name}</extra>"
        return figures.line(_across(moments, at), values, name, color, hovertemplate=hover, **more)


def _benchmark(
    found: Strategy, moments: list[Any] | None, scale: _Scale, view: View | None
) -> figures.Figure | None:
    """Draw the benchmark so that it begins where the equity does; None where the two have no axis in common."""
    own, first, begin = found.benchmark, _first(found.benchmark), scale.first
    if (own.times is None) != (moments is None) or (moments is None and len(own) != len(found.equity)):
        return None
    if first and begin and not scale.percent:
        own = Curve(own.values * (begin / first), own.times)
    part = (0, None) if view is None else _places(own.times, *view)
    line = scale.line(own, own.times, "Benchmark", figures.GREY, part)
    line["line"] |= {"width": 1.2}
    return line


def _first(curve: Curve) -> float | None:
    """Return the first number of a curve; None where it has none, or is zero there, so that nothing is a share of it."""
    first = next((value for value in curve.values.tolist() if value - value == 0), 0.0)
    return first or None


def _is_positive(curve: Curve) -> bool:
    return len(curve) > 0 and not bool((curve.values <= 0).any())


def _across(moments: list[Any] | None, at: Any) -> list[Any]:
    found: list[Any] = at.tolist()
    return found if moments is None else curves.axis_texts([moments[place] for place in found])


def _axis(moments: list[Any] | None, points: int) -> figures.Figure:
    if moments:
        return {**figures.DATES, "hoverformat": "%Y-%m-%d %H:%M", "nticks": 6}
    # Few points would get a line between them, named as one of them again.
    return {"tickformat": ",d", **({"dtick": 1} if points <= _FEW else {"nticks": 7})}


def _positions(found: Strategy) -> str:
    """Tell what a curve without moments runs over: trades where it has one point for each, else what the metrics name."""
    count = found.trades.table.num_rows
    if count and len(found.equity) - count in (0, 1):
        return "Trade"
    start, end = (when(found.metrics.get(name)) for name in ("start", "end"))
    return f"Points from {start:%Y-%m-%d} to {end:%Y-%m-%d}" if start and end else "Points, first to last"


def _again(site: Site, view: Any, shown: Any, trade: Any, of: dict[str, str]) -> Any:
    """Draw anew: the visible part thinned by itself, so that zooming in shows every point."""
    try:
        found = site.details.find(of["name"], of["universe"], of["run"])
    except ArchiverError:
        return no_update
    ends = view.get("ends") if isinstance(view, dict) else None
    try:
        seen = None if ends is None else (ends[0], ends[1])
        return figure(found, shown or (), trade if isinstance(trade, int) else None, seen)
    except (TypeError, ValueError, OverflowError, LookupError):
        return no_update


def _places(moments: list[Any] | None, left: Any, right: Any) -> tuple[int, int]:
    """Return the first point in view, with one before it, and the one behind the last."""
    if moments is None:
        return int(max(0.0, float(left))), int(min(float(right), 1e12)) + 2
    texts = curves.axis_texts(moments)
    first, last = (str(edge).replace(" ", "T") for edge in (left, right))
    return max(0, bisect_left(texts, first) - 1), bisect_right(texts, last) + 1
