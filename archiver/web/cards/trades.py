"""The trades of a strategy's page: the table, and one trade with its bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import ClientsideFunction, html
from dash.dependencies import Input, Output, State

from archiver.query.selection import OF_TRADES, Ask
from archiver.web.cards.columns import is_counted
from archiver.web.elements import figures, parts
from archiver.web.elements.bars import trade_figure
from archiver.web.reading.data import Metrics, plain_value
from archiver.web.reading.detail import Strategy, cut_around
from archiver.web.reading.rows import is_number
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.site import Site

_MOST_COLUMNS = 40
_NUMBER = {
    "field": "_number",
    "headerName": "#",
    "headerTooltip": "The trade's number, as the trades were saved",
    "type": "rightAligned",
    "width": 64,
    "sortable": False,
}


def connect(app: Any, site: Site) -> None:
    """Answer the table's requests for rows, and clicks on a trade."""
    app.callback(
        Output("trades-grid", "getRowsResponse"),
        Output("trades-error", "children"),
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
        columnDefs=[_NUMBER, *(_trade_column(table.schema.field(name)) for name in _columns(table))],
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True, "width": 130},
        rowModelType="infinite",
        getRowId="params.data._id",
        dashGridOptions={
            "theme": {"function": "archiverTheme(themeQuartz)"},
            "suppressFieldDotNotation": True,  # a name with a dot is no member
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
        "Trades",
        html.Div(id="trade-view"),
        html.Div(id="trades-error"),
        html.Div(grid, className="grid-frame short"),
        note=note,
    )


def _columns(table: pa.Table) -> list[str]:
    """Choose columns, those first that tell what a trade made: a phone has room for two or three."""
    there = table.column_names
    return [name for name in dict.fromkeys([*OF_TRADES, *there]) if name in there][:_MOST_COLUMNS]


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
            "valueFormatter": {
                "function": f"{_text_of(item.name, own)}(params.value, {str(is_counted(item)).lower()})"
            },
            "cellClass": ["figure", "ag-right-aligned-cell"],
        }
        if any(word in item.name for word in ("pnl", "profit", "return")):
            column["width"] = 110
            column["cellClassRules"] = {"good": "params.value > 0", "bad": "params.value < 0"}
    if item.name.endswith(("_time", "_date")):
        column["width"] = 155
    return column


def _text_of(name: str, unit: str) -> str:
    """Return the function of assets/grid.js that writes a number of a column."""
    if "price" in name:
        return "priceText"
    return "moneyText" if unit in ("$", "€") else "metricText"


def _rows(site: Site, request: dict[str, Any] | None, of: dict[str, str]) -> tuple[dict[str, Any], Any]:
    """Return rows of the table, and why there are none where reading them failed."""
    nothing: dict[str, Any] = {"rowData": [], "rowCount": 0}
    if not request:
        return nothing, None
    try:
        found = site.details.find(of["name"], of["universe"], of["run"])
        names = found.trades.table.column_names
        sort = tuple((str(key["colId"]), key["sort"] == "desc") for key in request.get("sortModel") or ())
        start, end = int(request["startRow"]), int(request["endRow"])
        numbered = _numbered(found)
        ask = Ask(sort=tuple(key for key in sort if key[0] in names)[:8])
        rows = site.views.page(numbered, ask, start, min(end, start + 1000)).to_pylist()
        count = site.views.count(numbered, ask)
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return nothing, parts.failed(error)
    return {"rowData": [_trade_row(row) for row in rows], "rowCount": count}, None


def _numbered(found: Strategy) -> Metrics:
    import pyarrow as pa

    table = found.trades.table
    numbers = pa.array(range(table.num_rows), pa.int64())
    return Metrics(f"{found.trades.version}/numbered", table.append_column("_trade", numbers))


def _trade_row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: _shown(value) for name, value in row.items()}
    return {"_id": str(row["_trade"]), "_number": f"{row['_trade'] + 1:,}", **shown}


def _shown(value: Any) -> Any:
    if isinstance(value, dict | list):
        return str(value)[:200]
    return fmt.shortened(value) if isinstance(value, str) else plain_value(value)


def _trade(site: Site, trade: int | None, of: dict[str, str]) -> Any:
    if trade is None:
        return None
    found = site.details.find(of["name"], of["universe"], of["run"])
    row = site.details.trade(found, int(trade))
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
    chart = parts.safely(lambda: _bars(site, found, int(trade), row))()
    # The curve may be out of sight, far above.
    there = html.A("On the equity curve", href="#equity", className="small") if len(found.equity) else None
    head = html.Div([html.H3(f"Trade {int(trade) + 1:,}"), there], className="trade-head")
    return html.Div([head, parts.facts(facts), chart], className="trade")


def _bars(site: Site, found: Strategy, trade: int, row: dict[str, Any]) -> Any:
    window = site.details.window(found, trade)
    bars = cut_around(window) if window else {}
    if "close" not in bars:
        text = "The archive holds no bars for this trade: save with price windows or `bars=` to see them."
        return html.P(parts.prose(text), className="note")
    return figures.graph("trade-chart", trade_figure(bars, row), f"Bars around trade {trade + 1}", height=300)
