"""`archiver metrics`: the metrics of all strategies, sorted, filtered, in any format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.rows import Format, Output, format_of, give_rows

if TYPE_CHECKING:
    import pyarrow as pa


def metrics(
    ctx: typer.Context,
    universe: Annotated[
        str | None,
        typer.Option("--universe", "-u", help="Only this universe.", autocompletion=complete.universes),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", "-s", metavar="[-]COLUMN", help="Best first; `-COLUMN` for least first."),
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
) -> None:
    """Show the metrics of all strategies, one row per strategy and universe.

    The newest run of a universe counts; --history shows all. NaN and missing values sort last.
    """
    from archiver.cli.output import paged, print_table
    from archiver.query.selection import KEYS

    call = Call.of(ctx)
    chosen = format_of(form, output, as_json=call.json)
    archive = call.archive()
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    table = archive.load_metrics(
        universe=universe,
        columns=_columns_to_read(wanted, sort, where),
        run=archive.run(run).id if run else None,
        history=history,
    )
    found = _select(table, where, sort)
    if wanted is not None:
        found = found.select(list(dict.fromkeys([*KEYS, *wanted])))
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
            + (f"; {hidden} more columns: --columns, or --format csv" if hidden else "")
        )
    else:
        give_rows(call, shown, chosen, output, lambda: {"metrics": shown.to_pylist()})


def _columns_to_read(wanted: list[str] | None, sort: str | None, where: str | None) -> list[str] | None:
    if wanted is None:
        return None
    from archiver.query.expression import Expression
    from archiver.query.selection import KEYS

    names = [*wanted]
    if sort:
        names.append(sort.removeprefix("-"))
    if where:
        names += sorted(Expression(where).columns)
    return [name for name in dict.fromkeys(names) if name not in KEYS]


def _select(table: pa.Table, where: str | None, sort: str | None) -> pa.Table:
    from archiver.query.selection import Ask, take

    keys = ((sort.removeprefix("-"), not sort.startswith("-")),) if sort else ()
    return take(table, Ask(where=where or "", sort=keys))


def _leading(names: list[str], sort: str | None) -> list[str]:
    from archiver.query.selection import KEYS, LEADING

    first = ["strategy_name", "universe"]
    if sort:
        first.append(sort.removeprefix("-"))
    leading = [name for name in LEADING if name in names]
    return list(dict.fromkeys([*first, *(leading or [name for name in names if name not in KEYS][:8])]))
