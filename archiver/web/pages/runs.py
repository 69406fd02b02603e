"""Runs: every run of the archive, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.web import format as fmt
from archiver.web import links, parts
from archiver.web.cards import runs as runs_card
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
        runs_card.table(shown, site.data.records(), "Runs, newest first")
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
