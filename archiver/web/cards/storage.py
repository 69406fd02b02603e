"""What takes the space, as `archiver du` says it, and how full the place is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.errors import ArchiverError
from archiver.format import layout
from archiver.web.elements import parts
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.health.usage import Usage

_KINDS = (
    ("Metrics", "tier 1", ("tier1",), layout.TIER1),
    ("Details", "tier 2", ("tier2",), layout.TIER2),
    ("Tapes", "bars", ("tapes",), layout.TAPES),
    ("Clocks", "moments", ("clocks",), layout.CLOCKS),
    ("Files", "", ("files",), layout.FILES),
    ("Code", "", ("code",), layout.CODE),
    ("Records", "", ("records", "packs", "masks", "open", "tags", "catalog", "archive.json"), layout.RUNS),
    ("Bundles", "", ("bundles",), layout.BUNDLES),
    ("Trash", "until gc", ("trash",), layout.TRASH),
    ("Orphans", "until gc", ("orphans",), ""),
    ("Other", "", ("unfinished writes", "not archiver's"), ""),
)

_UNJUDGED = [
    "What no run needs is not told apart among so many runs: ",
    html.Code("archiver du"),
    " does.",
]


def card(usage: Usage, archive: Archive, *, judged: bool = True) -> Any:
    """Show each kind of object with its share; the kinds add up to everything stored.

    judged: whether it was looked at what no run needs.
    """
    total = usage.total
    kinds = []
    for at, (name, note, names, prefix) in enumerate(_KINDS):
        amounts = [usage.parts[one] for one in names if one in usage.parts]
        size, objects = sum(one.bytes for one in amounts), sum(one.objects for one in amounts)
        if objects:
            kinds.append((at, name, note, size, objects, prefix))
    rows = [
        [
            parts.link(_named(name, note), links.href("/bucket", prefix=prefix), kind="line"),
            parts.bar(size / total.bytes if total.bytes else 0, fmt.size(size)),
            fmt.count(objects),
        ]
        for _, name, note, size, objects, prefix in kinds
    ]
    strip = html.Div(
        [
            html.Div(
                style={"flex": f"{size} 0 0"}, className=f"strip-{at}", title=f"{name}: {fmt.size(size)}"
            )
            for at, name, _, size, _, _ in kinds
            if size
        ],
        className="strip",
        role="img",
        **{"aria-label": "Shares of the storage"},
    )
    table = parts.table(["What", "Bytes", "Objects"], rows, right=[1, 2], caption="Bytes by kind of object")
    saved = (
        f"Runs share their bars: that saves {fmt.size(usage.shared_saves)}." if usage.shared_saves else None
    )
    return parts.card(
        "Storage",
        strip,
        table,
        html.P(saved, className="note") if saved else None,
        None if judged else html.P(_UNJUDGED, className="note"),
        _space(archive),
        note=fmt.counted(total.objects, "object"),
    )


def _named(name: str, note: str) -> list[Any]:
    return [name, html.Span(f" · {note}", className="muted") if note else None]


def _space(archive: Archive) -> Any:
    """Show how full the disk or the budget is, where that can be told."""
    try:
        spaces = archive.df()
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
