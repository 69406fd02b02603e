"""The strategies of a run, a universe or all: sorted, searched, filtered."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from archiver.base.humanize import age
from archiver.errors import ConfigError
from archiver.query.selection import KEYS, Ask, choose, leading
from archiver.tui.about import AboutRun
from archiver.tui.cells import header, plain, shown
from archiver.tui.choice import Choice
from archiver.tui.data import Scope, Source, Strategies, numeric
from archiver.tui.page import COMMON, Page, left_out
from archiver.tui.parameters import ParametersPage
from archiver.tui.strategy import StrategyPage

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_COLUMNS = 14


class StrategiesPage(Page[Strategies], inherit_bindings=False):
    """A table of strategies with their metrics."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("o", "reverse", "Order"),
        Binding("slash", "ask('search')", "Search", key_display="/"),
        Binding("f", "ask('where')", "Filter"),
        Binding("i", "about", "About"),
        Binding("m", "map", "Map"),
        *COMMON,
    ]
    asks: ClassVar[dict[str, str]] = {
        "search": "words in the name of a strategy",
        "where": "a filter such as sharpe_ratio > 1 and n_trades >= 30; empty for none",
    }
    _found: Strategies
    _chosen: pa.Array | None
    _numeric: frozenset[str]

    def __init__(self, source: Source, scope: Scope) -> None:
        super().__init__(source)
        self.scope = scope
        self.where = [name for name in (scope.universe, scope.run or "all strategies") if name]
        self._ask = Ask()
        self._count = 0

    def load(self) -> Strategies:
        """Read the metrics."""
        return self.source.strategies(self.scope)

    def follows(self) -> bool:
        """Follow an open run."""
        return self.source.is_open(self.scope.universe, self.scope.run)

    def show(self, found: Strategies) -> None:
        """List the strategies, the best first."""
        self._found, self._numeric = found, numeric(found.table.schema)
        if not found.table.num_rows:
            self.say("No strategies here.", "Press escape to go back.")
            self.tell("")
            return
        if not self._ask.sort and found.metric:
            self._ask = replace(self._ask, sort=((found.metric, found.greatest_first),))
        self._list()

    def narrow(self) -> None:
        """List what the search and the filter leave; a filter that cannot be read is said and not used."""
        wanted = replace(self._ask, search=self.typed.get("search", ""), where=self.typed.get("where", ""))
        self._list(wanted)

    def _list(self, wanted: Ask | None = None) -> None:
        wanted = wanted or self._ask
        table = self._found.table
        try:
            self._chosen = choose(table, wanted)
        except ConfigError as error:
            self.tell(plain(str(error), "bold red"))
            return
        self._ask = wanted
        self._count = table.num_rows if self._chosen is None else len(self._chosen)
        names = self._columns()
        self.table.fill(self._headers(names), self._count, partial(self._rows, names))
        self.table.fixed_columns = 2  # the name stays while the metrics move
        self._tell()

    def _columns(self) -> list[str]:
        """Choose what is shown: names, what sorts, what most people look at, then as it comes."""
        there = self._found.table.column_names
        several = self.scope.universe is None
        first = ["strategy_name", *(["universe"] if several else []), *(name for name, _ in self._ask.sort)]
        of = [] if self.scope.run else ["run"]  # rows may be of several
        rest = [*of, *leading(there), *(name for name in there if name not in KEYS)]
        return [name for name in dict.fromkeys([*first, *rest]) if name in there][:_MOST_COLUMNS]

    def _headers(self, names: list[str]) -> list[Text]:
        order = dict(self._ask.sort)
        marks = {True: " ▼", False: " ▲"}
        titles = [
            header(
                name,
                f"{name[:40]}{marks[order[name]] if name in order else ''}",
                numeric=name in self._numeric,
            )
            for name in names
        ]
        return [Text(" "), *titles]

    def _rows(self, names: list[str], start: int, end: int) -> list[list[Text]]:
        rows = self._page(start, end, ["universe", *names])
        sorts = {name for name, _ in self._ask.sort}
        return [
            [
                Text("●" if (row["universe"], row["strategy_name"]) in self._found.kept else " ", "green"),
                shown(row["strategy_name"], "bold"),
                *(self._cell(row[name], name, "green" if name in sorts else "") for name in names[1:]),
            ]
            for row in rows
        ]

    def _cell(self, value: Any, name: str, style: str) -> Text:
        """Write a value; a run with its age."""
        made = self._found.created.get(value) if name == "run" else None
        return shown(f"{value}, {age(made)}" if made else value, style, numeric=name in self._numeric)

    def _page(self, start: int, end: int, columns: list[str]) -> list[dict[str, Any]]:
        """Take rows from the table, which itself stays as it was read: a sorted copy of it would be as large."""
        table = self._found.table.select(list(dict.fromkeys(columns)))
        chosen = self._chosen
        rows = (
            table.slice(start, end - start)
            if chosen is None
            else table.take(chosen.slice(start, end - start))
        )
        found: list[dict[str, Any]] = rows.to_pylist()
        return found

    def _tell(self) -> None:
        text = f"{self._count:,} of {self._found.table.num_rows:,} strategies"
        if self._ask.sort:
            name, down = self._ask.sort[0]
            text += f", {name} {'greatest' if down else 'least'} first"
        for word, typed in (("search", self._ask.search), ("filter", self._ask.where)):
            text += f"   {word}: {typed}" if typed else ""
        if not self.scope.run:
            text += ", each of the newest run that has it"
        self.tell(f"{text}   ● has curves and trades{left_out(self._found.unread)}")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a strategy."""
        (row,) = self._page(event.cursor_row, event.cursor_row + 1, list(KEYS))
        self.app.push_screen(StrategyPage(self.source, row["strategy_name"], row["universe"], row["run"]))

    def action_sort(self) -> None:
        """Choose what to sort by."""
        import pyarrow as pa

        schema = self._found.table.schema
        flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
        metrics = [name for name in flat if name not in KEYS]
        names = [name for name in dict.fromkeys([*leading(flat), *metrics, *KEYS]) if name in flat]
        self.app.push_screen(Choice("Sort by", names), self._sort_by)

    def _sort_by(self, name: str | None) -> None:
        if name is not None:
            self._list(replace(self._ask, sort=((name, name not in KEYS),)))

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self._ask.sort:
            ((name, down),) = self._ask.sort
            self._list(replace(self._ask, sort=((name, not down),)))

    def action_map(self) -> None:
        """Open the map of parameters."""
        self.app.push_screen(ParametersPage(self.source, self.scope))

    def action_about(self) -> None:
        """Open what is known of the run of the strategy under the cursor."""
        if self.table.row_count:
            at = self.table.cursor_row
            self.app.push_screen(AboutRun(self.source, self._page(at, at + 1, ["run"])[0]["run"]))
