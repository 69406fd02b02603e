"""What `archiver lifecycle` shows of bucket rules and of a plan for them, to people and to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.base.humanize import counted

if TYPE_CHECKING:
    from archiver.cli.call import Call
    from archiver.retention.bucket_rules import Estimate, Event, Rule
    from archiver.retention.bucket_rules.lifecycle import BucketRules, RulesPlan


def print_plan(call: Call, made: RulesPlan) -> None:
    """Print what changes rule by rule, and what moves cost."""
    from archiver.cli.output import print_table

    change, before = made.change, made.before
    marked = [("-", change.remove), ("+", change.add), ("=", change.stay), (" ", change.others)]
    for sign, rules in marked:
        for rule in rules:
            whose = "  (not archiver's: stays as it is)" if sign == " " else ""
            call.print(f"{sign} {rule.id or '(no id)'}  {before.text(rule)}{whose}")
    if made.estimates:
        headers = [
            "move to",
            "after",
            "objects",
            "size",
            "too small",
            "once",
            "a month now",
            "then",
            "pays back",
        ]
        print_table(headers, [_estimate_row(item) for item in made.estimates], right=headers[1:])
        first = made.estimates[0]
        call.say(
            f"estimated in {first.currency} by the prices of {first.prices_of} (set lifecycle.prices); a request an object"
        )
    warn(call, made.warnings)
    if change.empty:
        call.say("the bucket's rules are as they should be" if change.stay else "no rule is wanted")


def _estimate_row(item: Estimate) -> list[Any]:
    from archiver.base.humanize import number, size

    def money(value: float | None) -> str:
        return "?" if value is None else number(value)

    months = item.pays_back
    return [
        item.storage_class,
        f"{item.days} d",
        item.objects,
        size(item.bytes),
        item.small,
        money(item.once),
        money(item.month_before),
        money(item.month_after),
        f"{months:.1f} months" if months is not None else "never" if item.objects else "-",
    ]


def document(made: RulesPlan) -> dict[str, Any]:
    """Return a plan as plain data for JSON."""
    import dataclasses

    change = made.change
    return {
        "url": made.before.url,
        "prefix": made.before.root,
        "versioning": made.before.versioning or "off",
        **{
            name: [rule_document(rule, made.before) for rule in getattr(change, name)]
            for name in ("add", "remove", "stay", "others")
        },
        "warnings": list(made.warnings),
        "estimates": [
            {
                **dataclasses.asdict(item),
                "requests": item.objects,
                "saves": item.saves,
                "pays_back": item.pays_back,
            }
            for item in made.estimates
        ],
    }


def rule_document(rule: Rule, rules: BucketRules) -> dict[str, Any]:
    """Return a rule as plain data for JSON."""
    return {
        "id": rule.id,
        "prefix": rule.prefix,
        "ours": rules.ours(rule),
        "enabled": rule.enabled,
        "does": rules.text(rule),
    }


def totals(events: list[Event]) -> str:
    """Say how many objects each action meets, and their size."""
    from collections import Counter

    from archiver.base.humanize import size

    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for event in events:
        counts[event.action] += 1
        sizes[event.action] += event.size
    said = [
        f"{action}: {counted(counts[action], 'object')}, {size(sizes[action])}" for action in sorted(counts)
    ]
    return "; ".join(said) or "no object meets a rule"


def warn(call: Call, warnings: Any) -> None:
    """Say each warning on standard error."""
    for warning in warnings:
        call.say(f"warning: {warning}")
