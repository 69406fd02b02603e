"""The beginning of an object or a captured file: a table, text, or why neither can be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.text import Text
from textual.widget import Widget
from textual.widgets import TextArea

from archiver.base.humanize import printable
from archiver.query.tree import Preview
from archiver.tui.cells import plain, shown
from archiver.tui.data import Source
from archiver.tui.page import Page
from archiver.tui.table import Table

_MOST_LINES = 5_000
_LONGEST_LINE = 2_000


class PreviewPage(Page[Preview]):
    """What an object holds."""

    def __init__(self, source: Source, where: Sequence[str], read: Callable[[], Preview]) -> None:
        super().__init__(source)
        self.where, self._reader = where, read

    def body(self) -> Iterator[Widget]:  # type: ignore[override]  # widgets one by one
        """Make a table and a text; only one is seen."""
        yield Table(id="table")
        yield TextArea("", id="text", read_only=True, soft_wrap=False, show_line_numbers=True)

    def load(self) -> Preview:
        """Read the object."""
        return self._reader()

    def show(self, found: Preview) -> None:
        """Show it by its kind."""
        text = self.query_one("#text", TextArea)
        self.table.display, text.display = found.kind == "table", found.kind == "text"
        note = "   ".join([*(f"{name} {value}" for name, value in found.facts), found.note])
        if found.kind in ("none", "damaged"):
            self.say(found.note, "Press escape to go back.", bad=found.kind == "damaged")
        elif found.table is not None:
            rows = found.table.to_pylist()
            self.table.fill(
                [plain(name, "bold") for name in found.table.column_names],
                len(rows),
                lambda a, b: [[shown(value) for value in row.values()] for row in rows[a:b]],
            )
        else:
            text.load_text(_harmless(found.text))
            text.focus()
        self.tell(Text(printable(note)))


def _harmless(text: str) -> str:
    """Keep lines and tabs, escape all else that could steer a terminal, cut what nobody reads."""
    lines = text.splitlines()[:_MOST_LINES]
    return "\n".join(printable(line[:_LONGEST_LINE].replace("\t", "    ")) for line in lines)
