"""A curve drawn with the dots of braille letters, its peaks kept however long it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.widgets import Static

from archiver.base.humanize import NOT_DRAWN, curve_values, number, printable

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_AXIS = 8


def draw(values: Sequence[float], width: int, height: int) -> list[str]:
    """Draw a curve in lines of text, `height` lines of `width` letters; empty where nothing is finite.

    What is no finite number leaves a gap. Where several points share a column, the span between the least and the
    greatest is drawn.
    """
    columns = _columns(values, width * 2)
    known = [span for span in columns if span is not None]
    if not known or width < 1 or height < 1:
        return []
    low, high = min(span[0] for span in known), max(span[1] for span in known)
    rows = height * 4 - 1
    middle = rows // 2

    def row(value: float) -> int:
        # Halves, so that the difference of the two largest numbers is finite.
        return middle if high == low else round((high / 2 - value / 2) / (high / 2 - low / 2) * rows)

    cells = [[0] * width for _ in range(height)]
    before: tuple[int, int] | None = None
    for x, span in enumerate(columns):
        if span is None:
            before = None
            continue
        top, bottom = row(span[1]), row(span[0])
        begin, end = top, bottom
        if before is not None:  # no gap between neighbours
            begin, end = min(begin, before[1] + 1), max(end, before[0] - 1)
        for y in range(min(begin, rows), max(end, 0) + 1):
            cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
        before = (top, bottom)
    return ["".join(chr(0x2800 + bits) for bits in line) for line in cells]


def _columns(values: Sequence[float], count: int) -> list[tuple[float, float] | None]:
    """Return the least and greatest finite value of each column of dots."""
    total, count = len(values), max(1, count)
    spans: list[tuple[float, float] | None] = []
    for at in range(count):
        begin = at * total // count
        part = values[begin : max(begin + 1, (at + 1) * total // count)]
        finite = [value for value in part if _is_finite(value)]
        spans.append((float(min(finite)), float(max(finite))) if finite else None)
    return spans


def _is_finite(value: float) -> bool:
    return -1e308 < value < 1e308


class Plot(Static):
    """A curve with its title and axes, drawn anew when its place changes."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        super().__init__(id=id)
        self._title = ""
        self._curve: Any = None
        self._span: tuple[str, str] | None = None

    def set_curve(self, title: str, curve: Any, span: tuple[str, str] | None = None) -> None:
        """Show another curve: a list of numbers, or whatever was saved as one. span: its first and last moment."""
        self._title, self._curve, self._span = title, curve, span
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw()

    def _draw(self) -> None:
        self.update(picture(self._title, self._curve, self.size.width, self.size.height, self._span))


def picture(title: str, curve: Any, width: int, height: int, span: tuple[str, str] | None = None) -> Text:
    """Return a curve with its title above, values at the left, and below how many points, or the ends of its span."""
    values = curve_values(curve)
    if values is None and curve:
        return Text(f"{title}: {NOT_DRAWN}", "dim")
    if not values:
        return Text(f"{title}: none was saved", "dim")
    finite = [value for value in values if _is_finite(value)]
    if not finite:
        return Text(f"{title}: none of its {len(values):,} values is a finite number", "dim")
    high, low = number(max(finite)), number(min(finite))
    axis = max(_AXIS, len(high), len(low))
    lines = draw(values, max(1, width - axis - 1), max(1, height - 2))
    gaps = len(values) - len(finite)
    text = Text(f"{title}  ", "bold", no_wrap=True)
    text.append(
        f"{number(finite[0])} → {number(finite[-1])}   least {low}   greatest {high}"
        + (f"   {gaps:,} not finite" if gaps else ""),
        "not bold dim",
    )
    labels = {0: high, len(lines) - 1: low}
    for at, line in enumerate(lines):
        text.append(f"\n{labels.get(at, ''):>{axis}} ", "not bold dim")
        text.append(line, "not bold red" if finite[-1] < finite[0] else "not bold green")
    last = f"{len(values):,} points"
    below = f"{last:>{max(0, width - 1)}}"
    if span is not None:
        begin, end = (printable(moment[:16]) for moment in span)
        below = f"{'':>{axis}} {begin}{f'{last}   {end}':>{max(0, width - axis - len(begin) - 2)}}"
    text.append(f"\n{below}", "not bold dim")
    return text
