"""`archiver trades STRATEGY`: the trades of one strategy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.base.humanize import counted
from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.options import Format, ItsRun, ItsUniverse, Output, SafeCsv, Sort
from archiver.cli.rows import format_of, give_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.archive import Archive


def trades(
    ctx: typer.Context,
    strategy: Annotated[
        str,
        typer.Argument(metavar="STRATEGY", help="Name of the strategy.", autocompletion=complete.strategies),
    ],
    universe: ItsUniverse = None,
    run: ItsRun = None,
    where: Annotated[
        str | None, typer.Option("--where", "-w", metavar="EXPR", help="Filter, as in 'pnl_pct < 0'.")
    ] = None,
    sort: Sort = None,
    columns: Annotated[
        str | None, typer.Option("--columns", "-c", metavar="A,B,...", help="Only these columns.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=0, help="At most so many trades; a table shows 20.")
    ] = None,
    form: Format = None,
    output: Output = None,
    safe_csv: SafeCsv = False,
) -> None:
    """Show the trades of a strategy whose details were kept, from the newest run that has it."""
    from archiver.cli.output import paged, print_table

    call = Call.of(ctx)
    chosen = format_of(form, output, as_json=call.json)
    archive = call.archive()
    call.require_universe(archive, universe)
    run_id = archive.run(run).id if run else None
    found = archive.load_trades(strategy, universe=universe, run=run_id, errors=call.unread)
    table = _select(found, where, sort, columns)
    shown = table[: 20 if limit is None and chosen == "table" else limit]
    if chosen == "table":
        narrow = shown if columns else shown.select(_leading(shown))
        rows = [list(row.values()) for row in narrow.to_pylist()]
        with paged():
            if sys.stdout.isatty():
                _print_summary(_outline(call, archive, strategy, universe, run_id))
            print_table(narrow.column_names, rows, drop=not columns)
        more = "; --limit for more, --format csv for all of them" if len(shown) < len(table) else ""
        call.say(f"{len(shown):,} of {counted(len(table), 'trade')}{more}")
        return

    def document() -> dict[str, Any]:
        detail = _outline(call, archive, strategy, universe, run_id)
        summary = {key: detail[key] for key in ("strategy_name", "universe", "rank", "metrics")}
        return {**summary, "trades": shown.to_pylist()}

    give_rows(call, shown, chosen, output, document, safe_csv=safe_csv)


def _outline(
    call: Call, archive: Archive, strategy: str, universe: str | None, run: str | None
) -> dict[str, Any]:
    """Read all of a strategy but its trades, which are at hand."""
    return archive.load_outline(strategy, universe=universe, run=run, errors=call.unread)


def _select(table: pa.Table, where: str | None, sort: str | None, columns: str | None) -> pa.Table:
    from archiver.query.expression import known_column
    from archiver.query.selection import Ask, parse_sort, take

    table = take(table, Ask(where=where or "", sort=parse_sort(sort)))
    if columns:
        names = [name.strip() for name in columns.split(",") if name.strip()]
        table = table.select([known_column(name, table.column_names) for name in dict.fromkeys(names)])
    return table


def _leading(table: pa.Table) -> list[str]:
    """Choose what a terminal shows of the columns there are; all are in csv, json and parquet."""
    import pyarrow as pa

    from archiver.query.selection import OF_TRADES

    leading = [name for name in OF_TRADES if name in table.column_names]
    flat = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    return leading if len(leading) > 2 else flat[:10]


def _print_summary(detail: dict[str, Any]) -> None:
    """Print who the strategy is, its leading metrics, and its equity as a line of blocks."""
    from archiver.base.humanize import NOT_DRAWN, curve_values, number, numbers, sparkline
    from archiver.cli.output import console, print_pairs, put
    from archiver.query.selection import leading
    from archiver.runs.extras import drawn

    metrics = detail["metrics"]
    pairs: list[tuple[str, Any]] = [
        ("strategy", detail["strategy_name"]),
        ("universe", detail["universe"]),
        ("rank", detail["rank"]),
        *((name, metrics[name]) for name in leading(metrics)),
    ]
    equity, span = drawn(detail, "equity")
    curve = numbers(equity)
    if curve:
        pairs.append(
            ("equity", f"{number(curve[0])} -> {number(curve[-1])}, least {number(min(curve))}"),
        )
        if span is not None:
            pairs.append(("from", f"{span[0]} to {span[1]}"))
    elif equity and curve_values(equity) is None:
        pairs.append(("equity", NOT_DRAWN))
    print_pairs(pairs)
    if curve:
        put(sparkline(curve, min(console().width, 100)))
    put("")
