"""A table of numbers as blocks of colour, for terminals: numbers in them where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archiver.base.colors import ink, shade, shares
from archiver.base.humanize import number, printable

if TYPE_CHECKING:
    from rich.text import Text


def blocks(
    values: Sequence[Sequence[float]],
    x: tuple[str, Sequence[str]],
    y: tuple[str, Sequence[str]],
    width: int,
    *,
    greatest: bool = True,
) -> Text:
    """Draw rows of numbers, the last above as in a plot, NaN left clear.

    Arguments:
        values: a row for each label of y, a number for each of x.
        x, y: what the columns and the rows are, and their labels.
        width: columns of the terminal.
        greatest: whether the greatest is the best, and so the lightest.
    """
    from rich.text import Text

    labels = [printable(label) for label in x[1]]
    rows = [printable(label) for label in y[1]]
    written = [["" if value != value else number(value) for value in row] for row in values]
    left = max(map(len, [y[0], *rows])) + 1
    each = max((len(text) for row in [labels, *written] for text in row), default=1) + 2
    if left + each * len(labels) > width:  # no room for numbers: blocks alone, the ends named
        each = max(1, (width - left) // max(1, len(labels)))
        written = [[""] * len(row) for row in written]
    drawn = Text(no_wrap=True, overflow="crop")
    coloured = shares([list(row) for row in values], greatest=greatest)
    for row in reversed(range(len(rows))):
        drawn.append(f"{rows[row]:>{left - 1}} ")
        for share, text in zip(coloured[row], written[row], strict=True):
            style = "" if share is None else f"rgb{_triple(ink(share))} on rgb{_triple(shade(share))}"
            drawn.append(f"{text:^{each}}", style)
        drawn.append("\n")
    below = "".join(f"{label:^{each}}" for label in labels)
    if each < max(map(len, labels), default=0) + 1:
        first, last = labels[0], labels[-1]
        below = f"{first}{last:>{max(1, each * len(labels) - len(first))}}"
    drawn.append(f"{' ' * left}{below}\n", "dim")
    drawn.append(f"{printable(y[0])} up, {printable(x[0])} across", "dim")
    return drawn


def _triple(color: tuple[int, int, int]) -> str:
    return "({},{},{})".format(*color)
