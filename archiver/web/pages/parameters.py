"""Parameters: what the parameters of a search make of a metric, and how robust its best strategies are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ALL, ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State

from archiver.web.cards import heat, parameters
from archiver.web.elements import parts
from archiver.web.elements.parts import Page
from archiver.web.reading.data import NEWEST
from archiver.web.reading.search import Search, default_axes
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/parameters"


def page(site: Site, query: links.Query) -> Page:
    """Show the selection and the metric that the URL names."""
    search = site.searches.of(site.data, site.views, query)
    found = search.found
    run = search.asked["run"]
    count = fmt.counted(len(found.values), "strategy", "strategies")
    over = ["Run ", parts.link(fmt.short_run(run), links.run(run))] if run else None
    head = parts.heading(
        "Parameters",
        count,
        fmt.counted(len(found.axes), "parameter") + " with several values",
        over=over,
        actions=[parts.button("Strategies", _strategies(search, ""))],
    )
    content = [head, _filters(site, search)]
    axes = default_axes(found)
    if axes is None:
        content.append(_without(found.axes))
        return Page("Parameters", content)
    ask = _ask(search, query, axes)
    content += [
        html.Div(
            [
                html.Div(
                    parts.card("Heat map", _controls(search, ask), html.Div(id="heat-place")),
                    className="span-2",
                ),
                html.Div(parts.card("Importance", html.Div(parts.waiting(lines=5), id="importance-place"))),
                html.Div(
                    parts.card(
                        "Robustness",
                        html.P(
                            "Each strategy beside its neighbours: those of its run that differ in one parameter by one step."
                            " Plateau is the worse of its own value and the median of its neighbours: a lonely peak is worth"
                            " what is around it.",
                            className="note",
                        ),
                        html.Div(id="picked"),
                        html.Div(parts.waiting(lines=8), id="robust-place"),
                    ),
                    className="span-3",
                ),
                html.Div(
                    parts.card(
                        "One parameter at a time",
                        html.Div(parts.waiting(lines=6), id="slices-place"),
                        note="mean (blue), median (grey), and from worst to best; click a point to filter the table",
                    ),
                    className="span-3",
                ),
                html.Div(
                    parts.card(
                        "Parallel coordinates",
                        html.Div(parts.waiting(lines=6), id="parallel-place"),
                        note="the best strategies, each a line; click one of its points to filter the table",
                    ),
                    className="span-3",
                ),
            ],
            className="grid",
        ),
        dcc.Store(id="params-ask", data=ask),
        dcc.Store(id="params-search", data={**search.asked, "shown": found.metric}),
    ]
    return Page("Parameters", content)


def connect(app: Any, site: Site) -> None:
    """Draw what is asked for; a click on anything drawn filters the table."""
    app.callback(Output("heat-place", "children"), Input("params-ask", "data"))(
        parts.safely(lambda ask: _heat(site, ask))
    )
    app.callback(
        Output("robust-place", "children"), Output("picked", "children"), Input("params-ask", "data")
    )(lambda ask: _robust(site, ask))
    app.callback(
        Output("importance-place", "children"),
        Output("slices-place", "children"),
        Input("params-search", "data"),
    )(lambda asked: _told(site, asked))
    app.callback(Output("parallel-place", "children"), Input("params-search", "data"))(
        parts.safely(lambda asked: parameters.parallel(_search(site, asked), site.views))
    )

    def script(name: str) -> Any:
        return ClientsideFunction("parameters", name)

    app.clientside_callback(
        script("go"),
        Output("params-go", "data"),
        Input("params-universe", "value"),
        Input("params-newest", "value"),
        Input("params-metric", "value"),
        Input("params-where", "value"),
        State("params-search", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        script("ask"),
        Output("params-ask", "data"),
        Output("params-at", "max"),
        Output("params-at-field", "hidden"),
        Input("params-x", "value"),
        Input("params-y", "value"),
        Input("params-how", "value"),
        Input("params-hold", "value"),
        Input("params-at", "value"),
        State("params-ask", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(script("shown"), Output("params-ask", "id"), Input("params-ask", "data"))
    app.clientside_callback(
        script("picked"),
        Output("picked", "className"),
        Input({"type": "slice", "name": ALL}, "clickData"),
        prevent_initial_call=True,
    )


def _search(site: Site, asked: dict[str, str]) -> Search:
    return site.searches.of(site.data, site.views, {name: [str(text)] for name, text in asked.items()})


def _ask(search: Search, query: links.Query, axes: tuple[str, str]) -> dict[str, Any]:
    """Return what is drawn: two parameters, what cells show, a third one that is held, which cell is chosen."""
    names = search.found.names()
    x, y = (links.first(query, name) for name in ("x", "y"))
    x = x if x in names else next(name for name in axes if name != y)
    y = y if y in names and y != x else next(name for name in (*axes, *names) if name != x)
    hold = links.first(query, "hold")
    how = links.first(query, "how", "mean")
    return {
        **search.asked,
        "x": x,
        "y": y,
        "how": how if how in {one["value"] for one in heat.SHOWS} else "mean",
        "hold": hold if hold in names and hold not in (x, y) else "",
        "at": links.whole(query, "at", 0),
        "pick": links.first(query, "pick"),
        "sort": links.first(query, "sort", "plateau"),
        "sizes": {name: len(search.found.classes(name)) for name in names},
    }


def _without(axes: tuple[Any, ...]) -> Any:
    text = (
        "A map needs two parameters that strategies have together."
        if axes
        else 'Save parameters with each result: `params={"fast": 10, "slow": 50}`.'
    )
    return parts.empty("No two parameters have several values", text)


def _filters(site: Site, search: Search) -> Any:
    asked = search.asked
    universes = site.data.universes()
    metrics = [{"label": fmt.title(name), "value": name} for name in search.metrics]
    dropdown = dcc.Dropdown
    fields = [
        (
            "Metric",
            dropdown(metrics, search.found.metric, id="params-metric", clearable=False, maxHeight=360),
            False,
        ),
        (
            "Universe",
            dropdown(
                universes,
                asked["universe"] or None,
                id="params-universe",
                placeholder="All universes",
                searchable=len(universes) > 8,
                disabled=bool(asked["run"]),
            ),
            bool(asked["run"]),
        ),
        (
            "Rows",
            dropdown(
                [{"label": text, "value": name} for name, text in NEWEST.items()],
                asked["newest"],
                id="params-newest",
                clearable=False,
                searchable=False,
            ),
            bool(asked["run"]),
        ),
    ]
    where = dcc.Input(
        id="params-where",
        type="text",
        value=asked["where"],
        debounce=True,
        placeholder="n_trades >= 30",
        spellCheck=False,
        className="mono",
    )
    shown = [
        html.Div(
            [html.Label(label, className="label", htmlFor=part.id), part], className="field", hidden=hidden
        )
        for label, part, hidden in fields
    ]
    where_field = html.Label([html.Span("Filter", className="label"), where], className="field grow")
    return html.Div([*shown, where_field, dcc.Store(id="params-go")], className="filters", role="search")


def _controls(search: Search, ask: dict[str, Any]) -> Any:
    options = [{"label": one.label, "value": one.name} for one in search.found.axes]

    def choice(name: str, label: str, value: str | None, among: Any, **more: Any) -> Any:
        part = dcc.Dropdown(among, value, id=name, clearable=False, searchable=len(among) > 8, **more)
        return html.Div([html.Label(label, className="label", htmlFor=name), part], className="field")

    held = ask["hold"]
    most = max(0, ask["sizes"].get(held, 1) - 1)
    slider = html.Label(
        [
            html.Span([html.Span("at ", className="label"), html.Output(id="params-at-text")]),
            dcc.Input(id="params-at", type="range", min=0, max=most, step=1, value=min(ask["at"], most)),
        ],
        className="field slides",
        id="params-at-field",
        hidden=not held,
    )
    return html.Div(
        [
            choice("params-x", "Across", ask["x"], options),
            choice("params-y", "Up", ask["y"], options),
            choice("params-how", "Cells show", ask["how"], heat.SHOWS),
            choice("params-hold", "Hold", held, [{"label": "nothing", "value": ""}, *options]),
            slider,
        ],
        className="axes wraps",
    )


def _heat(site: Site, ask: dict[str, Any]) -> Any:
    search = _search(site, ask)
    found = search.found
    x, y, hold = ask["x"], ask["y"], ask["hold"]
    if x == y:
        return parts.empty("The same parameter twice", "Choose two parameters.")
    at, text = None, ""
    if hold and hold not in (x, y):
        drawn = found.classes(hold)
        place = min(max(0, int(ask["at"])), len(drawn) - 1)
        at, text = {hold: place}, f"{found.axis(hold).label} = {drawn.labels[place]}"
    shown = heat.heat_map(found, found.heat(x, y, ask["how"], at), x, y, ask["how"], ask["pick"])
    return html.Div([html.P(text, className="note held") if text else None, shown])


def _robust(site: Site, ask: dict[str, Any]) -> tuple[Any, Any]:
    try:
        search = _search(site, ask)
        pick = ask["pick"]

        def address(**changed: str) -> str:
            named = {name: str(ask[name]) for name in (*search.asked, "x", "y", "how", "hold", "pick")}
            return links.href(PATH, **{**named, "at": str(ask["at"]), **changed})

        table = parameters.robustness(
            search, site.views, site.searches.robust(search), ask["sort"], pick, address
        )
        if not pick:
            return table, None
        chip = parts.link(f"{pick} ×", address(pick=""), kind="chip on")
        return table, html.Div(
            [chip, parts.link("In Strategies →", _strategies(search, pick))], className="chips"
        )
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return parts.failed(error), None


def _told(site: Site, asked: dict[str, str]) -> tuple[Any, Any]:
    try:
        search = _search(site, asked)
        told = site.searches.importance(search)
        return parameters.importance(search.found, told), parameters.slices(search.found, told)
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return parts.failed(error), None


def _strategies(search: Search, pick: str) -> str:
    asked = search.asked
    where = f"({asked['where']}) and {pick}" if asked["where"] and pick else pick or asked["where"]
    newest = asked["newest"] if asked["newest"] != "strategy" else ""
    return links.href("/strategies", universe=asked["universe"], run=asked["run"], newest=newest, where=where)
