"""A table whose rows are made as the cursor comes near them, so that a million of them open at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

PAGE = 200
Rows = Callable[[int, int], Sequence[Sequence[Text]]]
"""Gives the rows from a place to before another one."""


class Table(DataTable[Text]):
    """Rows that are given in pages. All cells are `Text`, never markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)
        self.total = 0
        self._rows: Rows = lambda _start, _end: ()

    def fill(self, headers: Sequence[str | Text], total: int, rows: Rows, at: int = 0) -> None:
        """Show other rows.

        headers: one a column; total: how many rows there are; rows: makes some; at: where the cursor is to be.
        """
        self.total = 0  # clearing scrolls up, and must not make rows of what was there
        self.clear(columns=True)
        self.add_columns(
            *(header if isinstance(header, Text) else Text(header, "bold") for header in headers)
        )
        self.total, self._rows = total, rows
        self._make(max(PAGE, at + 1))
        if at and total:
            self.move_cursor(row=min(at, total - 1))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Make more rows before the last one is seen."""
        super().watch_scroll_y(old_value, new_value)
        if new_value + 2 * self.size.height >= self.row_count:
            self._make(PAGE)

    def action_scroll_bottom(self) -> None:
        """Go to the last row there is, as far as rows can be made at once."""
        self._make(20 * PAGE)
        self.call_after_refresh(super().action_scroll_bottom)  # once the new rows have their places

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Make more rows while the cursor comes near the last one."""
        if event.cursor_row + PAGE // 2 >= self.row_count:
            self._make(PAGE)

    def under(self) -> tuple[int, str, float]:
        """Return where the cursor is, the name of that row, and how far the table is scrolled."""
        return self.cursor_row, self._named(self.cursor_row), self.scroll_y

    def back_to(self, under: tuple[int, str, float]) -> None:
        """Put the cursor on the row of that name, else where it was."""
        at, name, down = under
        rows = range(min(self.total, self.row_count))
        row = next((row for row in rows if self._named(row) == name), min(at, len(rows) - 1))
        if row > 0:
            self.move_cursor(row=row, scroll=False)
            self.call_after_refresh(self.scroll_to, y=down, animate=False)

    def _named(self, row: int) -> str:
        return self.get_row_at(row)[max(0, self.fixed_columns - 1)].plain if row < self.row_count else ""

    def _make(self, count: int) -> None:
        start = self.row_count
        end = min(self.total, start + count)
        if start < end:
            self.add_rows(self._rows(start, end))
