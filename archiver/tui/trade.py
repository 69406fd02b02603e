"""One trade: everything that was saved of it, and the prices around it where they were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from archiver.tui.cells import header, shown
from archiver.tui.data import Source
from archiver.tui.page import COMMON, Page
from archiver.tui.plot import Plot
from archiver.tui.table import Table

_LONGEST = 400


class TradePage(Page[list[Any]], inherit_bindings=False):
    """One trade of a strategy; its neighbours are a key away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step(1)", "Next"),
        Binding("p", "step(-1)", "Previous"),
        *COMMON,
    ]

    def __init__(self, source: Source, key: tuple[str, str, str], number: int) -> None:
        super().__init__(source)
        self._key, self._number = key, number
        self._trades: list[Any] = []
        name, universe, run = key
        self.where = (universe, run, name, "trade")

    def body(self) -> Iterator[Widget]:  # type: ignore[override]  # widgets one by one
        """Make the prices above, the trade below."""
        yield Plot(id="plot")
        yield Table(id="table")

    def load(self) -> list[Any]:
        """Read the trades with all that is in them."""
        return self.source.trades(*self._key)

    def show(self, found: list[Any]) -> None:
        """Show the trade."""
        self._trades = found
        self._number = min(self._number, len(found) - 1)
        trade = found[self._number]
        fields = list(trade.items()) if isinstance(trade, dict) else [("trade", trade)]
        prices = next((closes for _, value in fields if (closes := _closes(value))), [])
        plot = self.query_one("#plot", Plot)
        plot.display = bool(prices)
        plot.set_curve("close", prices)
        self.table.fill(["field", header("value")], len(fields), lambda a, b: _rows(fields[a:b]))
        self.tell(f"trade {self._number + 1:,} of {len(found):,}")

    def action_step(self, by: int) -> None:
        """Show the next trade, or the one before."""
        if 0 <= self._number + by < len(self._trades):
            self._number += by
            self.show(self._trades)


def _rows(fields: list[tuple[str, Any]]) -> list[list[Text]]:
    return [[shown(name, "bold"), shown(value, longest=_LONGEST, column=name)] for name, value in fields]


def _closes(value: Any) -> list[Any]:
    """Return the closing prices of a window of bars, which a trade may carry; empty where it is none."""
    bars = {str(name).lower(): column for name, column in value.items()} if isinstance(value, dict) else {}
    closes = bars.get("close")
    return closes if isinstance(closes, list) else []
