"""`archiver sql`: ask anything, in SQL."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.rows import Format, Newest, Output, format_of, give_rows


def sql(
    ctx: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="QUERY", help="DuckDB's SQL; `-` reads it from standard input.")
    ],
    universe: Annotated[
        str | None,
        typer.Option("--universe", "-u", help="Only this universe.", autocompletion=complete.universes),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every run, not only the newest of each strategy.")
    ] = False,
    newest: Newest = "strategy",
    keep_nan: Annotated[
        bool, typer.Option("--keep-nan", help="Leave NaN as it is: DuckDB sorts it above all numbers.")
    ] = False,
    form: Format = None,
    output: Output = None,
) -> None:
    """Query metrics, trades, curves and runs in SQL (extra: sql).

    The views: metrics (universe, strategy_name, run, a column a metric), trades (universe, strategy_name, run, a column a
    key), curves (universe, strategy_name, run, point, equity, drawdown), runs (id, universe, created, strategies, detailed,
    bytes, tags, top_n, rank_by, note). NaN is NULL. What cannot be read is named and left out; the exit code is then 3
    (damaged) or 14 (refused).
    """
    from archiver.cli.output import print_table
    from archiver.query.sql import query
    from archiver.runs.read import Reader, records_of

    call = Call.of(ctx)
    chosen = format_of(form, output, as_json=call.json)
    archive = call.archive()
    asked = sys.stdin.read() if text == "-" else text
    table = query(
        Reader(archive.store, call.unread),
        list(records_of(archive.records(call.unread), universe=universe)),
        archive.runs(universe=universe, errors=call.unread),
        asked,
        newest=newest,
        history=history,
        keep_nan=keep_nan,
    )
    if chosen == "table":
        print_table(table.column_names, [list(row.values()) for row in table.to_pylist()])
    else:
        give_rows(call, table, chosen, output, lambda: {"rows": table.to_pylist()})
