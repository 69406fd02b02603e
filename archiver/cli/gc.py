"""`archiver gc`: free what nothing needs any more."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.base.humanize import counted
from archiver.cli.call import Call
from archiver.errors import StorageError
from archiver.retention import GRACE


def gc(
    ctx: typer.Context,
    grace: Annotated[
        str, typer.Option("--grace", metavar="AGE", help="Spare what is younger than this: 7d, 12h.")
    ] = GRACE,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise only say what would go.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Go on although there is data and no run at all.")
    ] = False,
    versions: Annotated[
        bool,
        typer.Option("--versions", help="Also old versions of what was deleted, where a bucket keeps them."),
    ] = False,
) -> None:
    """Free what no run, and no pruned run within the grace, needs: say what, and with --apply do it.

    Finds what crashed saves left, too. Others may save, load and prune meanwhile; only a save that takes longer
    than the grace is in danger. A bucket that keeps old versions keeps what is deleted: --versions removes the old
    versions of deleted objects that nothing needs, a grace after they were deleted; never under Object Lock.
    """
    from archiver.base.humanize import size
    from archiver.cli.output import print_table
    from archiver.retention.gc.deleting import WHY

    call = Call.of(ctx)
    archive = call.archive()
    call.say_locks(archive)
    with call.progress("freeing" if apply else "looking") as step:
        done = archive.gc(grace, apply=apply, allow_empty=allow_empty, versions=versions, step=step)
    failed = {key: str(error) for key, error in done.failed.items()}
    if call.json:
        kinds = {
            name: {
                "objects": tally.objects,
                "bytes": tally.bytes,
                "why": WHY[name],
                "examples": tally.examples,
            }
            for name, tally in done.kinds.items()
        }
        call.print_json(
            {
                "url": archive.store.url,
                "applied": apply,
                "before": done.before,
                "kinds": kinds,
                "objects": done.objects,
                "bytes": done.bytes,
                "freed": apply and done.freed,
                "old_versions": None if done.old is None else done.old._asdict(),
                "failed": failed,
                "restored": done.restored,
            }
        )
    else:
        rows = [
            [name, tally.objects, size(tally.bytes), WHY[name], tally.examples[0]]
            for name, tally in done.kinds.items()
            if tally.objects
        ]
        if rows:
            print_table(
                ["what", "objects", "size", "why", "for example"], rows, right=["objects", "size"], drop=True
            )
        verb = ("freed" if done.freed else "deleted") if apply else f"to {'free' if done.freed else 'delete'}"
        call.say(f"{verb}: {counted(done.objects, 'object')}, {size(done.bytes)}, all older than {grace}")
        if done.old is not None and done.old.objects:
            call.say(
                f"the bucket keeps {counted(done.old.objects, 'old version')} of what was replaced or deleted, "
                f"{size(done.old.bytes)}: `archiver gc --versions` removes those that nothing needs, after their grace"
            )
        for key, text in failed.items():
            call.say(f"{key} stays: {text}")
        if not apply and done.objects:
            call.say("nothing was deleted: --apply does it")
    if failed:
        raise typer.Exit(StorageError.exit_code)
