"""What pages are built of: headings, cards, tables, states. Text is always text: nothing is taken for markup."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dash import html

from archiver.errors import (
    AccessError,
    ArchiveNotFoundError,
    ArchiverError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    NotKeptError,
    RunNotFoundError,
    StorageError,
)
from archiver.web.words import format as fmt

Part = Any
_THIRDS = 3
log = logging.getLogger("archiver.web")

_HEADS: tuple[tuple[type[ArchiverError], str], ...] = (
    (ArchiveNotFoundError, "There is no archive here yet"),
    (RunNotFoundError, "This run is not there"),
    (NotKeptError, "Its trades and curves are not here"),
    (NotFoundError, "Not found"),
    (IntegrityError, "This object is damaged"),
    (AccessError, "The store refused access"),
    (StorageError, "The store cannot be reached"),
    (ConfigError, "That cannot be shown"),
    (ArchiverError, "That did not work"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title for the browser and what it shows."""

    title: str
    content: Part


def heading(title: Part, *notes: Part, over: Part = None, actions: Sequence[Part] = ()) -> Part:
    """Begin a page: its one h1, a line above it, notes below, actions at the right."""
    text = [html.P(over, className="over")] if over is not None else []
    text.append(html.H1(title))
    if notes:
        text.append(
            html.Div(
                [html.Span(note) if isinstance(note, str) else note for note in notes if note is not None],
                className="notes",
            )
        )
    return html.Header(
        [html.Div(text, className="heading-text"), html.Div(list(actions), className="actions")],
        className="heading",
    )


def card(title: str | None, *content: Part, note: Part = None, wide: bool = False, name: str = "") -> Part:
    """Frame some content under a heading."""
    head = (
        [
            html.Div(
                [html.H2(title), html.Div(note, className="note") if note is not None else None],
                className="card-head",
            )
        ]
        if title
        else []
    )
    return html.Section(
        [*head, *content], className=" ".join(filter(None, ["card", "wide" if wide else "", name]))
    )


def thirds(cards: Sequence[tuple[int, Part]]) -> Part:
    """Place cards in rows of three thirds; what is alone in what is left of a row takes all of it."""
    rows: list[list[tuple[int, Part]]] = [[]]
    for width, content in cards:
        if sum(wide for wide, _ in rows[-1]) + width > _THIRDS:
            rows.append([])
        rows[-1].append((width, content))
    placed = []
    for row in filter(None, rows):
        more = _THIRDS - sum(width for width, _ in row)
        for at, (width, content) in enumerate(row):
            wide = width + (more if at == len(row) - 1 else 0)
            placed.append(html.Div(content, className=f"span-{wide}"))
    return html.Div(placed, className="grid")


def stat(label: str, value: Part, note: Part = None) -> Part:
    """Show one figure large."""
    return html.Div(
        [
            html.Dt(label),
            html.Dd(value, className="value"),
            html.Dd(note, className="note") if note else None,
        ],
        className="stat",
    )


def stats(*figures: Part) -> Part:
    """Show figures in a row."""
    return html.Dl([figure for figure in figures if figure is not None], className="stats")


def table(
    headers: Sequence[Part],
    rows: Sequence[Sequence[Part]],
    *,
    right: Sequence[int] = (),
    caption: str | None = None,
    dense: bool = False,
    kinds: Sequence[str] = (),
) -> Part:
    """Show rows; `right` are the columns of numbers, `kinds` the classes of rows. A narrow window scrolls the table."""
    numeric = set(right)
    classes = [*kinds, *[""] * len(rows)]

    def cells(row: Sequence[Part]) -> list[Part]:
        return [html.Td(value, className="number" if at in numeric else None) for at, value in enumerate(row)]

    head = html.Thead(
        html.Tr(
            [
                html.Th(value, scope="col", className="number" if at in numeric else None)
                for at, value in enumerate(headers)
            ]
        )
    )
    body = html.Tbody(
        [html.Tr(cells(row), className=kind or None) for row, kind in zip(rows, classes, strict=False)]
    )
    named = [html.Caption(caption, className="unseen")] if caption else []
    return html.Div(
        html.Table([*named, head, body], className="dense" if dense else None),
        className="scroll",
        tabIndex="0",
        role="region",
        **{"aria-label": caption or "Table"},
    )


def pairs(items: Iterable[tuple[str, Part]]) -> Part:
    """Show names with their values."""
    return html.Dl(
        [part for name, value in items for part in (html.Dt(name), html.Dd(value))], className="pairs"
    )


def facts(items: Iterable[tuple[str, Part]]) -> Part:
    """Show names with their values in one line, as long as there is room; a name never parts from its value."""
    return html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in items], className="pairs")


def link(text: Part, address: str, *, title: str | None = None, kind: str | None = None) -> Part:
    """Lead to another page of ours; assets/page.js follows it without loading everything anew."""
    return html.A(text, href=address, title=title, className=kind)


def button(text: Part, address: str, *, download: bool = False, title: str | None = None) -> Part:
    """Lead to a page or a download, drawn as a button."""
    extra = {"download": ""} if download else {}
    return html.A(text, href=address, title=title, className="button", **extra)


def menu(label: Part, *content: Part, name: str | None = None, kind: str = "") -> Part:
    """Hide content behind a button, without any script."""
    extra = {"id": name} if name else {}
    return html.Details(
        [html.Summary(label, className="button"), html.Div(list(content), className="menu-body")],
        className=f"menu {kind}".strip(),
        **extra,
    )


def spaced(name: str) -> list[Part]:
    """Show a name that may be wrapped behind each of its words, not within a number: where one is joined to the next by `_`."""
    words = name.split("_")
    pieces: list[Part] = [words[0]]
    for word in words[1:]:
        pieces += [html.Wbr(), f"_{word}"]
    return pieces


def named(name: Part, note: str) -> Part:
    """Show a name with a muted line below it; where there is no room the name is wrapped, then both are cut."""
    return html.Div(
        [html.Div(name, className="line"), html.Div(note, className="line muted")], className="named"
    )


def badge(text: Part, kind: str = "") -> Part:
    """Mark something with a word."""
    return html.Span(text, className=f"badge {kind}".strip())


def tags(labels: Iterable[str]) -> Part:
    """Show a run's tags; `pinned` stands out."""
    return html.Span(
        [html.Span(badge(label, "pinned" if label == "pinned" else ""), title=label) for label in labels],
        className="tags",
    )


def bar(share: float, text: Part = None) -> Part:
    """Draw a share of a whole as a bar behind a number."""
    width = max(0.0, min(1.0, share)) * 100
    return html.Div(
        [html.Div(className="bar-fill", style={"width": f"{width:.2f}%"}), html.Span(text)], className="bar"
    )


def signed(text: str, value: Any) -> Part:
    """Colour a number by its sign."""
    kind = ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        kind = "good" if value > 0 else "bad" if value < 0 else ""
    return html.Span(text, className=kind or None)


def marked(text: Part, *, best: bool) -> Part:
    """Mark the best of a row: seen by its weight and its colour, said in words to those who hear it."""
    return html.Span([text, html.Span(" (best)", className="unseen")], className="best-of") if best else text


def waiting(text: str = "Loading", *, lines: int = 3) -> Part:
    """Hold the place of something that is on its way."""
    return html.Div(
        [html.Span(text, className="unseen"), *(html.Div(className="bone") for _ in range(lines))],
        className="waiting",
        role="status",
    )


def empty(title: str, *text: Part) -> Part:
    """Say that there is nothing, and what to do about it."""
    return html.Div(
        [html.H2(title), *(html.P(prose(part) if isinstance(part, str) else part) for part in text)],
        className="state empty",
    )


def failed(error: Exception, *more: Part) -> Part:
    """Say what went wrong: an expected error's own line; of any other only a number to find it in the log."""
    head, text, kind = _said(error)
    return html.Div([html.H2(head), *text, *map(html.P, more)], className=f"state {kind}", role="alert")


def left_out(damaged: Mapping[str, Exception]) -> Part:
    """Say of which universes runs are missing from what is shown, and why; None where all are there."""
    if not damaged:
        return None
    first = next(iter(damaged))
    what = f"the universe {first}" if len(damaged) == 1 else f"{len(damaged)} universes"
    return failed(damaged[first], f"What cannot be read of {what} is left out; everything else is shown.")


def failed_page(error: Exception) -> Page:
    """Say what went wrong where a whole page could not be made, and where to go from there."""
    head, text, kind = _said(error)
    state = html.Div([*text, _ways_on()], className=f"state {kind}", role="alert")
    return Page(head, [heading(head), state])


def no_page(path: str) -> Part:
    """Say that an address leads nowhere, and where to go from there."""
    text = html.P(["Nothing is at ", html.Code(path[:200]), "."])
    return [heading("There is no such page"), html.Div([text, _ways_on()], className="state empty")]


def _ways_on() -> Part:
    ways = (("Overview", "./"), ("Strategies", "strategies"), ("Runs", "runs"))
    return html.Div([button(text, address) for text, address in ways], className="actions")


def _said(error: Exception) -> tuple[str, list[Part], str]:
    """Return a head, paragraphs, and the kind of state."""
    if isinstance(error, ArchiverError):
        head = next(text for kind, text in _HEADS if isinstance(error, kind))
        text: list[Part] = [html.P(prose(str(error)))]
        if isinstance(error, StorageError):
            text.append(html.P("Nothing was changed. Reload the page once the store answers again."))
        return head, text, "empty" if isinstance(error, NotFoundError) else "error"
    number = secrets.token_hex(4)
    log.error("unexpected error %s", number, exc_info=error)
    text = [html.P(f"The server's log has the reason under {number}.")]
    return "Something went wrong on this page", text, "error"


def prose(text: str) -> list[Part]:
    """Show what stands between backticks as code, to be copied."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return [text]
    return [html.Code(piece) if at % 2 else piece for at, piece in enumerate(pieces) if piece]


def safely(make: Callable[..., Part]) -> Callable[..., Part]:
    """Return the same function with every failure made a state on the page."""

    def made(*arguments: Any) -> Part:
        try:
            return make(*arguments)
        except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
            return failed(error)

    return made


def metric_name(name: str, *, unit: bool = True) -> Part:
    """Show a metric's name for people, with the exact one where a pointer rests, and its unit if wanted."""
    own = fmt.unit(name) if unit else ""
    note = html.Span(own, className="unit") if own not in ("", "count", "ratio") else None
    return html.Span([fmt.title(name), note], title=name, className="metric")
