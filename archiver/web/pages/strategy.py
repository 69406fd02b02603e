"""Strategy: one strategy's metrics, curves, returns, trades with their bars, and its history over runs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import dcc, html
from dash.dependencies import Input, Output, State

from archiver.errors import ArchiverError, NotFoundError, NotKeptError
from archiver.model import Record
from archiver.web import curves, figures, links, parts
from archiver.web import format as fmt
from archiver.web.data import plain_value
from archiver.web.detail import Strategy, cut_around
from archiver.web.parts import Page
from archiver.web.rows import Ask, is_number, numeric_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.site import Site

PATH = "/strategy"
_HEADLINE = (
    ("composite_score",),
    ("sharpe_ratio",),
    ("total_return", "return_pct"),
    ("max_drawdown", "max_drawdown_pct"),
    ("profit_factor",),
    ("win_rate", "win_rate_pct"),
    ("n_trades",),
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST_HISTORY = 40
_MOST_TRADE_COLUMNS = 40


def page(site: Site, query: links.Query) -> Page:
    """Show the strategy that the URL names."""
    name, universe = links.first(query, "name"), links.first(query, "universe")
    run, trade = links.first(query, "run"), links.first(query, "trade")
    if not name:
        raise NotFoundError("the address names no strategy: choose one from Strategies")
    try:
        found = site.details.find(name, universe or None, run or None)
    except NotKeptError as error:
        return Page(name, _without_detail(site, name, universe, run, error))
    record = found.record
    content = [
        _heading(name, record, found.detail.rank, run),
        _headline(found.metrics),
        html.Div(
            [
                html.Div(_curves(found), className="span-2"),
                parts.card("Metrics", _metrics(found.metrics)),
                *_returns(found.trades.table),
                html.Div(_trades(found), className="span-3"),
                html.Div(parts.card("History over runs", parts.waiting()), id="history", className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="strategy-of", data={"name": name, "universe": record.universe, "run": record.run}),
        dcc.Store(
            id="trade", data=int(trade) if trade.isascii() and trade.isdigit() and len(trade) < 10 else None
        ),
        dcc.Store(id="trade-synced"),
    ]
    return Page(name, content)


def connect(app: Any, site: Site) -> None:
    """Answer zooms, the trades table, clicks on a trade; fill in the history."""
    app.callback(
        Output("equity", "figure"),
        Input("equity", "relayoutData"),
        State("strategy-of", "data"),
        prevent_initial_call=True,
    )(lambda moved, of: _zoomed(site, moved, of))
    app.callback(
        Output("trades-grid", "getRowsResponse"),
        Input("trades-grid", "getRowsRequest"),
        State("strategy-of", "data"),
        prevent_initial_call=True,
    )(lambda request, of: _rows(site, request, of))
    app.callback(Output("trade-view", "children"), Input("trade", "data"), State("strategy-of", "data"))(
        parts.safely(lambda trade, of: _trade(site, trade, of))
    )
    app.callback(Output("history", "children"), Input("strategy-of", "data"))(
        parts.safely(lambda of: _history(site, of))
    )
    script = dcc_script()
    app.clientside_callback(
        script("trade"),
        Output("trade", "data"),
        Input("trades-grid", "cellClicked"),
        prevent_initial_call=True,
    )


def dcc_script() -> Any:
    """Return what names a function of assets/strategy.js."""
    from dash import ClientsideFunction

    return lambda name: ClientsideFunction("strategy", name)


def _heading(name: str, record: Record, rank: int | None, run: str) -> Any:
    ranked = f"rank {rank} of {record.strategies:,}" + (
        f" by {fmt.title(record.rank_by)}" if record.rank_by else ""
    )
    at = {"universe": record.universe, "name": name, "run": record.run}
    downloads = [
        html.A(
            "Trades as CSV",
            href=links.href("/api/trades", **at, format="csv"),
            className="menu-item",
            download="",
        ),
        html.A(
            "Trades as Parquet",
            href=links.href("/api/trades", **at, format="parquet"),
            className="menu-item",
            download="",
        ),
        html.A(
            "Trades as Arrow",
            href=links.href("/api/trades", **at, format="arrow"),
            className="menu-item",
            download="",
        ),
        html.A(
            "Everything as JSON",
            href=links.href("/api/strategy", **at, download="1"),
            className="menu-item",
            download="",
        ),
    ]
    choice = links.Choice(record.universe, name, record.run)
    return parts.heading(
        name,
        parts.badge(ranked, "accent") if rank else None,
        parts.link(["Run ", fmt.short_run(record.run)], links.run(record.run), title=record.run),
        html.Span(fmt.moment(record.created)),
        None if not run else parts.link("Newest run", links.strategy(record.universe, name)),
        over=parts.link(record.universe, links.href("/strategies", universe=record.universe)),
        actions=[
            parts.button("Compare", links.compare([choice])),
            parts.button("Code", links.run(record.run, view="code")),
            parts.menu("Download", *downloads),
        ],
    )


def _headline(metrics: dict[str, Any]) -> Any:
    found = [next((name for name in names if name in metrics), None) for names in _HEADLINE]
    return parts.stats(
        *(
            parts.stat(fmt.title(name), parts.signed(fmt.shown(name, metrics[name]), None))
            for name in found
            if name
        )
    )


def _metrics(metrics: dict[str, Any]) -> Any:
    rows = [
        [parts.metric_name(name), html.Span(fmt.shown(name, value), title=repr(value))]
        for name, value in list(metrics.items())[:400]
    ]
    table = parts.table(["Metric", "Value"], rows, right=[1], caption="All metrics", dense=True)
    return html.Div(table, className="tall")


def _curves(found: Strategy) -> Any:
    if not len(found.equity) and not len(found.drawdown):
        return parts.card("Equity", parts.empty("No curve", "This strategy was saved without curves."))
    note = f"{len(found.equity):,} points"
    if len(found.equity) > curves.MOST_POINTS:
        note += ", thinned to the extremes; zoom in for more"
    chart = figures.graph("equity", _curve_figure(found), "Equity and drawdown", height=420)
    return parts.card("Equity and drawdown", chart, note=note)


def _curve_figure(found: Strategy, start: int = 0, end: int | None = None) -> figures.Figure:
    x, y = curves.thin(found.equity, start, end)
    dx, dy = curves.thin(found.drawdown, start, end)
    # Drawdowns hang from the top, whichever sign they were saved with.
    down = [-abs(value) for value in dy.tolist()]
    traces = [
        figures.line(x.tolist(), y.tolist(), "Equity", hovertemplate="%{y:,.2f}<extra>Equity</extra>"),
        figures.line(
            dx.tolist(),
            down,
            "Drawdown",
            figures.BAD,
            yaxis="y2",
            fill="tozeroy",
            fillcolor="rgba(224,82,106,0.18)",
            hovertemplate="%{y:.2f}<extra>Drawdown</extra>",
        ),
    ]
    shown = figures.figure(
        traces,
        x="Point of the curve",
        hovermode="x unified",
        uirevision="curve",
        xaxis={"anchor": "y2", "showgrid": False},
        yaxis={"domain": [0.34, 1], "title": {"text": "Equity", "standoff": 8}},
        yaxis2={
            "domain": [0, 0.28],
            "title": {"text": "Drawdown", "standoff": 8},
            "automargin": True,
            "zeroline": False,
            "nticks": 4,
        },
    )
    return shown


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
        return _curve_figure(found)
    try:
        start, end = float(moved["xaxis.range[0]"]), float(moved["xaxis.range[1]"])
        start, end = int(max(0.0, start)), int(min(end, 1e12)) + 2
    except (KeyError, TypeError, ValueError, OverflowError):
        return no_update
    return _curve_figure(found, start, end)


def _returns(trades: pa.Table) -> list[Any]:
    summed = curves.returns(trades)
    if summed is None:
        return []
    unit = fmt.unit(summed.column)
    middles = [(low + high) / 2 for low, high in pairwise(summed.edges)]
    colors = [figures.GOOD if middle > 0 else figures.BAD for middle in middles]
    drawn = figures.figure(
        [
            figures.bars(
                middles,
                summed.counts,
                colors,
                width=[(high - low) * 0.92 for low, high in pairwise(summed.edges)],
                hovertemplate="%{y} trades around %{x:,.2f}<extra></extra>",
            )
        ],
        x=f"{fmt.title(summed.column)} of a trade" + (f" ({unit})" if unit else ""),
        y="Trades",
        bargap=0.05,
        xaxis={"showgrid": False},
    )
    note = f"mean {fmt.shown(summed.column, summed.mean)}, median {fmt.shown(summed.column, summed.median)}"
    chart = figures.graph("distribution", drawn, "Distribution of returns", height=240)
    distribution = html.Div(parts.card("Distribution of returns", chart, note=note))
    if not summed.months:
        return [distribution]
    note = fmt.title(summed.column) + (f" by month, {unit}" if unit else " by month")
    return [distribution, html.Div(parts.card("Calendar", _calendar(summed), note=note), className="span-2")]


def _calendar(summed: curves.Returns) -> Any:
    amounts = [abs(value) for year in summed.months.values() for value in year if value is not None]
    most = max(amounts, default=1) or 1

    def cell(value: float | None) -> Any:
        if value is None:
            return html.Td("", className="none")
        kind = "up" if value > 0 else "down" if value < 0 else ""
        strength = 8 + 62 * (abs(value) / most) ** 0.7
        return html.Td(
            _short(value), className=kind, style={"--strength": f"{strength:.0f}%"}, title=fmt.number(value)
        )

    head = html.Thead(html.Tr([html.Th(text, scope="col") for text in ("", *_MONTHS, "Year")]))
    rows = []
    for year, months in reversed(summed.months.items()):
        total = sum(value for value in months if value is not None)
        rows.append(
            html.Tr(
                [
                    html.Th(str(year), scope="row"),
                    *map(cell, months),
                    html.Td(parts.signed(_short(total), total), className="sum"),
                ]
            )
        )
    return html.Div(
        html.Table(
            [html.Caption("Returns by month", className="unseen"), head, html.Tbody(rows)],
            className="calendar",
        ),
        className="scroll",
        tabIndex="0",
        role="region",
        **{"aria-label": "Returns by month"},
    )


def _short(value: float) -> str:
    sign = "−" if value < 0 else ""
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            scaled = size / (limit if unit != "k" else 1e3)
            return f"{sign}{scaled:.1f}{unit}"
    return f"{sign}{size:.0f}" if size >= 100 else f"{sign}{size:.1f}" if size >= 10 else f"{sign}{size:.2f}"


def _trades(found: Strategy) -> Any:
    table = found.trades.table
    if not table.num_rows:
        return parts.card("Trades", parts.empty("No trades", "This strategy was saved without trades."))
    grid = dag.AgGrid(
        id="trades-grid",
        columnDefs=[_trade_column(item) for item in table.schema][:_MOST_TRADE_COLUMNS],
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True, "width": 130},
        rowModelType="infinite",
        getRowId="params.data._id",
        dashGridOptions={
            "theme": {"function": "archiverTheme(themeQuartz)"},
            "cacheBlockSize": 100,
            "maxBlocksInCache": 30,
            "maxConcurrentDatasourceRequests": 1,
            "rowHeight": 34,
            "headerHeight": 42,
            "multiSortKey": "ctrl",
            "animateRows": False,
        },
        className="grid-table",
        style={"height": None, "width": None},
    )
    note = f"{fmt.counted(table.num_rows, 'trade')}; choose one to see its bars"
    return parts.card(
        "Trades", html.Div(id="trade-view"), html.Div(grid, className="grid-frame short"), note=note
    )


def _trade_column(item: Any) -> dict[str, Any]:
    own = fmt.unit(item.name)
    head = fmt.title(item.name) + (f" ({own})" if own not in ("", "ratio", "count") else "")
    column: dict[str, Any] = {
        "field": item.name,
        "colId": item.name,
        "headerName": head,
        "headerTooltip": item.name,
    }
    if is_number(item.type):
        column |= {
            "type": "rightAligned",
            "valueFormatter": {"function": "metricText(params.value)"},
            "cellClass": ["figure", "ag-right-aligned-cell"],
        }
        if any(word in item.name for word in ("pnl", "profit", "return")):
            column["cellClassRules"] = {"good": "params.value > 0", "bad": "params.value < 0"}
    if item.name.endswith(("_time", "_date")):
        column["width"] = 165
    return column


def _rows(site: Site, request: dict[str, Any] | None, of: dict[str, str]) -> dict[str, Any]:
    if not request:
        return {"rowData": [], "rowCount": 0}
    try:
        found = site.details.find(of["name"], of["universe"], of["run"])
        names = found.trades.table.column_names
        sort = tuple((str(key["colId"]), key["sort"] == "desc") for key in request.get("sortModel") or ())
        start, end = int(request["startRow"]), int(request["endRow"])
        numbered = _numbered(found)
        ask = Ask(sort=tuple(key for key in sort if key[0] in names)[:8])
        rows = site.views.page(numbered, ask, start, min(end, start + 1000)).to_pylist()
        count = site.views.count(numbered, ask)
    except Exception:  # noqa: BLE001 - an empty table, never a traceback
        return {"rowData": [], "rowCount": 0}
    return {"rowData": [_trade_row(row) for row in rows], "rowCount": count}


def _numbered(found: Strategy) -> Any:
    import pyarrow as pa

    from archiver.web.data import Metrics

    table = found.trades.table
    numbers = pa.array(range(table.num_rows), pa.int64())
    return Metrics(f"{found.trades.version}/numbered", table.append_column("_trade", numbers))


def _trade_row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {
        name: plain_value(value) if not isinstance(value, dict | list) else str(value)[:200]
        for name, value in row.items()
    }
    return {"_id": str(row["_trade"]), **shown}


def _trade(site: Site, trade: int | None, of: dict[str, str]) -> Any:
    if trade is None:
        return None
    found = site.details.find(of["name"], of["universe"], of["run"])
    window = site.details.window(found, int(trade))
    row = found.trades.table.slice(int(trade), 1).to_pylist()[0]
    facts = [
        (fmt.title(name), fmt.shown(name, row[name]))
        for name in (
            "direction",
            "entry_time",
            "exit_time",
            "entry_price",
            "exit_price",
            "pnl_usd",
            "pnl",
            "pnl_pct",
            "pnl_pips",
            "exit_reason",
        )
        if row.get(name) is not None
    ]
    head = html.H3(f"Trade {trade + 1}")
    bars = cut_around(window) if window else {}
    if "close" not in bars:
        text = "The archive holds no bars for this trade: save with price windows or `bars=` to see them."
        return html.Div([head, parts.pairs(facts), html.P(text, className="note")], className="trade")
    chart = figures.graph(
        "trade-chart", _trade_figure(bars, row), f"Bars around trade {trade + 1}", height=300
    )
    return html.Div([head, parts.pairs(facts), chart], className="trade")


def _trade_figure(bars: dict[str, list[Any]], row: dict[str, Any]) -> figures.Figure:
    count = len(bars["close"])
    clock = [str(value) for value in bars.get("time", range(count))]
    at = list(range(count))
    if {"open", "high", "low"} <= bars.keys():
        traces: list[figures.Figure] = [
            {
                "type": "candlestick",
                "x": at,
                **{name: bars[name] for name in ("open", "high", "low", "close")},
                "text": clock,
                "increasing": {"line": {"color": figures.GOOD, "width": 1}, "fillcolor": figures.GOOD},
                "decreasing": {"line": {"color": figures.BAD, "width": 1}, "fillcolor": figures.BAD},
                "name": "",
            }
        ]
    else:
        traces = [figures.line(at, bars["close"], text=clock)]
    shapes = []
    places: dict[str, int] = {}
    for side in ("entry", "exit"):
        place = _place(clock, row.get(f"{side}_time"))
        if place is None:
            continue
        places[side] = place
        long = str(row.get("direction", "")).lower() in ("long", "buy", "1")
        up = long if side == "entry" else not long
        price = row.get(f"{side}_price")
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [place],
                "y": [price if isinstance(price, int | float) else bars["close"][place]],
                "text": [side.title()],
                "textposition": "top center" if side == "exit" else "bottom center",
                "marker": {
                    "symbol": "triangle-up" if up else "triangle-down",
                    "size": 13,
                    "color": figures.ACCENT if side == "entry" else figures.COLORS[1],
                    "line": {"width": 1.5, "color": "#ffffff"},
                },
                "hovertemplate": f"{side.title()} %{{y}}<extra></extra>",
            }
        )
    if len(places) == 2:
        shapes.append(
            {
                "type": "rect", "xref": "x", "yref": "paper", "x0": places["entry"], "x1": places["exit"],
                "y0": 0, "y1": 1, "fillcolor": "rgba(79,124,255,0.10)", "line": {"width": 0}, "layer": "below",
            }
        )  # fmt: skip
    step = max(1, count // 6)
    return figures.figure(
        traces,
        y="Price",
        shapes=shapes,
        xaxis={
            "rangeslider": {"visible": False},
            "showgrid": False,
            "tickvals": at[::step],
            "ticktext": [text[5:16].replace("T", " ") for text in clock[::step]],
        },
    )


def _place(clock: list[str], moment: Any) -> int | None:
    """Return the last bar that begins at or before a moment."""
    wanted = curves.when(moment)
    if wanted is None:
        return clock.index(str(moment)) if str(moment) in clock else None
    moments = [curves.when(text) for text in clock]
    try:
        return max(
            (at for at, value in enumerate(moments) if value is not None and value <= wanted), default=None
        )
    except TypeError:
        return None


def _history(site: Site, of: dict[str, str]) -> Any:
    """Show the strategy's metrics in the newest runs of its universe."""
    import pyarrow.compute as pc

    own = [record for record in site.data.records() if record.universe == of["universe"]]
    rows: list[tuple[Record, dict[str, Any]]] = []
    for record in own[:_MOST_HISTORY]:
        if of["name"] not in site.data.reader.names(record):
            continue
        table = site.data.reader.metrics([record], None, history=True)
        found = table.filter(pc.equal(table["strategy_name"], of["name"])).slice(0, 1).to_pylist()
        rows += [(record, row) for row in found]
    columns = [name for names in _HEADLINE for name in names if any(name in row for _, row in rows)]
    body = [
        [
            parts.link(
                fmt.moment(record.created),
                links.strategy(record.universe, of["name"], record.run),
                title=record.run,
            ),
            parts.badge("shown", "accent") if record.run == of["run"] else "",
            *(fmt.shown(name, row.get(name)) for name in columns),
        ]
        for record, row in rows
    ]
    head = ["Run", "", *(parts.metric_name(name) for name in columns)]
    table = parts.table(head, body, right=range(2, 2 + len(columns)), caption="The strategy in other runs")
    left = len(own) - _MOST_HISTORY
    note = fmt.counted(len(rows), "run") + (
        f"; {left} older runs of the universe are not shown" if left > 0 else ""
    )
    content = [table]
    score = site.data.score(columns)
    if len(rows) > 1 and score is not None:
        moments = [f"{record.created:%Y-%m-%dT%H:%M:%S}" for record, _ in rows]
        values = [row.get(score) if isinstance(row.get(score), int | float) else None for _, row in rows]
        drawn = figures.figure(
            [
                figures.line(
                    moments,
                    values,
                    mode="lines+markers",
                    hovertemplate="%{y:.3f} on %{x|%Y-%m-%d %H:%M}<extra></extra>",
                )
            ],
            y=fmt.title(score),
        )
        content.insert(0, figures.graph("history-chart", drawn, f"{fmt.title(score)} over runs", height=180))
    return parts.card("History over runs", *content, note=note)


def _without_detail(site: Site, name: str, universe: str, run: str, error: NotKeptError) -> Any:
    """Show what there is of a strategy whose detail was not kept: its metrics and where it ranks."""
    import pyarrow.compute as pc

    table = site.data.metrics(run or None).table
    mask = pc.equal(table["strategy_name"], name)
    if universe:
        mask = pc.and_(mask, pc.equal(table["universe"], universe))
    rows = table.filter(mask).slice(0, 1).to_pylist()
    if not rows:
        raise error
    row = rows[0]
    metrics = {key: value for key, value in row.items() if key not in ("universe", "strategy_name", "run")}
    record = site.data.archive.record(row["run"])
    numeric = set(numeric_columns(table))
    return [
        _heading(name, record, None, run),
        html.Div(
            [html.H2("No detail was kept of this strategy"), html.P(str(error))],
            className="state empty",
            role="status",
        ),
        _headline({key: value for key, value in metrics.items() if key in numeric}),
        html.Div(
            [
                html.Div(parts.card("Metrics", _metrics(metrics)), className="span-2"),
                html.Div(parts.card("History over runs", parts.waiting()), id="history", className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="strategy-of", data={"name": name, "universe": record.universe, "run": record.run}),
    ]
