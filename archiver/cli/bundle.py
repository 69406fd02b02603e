"""`archiver bundle create | ls | verify | restore`: runs in one tar.zst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.base.humanize import counted
from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.options import universe_option
from archiver.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.archive import Archive
    from archiver.transfer.bundle import Bundle, Removal

bundle = typer.Typer(
    help="Runs in one tar.zst, complete and readable with plain tar and zstd. NAME is a plain name (kept under "
    "bundles/ of the archive), a path, or a URL. To look into a bundle without unpacking it, give it as the archive: "
    "--url bundle::NAME.tar.zst.",
    no_args_is_help=True,
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A plain name, a path or a URL.")]
_Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", help="Run ids, or their beginnings.", autocompletion=complete.runs),
]


@bundle.command()
def create(
    ctx: typer.Context,
    name: _Name,
    runs: _Runs = None,
    tag: Annotated[
        str | None, typer.Option("--tag", "-t", help="Also runs with this tag.", autocompletion=complete.tags)
    ] = None,
    universe: Annotated[str | None, universe_option("Also runs of this universe.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="Also runs since a date, or an age: 30d.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", "-w", metavar="EXPR", help="Also runs with a strategy such as 'sharpe > 2'."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Another folder or URL for a plain name.")
    ] = None,
    level: Annotated[
        int,
        typer.Option(
            "--level", min=-7, max=22, help="How hard zstd works; what goes in is compressed already."
        ),
    ] = -1,
    storage_class: Annotated[
        str | None, typer.Option("--storage-class", metavar="CLASS", help="Of S3, such as GLACIER.")
    ] = None,
    retain: Annotated[
        str | None,
        typer.Option(
            "--retain",
            metavar="AGE",
            help="Keep it from being deleted for so long: 7y; by the bucket's Object Lock.",
        ),
    ] = None,
    legal_hold: Annotated[
        bool, typer.Option("--legal-hold", help="Keep it from being deleted until the hold is taken off.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read the bundle back and compare it.")] = False,
    remove: Annotated[
        bool,
        typer.Option(
            "--remove", help="Plan that the details of these runs go from the archive; see --apply."
        ),
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do what --remove plans, once the bundle was read back.")
    ] = False,
) -> None:
    """Write runs and all that they need as one bundle; the same runs give the same bytes.

    Filters are combined: --tag and --where together choose runs for which both hold. RUN... adds to these.
    With --remove --apply the details go once the whole bundle was read back and compared; metrics, code and tags
    stay, and `archiver bundle restore` brings the details back.
    """
    from archiver.errors import ConfigError, NotFoundError
    from archiver.store.s3.cold import is_frozen

    call = Call.of(ctx)
    if apply and not remove:
        raise ConfigError("--apply needs --remove: nothing else removes anything here")
    archive = call.archive()
    chosen = [archive.run_id(run) for run in runs or ()]
    if tag or universe or since or where:
        found = archive.run_ids(universe, tag, since, where=where, errors=call.unread)
        if not found and not chosen:
            call.require_universe(archive, universe)
            raise NotFoundError(f"no runs that match in {archive.store.url}: no bundle was made")
        own = archive.bundles.place(name, to=to).name
        elsewhere = {
            run.id for run in archive.runs(errors=call.unread) if run.archived and run.archived != own
        }
        if left := elsewhere.intersection(found):
            call.say(f"{counted(len(left), 'run')} left out: the details are in other bundles already")
        chosen += [run for run in found if run not in elsewhere]
    settled: dict[str, Any] = {"storage_class": storage_class, "retain": retain, "legal_hold": legal_hold}
    with call.progress(f"bundle {name}", unit="bytes") as step:
        made = archive.bundles.create(
            list(dict.fromkeys(chosen)),
            name,
            to=to,
            level=level,
            verify=verify and not apply,
            settle=not remove,
            step=step,
            **settled,
        )
    _report(call, made)
    document = None
    if remove and made.objects is not None:  # else it is frozen, and nothing is left to remove
        late = storage_class is not None and is_frozen(storage_class)
        document = _remove(call, archive, made.name, settled if late else {}, apply=apply)
        if late and not apply:
            call.say(f"it moves to {storage_class} once --apply has read it back")
    if call.json:
        call.print_json({"bundle": _document(made) | ({"removal": document} if document else {})})


@bundle.command(name="ls")
def list_(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Default: list the archive's bundles.")
    ] = None,
) -> None:
    """List the runs of a bundle; only its index is read. Without NAME, list the archive's bundles."""
    from archiver.base.humanize import age, size
    from archiver.cli.output import print_table

    call = Call.of(ctx)
    bundles = call.archive().bundles
    if name is None:
        names = bundles.names()
        if call.json:
            call.print_json({"bundles": names})
        for known in () if call.json else names:
            call.print(known)
        return
    source = bundles.open(name)
    runs = source.manifest.runs
    if call.json:
        call.print_json({"bundle": source.shown, "runs": runs})
        return
    headers = ["run", "universe", "age", "strategies", "detailed", "size", "tags"]
    rows = [
        [
            run["id"],
            run["universe"],
            age(run["created"]),
            run["strategies"],
            run["detailed"],
            size(run["bytes"]),
            ", ".join(run["tags"]),
        ]
        for run in runs
    ]
    print_table(headers, rows, right=["age", "strategies", "detailed", "size"])


@bundle.command()
def verify(ctx: typer.Context, name: _Name) -> None:
    """Read a whole bundle and compare every byte with what it promises. Ends with code 3 when it is damaged."""
    from archiver.base.humanize import size

    call = Call.of(ctx)
    with call.progress(f"verify {name}", unit="bytes") as step:
        checked = call.archive().bundles.verify(name, step=step)
    if call.json:
        call.print_json(
            {
                "bundle": checked.url,
                "ok": checked.ok,
                "runs": list(checked.runs),
                "objects": checked.objects,
                "bytes": checked.bytes,
                "damage": list(checked.damage),
            }
        )
    else:
        for line in checked.damage:
            call.print(line)
        state = "is whole" if checked.ok else "is damaged"
        call.say(
            f"{checked.url} {state}: {counted(len(checked.runs), 'run')}, {counted(checked.objects, 'object')}, "
            f"{size(checked.bytes)} unpacked"
        )
    if not checked.ok:
        raise typer.Exit(IntegrityError.exit_code)


@bundle.command()
def restore(
    ctx: typer.Context,
    name: _Name,
    runs: _Runs = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Another archive to restore into.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a bundle that thaws, and go on by itself.")
    ] = False,
    tier: Annotated[
        str, typer.Option("--tier", help="Of a thaw: expedited, standard or bulk; quicker is dearer.")
    ] = "standard",
    days: Annotated[int, typer.Option("--days", min=1, help="How long a thawed copy stays.")] = 7,
) -> None:
    """Bring runs of a bundle back, all or some; what is there already stays as it is.

    Every byte is verified before a run appears. Where a bundle is in cold storage, its thaw is started, and you are
    told when it is due and what it costs.
    """
    import archiver
    from archiver.base.humanize import size

    call = Call.of(ctx)
    home = call.archive()
    target = archiver.open(to) if to else home
    with call.progress(f"restore {name}", unit="bytes") as step:
        moved = target.bundles.restore(
            name, runs or None, wait=wait, tier=tier, days=days, home=home.bundles, step=step, say=call.say
        )
    if call.json:
        call.print_json(
            {
                "restored": list(moved.runs),
                "there": list(moved.there),
                "objects": moved.objects,
                "bytes": moved.bytes,
            }
        )
        return
    for run in moved.runs:
        call.print(run)
    there = f"; {len(moved.there)} were there already" if moved.there else ""
    call.say(f"{counted(len(moved.runs), 'run')} restored to {target.store.url}, {size(moved.bytes)}{there}")


def _report(call: Call, made: Bundle) -> None:
    from archiver.base.humanize import size

    if call.json:
        return
    call.print(made.url)
    if made.objects is None:
        runs = counted(len(made.runs), "run")
        call.say(f"{made.name} is in cold storage, and has the details of {runs} already")
        return
    how = "holds" if made.sha256 else "was there already, as it was then, and holds"
    call.say(
        f"{made.name} {how} {counted(len(made.runs), 'run')}, {counted(made.objects, 'object')}, {size(made.bytes)}"
    )


def _document(made: Bundle) -> dict[str, Any]:
    return {
        "name": made.name,
        "url": made.url,
        "runs": list(made.runs),
        "objects": made.objects,
        "bytes": made.bytes,
        "sha256": made.sha256,
    }


def _remove(
    call: Call, archive: Archive, name: str, settled: Mapping[str, Any], *, apply: bool
) -> dict[str, Any]:
    """Plan the removal, and carry it out on request; return it as `--json` shows it."""
    call.say_locks(archive)
    plan = archive.bundles.plan_removal(name)
    removed: tuple[str, ...] = ()
    if apply:
        with call.progress("remove details", total=len(plan.removed)) as step:
            removed = archive.bundles.apply_removal(plan, step=step, **settled)
    if not call.json:
        _show_removal(call, plan, removed, applied=apply)
    items = [
        {"run": item.run, "remove": item.remove, "reason": item.reason, "bytes": item.bytes}
        for item in plan.items
    ]
    return {"applied": apply, "removed": list(removed), "plan": items}


def _show_removal(call: Call, plan: Removal, removed: tuple[str, ...], *, applied: bool) -> None:
    from archiver.base.humanize import size
    from archiver.cli.output import print_table

    rows = [
        [item.run, item.universe, "details go" if item.remove else "stays", size(item.bytes), item.reason]
        for item in plan.items
    ]
    print_table(["run", "universe", "what", "size", "reason"], rows, right=["size"])
    total = size(sum(item.bytes for item in plan.removed))
    if applied:
        call.say(
            f"details of {counted(len(removed), 'run')} removed; `archiver gc` frees {total} after its grace"
        )
    else:
        call.say(
            f"{counted(len(plan.removed), 'run')} would lose details, {total}: nothing was removed; add --apply"
        )
