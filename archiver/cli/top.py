"""`archiver top --by METRIC`: the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from archiver.cli.call import Call
from archiver.cli.options import By, History, Most, Newest, Run, Universe, Where
from archiver.cli.rows import ages, whose

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.format.model import Record

_BARS = "▏▎▍▌▋▊▉█"
_WIDTH = 12
_WIDE = 100
"""Columns of a terminal from which on bars have their whole width."""


def top(
    ctx: typer.Context,
    by: By = None,
    universe: Universe = None,
    where: Where = None,
    limit: Most = 20,
    history: History = False,
    newest: Newest = "strategy",
    run: Run = None,
) -> None:
    """Show the best strategies of all universes, each by the newest run that has it.

    Each row says its run and that run's age, for they may be of several; --newest universe ranks the newest run of each
    universe alone, --history the rows of every run. Strategies without the metric (None, NaN) have no place. See `metrics` for more columns and formats.
    A line says how much of the best of the newest run shown is luck, see `show`.
    What cannot be read is named and left out; the exit code is then 3 (damaged) or 14 (refused).
    """
    from dataclasses import asdict

    from archiver.base.humanize import counted
    from archiver.query.selection import sort_text

    call = Call.of(ctx)
    archive = call.archive()
    call.require_universe(archive, universe)
    records = archive.heads(call.unread) if run is None else [archive.record(run)]
    metric, descending = _metric(records, by)
    columns = _columns(records, metric, where)
    # A dict, so no record has a range of it.
    if "params" in archive.reader.telling(call.unread).metric_names(records):
        columns.insert(1, "params")
    best, ordered = archive.leaderboard(
        columns,
        universe,
        run,
        history,
        sort=sort_text([(metric, descending)]),
        limit=limit,
        where=where,
        newest=newest,
        errors=call.unread,
    )
    values = ordered[metric]
    ranked = _ranked(values)
    best = best[:ranked]
    shown = max(best["run"].to_pylist(), default=None)
    luck = archive.luck(shown) if shown is not None else None
    if call.json:
        rows = [{"place": place, **row} for place, row in enumerate(best.to_pylist(), 1)]
        call.print_json(
            {
                "by": metric,
                "order": "greatest" if descending else "least",
                "strategies": ranked,
                "top": rows,
                "luck": luck and {"run": shown, **asdict(luck)},
            }
        )
        return
    if best.num_rows:
        _print(best, metric, ages(archive, call, best["run"].to_pylist()))
    without = f"; {len(values) - ranked:,} have no {metric}" if len(values) > ranked else ""
    strategies = counted(ranked, "strategy", "strategies")
    of = whose(newest, history=history) if run is None else f"of run {shown or run}"
    call.say(f"{len(best):,} of {strategies} by {metric}, {of}{without}")
    if spread := _spread(values):
        call.say(spread)
    if luck and str(luck):
        call.say(f"luck of run {shown}: {luck}")


def _metric(records: Sequence[Record], by: str | None) -> tuple[str, bool]:
    """Return what to rank by, and whether the greatest comes first."""
    from archiver.errors import ConfigError
    from archiver.query.selection import greatest_first, parse_sort, score_of
    from archiver.runs.ranking import RANK_BY

    if asked := parse_sort(by):
        if len(asked) > 1:
            raise ConfigError(
                f"rank by one metric, not by {len(asked)}: `archiver metrics --sort` takes several"
            )
        return asked[0]
    found = score_of(records, {name for record in records for name in record.metrics})
    if found is None and records:
        raise ConfigError("no run was ranked by a metric: name one, as in --by return_pct")
    return (RANK_BY[0], True) if found is None else (found, greatest_first(records, found))


def _columns(records: Sequence[Record], metric: str, where: str | None) -> list[str]:
    """Return what is read: the metric, what the filter needs, and a few metrics that most people look at."""
    from archiver.query.expression import Expression
    from archiver.query.selection import KEYS, leading

    there = {name for record in records for name in record.metrics}
    asked = Expression(where).columns if where else ()
    names = dict.fromkeys([metric, *leading(there), *sorted(asked)])
    return [name for name in names if name not in KEYS]


def _ranked(column: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return int(len(column) - pc.sum(pc.is_null(column, nan_is_null=True)).as_py()) if len(column) else 0


def _print(best: pa.Table, metric: str, old: list[str]) -> None:
    """Print places, names and the metric with a bar; the universe only where there are several."""
    import shutil
    import sys

    from archiver.cli.output import paged, print_table

    rows = best.to_pylist()
    others = [name for name in best.column_names if name not in ("universe", "strategy_name", "run", metric)]
    width = _WIDTH if shutil.get_terminal_size().columns >= _WIDE else _WIDTH // 2
    bars = _bars([row[metric] for row in rows], width) if sys.stdout.isatty() else []
    several = len({row["universe"] for row in rows}) > 1 or not bars
    headers = [
        "#",
        "strategy_name",
        *(["universe"] if several else []),
        metric,
        *([""] if bars else []),
        *others,
        "run",
        "age",
    ]
    lines: list[list[Any]] = []
    for at, row in enumerate(rows):
        keys = [at + 1, row["strategy_name"], *([row["universe"]] if several else [])]
        rest = [*(row[name] for name in others), row["run"], old[at]]
        lines.append([*keys, row[metric], *bars[at : at + 1], *rest])
    with paged():
        print_table(
            headers,
            lines,
            drop=others,
            crop="strategy_name",
            styles={
                "#": "dim",
                "strategy_name": "bold",
                metric: "green",
                "": "green",
                "run": "cyan",
                "age": "dim",
            },
        )


def _bars(values: list[Any], width: int) -> list[str]:
    """Draw each number as a bar between the least and the greatest of zero and them all."""
    finite = [v for v in values if isinstance(v, int | float) and v - v == 0]
    greatest = max(map(abs, finite), default=0)
    if not greatest:
        return []
    return [
        _bar(min(1.0, abs(value) / greatest) if isinstance(value, int | float) else 0.0, width)
        for value in values
    ]


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + (_BARS[eighths % 8 - 1] if eighths % 8 else "")


def _spread(column: pa.ChunkedArray) -> str:
    """Draw how the values of all strategies are spread: counts between the least and the greatest."""
    import numpy as np

    from archiver.base.humanize import number, sparkline
    from archiver.query.selection import finite_numbers

    values = finite_numbers(column)
    if len(values) < 2 or values.min() == values.max():
        return ""
    low, high, bins = float(values.min()), float(values.max()), 24
    counts = np.bincount(
        np.minimum(bins - 1, (values - low) / (high - low) * bins).astype(np.int64), minlength=bins
    )
    return f"{number(low)} {sparkline(counts.tolist(), bins)} {number(high)}"
