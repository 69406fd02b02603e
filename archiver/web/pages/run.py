"""Run: its record, where it came from, its code, and the objects it reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.base.humanize import captured
from archiver.errors import ArchiverError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.format.text import loads
from archiver.query.selection import leading
from archiver.runs.details import Details
from archiver.runs.reach import reachable
from archiver.web.cards import luck
from archiver.web.elements import code, parts
from archiver.web.elements.parts import Page
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/run"
_VIEWS = (
    ("", "Summary"),
    ("luck", "Luck"),
    ("code", "Code"),
    ("provenance", "Provenance"),
    ("objects", "Objects"),
)
_MOST_OBJECTS = 2_000
_MOST_METRICS = 4
_SIDE_BY_SIDE = 3
_PROVENANCE = {
    "argv": "Command",
    "context": "Started as",
    "entry": "Script",
    "root": "Project folder",
    "git": "Git",
}


def page(site: Site, query: links.Query) -> Page:
    """Show one view of the run that the URL names."""
    name, view = links.first(query, "id"), links.first(query, "view")
    if not name:
        raise NotFoundError("the address names no run: choose one from Runs")
    record, run = site.data.run(name)
    views = {"": _summary, "luck": luck.view, "code": _code, "provenance": _provenance, "objects": _objects}
    shown = parts.safely(views.get(view, _summary))(site, record, query)
    tabs = [
        html.A(
            text,
            href=links.run(run.id, view=key),
            className="view-tab",
            **({"aria-current": "page"} if key == view else {}),
        )
        for key, text in _VIEWS
    ]
    content = [
        _heading(run),
        html.Nav(tabs, className="tabs", **{"aria-label": "Views of the run"}),
        *(shown if isinstance(shown, list) else [shown]),
    ]
    return Page(f"Run {fmt.short_run(run.id)}", content)


def connect(app: Any, site: Site) -> None:
    """Nothing moves here."""


def _heading(run: Run) -> Any:
    return parts.heading(
        html.Span(run.id, className="mono"),
        html.Span([fmt.moment(run.created), " · ", fmt.age(run.created)]),
        html.Span("open: this page follows", className="live") if run.open else None,
        parts.tags(run.tags) if run.tags else None,
        run.note,
        over=parts.link(run.universe, links.href("/runs", universe=run.universe)),
        actions=[
            parts.button("Strategies", links.href("/strategies", run=run.id)),
            *([parts.button("Portfolio", links.href("/portfolio", run=run.id))] if run.detailed > 1 else []),
            parts.button("Parameters", links.href("/parameters", run=run.id)),
            parts.button("Compare", links.href("/compare", run=[run.id])),
        ],
    )


def _summary(site: Site, record: Record, query: links.Query) -> Any:  # noqa: ARG001 - as all tabs
    refs = list(reachable(record))
    own = [ref for ref in (record.tier1, record.tier2) if ref is not None]
    files = record.code.files if record.code else ()
    state = site.data.reader.details_state(record)
    figures = parts.stats(
        parts.stat("Strategies", fmt.count(record.strategies)),
        parts.stat("With detail", fmt.count(len(record.details)), _kept(record, state)),
        parts.stat(
            "Stored",
            fmt.size(
                record.size + sum(ref.size for ref in [*own, *record.tapes, *record.clocks, *record.files])
            ),
        ),
        parts.stat("Objects", fmt.count(len(refs) + 1)),
        parts.stat("Code files", fmt.count(len(files)), captured(record.code.how if record.code else "none")),
    )
    facts: list[tuple[str, Any]] = [
        ("Universe", record.universe),
        ("Saved", fmt.moment(record.created)),
        ("Ranked by", parts.metric_name(record.rank_by) if record.rank_by else "nothing"),
        ("Note", record.note or fmt.NONE),
    ]
    if record.details:
        facts.append(("Details", state.words))
    cards = [parts.card("Record", parts.pairs(facts))]
    if record.params:
        cards.append(parts.card("Parameters", code.text_block(_pretty(record.params), "params.json")))
    best = parts.card(
        "Best strategies",
        html.Div(_details(site, record), className="tall"),
        note=f"the {fmt.counted(len(record.details), 'strategy', 'strategies')} with detail",
    )
    ranges = parts.card("Metrics", _ranges(record), note="least and greatest finite value")
    return [
        figures,
        html.Div(
            [
                html.Div(cards, className="stack"),
                html.Div(best, className="span-2"),
                html.Div(ranges, className="span-3"),
            ],
            className="grid",
        ),
    ]


def _kept(record: Record, state: Details) -> str:
    return f"top {record.top_n} asked for" if state.kind in ("kept", "none") else state.words


def _pretty(text: str) -> str:
    import json

    return json.dumps(loads(text), indent=2, ensure_ascii=False)


def _details(site: Site, record: Record) -> Any:
    if not record.details:
        return parts.empty("No detail", "This run kept no trades and curves.")
    metrics, wrong = _metrics(site, record)
    rows = [
        [
            str(detail.rank),
            html.Div(
                parts.link(
                    parts.spaced(detail.strategy),
                    links.strategy(record.universe, detail.strategy, record.run),
                ),
                className="name",
            ),
            *(fmt.shown(name, values.get(detail.strategy)) for name, values in metrics.items()),
        ]
        for detail in record.details[:500]
    ]
    headers = ["Rank", "Strategy", *(parts.metric_name(name, unit=False) for name in metrics)]
    right = [0, *range(2, len(headers))]
    table = parts.table(headers, rows, right=right, caption="Strategies with detail", dense=True)
    return html.Div([wrong, table])


def _metrics(site: Site, record: Record) -> tuple[dict[str, dict[str, Any]], Any]:
    """Return what the run was ranked by and some more metrics, each by strategy; and why there are none, if so."""
    names = [
        name
        for name in dict.fromkeys([record.rank_by or "", *leading(record.metrics)])
        if name in record.metrics
    ]
    try:
        table = site.data.reader.metrics([record], names[:_MOST_METRICS], history=True)
    except ArchiverError as error:
        return {}, parts.failed(error)
    of = table["strategy_name"].to_pylist()
    return {name: dict(zip(of, table[name].to_pylist(), strict=True)) for name in names[:_MOST_METRICS]}, None


def _ranges(record: Record) -> Any:
    rows = [
        [parts.metric_name(name), fmt.number(least), fmt.number(greatest)]
        for name, (least, greatest) in list(record.metrics.items())[:500]
    ]
    if not rows:
        return parts.empty("No numbers", "No metric of this run holds finite numbers.")
    each = -(-len(rows) // _SIDE_BY_SIDE)
    return html.Div(
        [
            parts.table(
                ["Metric", "Least", "Greatest"],
                rows[start : start + each],
                right=[1, 2],
                caption="Ranges of metrics",
                dense=True,
            )
            for start in range(0, len(rows), each)
        ],
        className="thirds",
    )


def _code(site: Site, record: Record, query: links.Query) -> Any:
    snapshot = site.data.code(record.run)
    if not snapshot.files:
        return parts.empty("No code was captured", snapshot.reason or "The run was saved without code.")
    paths = [file.path for file in snapshot.files]
    chosen = links.first(query, "file") or paths[0]
    file = next((file for file in snapshot.files if file.path == chosen), None)
    if file is None:
        raise NotFoundError(f"{chosen} is not among the captured files")
    warnings = [html.Li(text) for text in snapshot.warnings]
    tree = code.tree(paths, chosen, lambda path: links.run(record.run, view="code", file=path))
    head = [
        html.Span([fmt.size(file.size), ", executable" if file.executable else "", " · "]),
        html.A(
            "Download", href=links.href(f"/api/runs/{record.run}/code/" + code.url_path(chosen)), download=""
        ),
    ]
    shown = parts.safely(lambda: code.block(snapshot.read(chosen), chosen))()
    note = f"{fmt.counted(len(paths), 'file')}, {captured(snapshot.how)}"
    return html.Div(
        [
            html.Div(
                [
                    parts.card(
                        "Files",
                        tree,
                        html.Ul(warnings, className="warnings") if warnings else None,
                        note=note,
                    )
                ]
            ),
            html.Div(parts.card(chosen, shown, note=html.Span(head)), className="span-2"),
        ],
        className="grid code-view",
    )


def _provenance(site: Site, record: Record, query: links.Query) -> Any:  # noqa: ARG001 - as all tabs
    snapshot = site.data.code(record.run)
    known = snapshot.provenance
    if not known and not record.code:
        return parts.empty("Nothing is known", "The run was saved without code and provenance.")
    rows = [
        (_PROVENANCE.get(str(name)) or str(name).replace("_", " ").capitalize(), _value(value))
        for name, value in known.items()
        if value not in (None, "", [], {})
    ]
    cards = [parts.card("Where it came from", parts.pairs(rows))]
    for title, text, name in (
        ("Changes that were not committed", snapshot.git_diff(), "x.diff"),
        ("Installed packages", snapshot.requirements(), "requirements.txt"),
    ):
        if text:
            cards.append(parts.card(title, code.text_block(text, name)))
    return html.Div(cards, className="stack")


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return parts.pairs([(str(name), _value(item)) for name, item in value.items()])
    if isinstance(value, list):
        return html.Code(" ".join(str(item) for item in value))
    return html.Span(str(value), className="mono" if len(str(value)) > 24 else None)


def _held(record: Record) -> str:
    """Say what stands in the record itself."""
    held = [("metrics", record.inline), ("details", record.inline_detail)]
    return "".join(f", {name}" for name, there in held if there is not None)


def _objects(site: Site, record: Record, query: links.Query) -> Any:  # noqa: ARG001 - as all tabs
    kinds = (
        (layout.TIER1, "metrics"),
        (layout.TIER2, "details"),
        (layout.TAPES, "tape, shared"),
        (layout.CLOCKS, "clock, shared"),
        (layout.FILES, "file, shared"),
        (layout.CODE, "code, shared"),
    )
    key = layout.record_key(record.run)
    rows: list[list[Any]] = [
        [
            parts.link(key, links.href("/bucket", key=key), kind="mono"),
            "record" + _held(record),
            fmt.size(record.size),
            fmt.NONE,
        ]
    ]
    refs = {ref.key: ref for ref in reachable(record)}
    for ref in list(refs.values())[:_MOST_OBJECTS]:
        kind = next((text for prefix, text in kinds if ref.key.startswith(prefix)), "")
        note = " unpacked" if ref.plain else ""
        rows.append(
            [
                parts.link(ref.key, links.href("/bucket", key=ref.key), kind="mono"),
                kind,
                fmt.size(ref.size) + note,
                html.Code(ref.sha256[:12] + "…", title=ref.sha256),
            ]
        )
    table = parts.table(
        ["Key", "What", "Size", "sha256"], rows, right=[2], caption="Objects of the run", dense=True
    )
    return parts.card("Objects", table, note=fmt.counted(len(refs) + 1, "object"))
