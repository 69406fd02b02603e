"""`archiver prune`: remove runs, or their details, by policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli.call import Call
from archiver.errors import StorageError
from archiver.retention import MOST

if TYPE_CHECKING:
    from archiver.retention.plan import Plan
    from archiver.retention.policy import Policy
    from archiver.retention.trash import Removed


def prune(
    ctx: typer.Context,
    keep_within: Annotated[
        str | None,
        typer.Option(
            "--keep-within", metavar="AGE", help="Keep runs younger than this: 12h, 30d, 4w, 6mo, 1y."
        ),
    ] = None,
    keep_last: Annotated[
        int | None, typer.Option("--keep-last", metavar="N", min=0, help="Keep the newest N runs.")
    ] = None,
    keep_best: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-best", metavar="METRIC:N", help="Keep the best N runs by a metric. May be repeated."
        ),
    ] = None,
    keep_tag: Annotated[
        list[str] | None,
        typer.Option("--keep-tag", metavar="TAG", help="Keep runs with this tag. May be repeated."),
    ] = None,
    tiers: Annotated[
        str, typer.Option("--tiers", metavar="all|2", help="Remove whole runs, or (2) only their details.")
    ] = "all",
    universe: Annotated[
        str,
        typer.Option("--universe", "-u", metavar="PATTERN", help="Only universes that this pattern matches."),
    ] = "*",
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; otherwise only the plan is printed.")
    ] = False,
    max_remove: Annotated[
        str, typer.Option("--max-remove", metavar="SHARE", help="Refuse to touch more of the runs than this.")
    ] = f"{MOST:.0%}",
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Let a policy keep nothing at all.")
    ] = False,
    show_kept: Annotated[bool, typer.Option("--kept", help="Show what stays, too, and why.")] = False,
) -> None:
    """Remove runs that no rule keeps: print the plan, and with --apply do it.

    Rules hold for each universe by itself, and what any of them keeps stays. Without rules the configured
    policies count. Runs tagged `pinned` always stay. What is removed can be brought back with `archiver undelete`
    until `archiver gc` frees it after its grace.
    """
    from archiver.cli.percent import share
    from archiver.errors import NotFoundError

    call = Call.of(ctx)
    most = share(max_remove, "--max-remove")
    given = _policy(keep_within, keep_last, keep_best, keep_tag, tiers, universe)
    archive = call.archive()
    call.say_locks(archive)
    plan = archive.plan_prune(*given, allow_empty=allow_empty)
    if len(plan.decisions) and set(plan.unmatched) == {policy.universe for policy in plan.policies}:
        raise NotFoundError(
            f"no universe matches {', '.join(map(repr, plan.unmatched))}: `archiver ls` shows those there are"
        )
    if not given:
        call.say(f"policies of {archive.policies_from}")
    for pattern in plan.unmatched:
        call.say(f"no universe matches {pattern!r}: `archiver ls` shows those there are")
    if not call.json:
        _show(plan, kept=show_kept)
        for line in plan.summary():
            call.say(line)
    if not apply:
        if call.json:
            call.print_json({**plan.document(), "applied": False})
        elif plan.share > most:
            from archiver.retention.plan import max_remove_option

            call.say(
                f"--apply would refuse: this is more than {most:.0%} of the runs; add {max_remove_option(plan.share)}"
            )
        elif plan.share:
            call.say("nothing was removed: --apply does it")
        return
    with call.progress("pruning", len(plan.frees)) as step:
        done = archive.apply(plan, max_remove=most, step=step)
    _report(call, plan, done)


def _policy(
    keep_within: str | None,
    keep_last: int | None,
    keep_best: list[str] | None,
    keep_tag: list[str] | None,
    tiers: str,
    universe: str,
) -> list[Policy]:
    """Return the policy that the options make, or none when no rule is among them."""
    from archiver.errors import ConfigError
    from archiver.retention.policy import Policy

    if tiers not in ("all", "2"):
        raise ConfigError(f"--tiers is {tiers!r}: give all, or 2 for details only")
    if keep_within is None and keep_last is None and not keep_best and not keep_tag:
        if tiers != "all" or universe != "*":
            raise ConfigError("--tiers and --universe need a rule beside them, such as --keep-within 30d")
        return []
    return [
        Policy(
            keep_within=keep_within,
            keep_last=keep_last,
            keep_best=keep_best or (),
            keep_tags=keep_tag or (),
            tiers=2 if tiers == "2" else "all",
            universe=universe,
        )
    ]


def _show(plan: Plan, *, kept: bool) -> None:
    from archiver.base.humanize import age, size
    from archiver.cli.output import print_table

    shown = plan.decisions if kept else plan.removals
    rows: list[list[Any]] = [
        [
            one.action,
            one.run,
            one.universe,
            age(one.created, plan.now),
            size(plan.frees[one.run]) if one.run in plan.frees else None,
            "; ".join(one.reasons),
        ]
        for one in shown
    ]
    if rows:
        print_table(["what", "run", "universe", "age", "frees", "why"], rows, right=["age", "frees"])


def _report(call: Call, plan: Plan, done: Removed) -> None:
    from archiver.base.humanize import counted

    failed = {run: str(error) for run, error in done.failed.items()}
    gone = {*done.removed, *done.reduced}
    if call.json:
        call.print_json(
            {
                **plan.document(),
                "applied": True,
                "removed": done.removed,
                "reduced": done.reduced,
                "spared": done.spared,
                "failed": failed,
            }
        )
    else:
        for run, text in failed.items():
            call.say(f"run {run}{' stays' if run not in gone else ''}: {text}")
        for run in done.spared:
            call.say(f"run {run} stays: it was pinned meanwhile")
        are = "is" if len(done.removed) == 1 else "are"
        call.say(
            f"{counted(len(done.removed), 'run')} {are} in the trash, {len(done.reduced)} lost their details: `archiver"
            " undelete` brings them back, `archiver gc` frees them after its grace"
        )
    if failed:
        raise typer.Exit(StorageError.exit_code)
