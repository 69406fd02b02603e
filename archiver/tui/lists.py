"""Universes and their runs."""

from __future__ import annotations

from collections.abc import Sized
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from archiver.base.humanize import age, counted, size
from archiver.format.model import Run
from archiver.runs.details import NONE
from archiver.tui.about import AboutRun
from archiver.tui.cells import at_right, shown
from archiver.tui.data import RunRows, Scope, Source, Universe
from archiver.tui.page import COMMON, Page, left_out
from archiver.tui.space import Space
from archiver.tui.strategies import StrategiesPage

_RIGHT = {"runs", "strategies", "detailed", "size", "age", "best", "newest"}


def _of(seen: Sized, everything: Sized, noun: str) -> str:
    """Count what is seen, of how many where that is not all."""
    if len(seen) == len(everything):
        return counted(len(seen), noun)
    return f"{len(seen):,} of {counted(len(everything), noun)}"


def _headers(*names: str) -> list[Text]:
    return [Text(name, "bold", justify="right" if name in _RIGHT else "left") for name in names]


class Universes(Page[list[Universe]], inherit_bindings=False):
    """The first page: all universes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "all", "All strategies"),
        Binding("d", "space", "Space"),
        Binding("slash", "ask('search')", "Search", key_display="/"),
        *COMMON,
    ]
    asks: ClassVar[dict[str, str]] = {"search": "words in the name of a universe"}
    _all: list[Universe]
    _seen: list[Universe]

    def load(self) -> list[Universe]:
        """Read all records."""
        return self.source.universes()

    def follows(self) -> bool:
        """Follow an open run."""
        return self.source.is_open()

    def show(self, found: list[Universe]) -> None:
        """List the universes, or say that there are none."""
        self._all = found
        if not found:
            self.say("No runs yet.", "`archiver demo` makes some; d shows the objects there are.")
            self.tell("")
            return
        self.narrow()

    def narrow(self) -> None:
        """List those whose names match the search."""
        self._seen = [universe for universe in self._all if self.matches(universe.name)]
        headers = _headers("universe", "runs", "strategies", "best", "by", "size", "newest")
        self.table.fill(headers, len(self._seen), lambda a, b: [_universe_row(u) for u in self._seen[a:b]])
        runs = counted(sum(u.runs for u in self._seen), "run")
        of = "; strategies and best are of the newest run of each"
        self.tell(f"{_of(self._seen, self._all, 'universe')}, {runs}{of}{left_out(self.source.unread)}")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a universe."""
        self.app.push_screen(Runs(self.source, self._seen[event.cursor_row].name))

    def action_all(self) -> None:
        """Open the strategies of all universes."""
        self.app.push_screen(StrategiesPage(self.source, Scope()))

    def action_space(self) -> None:
        """Open the objects by size."""
        self.app.push_screen(Space(self.source))


def _universe_row(universe: Universe) -> list[Text]:
    return [
        shown(universe.name, "bold"),
        shown(universe.runs),
        shown(universe.strategies),
        at_right("–", "dim") if universe.best is None else shown(universe.best, "green"),
        shown(universe.metric, "dim"),
        at_right(size(universe.size), "cyan"),
        at_right(age(universe.newest), "dim"),
    ]


class Runs(Page[RunRows], inherit_bindings=False):
    """The runs of a universe, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "all", "All strategies"),
        Binding("i", "about", "About"),
        Binding("d", "space", "Space"),
        Binding("slash", "ask('search')", "Search", key_display="/"),
        *COMMON,
    ]
    asks: ClassVar[dict[str, str]] = {"search": "words in a run's id, tags or note"}
    _all: RunRows
    _seen: RunRows

    def __init__(self, source: Source, universe: str) -> None:
        super().__init__(source)
        self.universe = universe
        self.where = (universe,)

    def load(self) -> RunRows:
        """Read the runs."""
        return self.source.runs(self.universe)

    def follows(self) -> bool:
        """Follow an open run."""
        return self.source.is_open(self.universe)

    def show(self, found: RunRows) -> None:
        """List the runs, or say that they are gone."""
        self._all = found
        if not len(found):
            self.say(f"No run of {self.universe!r} is there any more.", "Press escape to go back.")
            return
        self.narrow()

    def narrow(self) -> None:
        """List the runs that match the search."""
        self._seen = self._all.searched(self.typed.get("search", ""))
        headers = _headers("run", "age", "strategies", "detailed", "size", "tags", "note")
        self.table.fill(headers, len(self._seen), lambda a, b: [_run_row(run) for run in self._seen[a:b]])
        self.tell(f"{_of(self._seen, self._all, 'run')}{left_out(self.source.unread)}")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a run's strategies."""
        run = self._seen[event.cursor_row]
        self.app.push_screen(StrategiesPage(self.source, Scope(self.universe, run.id)))

    def action_all(self) -> None:
        """Open the strategies of all runs of this universe."""
        self.app.push_screen(StrategiesPage(self.source, Scope(self.universe)))

    def action_about(self) -> None:
        """Open what is known of the run under the cursor."""
        if self.table.row_count:
            self.app.push_screen(AboutRun(self.source, self._seen[self.table.cursor_row].id))

    def action_space(self) -> None:
        """Open the objects by size."""
        self.app.push_screen(Space(self.source))


def _run_row(run: Run) -> list[Text]:
    return [
        shown(run.id, "bold"),
        at_right(f"open, {age(run.created)}", "bold cyan") if run.open else at_right(age(run.created), "dim"),
        shown(run.strategies),
        shown(run.detailed) if run.detailed or run.details == NONE else shown(run.details, "dim"),
        at_right(size(run.bytes), "cyan"),
        shown(", ".join(run.tags), "yellow"),
        shown("open: it still grows" if run.open else run.note or "", "bold cyan" if run.open else "dim"),
    ]
