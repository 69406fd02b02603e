"""One strategy: its curves, metrics and trades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import DataTable, Static

from archiver.base.humanize import counted, curve_values
from archiver.query.selection import OF_TRADES
from archiver.tui.cells import header, plain, shown
from archiver.tui.data import Source, Strategy, numeric
from archiver.tui.page import COMMON, Page
from archiver.tui.plot import Plot
from archiver.tui.table import Table
from archiver.tui.trade import TradePage

_BOTH = 100
"""Columns of a terminal that has room for metrics and trades side by side."""


class StrategyPage(Page[Strategy], inherit_bindings=False):
    """One strategy of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "curve", "Equity/drawdown"),
        Binding("tab,shift+tab", "other", "Metrics/trades", key_display="tab"),
        *COMMON,
    ]
    _found: Strategy | None = None

    def __init__(self, source: Source, name: str, universe: str, run: str) -> None:
        super().__init__(source)
        self._key = (name, universe, run)
        self.where = (universe, run, name)
        self._drawdown = False
        self._in_front = "table"

    def body(self) -> Iterator[Widget]:  # type: ignore[override]  # widgets one by one
        """Make the plot above, metrics and trades below."""
        yield Static(Text(""), id="why")
        yield Plot(id="plot")
        with Horizontal(id="below"):
            yield Table(id="metrics")
            yield Table(id="table")

    def load(self) -> Strategy:
        """Read the detail."""
        return self.source.strategy(*self._key)

    def show(self, found: Strategy) -> None:
        """Show all of it; without detail the metrics, and why there is no more."""
        self._found = found
        why = self.query_one("#why", Static)
        why.update(plain(found.why, "yellow"))
        why.display = bool(found.why)
        self.query_one("#plot", Plot).display = not found.why
        self._draw()
        metrics = list(found.metrics.items())
        if found.rank is not None:
            metrics.insert(0, ("rank", found.rank))
        self.query_one("#metrics", Table).fill(
            ["metric", header("value", numeric=True)],
            len(metrics),
            lambda a, b: [
                [shown(name, "bold", longest=24), shown(value, longest=19, numeric=True)]
                for name, value in metrics[a:b]
            ],
        )
        self._in_front = "metrics" if found.why else self._in_front
        self._arrange()
        if found.why:
            self.tell("metrics only: curves and trades are not there")
            return
        self._list_trades(found)

    def _list_trades(self, found: Strategy) -> None:
        trades = found.trades
        if trades is None or not trades.num_rows:
            self.table.fill(["trades"], 0, lambda _a, _b: ())
            self.tell("no trades")
            return
        import pyarrow as pa

        flat = [field.name for field in trades.schema if not pa.types.is_nested(field.type)]
        names = [name for name in dict.fromkeys([*OF_TRADES, *flat]) if name in flat] or trades.column_names
        narrow = trades.select(names)
        numbers = numeric(narrow.schema)

        def rows(start: int, end: int) -> list[list[Text]]:
            return [
                [
                    Text(f"{at:,}", "dim", justify="right"),
                    *(shown(value, column=name, numeric=name in numbers) for name, value in row.items()),
                ]
                for at, row in enumerate(narrow.slice(start, end - start).to_pylist(), start + 1)
            ]

        heads = [header(name, numeric=name in numbers) for name in names]
        self.table.fill([header("#", numeric=True), *heads], trades.num_rows, rows)
        self.tell(counted(trades.num_rows, "trade"))

    def _draw(self) -> None:
        if self._found and not self._found.why:
            title, curve = (
                ("drawdown", _hanging(self._found.drawdown))
                if self._drawdown
                else ("equity", self._found.equity)
            )
            self.query_one("#plot", Plot).set_curve(title, curve, self._found.spans.get(title))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a trade."""
        trades = self._found.trades if self._found else None
        if event.data_table is self.table and trades is not None and trades.num_rows:
            self.app.push_screen(TradePage(self.source, self._key, event.cursor_row))

    def on_resize(self) -> None:
        """Make room for what is in front."""
        self._arrange()

    def focus_first(self) -> None:
        """Give the keys to what is in front."""
        self._arrange()

    def action_other(self) -> None:
        """Bring metrics or trades to the front; where there is room for both, only the keys go there."""
        if self._found and not self._found.why:
            self._in_front = "table" if self._in_front == "metrics" else "metrics"
            self._arrange()

    def _arrange(self) -> None:
        """Show metrics and trades side by side, or only what is in front where there is no room or no trades."""
        alone = self.size.width < _BOTH or bool(self._found and self._found.why)
        for name in ("metrics", "table"):
            self.query_one(f"#{name}").display = name == self._in_front or not alone
        self.query_one(f"#{self._in_front}").focus()

    def action_curve(self) -> None:
        """Draw the other curve."""
        self._drawdown = not self._drawdown
        self._draw()


def _hanging(curve: Any) -> Any:
    """Turn a drawdown curve so that it hangs from zero, whichever sign it was saved with."""
    values = curve_values(curve)
    return curve if values is None else [0 - abs(value) for value in values]
