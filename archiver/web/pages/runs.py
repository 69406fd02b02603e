"""Runs: every run of the archive, searched, sorted, compared; those that are open grow while one looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State

from archiver.web.cards import run_table
from archiver.web.elements import parts
from archiver.web.elements.parts import Page
from archiver.web.reading.run_list import among, chosen, varying
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

PATH = "/runs"
_PAGE = 100
_MOST_PARAMS = 4
_MOST_COMPARED = 10
_NAMES = ("universe", "tag", "search", "sort")


def page(site: Site, query: links.Query) -> Page:
    """Show the runs of a universe, with a tag, that have some words, or all of them; a page of them at a time."""
    asked = {name: links.first(query, name) for name in _NAMES}
    universe, tag, sort = asked["universe"], asked["tag"], asked["sort"] or "saved"
    start = links.whole(query, "start", 0)
    seen, tags = site.data.seen(), site.data.tags()
    table = seen.of(universe or None)
    if tag:
        table = among(table, [run for run, own in tags.items() if tag in own])
    ticked = among(seen.table, query.get("tick", []))["run"].slice(0, _MOST_COMPARED).to_pylist()
    found = chosen(site, table, tags, asked["search"], sort, slice(start, start + _PAGE))

    def address(**changed: Any) -> str:
        return links.href("/runs", **{**asked, "tick": ticked, "start": str(start or ""), **changed})

    title = "Runs" + (f" of {universe}" if universe else "")
    names = sorted({label for own in tags.values() for label in own})
    chips = [
        parts.link(
            label,
            address(tag="" if label == tag else label, start=""),
            kind="chip on" if label == tag else "chip",
        )
        for label in names[:40]
    ]
    if universe:
        chips.insert(0, parts.link(f"{universe} ×", address(universe="", start=""), kind="chip on"))
    body = (
        run_table.table(found.rows, varying(found.all, _MOST_PARAMS), sort, ticked, address)
        if found.rows
        else parts.empty("No runs", "None matches." if len(seen) else "`archiver demo` makes some.")
    )
    live = len(among(table, [record.run for record in seen.loose if record.open]))
    content = [
        parts.heading(
            title,
            fmt.counted(found.count, "run"),
            fmt.size(found.size),
            html.Span(f"{fmt.counted(live, 'run')} open: this page follows", className="live")
            if live
            else None,
            actions=[_compare(ticked)],
        ),
        _search(asked["search"]),
        html.Nav(chips, className="chips", **{"aria-label": "Tags"}) if chips else None,
        html.P(parts.prose(found.note), className="note") if found.note else None,
        parts.card(None, body, _pager(address, start, found.count)),
    ]
    return Page(title, content)


def connect(app: Any, site: Site) -> None:  # noqa: ARG001 - as all pages
    """Let a search lead to its address."""
    app.clientside_callback(
        ClientsideFunction("runs", "search"),
        Output("runs-searched", "data"),
        Input("runs-search", "value"),
        State("runs-searched", "data"),
        prevent_initial_call=True,
    )


def _search(text: str) -> Any:
    box = dcc.Input(
        id="runs-search",
        type="search",
        value=text,
        debounce=0.3,
        placeholder="words in id, universe, tags, note, params",
        spellCheck=False,
    )
    return html.Div(
        [
            html.Label([html.Span("Search", className="label"), box], className="field grow"),
            dcc.Store(id="runs-searched", data=text),
        ],
        className="filters",
        role="search",
    )


def _compare(ticked: list[str]) -> Any:
    if len(ticked) < 2:
        return html.A("Compare", href=links.href("/compare"), className="button off", title="Tick two runs")
    return parts.link(f"Compare {len(ticked)}", links.href("/compare", run=ticked), kind="button primary")


def _pager(address: Any, start: int, total: int) -> Any:
    if total <= _PAGE:
        return None
    last = min(start + _PAGE, total)
    before = address(start=str(start - _PAGE) if start > _PAGE else "")
    return html.Nav(
        [
            parts.button("← Before", before) if start else None,
            html.Span(f"{start + 1:,}–{last:,} of {total:,}", className="muted"),
            parts.button("More →", address(start=str(last))) if last < total else None,
        ],
        className="pager",
        **{"aria-label": "Pages of runs"},
    )
