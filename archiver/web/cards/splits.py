"""What a strategy's trades have in common: splits, costs, how far the price went for and against them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from dash import html
from dash.dependencies import Input, Output

from archiver.analysis.reading import excursions
from archiver.analysis.trades import Excursion, Group, Trades
from archiver.web.cards.sheet import percent
from archiver.web.elements import figures, parts
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

_DRAWN = {"weekday": "Weekday of the entry", "hour": "Hour of the entry"}
"""Splits that are drawn: they have an order, and a place for each."""
_MOST_DOTS = 1_500


def connect(app: Any, site: Site) -> None:
    """Fill in how far the price went: the bars of all trades take longer to read than the rest of the page."""
    app.callback(Output("excursions", "children"), Input("strategy-of", "data"))(
        parts.safely(lambda of: _excursions(site, of))
    )


def cards(trades: Trades) -> list[tuple[int, Any]]:
    """Return the cards on trades, each with the thirds of the page it wants."""
    if not trades.count:
        return []
    waiting = html.Div(
        parts.card("Price while trades were open", parts.waiting()), id="excursions", className="filled"
    )
    found = [(1, parts.card("Trades in figures", _figures(trades))), (1, waiting)]
    splits = trades.splits or {}
    tables = [_table(name, groups, trades) for name, groups in splits.items() if name not in _DRAWN]
    if tables:
        found.append((3, parts.card("Trades by what they have in common", html.Div(tables, className="splits"))))  # fmt: skip
    charts = [_chart(name, splits[name], trades) for name in _DRAWN if name in splits]
    return [*found, *((3 if len(charts) == 1 else at + 1, chart) for at, chart in enumerate(charts))]


def _figures(trades: Trades) -> Any:
    money = trades.money or ""
    rows: list[tuple[str, Any]] = [("Trades", fmt.count(trades.count))]
    if trades.money:
        mean = trades.total / trades.count
        rows += [
            ("Won", percent(trades.win_rate)),
            (f"Sum of {fmt.title(money)}", parts.signed(fmt.shown(money, trades.total), trades.total)),
            ("Mean", parts.signed(fmt.shown(money, mean), mean)),
            ("Profit factor", fmt.number(trades.profit_factor)),
            ("Best", fmt.shown(money, trades.best)),
            ("Worst", fmt.shown(money, trades.worst)),
        ]
    rows += [(f"Costs: {fmt.title(name)}", fmt.number(value)) for name, value in (trades.costs or {}).items()]
    table = [[name, value] for name, value in rows]
    return parts.table(["Figure", "Value"], table, right=[1], caption="Trades in figures", dense=True)


def _table(name: str, groups: Sequence[Group], trades: Trades) -> Any:
    money = trades.money or ""
    most = max((abs(group.total) for group in groups), default=0) or 1
    rows = [
        [
            html.Span(group.label, title=group.label, className="label-of"),
            fmt.count(group.trades),
            percent(group.wins / group.trades, 0),
            _bar(group.total, most, fmt.shown(money, group.total)),
            parts.signed(fmt.shown(money, group.mean), group.mean),
        ]
        for group in groups
    ]
    head = [name.capitalize(), "Trades", "Won", "Sum", "Mean"]
    return parts.table(head, rows, right=[1, 2, 3, 4], caption=f"Trades by {name}", dense=True)


def _bar(value: float, most: float, text: str) -> Any:
    width = 100 * abs(value) / most
    kind = "gain" if value >= 0 else "loss"
    return html.Div(
        [html.Div(className=f"bar-fill {kind}", style={"width": f"{width:.1f}%"}), html.Span(text)],
        className="bar",
    )


def _chart(name: str, groups: Sequence[Group], trades: Trades) -> Any:
    money, unit = trades.money or "", fmt.unit(trades.money or "")
    texts = [
        f"{group.label}: {fmt.shown(money, group.total)}<br>{fmt.counted(group.trades, 'trade')}, "
        f"{percent(group.wins / group.trades, 0)} won"
        for group in groups
    ]
    made = [group.total for group in groups]
    bars = figures.bars(
        [group.label[:3] if name == "weekday" else group.label[:2] for group in groups],
        made,
        [figures.GOOD if value > 0 else figures.BAD for value in made],
        name=f"Sum of {money}",
        hovertext=texts,
        hoverinfo="text",
    )
    drawn = figures.figure(
        [bars],
        bargap=0.25,
        y=f"Sum of {fmt.title(money)}" + (f" ({unit})" if unit else ""),
        xaxis={"type": "category", "showgrid": False, "nticks": 12},
        yaxis={"zeroline": True, "zerolinecolor": figures.GREY, "zerolinewidth": 1, "nticks": 5},
    )
    title = _DRAWN[name]
    return parts.card(title, figures.graph(f"by-{name}", drawn, f"{title}, sum of {money}", height=230))


def _excursions(site: Site, of: dict[str, str]) -> Any:
    found = site.details.find(of["name"], of["universe"], of["run"])
    reader = site.data.reader
    rows: list[dict[str, Any]] = reader.strategy(found.record, found.detail)["trades"] or []
    went = [
        (at, one, _made(row))
        for at, (row, one) in enumerate(zip(rows, excursions(reader, found.record, rows), strict=True))
        if one is not None
    ]
    title = "Price while trades were open"
    if not went:
        text = "The archive holds no bars from which this could be read: save with price windows or `bars=`."
        return parts.card(title, html.P(parts.prose(text), className="note"))
    against, favour = median(one.against for _, one, _ in went), median(one.in_favour for _, one, _ in went)
    said = f"median {percent(against)} against (MAE), {percent(favour)} in favour (MFE)"
    chart = figures.graph("mae-mfe", _dots(went), "MAE and MFE of trades", height=260)
    return parts.card(title, chart, note=said)


def _made(row: dict[str, Any]) -> float:
    from archiver.analysis.trades import MONEY

    value = next((row[name] for name in MONEY if name in row), None)
    return float(value) if isinstance(value, int | float) else 0.0


def _dots(went: Sequence[tuple[int, Excursion, float]]) -> figures.Figure:
    traces = []
    for name, color, won in (("Lost", figures.BAD, False), ("Won", figures.GOOD, True)):
        own = [(at, one) for at, one, made in went if (made > 0) is won][:_MOST_DOTS]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [round(100 * one.against, 4) for _, one in own],
                "y": [round(100 * one.in_favour, 4) for _, one in own],
                "customdata": [f"trade {at + 1:,}" for at, _ in own],
                "marker": {"size": 6, "color": color, "opacity": 0.55, "line": {"width": 0}},
                "hovertemplate": "%{customdata}<br>against %{x:.2f} %<br>in favour %{y:.2f} %<extra>%{fullData.name}</extra>",
            }
        )
    percents = {"ticksuffix": " %", "rangemode": "tozero", "nticks": 6}
    return figures.figure(traces, x="Against (MAE)", y="In favour (MFE)", xaxis=percents, yaxis=percents)
