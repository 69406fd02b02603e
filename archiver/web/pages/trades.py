"""The trades of a strategy's page: the table, and one trade with its bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import ClientsideFunction, html
from dash.dependencies import Input, Output, State

from archiver.selection import Ask
from archiver.web import curves, figures, parts
from archiver.web import format as fmt
from archiver.web.data import Metrics, plain_value
from archiver.web.detail import Strategy, cut_around
from archiver.web.rows import is_number

if TYPE_CHECKING:
    from archiver.web.site import Site

_MOST_COLUMNS = 40


def connect(app: Any, site: Site) -> None:
    """Answer the table's requests for rows, and clicks on a trade."""
    app.callback(
        Output("trades-grid", "getRowsResponse"),
        Input("trades-grid", "getRowsRequest"),
        State("strategy-of", "data"),
        prevent_initial_call=True,
    )(lambda request, of: _rows(site, request, of))
    app.callback(Output("trade-view", "children"), Input("trade", "data"), State("strategy-of", "data"))(
        parts.safely(lambda trade, of: _trade(site, trade, of))
    )
    app.clientside_callback(
        ClientsideFunction("strategy", "trade"),
        Output("trade", "data"),
        Input("trades-grid", "cellClicked"),
        prevent_initial_call=True,
    )


def card(found: Strategy) -> Any:
    """Show the table of trades, and room for the one that is chosen."""
    table = found.trades.table
    if not table.num_rows:
        return parts.card("Trades", parts.empty("No trades", "This strategy was saved without trades."))
    grid = dag.AgGrid(
        id="trades-grid",
        columnDefs=[_trade_column(item) for item in table.schema][:_MOST_COLUMNS],
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
            "valueFormatter": {"function": f"{_text_of(item.name, own)}(params.value)"},
            "cellClass": ["figure", "ag-right-aligned-cell"],
        }
        if any(word in item.name for word in ("pnl", "profit", "return")):
            column["cellClassRules"] = {"good": "params.value > 0", "bad": "params.value < 0"}
    if item.name.endswith(("_time", "_date")):
        column["width"] = 165
    return column


def _text_of(name: str, unit: str) -> str:
    """Return the function of assets/grid.js that writes a number of a column."""
    if "price" in name:
        return "priceText"
    return "moneyText" if unit in ("$", "€") else "metricText"


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


def _numbered(found: Strategy) -> Metrics:
    import pyarrow as pa

    table = found.trades.table
    numbers = pa.array(range(table.num_rows), pa.int64())
    return Metrics(f"{found.trades.version}/numbered", table.append_column("_trade", numbers))


def _trade_row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: _shown(value) for name, value in row.items()}
    return {"_id": str(row["_trade"]), **shown}


def _shown(value: Any) -> Any:
    if isinstance(value, dict | list):
        return str(value)[:200]
    return fmt.text(value) if isinstance(value, str) else plain_value(value)


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
        return html.Div([head, parts.facts(facts), html.P(text, className="note")], className="trade")
    chart = figures.graph(
        "trade-chart", _trade_figure(bars, row), f"Bars around trade {trade + 1}", height=300
    )
    return html.Div([head, parts.facts(facts), chart], className="trade")


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
