"""The terminal app: a stack of pages over one archive."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from archiver.tui.data import Source
from archiver.tui.lists import Universes

if TYPE_CHECKING:
    from archiver.archive import Archive

KEYS = (
    ("↑ ↓ ← →", "move; also PgUp, PgDn, Home, End"),
    ("enter", "open: universe → runs → strategies → one strategy → a trade; folder → object"),
    ("escape", "back"),
    ("/", "search by words; empty for all"),
    ("f", "filter strategies: sharpe_ratio > 1 and n_trades >= 30"),
    ("s, o", "sort strategies by another metric; turn the order round"),
    ("a", "strategies of all runs: of a universe, or of the archive"),
    ("e", "equity or drawdown"),
    ("tab", "metrics or trades"),
    ("n, p", "the next trade, the one before"),
    ("m", "from strategies: a map of their parameters; there x, y choose them, c what cells show"),
    ("i", "about the run: its record, luck, code"),
    ("d", "what takes the space; there: s, n, o order by size, name, objects; backspace up"),
    ("r", "read again"),
    ("q", "quit"),
)


class Keys(ModalScreen[None]):
    """The keys, explained."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,question_mark,q", "dismiss", "Back"),
    ]

    def compose(self) -> ComposeResult:
        """Make the list of keys; where the terminal is narrow, lines go on below."""
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True, style="bold")
        table.add_column()
        for keys, what in KEYS:
            table.add_row(keys, what)
        with VerticalScroll(id="keys"):
            yield Static(table)


class Browse(App[None]):
    """Shows an archive that was opened read-only."""

    TITLE = "archiver"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #where { height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis; }
    #state { padding: 1 2; height: 1fr; }
    #body { height: 1fr; }
    #seen { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
    #ask { height: 3; }
    #table, #metrics { height: 1fr; }
    #why { height: auto; padding: 1; }
    #plot { height: 45%; padding: 0 1; }
    #below { height: 1fr; }
    #metrics { width: 50; margin-right: 1; }
    #below #table { width: 1fr; }
    #facts { height: auto; max-height: 60%; padding: 0 1; }
    ParametersPage #facts { max-height: 100%; }
    #pairs, #map { height: auto; }
    #text { height: 1fr; border: none; }
    Choice, Keys { align: center middle; }
    #choice { width: 60; height: 24; padding: 1 2; background: $panel; border: round $primary; }
    #choice OptionList { height: 1fr; }
    #keys { width: 86; max-width: 100%; height: auto; max-height: 100%; padding: 0 2; background: $panel; border: round $primary; }
    """

    def __init__(self, archive: Archive) -> None:
        super().__init__()
        self.source = Source(archive)

    def on_mount(self) -> None:
        """Open the first page."""
        self.push_screen(Universes(self.source))

    def action_explain_keys(self) -> None:
        """Show what the keys do."""
        self.push_screen(Keys())


def run_app(archive: Archive) -> None:
    """Show an archive in this terminal until the user leaves."""
    Browse(archive).run()
    if any(thread.name.startswith("archiver-store") for thread in threading.enumerate()):
        # A store that does not answer is still being asked; nothing was written, so nobody has to wait for it.
        sys.stdout.flush()
        os._exit(0)
