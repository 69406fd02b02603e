"""Overview: what the archive holds, which strategies are best, what it costs, what a prune would remove."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dash import dcc, html, no_update
from dash.dependencies import Input, Output

from archiver.errors import IntegrityError
from archiver.format.model import Run
from archiver.health.verify import Verified, last_verified
from archiver.query.selection import Ask, sort_text
from archiver.web import figures, links, parts
from archiver.web import format as fmt
from archiver.web.pages import history, storage
from archiver.web.pages import runs as runs_page
from archiver.web.parts import Page

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/"
_BEST = 10
_MOST_LISTED = 5


def page(site: Site, query: links.Query) -> Page:  # noqa: ARG001 - nothing to choose here
    """Show the archive at a glance."""
    runs = site.data.runs()
    if not runs:
        text = "Save results with archive.save_universe_results(...), or try `archiver demo`."
        return Page(
            "Overview", [parts.heading("Overview"), parts.empty("This archive has no runs yet", text)]
        )
    newest = _newest(runs)
    # What people come for goes out with the page, unless that would hold up the page.
    is_ready = site.data.is_ready()
    best = (
        parts.safely(_best)(site) if is_ready else parts.card("Best strategies", parts.waiting(lines=_BEST))
    )
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
        _counts(runs, newest),
        html.Div(
            [
                html.Div([html.Div(best, id="best"), over_time], className="span-2 stack"),
                html.Div(beside, className="stack"),
                html.Div(_universes(newest, runs), id="universes", className="span-3"),
                html.Div(_recent(runs), className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="overview-go", data=is_ready),
        dcc.Store(id="overview-then"),
    ]
    return Page("Overview", content)


def _counts(runs: list[Run], newest: dict[str, Run]) -> Any:
    strategies = sum(run.strategies for run in newest.values())
    return parts.stats(
        parts.stat("Universes", fmt.count(len(newest))),
        parts.stat("Runs", fmt.count(len(runs)), f"last {fmt.age(runs[0].created)}"),
        parts.stat("Strategies", fmt.count(strategies), "newest run of each universe"),
        parts.stat("With detail", fmt.count(sum(run.detailed for run in runs)), "trades and curves kept"),
        parts.stat("Stored", html.Span(parts.waiting("Adding up sizes", lines=1), id="stored")),
    )


def _newest(runs: list[Run]) -> dict[str, Run]:
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.universe, run)
    return newest


def connect(app: Any, site: Site) -> None:
    """Fill in what takes longer than the page itself."""
    best = parts.safely(_best)
    app.callback(Output("best", "children"), Output("overview-then", "data"), Input("overview-go", "data"))(
        lambda is_ready: (no_update if is_ready else best(site), 1)
    )
    # The rest waits for the best: it needs the processor, and the chart a large library.
    then = Input("overview-then", "data")
    places = [Output(name, "children") for name in ("storage", "stored", "universes")]
    app.callback(*places, then)(lambda _: _storage(site))
    app.callback(Output("health", "children"), then)(parts.safely(lambda _: _health(site)))
    app.callback(Output("prune", "children"), then)(parts.safely(lambda _: _prune(site)))
    app.callback(Output("over-time-place", "children"), then)(parts.safely(lambda _: _chart(site)))


def _best(site: Site) -> Any:
    metrics, columns = site.data.headline()
    if not columns:
        return parts.card(
            "Best strategies", parts.empty("Nothing to rank by", "No run has a score to rank by.")
        )
    score, *shown = columns
    ask = Ask(sort=((score, True),))
    wanted = ["universe", "strategy_name", "run", *columns]
    rows = site.views.page(metrics, ask, 0, _BEST, wanted).to_pylist()
    finite = [
        row[score] for row in rows if isinstance(row[score], int | float) and row[score] - row[score] == 0
    ]
    # A bar says how good: what is below zero has none.
    most = max([0, *finite]) or 1
    body = [
        [
            str(at + 1),
            parts.named(
                parts.link(row["strategy_name"], links.strategy(row["universe"], row["strategy_name"])),
                row["universe"],
            ),
            parts.bar((row[score] or 0) / most if row[score] in finite else 0, fmt.number(row[score])),
            *(fmt.number(row[name]) for name in shown),
        ]
        for at, row in enumerate(rows)
    ]
    headers = ["#", "Strategy", *(parts.metric_name(name) for name in (score, *shown))]
    all_ = parts.link("All strategies →", links.href("/strategies", sort=sort_text([(score, True)])))
    numbers = range(2, 3 + len(shown))
    table = parts.table(headers, body, right=[0, *numbers], caption="The best strategies of all universes")
    return parts.card("Best strategies", parts.left_out(metrics.damaged), table, note=all_)


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


def _health(site: Site) -> Any:
    report, moment = site.checked()
    last = last_verified(site.data.store)
    listed = [[html.Code(one.key), f" {one.what}"] for one in report.problems]
    known = {one.key for one in report.problems}
    listed += [parts.prose(text) for text in _unreadable(site) if not any(key in text for key in known)]
    if listed:
        verdict = parts.badge(fmt.counted(len(listed), "problem"), "bad")
    elif last is not None and last.problems:
        verdict = parts.badge("damaged when last read", "warn")
    else:
        verdict = parts.badge("nothing missing", "good")
    facts: list[tuple[str, Any]] = [
        ("Runs", fmt.count(report.runs)),
        (
            "Their objects",
            f"{fmt.count(report.objects)}, sizes as recorded" if report.ok else fmt.count(report.objects),
        ),
    ]
    if report.expired:
        facts.append(("Details expired", fmt.counted(len(report.expired), "run")))
    if report.archived:
        facts.append(("Details in bundles", fmt.counted(len(report.archived), "run")))
    problems = [html.Li(line) for line in listed[:_MOST_LISTED]]
    more = len(listed) - len(problems)
    return parts.card(
        "Health",
        html.P([verdict, html.Span(f" checked {fmt.age(moment)}", className="muted small")]),
        parts.pairs(facts),
        html.Ul([*problems, html.Li(f"and {more:,} more") if more > 0 else None], className="warnings")
        if problems
        else None,
        html.P(_last_read(last), className="note"),
    )


def _unreadable(site: Site) -> list[str]:
    """Say what was found damaged when the best strategies were read: sizes alone do not show it."""
    try:
        return [str(error) for error in site.data.headline()[0].damaged.values()]
    except IntegrityError as error:
        return [str(error)]


def _last_read(last: Verified | None) -> Any:
    """Say when data was last read and compared: what is shown above compares sizes only."""
    if last is None:
        return ["No bytes were compared yet: ", html.Code("archiver verify --read-data"), " does."]
    read = f"{fmt.counted(last.read, 'object')} read and compared {fmt.age(last.moment)}"
    share = "" if last.share == 1 else f" (a sample of {last.share * 100:.3g}%)"
    verdict = "all was well" if not last.problems else fmt.counted(last.problems, "problem")
    return f"Last verify: {read}{share}: {verdict}."


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
    headers = ["Universe", "Strategies", "Runs", own_bytes, "Newest run"]
    table = html.Div(parts.table(headers, rows[:500], right=[1, 2, 3], caption="Universes"), className="tall")
    return parts.card("Universes", table, note=fmt.counted(len(newest), "universe"))


def _recent(runs: list[Run]) -> Any:
    all_ = parts.link("All runs →", "/runs")
    return parts.card("Recent runs", runs_page.table(runs[:8], "Recent runs"), note=all_)
