"""What all pages share: where one is, reading in the background, and a clear state for whatever goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from archiver.tui.cells import plain
from archiver.tui.data import Source, explain
from archiver.tui.keys import Keys
from archiver.tui.table import Table

T = TypeVar("T")
_NEED_ROWS = frozenset({"ask", "about", "sort", "reverse", "curve", "open"})


COMMON: list[BindingType] = [
    Binding("escape", "back", "Back"),
    Binding("r", "reload", show=False),
    Binding("question_mark", "keys", "Keys", key_display="?"),
    Binding("q", "app.quit", "Quit"),
    Binding("tab", "app.focus_next", show=False),
    Binding("shift+tab", "app.focus_previous", show=False),
]
"""The keys of every page; a page's own come before them."""


class Page(Screen[None], Generic[T], inherit_bindings=False):
    """One page: `load` runs in a thread, `show` puts what it returned on the screen.

    A page is a line that says where one is, its body, a line that says what is seen, and the keys. While it reads,
    where there is nothing, and when it fails, a text stands in place of the body.
    """

    BINDINGS: ClassVar[list[BindingType]] = COMMON
    AUTO_FOCUS = ""
    where: Sequence[str] = ()
    """The names that lead here, the universe first."""
    every: ClassVar[float] = 3.0
    """Seconds after which a page that follows looks again."""
    asks: ClassVar[dict[str, str]] = {}
    """What can be typed here: by its kind, what the input line says."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.typed: dict[str, str] = {}
        self._asked = ""
        self._ready = False
        self._turn = 0

    def compose(self) -> ComposeResult:
        """Make the parts; `body` makes what is between the lines."""
        yield Static(self.path(), id="where")
        yield Static(Text(""), id="state")
        with Vertical(id="body"):
            yield from self.body()
        yield Input(id="ask")
        yield Static(Text(""), id="seen")
        yield Keys()

    def body(self) -> Sequence[Widget]:
        """Make the widgets of the page: a table."""
        return [Table(id="table")]

    def load(self) -> T:
        """Read what the page shows; runs in a thread and may raise."""
        raise NotImplementedError

    def show(self, found: T) -> None:
        """Put on the screen what `load` returned."""
        raise NotImplementedError

    def follows(self) -> bool:
        """Tell whether what the page shows still grows; runs in a thread and may raise. Then the page is made anew whenever it has."""
        return False

    def narrow(self) -> None:
        """Show what is there anew: something else was typed."""

    @property
    def table(self) -> Table:
        """The page's table."""
        return self.query_one("#table", Table)

    def on_mount(self) -> None:
        """Begin to read."""
        self.query_one("#ask").display = False
        self.action_reload()

    def action_reload(self) -> None:
        """Read again."""
        self._turn += 1
        self.say(f"reading {self.source.url} ...")
        self._begin(self._read, self._turn)

    def _begin(self, work: Callable[..., None], *arguments: Any) -> None:
        # A daemon: a store that does not answer must not keep the terminal when the user leaves.
        threading.Thread(target=copy_context().run, args=(work, *arguments), daemon=True).start()

    def _read(self, turn: int) -> None:
        try:
            # Before the rest: what comes meanwhile is then seen at the next look.
            version = self._growing()
            found = self.load()
        except Exception as error:  # noqa: BLE001  # a page shows a state, never a traceback
            self._later(self._failed, turn, error)
        else:
            self._later(self._loaded, turn, found)
            self._later(self._wait, turn, version)

    def _growing(self) -> str:
        """Return the version of the archive while the page follows, else nothing."""
        return self.source.version() if self.follows() else ""

    def _wait(self, turn: int, version: str) -> None:
        if version and self._is_awaited(turn):
            self.set_timer(self.every, lambda: self._look(turn, version))

    def _look(self, turn: int, version: str) -> None:
        """Look again, unless the page is not in front or something is being typed."""
        if self.app.screen is self and not self.query_one("#ask").display:
            self._begin(self._read_again, turn, version)
        else:
            self._wait(turn, version)

    def _read_again(self, turn: int, version: str) -> None:
        try:
            now = self.source.version()
            if now != version:
                version, found = self._growing(), self.load()
                self._later(self._show_again, turn, found)
        except Exception:  # noqa: BLE001, S110  # what was read stays; `r` says what is wrong
            pass
        self._later(self._wait, turn, version)

    def _show_again(self, turn: int, found: T) -> None:
        """Show what has come; the cursor stays on the row that it is on."""
        if not self._is_awaited(turn) or not self._ready:
            return
        under = self.table.under()
        self._loaded(turn, found)
        if self._ready:
            self.table.back_to(under)

    def _later(self, callback: Any, *arguments: Any) -> None:
        if self.app.is_running:
            self.app.call_later(callback, *arguments)

    def _failed(self, turn: int, error: Exception) -> None:
        if self._is_awaited(turn):
            self.say(explain(error), "Press r to try again, escape to go back.", bad=True)

    def _loaded(self, turn: int, found: T) -> None:
        if not self._is_awaited(turn):
            return
        self.say("")
        try:
            self.show(found)
        except Exception as error:  # noqa: BLE001  # as above
            self._failed(turn, error)

    def _is_awaited(self, turn: int) -> bool:
        return turn == self._turn and self.is_attached

    def say(self, text: str, more: str = "", *, bad: bool = False) -> None:
        """Put a text in place of the body; no text puts the body back."""
        self._ready = not text
        self.refresh_bindings()
        state = self.query_one("#state", Static)
        state.update(Text.assemble(plain(text, "bold red" if bad else ""), "\n\n", Text(more, "dim")))
        state.display = bool(text)
        body = self.query_one("#body")
        body.display = not text
        if not text:
            self.focus_first()

    def focus_first(self) -> None:
        """Give the keys to the page's table."""
        if self.query("#table"):
            self.table.focus()

    def tell(self, text: str | Text) -> None:
        """Say in the line below the body what is seen."""
        self.query_one("#seen", Static).update(plain(text) if isinstance(text, str) else text)

    def path(self) -> Text:
        """Write the names that lead here."""
        url = self.source.url
        text = plain(url.rstrip("/").rsplit("/", 1)[-1] if self.where else url, "bold")
        for name in self.where:
            short = name if len(name) <= 60 else name[:57] + "..."
            text = Text.assemble(text, (" > ", "dim"), plain(short, "bold cyan"))
        return text

    def action_back(self) -> None:
        """Leave the input line, else the page; the first page stays."""
        if self.query_one("#ask").display:
            self._end_asking()
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002  # Textual's
        """Grey the keys out that need something to be there, while nothing is."""
        return None if action in _NEED_ROWS and not self._ready else True

    async def action_keys(self) -> None:
        """Explain the keys."""
        await self.run_action("app.explain_keys")

    def action_ask(self, kind: str) -> None:
        """Let something be typed."""
        line = self.query_one("#ask", Input)
        self._asked = kind
        line.placeholder = self.asks[kind]
        line.value = self.typed.get(kind, "")
        line.display = True
        line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed."""
        event.stop()
        self.typed[self._asked] = event.value.strip()
        self._end_asking()
        self.narrow()

    def _end_asking(self) -> None:
        self.query_one("#ask").display = False
        self.focus_first()

    def matches(self, *texts: str) -> bool:
        """Tell whether all words of the search are in one of the texts."""
        words = self.typed.get("search", "").casefold().split()
        return all(any(word in text.casefold() for text in texts) for word in words)


def left_out(unread: Sequence[str]) -> str:
    """Say what could not be read and is not shown; nothing where all was."""
    more = f" (and {len(unread) - 1:,} more)" if len(unread) > 1 else ""
    return f"   left out: {unread[0]}{more}" if unread else ""
