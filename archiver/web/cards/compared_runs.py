"""What two or more runs have in common: their best strategies, how their results are spread, their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dash import html

from archiver.format.model import Record
from archiver.query.selection import finite
from archiver.runs.ranking import rank_order
from archiver.web.cards.columns import heading
from archiver.web.elements import figures, parts
from archiver.web.reading.run_list import row_of
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.site import Site

_TOP = (10, 50, 100)
_BINS = 50
_MOST_NAMED = 12


def cards(site: Site, records: Sequence[Record], colors: Sequence[str]) -> Any:
    """Show the cards for some runs, each with its colour."""
    ranked = [_ranked(site, record) for record in records]
    return html.Div(
        [
            html.Div(parts.card("Best in common", _overlap(records, ranked)), className=""),
            html.Div(parts.card("Results", _spread(records, ranked, colors)), className="span-2"),
            html.Div(_params(site, records), className="span-3"),
        ],
        className="grid",
    )


def _ranked(site: Site, record: Record) -> tuple[str, list[str], list[float]]:
    """Return what ranked a run, the names of its strategies, best first, and all finite values."""
    metric, greatest = rank_order(record.rank_by or "")
    if not metric:
        return "", [], []
    from archiver.query.selection import Ask, take

    table: pa.Table = site.data.reader.metrics([record], [metric], history=True)
    order = take(table, Ask(sort=((metric, greatest),)))[: _TOP[-1]]
    names = [
        name
        for name, value in zip(order["strategy_name"].to_pylist(), order[metric].to_pylist(), strict=True)
        if value is not None and value == value
    ]
    return metric, names, finite(table[metric])


def _overlap(records: Sequence[Record], ranked: Sequence[tuple[str, list[str], list[float]]]) -> Any:
    lists = [names for _, names, _ in ranked]
    fewest = min(map(len, lists))
    if not fewest:
        return parts.empty("Nothing to hold together", "A run was ranked by no metric.")
    rows = []
    for top in dict.fromkeys(min(top, fewest) for top in _TOP):
        common = set.intersection(*({*names[:top]} for names in lists))
        rows.append([f"Best {top}", fmt.count(len(common)), f"{100 * len(common) / top:.0f} %"])
    largest = min(_TOP[-1], fewest)
    common = set.intersection(*({*names[:largest]} for names in lists))
    named = [name for name in lists[0] if name in common][:_MOST_NAMED]
    places = [
        [
            parts.link(parts.spaced(name), links.strategy(records[0].universe, name, records[0].run)),
            *(str(names.index(name) + 1) for names in lists),
        ]
        for name in named
    ]
    table = parts.table(
        ["Of each run's", "in all", "Share"], rows, right=[1, 2], caption="Strategies in common", dense=True
    )
    if not places:
        return table
    heads = ["Strategy", *(fmt.short_run(record.run)[-4:] for record in records)]
    return html.Div(
        [
            table,
            html.H3("Their ranks"),
            parts.table(heads, places, right=range(1, len(heads)), caption="Ranks in each run", dense=True),
        ],
        className="common",
    )


def _spread(
    records: Sequence[Record], ranked: Sequence[tuple[str, list[str], list[float]]], colors: Sequence[str]
) -> Any:
    metrics = {metric for metric, _, _ in ranked if metric}
    if len(metrics) != 1:
        return parts.empty(
            "Ranked by different metrics", f"These cannot share an axis: {', '.join(sorted(metrics))}."
        )
    everything = sorted(value for _, _, values in ranked for value in values)
    if not everything:
        return parts.empty("No numbers", "No run has a finite number.")
    low, high = (everything[int(share * (len(everything) - 1))] for share in (0.002, 0.998))
    fewest = min(len(values) for _, _, values in ranked)
    bins = max(8, min(_BINS, int(2 * fewest**0.5)))  # of few strategies fine bars would be noise
    width = (high - low) / bins or 1.0
    middles = [low + (at + 0.5) * width for at in range(bins)]
    traces = []
    for record, (_, _, values), color in zip(records, ranked, colors, strict=True):
        counts = [0] * bins
        for value in values:
            counts[max(0, min(bins - 1, int((value - low) / width)))] += 1
        shares = [100 * count / (len(values) or 1) for count in counts]
        name = fmt.short_run(record.run)
        traces.append(
            figures.line(
                middles,
                shares,
                name,
                line={"color": color, "width": 1.8, "shape": "hvh"},
                fill="tozeroy",
                fillcolor=f"rgba({int(color[1:3], 16)}, {int(color[3:5], 16)}, {int(color[5:7], 16)}, 0.12)",
                hovertemplate=f"{name}<br>%{{y:.1f}} % around %{{x:.3~g}}<extra></extra>",
            )
        )
    shown = figures.figure(traces, x=heading(metrics.pop()), y="% of strategies")
    return figures.graph("compare-spread", shown, "How the results of each run are spread", height=420)


def _params(site: Site, records: Sequence[Record]) -> Any:
    rows = [row_of(site.data.archive.run(record.run), record) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row.params))
    body = [
        [name, *(fmt.number(_plain(row.params.get(name))) for row in rows)]
        for name in names
        if len({repr(row.params.get(name)) for row in rows}) > 1
    ]
    if not body:
        return None
    heads = ["Parameter of the run", *(fmt.short_run(record.run) for record in records)]
    return parts.card(
        "Parameters that differ",
        parts.table(heads, body, right=range(1, len(heads)), caption="Parameters that differ", dense=True),
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
