"""Strategy: one strategy's metrics, curves, returns, trades with their bars, and its history over runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dash import dcc, html
from dash.dependencies import Input, Output, State

from archiver.base.humanize import NOT_DRAWN
from archiver.errors import ArchiverError, IntegrityError, NotFoundError, NotKeptError, StorageError
from archiver.format.model import Record
from archiver.web import curves, figures, links, parts
from archiver.web import format as fmt
from archiver.web.detail import Strategy
from archiver.web.pages import history, returns, trades
from archiver.web.parts import Page

if TYPE_CHECKING:
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
_MOST_HISTORY = 40
_FEW = 8
_ONLY_METRICS = (
    "Its curves and trades cannot be read. Its metrics are kept apart from them, and are shown below."
)


def page(site: Site, query: links.Query) -> Page:
    """Show the strategy that the URL names."""
    name, universe = links.first(query, "name"), links.first(query, "universe")
    run, trade = links.first(query, "run"), links.first(query, "trade")
    if not name:
        raise NotFoundError("the address names no strategy: choose one from Strategies")
    try:
        found = site.details.find(name, universe or None, run or None)
    except (NotKeptError, IntegrityError, StorageError) as error:
        return Page(name, _without_detail(site, name, universe, run, error))
    record = found.record
    content = [
        _heading(name, record, found.detail.rank, run),
        _headline(found.metrics),
        html.Div(
            [
                html.Div(_curves(found), className="span-2"),
                parts.card("Metrics", html.Div(_metrics(found.metrics), className="tall")),
                *returns.cards(found.trades.table),
                html.Div(trades.card(found), className="span-3"),
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
    app.callback(Output("history", "children"), Input("strategy-of", "data"))(
        parts.safely(lambda of: _history(site, of))
    )
    trades.connect(app, site)


def _heading(name: str, record: Record, rank: int | None, run: str, *, has_detail: bool = True) -> Any:
    ranked = f"rank {rank} of {record.strategies:,}" + (
        f" by {fmt.title(record.rank_by)}" if record.rank_by else ""
    )
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
            parts.menu("Download", *_downloads(choice, has_detail=has_detail)),
        ],
    )


def _downloads(choice: links.Choice, *, has_detail: bool) -> list[Any]:
    at = {"universe": choice.universe, "run": choice.run}
    if has_detail:
        trades_ = {**at, "name": choice.strategy}
        files = [
            (f"Trades as {text}", links.href("/api/trades", **trades_, format=text.lower()))
            for text in ("CSV", "Parquet", "Arrow")
        ]
        files.append(("Everything as JSON", links.href("/api/strategy", **trades_, download="1")))
    else:
        files = [
            (
                f"Metrics as {text}",
                links.href("/api/metrics", **at, strategy=choice.strategy, format=text.lower(), download="1"),
            )
            for text in ("CSV", "Parquet", "JSON")
        ]
    return [html.A(text, href=address, className="menu-item", download="") for text, address in files]


def _headline(metrics: dict[str, Any]) -> Any:
    found = [next((name for name in names if name in metrics), None) for names in _HEADLINE]
    return parts.stats(
        *(parts.stat(fmt.title(name), fmt.shown(name, metrics[name])) for name in found if name)
    )


def _metrics(metrics: dict[str, Any]) -> Any:
    rows = [
        [
            parts.metric_name(name, unit=False),
            html.Span(
                fmt.shown(name, value),
                title=repr(value),
                className="long" if isinstance(value, str) else None,
            ),
        ]
        for name, value in list(metrics.items())[:400]
    ]
    return parts.table(["Metric", "Value"], rows, right=[1], caption="All metrics", dense=True)


def _curves(found: Strategy) -> Any:
    unknown = f"{' and '.join(found.not_drawn)}: {NOT_DRAWN}." if found.not_drawn else ""
    if unknown and not len(found.equity):
        return parts.card("Equity", parts.empty("No curve to draw", unknown))
    if not len(found.equity) and not len(found.drawdown):
        return parts.card("Equity", parts.empty("No curve", "This strategy was saved without curves."))
    note = fmt.counted(len(found.equity), "point")
    if len(found.equity) > curves.MOST_POINTS:
        note += ", thinned to the extremes; zoom in for more"
    if unknown:
        note += f"; {unknown}"
    if not len(found.drawdown):
        note += "; drawdown worked out from equity"
    chart = figures.graph("equity", _curve_figure(found), "Equity and drawdown", height=420)
    return parts.card("Equity and drawdown", chart, note=note)


def _positions(found: Strategy) -> str:
    """Tell what a curve runs over: trades where it has one value for each, else the days that the metrics name."""
    count = found.trades.table.num_rows
    if count and len(found.equity) - count in (0, 1):
        return "Trade"
    start, end = (curves.when(found.metrics.get(name)) for name in ("start", "end"))
    return f"Points from {start:%Y-%m-%d} to {end:%Y-%m-%d}" if start and end else "Points, first to last"


def _curve_figure(found: Strategy, start: int = 0, end: int | None = None) -> figures.Figure:
    drawdown = found.drawdown if len(found.drawdown) else curves.below_peak(found.equity)
    x, y = curves.thin(found.equity, start, end)
    dx, dy = curves.thin(drawdown, start, end)
    # Drawdowns hang from the top, whichever sign they were saved with.
    down = [-abs(value) for value in dy.tolist()]
    unit = curves.drawdown_unit(found.equity, drawdown)
    written = {"%": "%{y:.2f} %", "share": "%{y:.2%}"}.get(unit, "%{y:,.4~g}")
    axis: figures.Figure = {"%": {"ticksuffix": " %"}, "share": {"tickformat": ".0%"}}.get(unit, {})
    if not any(down):
        axis = {"range": [-1, 0]}
    longest = max(len(found.equity), len(drawdown))
    # Few points would get a line between them, named as one of them again.
    steps: figures.Figure = {"dtick": 1} if longest <= _FEW else {"nticks": 7}
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
            hovertemplate=f"{written}<extra>Drawdown</extra>",
        ),
    ]
    return figures.figure(
        traces,
        x=_positions(found),
        hovermode="x unified",
        uirevision="curve",
        xaxis={"anchor": "y2", "showgrid": False, "tickformat": ",d", **steps},
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
                kind="line",
            ),
            parts.badge("shown", "accent") if record.run == of["run"] else "",
            *(fmt.number(row.get(name)) for name in columns),
        ]
        for record, row in rows
    ]
    head = ["Run", "", *(parts.metric_name(name) for name in columns)]
    table = parts.table(head, body, right=range(2, 2 + len(columns)), caption="The strategy in other runs")
    left = len(own) - _MOST_HISTORY
    note = fmt.counted(len(rows), "run") + (
        f"; {left} older runs of the universe are not shown" if left > 0 else ""
    )
    chart = _history_chart(rows, site.data.score(columns))
    return parts.card("History over runs", chart, table, note=note)


def _history_chart(rows: list[tuple[Record, dict[str, Any]]], score: str | None) -> Any:
    """Draw the metric to rank by over the runs, newest first; None where there is no line to draw."""
    scores = [row.get(score) if score else None for _, row in rows]
    values = [one if isinstance(one, int | float) and one - one == 0 else None for one in scores]
    if len(rows) < 2 or not score or all(value is None for value in values):
        return None
    edges = history.edges(rows[-1][0].created, rows[0][0].created, timedelta(minutes=10))
    line = figures.line(
        [f"{record.created:%Y-%m-%dT%H:%M:%S}" for record, _ in rows],
        values,
        mode="lines+markers",
        hovertemplate="%{y:.3f} on %{x|%Y-%m-%d %H:%M}<extra></extra>",
    )
    drawn = figures.figure(
        [line],
        y=fmt.title(score),
        xaxis={"type": "date", "range": [f"{edge:%Y-%m-%dT%H:%M:%S}" for edge in edges]},
    )
    return figures.graph("history-chart", drawn, f"{fmt.title(score)} over runs", height=180)


def _without_detail(site: Site, name: str, universe: str, run: str, error: ArchiverError) -> Any:
    """Show what there is of a strategy without detail: its metrics, and why there are no curves and trades."""
    row = site.data.row(universe, name, run)
    if row is None:
        raise error
    record, metrics = row
    numbers = {key: value for key, value in metrics.items() if isinstance(value, int | float | None)}
    return [
        _heading(name, record, None, run, has_detail=False),
        parts.failed(error, *([] if isinstance(error, NotKeptError) else [_ONLY_METRICS])),
        _headline(numbers),
        html.Div(
            [
                html.Div(parts.card("Metrics", _metrics(metrics)), className="span-2"),
                html.Div(parts.card("History over runs", parts.waiting()), id="history", className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="strategy-of", data={"name": name, "universe": record.universe, "run": record.run}),
    ]
