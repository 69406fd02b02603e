"""`archiver copy SRC DST`: runs from one archive to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.base.humanize import counted
from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.options import Universe
from archiver.retention import MOST

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.transfer.copy import Extras


def copy(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="The archive to copy from: a folder or a URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="The archive to copy to; made if need be.")],
    tag: Annotated[
        str | None, typer.Option("--tag", "-t", help="Only runs with this tag.", autocompletion=complete.tags)
    ] = None,
    universe: Universe = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="Only runs since a date, or an age: 30d.")
    ] = None,
    delete_extra: Annotated[
        bool,
        typer.Option(
            "--delete-extra", help="Plan that runs which only DST has go to its trash; see --apply."
        ),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do what --delete-extra plans.")] = False,
    max_remove: Annotated[
        str,
        typer.Option("--max-remove", metavar="SHARE", help="Refuse to remove more of DST's runs than this."),
    ] = f"{MOST:.0%}",
) -> None:
    """Copy runs that DST lacks, verified, data before records; repeat it after an interruption, or every night.

    SRC may be a bundle: bundle::PATH.tar.zst. What DST has already is not moved.
    """
    import archiver
    from archiver.base.humanize import size
    from archiver.cli.percent import share
    from archiver.errors import ConfigError, NotFoundError

    call = Call.of(ctx)
    most = share(max_remove, "--max-remove")
    if apply and not delete_extra:
        raise ConfigError("--apply needs --delete-extra: copying itself removes nothing")
    here, there = archiver.open(source, read_only=True), archiver.open(target)
    runs = here.run_ids(universe=universe, tag=tag, since=since, errors=call.unread)
    if not runs and not delete_extra:
        call.require_universe(here, universe)
        matching = " that match" if universe or tag or since else ""
        raise NotFoundError(f"no runs{matching} in {here.store.url}: nothing was copied")
    if not runs and (universe or tag or since):
        call.say(f"no runs that match in {here.store.url}")
    with call.progress("copy", unit="bytes") as step:
        moved = here.copy_to(there, runs, step=step)
    document: dict[str, Any] = {
        "copied": list(moved.runs),
        "there": list(moved.there),
        "objects": moved.objects,
        "bytes": moved.bytes,
    }
    if not call.json:
        call.say(
            f"{counted(len(moved.runs), 'run')} copied to {there.store.url}, {counted(moved.objects, 'object')}, {size(moved.bytes)};"
            f" {len(moved.there)} were there already"
        )
    if delete_extra:
        candidates = there.run_ids(universe=universe, tag=tag, since=since, errors=call.unread)
        document["extra"] = _delete_extra(call, (here, there), candidates, apply=apply, max_remove=most)
    if call.json:
        call.print_json(document)


def _delete_extra(
    call: Call, archives: tuple[Archive, Archive], candidates: list[str], *, apply: bool, max_remove: float
) -> dict[str, Any]:
    here, there = archives
    plan = there.extras(here, candidates)
    if not call.json:
        _show(call, plan, apply=apply)
    removed: list[str] = []
    if apply and plan.removed:
        with call.progress("delete extra runs", total=len(plan.removed)) as step:
            removed = there.apply_extras(here, plan, max_remove=max_remove, step=step)
        if not call.json:
            call.say(
                f"{counted(len(removed), 'run')} moved to the trash; `archiver undelete` brings them back until gc"
            )
    return {
        "applied": apply,
        "removed": removed,
        "plan": [{"run": item.run, "remove": item.remove, "reason": item.reason} for item in plan.items],
    }


def _show(call: Call, plan: Extras, *, apply: bool) -> None:
    from archiver.cli.output import print_table

    if not plan.items:
        call.say(f"{plan.target} has no extra runs")
        return
    rows = [[item.run, "goes" if item.remove else "stays", item.reason] for item in plan.items]
    print_table(["run", "what", "reason"], rows)
    if not apply:
        call.say(
            f"{len(plan.removed)} of {counted(plan.total, 'run')} would go: nothing was removed; add --apply"
        )
