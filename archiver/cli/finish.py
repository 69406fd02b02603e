"""`archiver finish RUN`: make an ordinary run of one that is open."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call


def finish(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Run id, or its beginning.", autocompletion=complete.runs)
    ],
) -> None:
    """Make an ordinary run of one that is open: of all that was added, the best with their details.

    A search that was killed leaves an open run with everything that was added. Nothing can be added afterwards; whoever
    still tries is told. Finishing once more changes nothing.
    """
    from archiver.base.humanize import counted
    from archiver.format.model import run_document

    call = Call.of(ctx)
    archive = call.archive()
    found = archive.finish(run)
    if call.json:
        call.print_json({"run": run_document(found)})
    else:
        call.say(f"{found.id} of {found.universe} has {counted(found.strategies, 'strategy', 'strategies')}")
