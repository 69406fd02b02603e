"""`archiver show RUN|STRATEGY`: what is known of one run, or of one strategy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.options import ItsRun, ItsUniverse

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.format.model import Run


def show(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|STRATEGY",
            help="Run id, or its beginning; else the name of a strategy.",
            autocompletion=complete.runs,
        ),
    ],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="So many of the best strategies.")] = 10,
    file: Annotated[
        str | None, typer.Option("--file", metavar="NAME", help="Write this file of the strategy out.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Where to; else standard output."),
    ] = None,
    universe: ItsUniverse = None,
    of_run: ItsRun = None,
) -> None:
    """Show one run: what it holds, what it takes, its best strategies, and how much of the best is luck. Or one strategy.

    Of a strategy: its metrics, and the names of its curves, tables and files, which --file writes out (of a run: where one
    strategy has it). Luck: the best Sharpe ratio that so many trials give without skill, and the deflated Sharpe ratio, the
    chance that the best is better than that. Overfitting: how often the best of one half of the time is not above the median
    in the other, by the curves that were kept (PBO by CSCV).
    """
    from archiver.archive.documents import luck_document
    from archiver.base.humanize import age, moment, size
    from archiver.cli.output import print_pairs, print_table
    from archiver.errors import ConfigError
    from archiver.format.model import run_document
    from archiver.format.text import loads

    call = Call.of(ctx)
    archive = call.archive()
    if output is not None and file is None:
        raise ConfigError("-o says where a file goes: name it with --file")
    call.require_universe(archive, universe)
    found = None if universe or of_run else _run(archive, run)
    if found is None or file is not None:
        from archiver.cli.show_strategy import give_file, show_strategy, whose_file

        if found is None:
            name, of = run, archive.run(of_run).id if of_run else None
        else:
            name, of = whose_file(archive, found, file or ""), found.id
        if file is not None:
            give_file(call, archive, name, universe, of, file, output)
        else:
            show_strategy(call, archive, name, universe, of)
        return
    details = archive.reader.details_state(archive.record(found.id)).words
    text = archive.record(found.id).params
    params = loads(text) if text is not None else None
    best = _best(call, archive, found, limit)
    luck, overfitting = archive.luck(found), archive.overfitting(found)
    if call.json:
        more = {
            "top_n": found.top_n,
            "rank_by": found.rank_by,
            "note": found.note,
            "details": details,
            "params": params,
            **luck_document(luck, overfitting),
        }
        call.print_json({**run_document(found), **more, "best": best})
        return
    pairs: list[tuple[str, Any]] = [
        ("run", found.id),
        ("universe", found.universe),
        ("created", f"{moment(found.created)} ({age(found.created)})"),
        ("strategies", found.strategies),
        ("detailed", f"{found.detailed} (top {found.top_n})"),
        ("details", details),
        ("ranked by", found.rank_by),
        ("luck", str(luck) or None),
        ("overfitting", None if overfitting.probability is None else str(overfitting)),
        ("size", size(found.bytes)),
        ("tags", ", ".join(found.tags) or None),
        ("note", found.note),
        *((f"params.{name}", value) for name, value in (params or {}).items()),
    ]
    print_pairs(pair for pair in pairs if pair[1] is not None)
    if best and sys.stdout.isatty():
        call.print("")
    if best and sys.stdout.isatty():
        lines = _equity(archive, found, [str(row["strategy_name"]) for row in best])
        best = [
            {"strategy_name": row["strategy_name"], "equity": line, **row}
            for row, line in zip(best, lines, strict=True)
        ]
    if best:
        print_table(
            list(best[0]),
            [list(row.values()) for row in best],
            drop=True,
            styles={"strategy_name": "bold", "equity": "cyan"},
        )


def _run(archive: Archive, text: str) -> Run | None:
    """Return the run that a text means; None where it is the name of a strategy. Raises RunNotFoundError for neither."""
    from archiver.errors import NotFoundError, NotKeptError, RunNotFoundError

    try:
        return archive.run(text)
    except RunNotFoundError as error:
        try:
            archive.contents(text, errors="warn")
        except NotKeptError:
            return None
        except NotFoundError:
            raise error from None
        return None


def _equity(archive: Archive, run: Run, names: list[str]) -> list[str]:
    """Draw the equity of those strategies whose details were kept; a damaged one is left to `verify`."""
    from archiver.base.humanize import numbers, sparkline
    from archiver.errors import ArchiverError
    from archiver.runs.extras import drawn

    record, reader = archive.record(run.id), archive.reader
    details = {detail.strategy: detail for detail in record.details}
    lines = []
    for name in names:
        try:
            curve = (
                numbers(drawn(reader.outline(record, details[name]), "equity")[0]) if name in details else []
            )
        except ArchiverError:
            curve = []
        lines.append(sparkline(curve, 20))
    return lines


def _best(call: Call, archive: Archive, run: Run, limit: int) -> list[dict[str, Any]]:
    """Return the best strategies of a run by what it was ranked by, with their parameters and a few known metrics."""
    from archiver.query.selection import Ask, leading, take
    from archiver.runs.ranking import rank_order

    if not run.rank_by or not limit:
        return []
    table = archive.load_metrics(universe=run.universe, run=run.id, errors=call.unread)
    metric, greatest = rank_order(run.rank_by)
    if metric not in table.column_names:
        return []
    params = [name for name in table.column_names if name.startswith("params.")]
    first = leading(table.column_names)
    columns = dict.fromkeys(["strategy_name", metric, *params, *first])
    found = take(table.select(list(columns)), Ask(sort=((metric, greatest),)))
    rows: list[dict[str, Any]] = found[:limit].to_pylist()
    return rows
