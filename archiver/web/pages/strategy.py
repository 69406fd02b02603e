"""Strategy: one strategy's metrics, curves, returns, trades with their bars, and its history over runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dash import dcc, html
from dash.dependencies import Input, Output

from archiver.analysis.trades import trades_summary
from archiver.errors import ArchiverError, IntegrityError, NotFoundError, NotKeptError, StorageError
from archiver.format.model import Record
from archiver.web.cards import attached, equity, history, returns, sheet, splits, trades
from archiver.web.elements import figures, parts
from archiver.web.elements.parts import Page
from archiver.web.reading.detail import flat
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.analysis.returns import TearSheet
    from archiver.web.reading.detail import Strategy
    from archiver.web.reading.site import Site

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
    number = int(trade) if trade.isascii() and trade.isdigit() and len(trade) < 10 else None
    said = sheet.of_curve(found.equity)
    content = [
        _heading(name, record, found.detail.rank, run),
        _headline(found.metrics),
        html.Div(
            [
                html.Div(equity.card(found, equity.switched(query), number), className="span-2"),
                parts.card("Metrics", html.Div(_metrics(found.metrics), className="tall")),
            ],
            className="grid",
        ),
        *_sheet(said, found),
        html.Div(
            [
                html.Div(trades.card(found), className="span-3"),
                html.Div(attached.card(site, found), className="span-3"),
                html.Div(parts.card("History over runs", parts.waiting()), id="history", className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="strategy-of", data={"name": name, "universe": record.universe, "run": record.run}),
        dcc.Store(id="trade", data=number),
        dcc.Store(id="trade-synced"),
    ]
    return Page(name, content)


def _sheet(said: TearSheet, found: Strategy) -> list[Any]:
    """Show what the curve and the trades say: figures in a row, then cards."""
    figures_ = sheet.stats(said)
    head = [
        html.Div(
            [html.H2("Tear sheet"), html.Div(sheet.note(said), className="note")],
            className="card-head sheet-head",
        )
    ]
    own = [*sheet.cards(said), *returns.cards(found.trades.table, months=not said.months)]
    own += splits.cards(trades_summary(found.trades.table))
    if figures_ is None and not own:
        return []
    return [html.Section([*head, figures_, parts.thirds(own)], className="stack-of")]


def connect(app: Any, site: Site) -> None:
    """Let the cards answer; fill in the history."""
    equity.connect(app, site)
    splits.connect(app, site)
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


def _metrics(metrics: dict[str, Any], *, columns: int = 1) -> Any:
    rows = [
        [
            parts.metric_name(name, unit=False),
            html.Span(
                fmt.shown(name, value),
                title=repr(value),
                className="long" if isinstance(value, str) else None,
            ),
        ]
        for name, value in list(flat(metrics).items())[:400]
    ]
    each = -(-len(rows) // columns) or 1
    tables = [
        parts.table(["Metric", "Value"], rows[at : at + each], right=[1], caption="All metrics", dense=True)
        for at in range(0, len(rows), each)
    ]
    return html.Div(tables, className="thirds") if columns > 1 else html.Div(tables)


def _history(site: Site, of: dict[str, str]) -> Any:
    """Show the strategy's metrics in the newest runs of its universe."""
    import pyarrow.compute as pc

    seen = site.data.seen()
    own = seen.newest_records(_MOST_HISTORY, of["universe"])
    rows: list[tuple[Record, dict[str, Any]]] = []
    for record in own:
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
    left = seen.count(of["universe"]) - len(own)
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
    # Its parameters stand first; those that only others of its run have are no news of it.
    params = {key: value for key, value in metrics.items() if key.startswith("params.")}
    rows = {key: value for key, value in params.items() if value is not None}
    rows |= {key: value for key, value in metrics.items() if key not in params}
    return [
        _heading(name, record, None, run, has_detail=False),
        parts.failed(error, *([] if isinstance(error, NotKeptError) else [_ONLY_METRICS])),
        _headline(numbers),
        html.Div(
            [
                html.Div(parts.card("Metrics", _metrics(rows, columns=3)), className="span-3"),
                html.Div(parts.card("History over runs", parts.waiting()), id="history", className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="strategy-of", data={"name": name, "universe": record.universe, "run": record.run}),
    ]
