"""Source text on a page: a tree of files, highlighted lines, coloured diffs. Everything stays text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from dash import html

from archiver.web.elements import parts

_MOST_CHARACTERS = 150_000
_MOST_LINES = 4_000
_KINDS = (
    ("Comment", "c"),
    ("Keyword", "k"),
    ("Literal.String", "s"),
    ("String", "s"),
    ("Literal.Number", "n"),
    ("Number", "n"),
    ("Name.Function", "f"),
    ("Name.Class", "f"),
    ("Name.Decorator", "d"),
    ("Name.Builtin", "b"),
    ("Operator.Word", "k"),
)


def url_path(path: str) -> str:
    """Quote a path for a URL, its slashes kept."""
    return quote(path, safe="/")


def block(data: bytes, name: str) -> Any:
    """Show a file's bytes: highlighted text where it is text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return parts.empty("Not text", "Download the file to look at it.")
    return text_block(text, name)


def text_block(text: str, name: str) -> Any:
    """Show text, highlighted by what its name says it is."""
    cut = len(text) > _MOST_CHARACTERS
    shown = text[:_MOST_CHARACTERS] if cut else text
    note = html.P(f"The first {_MOST_CHARACTERS:,} characters.", className="note") if cut else None
    if shown.count("\n") > _MOST_LINES:
        content: Any = shown
    else:
        content = [
            html.Span(piece, className=kind) if kind else piece for kind, piece in _pieces(shown, name)
        ]
    return html.Div([html.Pre(html.Code(content), tabIndex="0", className="source"), note])


@lru_cache(maxsize=32)
def _pieces(text: str, name: str) -> tuple[tuple[str, str], ...]:
    from pygments.lexers import get_lexer_for_filename
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_for_filename(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return (("", text),)
    found: list[tuple[str, str]] = []
    for token, value in lexer.get_tokens(text):
        own = str(token).removeprefix("Token.")
        kind = next((short for prefix, short in _KINDS if own.startswith(prefix)), "")
        if own.startswith("Generic."):
            kind = {"Inserted": "add", "Deleted": "del", "Subheading": "hunk", "Heading": "head"}.get(
                own[8:], ""
            )
        if found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + value)
        else:
            found.append((kind, value))
    return tuple(found)


def diff_block(text: str) -> Any:
    """Show a unified diff, line by line."""
    lines = text.removesuffix("\n").split("\n")
    shown = []
    for line in lines[:_MOST_LINES]:
        kind = (
            "head" if line.startswith(("--- ", "+++ ")) else
            "hunk" if line.startswith("@@") else
            "add" if line.startswith("+") else
            "del" if line.startswith("-") else ""
        )  # fmt: skip
        shown.append(html.Span(line, className=kind))
    more = len(lines) - _MOST_LINES
    note = html.P(f"{more:,} more lines are not shown.", className="note") if more > 0 else None
    return html.Div([html.Pre(html.Code(shown), tabIndex="0", className="source diff"), note])


def tree(paths: Sequence[str], chosen: str, address: Callable[[str], str]) -> Any:
    """Show paths as a tree of folders, the chosen one marked."""
    folders: dict[str, Any] = {}
    for path in sorted(paths):
        *above, name = path.split("/")
        place = folders
        for part in above:
            place = place.setdefault(part + "/", {})
        place[name] = path

    def branch(place: dict[str, Any]) -> Any:
        items = []
        for name, value in sorted(place.items(), key=lambda item: (not isinstance(item[1], dict), item[0])):
            if isinstance(value, dict):
                items.append(html.Li([html.Span(name, className="folder"), branch(value)]))
            else:
                extra = {"aria-current": "true"} if value == chosen else {}
                items.append(html.Li(html.A(name, href=address(value), title=value, **extra)))
        return html.Ul(items)

    return html.Div(branch(folders), className="tree")
