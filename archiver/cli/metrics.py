"""`archiver metrics`: the metrics of all strategies, sorted, filtered, in any format."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli.call import Call
from archiver.cli.options import Format, History, Newest, Output, Run, SafeCsv, Sort, Universe, Where
from archiver.cli.rows import ages, format_of, give_rows, whose


def metrics(
    ctx: typer.Context,
    universe: Universe = None,
    sort: Sort = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=0, help="At most so many rows; a table shows 20.")
    ] = None,
    where: Where = None,
    columns: Annotated[
        str | None, typer.Option("--columns", "-c", metavar="A,B,...", help="Only these metrics.")
    ] = None,
    history: History = False,
    newest: Newest = "strategy",
    run: Run = None,
    form: Format = None,
    output: Output = None,
    safe_csv: SafeCsv = False,
) -> None:
    """Show the metrics of all strategies, one row per strategy and universe.

    The newest run that has a strategy counts, so rows of several runs may stand side by side: each says its run and that
    run's age. --newest universe shows the newest run of each universe alone, --history every run. NaN and missing values
    sort last. What cannot be read is named and left out; the exit code is then 3 (damaged) or 14 (refused).
    """
    from archiver.base.humanize import counted
    from archiver.cli.output import paged, print_table
    from archiver.query.selection import KEYS

    call = Call.of(ctx)
    chosen = format_of(form, output, as_json=call.json)
    archive = call.archive()
    call.require_universe(archive, universe)
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    found = archive.load_metrics(
        universe,
        wanted,
        archive.run(run).id if run else None,
        history,
        where=where,
        sort=sort,
        newest=newest,
        errors=call.unread,
    )
    shown = found[: 20 if limit is None and chosen == "table" else limit]
    if chosen == "table":
        names = [*KEYS, *wanted] if wanted is not None else _leading(shown.column_names, sort)
        narrow = shown.select(list(dict.fromkeys(names)))
        old = ages(archive, call, shown["run"].to_pylist())
        rows = [[*row.values(), age] for row, age in zip(narrow.to_pylist(), old, strict=True)]
        with paged():
            dropped = print_table(
                [*narrow.column_names, "age"],
                rows,
                drop=[name for name in narrow.column_names if name not in KEYS] if wanted is None else False,
                crop="strategy_name" if wanted is None else None,
                styles={"strategy_name": "bold", "run": "cyan", "age": "dim"},
            )
        hidden = len(found.column_names) - len(narrow.column_names) + dropped
        call.say(
            f"{len(shown):,} of {counted(len(found), 'row')}, {whose(newest, history=history, run=run)}"
            + (f"; {hidden} more columns: --columns, or --format csv" if hidden and len(found) else "")
        )
    else:
        give_rows(call, shown, chosen, output, lambda: {"metrics": shown.to_pylist()}, safe_csv=safe_csv)


def _leading(names: list[str], sort: str | None) -> list[str]:
    from archiver.query.selection import KEYS, leading, parse_sort

    first = ["strategy_name", "universe", *(name for name, _ in parse_sort(sort))]
    most = leading(names) or [name for name in names if name not in KEYS][:8]
    return list(dict.fromkeys([*first, *most, "run"]))
