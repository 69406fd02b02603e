"""In and out of sample: the same strategies twice, ranks against ranks, and what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.analysis.samples import Samples
from archiver.engines.metrics import METRICS
from archiver.errors import NotFoundError
from archiver.query.selection import leading
from archiver.web.cards.columns import heading
from archiver.web.elements import figures, parts
from archiver.web.elements.parts import Page
from archiver.web.words import best, links
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/samples"
_MOST_ROWS = 100
_MOST_POINTS = 5_000
_MOST_METRICS = 40
_TENTHS = 10
_HOW = (
    "Tag a run `out-of-sample=UNIVERSE`, or call universes `x` and `x_oos`, `x_train` and `x_test`:"
    " then the pair stands here."
)


def page(site: Site, query: links.Query) -> Page:
    """Show the pair that the URL names, else the newest that is declared."""
    inside, outside, metric = (links.first(query, name) for name in ("inside", "outside", "metric"))
    pairs = site.data.archive.pairs()
    if not (inside and outside) and not pairs:
        return Page(
            "In and out of sample",
            [parts.heading("In and out of sample"), parts.empty("No pair is declared", _HOW)],
        )
    found = site.data.archive.samples(inside or None, outside or None, metric or None)
    chosen = (found.inside, found.outside)
    chips = [
        parts.link(
            f"{_short(one)} → {_short(other)}",
            links.href(PATH, inside=one, outside=other),
            kind="chip on" if (one, other) == chosen else "chip",
        )
        for one, other in dict.fromkeys([*pairs, chosen])
    ]
    both = f"{_short(found.inside)} and {_short(found.outside)}"
    content = [
        parts.heading(
            "In and out of sample",
            f"{fmt.counted(found.table.num_rows, 'strategy', 'strategies')} in {both}",
            f"by {fmt.title(found.metric)}",
            actions=[_metrics(site, found)],
        ),
        html.Nav(chips, className="chips", **{"aria-label": "Pairs"}),
        _figures(found),
    ]
    if not found.table.num_rows:
        content.append(parts.empty("No strategy is in both", "Strategies are the same by their names."))
        return Page("In and out of sample", content)
    content.append(
        html.Div(
            [
                html.Div(parts.card("Scatter", *_scatter(found)), className="span-2"),
                html.Div(parts.card("Ranks", _ranks(found))),
                html.Div(
                    parts.card("Strategies", html.Div(_table(site, found), className="tall")),
                    className="span-3",
                ),
            ],
            className="grid",
        )
    )
    return Page("In and out of sample", content)


def _metrics(site: Site, found: Samples) -> Any:
    """Offer the metrics of which it is known which end is the best."""
    names = list(dict.fromkeys(name for record in site.data.seen().heads for name in record.metrics))
    shown = [*leading(names), *(name for name in names if name not in leading(names))]
    ends = {name: best.end(name) for name in shown}
    # An engine's own numbers have either sign: only of archiver's is it known that less is better.
    signs = {
        name: "-" if end == "least" else ""
        for name, end in ends.items()
        if end == "greatest" or (name in METRICS and end)
    }
    links_ = [
        html.A(
            heading(name),
            href=links.href(PATH, inside=found.inside, outside=found.outside, metric=f"{sign}{name}"),
            className="menu-item",
            **({"aria-current": "true"} if name == found.metric else {}),
        )
        for name, sign in list(signs.items())[:_MOST_METRICS]
    ]
    return parts.menu("Metric", *links_) if links_ else None


def connect(app: Any, site: Site) -> None:
    """Nothing moves here."""


def _short(name: str) -> str:
    return fmt.short_run(name)


def _figures(found: Samples) -> Any:
    def percent(share: float | None) -> str:
        return fmt.NONE if share is None else f"{100 * share:.0f} %".replace("-", "−")

    return parts.stats(
        parts.stat("Rank correlation", fmt.number(found.rank_correlation), "Spearman, −1 to 1"),
        parts.stat("Median decay", percent(found.decay), "lost from in to out of sample, of the best tenth"),
        parts.stat(
            "Stay good", percent(found.better), "of that tenth, in the better half outside; 50 % by chance"
        ),
        parts.stat("Strategies", fmt.count(found.table.num_rows), "in both, with a finite number"),
    )


def _scatter(found: Samples) -> list[Any]:
    table = found.table[:_MOST_POINTS]
    x, y = table["inside"].to_pylist(), table["outside"].to_pylist()
    names = [[links.strategy("", name), name] for name in table["strategy_name"].to_pylist()]
    ends = [min(x), max(x)]
    tenth = max(1, found.table.num_rows // 10)
    same = figures.line(ends, ends, hoverinfo="skip", line={"width": 1, "dash": "dot", "color": figures.GREY})
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "customdata": names,
        "marker": {
            "size": 7,
            "opacity": 0.7,
            "color": [figures.COLORS[1] if at < tenth else figures.ACCENT for at in range(len(x))],
        },
        "hovertemplate": "%{customdata[1]}<br>in sample %{x:.4~g}<br>out of sample %{y:.4~g}<extra></extra>",
    }
    name = heading(found.metric)
    shown = figures.figure([same, points], x=f"{name} in sample", y=f"{name} out of sample")
    more = "" if found.table.num_rows <= _MOST_POINTS else f"the best {_MOST_POINTS:,} in sample; "
    return [
        figures.graph(
            "samples-scatter", shown, f"{found.metric} in sample against out of sample", height=420
        ),
        html.P(
            f"{more}orange: the best tenth in sample. On the dotted line nothing is lost.", className="note"
        ),
    ]


def _ranks(found: Samples) -> Any:
    """Show where the strategies of each tenth in sample end up, by the tenths out of sample."""
    count = found.table.num_rows
    tens = min(_TENTHS, count)
    inside = [
        min(tens - 1, int((rank - 0.5) * tens / count)) for rank in found.table["inside_rank"].to_pylist()
    ]
    ranks = found.table["outside_rank"].to_pylist()
    means = [
        sum(own) / len(own)
        if (own := [rank for rank, at in zip(ranks, inside, strict=True) if at == ten])
        else None
        for ten in range(tens)
    ]
    x = [str(ten + 1) for ten in range(tens)]
    shown = figures.figure(
        [
            figures.bars(x, means, hovertemplate="part %{x}: mean rank outside %{y:.4~g}<extra></extra>"),
            figures.line(
                x,
                [(count + 1) / 2] * tens,
                hoverinfo="skip",
                line={"width": 1, "dash": "dot", "color": figures.GREY},
            ),
        ],
        x="Rank in sample, in tenths" if tens == _TENTHS else "Rank in sample",
        y="Mean rank out of sample",
        xaxis={"type": "category"},
    )
    return html.Div(
        [
            figures.graph("samples-ranks", shown, "Mean rank out of sample by rank in sample", height=380),
            html.P(
                ("1 is the best tenth. " if tens == _TENTHS else "")
                + "Ranks that hold rise from left to right; without skill all are at the dotted line.",
                className="note",
            ),
        ]
    )


def _table(site: Site, found: Samples) -> Any:
    universes = [_universe(site, name) for name in (found.inside, found.outside)]
    rows = []
    for row in found.table[:_MOST_ROWS].to_pylist():
        name, decay = row["strategy_name"], row["decay"]
        text = fmt.NONE if decay is None else f"{100 * decay:,.0f} %".replace("-", "−")
        rows.append(
            [
                f"{row['inside_rank']:g}",
                html.Div(
                    parts.link(parts.spaced(name), links.strategy(*universes[0][:1], name, universes[0][1])),
                    className="name",
                ),
                fmt.number(row["inside"]),
                parts.link(
                    fmt.number(row["outside"]), links.strategy(universes[1][0], name, universes[1][1])
                ),
                parts.signed(text, None if decay is None else -decay),
                f"{row['outside_rank']:g}",
            ]
        )
    heads = ["Rank", "Strategy", "In sample", "Out of sample", "Decay", "Rank outside"]
    return parts.table(
        heads, rows, right=[0, 2, 3, 4, 5], caption="Strategies in and out of sample", dense=True
    )


def _universe(site: Site, name: str) -> tuple[str, str | None]:
    """Return the universe and, where one is named, the run."""
    try:
        record = site.data.archive.record(name)
    except NotFoundError:
        return name, None
    return record.universe, record.run
