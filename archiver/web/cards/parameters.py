"""Parameters one by one: importance, slices, parallel coordinates, and strategies beside their neighbours."""

from __future__ import annotations

from typing import Any

from dash import html

from archiver.analysis.axes import numpy
from archiver.analysis.parameters import Importance, Parameters
from archiver.base.colors import shade
from archiver.web.cards.columns import heading
from archiver.web.elements import figures, parts
from archiver.web.reading.rows import Views
from archiver.web.reading.search import Search, best_first, condition
from archiver.web.words import format as fmt
from archiver.web.words import links

_MOST_SLICES = 9
_MOST_LINES = 160
_MOST_ROWS = 50
_SHADES = 8
_SHOWN = ("plateau", "neighbours_median", "neighbours_worst", "neighbours")
_TITLES = {
    "neighbours": "Neighbours",
    "neighbours_median": "Their median",
    "neighbours_worst": "Their worst",
    "plateau": "Plateau",
}


def importance(found: Parameters, told: dict[str, Importance]) -> Any:
    """Show how much of the metric's variance each parameter explains."""
    rows = [
        html.Div(
            [
                html.Div(
                    [html.Span(found.axis(name).label, title=name), html.Span(_percent(one.alone))],
                    className="space-head",
                ),
                html.Div(
                    [
                        html.Div(className="meter-more", style=_width(one.with_others)),
                        html.Div(className="meter-fill", style=_width(one.alone)),
                    ],
                    className="meter two",
                    title=f"alone {_percent(one.alone)}, with others {_percent(one.with_others)}",
                ),
                html.Div(f"with others {_percent(one.with_others)}", className="note"),
            ]
        )
        for name, one in told.items()
    ]
    constant = ", ".join(f"{name.split('.', 1)[-1]} {value}" for name, value in found.constant.items())
    return html.Div(
        [
            html.Div(rows, className="spaces"),
            html.P(f"The same in all: {constant}", className="note") if constant else None,
            html.P(
                "Share of the variance of the metric that a parameter explains alone (epsilon squared) and with the others"
                " (Sobol's total index). Much with others and little alone: it acts together with one of them.",
                className="note",
            ),
        ]
    )


def _percent(share: float | None) -> str:
    return fmt.NONE if share is None else f"{100 * share:.0f} %"


def _width(share: float | None) -> dict[str, str]:
    return {"width": f"{100 * (share or 0):.1f}%"}


def slices(found: Parameters, told: dict[str, Importance]) -> Any:
    """Draw the metric by each parameter, whatever the others are: its mean, and its best and worst as a band."""
    drawn = [_slice(found, name) for name in list(told)[:_MOST_SLICES]]
    return html.Div(drawn, className="multiples")


def _slice(found: Parameters, name: str) -> Any:
    table, label = found.slice(name), found.axis(name).label
    x = table["value"].to_pylist()
    columns = {how: table[how].to_pylist() for how in ("best", "worst", "mean", "median")}
    drawn = found.classes(name)
    asked = [[condition(found.axis(name).name, drawn, place)] for place in range(len(drawn))]
    band: figures.Figure = {"hoverinfo": "skip", "mode": "lines", "line": {"width": 0}}
    traces = [
        figures.line(x, columns["worst"], **band),
        figures.line(x, columns["best"], **band, fill="tonexty", fillcolor="rgba(79,124,255,0.13)"),
        figures.line(
            x, columns["median"], "median", figures.GREY, hovertemplate="median %{y:.4~g}<extra></extra>"
        ),
        figures.line(
            x,
            columns["mean"],
            "mean",
            mode="lines+markers",
            customdata=asked,
            marker={"size": 6},
            hovertemplate=f"{label} %{{x}}<br>mean %{{y:.4~g}}<extra></extra>",
        ),
    ]
    shown = figures.figure(traces, x=label, xaxis={"type": "category", "nticks": 8}, yaxis={"nticks": 5})
    return figures.graph({"type": "slice", "name": name}, shown, f"{found.metric} by {label}", height=210)


def parallel(search: Search, views: Views) -> Any:
    """Draw the best strategies as lines over all parameters, coloured by the metric."""
    np = numpy()
    found = search.found
    rows = views.rows(search.table, best_first(search))
    count = min(_MOST_LINES, len(rows))
    at = np.arange(count) if rows.index is None else np.asarray(rows.index[:count])
    values = found.values[at]
    at, values = at[np.isfinite(values)], values[np.isfinite(values)]
    if len(at) < 2:
        return parts.empty("No lines", "Fewer than two strategies have a finite number.")
    order = np.argsort(values if found.greatest else -values, kind="stable")
    ranks = np.empty(len(at), int)
    ranks[order] = np.arange(len(at)) * _SHADES // len(at)
    names = found.keys["strategy_name"].take(at).to_pylist()
    axes = [*found.axes]
    places = [found.classes(one.name) for one in axes]
    low, high = float(values.min()), float(values.max())
    last = len(axes)
    traces: list[figures.Figure] = []
    for rank in range(_SHADES):
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        picks: list[list[str]] = []
        for line in np.flatnonzero(ranks == rank):
            row = int(at[line])
            told = f"{names[line]}<br>{found.metric} {fmt.number(float(values[line]))}"
            for x, (one, drawn) in enumerate(zip(axes, places, strict=True)):
                place = int(drawn.places[row])
                if place < 0:
                    continue
                # Lines of one value lie side by side, so that their number is seen.
                apart = (int(line) * 0.618 % 1 - 0.5) * 0.5 / max(1, len(drawn))
                xs.append(float(x))
                ys.append(_height(place, len(drawn)) + apart)
                texts.append(told)
                picks.append([condition(one.name, drawn, place)])
            xs += [float(last), None]
            share = 0.5 if high == low else (float(values[line]) - low) / (high - low)
            ys += [0.02 + 0.96 * share, None]
            texts += [told, ""]
            picks += [[""], [""]]
        color = "rgb({}, {}, {})".format(*shade(0.9 * (rank + 0.5) / _SHADES))
        traces.append(
            figures.line(
                xs,
                ys,
                color=color,
                text=texts,
                customdata=picks,
                opacity=0.75,
                hovertemplate="%{text}<extra></extra>",
                connectgaps=False,
                line={"width": 1.4, "color": color, "shape": "linear"},
            )
        )
    # Over the lines, for they are read.
    traces += [
        _axis(x, one.label, drawn.labels) for x, (one, drawn) in enumerate(zip(axes, places, strict=True))
    ]
    traces.append(_axis(last, found.metric, [fmt.number(low), fmt.number(high)]))
    plain = {"showticklabels": False, "showgrid": False, "range": [-0.03, 1.03]}
    titles = [one.label for one in axes] + [heading(found.metric)]
    shown = figures.figure(
        traces,
        xaxis={
            "tickvals": list(range(last + 1)),
            "ticktext": titles,
            "showgrid": False,
            "range": [-0.35, last + 0.35],
            "side": "top",
        },
        yaxis=plain,
        hovermode="closest",
    )
    return figures.graph(
        {"type": "slice", "name": ""}, shown, "Parallel coordinates of the best strategies", height=380
    )


def _height(place: int, count: int) -> float:
    return 0.5 if count < 2 else 0.02 + 0.96 * place / (count - 1)


def _axis(x: float, name: str, labels: list[str]) -> figures.Figure:
    """Return a vertical line with its values written beside it, as many as there is room for."""
    step = -(-len(labels) // 12)
    shown = [label if at % step == 0 or at == len(labels) - 1 else "" for at, label in enumerate(labels)]
    return {
        "type": "scatter",
        "mode": "lines+text",
        "x": [x] * len(labels),
        "y": [_height(at, len(labels)) for at in range(len(labels))],
        "text": shown,
        "textposition": "middle left",
        "line": {"color": figures.GREY, "width": 1},
        "hoverinfo": "skip",
        "name": name,
        "cliponaxis": False,
    }


def robustness(search: Search, views: Views, robust: Any, sort: str, pick: str, address: Any) -> Any:
    """Show strategies beside their neighbours; `address` makes one of this page with another order."""
    found = search.found
    rows = views.rows(robust, best_first(search, sort, pick))
    page = rows.slice(0, _MOST_ROWS).read().to_pylist()
    if not page:
        return parts.empty("No strategy matches", "Choose another cell, or show all.")
    several = len({row["universe"] for row in page}) > 1
    keeps_run = bool(search.asked["run"]) or search.asked["newest"] == "all"
    params = [one for one in found.axes if any(row[one.name] is not None for row in page)]
    body = []
    for row in page:
        name = parts.link(
            parts.spaced(row["strategy_name"]),
            links.strategy(row["universe"], row["strategy_name"], row["run"] if keeps_run else None),
        )
        body.append(
            [
                parts.named(name, row["universe"]) if several else html.Div(name, className="name"),
                *(fmt.number(row[one.name]) for one in params),
                fmt.number(row[found.metric]),
                *(fmt.number(row[column]) if row[column] == row[column] else fmt.NONE for column in _SHOWN),
            ]
        )
    heads: list[Any] = ["Strategy", *(one.label for one in params)]
    for column in (found.metric, *_SHOWN):
        text = _TITLES.get(column, heading(column))
        turned = sort == column
        mark = " ▼" if sort == column else " ▲" if sort == f"-{column}" else ""
        heads.append(parts.link(text + mark, address(sort=f"-{column}" if turned else column), kind="sorts"))
    table = parts.table(
        heads,
        body,
        right=range(1, len(heads)),
        caption="Strategies beside their neighbours",
        dense=True,
    )
    count = len(rows)
    told = f"{min(count, _MOST_ROWS):,} of {fmt.counted(count, 'strategy', 'strategies')}"
    return html.Div(
        [html.P(told, className="note", role="status"), html.Div(table, className="tall")], className="robust"
    )
