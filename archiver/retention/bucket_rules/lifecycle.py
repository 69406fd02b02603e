"""Bucket rules: read what a bucket does by itself, plan archiver's own rules, write them, and look what was kept.

A bucket has one set of rules, and writing replaces it whole. So rules of others go through as the bytes they are,
the set is read again before and after the write, and what comes back otherwise than it was sent is taken back.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archiver.errors import AccessError, ConfigError, PolicyError, StorageError
from archiver.format import layout
from archiver.format.model import Record
from archiver.retention.bucket_rules import (
    COLD,
    MINIMUM_DAYS,
    Change,
    Document,
    Estimate,
    Event,
    Rule,
    Wishes,
    at_risk,
    build_rules,
    dangers,
    describe,
    estimate,
    inexpressible,
    is_ours,
    merge,
    named,
    out_of_reach,
    parse,
    protected_tags,
    refuse,
    refuse_pins,
)
from archiver.retention.bucket_rules import simulate as simulate_rules
from archiver.retention.policy import Policy
from archiver.runs.tags import PINNED
from archiver.store import BucketApi, RejectedError, RuleSet, Store, UnsupportedError

_LOOKS = (0.0, 0.3, 1.0, 3.0)
"""Seconds to wait before each look at what was written: AWS may show the former rules for a moment."""
_MOVES_SMALL = "varies_by_storage_class"


@dataclass(frozen=True, slots=True)
class BucketRules:
    """The rules of a bucket as they are, whose they are, and what is to be said about them."""

    url: str
    root: str
    found: RuleSet | None
    document: Document
    versioning: str
    warnings: tuple[str, ...]

    def ours(self, rule: Rule) -> bool:
        """Tell whether archiver made a rule, for this archive."""
        return is_ours(rule, self.root)

    def text(self, rule: Rule) -> str:
        """Say in a line what a rule does."""
        return describe(rule, self.root)

    @property
    def moves_small(self) -> bool:
        """Whether the bucket moves objects under 128 KB too."""
        return self.found is not None and self.found.least == _MOVES_SMALL


@dataclass(frozen=True, slots=True)
class RulesPlan:
    """What would change in a bucket, and what that costs."""

    before: BucketRules
    change: Change
    warnings: tuple[str, ...]
    estimates: tuple[Estimate, ...]

    @property
    def after(self) -> RuleSet | None:
        """The rules as they would be written; None: none are left."""
        if not (self.change.wanted or self.change.others):
            return None
        return RuleSet(self.change.xml, self.before.found.least if self.before.found else "")


def read(store: Store) -> BucketRules:
    """Read the rules of a store's bucket. Raises ConfigError where the store has no such rules."""
    api = _api(store)
    try:
        found = api.rules()
    except UnsupportedError as error:
        raise _none(store, str(error)) from error
    document = parse(None if found is None else found.xml)
    others = [rule for rule in document.rules if not is_ours(rule, api.root)]
    return BucketRules(
        store.url, api.root, found, document, _versioning(api), tuple(dangers(others, api.root))
    )


def plan(
    store: Store,
    records: Iterable[Record],
    tags: Mapping[str, Sequence[str]],
    policies: Sequence[Policy],
    wishes: Wishes,
    bundled: Callable[[], Mapping[str, str]] = dict,
) -> RulesPlan:
    """Plan the rules that policies and wishes ask for; nothing is written.

    records, tags: of all runs, to make sure that no pinned run would lose its details; bundled: tells, when asked,
    which runs lie with their details in which bundle.

    Raises PolicyError for rules that must not be, ConfigError where the store has no such rules.
    """
    before = read(store)
    wanted = build_rules(before.root, policies, wishes, versioned=bool(before.versioning))
    change = merge(before.document, wanted, before.root)
    refuse(change)
    known = list(records)
    hit = _kept_by_tag(change, known, tags, policies)
    safe = bundled() if hit else {}
    refuse_pins(
        [record for record in hit if record.run not in safe], now=any(pins_at_risk(before, known, tags))
    )
    entries = [entry for area in _areas(change) for entry in store.list(area)]
    estimates = estimate(change.wanted, entries, before.root, wishes.prices, moves_small=before.moves_small)
    warnings = [
        *before.warnings,
        *_only_in_bundles(hit, safe),
        *_left_to_prune(policies),
        *out_of_reach(change.wanted, known),
        *_about(change, before),
        *_costs(estimates, change),
    ]
    return RulesPlan(before, change, tuple(dict.fromkeys(warnings)), tuple(estimates))


def _kept_by_tag(
    change: Change, records: Sequence[Record], tags: Mapping[str, Sequence[str]], policies: Sequence[Policy]
) -> list[Record]:
    """Return the runs with details that the wanted rules would remove and a policy on their universe keeps by tag."""
    hit = []
    for universe in dict.fromkeys(record.universe for record in records):
        own = [record for record in records if record.universe == universe]
        hit += at_risk(change.wanted, own, tags, change.root, protected_tags(policies, PINNED, universe))
    return hit


def pins_at_risk(
    before: BucketRules, records: Iterable[Record], tags: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Say which pinned runs the rules in the bucket, whoever made them, are going to rob of their details."""
    hit = at_risk(before.document.rules, records, tags, before.root, {PINNED})
    if hit:
        yield f"rules in the bucket remove the details of {named(hit)}, pinned: bundle them, or remove the rules"


def apply(store: Store, plan: RulesPlan, *, wait: Callable[[float], None] = time.sleep) -> RulesPlan | None:
    """Write the rules of a plan, and read them again. Returns what was written, or None where nothing was to do.

    Where the server takes no rules on incomplete uploads, the others are written; a warning in the result says so.

    Raises PolicyError when the rules have changed since the plan; StorageError when the server does not keep what
    it was sent: then the former rules are back.
    """
    api = _api(store)
    if _meaning(api.rules()) != _meaning(plan.before.found):
        raise PolicyError("the bucket's rules have changed since the plan: plan again")
    if plan.change.empty:
        return None
    try:
        api.replace_rules(plan.after)
    except AccessError:
        raise
    except RejectedError as error:
        fewer = _without_uploads(plan, error)
        if fewer is None:
            raise _refused(error) from error
        return apply(store, fewer, wait=wait) or fewer
    except StorageError as error:
        if not _same(_settled(api, plan, wait), plan.after):
            _put_back(api, plan, wait)
            raise error
        return plan  # only the answer was lost
    found = _settled(api, plan, wait)
    if _same(found, plan.after):
        return plan
    difference = _difference(plan, found)
    _restore(api, plan.before.found, wait)
    raise StorageError(
        f"{store.url} does not keep rules as they are sent: {difference}; the former rules are back, "
        "and `archiver prune` does the work from here"
    )


def simulate(store: Store, before: BucketRules, rules: Iterable[Rule], prefix: str = "") -> Iterator[Event]:
    """Yield which object meets which of the rules on which day, by the times that the store shows."""
    return simulate_rules(rules, store.list(prefix), before.root, moves_small=before.moves_small)


def _api(store: Store) -> BucketApi:
    api = store.bucket_api()
    if api is None:
        raise _none(store, "it is no bucket of S3")
    return api


def _none(store: Store, reason: str) -> ConfigError:
    reason = reason.removeprefix(f"{store.url} ")
    return ConfigError(
        f"{store.url} takes no bucket rules ({reason}): `archiver prune --apply` and `archiver gc --apply` "
        "remove from here what rules would"
    )


def _versioning(api: BucketApi) -> str:
    try:
        return api.versioning()
    except UnsupportedError:
        return ""


def _areas(change: Change) -> list[str]:
    """Return what to list for estimates: the places that rules move."""
    below = {rule.prefix.removeprefix(change.root) for rule in change.wanted if rule.moves}
    return [area for area in (layout.TIER2, layout.BUNDLES) if area in below]


# -- writing -------------------------------------------------------------------------------------------------


def _settled(api: BucketApi, plan: RulesPlan, wait: Callable[[float], None]) -> RuleSet | None:
    """Read what was written, a few times while the former rules still show."""
    found = plan.before.found
    for seconds in _LOOKS:
        wait(seconds)
        try:
            found = api.rules()
        except StorageError as error:
            raise type(error)(
                f"{error}; the rules were written: look at them with `archiver lifecycle show`"
            ) from error
        if not _same(found, plan.before.found):
            break
    return found


def _without_uploads(plan: RulesPlan, reason: RejectedError) -> RulesPlan | None:
    """Plan the same without rules on incomplete uploads, which some servers do not take; None where there are none."""
    wanted = [rule for rule in plan.change.wanted if rule.abort_days is None]
    if len(wanted) == len(plan.change.wanted):
        return None
    change = merge(plan.before.document, wanted, plan.before.root)
    warning = f'rules on incomplete uploads are left out, set abort_uploads = "never": {reason}'
    return replace(plan, change=change, warnings=(*plan.warnings, warning))


def _refused(failure: StorageError) -> StorageError:
    return StorageError(
        f"{failure}; nothing was changed. The server may know only some rules: ask for fewer, such as with "
        "--old-versions never"
    )


def _put_back(api: BucketApi, plan: RulesPlan, wait: Callable[[float], None]) -> None:
    """After a failed write: restore the former rules unless they are still there."""
    if not _same(api.rules(), plan.before.found):
        _restore(api, plan.before.found, wait)


def _restore(api: BucketApi, former: RuleSet | None, wait: Callable[[float], None]) -> None:
    try:
        api.replace_rules(former)
        for seconds in _LOOKS:
            wait(seconds)
            if _same(api.rules(), former):
                return
        reason = "they come back otherwise"
    except StorageError as error:
        reason = str(error)
    place = "it had none"
    if former is not None:
        with tempfile.NamedTemporaryFile(
            prefix="archiver-former-rules-", suffix=".xml", delete=False
        ) as file:
            file.write(former.xml)
        place = f"they are in {Path(file.name)}"
    raise StorageError(
        f"{api.url}: the server changed the rules, and the former ones could not be restored ({reason}): {place}; "
        "put them back by hand"
    )


def _meaning(rules: RuleSet | None) -> object:
    return parse(None if rules is None else rules.xml).meaning


def _same(found: RuleSet | None, wanted: RuleSet | None) -> bool:
    least = wanted.least if wanted is not None else ""
    kept = not least or found is None or found.least in ("", least)
    return kept and _meaning(found) == _meaning(wanted)


def _difference(plan: RulesPlan, found: RuleSet | None) -> str:
    """Say in a few words what came back otherwise."""
    sent = parse(plan.change.xml).rules
    back = {rule.id: rule for rule in parse(None if found is None else found.xml).rules}
    for rule in sent:
        other = back.get(rule.id)
        if other is None:
            return f"rule {rule.id} is gone"
        if other.meaning != rule.meaning:
            was, became = (describe(one, plan.change.root) for one in (rule, other))
            return f"rule {rule.id} ({was}) came back as ({became})"
    return "the set came back otherwise"


# -- what to say ---------------------------------------------------------------------------------------------


def _left_to_prune(policies: Sequence[Policy]) -> Iterator[str]:
    for policy in policies:
        if reason := inexpressible(policy, policies):
            yield f"policy {policy.title} is left to `archiver prune`: {reason}"


def _only_in_bundles(hit: Sequence[Record], safe: Mapping[str, str]) -> Iterator[str]:
    for record in hit:
        yield f"{record.run} is kept by its tag and loses its details here by age: they stay in {safe[record.run]}"


def _about(change: Change, before: BucketRules) -> Iterator[str]:
    expiries = [rule for rule in change.wanted if rule.expire_days is not None]
    if before.versioning and expiries and not any(rule.old_days for rule in change.wanted):
        yield "the bucket keeps old versions, so what expires goes on being paid for: set old_versions"
    for rule in change.wanted:
        place = rule.prefix.removeprefix(before.root)
        for move in rule.moves:
            if move.storage_class in COLD and place.startswith(layout.TIER2):
                yield (
                    f"details in {move.storage_class} cannot be read before they are restored (hours): "
                    "GLACIER_IR can, and bundles are better frozen"
                )
            for expiry in expiries:
                yield from _too_short(rule, move.storage_class, move.days or 0, expiry)


def _too_short(rule: Rule, storage_class: str, days: int, expiry: Rule) -> Iterator[str]:
    if not expiry.prefix.startswith(rule.prefix) or expiry.expire_days is None:
        return
    least = MINIMUM_DAYS.get(storage_class, 0)
    if expiry.expire_days <= days:
        yield f"{expiry.id} removes objects before {rule.id} would move them to {storage_class}"
    elif expiry.expire_days - days < least:
        yield (
            f"{storage_class} is paid for {least} days, and {expiry.id} removes objects "
            f"{expiry.expire_days - days} days after they were moved there"
        )


def _costs(estimates: Iterable[Estimate], change: Change) -> Iterator[str]:
    for item in estimates:
        yield from _never_pays(item, change)
        if item.small:
            yield (
                f"{item.small} of {item.small + item.objects} objects are too small for {item.rule} and stay "
                "(by default 128 KB): bundle runs before moving them"
            )
        if item.month_after is None or item.once is None:
            yield f"no price of {item.storage_class} is known: set lifecycle.prices"
        elif item.objects and (item.saves or 0) <= 0:
            yield f"moving to {item.storage_class} saves nothing: the objects are small; bundle runs first"
        if item.minimum_days and item.objects:
            yield f"{item.storage_class} is paid for at least {item.minimum_days} days an object"


def _never_pays(item: Estimate, change: Change) -> Iterator[str]:
    """Say where objects expire before their move is paid for."""
    rules = {rule.id: rule for rule in change.wanted}
    for expiry in change.wanted:
        if not expiry.expire_days or not expiry.prefix.startswith(rules[item.rule].prefix):
            continue
        stays = expiry.expire_days - item.days
        if item.pays_back is not None and 0 < stays < item.pays_back * 30:
            yield (
                f"moving to {item.storage_class} pays back after {item.pays_back:.1f} months, and {expiry.id} "
                f"removes objects after {stays} days there: do not move them"
            )
