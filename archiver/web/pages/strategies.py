"""Strategies: the metrics of all strategies, sorted and filtered on the server, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State

from archiver.errors import NotFoundError
from archiver.query.selection import LEADING, sort_text
from archiver.web import format as fmt
from archiver.web import links, parts
from archiver.web.data import Metrics, plain_value
from archiver.web.pages import columns, scatter
from archiver.web.parts import Page
from archiver.web.rows import ask_of, numeric_columns

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/strategies"
_BLOCK = 100


def page(site: Site, query: links.Query) -> Page:
    """Show the table that the URL describes."""
    run = links.first(query, "run")
    universe = links.first(query, "universe")
    if universe and universe not in site.data.universes():
        raise NotFoundError(f"there is no universe {universe!r}: the overview shows those there are")
    metrics = site.data.metrics(run or None)
    names = metrics.table.column_names
    score = site.data.score(names)
    sort = links.first(query, "sort") or (sort_text([(score, True)]) if score else "")
    chosen = [name for name in links.first(query, "columns").split(",") if name in names]
    shown = (
        chosen or [name for name in dict.fromkeys([score or "", *LEADING]) if name in names] or names[3:13]
    )
    ask = {
        "universe": links.first(query, "universe"),
        "search": links.first(query, "search"),
        "where": links.first(query, "where"),
        "run": run,
        "columns": shown,
        "chosen": bool(chosen),
        "damaged": bool(metrics.damaged),
    }
    numeric = numeric_columns(metrics.table)
    x, y = scatter.axes(query, numeric, score)
    over = ["Run ", parts.link(fmt.short_run(run), links.run(run))] if run else None
    content = [
        parts.heading(
            "Strategies",
            html.Span(id="strategies-status", role="status"),
            over=over,
            actions=_actions(
                _chooser(names, shown), sorted(metrics.damaged), is_open=links.first(query, "scatter") == "1"
            ),
        ),
        _filters(site, ask),
        html.Div(id="strategies-error"),
        html.Div(
            [
                _grid(site, metrics, ask, sort),
                scatter.panel(numeric, x, y, is_open=links.first(query, "scatter") == "1"),
            ],
            className="strategies-body",
        ),
        dcc.Store(id="ask", data=ask),
        dcc.Store(id="sorted", data=sort),
        dcc.Store(id="synced"),
    ]
    return Page("Strategies", content)


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


def _rows(site: Site, request: dict[str, Any] | None, ask: dict[str, Any]) -> dict[str, Any]:
    if not request:
        return {"rowData": [], "rowCount": 0}
    try:
        metrics = site.data.metrics(ask.get("run") or None)
        names = metrics.table.column_names
        sort = tuple((str(key["colId"]), key["sort"] == "desc") for key in request.get("sortModel") or ())
        asked = ask_of(ask, tuple(key for key in sort if key[0] in names)[:8])
        wanted = [name for name in ask.get("columns", ()) if name in names][: columns.MOST]
        start, end = int(request["startRow"]), int(request["endRow"])
        chosen = list(dict.fromkeys(["universe", "strategy_name", "run", *wanted]))
        rows = site.views.page(metrics, asked, start, min(end, start + 1000), chosen).to_pylist()
        count = site.views.count(metrics, asked)
    except Exception:  # noqa: BLE001 - the line above the table says why
        return {"rowData": [], "rowCount": 0}
    return {"rowData": [_row(row, ask.get("run")) for row in rows], "rowCount": count}


def _row(row: dict[str, Any], run: str | None) -> dict[str, Any]:
    choice = links.Choice(row["universe"], row["strategy_name"], row["run"])
    values = {name: plain_value(value) for name, value in row.items()}
    return {
        "_id": links.choice_text(choice),
        "_href": links.strategy(row["universe"], row["strategy_name"], row["run"] if run else None),
        **values,
    }


def _status(site: Site, ask: dict[str, Any]) -> tuple[Any, Any]:
    try:
        metrics = site.data.metrics(ask.get("run") or None)
        count = site.views.count(metrics, ask_of(ask))
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return "", parts.failed(error)
    total = metrics.table.num_rows
    missing = parts.left_out(metrics.damaged)
    if count == total:
        return fmt.counted(total, "strategy", "strategies"), missing
    text = f"{count:,} of {fmt.counted(total, 'strategy', 'strategies')}"
    return text, missing if count or missing else parts.empty(
        "No strategy matches", "Loosen the filter, or clear the search."
    )


def _actions(chooser: Any, damaged: list[str], *, is_open: bool) -> list[Any]:
    formats = (("CSV", "csv"), ("Parquet", "parquet"), ("Arrow", "arrow"), ("JSON", "json"))
    exports = [
        html.A(text, href="/api/metrics", id=f"export-{form}", className="menu-item", download="")
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
        html.A("Compare", href="/compare", id="compare-selected", className="button off"),
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
            html.Label([html.Span("Filter", className="label"), where], className="field grow"),
            html.Button("Clear filters", id="filter-clear", type="button", className="button", hidden=True),
        ],
        className="filters",
        role="search",
    )


def _chooser(names: list[str], shown: list[str]) -> Any:
    options = [{"label": fmt.title(name), "value": name, "title": name} for name in names[3:]]
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
            },
            className="grid-table",
            style={"height": None, "width": None},
        ),
        className="grid-frame",
    )


def _new_columns(site: Site, ask: dict[str, Any], sort: str, now: list[dict[str, Any]]) -> Any:
    from dash import no_update

    shown = {item["field"] for item in (now or ())[2:]}
    # The browser itself moves columns: only others make a difference.
    if shown == set(ask.get("columns", ())):
        return no_update
    metrics = site.data.metrics(ask.get("run") or None)
    wanted = [name for name in ask["columns"] if name in metrics.table.column_names]
    return columns.defs(site, metrics, wanted, sort or "")
