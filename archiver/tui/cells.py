"""Values as text in a terminal, where no name can be taken for markup or steer the terminal."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from archiver.base.humanize import cell, printable

LONGEST = 44
_EIGHTHS = " ▏▎▍▌▋▊▉"


def shown(
    value: Any, style: str = "", *, longest: int = LONGEST, column: str = "", numeric: bool = False
) -> Text:
    """Write any value of a column: numbers at the right, losses red, what is missing dim, long names cut.

    In a `numeric` column what is no number stands at the right too.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or value != value:
        style = "dim"
    elif number and value < 0:
        style = "red"
    text = Text(cell(value, column), style, justify="right" if number or numeric else "left", no_wrap=True)
    text.truncate(longest, overflow="ellipsis")
    return text


def header(name: str, text: str = "", *, numeric: bool = False) -> Text:
    """Head a column as its values stand; `text` in place of its name."""
    return Text(printable(text or name), "bold", justify="right" if numeric else "left")


def plain(text: str, style: str = "") -> Text:
    """Write a text of one line, whatever is in it, as it is."""
    return Text(printable(text), style)


def at_right(text: str, style: str = "") -> Text:
    """Write a text such as a size at the right of its column."""
    return Text(printable(text), style, justify="right")


def bar(share: float, width: int = 12) -> Text:
    """Draw a share between 0 and 1 as a bar."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    text = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Text(text.ljust(width), "cyan")
