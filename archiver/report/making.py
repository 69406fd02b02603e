"""What a report is about, found and read: a strategy with its run, or a run."""

from __future__ import annotations

from typing import Any

from archiver.analysis.moments import Points
from archiver.analysis.reading import beside, equity, excursions, luck_of, overfitting_of, sharpes_of
from archiver.analysis.returns import tear_sheet
from archiver.analysis.trades import trades_summary
from archiver.base.unread import ONE_OBJECT
from archiver.errors import NotKeptError
from archiver.format.model import Detail, Record, Run
from archiver.format.text import loads
from archiver.query.selection import Ask, leading, take
from archiver.report.run import run_page
from archiver.report.strategy import strategy_page
from archiver.runs.ranking import rank_order
from archiver.runs.read import Reader
from archiver.runs.snapshot import Snapshot

_BEST = 20
_DRAWN = 6


def of_strategy(reader: Reader, record: Record, detail: Detail, run: Run) -> str:
    """Return the page on one strategy."""
    outline = reader.outline(record, detail)
    trades = reader.trades(record, detail, None)
    rows: list[dict[str, Any]] = reader.strategy(record, detail)["trades"] or []
    points = equity(reader, record, detail, trades)
    return strategy_page(
        detail.strategy,
        run,
        outline["metrics"],
        tear_sheet(points),
        beside(reader, record, detail, points),
        trades_summary(trades),
        rows,
        excursions(reader, record, rows),
        luck_of(reader, record),
    )


def of_run(reader: Reader, record: Record, run: Run, code: Snapshot) -> str:
    """Return the page on one run."""
    _, sharpes = sharpes_of(reader, record)
    luck = luck_of(reader, record)
    params = loads(record.params) if record.params is not None else None
    return run_page(
        run,
        params if isinstance(params, dict) else None,
        _best(reader, record),
        list(sharpes.values()),
        luck,
        overfitting_of(reader, record),
        [(one.strategy, _curve(reader, record, one)) for one in record.details[:_DRAWN]],
        code,
    )


def _curve(reader: Reader, record: Record, detail: Detail) -> Points:
    try:
        return equity(reader, record, detail)
    except (NotKeptError, *ONE_OBJECT):
        return Points()  # the page says what became of the details


def _best(reader: Reader, record: Record) -> list[dict[str, Any]]:
    """Return the best strategies by what the run was ranked by; as they came where nothing ranked them."""
    table = reader.metrics([record], None, history=True)
    metric, greatest = rank_order(record.rank_by or "")
    there = metric in table.column_names
    params = [name for name in table.column_names if name.startswith("params.")]
    first = leading(table.column_names)
    columns = dict.fromkeys(["strategy_name", *([metric] if there else []), *params, *first])
    found = take(table.select(list(columns)), Ask(sort=((metric, greatest),) if there else ()))
    shown = found[:_BEST]
    there_are = [name for name in shown.column_names if shown[name].null_count < shown.num_rows]
    rows: list[dict[str, Any]] = shown.select(there_are).to_pylist()
    return rows
