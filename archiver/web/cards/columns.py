"""The columns of the table of strategies: headings with units, how numbers look, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.query.selection import parse_sort
from archiver.web.reading.data import Metrics
from archiver.web.reading.rows import is_number
from archiver.web.reading.search import PLATEAU
from archiver.web.words import format as fmt

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.web.reading.site import Site

FIXED = ("strategy_name", "universe", "run")
"""The columns that every table has, before those of metrics."""
MOST = 60
"""A table never has more columns of metrics."""


def defs(site: Site, metrics: Metrics, columns: list[str], sort: str) -> list[dict[str, Any]]:
    """Define the name, the universe, the run and some columns, sorted as the text says."""
    order = {name: (at, "desc" if down else "asc") for at, (name, down) in enumerate(parse_sort(sort))}
    universe = max(map(len, site.data.universes()), default=0)
    defs: list[dict[str, Any]] = [
        {
            "field": "strategy_name",
            "headerName": "Strategy",
            "pinned": "left",
            "initialWidth": _width(_longest(metrics), 8.6, 160, 300),
            "minWidth": 100,
            "cellRenderer": "StrategyLink",
            "tooltipField": "strategy_name",
        },
        {
            "field": "universe",
            "headerName": "Universe",
            "initialWidth": _width(universe, 7.7, 100, 210),
            "cellClass": "muted",
            "tooltipField": "universe",
        },
        {
            "field": "run",
            "headerName": "Run",
            "initialWidth": 124,
            "cellRenderer": "RunLink",
            "tooltipField": "run",
            "sortingOrder": ["desc", "asc", None],
        },
    ]
    defs += [_column_def(site, metrics, name) for name in columns[:MOST]]
    for item in defs:
        if item["field"] in order:
            at, direction = order[item["field"]]
            item |= {"sort": direction, "sortIndex": at}
        item["colId"] = item["field"]
    return defs


def _longest(metrics: Metrics) -> int:
    import pyarrow.compute as pc

    return int(pc.max(pc.utf8_length(metrics.table["strategy_name"])).as_py() or 0)


def _width(letters: int, each: float, least: int, most: int) -> int:
    """Return the pixels in which a text of so many letters is seen whole: names differ at their ends."""
    return max(least, min(most, round(letters * each) + 24))


def heading(name: str) -> str:
    """Write a metric's name with its unit where that is one people write: `Max drawdown (%)`."""
    own = fmt.unit(name)
    return fmt.title(name) + (f" ({own})" if own not in ("", "ratio", "count") else "")


def is_counted(item: pa.Field) -> bool:
    """Tell whether a column of numbers holds whole ones only, by its type or its name."""
    import pyarrow as pa

    return pa.types.is_integer(item.type) or fmt.unit(item.name) == "count"


def plateau_means(score: str) -> str:
    """Say what the plateau score is."""
    return (
        f"The worse of the strategy's own {fmt.title(score)} and the median of its neighbours: those of its run that differ in"
        " one parameter by one step"
    )


def _column_def(site: Site, metrics: Metrics, name: str) -> dict[str, Any]:
    kind = metrics.table.schema.field(name)
    item: dict[str, Any] = {
        "field": name,
        "headerName": heading(name),
        "headerTooltip": plateau_means(site.data.score(metrics.table.column_names) or "metric")
        if name == PLATEAU
        else name,
        "initialWidth": 122,
        "minWidth": 70,
    }
    if not is_number(kind.type):
        return item
    item |= {
        "type": "rightAligned",
        "sortingOrder": ["desc", "asc", None],
        "valueFormatter": {"function": f"metricText(params.value, {str(is_counted(kind)).lower()})"},
        "cellClass": ["figure", "ag-right-aligned-cell"],
    }
    scale = site.views.scale(metrics, name)
    if scale.above or scale.below:
        item["cellStyle"] = {"function": f"metricShade(params.value, {scale.below!r}, {scale.above!r})"}
    return item
