"""Whether the archive is sound: what a look at its structure found, and what the last verify that read data found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import html

from archiver.errors import ArchiverError
from archiver.health.verify import Verified, last_verified
from archiver.web.elements import parts
from archiver.web.words import format as fmt
from archiver.web.words import links

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

_MOST_LISTED = 5
_ONLY_PACKS = [
    "Of so many runs only the packs are looked at here: ",
    html.Code("archiver verify"),
    " looks at all.",
]


def card(site: Site) -> Any:
    """Show a verdict, and what it rests on; every problem names its object."""
    report, moment = site.checked()
    last = last_verified(site.data.store)
    listed: list[Any] = [[_object(one.key), f" {one.what}"] for one in report.problems]
    known = {one.key for one in report.problems}
    listed += [parts.prose(text) for text in _unreadable(site) if not any(key in text for key in known)]
    if listed:
        verdict = parts.badge(fmt.counted(len(listed), "problem"), "bad")
    elif last is not None and last.problems:
        verdict = parts.badge("damaged when last read", "warn")
    else:
        verdict = parts.badge("nothing missing", "good")
    many = site.data.has_many()
    facts: list[tuple[str, Any]] = [
        ("Packed runs" if many else "Runs", fmt.count(report.runs)),
        (
            "Objects of their packs" if many else "Their objects",
            f"{fmt.count(report.objects)}, sizes as recorded" if report.ok else fmt.count(report.objects),
        ),
    ]
    if report.expired:
        facts.append(("Details expired", fmt.counted(len(report.expired), "run")))
    if report.archived:
        facts.append(("Details in bundles", fmt.counted(len(report.archived), "run")))
    return parts.card(
        "Health",
        html.P([verdict, html.Span(f" checked {fmt.age(moment)}", className="muted small")]),
        parts.pairs(facts),
        _some(listed),
        html.P(_ONLY_PACKS, className="note") if many else None,
        html.P(_last_read(last), className="note"),
        _some([_object(key) for key in last.damaged]) if last is not None else None,
    )


def _object(key: str) -> Any:
    return html.A(html.Code(key), href=links.href("/bucket", key=key))


def _some(lines: list[Any]) -> Any:
    if not lines:
        return None
    more = len(lines) - _MOST_LISTED
    rest = [html.Li(f"and {more:,} more")] if more > 0 else []
    return html.Ul([*map(html.Li, lines[:_MOST_LISTED]), *rest], className="warnings")


def _unreadable(site: Site) -> list[str]:
    """Say what was found damaged when the best strategies were read: sizes alone do not show it."""
    try:
        errors = [*site.data.headline()[0].damaged.values(), *(one.error for one in site.data.unread)]
        return [str(error) for error in errors]
    except ArchiverError as error:
        return [str(error)]


def _last_read(last: Verified | None) -> Any:
    """Say when data was last read and compared: what is shown above compares sizes only."""
    if last is None:
        return ["No bytes were compared yet: ", html.Code("archiver verify --read-data"), " does."]
    read = f"{fmt.counted(last.read, 'object')} read and compared {fmt.age(last.moment)}"
    share = "" if last.share == 1 else f" (a sample of {last.share * 100:.3g}%)"
    verdict = "all was well" if not last.problems else fmt.counted(last.problems, "problem")
    return f"Last verify: {read}{share}: {verdict}."
