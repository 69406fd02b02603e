"""What takes the space: the objects as folders, largest first, and what is in one."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Static

from archiver.base.humanize import age, counted, size
from archiver.query.tree import Folder, Item
from archiver.tui.cells import at_right, bar, shown
from archiver.tui.data import Source
from archiver.tui.page import COMMON, Page
from archiver.tui.preview import PreviewPage

_LONGEST = 70


class Space(Page[Folder], inherit_bindings=False):
    """One folder after the other, each with its share of the folder above."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace,h", "up", "Up", key_display="⌫"),
        Binding("l", "open", show=False),
        Binding("s", "sort('size')", "By size"),
        Binding("n", "sort('name')", "By name"),
        Binding("o", "sort('objects')", "By objects"),
        Binding("slash", "ask('search')", "Search", key_display="/"),
        *COMMON,
    ]
    asks: ClassVar[dict[str, str]] = {"search": "words in a name in this folder"}
    _found: Folder
    _seen: list[Item]

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.prefix = ""
        self.where = ("space",)
        self._order = "size"
        self._anew = True
        self._places: dict[str, int] = {}

    def load(self) -> Folder:
        """List the store, and roll it up."""
        return self.source.folder(self.prefix, anew=self._anew)

    def action_reload(self) -> None:
        """List the store again."""
        self._anew = True
        super().action_reload()

    def show(self, found: Folder) -> None:
        """List what lies in the folder."""
        self._found, self._anew = found, False
        self.where = ("space", *found.prefix.split("/")[:-1])
        self.query_one("#where", Static).update(self.path())
        if not found.items:
            self.say("There is no object here.", "Press escape to go back.")
            return
        self.narrow()

    def narrow(self) -> None:
        """List the entries that match the search, in the order chosen."""
        found = self._found
        items = [item for item in found.items if self.matches(self._entry_name(item))]
        if self._order != "name":
            items.sort(key=lambda item: (-getattr(item, self._order), item.key))
        self._seen = items
        headers = [
            Text("size", "bold", justify="right"),
            Text("share", "bold"),
            Text("objects", "bold", justify="right"),
            Text("age", "bold", justify="right"),
            Text("name", "bold"),
        ]
        most = max((item.size for item in items), default=0)
        self.table.fill(
            headers,
            len(items),
            lambda a, b: [self._row(item, most) for item in items[a:b]],
            self._places.get(self.prefix, 0),
        )
        of = f"{len(items):,} of " if len(items) < len(found.items) else ""
        self.tell(
            f"{of}{counted(len(found.items), 'entry', 'entries')}, {counted(found.objects, 'object')},"
            f" {size(found.size)},"
            f" by {self._order}"
        )

    def _row(self, item: Item, most: int) -> list[Text]:
        share = item.size / self._found.size if self._found.size else 0.0
        percent = Text(f"{share:6.1%} ").append_text(bar(item.size / most if most else 0.0))
        return [
            at_right(size(item.size), "cyan"),
            percent,
            at_right(f"{item.objects:,}" if item.is_folder else ""),
            at_right(age(item.modified) if item.modified else "", "dim"),
            shown(self._entry_name(item), "bold" if item.is_folder else "", longest=_LONGEST),
        ]

    def _entry_name(self, item: Item) -> str:
        return item.key[len(self._found.prefix) :]

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a folder, or an object."""
        item = self._seen[event.cursor_row]
        self._places[self.prefix] = event.cursor_row
        if item.is_folder:
            self._go(item.key)
        else:
            key = item.key
            self.app.push_screen(PreviewPage(self.source, (key,), lambda: self.source.preview(key)))

    def action_open(self) -> None:
        """Open what is under the cursor."""
        self.table.action_select_cursor()

    def action_up(self) -> None:
        """Go to the folder above, from the first one to the page before."""
        if not self.prefix:
            self.action_back()
            return
        above = self.prefix.rstrip("/").rpartition("/")[0]
        self._go(f"{above}/" if above else "")

    def _go(self, prefix: str) -> None:
        self.prefix = prefix
        self.typed.clear()
        super().action_reload()

    def action_sort(self, order: str) -> None:
        """List in another order."""
        self._order = order
        self._places[self.prefix] = 0
        self.narrow()
