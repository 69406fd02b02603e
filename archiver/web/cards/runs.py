"""Runs as a table: when, of what and how large."""

from __future__ import annotations

from typing import Any

from dash import html

from archiver.format.model import Record, Run
from archiver.runs.details import state_of
from archiver.web.elements import parts
from archiver.web.words import format as fmt
from archiver.web.words import links


def table(runs: list[Run], records: list[Record], caption: str) -> Any:
    """Show runs: when, of what and how large come first, so that a phone shows them.

    records: those of the runs at least; they tell what became of the details.
    """
    states = {record.run: details_of(record) for record in records}
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
            states.get(run.id, fmt.count(run.detailed)),
            parts.bar(run.bytes / most, fmt.size(run.bytes)),
            parts.tags(run.tags),
            *([html.Span(run.note or "", className="muted line", title=run.note)] if noted else []),
        ]
        for run in runs
    ]
    head = ["Saved", "Universe", "Strategies", "Detailed", "Bytes", "Tags", *(["Note"] if noted else [])]
    return parts.table(head, rows, right=[2, 3, 4], caption=caption)


def details_of(record: Record) -> Any:
    """Show of how many strategies a run had the details, and where these are now if not here."""
    count = fmt.count(len(record.details))
    kind, words, _ = state_of(record)
    if record.open:
        words = "open: it still grows"
    elif kind in ("kept", "none"):
        return count
    return html.Div([count, html.Div(words, className="line muted small", title=words)])
