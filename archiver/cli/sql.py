"""`archiver sql`: ask anything, in SQL."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from archiver.cli.call import Call
from archiver.cli.options import Format, History, Newest, Output, SafeCsv, Universe
from archiver.cli.rows import format_of, give_rows


def sql(
    ctx: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="QUERY", help="DuckDB's SQL; `-` reads it from standard input.")
    ],
    universe: Universe = None,
    history: History = False,
    newest: Newest = "strategy",
    keep_nan: Annotated[
        bool, typer.Option("--keep-nan", help="Leave NaN as it is: DuckDB sorts it above all numbers.")
    ] = False,
    form: Format = None,
    output: Output = None,
    safe_csv: SafeCsv = False,
) -> None:
    """Query metrics, trades, curves and runs in SQL (extra: sql).

    The views: metrics (universe, strategy_name, run, a column a metric), trades (universe, strategy_name, run, a column a
    key), curves (universe, strategy_name, run, point, equity, drawdown), runs (id, universe, created, strategies, detailed,
    bytes, tags, top_n, rank_by, note). Parameters of strategies are columns of metrics: params.fast. NaN is NULL. Result
    columns that share a name become x, x_1, x_2. What cannot be read is named and left out; the exit code is then 3
    (damaged) or 14 (refused).
    """
    from archiver.cli.output import print_table

    call = Call.of(ctx)
    chosen = format_of(form, output, as_json=call.json)
    asked = sys.stdin.read() if text == "-" else text
    archive = call.archive()
    call.require_universe(archive, universe)
    table = archive.sql(
        asked, universe=universe, history=history, keep_nan=keep_nan, newest=newest, errors=call.unread
    )
    if chosen == "table":
        print_table(table.column_names, [list(row.values()) for row in table.to_pylist()])
    else:
        give_rows(call, table, chosen, output, lambda: {"rows": table.to_pylist()}, safe_csv=safe_csv)
