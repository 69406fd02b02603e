"""`archiver lifecycle show | plan | apply | simulate`: rules that a bucket carries out by itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli.call import Call
from archiver.cli.lifecycle_output import document, print_plan, rule_document, totals, warn

if TYPE_CHECKING:
    from archiver.retention.policy import Policy

lifecycle = typer.Typer(
    help="Rules that an S3 bucket carries out by itself: expiry of details by age, moves to colder storage classes, "
    "removal of incomplete uploads and old versions. Rules that are not archiver's are never changed.",
    no_args_is_help=True,
)

_Within = Annotated[
    str | None,
    typer.Option(
        "--keep-within",
        metavar="AGE",
        help="Let details expire at this age, or never, instead of by the configured policies.",
    ),
]
_Universe = Annotated[
    str, typer.Option("--universe", "-u", metavar="PATTERN", help="With --keep-within: only these universes.")
]
_Tags = Annotated[
    list[str] | None,
    typer.Option("--keep-tag", metavar="TAG", help="With --keep-within: these runs must not lose details."),
]
_Tier2 = Annotated[
    list[str] | None,
    typer.Option("--tier2", metavar="CLASS:AGE", help="Move details to a storage class: GLACIER_IR:30d."),
]
_Bundles = Annotated[
    list[str] | None,
    typer.Option("--bundles", metavar="CLASS:AGE", help="Move bundles to a storage class: DEEP_ARCHIVE:1d."),
]
_Uploads = Annotated[
    str | None,
    typer.Option("--abort-uploads", metavar="AGE", help="When incomplete uploads go, or never. Default: 7d."),
]
_Old = Annotated[
    str | None,
    typer.Option(
        "--old-versions",
        metavar="AGE",
        help="When old versions go in a versioned bucket, or never. Default: 30d.",
    ),
]
_Least = Annotated[
    str | None, typer.Option("--min-size", metavar="SIZE", help="Move only objects as large as this: 1MB.")
]


@lifecycle.command()
def show(
    ctx: typer.Context,
    xml: Annotated[
        bool, typer.Option("--xml", help="Print the configuration as the bucket holds it.")
    ] = False,
) -> None:
    """Show the bucket's rules, whose they are, and which of them would harm the archive."""
    from archiver.cli.output import data_out, print_table

    call = Call.of(ctx)
    rules = call.archive().lifecycle.show()
    if xml:
        data_out().write(rules.found.xml if rules.found else b"")
        return
    if call.json:
        call.print_json(
            {
                "url": rules.url,
                "prefix": rules.root,
                "versioning": rules.versioning or "off",
                "rules": [rule_document(rule, rules) for rule in rules.document.rules],
                "warnings": rules.warnings,
            }
        )
        return
    rows = [
        [rule.id, "archiver" if rules.ours(rule) else "others", rules.text(rule)]
        for rule in rules.document.rules
    ]
    if rows:
        print_table(["rule", "made by", "what it does"], rows)
    else:
        call.say(
            f"the bucket of {rules.url} has no rules: `archiver lifecycle plan` shows what it could have"
        )
    warn(call, rules.warnings)


@lifecycle.command()
def plan(
    ctx: typer.Context,
    keep_within: _Within = None,
    universe: _Universe = "*",
    keep_tag: _Tags = None,
    tier2: _Tier2 = None,
    bundles: _Bundles = None,
    abort_uploads: _Uploads = None,
    old_versions: _Old = None,
    min_size: _Least = None,
) -> None:
    """Show what `apply` would change, line by line, and what moves cost. Nothing is written."""
    call = Call.of(ctx)
    rules = call.archive().lifecycle
    policies = _policies(keep_within, universe, keep_tag)
    made = rules.plan(policies, **_wishes(tier2, bundles, abort_uploads, old_versions, min_size))
    if call.json:
        call.print_json(document(made))
        return
    print_plan(call, made)
    if not made.change.empty:
        call.say("nothing was changed: `archiver lifecycle apply` writes these rules")


@lifecycle.command()
def apply(
    ctx: typer.Context,
    keep_within: _Within = None,
    universe: _Universe = "*",
    keep_tag: _Tags = None,
    tier2: _Tier2 = None,
    bundles: _Bundles = None,
    abort_uploads: _Uploads = None,
    old_versions: _Old = None,
    min_size: _Least = None,
) -> None:
    """Show what changes, write the rules, and read them again.

    Where the server does not keep them as they were sent, the former rules are put back.
    """
    call = Call.of(ctx)
    rules = call.archive().lifecycle
    policies = _policies(keep_within, universe, keep_tag)
    made = rules.plan(policies, **_wishes(tier2, bundles, abort_uploads, old_versions, min_size))
    if not call.json:
        print_plan(call, made)
        sys.stdout.flush()
    done = rules.apply(made)
    if call.json:
        call.print_json({**document(done or made), "applied": done is not None and not done.change.empty})
    elif done is not None:
        warn(call, [warning for warning in done.warnings if warning not in made.warnings])
        call.say(f"written and read again: {len(done.change.wanted)} rules of archiver's")


@lifecycle.command()
def simulate(
    ctx: typer.Context,
    keep_within: _Within = None,
    universe: _Universe = "*",
    keep_tag: _Tags = None,
    tier2: _Tier2 = None,
    bundles: _Bundles = None,
    abort_uploads: _Uploads = None,
    old_versions: _Old = None,
    min_size: _Least = None,
    current: Annotated[
        bool, typer.Option("--current", help="By the rules that the bucket has now, not the planned ones.")
    ] = False,
    days: Annotated[int | None, typer.Option("--days", min=0, help="Only the next so many days.")] = None,
) -> None:
    """Say which object meets which rule on which day: planned rules and those of others together."""
    from archiver.base.humanize import size
    from archiver.cli.output import print_table

    call = Call.of(ctx)
    rules = call.archive().lifecycle
    made = None
    if not current:
        policies = _policies(keep_within, universe, keep_tag)
        made = rules.plan(policies, **_wishes(tier2, bundles, abort_uploads, old_versions, min_size))
        warn(call, made.warnings)
    events = rules.simulate(made, days)
    if call.json:
        call.print_json({"url": rules.url, "events": [event._asdict() for event in events]})
        return
    rows = [
        [event.day.isoformat(), event.action + (" if tagged" if event.if_tagged else ""), event.key,
         size(event.size), event.rule]
        for event in events
    ]  # fmt: skip
    if rows:
        print_table(["day", "action", "object", "size", "rule"], rows, right=["size"])
    call.say(totals(events))


def _policies(within: str | None, universe: str, tags: list[str] | None) -> list[Policy] | None:
    """Return the policy that the options make, none for `never`; None where the configured ones count."""
    from archiver.errors import ConfigError
    from archiver.retention.policy import Policy

    if within == "never":
        return []
    if within is not None:
        return [Policy(keep_within=within, tiers=2, universe=universe, keep_tags=tags or ())]
    if tags or universe != "*":
        raise ConfigError("--keep-tag and --universe narrow --keep-within: give that too")
    return None


def _wishes(
    tier2: list[str] | None,
    bundles: list[str] | None,
    abort_uploads: str | None,
    old_versions: str | None,
    min_size: str | None,
) -> dict[str, Any]:
    return {
        "tier2": tier2 or None,
        "bundles": bundles or None,
        "abort_uploads": abort_uploads,
        "old_versions": old_versions,
        "min_size": min_size,
    }
