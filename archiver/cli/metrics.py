"""`archiver metrics`: the metrics of all strategies, sorted, filtered, in any format."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.rows import SORT_HELP, Format, Output, SafeCsv, format_of, give_rows


def metrics(
    ctx: typer.Context,
    universe: Annotated[
        str | None,
        typer.Option("--universe", "-u", help="Only this universe.", autocompletion=complete.universes),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", "-s", metavar="[-]COLUMN,...", help=SORT_HELP),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=0, help="At most so many rows; a table shows 20.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", "-w", metavar="EXPR", help="Filter, as in 'sharpe_ratio > 1 and n_trades >= 30'."
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", "-c", metavar="A,B,...", help="Only these metrics.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every run's row, not only the newest run's.")
    ] = False,
    run: Annotated[
        str | None,
        typer.Option("--run", "-r", help="Only this run (or its beginning).", autocompletion=complete.runs),
    ] = None,
    form: Format = None,
    output: Output = None,
    safe_csv: SafeCsv = False,
) -> None:
    """Show the metrics of all strategies, one row per strategy and universe.

    The newest run of a universe counts; --history shows all. NaN and missing values sort last.
    """
    from archiver.cli.output import paged, print_table

    call = Call.of(ctx)
    chosen = format_of(form, output, as_json=call.json)
    archive = call.archive()
    call.require_universe(archive, universe)
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    found = archive.load_metrics(
        universe, wanted, archive.run(run).id if run else None, history, where=where, sort=sort
    )
    shown = found[: 20 if limit is None and chosen == "table" else limit]
    if chosen == "table":
        narrow = shown if wanted is not None else shown.select(_leading(shown.column_names, sort))
        rows = [list(row.values()) for row in narrow.to_pylist()]
        with paged():
            dropped = print_table(
                narrow.column_names, rows, drop=wanted is None, styles={"strategy_name": "bold"}
            )
        hidden = len(found.column_names) - len(narrow.column_names) + dropped
        call.say(
            f"{len(shown):,} of {len(found):,} rows"
            + (f"; {hidden} more columns: --columns, or --format csv" if hidden and len(found) else "")
        )
    else:
        give_rows(call, shown, chosen, output, lambda: {"metrics": shown.to_pylist()}, safe_csv=safe_csv)


def _leading(names: list[str], sort: str | None) -> list[str]:
    from archiver.query.selection import KEYS, LEADING, parse_sort

    first = ["strategy_name", "universe", *(name for name, _ in parse_sort(sort))]
    leading = [name for name in LEADING if name in names]
    return list(dict.fromkeys([*first, *(leading or [name for name in names if name not in KEYS][:8])]))
