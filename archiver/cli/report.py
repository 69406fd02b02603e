"""`archiver report STRATEGY|RUN -o page.html`: one page to mail or keep."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli.call import Call
from archiver.cli.options import ItsRun, ItsUniverse


def report(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="STRATEGY|RUN", help="A strategy, or a run by its id or its beginning.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE|URL", help="Where to: an HTML file or its URL.")
    ],
    universe: ItsUniverse = None,
    run: ItsRun = None,
) -> None:
    """Write one self-contained page on a strategy or a run: it opens offline and runs no script.

    Of a strategy: equity and benchmark, drawdown, returns by month and year, the deepest drawdowns, rolling figures, its trades, how much of
    its run's best is luck, parameters and metrics. Of a run: its best strategies, how all of them are spread, luck, code.
    The same archive gives the same bytes.
    """
    call = Call.of(ctx)
    done = call.archive().report(name, output, universe=universe, run=run, errors=call.unread)
    if call.json:
        call.print_json({"output": done.place, "about": done.about, "name": done.name, "bytes": done.bytes})
    else:
        call.say(f"{done.about} {done.name} -> {done.place}")
