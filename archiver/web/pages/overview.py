"""Overview: what the archive holds, which strategies are best, what it costs, what a prune would remove."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dash import dcc, html, no_update
from dash.dependencies import Input, Output

from archiver.format.model import Run
from archiver.web import figures, links, parts
from archiver.web import format as fmt
from archiver.web.cards import best, health, history, storage
from archiver.web.cards import runs as runs_card
from archiver.web.data import NEWEST, checked_newest
from archiver.web.parts import Page

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/"
_MOST_LISTED = 5


def page(site: Site, query: links.Query) -> Page:
    """Show the archive at a glance."""
    newest = checked_newest(links.first(query, "newest"))
    runs = site.data.runs()
    if not runs:
        text = "Save results with archive.save_universe_results(...), or try `archiver demo`."
        return Page(
            "Overview", [parts.heading("Overview"), parts.empty("This archive has no runs yet", text)]
        )
    latest = _newest(runs)
    # What people come for goes out with the page, unless that would hold up the page.
    is_ready = site.data.is_ready()
    waits = parts.card("Best strategies", best.switch(newest), parts.waiting(lines=best.WAITING))
    shown, count = _best(site, newest) if is_ready else (waits, parts.waiting("Counting", lines=1))
    over_time = parts.card("Runs over time", html.Div(parts.waiting(lines=6), id="over-time-place"))
    beside = [
        html.Div(parts.card("Storage", parts.waiting(lines=6)), id="storage"),
        html.Div(parts.card("Health", parts.waiting(lines=4)), id="health"),
        html.Div(parts.card("Next prune", parts.waiting(lines=4)), id="prune"),
    ]
    content = [
        parts.heading(
            "Overview", fmt.counted(len(runs), "run"), over=html.Span(site.data.url, className="mono")
        ),
        _counts(runs, latest, newest, count),
        html.Div(
            [
                html.Div([html.Div(shown, id="best"), over_time], className="span-2 stack"),
                html.Div(beside, className="stack"),
                html.Div(_universes(latest, runs), id="universes", className="span-3"),
                html.Div(_recent(site, runs), className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="overview-go", data={"ready": is_ready, "newest": newest}),
        dcc.Store(id="overview-then"),
    ]
    return Page("Overview", content)


def _counts(runs: list[Run], latest: dict[str, Run], newest: str, count: Any) -> Any:
    what = "Results" if newest == "all" else "Strategies"
    return parts.stats(
        parts.stat("Universes", fmt.count(len(latest))),
        parts.stat("Runs", fmt.count(len(runs)), f"last {fmt.age(runs[0].created)}"),
        parts.stat(what, html.Span(count, id="counted"), NEWEST[newest].lower()),
        parts.stat(
            "With detail", fmt.count(sum(run.detailed for run in runs)), "trades and curves, all runs"
        ),
        parts.stat("Stored", html.Span(parts.waiting("Adding up sizes", lines=1), id="stored")),
    )


def _newest(runs: list[Run]) -> dict[str, Run]:
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.universe, run)
    return newest


def connect(app: Any, site: Site) -> None:
    """Fill in what takes longer than the page itself."""
    app.callback(
        Output("best", "children"),
        Output("counted", "children"),
        Output("overview-then", "data"),
        Input("overview-go", "data"),
    )(lambda go: (no_update, no_update, 1) if go["ready"] else (*_best(site, go["newest"]), 1))
    # The rest waits for the best: it needs the processor, and the chart a large library.
    then = Input("overview-then", "data")
    places = [Output(name, "children") for name in ("storage", "stored", "universes")]
    app.callback(*places, then)(lambda _: _storage(site))
    app.callback(Output("health", "children"), then)(parts.safely(lambda _: health.card(site)))
    app.callback(Output("prune", "children"), then)(parts.safely(lambda _: _prune(site)))
    app.callback(Output("over-time-place", "children"), then)(parts.safely(lambda _: _chart(site)))


def _best(site: Site, newest: str) -> tuple[Any, Any]:
    """Return the card of the best and how many rows they are the best of, or why there is none."""
    try:
        return best.card(site, newest)
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return parts.card("Best strategies", parts.failed(error)), fmt.NONE


def _storage(site: Site) -> tuple[Any, Any, Any]:
    try:
        usage, runs = site.data.usage(), site.data.runs()
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return parts.card("Storage", parts.failed(error)), fmt.NONE, no_update
    own = {name: one.bytes for name, one in usage.universes.items()}
    return (
        storage.card(usage, site.data.archive),
        [fmt.size(usage.total.bytes)],
        _universes(_newest(runs), runs, own),
    )


def _prune(site: Site) -> Any:
    """Show what the configured policies would remove now; nothing is changed."""
    from archiver.errors import PolicyError

    try:
        plan = site.data.archive.plan_prune()
    except PolicyError as error:
        return parts.card("Next prune", parts.empty("Nothing is planned", str(error)))
    if not plan.removals:
        kept = f"The policies keep every run: {fmt.counted(len(plan.keeps), 'run')}."
        return parts.card("Next prune", parts.empty("Nothing to remove", kept))
    rows = [
        [
            html.Div(
                [
                    parts.link(one.universe, links.run(one.run), kind="line", title=one.run),
                    html.Div(
                        f"{fmt.short_run(one.run)}, {one.action}: {'; '.join(one.reasons)}",
                        className="muted small",
                    ),
                ]
            ),
            fmt.size(plan.frees.get(one.run, 0)),
        ]
        for one in plan.removals[:_MOST_LISTED]
    ]
    more = len(plan.removals) - len(rows)
    return parts.card(
        "Next prune",
        html.P(
            [
                parts.badge(f"{fmt.counted(len(plan.removals), 'run')} of {len(plan.decisions):,}", "warn"),
                html.Span(
                    f" frees {fmt.size(plan.freed)} once its grace has passed", className="muted small"
                ),
            ]
        ),
        parts.table(["Run", "Bytes"], rows, right=[1], caption="Runs that the next prune would remove"),
        html.P(f"and {fmt.counted(more, 'more run')}", className="note") if more > 0 else None,
    )


def _chart(site: Site) -> Any:
    drawn = history.drawn(site.data.records())
    return figures.graph("over-time", drawn, "Runs saved and bytes stored over time", height=230)


def _universes(newest: dict[str, Run], runs: list[Run], own: dict[str, int] | None = None) -> Any:
    """Show the universes; what their runs take alone comes later: None."""
    count = Counter(run.universe for run in runs)
    largest = max((own or {}).values(), default=0) or 1

    def taken(name: str) -> Any:
        if own is None:
            return html.Span(className="bone inline")
        return parts.bar(own[name] / largest, fmt.size(own[name])) if name in own else fmt.NONE

    rows = [
        [
            parts.link(name, links.href("/strategies", universe=name), kind="line", title=name),
            fmt.count(run.strategies),
            parts.link(fmt.count(count[name]), links.href("/runs", universe=name)),
            taken(name),
            html.Span(fmt.age(run.created), title=fmt.moment(run.created), className="line"),
        ]
        for name, run in sorted(newest.items())
    ]
    own_bytes = html.Span("Bytes", title="Without what they share: bars and code")
    in_newest = html.Span("Strategies", title="In the newest run")
    headers = ["Universe", in_newest, "Runs", own_bytes, "Newest run"]
    table = html.Div(parts.table(headers, rows[:500], right=[1, 2, 3], caption="Universes"), className="tall")
    return parts.card("Universes", table, note=fmt.counted(len(newest), "universe"))


def _recent(site: Site, runs: list[Run]) -> Any:
    all_ = parts.link("All runs →", links.href("/runs"))
    return parts.card("Recent runs", runs_card.table(runs[:8], site.data.records(), "Recent runs"), note=all_)
