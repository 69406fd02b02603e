"""A strategy's curves, tables and files beside equity and drawdown, each as a link that saves it."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import html

from archiver.runs import extras
from archiver.web.elements import parts
from archiver.web.reading.detail import Strategy
from archiver.web.reading.site import Site
from archiver.web.words import format as fmt
from archiver.web.words import links


def card(site: Site, found: Strategy) -> Any:
    """List what the strategy has beside its trades; None where that is equity and drawdown alone."""
    there = extras.contents(site.data.reader, found.record, found.detail)
    further = [name for name in there["curves"] if name not in ("equity", "drawdown")]
    if not (further or there["tables"] or there["files"]):
        return None
    at = partial(
        links.href, "/api/part", name=found.name, universe=found.record.universe, run=found.record.run
    )
    rows: list[list[Any]] = []
    for kind, names in (
        ("curve", there["curves"]),
        ("table", there["tables"]),
        ("file", list(there["files"])),
    ):
        for name in names:
            about = fmt.size(there["files"][name]["size"]) if kind == "file" else "Parquet"
            rows.append([kind, html.A(name, href=at(**{kind: name}), download=""), about])
    return parts.card(
        "Curves, tables and files",
        parts.table(["Kind", "Name", "Saved as"], rows, caption="What else there is"),
    )
