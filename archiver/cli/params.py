"""`archiver params [X [Y]]`: what the parameters of a search make of a metric."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from archiver.base.humanize import counted
from archiver.cli.call import Call
from archiver.cli.options import By, History, Most, Newest, Run, Universe, Where
from archiver.cli.rows import whose


def params(
    ctx: typer.Context,
    x: Annotated[
        str | None, typer.Argument(metavar="[X", help="A parameter: the metric by its values.")
    ] = None,
    y: Annotated[str | None, typer.Argument(metavar="[Y]]", help="Another one: a map over both.")] = None,
    by: By = None,
    universe: Universe = None,
    run: Run = None,
    where: Where = None,
    how: Annotated[
        str, typer.Option("--how", metavar="HOW", help="Of a map's cells: mean, best, median, worst, count.")
    ] = "mean",
    plateau: Annotated[
        bool, typer.Option("--plateau", help="Strategies beside their neighbours, best plateau first.")
    ] = False,
    limit: Most = 20,
    history: History = False,
    newest: Newest = "strategy",
) -> None:
    """Show what parameters make of a metric: all of them with their importance, one by its values, or a map of two.

    Importance: the share of the metric's variance that a parameter explains alone, and with the others. --plateau shows each
    strategy beside those that differ in one parameter by one step: their median and worst, and the plateau score, the worse
    of its own value and that median. Formulas: docs/reference/metrics.md. `params.fast` may be written `fast`.
    """
    from archiver.archive.documents import parameters_document
    from archiver.cli.output import paged, print_table

    call = Call.of(ctx)
    archive = call.archive()
    call.require_universe(archive, universe)
    of_run = archive.run(run).id if run else None
    found = archive.parameters(universe, of_run, by, history, where=where, newest=newest, errors=call.unread)
    document = parameters_document(found, x, y, how=how, plateau=plateau, limit=limit)
    if call.json:
        call.print_json(document)
        return
    end = "greatest" if found.greatest else "least"
    told = f"{found.metric}, {end} is best, {counted(len(found.values), 'strategy', 'strategies')} {whose(newest, history=history, run=run)}"
    if not found.axes:
        told += "; no parameter has several values: save them as params={...}"
    if "values" in document:
        _map(document)
        told = f"{how} of {told}"
    elif rows := document["rows"]:
        names = _columns(rows, plateau=plateau)
        headers = [str(document["of"]) if name == "value" else name for name in names]
        with paged():
            print_table(
                headers,
                [[row[name] for name in names] for row in rows],
                drop=True,
                styles={headers[0]: "bold"},
            )
    call.say(told)


def _columns(rows: list[dict[str, Any]], *, plateau: bool) -> list[str]:
    """Return what a table has: of strategies the name first, and the universe where there are several."""
    if not plateau:
        return list(rows[0])
    several = ["universe"] if len({row["universe"] for row in rows}) > 1 else []
    others = [name for name in rows[0] if name not in ("strategy_name", "universe", "run")]
    return ["strategy_name", *several, *others]


def _map(heat: dict[str, Any]) -> None:
    from archiver.base.blocks import blocks
    from archiver.cli.output import console, print_table

    if not sys.stdout.isatty():
        rows = [
            [label, *(None if value != value else value for value in row)]
            for label, row in zip(heat["y_values"], heat["values"], strict=True)
        ]
        print_table([f"{heat['y']} \\ {heat['x']}", *heat["x_values"]], rows)
        return
    out = console()
    names = (heat["x"], heat["x_values"]), (heat["y"], heat["y_values"])
    out.print(blocks(heat["values"], *names, out.width, greatest=heat["greatest"] or heat["how"] == "count"))
