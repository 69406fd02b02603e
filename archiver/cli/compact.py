"""`archiver compact`: pack the records of many runs into a few objects."""

from __future__ import annotations

import typer

from archiver.cli.call import Call


def compact(ctx: typer.Context) -> None:
    """Pack the records of many runs into a few objects, so that reading them stays fast.

    Reading thousands of runs does it, too, where the credentials may write. Others may save, prune and read
    meanwhile; what is interrupted goes on with the next.
    """
    call = Call.of(ctx)
    archive = call.archive()
    with call.progress("packing") as step:
        count = archive.compact(step=step)
    if call.json:
        call.print_json({"runs": count})
    else:
        call.say(f"{count:,} run{'s' if count != 1 else ''} packed in {archive.store.url}")
