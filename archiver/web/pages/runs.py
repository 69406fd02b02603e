"""Runs: every run of the archive, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.format.model import Run
from archiver.web import format as fmt
from archiver.web import links, parts
from archiver.web.data import growth
from archiver.web.parts import Page

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/runs"
_PAGE = 100


def page(site: Site, query: links.Query) -> Page:
    """Show the runs of a universe, with a tag, or all of them; a page of them at a time."""
    universe, tag = links.first(query, "universe"), links.first(query, "tag")
    start = links.whole(query, "start", 0)
    all_ = site.data.runs()
    runs = [
        run for run in all_ if (not universe or run.universe == universe) and (not tag or tag in run.tags)
    ]
    chosen = {run.id for run in runs}
    size = sum(growth([record for record in site.data.records() if record.run in chosen]))
    names = sorted({label for run in all_ for label in run.tags})
    title = "Runs" + (f" of {universe}" if universe else "")
    chips = [
        parts.link(
            label,
            links.href("/runs", universe=universe, tag="" if label == tag else label),
            kind="chip on" if label == tag else "chip",
        )
        for label in names[:40]
    ]
    if universe:
        chips.insert(0, parts.link(f"{universe} ×", links.href("/runs", tag=tag), kind="chip on"))
    shown = runs[start : start + _PAGE]
    body = (
        table(shown, "Runs, newest first")
        if shown
        else parts.empty("No runs", "None matches." if all_ else "`archiver demo` makes some.")
    )
    content = [
        parts.heading(title, fmt.counted(len(runs), "run"), fmt.size(size)),
        html.Nav(chips, className="chips", **{"aria-label": "Tags"}) if chips else None,
        parts.card(None, body, _pager(universe, tag, start, len(runs))),
    ]
    return Page(title, content)


def connect(app: Any, site: Site) -> None:
    """Nothing moves here."""


def table(runs: list[Run], caption: str) -> Any:
    """Show runs: when, of what and how large come first, so that a phone shows them."""
    most = max(run.bytes for run in runs) or 1
    noted = any(run.note for run in runs)
    rows = [
        [
            parts.named(
                parts.link(fmt.moment(run.created), links.run(run.id), title=run.id),
                f"{fmt.age(run.created)} · {run.id[-8:]}",
            ),
            parts.link(
                run.universe, links.href("/runs", universe=run.universe), kind="line", title=run.universe
            ),
            fmt.count(run.strategies),
            fmt.count(run.detailed),
            parts.bar(run.bytes / most, fmt.size(run.bytes)),
            parts.tags(run.tags),
            *([html.Span(run.note or "", className="muted line", title=run.note)] if noted else []),
        ]
        for run in runs
    ]
    head = ["Saved", "Universe", "Strategies", "Detailed", "Bytes", "Tags", *(["Note"] if noted else [])]
    return parts.table(head, rows, right=[2, 3, 4], caption=caption)


def _pager(universe: str, tag: str, start: int, total: int) -> Any:
    if total <= _PAGE:
        return None
    last = min(start + _PAGE, total)
    before = links.href(
        "/runs", universe=universe, tag=tag, start=str(start - _PAGE) if start > _PAGE else ""
    )
    return html.Nav(
        [
            parts.button("← Newer", before) if start else None,
            html.Span(f"{start + 1:,}–{last:,} of {total:,}", className="muted"),
            parts.button("Older →", links.href("/runs", universe=universe, tag=tag, start=str(last)))
            if last < total
            else None,
        ],
        className="pager",
        **{"aria-label": "Pages of runs"},
    )
