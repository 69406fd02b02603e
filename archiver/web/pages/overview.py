"""Overview: what the archive holds, which strategies are best, what it costs, what a prune would remove."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from dash import dcc, html, no_update
from dash.dependencies import Input, Output

from archiver.errors import PolicyError
from archiver.format.packs import moment_of
from archiver.runs.all_runs import AllRuns
from archiver.web.cards import best, health, history, storage
from archiver.web.cards import runs as runs_card
from archiver.web.elements import figures, parts
from archiver.web.elements.parts import Page
from archiver.web.reading.data import NEWEST, checked_newest
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/"
_MOST_LISTED = 5
_MOST_UNIVERSES = 500
_RECENT = 8
_NOT_PLANNED = "A plan takes the record of each run, which of so many takes minutes: `archiver prune` shows it and removes nothing."
_PACKED = "Runs count with the bytes that they were saved with: packed they take less."
_EACH = "What runs share counts with each here: so many use it that it is not told apart."


def page(site: Site, query: links.Query) -> Page:
    """Show the archive at a glance."""
    newest = checked_newest(links.first(query, "newest"))
    seen = site.data.seen()
    if not len(seen):
        text = "Save results with archive.save_universe_results(...), or try `archiver demo`."
        return Page(
            "Overview", [parts.heading("Overview"), parts.empty("This archive has no runs yet", text)]
        )
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
            "Overview", fmt.counted(len(seen), "run"), over=html.Span(site.data.url, className="mono")
        ),
        _counts(seen, newest, count),
        html.Div(
            [
                html.Div([html.Div(shown, id="best"), over_time], className="span-2 stack"),
                html.Div(beside, className="stack"),
                html.Div(_universes(seen), id="universes", className="span-3"),
                html.Div(_recent(site), className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="overview-go", data={"ready": is_ready, "newest": newest}),
        dcc.Store(id="overview-then"),
    ]
    return Page("Overview", content)


def _counts(seen: AllRuns, newest: str, count: Any) -> Any:
    what = "Results" if newest == "all" else "Strategies"
    detailed = int(pc.sum(seen.table["detailed"]).as_py())
    last = moment_of(seen.table["created"][0].as_py())
    return parts.stats(
        parts.stat("Universes", fmt.count(len(seen.universes))),
        parts.stat("Runs", fmt.count(len(seen)), f"last {fmt.age(last)}"),
        parts.stat(what, html.Span(count, id="counted"), NEWEST[newest].lower()),
        parts.stat("With detail", fmt.count(detailed), "trades and curves, all runs"),
        parts.stat("Stored", html.Span(parts.waiting("Adding up sizes", lines=1), id="stored")),
    )


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
        usage, seen, many = site.data.usage(), site.data.seen(), site.data.has_many()
        own = _brought(site, seen) if many else {name: one.bytes for name, one in usage.universes.items()}
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return parts.card("Storage", parts.failed(error)), fmt.NONE, no_update
    return (
        storage.card(usage, site.data.archive, judged=not many),
        [fmt.size(usage.total.bytes)],
        _universes(seen, own),
    )


def _brought(site: Site, seen: AllRuns) -> dict[str, int]:
    """Return the bytes that the runs of each universe brought along."""
    table = pa.table({"universe": seen.table["universe"], "bytes": site.data.brought()[0]})
    sums = table.group_by("universe").aggregate([("bytes", "sum")])
    return dict(zip(sums["universe"].to_pylist(), sums["bytes_sum"].to_pylist(), strict=True))


def _prune(site: Site) -> Any:
    """Show what the configured policies would remove now; nothing is changed."""
    if site.data.has_many():
        return parts.card("Next prune", parts.empty("Not planned here", _NOT_PLANNED))
    try:
        plan = site.data.archive.plan_prune()
    except PolicyError as error:
        return parts.card("Next prune", parts.empty("Nothing is planned", str(error)))
    if not plan.share:
        kept = f"The policies keep every run: {fmt.counted(len(plan.decisions), 'run')}."
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
    brought, shared_once = site.data.brought()
    drawn = history.drawn(site.data.seen().table["created"].to_numpy(), brought)
    chart = figures.graph("over-time", drawn, "Runs saved and bytes stored over time", height=230)
    notes = [_PACKED if site.data.seen().packed else None, None if shared_once else _EACH]
    said = [html.P(note, className="note") for note in notes if note]
    return html.Div([chart, *said]) if said else chart


def _universes(seen: AllRuns, own: dict[str, int] | None = None) -> Any:
    """Show the universes; what their runs take alone comes later: None."""
    found = seen.by_universe
    first = seen.table.select(["created", "strategies"]).take(found["first"]).to_pylist()
    largest = max((own or {}).values(), default=0) or 1

    def taken(name: str) -> Any:
        if own is None:
            return html.Span(className="bone inline")
        return parts.bar(own[name] / largest, fmt.size(own[name])) if name in own else fmt.NONE

    rows = [
        [
            parts.link(name, links.href("/strategies", universe=name), kind="line", title=name),
            fmt.count(run["strategies"]),
            parts.link(fmt.count(count), links.href("/runs", universe=name)),
            taken(name),
            html.Span(
                fmt.age(moment_of(run["created"])),
                title=fmt.moment(moment_of(run["created"])),
                className="line",
            ),
        ]
        for name, count, run in islice(
            zip(found["universe"].to_pylist(), found["runs"].to_pylist(), first, strict=True), _MOST_UNIVERSES
        )
    ]
    own_bytes = html.Span("Bytes", title="Without what they share: bars and code")
    in_newest = html.Span("Strategies", title="In the newest run")
    headers = ["Universe", in_newest, "Runs", own_bytes, "Newest run"]
    table = html.Div(parts.table(headers, rows, right=[1, 2, 3], caption="Universes"), className="tall")
    return parts.card("Universes", table, note=fmt.counted(len(found), "universe"))


def _recent(site: Site) -> Any:
    runs, records = site.data.runs(limit=_RECENT), site.data.seen().newest_records(_RECENT)
    all_ = parts.link("All runs →", links.href("/runs"))
    return parts.card("Recent runs", runs_card.table(runs, records, "Recent runs"), note=all_)
