"""Overview: what the archive holds, which strategies are best, what it costs, what a prune would remove."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from dash import dcc, html, no_update
from dash.dependencies import Input, Output

from archiver import layout, tree
from archiver.errors import ArchiverError
from archiver.model import Run
from archiver.selection import Ask
from archiver.verify import last_verified
from archiver.web import figures, links, parts
from archiver.web import format as fmt
from archiver.web.parts import Page

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/"
_BEST = 10
_MOST_LISTED = 5
_TIERS = (
    ("Metrics", "tier 1", (layout.TIER1,)),
    ("Details", "tier 2", (layout.TIER2,)),
    ("Tapes", "bars", (layout.TAPES,)),
    ("Code", "", (layout.CODE,)),
    ("Records", "", (layout.RUNS, layout.TAGS, layout.CATALOG, layout.ARCHIVE)),
    ("Bundles", "", (layout.BUNDLES,)),
    ("Trash", "", (layout.TRASH,)),
)


def page(site: Site, query: links.Query) -> Page:  # noqa: ARG001 - nothing to choose here
    """Show the archive at a glance."""
    runs = site.data.runs()
    if not runs:
        text = "Save results with archive.save_universe_results(...), or try `archiver demo`."
        return Page(
            "Overview", [parts.heading("Overview"), parts.empty("This archive has no runs yet", text)]
        )
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.universe, run)
    strategies = sum(run.strategies for run in newest.values())
    figures_ = parts.stats(
        parts.stat("Universes", fmt.count(len(newest))),
        parts.stat("Runs", fmt.count(len(runs)), f"last {fmt.age(runs[0].created)}"),
        parts.stat("Strategies", fmt.count(strategies), "newest run of each universe"),
        parts.stat("With detail", fmt.count(sum(run.detailed for run in runs)), "trades and curves kept"),
        parts.stat("Stored", html.Span(parts.waiting("Adding up sizes", lines=1), id="stored")),
    )
    # What people come for goes out with the page, unless that would hold up the page.
    is_ready = site.data.is_ready()
    best = (
        parts.safely(_best)(site) if is_ready else parts.card("Best strategies", parts.waiting(lines=_BEST))
    )
    content = [
        parts.heading(
            "Overview", fmt.counted(len(runs), "run"), over=html.Span(site.data.url, className="mono")
        ),
        figures_,
        html.Div(
            [
                html.Div(best, id="best", className="span-2"),
                html.Div(parts.card("Storage", parts.waiting(lines=6)), id="storage"),
                html.Div(
                    parts.card("Runs over time", html.Div(parts.waiting(lines=6), id="over-time-place")),
                    className="span-2",
                ),
                html.Div(parts.card("Health", parts.waiting(lines=4)), id="health"),
                html.Div(_universes(newest, runs), className="span-2"),
                html.Div(parts.card("Next prune", parts.waiting(lines=4)), id="prune"),
                html.Div(_recent(runs), className="span-3"),
            ],
            className="grid",
        ),
        dcc.Store(id="overview-go", data=is_ready),
        dcc.Store(id="overview-then"),
    ]
    return Page("Overview", content)


def connect(app: Any, site: Site) -> None:
    """Fill in what takes longer than the page itself."""
    best = parts.safely(_best)
    app.callback(Output("best", "children"), Output("overview-then", "data"), Input("overview-go", "data"))(
        lambda is_ready: (no_update if is_ready else best(site), 1)
    )
    # The rest waits for the best: it needs the processor, and the chart a large library.
    then = Input("overview-then", "data")
    app.callback(Output("storage", "children"), Output("stored", "children"), then)(lambda _: _storage(site))
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
    most = max([abs(value) for value in finite], default=0) or 1
    body = [
        [
            str(at + 1),
            parts.named(
                parts.link(row["strategy_name"], links.strategy(row["universe"], row["strategy_name"])),
                row["universe"],
            ),
            parts.bar(abs(row[score] or 0) / most if row[score] in finite else 0, fmt.number(row[score])),
            *(fmt.number(row[name]) for name in shown),
        ]
        for at, row in enumerate(rows)
    ]
    headers = ["#", "Strategy", *(parts.metric_name(name) for name in (score, *shown))]
    all_ = parts.link("All strategies →", links.href("/strategies", sort=f"-{score}"))
    numbers = range(2, 3 + len(shown))
    table = parts.table(headers, body, right=[0, *numbers], caption="The best strategies of all universes")
    return parts.card("Best strategies", table, note=all_)


def _storage(site: Site) -> tuple[Any, Any]:
    try:
        index = site.objects.index()
    except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
        return parts.card("Storage", parts.failed(error)), "–"
    total = index.sums[-1]
    tiers = [
        (
            name,
            note,
            sum(tree.below(index, p)[0] for p in prefixes),
            sum(tree.below(index, p)[1] for p in prefixes),
            prefixes[0],
        )
        for name, note, prefixes in _TIERS
    ]
    rows = [
        [
            parts.link(
                [name, html.Span(f" · {note}", className="muted") if note else None],
                links.href("/bucket", prefix=prefix),
                kind="line",
            ),
            parts.bar(size / total if total else 0, fmt.size(size)),
            fmt.count(objects),
        ]
        for name, note, size, objects, prefix in tiers
        if objects
    ]
    known = sum(size for _, _, size, _, _ in tiers)
    if total - known:
        rows.append(["Other", parts.bar((total - known) / total, fmt.size(total - known)), ""])
    strip = html.Div(
        [
            html.Div(
                style={"flex": f"{size} 0 0"}, className=f"strip-{at}", title=f"{name}: {fmt.size(size)}"
            )
            for at, (name, _, size, _, _) in enumerate(tiers)
            if size
        ],
        className="strip",
        role="img",
        **{"aria-label": "Shares of the storage"},
    )
    table = parts.table(["What", "Bytes", "Objects"], rows, right=[1, 2], caption="Bytes by kind of object")
    note = f"{fmt.count(len(index.keys))} objects"
    return parts.card("Storage", strip, table, _space(site), note=note), [fmt.size(total)]


def _health(site: Site) -> Any:
    report, moment = site.checked()
    problems = [html.Li([html.Code(one.key), f" {one.what}"]) for one in report.problems[:_MOST_LISTED]]
    more = len(report.problems) - len(problems)
    if report.ok:
        verdict = parts.badge("all objects are there", "good")
    else:
        verdict = parts.badge(fmt.counted(len(report.problems), "problem"), "bad")
    facts: list[tuple[str, Any]] = [("Runs", fmt.count(report.runs)), ("Objects", fmt.count(report.objects))]
    if report.expired:
        facts.append(("Details expired", fmt.counted(len(report.expired), "run")))
    if report.archived:
        facts.append(("Details in bundles", fmt.counted(len(report.archived), "run")))
    return parts.card(
        "Health",
        html.P([verdict, html.Span(f" looked at {fmt.age(moment)}", className="muted small")]),
        parts.pairs(facts),
        html.Ul([*problems, html.Li(f"and {more:,} more") if more > 0 else None], className="warnings")
        if problems
        else None,
        html.P(_last_verified(site), className="note"),
    )


def _last_verified(site: Site) -> Any:
    """Say when data was last read and compared: what is shown above compares sizes only."""
    last = last_verified(site.data.store)
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
        return parts.card(
            "Next prune", parts.empty("Nothing to remove", f"The policies keep all {len(plan.keeps):,} runs.")
        )
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


def _space(site: Site) -> Any:
    """Show how full the disk or the budget is, where that can be told."""
    try:
        spaces = site.data.archive.df()
    except ArchiverError:
        return None
    return html.Div(
        [
            html.Div(
                [
                    html.Div(
                        [
                            html.Span(one.kind.capitalize()),
                            html.Span(
                                f"{fmt.size(one.free)} free of {fmt.size(one.total)}", className="muted"
                            ),
                        ],
                        className="space-head",
                    ),
                    html.Div(
                        html.Div(
                            style={"width": f"{min(100.0, one.percent):.1f}%"},
                            className="meter-fill" + (" full" if one.percent > 90 else ""),
                        ),
                        className="meter",
                        role="img",
                        **{"aria-label": f"{one.percent:.0f}% of the {one.kind} is used"},
                    ),
                ]
            )
            for one in spaces
        ],
        className="spaces",
    )


def _chart(site: Site) -> Any:
    drawn = _over_time(site.data.runs())
    return figures.graph("over-time", drawn, "Runs saved per day and stored bytes", height=230)


def _over_time(runs: list[Run]) -> figures.Figure:
    per_day: dict[str, int] = defaultdict(int)
    for run in runs:
        per_day[f"{run.created:%Y-%m-%d}"] += 1
    oldest_first = runs[::-1]
    grown = list(accumulate(run.bytes for run in oldest_first))
    step = max(1, len(oldest_first) // 1000)
    first, last = oldest_first[0].created, runs[0].created
    # A single day would be drawn as one bar from edge to edge.
    around = max(timedelta(days=4), (last - first) * 0.04)
    sizes = [size / 1e6 for size in grown[::step]] + [grown[-1] / 1e6]
    moments = [f"{run.created:%Y-%m-%dT%H:%M:%S}" for run in oldest_first[::step]] + [
        f"{last:%Y-%m-%dT%H:%M:%S}"
    ]
    days = [f"{day}T12:00:00" for day in sorted(per_day)]
    return figures.figure(
        [
            figures.bars(
                days,
                [per_day[day] for day in sorted(per_day)],
                "rgba(79,124,255,0.55)",
                width=[86_400_000 * 0.8] * len(days),
                hovertemplate="%{y} runs on %{x|%Y-%m-%d}<extra></extra>",
            ),
            figures.line(
                moments,
                sizes,
                color=figures.COLORS[1],
                yaxis="y2",
                hovertemplate="%{y:.1f} MB after %{x|%Y-%m-%d %H:%M}<extra></extra>",
            ),
        ],
        y="Runs",
        xaxis={
            "range": [f"{first - around:%Y-%m-%d}", f"{last + around:%Y-%m-%d}"],
            "type": "date",
            "showgrid": False,
        },
        yaxis={"rangemode": "tozero"},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "title": {"text": "MB stored", "standoff": 8, "font": {"size": 12}},
            "tickmode": "auto",
            "nticks": 5,
            "showgrid": False,
            "rangemode": "tozero",
            "automargin": True,
            "zeroline": False,
        },
    )


def _universes(newest: dict[str, Run], runs: list[Run]) -> Any:
    count: dict[str, int] = defaultdict(int)
    size: dict[str, int] = defaultdict(int)
    for run in runs:
        count[run.universe] += 1
        size[run.universe] += run.bytes
    largest = max(size.values()) or 1
    rows = [
        [
            parts.link(name, links.href("/strategies", universe=name), kind="line"),
            fmt.count(run.strategies),
            fmt.count(count[name]),
            html.Span(fmt.age(run.created), title=fmt.moment(run.created)),
            parts.bar(size[name] / largest, fmt.size(size[name])),
        ]
        for name, run in sorted(newest.items())
    ]
    headers = ["Universe", "Strategies", "Runs", "Newest run", "Bytes"]
    table = html.Div(parts.table(headers, rows[:500], right=[1, 2, 4], caption="Universes"), className="tall")
    return parts.card("Universes", table, note=fmt.counted(len(newest), "universe"))


def _recent(runs: list[Run]) -> Any:
    rows = [
        [
            parts.link(fmt.moment(run.created), links.run(run.id), kind="line", title=run.id),
            html.Span(fmt.age(run.created), className="muted line"),
            html.Span(run.universe, className="line", title=run.universe),
            parts.tags(run.tags),
            fmt.count(run.strategies),
            fmt.count(run.detailed),
            fmt.size(run.bytes),
        ]
        for run in runs[:8]
    ]
    all_ = parts.link("All runs →", "/runs")
    head = ["Saved", "Age", "Universe", "Tags", "Strategies", "Detailed", "Bytes"]
    return parts.card(
        "Recent runs", parts.table(head, rows, right=[4, 5, 6], caption="Recent runs"), note=all_
    )
