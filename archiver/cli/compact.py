"""`archiver compact`: rebuild the catalog."""

from __future__ import annotations

import typer

from archiver.cli.call import Call


def compact(ctx: typer.Context) -> None:
    """Bring the catalog up to date, so that reading many runs stays fast.

    The catalog is derived: it can always be rebuilt, and runs saved after it are found by listing.
    """
    call = Call.of(ctx)
    archive = call.archive()
    archive.compact()
    count = len(archive.runs(errors=call.unread))
    if call.json:
        call.print_json({"runs": count})
    else:
        call.say(f"the catalog of {archive.store.url} covers {count} run{'s' if count != 1 else ''}")
