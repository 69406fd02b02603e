"""`archiver params [X [Y]]`: what the parameters of a search make of a metric."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.rows import Newest, whose

if TYPE_CHECKING:
    from archiver.analysis.parameters import Heat, Parameters


def params(
    ctx: typer.Context,
    x: Annotated[
        str | None, typer.Argument(metavar="[X", help="A parameter: the metric by its values.")
    ] = None,
    y: Annotated[str | None, typer.Argument(metavar="[Y]]", help="Another one: a map over both.")] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            "-b",
            metavar="[-]METRIC",
            help="Greatest is best; `-METRIC`: least is. Default: what the newest run was ranked by.",
        ),
    ] = None,
    universe: Annotated[
        str | None,
        typer.Option("--universe", "-u", help="Only this universe.", autocompletion=complete.universes),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", "-r", help="Only this run (or its beginning).", autocompletion=complete.runs),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", "-w", metavar="EXPR", help="Filter, as in 'n_trades >= 30'.")
    ] = None,
    how: Annotated[
        str, typer.Option("--how", metavar="HOW", help="Of a map's cells: mean, best, median, worst, count.")
    ] = "mean",
    plateau: Annotated[
        bool, typer.Option("--plateau", help="Strategies beside their neighbours, best plateau first.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="So many strategies.")] = 20,
    newest: Newest = "strategy",
) -> None:
    """Show what parameters make of a metric: all of them with their importance, one by its values, or a map of two.

    Importance: the share of the metric's variance that a parameter explains alone, and with the others. --plateau shows each
    strategy beside those that differ in one parameter by one step: their median and worst, and the plateau score, the worse
    of its own value and that median. Formulas: docs/reference/metrics.md. `params.fast` may be written `fast`.
    """
    from archiver.errors import ConfigError

    call = Call.of(ctx)
    archive = call.archive()
    call.require_universe(archive, universe)
    if plateau and x:
        raise ConfigError("--plateau is of all parameters: leave X and Y out")
    of_run = archive.run(run).id if run else None
    found = archive.parameters(universe, of_run, by, where=where, newest=newest, errors=call.unread)
    end = "greatest" if found.greatest else "least"
    told = f"{found.metric}, {end} is best, {len(found.values):,} strategies {whose(newest, run=run)}"
    if not found.axes:
        told += "; no parameter has several values: save them as params={...}"
    if plateau:
        _plateau(call, found, limit, told)
    elif x is None:
        _all(call, found, told)
    elif y is None:
        table = found.slice(x)
        _give(call, found, table.to_pylist(), found.axis(x).label, told)
    else:
        _map(call, found, found.heat(x, y, how), x, y, how, f"{how} of {told}")


def _give(call: Call, found: Parameters, rows: list[dict[str, Any]], what: str, told: str) -> None:
    from archiver.cli.output import paged, print_table

    if call.json:
        call.print_json({"metric": found.metric, "greatest": found.greatest, "of": what, "rows": rows})
        return
    if rows:
        headers = [what if name == "value" else name for name in rows[0]]
        with paged():
            print_table(headers, [list(row.values()) for row in rows], drop=True, styles={headers[0]: "bold"})
    call.say(told)


def _all(call: Call, found: Parameters, told: str) -> None:
    rows = []
    for name, importance in found.importance().items():
        one, means = found.axis(name), found.slice(name)["mean"].to_pylist()
        known = [value for value in means if value is not None]
        best = (max if found.greatest else min)(known, default=None)
        drawn = found.classes(name)
        rows.append(
            {
                "parameter": one.label,
                "values": len(one.values),
                "from": one.values[0],
                "to": one.values[-1],
                "alone": importance.alone,
                "with_others": importance.with_others,
                "best_at": drawn.labels[means.index(best)] if best is not None else None,
                "mean_there": best,
            }
        )
    _give(call, found, rows, "parameters", told)


def _plateau(call: Call, found: Parameters, limit: int, told: str) -> None:
    from archiver.query.selection import Ask, take

    table = take(found.robustness(), Ask(sort=(("plateau", found.greatest),)))[:limit]
    names = [name for name in table.column_names if name not in ("universe", "run") or call.json]
    if not call.json and len(set(table["universe"].to_pylist())) > 1:
        names.insert(1, "universe")
    _give(call, found, table.select(names).to_pylist(), "plateau", told)


def _map(call: Call, found: Parameters, heat: Heat, x: str, y: str, how: str, told: str) -> None:
    from archiver.base.blocks import blocks
    from archiver.cli.output import console, print_table

    across, up = found.axis(x).label, found.axis(y).label
    values, counts = heat.values.tolist(), heat.counts.tolist()
    if call.json:
        document = {"metric": found.metric, "x": across, "y": up, "values": values, "counts": counts}
        call.print_json({**document, "x_values": heat.x.labels, "y_values": heat.y.labels})
        return
    rows = [
        [label, *(None if value != value else value for value in row)]
        for label, row in zip(heat.y.labels, values, strict=True)
    ]
    if not sys.stdout.isatty():
        print_table([f"{up} \\ {across}", *heat.x.labels], rows)
        call.say(told)
        return
    out = console()
    names = (across, heat.x.labels), (up, heat.y.labels)
    out.print(blocks(values, *names, out.width, greatest=found.greatest or how == "count"))
    call.say(told)
