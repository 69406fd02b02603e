"""`archiver undelete RUN`: bring a pruned run back."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli.call import Call


def undelete(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Run id, or its beginning; none lists what is in the trash."),
    ] = None,
) -> None:
    """Bring back a run that was pruned, or the details of one that lost them.

    This works until `archiver gc --apply` has freed it, which it does after its grace (7 days). A run whose details are
    gone from the store meanwhile comes back without them.
    """
    from archiver.format.model import run_document

    call = Call.of(ctx)
    archive = call.archive()
    if run is not None:
        found = archive.undelete(run)
        if call.json:
            call.print_json({"run": run_document(found)})
        else:
            call.say(f"{found.id} of {found.universe} is back")
        return
    runs = archive.trash(call.unread)
    if call.json:
        call.print_json({"runs": [run_document(one) for one in runs]})
        return
    from archiver.base.humanize import age, size
    from archiver.cli.output import print_table

    rows = [[one.id, one.universe, age(one.created), size(one.bytes), ", ".join(one.tags)] for one in runs]
    if rows:
        print_table(["run", "universe", "age", "size", "tags"], rows, right=["age", "size"])
    else:
        call.say(f"the trash of {archive.store.url} is empty")
