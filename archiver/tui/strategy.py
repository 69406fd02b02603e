"""One strategy: its curves, metrics and trades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from archiver.tui.cells import plain, shown
from archiver.tui.data import Source, Strategy
from archiver.tui.page import COMMON, Page
from archiver.tui.plot import Plot
from archiver.tui.table import Table

_FIRST = (
    "entry_time",
    "direction",
    "size",
    "pnl_usd",
    "pnl",
    "pnl_pct",
    "pnl_pips",
    "exit_time",
    "exit_reason",
    "entry_price",
    "exit_price",
    "duration_minutes",
)


class StrategyPage(Page[Strategy], inherit_bindings=False):
    """One strategy of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "curve", "Equity/drawdown"),
        Binding("tab", "app.focus_next", "Metrics/trades", show=True),
        *COMMON,
    ]
    _found: Strategy

    def __init__(self, source: Source, name: str, universe: str, run: str) -> None:
        super().__init__(source)
        self._key = (name, universe, run)
        self.where = (universe, run, name)
        self._drawdown = False

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
            ["metric", ""],
            len(metrics),
            lambda a, b: [
                [shown(name, "bold", longest=24), shown(value, longest=19)] for name, value in metrics[a:b]
            ],
        )
        self.table.display = not found.why
        if found.why:
            self.query_one("#metrics").focus()
            self.tell("metrics only")
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
        names = [name for name in dict.fromkeys([*_FIRST, *flat]) if name in flat] or trades.column_names
        narrow = trades.select(names)

        def rows(start: int, end: int) -> list[list[Text]]:
            return [
                [
                    Text(f"{at:,}", "dim", justify="right"),
                    *(shown(value, column=name) for name, value in row.items()),
                ]
                for at, row in enumerate(narrow.slice(start, end - start).to_pylist(), start + 1)
            ]

        self.table.fill(["#", *(plain(name, "bold") for name in names)], trades.num_rows, rows)
        self.tell(f"{trades.num_rows:,} trades")

    def _draw(self) -> None:
        if not self._found.why:
            title, curve = (
                ("drawdown", self._found.drawdown) if self._drawdown else ("equity", self._found.equity)
            )
            self.query_one("#plot", Plot).set_curve(title, curve)

    def action_curve(self) -> None:
        """Draw the other curve."""
        self._drawdown = not self._drawdown
        self._draw()
