"""The scatter plot of the page of strategies: any two metrics, all rows as shading, some as points."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, dcc, html, no_update
from dash.dependencies import Input, Output, State

from archiver.errors import ConfigError
from archiver.query.expression import known_column
from archiver.web import figures, links, parts
from archiver.web import format as fmt
from archiver.web.cards import columns
from archiver.web.rows import Cloud, ask_of, cloud

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.site import Site

_BEST = 25
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
    )(lambda ask, x, y, within, is_open: _cloud(site, ask, x, y, within, is_open))

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


def panel(numeric: list[str], x: str | None, y: str | None, size: str) -> Any:
    """Show the plot and what it is of, or nothing while it is shut."""
    options = [{"label": fmt.title(name), "value": name} for name in numeric]

    def choice(name: str, label: str, value: str | None) -> Any:
        return html.Div(
            [
                html.Label(label, className="label", htmlFor=name),
                dcc.Dropdown(options, value, id=name, clearable=False, searchable=True, maxHeight=360),
            ],
            className="field",
        )

    return html.Section(
        [
            html.Div(
                [
                    choice("cloud-y", "Up", y),
                    choice("cloud-x", "Across", x),
                    html.Button(
                        "Beside the table" if size == "large" else "Larger",
                        id="scatter-size",
                        type="button",
                        className="button",
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
            dcc.Store(id="scatter-open", data=size),
        ],
        id="scatter",
        className=f"card scatter {size or 'shut'}",
        **{"aria-label": "Scatter plot"},
    )


def _graph(drawn: figures.Figure) -> Any:
    return figures.graph(
        "cloud",
        drawn,
        "Two metrics against each other",
        height=None,
        config={
            "displayModeBar": True,
            "modeBarButtons": [["zoom2d", "pan2d", "select2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
        },
    )


def _cloud(
    site: Site, ask: dict[str, Any], x: str | None, y: str | None, within: Any, is_open: bool
) -> tuple[Any, Any]:
    if not is_open or not ask:
        return no_update, no_update
    if not x or not y:
        return None, "Two columns of numbers are needed."
    try:
        metrics = site.data.metrics(ask.get("run") or None, ask.get("newest") or "")
        for name in (x, y):
            known_column(name, metrics.table.column_names)
        wanted = list(dict.fromkeys(["universe", "strategy_name", "run", x, y]))
        score = site.data.score(metrics.table.column_names)
        order = ((score, True),) if score else ()
        table = site.views.rows(metrics, ask_of(ask, order), wanted).read()
        # Where there are few, none stands out.
        best = _BEST if score and table.num_rows > _BEST else 0
        drawn = cloud(table, x, y, best=best, within=_four(within))
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        # What is wrong with the filter stands above the table.
        return None, None if isinstance(error, ConfigError) else parts.failed(error)
    if not drawn.rows and not drawn.outside:
        return None, "No strategy that matches has a finite number for both: choose other metrics."
    box = _four(ask.get("box"))
    keeps_run = bool(ask.get("run")) or ask.get("newest") == "all"
    looks = {"size": 5, "color": figures.ACCENT, "opacity": 0.55, "line": {"width": 0}}
    traces = [_points(drawn.points, x, y, looks, keeps_run=keeps_run)]
    if drawn.rows > drawn.points.num_rows + drawn.best.num_rows:
        traces.insert(0, _density(drawn))
    if score and drawn.best.num_rows:
        traces.append(_points(drawn.best, x, y, _RING, keeps_run=keeps_run, ranked=f"by {fmt.title(score)}"))
    shown = figures.figure(
        traces,
        x=columns.heading(x),
        y=columns.heading(y),
        dragmode="select",
        uirevision=f"{x} {y}",
        selections=[{"type": "rect", "x0": box[0], "x1": box[1], "y0": box[2], "y1": box[3]}] if box else [],
        selectionrevision=str(box),
        selectdirection="any",
    )
    return _graph(shown), _note(drawn, score, has_box=box is not None)


def _points(
    points: pa.Table, x: str, y: str, looks: figures.Figure, *, keeps_run: bool, ranked: str = ""
) -> figures.Figure:
    keys = (points[key].to_pylist() for key in ("universe", "strategy_name", "run"))
    ids = [
        [
            links.strategy(universe, name, run if keeps_run else None),
            name,
            universe + (f" · number {at} {ranked}" if ranked else ""),
        ]
        for at, (universe, name, run) in enumerate(zip(*keys, strict=True), 1)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": points[x].to_pylist() if ids else [],
        "y": points[y].to_pylist() if ids else [],
        "customdata": ids,
        "marker": looks,
        "hovertemplate": "%{customdata[1]}<br>%{customdata[2]}<br>"
        f"{fmt.title(x)} %{{x:.4~g}}<br>{fmt.title(y)} %{{y:.4~g}}<extra></extra>",
    }


def _note(drawn: Cloud, score: str | None, *, has_box: bool) -> str:
    count, best = drawn.points.num_rows, drawn.best.num_rows
    note = f"{fmt.counted(drawn.rows, 'strategy', 'strategies')} with both"
    if drawn.outside:
        note += f", {drawn.outside:,} outside the axes"
    if drawn.rows > count + best:
        note += f"; the shading has all, points are the {count:,} farthest from others"
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


def _density(drawn: Cloud) -> figures.Figure:
    middles = [[(a + b) / 2 for a, b in pairwise(edges)] for edges in (drawn.x_edges, drawn.y_edges)]
    most = max(max(row) for row in drawn.counts) or 1
    # A root keeps the rare cells visible beside the crowded ones; empty cells stay clear.
    shades = [[(count / most) ** 0.5 if count else None for count in row] for row in drawn.counts]
    return {
        "type": "heatmap",
        "x": middles[0],
        "y": middles[1],
        "z": shades,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "rgba(79,124,255,0.06)"], [1, "rgba(79,124,255,0.75)"]],
        "showscale": False,
        "text": [[fmt.counted(count, "strategy", "strategies") for count in row] for row in drawn.counts],
        "hovertemplate": "%{text} around here<extra></extra>",
        "hoverongaps": False,
    }
