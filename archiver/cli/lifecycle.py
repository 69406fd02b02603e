"""`archiver lifecycle show | plan | apply | simulate`: rules that a bucket carries out by itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli.call import Call
from archiver.cli.rules import document, print_plan, rule_document, totals, warn

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.retention.bucket_rules import Wishes
    from archiver.retention.bucket_rules.lifecycle import RulesPlan
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
    from archiver.base.humanize import printable
    from archiver.cli.output import print_table
    from archiver.retention.bucket_rules.lifecycle import pins_at_risk, read

    call = Call.of(ctx)
    archive = call.archive()
    rules = read(archive.store)
    if xml:
        sys.stdout.buffer.write(rules.found.xml if rules.found else b"")
        return
    warnings = [*rules.warnings, *pins_at_risk(rules, archive.records(call.unread), _tags(call, archive))]
    if call.json:
        call.print_json(
            {
                "url": rules.url,
                "prefix": rules.root,
                "versioning": rules.versioning or "off",
                "rules": [rule_document(rule, rules) for rule in rules.document.rules],
                "warnings": warnings,
            }
        )
        return
    rows = [
        [printable(rule.id), "archiver" if rules.ours(rule) else "others", printable(rules.text(rule))]
        for rule in rules.document.rules
    ]
    if rows:
        print_table(["rule", "made by", "what it does"], rows)
    else:
        call.say(
            f"the bucket of {rules.url} has no rules: `archiver lifecycle plan` shows what it could have"
        )
    warn(call, warnings)


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
    archive = call.archive()
    policies = _policies(call, keep_within, universe, keep_tag)
    wishes = _wishes(call, tier2, bundles, abort_uploads, old_versions, min_size)
    made = _plan(call, archive, policies, wishes)
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
    from archiver.retention.bucket_rules.lifecycle import apply as write

    call = Call.of(ctx)
    archive = call.archive()
    policies = _policies(call, keep_within, universe, keep_tag)
    wishes = _wishes(call, tier2, bundles, abort_uploads, old_versions, min_size)
    made = _plan(call, archive, policies, wishes)
    if not call.json:
        print_plan(call, made)
        sys.stdout.flush()
    done = write(archive.store, made)
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
    from archiver.retention.bucket_rules.lifecycle import read
    from archiver.retention.bucket_rules.lifecycle import simulate as events_of

    call = Call.of(ctx)
    archive = call.archive()
    if current:
        before = read(archive.store)
        rules = before.document.rules
    else:
        policies = _policies(call, keep_within, universe, keep_tag)
        wishes = _wishes(call, tier2, bundles, abort_uploads, old_versions, min_size)
        made = _plan(call, archive, policies, wishes)
        before, rules = made.before, (*made.change.wanted, *made.change.others)
        warn(call, made.warnings)
    events = sorted(_until(events_of(archive.store, before, rules), days))
    if call.json:
        call.print_json({"url": before.url, "events": [event._asdict() for event in events]})
        return
    rows = [
        [event.day.isoformat(), event.action + (" if tagged" if event.if_tagged else ""), event.key,
         size(event.size), event.rule]
        for event in events
    ]  # fmt: skip
    if rows:
        print_table(["day", "action", "object", "size", "rule"], rows, right=["size"])
    call.say(totals(events))


def _until(events: Any, days: int | None) -> Any:
    from datetime import UTC, datetime, timedelta

    if days is None:
        return events
    last = datetime.now(UTC).date() + timedelta(days=days)
    return (event for event in events if event.day <= last)


def _policies(call: Call, within: str | None, universe: str, tags: list[str] | None) -> list[Policy]:
    from archiver.base.address import shown_url
    from archiver.config.settings import load_settings
    from archiver.errors import ConfigError
    from archiver.retention.policy import Policy
    from archiver.upkeep import Configured

    if within == "never":
        return []
    if within is not None:
        return [Policy(keep_within=within, tiers=2, universe=universe, keep_tags=tags or ())]
    if tags or universe != "*":
        raise ConfigError("--keep-tag and --universe narrow --keep-within: give that too")
    settings = load_settings(call.url)
    return Configured.of(settings).read(shown_url(settings.url))


def _wishes(
    call: Call,
    tier2: list[str] | None,
    bundles: list[str] | None,
    abort_uploads: str | None,
    old_versions: str | None,
    min_size: str | None,
) -> Wishes:
    from archiver.config.settings import load_settings
    from archiver.errors import ConfigError
    from archiver.retention.bucket_rules import Wishes

    settings = load_settings(call.url)
    other = settings.elsewhere("lifecycle")
    if settings.lifecycle and other is not None:
        raise ConfigError(
            f"[lifecycle] in {settings.origins['lifecycle']} is for {other}: call this from another folder, or write it"
            " without a url beside it"
        )
    return Wishes.of(settings.lifecycle).changed(
        tier2=tier2 or None,
        bundles=bundles or None,
        abort_uploads=abort_uploads,
        old_versions=old_versions,
        min_size=min_size,
    )


def _plan(call: Call, archive: Archive, policies: list[Policy], wishes: Wishes) -> RulesPlan:
    from archiver.retention.bucket_rules.lifecycle import plan

    if archive.store.bucket_api() is None:
        return plan(archive.store, (), {}, policies, wishes)  # says that there is no bucket
    return plan(
        archive.store,
        archive.records(),
        _tags(call, archive),
        policies,
        wishes,
        lambda: _bundled(call, archive),
    )


def _tags(call: Call, archive: Archive) -> dict[str, tuple[str, ...]]:
    return {run.id: run.tags for run in archive.runs(errors=call.unread)}


def _bundled(call: Call, archive: Archive) -> dict[str, str]:
    """Tell which runs lie with their details in which of the archive's bundles."""
    from archiver.errors import ArchiverError

    found: dict[str, str] = {}
    for name in archive.bundles.names():
        try:
            runs = archive.bundles.open(name).manifest.runs
        except ArchiverError as error:
            call.say(f"bundle {name} cannot be read and does not count: {error}")
            continue
        found.update({run["id"]: f"bundle {name}" for run in runs if run["detailed"]})
    return found
