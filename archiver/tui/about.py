"""What is known of a run: its record, and the code that made it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.table import Table as Grid
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import DataTable, Static

from archiver.base.humanize import age, captured, counted, moment, size
from archiver.format.model import CodeFile, Record, Run
from archiver.tui.cells import at_right, plain, shown
from archiver.tui.data import Source
from archiver.tui.page import Page
from archiver.tui.preview import PreviewPage
from archiver.tui.table import Table


class AboutRun(Page[tuple[Record, Run, str]]):
    """A run's record and its captured files."""

    def __init__(self, source: Source, run: str) -> None:
        super().__init__(source)
        self._run = run
        self.where = (run,)
        self._files: tuple[CodeFile, ...] = ()

    def body(self) -> Iterator[Widget]:  # type: ignore[override]  # widgets one by one
        """Make the facts above, the files below."""
        with VerticalScroll(id="facts"):
            yield Static(Text(""), id="pairs")
        yield Table(id="table")

    def load(self) -> tuple[Record, Run, str]:
        """Read the record, and judge the run."""
        return *self.source.run(self._run), self.source.luck(self._run)

    def follows(self) -> bool:
        """Follow an open run."""
        return self.source.is_open(run=self._run)

    def show(self, found: tuple[Record, Run, str]) -> None:
        """Show the record's facts and list the files."""
        record, run, luck = found
        facts = _facts(record, run, luck)
        pairs = [(name, str(value)) for name, value in facts if value not in (None, "")]
        lines = Grid.grid(padding=(0, 2, 0, 0))
        for name, value in pairs:
            lines.add_row(Text(name, "bold"), plain(value))
        self.query_one("#pairs", Static).update(lines)
        self._files = record.code.files if record.code else ()
        self.table.fill(
            ["captured file", Text("size", "bold", justify="right"), "sha256"],
            len(self._files),
            lambda a, b: [
                [shown(f.path, longest=70), at_right(size(f.size), "cyan"), shown(f.sha256[:16], "dim")]
                for f in self._files[a:b]
            ],
        )
        self.tell(counted(len(self._files), "captured file"))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a captured file."""
        path = self._files[event.cursor_row].path
        run = self._run
        self.app.push_screen(PreviewPage(self.source, (run, path), lambda: self.source.code(run, path)))


def _facts(record: Record, run: Run, luck: str) -> Iterator[tuple[str, Any]]:
    yield "run", run.id
    yield "universe", run.universe
    yield "created", f"{moment(run.created)} ({age(run.created)})"
    yield "strategies", f"{run.strategies:,}"
    yield "detailed", f"{run.detailed:,} (top {run.top_n})"
    yield "ranked by", run.rank_by
    yield "luck", luck  # in sight also where a terminal is small
    yield "size", size(run.bytes)
    yield "tags", ", ".join(run.tags)
    yield "note", run.note
    yield "details", run.details
    yield "params", record.params
    if record.code is None:
        return
    yield "code", record.code.reason or captured(record.code.how)
    for name, value in record.code.provenance.items():
        yield name, _words(value)
    yield from (("warning", warning) for warning in record.code.warnings)


def _words(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
