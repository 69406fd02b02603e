"""`archiver portfolio [STRATEGY...]`: strategies held together."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli.call import Call
from archiver.cli.options import Run, Universe


def portfolio(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="STRATEGY", help="2 to 50 strategies. Default: the best of the run."),
    ] = None,
    universe: Universe = None,
    run: Run = None,
    top: Annotated[
        int, typer.Option("--top", "-n", min=2, max=50, help="Without names, so many of the best.")
    ] = 10,
) -> None:
    """Hold strategies together: how alike their days are, and what sums of them are against the best alone.

    Over the days that all their equity curves have: each strategy with its weight by inverse volatility, its figures and its
    mean correlation with the others; then the sums in equal weights and by inverse volatility. Without names it is the best
    of a run whose details were kept, the newest one of the universe. Curves need dates. All of it is hindsight. Formulas:
    docs/reference/returns.md.
    """
    from archiver.archive.documents import portfolio_document
    from archiver.cli.output import print_table

    call = Call.of(ctx)
    archive = call.archive()
    call.require_universe(archive, universe)
    found = archive.portfolio(names or (), universe=universe, run=run, top=top, errors=call.unread)
    document = portfolio_document(found)
    if call.json:
        call.print_json(document)
        return
    sums = [
        {"strategy_name": f"({title})", **document[name]}
        for title, name in (("equal weight", "equal_weight"), ("inverse volatility", "inverse_volatility"))
    ]
    columns = [name for name in document["strategies"][0] if name != "equal_weight"]
    print_table(
        columns,
        [[row.get(name) for name in columns] for row in (*document["strategies"], *sums)],
        drop=True,
        styles={"strategy_name": "bold"},
    )
    call.say(str(found))
    for name, why in found.left_out.items():
        call.say(f"left out: {name}: {why}")
