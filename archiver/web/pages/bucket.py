"""Bucket: the objects as folders with their sizes, and what is in one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.base.run_id import is_run_id
from archiver.errors import ArchiverError, IntegrityError
from archiver.format import layout
from archiver.health.verify import compare
from archiver.query import tree
from archiver.runs.reach import reachable
from archiver.store.entry import Entry
from archiver.store.s3.cold import warmth
from archiver.web.elements import code, parts
from archiver.web.elements.parts import Page
from archiver.web.reading.data import plain_value
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.site import Site

PATH = "/bucket"
_PAGE = 200
_MOST_COMPARED = 8 * 1024 * 1024
"""Larger objects are not read whole just to be looked at."""
_ABOUT = {
    layout.RUNS: "records: one a run, written last",
    layout.TIER1: "metrics of all strategies",
    layout.TIER2: "full detail of the best",
    layout.TAPES: "bar series, shared",
    layout.CLOCKS: "clocks of curves, shared",
    layout.FILES: "files of strategies, shared",
    layout.CODE: "captured files, shared",
    layout.TAGS: "markers",
    layout.UNTAGGED: "markers of tags taken off",
    layout.CATALOG: "derived, can be rebuilt",
    layout.TRASH: "records of pruned runs",
    layout.BUNDLES: "runs packed into one file",
    layout.ARCHIVE: "what this archive is",
}


def page(site: Site, query: links.Query) -> Page:
    """Show a folder, or an object when the URL names one."""
    key = links.first(query, "key")
    if key:
        return _object(site, key)
    folder = tree.folder(
        site.objects.index(), links.first(query, "prefix"), links.first(query, "after"), _PAGE
    )
    name = folder.prefix.rstrip("/").rsplit("/", 1)[-1] or "Bucket"
    if not folder.items:
        empty = parts.empty("Nothing is stored here yet", "`archiver demo` fills an archive.")
        return Page("Bucket", [parts.heading("Bucket", over=_crumbs(site, "")), empty])
    content = [
        parts.heading(
            links_name(name),
            fmt.size(folder.size),
            fmt.counted(folder.objects, "object"),
            over=_crumbs(site, folder.prefix),
        ),
        parts.card(None, _items(folder), _pager(folder, links.first(query, "after"))),
    ]
    return Page(name, content)


def connect(app: Any, site: Site) -> None:
    """Nothing moves here."""


def links_name(name: str) -> str:
    """Show a part of a key as the name it stands for, where it is one."""
    try:
        return layout.unquote_name(name)
    except UnicodeDecodeError:
        return name


def _crumbs(site: Site, prefix: str) -> Any:
    shown: list[Any] = [
        parts.link(
            site.data.url.rstrip("/").rsplit("/", 1)[-1] or "archive",
            links.href("/bucket"),
            title=site.data.url,
        )
    ]
    at = ""
    for part in [part for part in prefix.split("/") if part]:
        at += part + "/"
        shown += [
            html.Span("/", className="faint", **{"aria-hidden": "true"}),
            parts.link(part, links.href("/bucket", prefix=at)),
        ]
    return html.Nav(shown, className="crumbs mono", **{"aria-label": "Where this is"})


def _items(folder: tree.Folder) -> Any:
    most = max(item.size for item in folder.items) or 1
    rows = []
    for item in folder.items:
        name = item.key[len(folder.prefix) :]
        where = (
            links.href("/bucket", prefix=item.key) if item.is_folder else links.href("/bucket", key=item.key)
        )
        icon = html.Span(className=f"glyph glyph-{'folder' if item.is_folder else 'file'}")
        about = _ABOUT.get(item.key, "")
        rows.append(
            [
                html.Div(
                    [icon, parts.link(name, where, kind="mono"), html.Span(about, className="muted about")],
                    className="entry",
                ),
                parts.bar(item.size / most, fmt.size(item.size)),
                f"{item.size / folder.size:.1%}" if folder.size else fmt.NONE,
                fmt.count(item.objects) if item.is_folder else "",
                html.Span(fmt.age(item.modified), title=fmt.moment(item.modified), className="line")
                if item.modified
                else "",
            ]
        )
    head = ["Name", "Size", "Share", "Objects", "Last change"]
    return parts.table(head, rows, right=[1, 2, 3], caption=f"Below {folder.prefix or 'the archive'}")


def _pager(folder: tree.Folder, after: str) -> Any:
    if not after and not folder.after:
        return None
    return html.Nav(
        [
            parts.button("← First", links.href("/bucket", prefix=folder.prefix)) if after else None,
            html.Span(f"{len(folder.items):,} shown", className="muted"),
            parts.button("Next →", links.href("/bucket", prefix=folder.prefix, after=folder.after))
            if folder.after
            else None,
        ],
        className="pager",
        **{"aria-label": "Pages of objects"},
    )


def _object(site: Site, key: str) -> Page:
    entry = site.objects.entry(key)
    name = key.rsplit("/", 1)[-1]
    run = layout.run_of_record(key) or next(
        (part for part in key.replace(".", "/").split("/") if is_run_id(part)), None
    )
    facts: list[tuple[str, Any]] = [
        ("Key", html.Code(key)),
        ("Size", f"{fmt.size(entry.size)} ({entry.size:,} bytes)"),
        ("Last change", f"{fmt.moment(entry.modified)}, {fmt.age(entry.modified)}"),
    ]
    cold = warmth(site.data.store, key)
    if cold is not None:
        facts.append(("Storage class", cold.storage_class.replace("_", " ").capitalize()))
        if cold.until is not None:
            facts.append(("Thawed until", fmt.moment(cold.until)))
    if run:
        facts.append(("Run", parts.link(run, links.run(run), kind="mono")))
    frozen = cold is not None and not cold.readable
    damage = None if frozen else parts.safely(lambda: _checked(site, entry, run, facts))()
    content = [
        parts.heading(
            html.Span(name, className="mono"),
            over=_crumbs(site, key.rpartition("/")[0]),
            actions=[
                html.A("Download", href=links.href("/api/object", key=key), className="button", download="")
            ],
        ),
        parts.card("Object", parts.pairs(facts)),
        _frozen()
        if frozen
        else damage or parts.safely(lambda: _preview(tree.preview(site.data.store, entry), key))(),
    ]
    return Page(name, content)


def _checked(site: Site, entry: Entry, run: str | None, facts: list[tuple[str, Any]]) -> None:
    """Compare an object with what a record says of it, and add that to the facts. Raises IntegrityError for damage."""
    try:
        seen = site.data.seen()
        if run is not None:
            records = [*seen.whole([run]).values()]
        elif entry.key.startswith(layout.SHARED):
            records = seen.newest_records(site.data.many)
        else:
            return
    except ArchiverError as error:
        # What is wrong with a record is no reason not to show other objects.
        facts.append(("sha256", ["not known: ", *parts.prose(str(error))]))
        return
    lost = [one.error for one in site.data.unread if one.run == run]
    facts += [("sha256", ["not known: ", *parts.prose(str(error))]) for error in lost]
    ref = next((ref for record in records for ref in reachable(record) if ref.key == entry.key), None)
    if ref is None:
        if run is None and len(records) < len(seen):
            facts.append(("sha256", "not known: only the records of the newest runs were looked at"))
        return
    sha256 = html.Code(ref.sha256)
    if entry.size > _MOST_COMPARED:
        facts.append(("sha256", [sha256, " in its record; not compared with these bytes here"]))
        return
    wrong = None if ref.plain or entry.size == ref.size else f"is damaged: its record says {ref.size:,} bytes"
    wrong = wrong or compare(site.data.store, ref)[1]
    if wrong is None:
        facts.append(("sha256", [sha256, " ", parts.badge("matches", "good")]))
        return
    facts.append(("sha256", [sha256, " ", parts.badge("does not match", "bad")]))
    raise IntegrityError(f"{entry.key} {wrong}; `archiver verify` tells what it takes to mend it")


def _frozen() -> Any:
    return parts.empty(
        "This object is frozen",
        "It can be read once it is thawed: `archiver bundle restore` asks for that and waits.",
    )


def _preview(shown: tree.Preview, key: str) -> Any:
    if shown.kind == "table" and shown.table is not None:
        return parts.card(
            "Preview", parts.pairs(shown.facts), html.Br(), _table(shown.table), note=shown.note
        )
    if shown.kind == "damaged":
        raise IntegrityError(shown.note)
    if shown.kind == "text" and shown.text:
        name = key.removesuffix(".zst")
        return parts.card("Preview", code.text_block(shown.text, name), note=shown.note)
    return parts.card("Preview", parts.empty("No preview", shown.note or "This object is empty."))


def _table(table: pa.Table) -> Any:
    names = table.column_names[:60]
    rows = [
        [html.Span(_cell(row[name]), className="line") for name in names]
        for row in table.select(names).to_pylist()
    ]
    head = [
        html.Span([name, html.Span(str(table.schema.field(name).type)[:24], className="unit")])
        for name in names
    ]
    return parts.table(head, rows, caption="First rows", dense=True)


def _cell(value: Any) -> str:
    if isinstance(value, list | dict):
        text = str(value)
        return text[:60] + ("…" if len(text) > 60 else "")
    return fmt.number(plain_value(value))[:200]
