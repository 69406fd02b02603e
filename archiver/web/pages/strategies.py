"""Strategies: the metrics of all strategies, sorted and filtered on the server, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State

from archiver.query.selection import leading, sort_text
from archiver.web.cards import columns, scatter
from archiver.web.elements import parts
from archiver.web.elements.parts import Page
from archiver.web.reading.data import NEWEST, Metrics, checked_newest, plain_value
from archiver.web.reading.rows import ask_of, numeric_columns, well_filled
from archiver.web.reading.search import PLATEAU, has_plateau
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/strategies"
_BLOCK = 100


def page(site: Site, query: links.Query) -> Page:
    """Show the table that the URL describes."""
    run = links.first(query, "run")
    universe = links.first(query, "universe")
    site.data.require_universe(universe)
    newest = checked_newest(links.first(query, "newest"))
    named = [links.first(query, name) for name in ("columns", "sort", "where")]
    metrics = site.metrics(run or None, newest, *named)
    offered = has_plateau(site.data.metrics(run or None, newest).table.column_names)
    names = metrics.table.column_names
    score = site.data.score(names)
    best_first = sort_text([(score, site.data.greatest_first(score))]) if score else ""
    sort = links.first(query, "sort") or best_first
    chosen = [name for name in links.first(query, "columns").split(",") if name in names]
    shown = chosen or _usual(metrics, score)
    ask = {
        "universe": links.first(query, "universe"),
        "search": links.first(query, "search"),
        "where": links.first(query, "where"),
        "run": run,
        "newest": newest,
        "columns": shown,
        "chosen": bool(chosen),
        "damaged": bool(metrics.damaged),
    }
    numeric = numeric_columns(metrics.table)
    x, y = scatter.axes(query, well_filled(metrics.table, numeric), numeric, score)
    over = ["Run ", parts.link(fmt.short_run(run), links.run(run))] if run else None
    content = [
        parts.heading(
            "Strategies",
            html.Span(id="strategies-status", role="status"),
            over=over,
            actions=_actions(
                _chooser(names, shown, score if offered else None),
                sorted(metrics.damaged),
                is_open=bool(scatter.size(query)),
            ),
        ),
        _filters(site, ask),
        html.Div(id="strategies-error"),
        html.Div(
            [
                _grid(site, metrics, ask, sort),
                scatter.panel(numeric, x, y, query),
            ],
            className="strategies-body",
        ),
        dcc.Store(id="ask", data=ask),
        dcc.Store(id="sorted", data=sort),
        dcc.Store(id="synced"),
    ]
    return Page("Strategies", content)


def _usual(metrics: Metrics, score: str | None) -> list[str]:
    """Choose the columns to begin with: what most people look at first, of that what most rows have."""
    names = metrics.table.column_names
    usual = [name for name in dict.fromkeys([score or "", *leading(names)]) if name in names]
    filled = well_filled(metrics.table, usual)
    return sorted(usual, key=lambda name: name not in (*filled, score)) or names[3:13]


def connect(app: Any, site: Site) -> None:
    """Answer the table's requests for rows, and keep URL, filters and plot in step."""
    app.callback(
        Output("strategies-grid", "getRowsResponse"),
        Input("strategies-grid", "getRowsRequest"),
        State("ask", "data"),
        prevent_initial_call=True,
    )(lambda request, ask: _rows(site, request, ask))
    app.callback(
        Output("strategies-status", "children"), Output("strategies-error", "children"), Input("ask", "data")
    )(lambda ask: _status(site, ask))
    app.callback(
        Output("strategies-grid", "columnDefs"),
        Input("ask", "data"),
        State("sorted", "data"),
        State("strategies-grid", "columnDefs"),
        prevent_initial_call=True,
    )(lambda ask, sort, now: _new_columns(site, ask, sort, now))
    _connect_browser(app, site)


def _connect_browser(app: Any, site: Site) -> None:
    def script(name: str) -> Any:
        return ClientsideFunction("strategies", name)

    app.clientside_callback(
        script("ask"),
        Output("ask", "data"),
        Input("filter-search", "value"),
        Input("filter-universe", "value"),
        Input("filter-newest", "value"),
        Input("filter-where", "value"),
        Input("chooser", "value"),
        State("ask", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        script("sync"),
        Output("sorted", "data"),
        Input("ask", "data"),
        Input("strategies-grid", "getRowsRequest"),
        Input("cloud-x", "value"),
        Input("cloud-y", "value"),
        Input("scatter-open", "data"),
        Input("cloud-color", "value"),
        Input("cloud-log", "data"),
        State("sorted", "data"),
    )
    app.clientside_callback(
        script("refresh"), Output("synced", "data"), Input("ask", "data"), State("synced", "data")
    )
    app.clientside_callback(
        script("clear"),
        Output("filter-search", "value"),
        Output("filter-universe", "value"),
        Output("filter-where", "value"),
        Input("filter-clear", "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        script("reset"),
        Output("columns-reset", "className"),
        Input("columns-reset", "n_clicks"),
        prevent_initial_call=True,
    )
    scatter.connect(app, site)


def _metrics(site: Site, ask: dict[str, Any], *more: str) -> Metrics:
    named = [*more, *ask.get("columns", ()), str(ask.get("where") or "")]
    return site.metrics(ask.get("run") or None, ask.get("newest") or "", *named)


def _rows(site: Site, request: dict[str, Any] | None, ask: dict[str, Any]) -> dict[str, Any]:
    if not request:
        return {"rowData": [], "rowCount": 0}
    try:
        sort = tuple((str(key["colId"]), key["sort"] == "desc") for key in request.get("sortModel") or ())
        metrics = _metrics(site, ask, *(name for name, _ in sort))
        names = metrics.table.column_names
        asked = ask_of(ask, tuple(key for key in sort if key[0] in names)[:8])
        wanted = [name for name in ask.get("columns", ()) if name in names][: columns.MOST]
        start, end = int(request["startRow"]), int(request["endRow"])
        chosen = list(dict.fromkeys(["universe", "strategy_name", "run", *wanted]))
        rows = site.views.page(metrics, asked, start, min(end, start + 1000), chosen).to_pylist()
        count = site.views.count(metrics, asked)
    except Exception:  # noqa: BLE001 - the line above the table says why
        return {"rowData": [], "rowCount": 0}
    is_newest = not ask.get("run") and ask.get("newest") != "all"
    seen = site.data.seen()
    created = seen.created([row["run"] for row in rows])
    newest = seen.newest
    shown = []
    for row in rows:
        universe, name, run = (row[key] for key in ("universe", "strategy_name", "run"))
        shown.append(
            {
                "_id": links.choice_text(links.Choice(universe, name, run)),
                "_href": links.strategy(universe, name, None if is_newest else run),
                "_run_href": links.run(run),
                "_age": fmt.age(created[run]) if run in created else fmt.NONE,
                "_older": newest.get(universe) != run,
                **{key: plain_value(value) for key, value in row.items()},
            }
        )
    return {"rowData": shown, "rowCount": count}


def _status(site: Site, ask: dict[str, Any]) -> tuple[Any, Any]:
    try:
        metrics = _metrics(site, ask)
        count = site.views.count(metrics, ask_of(ask))
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return "", parts.failed(error)
    total = metrics.table.num_rows
    missing = parts.left_out(metrics.damaged)
    # The same strategy stands there once for each run.
    what = ("result", "results") if ask.get("newest") == "all" else ("strategy", "strategies")
    if count == total:
        return fmt.counted(total, *what), missing
    text = f"{count:,} of {fmt.counted(total, *what)}"
    return text, missing if count or missing else parts.empty(
        "No strategy matches", "Loosen the filter, or clear the search."
    )


def _actions(chooser: Any, damaged: list[str], *, is_open: bool) -> list[Any]:
    formats = (("CSV", "csv"), ("Parquet", "parquet"), ("Arrow", "arrow"), ("JSON", "json"))
    exports = [
        html.A(text, href=links.href("/api/metrics"), id=f"export-{form}", className="menu-item", download="")
        for text, form in formats
    ]
    return [
        html.Button(
            "Scatter",
            id="scatter-toggle",
            type="button",
            className="button",
            **{"aria-pressed": str(is_open).lower()},
        ),
        parts.menu(
            "Columns",
            html.Div(
                [
                    html.P("Drag a heading to move or widen a column", className="note"),
                    html.Button("Reset columns", id="columns-reset", type="button", className="button small"),
                ],
                className="menu-head",
            ),
            chooser,
            name="columns-menu",
            kind="wide",
        ),
        parts.menu(
            "Export",
            html.P("All rows that match, all columns", className="note"),
            html.P(f"Without what is damaged: {', '.join(damaged)}", className="note bad")
            if damaged
            else None,
            *exports,
            name="export-menu",
        ),
        html.A("Portfolio", href=links.href("/portfolio"), id="portfolio-selected", className="button"),
        html.A("Compare", href=links.href("/compare"), id="compare-selected", className="button off"),
    ]


def _filters(site: Site, ask: dict[str, Any]) -> Any:
    universes = [{"label": name, "value": name} for name in site.data.universes()]
    search = dcc.Input(
        id="filter-search",
        type="search",
        value=ask["search"],
        debounce=0.3,
        placeholder="L55 TP100",
        spellCheck=False,
    )
    universe = dcc.Dropdown(
        universes,
        ask["universe"] or None,
        id="filter-universe",
        placeholder="All universes",
        searchable=len(universes) > 8,
        maxHeight=360,
    )
    newest = dcc.Dropdown(
        [{"label": text, "value": name} for name, text in NEWEST.items()],
        ask["newest"],
        id="filter-newest",
        clearable=False,
        searchable=False,
    )
    where = dcc.Input(
        id="filter-where",
        type="text",
        value=ask["where"],
        debounce=True,
        placeholder="sharpe_ratio > 1 and n_trades >= 30",
        spellCheck=False,
        className="mono",
    )
    return html.Div(
        [
            html.Label([html.Span("Name", className="label"), search], className="field"),
            html.Div(
                [html.Label("Universe", className="label", htmlFor="filter-universe"), universe],
                className="field",
            ),
            html.Div(
                [html.Label("Rows", className="label", htmlFor="filter-newest"), newest],
                className="field",
                hidden=bool(ask["run"]),
            ),
            html.Label([html.Span("Filter", className="label"), where], className="field grow"),
            html.Button("Clear filters", id="filter-clear", type="button", className="button", hidden=True),
        ],
        className="filters",
        role="search",
    )


def _chooser(names: list[str], shown: list[str], score: str | None) -> Any:
    """Offer columns; score: what strategies are ranked by, where they have a plateau score."""
    options = [{"label": fmt.title(name), "value": name, "title": name} for name in names[3:]]
    if score:
        own = {"label": "Plateau", "value": PLATEAU, "title": columns.plateau_means(score)}
        options = [own, *(one for one in options if one["value"] != PLATEAU)]
    return dcc.Checklist(options, shown, id="chooser", className="chooser")


def _grid(site: Site, metrics: Metrics, ask: dict[str, Any], sort: str) -> Any:
    return html.Div(
        dag.AgGrid(
            id="strategies-grid",
            columnDefs=columns.defs(site, metrics, ask["columns"], sort),
            defaultColDef={
                "sortable": True,
                "resizable": True,
                "filter": False,
                "suppressHeaderMenuButton": True,
                "wrapHeaderText": True,
            },
            rowModelType="infinite",
            getRowId="params.data._id",
            dashGridOptions={
                "theme": {"function": "archiverTheme(themeQuartz)"},
                "suppressFieldDotNotation": True,  # params.fast is a name, no member
                "rowSelection": {
                    "mode": "multiRow",
                    "headerCheckbox": False,
                    "checkboxes": True,
                    "enableClickSelection": False,
                },
                "selectionColumnDef": {"pinned": "left", "width": 38, "suppressHeaderMenuButton": True},
                "maintainColumnOrder": True,
                # What is wrong, or that nothing matches, stands above the table.
                "suppressNoRowsOverlay": True,
                "cacheBlockSize": _BLOCK,
                "maxBlocksInCache": 30,
                "maxConcurrentDatasourceRequests": 1,
                "rowBuffer": 20,
                "blockLoadDebounceMillis": 40,
                "infiniteInitialRowCount": 100,
                "rowHeight": 36,
                "headerHeight": 44,
                "alwaysMultiSort": False,
                "suppressCellFocus": False,
                "animateRows": False,
                "enableCellTextSelection": True,
                "tooltipShowDelay": 600,
                "rowClassRules": {"older": "params.data ? params.data._older : false"},
            },
            className="grid-table",
            style={"height": None, "width": None},
        ),
        className="grid-frame",
    )


def _new_columns(site: Site, ask: dict[str, Any], sort: str, now: list[dict[str, Any]]) -> Any:
    from dash import no_update

    shown = {item["field"] for item in now or ()} - set(columns.FIXED)
    # The browser itself moves columns: only others make a difference.
    if shown == set(ask.get("columns", ())):
        return no_update
    metrics = _metrics(site, ask)
    wanted = [name for name in ask["columns"] if name in metrics.table.column_names]
    return columns.defs(site, metrics, wanted, sort or "")
