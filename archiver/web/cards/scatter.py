"""The scatter plot of the page of strategies: any two metrics, coloured by a third, all rows as shading, some as points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, dcc, html, no_update
from dash.dependencies import Input, Output, State

from archiver.errors import ConfigError
from archiver.query.expression import known_column
from archiver.query.selection import sort_text
from archiver.web.cards import columns
from archiver.web.elements import figures, parts
from archiver.web.reading.rows import Cloud, ask_of, cloud
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.site import Site

_BEST = 25
_AXES = ("y", "x")
_SCALE = "Viridis"
_RING = {
    "size": 9,
    "color": figures.COLORS[1],
    "opacity": 0.9,
    "line": {"width": 1.5, "color": figures.ACCENT},
}


def connect(app: Any, site: Site) -> None:
    """Draw what is asked for; a box becomes part of the filter."""
    # The chart comes when it is first wanted: its library is larger than all else on the page.
    app.callback(
        Output("cloud-place", "children"),
        Output("cloud-note", "children"),
        Input("cloud-ask", "data"),
        Input("cloud-x", "value"),
        Input("cloud-y", "value"),
        Input("cloud-range", "data"),
        Input("scatter-open", "data"),
        Input("cloud-color", "value"),
        Input("cloud-log", "data"),
    )(lambda ask, *how: _cloud(site, ask, *how))

    def script(name: str) -> Any:
        return ClientsideFunction("strategies", name)

    app.clientside_callback(
        script("boxed"),
        Output("cloud-ask", "data"),
        Input("ask", "data"),
        Input("cloud-x", "value"),
        Input("cloud-y", "value"),
    )
    app.clientside_callback(
        script("toggle"),
        Output("scatter-open", "data"),
        Output("scatter", "className"),
        Output("scatter-toggle", "aria-pressed"),
        Output("scatter-size", "children"),
        Input("scatter-toggle", "n_clicks"),
        Input("scatter-size", "n_clicks"),
        State("scatter-open", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        script("zoomed"),
        Output("cloud-range", "data"),
        Input("cloud", "relayoutData"),
        State("cloud-x", "value"),
        State("cloud-y", "value"),
        State("cloud-log", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        script("logged"),
        Output("cloud-log", "data"),
        *(Output(f"cloud-log-{axis}", "aria-pressed") for axis in _AXES),
        *(Input(f"cloud-log-{axis}", "n_clicks") for axis in _AXES),
        State("cloud-log", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        script("picked"), Output("filter-where", "value"), Input("cloud", "selectedData"),
        Input("cloud-unbox", "n_clicks"), State("filter-where", "value"), State("cloud-x", "value"),
        State("cloud-y", "value"), prevent_initial_call=True,
    )  # fmt: skip
    app.clientside_callback(
        script("opened"), Output("cloud", "className"), Input("cloud", "clickData"), prevent_initial_call=True
    )


def size(query: links.Query) -> str:
    """Return how the plot stands on the page: "" for not at all, "1" beside the table, "large"."""
    asked = links.first(query, "scatter")
    return asked if asked in ("1", "large") else ""


def axes(
    query: links.Query, filled: list[str], numeric: list[str], score: str | None
) -> tuple[str | None, str | None]:
    """Return the two metrics to draw, of the numeric ones: those of the URL, else usual ones that most rows have."""
    usual = [
        name for name in ("max_drawdown", "max_drawdown_pct", "n_trades", "total_return") if name in filled
    ]
    x = links.first(query, "x") or next(iter([*usual, *numeric]), None)
    y = links.first(query, "y") or next(
        (name for name in (score, *numeric) if name in numeric and name != x), None
    )
    return (x if x in numeric else None), (y if y in numeric else None)


def panel(numeric: list[str], x: str | None, y: str | None, query: links.Query) -> Any:
    """Show the plot and what it is of, or nothing while it is shut."""
    own = size(query)
    options = [{"label": fmt.title(name), "value": name} for name in numeric]
    color = links.first(query, "color")
    logs = [axis for axis in links.first(query, "log").split(",") if axis in _AXES]

    def choice(name: str, label: str, value: str | None, *, optional: bool = False) -> Any:
        dropdown = dcc.Dropdown(
            options, value, id=name, clearable=optional, searchable=True, maxHeight=360, placeholder="None"
        )
        return html.Div(
            [html.Label(label, className="label", htmlFor=name), dropdown],
            className="field",
        )

    def log(axis: str, label: str) -> Any:
        return html.Button(
            label,
            id=f"cloud-log-{axis}",
            type="button",
            className="button small",
            **{"aria-pressed": str(axis in logs).lower()},
        )

    return html.Section(
        [
            html.Div(
                [
                    choice("cloud-y", "Up", y),
                    choice("cloud-x", "Across", x),
                    choice("cloud-color", "Colour", color if color in numeric else None, optional=True),
                ],
                className="axes",
            ),
            html.Div(
                [
                    log("y", "Log up"),
                    log("x", "Log across"),
                    html.Button(
                        "Beside the table" if own == "large" else "Larger",
                        id="scatter-size",
                        type="button",
                        className="button small",
                    ),
                ],
                className="axes",
            ),
            html.Div(id="cloud-place"),
            html.Div(id="cloud-note", className="note"),
            html.Button(
                "Remove the box", id="cloud-unbox", type="button", className="button small", hidden=True
            ),
            dcc.Store(id="cloud-ask"),
            dcc.Store(id="cloud-range"),
            dcc.Store(id="cloud-log", data=logs),
            dcc.Store(id="scatter-open", data=own),
        ],
        id="scatter",
        className=f"card scatter {own or 'shut'}",
        **{"aria-label": "Scatter plot"},
    )


def _graph(drawn: figures.Figure, csv: str) -> Any:
    return figures.graph(
        "cloud",
        drawn,
        "Two metrics against each other",
        height=None,
        csv=csv,
        config={
            "displayModeBar": True,
            "modeBarButtons": [["zoom2d", "pan2d", "select2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
        },
    )


def _cloud(
    site: Site,
    ask: dict[str, Any],
    x: str | None,
    y: str | None,
    within: Any,
    is_open: bool,
    color: str | None,
    logs: Any,
) -> tuple[Any, Any]:
    if not is_open or not ask:
        return no_update, no_update
    if not x or not y:
        return None, "Two columns of numbers are needed."
    log = ("x" in (logs or ()), "y" in (logs or ()))
    try:
        named = (x, y, color or "", str(ask.get("where") or ""))
        metrics = site.metrics(ask.get("run") or None, ask.get("newest") or "", *named)
        for name in (x, y, color):
            if name:
                known_column(name, metrics.table.column_names)
        wanted = list(dict.fromkeys(["universe", "strategy_name", "run", x, y, *([color] if color else [])]))
        score = site.data.score(metrics.table.column_names)
        order = ((score, site.data.greatest_first(score)),) if score else ()
        table = site.views.rows(metrics, ask_of(ask, order), wanted).read()
        # Where there are few, none stands out.
        best = _BEST if score and table.num_rows > _BEST else 0
        view = _four((within or {}).get("range")) if _same_axes(within, x, y, log) else None
        drawn = cloud(table, x, y, best=best, within=view, color=color, log=log)
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        # What is wrong with the filter stands above the table.
        return None, None if isinstance(error, ConfigError) else parts.failed(error)
    if not drawn.rows and not drawn.outside:
        text = "No strategy that matches has a finite number for both: choose other metrics."
        return None, text + (" A log scale has none for zero and below." if any(log) else "")
    shown = _figure(drawn, ask, (x, y, color), log, score)
    csv = links.href(
        "/api/metrics",
        **{name: str(ask.get(name) or "") for name in ("universe", "run", "search", "where")},
        newest="" if ask.get("run") else str(ask.get("newest") or ""),
        columns=",".join(dict.fromkeys(name for name in (x, y, color) if name)),
        sort=sort_text(order),
        format="csv",
        without_damaged="1" if ask.get("damaged") else "",
    )
    return _graph(shown, csv), _note(drawn, score, color, has_box=_four(ask.get("box")) is not None)


def _same_axes(within: Any, x: str, y: str, log: tuple[bool, bool]) -> bool:
    """Tell whether a view is of the axes as they are: what was zoomed into of others means nothing here."""
    own = {"x": x, "y": y, "log": sorted(axis for axis, is_log in zip("xy", log, strict=True) if is_log)}
    return isinstance(within, dict) and within.get("of") == own


def _figure(
    drawn: Cloud,
    ask: dict[str, Any],
    names: tuple[str, str, str | None],
    log: tuple[bool, bool],
    score: str | None,
) -> figures.Figure:
    x, y, color = names
    box = _four(ask.get("box"))
    keeps_run = bool(ask.get("run")) or ask.get("newest") == "all"
    looks = {"size": 5, "color": figures.ACCENT, "opacity": 0.55, "line": {"width": 0}}
    traces = [_points(drawn, drawn.points, names, looks, keeps_run=keeps_run)]
    has_shading = drawn.rows > drawn.points.num_rows + drawn.best.num_rows
    if has_shading:
        traces.insert(0, _density(drawn, log))
    if score and drawn.best.num_rows:
        ranked = f"by {fmt.title(score)}"
        traces.append(_points(drawn, drawn.best, names, _RING, keeps_run=keeps_run, ranked=ranked))
    right = {}
    if color and drawn.span:
        bar = {
            "cmin": drawn.span[0],
            "cmax": drawn.span[1],
            "colorscale": _SCALE,
            "colorbar": {
                "thickness": 10,
                "outlinewidth": 0,
                # The tools of the plot stand above it.
                "len": 0.9,
                "y": 0,
                "yanchor": "bottom",
                "title": {"text": columns.heading(color), "side": "right"},
            },
        }
        right = {"coloraxis": bar}
    kinds = [{"type": "log", "nticks": 8} if is_log else {} for is_log in log]
    return figures.figure(
        traces,
        x=columns.heading(x),
        y=columns.heading(y),
        xaxis=kinds[0],
        yaxis=kinds[1],
        dragmode="select",
        uirevision=f"{x} {y} {log}",
        selections=[{"type": "rect", "x0": box[0], "x1": box[1], "y0": box[2], "y1": box[3]}] if box else [],
        selectionrevision=str(box),
        selectdirection="any",
        **right,
    )


def _points(
    drawn: Cloud,
    points: pa.Table,
    names: tuple[str, str, str | None],
    looks: figures.Figure,
    *,
    keeps_run: bool,
    ranked: str = "",
) -> figures.Figure:
    x, y, color = names
    keys = (points[key].to_pylist() for key in ("universe", "strategy_name", "run"))
    ids = [
        [
            links.strategy(universe, name, run if keeps_run else None),
            name,
            universe + (f" · number {at} {ranked}" if ranked else ""),
        ]
        for at, (universe, name, run) in enumerate(zip(*keys, strict=True), 1)
    ]
    hover = f"{fmt.title(x)} %{{x:.4~g}}<br>{fmt.title(y)} %{{y:.4~g}}"
    if color and drawn.span and ids:
        # A ring of a colour that the scale has not.
        ring = looks["line"] | {"color": figures.BAD}
        looks = looks | {
            "color": points[color].to_pylist(), "coloraxis": "coloraxis", "opacity": 0.9, "line": ring
        }  # fmt: skip
        hover += f"<br>{fmt.title(color)} %{{marker.color:.4~g}}"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": points[x].to_pylist() if ids else [],
        "y": points[y].to_pylist() if ids else [],
        "customdata": ids,
        "marker": looks,
        "hovertemplate": f"%{{customdata[1]}}<br>%{{customdata[2]}}<br>{hover}<extra></extra>",
    }


def _note(drawn: Cloud, score: str | None, color: str | None, *, has_box: bool) -> str:
    count, best = drawn.points.num_rows, drawn.best.num_rows
    note = f"{fmt.counted(drawn.rows, 'strategy', 'strategies')} with both"
    if drawn.outside:
        note += f", {drawn.outside:,} outside the axes"
    if drawn.rows > count + best:
        said = f"the mean of {fmt.title(color)} of all" if color and drawn.span else "all"
        note += f"; the shading has {said}, points are the {count:,} farthest from others"
    if score and best:
        note += f"; ringed: the best {best} by {fmt.title(score)}"
    if has_box:
        return f"{note}. The box is part of the filter; drag another one to change it."
    return f"{note}. Drag a box to filter by it; click a point to open it."


def _four(numbers: Any) -> tuple[float, float, float, float] | None:
    try:
        x0, x1, y0, y1 = (float(value) for value in numbers)
    except (TypeError, ValueError):
        return None
    return (x0, x1, y0, y1) if all(value - value == 0 for value in (x0, x1, y0, y1)) else None


def _density(drawn: Cloud, log: tuple[bool, bool]) -> figures.Figure:
    """Shade the cells by how many are in them, or by the mean of the third metric."""
    edges = [
        [10**edge for edge in some] if is_log else some
        for some, is_log in zip((drawn.x_edges, drawn.y_edges), log, strict=True)
    ]
    texts = [[fmt.counted(count, "strategy", "strategies") for count in row] for row in drawn.counts]
    own: figures.Figure
    if drawn.span:
        own = {"z": drawn.means, "coloraxis": "coloraxis", "opacity": 0.8}
        hover = "%{text} around here, on average %{z:.4~g}<extra></extra>"
    else:
        most = max(max(row) for row in drawn.counts) or 1
        # A root keeps the rare cells visible beside the crowded ones; empty cells stay clear.
        own = {
            "z": [[(count / most) ** 0.5 if count else None for count in row] for row in drawn.counts],
            "zmin": 0,
            "zmax": 1,
            "colorscale": [[0, "rgba(79,124,255,0.06)"], [1, "rgba(79,124,255,0.75)"]],
            "showscale": False,
        }
        hover = "%{text} around here<extra></extra>"
    return {
        "type": "heatmap",
        "x": edges[0],
        "y": edges[1],
        "text": texts,
        "hovertemplate": hover,
        "hoverongaps": False,
        **own,
    }
