"""Parameters of a search: a map over two of them in blocks of colour, and how much each explains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from archiver.base.blocks import blocks
from archiver.base.humanize import counted, number
from archiver.tui.choice import Choice
from archiver.tui.data import Scope, Source
from archiver.tui.page import COMMON, Page

if TYPE_CHECKING:
    from archiver.analysis.parameters import Parameters

_HOW = ("mean", "best", "median", "worst", "count")


class ParametersPage(Page["Parameters"], inherit_bindings=False):
    """A heat map over two parameters."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "choose('x')", "Across"),
        Binding("y", "choose('y')", "Up"),
        Binding("c", "how", "Cells"),
        *COMMON,
    ]
    _found: Parameters

    def __init__(self, source: Source, scope: Scope) -> None:
        super().__init__(source)
        self._scope = scope
        self.where = [name for name in (scope.universe, scope.run, "parameters") if name]
        self._axes: dict[str, str] = {}
        self._cells = _HOW[0]

    def body(self) -> Iterator[Widget]:  # type: ignore[override]  # widgets one by one
        """Make the place of the map and of what is below it."""
        with VerticalScroll(id="facts"):
            yield Static(Text(""), id="map")
            yield Static(Text(""), id="pairs")

    def focus_first(self) -> None:
        """Give the keys to what scrolls."""
        self.query_one("#facts").focus()

    def load(self) -> Parameters:
        """Read the metric and the parameters."""
        return self.source.archive.parameters(self._scope.universe, self._scope.run, errors=lambda _: None)

    def show(self, found: Parameters) -> None:
        """Draw the map, or say what is missing."""
        self._found = found
        if len(found.axes) < 2:
            self.say(
                "No two parameters have several values.", 'Save them with each result: params={"fast": 10}.'
            )
            return
        told = found.importance()
        first = list(told)
        self._axes = {"x": first[0], "y": first[1]}
        for other in first[1:]:  # one that strategies have together with the first
            if found.heat(first[0], other, "count").counts.any():
                self._axes["y"] = other
                break
        lines = [
            f"{found.axis(name).label:<24} alone {_percent(one.alone):>5}   with others {_percent(one.with_others):>5}"
            for name, one in told.items()
        ]
        self.query_one("#pairs", Static).update(Text("\n".join(["", "importance", *lines])))
        self._draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        if self._axes:
            self._draw()

    def _draw(self) -> None:
        found, x, y = self._found, self._axes["x"], self._axes["y"]
        heat = found.heat(x, y, self._cells)
        names = (found.axis(x).label, heat.x.labels), (found.axis(y).label, heat.y.labels)
        greatest = found.greatest or self._cells == "count"
        drawn = blocks(heat.values.tolist(), *names, max(20, self.size.width - 4), greatest=greatest)
        self.query_one("#map", Static).update(drawn)
        text = f"{self._cells} {found.metric} of {counted(len(found.values), 'strategy', 'strategies')}"
        if heat.best is not None:
            row, column = heat.best
            value = number(float(heat.values[row, column]))
            text += f"   best {value} at {names[0][0]} {heat.x.labels[column]}, {names[1][0]} {heat.y.labels[row]}"
        self.tell(text)

    def action_choose(self, which: str) -> None:
        """Choose the parameter that goes across, or up."""
        names = {one.label: one.name for one in self._found.axes} if self._axes else {}

        def chosen(label: str | None) -> None:
            if label is None:
                return
            other = "y" if which == "x" else "x"
            if self._axes[other] == names[label]:
                self._axes[other] = self._axes[which]
            self._axes[which] = names[label]
            self._draw()

        if names:
            self.app.push_screen(Choice("Across" if which == "x" else "Up", list(names)), chosen)

    def action_how(self) -> None:
        """Show the mean, best, median, worst or count of each cell, in turns."""
        if self._axes:
            self._cells = _HOW[(_HOW.index(self._cells) + 1) % len(_HOW)]
            self._draw()


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
