"""A strategy's curves, tables and files: what there is, and each as a file to save. Nothing of them is run in a page."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

from dash import html

from archiver.errors import ConfigError
from archiver.runs import extras
from archiver.web.elements import parts
from archiver.web.reading.detail import Strategy
from archiver.web.reading.site import Site
from archiver.web.words import format as fmt
from archiver.web.words import links

KINDS = ("curve", "table", "file")


def read(
    site: Site, name: str, universe: str | None, run: str | None, asked: dict[str, str]
) -> tuple[bytes, str]:
    """Return one curve or table as Parquet, or a file as it is, and the name to save it under.

    asked: `curve`, `table` or `file`, and its name. Raises ConfigError for none or several of them.
    """
    if len(asked) != 1:
        raise ConfigError("name one curve, table or file: curve=NAME, table=NAME or file=NAME")
    ((kind, part),) = asked.items()
    found = site.details.find(name, universe, run)
    of = (site.data.reader, found.record, found.detail, part)
    if kind == "file":
        return extras.file(*of), part
    table = extras.curve(*of) if kind == "curve" else extras.table(*of)
    return _parquet(table), f"{name}-{part}.parquet"


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


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
