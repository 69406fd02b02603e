"""From the rules there are to the rules wanted: what changes, what must not, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from archiver.base.humanize import counted
from archiver.errors import PolicyError
from archiver.format import layout
from archiver.format.model import Record
from archiver.retention.bucket_rules.build import NAMED
from archiver.retention.bucket_rules.document import Document, Rule, parse
from archiver.retention.bucket_rules.prices import COLD

MOST_RULES = 1_000
_MOST_ID = 255
_NAMED_RUNS = 5
_AREAS = (layout.TIER2, layout.BUNDLES, layout.CATALOG, layout.TRASH)
"""Below these alone archiver makes rules."""
_LESS = (layout.TIER2, layout.BUNDLES, layout.CATALOG)
KEPT = (*(area for area in layout.AREAS if area not in _LESS), layout.ARCHIVE)
"""What no rule may remove: without it runs, or what can be undone, are lost."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a configuration: rules of archiver's that come, go and stay, and those of others, which stay."""

    root: str
    add: tuple[Rule, ...]
    remove: tuple[Rule, ...]
    stay: tuple[Rule, ...]
    others: tuple[Rule, ...]
    xml: bytes

    @property
    def wanted(self) -> tuple[Rule, ...]:
        """The rules of archiver's as they will be."""
        return (*self.stay, *self.add)

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not self.add and not self.remove


def is_ours(rule: Rule, root: str) -> bool:
    """Tell whether a rule is one that archiver made for the archive with this prefix in the bucket."""
    below = rule.prefix.removeprefix(root)
    return rule.id.startswith(NAMED) and rule.prefix.startswith(root) and below.startswith(_AREAS)


def merge(found: Document, wanted: Sequence[Rule], root: str) -> Change:
    """Put the wanted rules in the place of archiver's, and leave the others byte for byte."""
    ours = [rule for rule in found.rules if is_ours(rule, root)]
    meanings = {rule.id: rule.meaning for rule in wanted}
    stay = [rule for rule in ours if meanings.get(rule.id) == rule.meaning]
    remove = [rule for rule in ours if meanings.get(rule.id) != rule.meaning]
    staying = {rule.id for rule in stay}
    add = [rule for rule in wanted if rule.id not in staying]
    others = [rule for rule in found.rules if not is_ours(rule, root)]
    return Change(root, tuple(add), tuple(remove), tuple(stay), tuple(others), found.replaced(remove, add))


def refuse(change: Change) -> None:
    """Raise PolicyError for a change that must not be made: see the rules of archiver's that it leaves."""
    for rule in change.wanted:
        below = rule.prefix.removeprefix(change.root)
        if not rule.prefix.startswith(change.root) or not below.startswith(_AREAS):
            raise PolicyError(
                f"rule {rule.id} would cover {rule.prefix or 'the whole bucket'}: archiver makes rules only below "
                f"{', '.join(change.root + area for area in _AREAS)}"
            )
        if rule.removes and not below.startswith(layout.TIER2):
            raise PolicyError(f"rule {rule.id} would remove {rule.prefix}: only details expire by their age")
        if rule.moves and not below.startswith((layout.TIER2, layout.BUNDLES)):
            raise PolicyError(f"rule {rule.id} would move {rule.prefix}: only details and bundles are moved")
        if len(rule.id) > _MOST_ID or not rule.known:
            raise PolicyError(f"rule {rule.id[:40]} is none that archiver makes: report this")
    ids = [rule.id for rule in (*change.wanted, *change.others)]
    if twice := next((name for name in ids if name and ids.count(name) > 1), None):
        raise PolicyError(f"two rules would be called {twice}: rename the one that is not archiver's")
    if len(ids) > MOST_RULES:
        raise PolicyError(
            f"the bucket would have {len(ids)} rules, and S3 takes {MOST_RULES}: use fewer universes in policies"
        )
    if len(parse(change.xml).rules) != len(ids):
        raise PolicyError("merging would lose rules of others: nothing was changed; report this")


def at_risk(
    rules: Iterable[Rule],
    records: Iterable[Record],
    tags: Mapping[str, Sequence[str]],
    root: str,
    protected: Iterable[str],
) -> list[Record]:
    """Return the runs with a protected tag whose details a rule would remove."""
    kept = set(protected)
    expiring = [rule for rule in rules if rule.enabled and rule.removes]
    return [
        record
        for record in records
        if record.tier2 is not None  # what stands in a record no such rule can take
        and record.archived is None
        and kept & set(tags.get(record.run, ()))
        and any((root + record.tier2.key).startswith(rule.prefix) for rule in expiring)
    ]


def out_of_reach(rules: Iterable[Rule], records: Iterable[Record]) -> list[str]:
    """Say how many runs hold their details in their record, which no rule covers, where one expires details."""
    held = sum(record.inline_detail is not None for record in records)
    if not held or not any(rule.expire_days is not None for rule in rules):
        return []
    have = "has its" if held == 1 else "have their"
    runs = counted(held, "small run")
    return [f"{runs} {have} details in the record, which no rule removes: `archiver prune` does"]


def refuse_pins(runs: Sequence[Record], *, now: bool = False) -> None:
    """Raise PolicyError for runs at risk, naming them. now: whether the bucket has such a rule already."""
    if not runs:
        return
    present = "; the bucket has such a rule already: `archiver lifecycle apply --keep-within never` removes archiver's"
    raise PolicyError(
        f"a rule by age would remove the details of {named(runs)}, which {'is' if len(runs) == 1 else 'are'} "
        f"pinned or kept by tag: bundle first (archiver bundle create NAME {runs[0].run} ...), or untag"
        + (present if now else "")
    )


def named(runs: Sequence[Record]) -> str:
    """Name the first few runs, and count the others."""
    more = f" and {len(runs) - _NAMED_RUNS} more" if len(runs) > _NAMED_RUNS else ""
    return ", ".join(record.run for record in runs[:_NAMED_RUNS]) + more


def dangers(others: Iterable[Rule], root: str) -> list[str]:
    """Say which rules of others would harm the archive, a line each."""
    found = []
    for rule in others:
        if not rule.enabled:
            continue
        if not rule.known:
            found.append(
                f"rule {rule.id or rule.prefix} is of a kind that archiver does not know: look at it"
            )
        touched = [area for area in (*KEPT, layout.TIER2, layout.BUNDLES) if _meet(rule.prefix, root + area)]
        cold = [move.storage_class for move in rule.moves if move.storage_class in COLD]
        if not touched or not (rule.removes or cold):
            continue
        does = "removes" if rule.removes else f"moves to {cold[0]}"
        tagged = " that have its tags" if rule.tags else ""
        found.append(
            f"rule {rule.id or '(no id)'}, which is not archiver's, {does} objects of this archive{tagged} "
            f"({', '.join(touched)}): narrow its prefix"
        )
    return found


def describe(rule: Rule, root: str) -> str:
    """Say in a line what a rule does, its place below the archive's prefix."""
    inside = rule.prefix.startswith(root) and len(rule.prefix) > len(root)
    place = rule.prefix.removeprefix(root) if inside else (rule.prefix or "the whole bucket")
    parts = []
    if rule.expire_days is not None:
        parts.append(f"expire after {_days(rule.expire_days)}")
    if rule.expire_date is not None:
        parts.append(f"expire on {rule.expire_date:%Y-%m-%d}")
    for move in rule.moves:
        when = f"on {move.date:%Y-%m-%d}" if move.date else f"after {_days(move.days or 0)}"
        parts.append(f"move to {move.storage_class} {when}")
    if rule.old_days is not None:
        parts.append(f"old versions go after {_days(rule.old_days)}")
    if rule.markers:
        parts.append("lone delete markers go")
    if rule.abort_days is not None:
        parts.append(f"incomplete uploads go after {_days(rule.abort_days)}")
    if not rule.known or not parts:
        parts.append("something that archiver does not know")
    limits = [f"tag {key}={value}" for key, value in rule.tags]
    limits += [f"larger than {rule.larger} B"] if rule.larger is not None else []
    limits += [f"smaller than {rule.smaller} B"] if rule.smaller is not None else []
    only = f" (only {', '.join(limits)})" if limits else ""
    off = "" if rule.enabled else " (disabled)"
    return f"{place}: {', '.join(parts)}{only}{off}"


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
