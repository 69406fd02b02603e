"""One of many names, chosen by typing and arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from archiver.tui.cells import plain


class Choice(ModalScreen[str | None]):
    """Asks for one of some names; None when the user leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]

    def __init__(self, title: str, names: Sequence[str]) -> None:
        super().__init__()
        self._title, self._names, self._seen = title, list(names), list(names)

    def compose(self) -> ComposeResult:
        """Make the input line and the list."""
        with Vertical(id="choice"):
            yield Static(plain(self._title, "bold"))
            yield Input(placeholder="type to narrow")
            yield OptionList(*map(plain, self._names))

    def on_mount(self) -> None:
        """Begin with the first name."""
        self.query_one(Input).focus()
        self.query_one(OptionList).highlighted = 0

    def on_input_changed(self, event: Input.Changed) -> None:
        """List the names that hold what was typed."""
        typed = event.value.casefold()
        self._seen = [name for name in self._names if typed in name.casefold()]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(map(plain, self._seen))
        options.highlighted = 0 if self._seen else None

    def on_input_submitted(self) -> None:
        """Take the name under the cursor."""
        if self._seen:
            self.dismiss(self._seen[self.query_one(OptionList).highlighted or 0])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the name that was clicked."""
        self.dismiss(self._seen[event.option_index])

    def action_move(self, by: int) -> None:
        """Move the cursor of the list while the input line has the keys."""
        options = self.query_one(OptionList)
        if self._seen:
            options.highlighted = ((options.highlighted or 0) + by) % len(self._seen)

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)
