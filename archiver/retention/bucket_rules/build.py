"""From policies and wishes to bucket rules: what of them a bucket can do by itself."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from archiver.base.suggest import did_you_mean
from archiver.errors import ConfigError, PolicyError
from archiver.format import layout
from archiver.retention.bucket_rules.document import Move, Rule, Xml, element, rule
from archiver.retention.bucket_rules.prices import Prices
from archiver.retention.policy import Policy, before

NAMED = "archiver-"
"""Begins the id of every rule that archiver makes."""
UPLOADS = (layout.TIER2, layout.BUNDLES, layout.CATALOG)
"""Where a rule aborts incomplete uploads: where most and the largest are; `gc` aborts them wherever archiver writes."""
VERSIONS = (layout.TIER2, layout.BUNDLES, layout.CATALOG, layout.TRASH)
"""Where old versions expire."""

_CLASS = re.compile(r"[A-Z][A-Z0-9_-]*")
_WILD = re.compile(r"[*?\[]")
_DAY = timedelta(days=1)
_LONG = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
"""Days for which AWS keeps an object where it is before it moves it there."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the rules should do beside the policies: the table `[lifecycle]` of the configuration.

    tier2, bundles: moves to other storage classes; abort_days, old_days: when incomplete uploads and old versions
    go, None: never; min_size: bytes below which nothing is moved, None: as the server has it; prices: for estimates.
    """

    tier2: tuple[Move, ...] = ()
    bundles: tuple[Move, ...] = ()
    abort_days: int | None = 7
    old_days: int | None = 30
    min_size: int | None = None
    prices: Prices = field(default_factory=Prices)

    @staticmethod
    def of(table: Mapping[str, Any]) -> Wishes:
        """Read the table. Raises ConfigError, with what was probably meant."""
        known = ("tier2", "bundles", "abort_uploads", "old_versions", "min_size", "prices")
        for name in table:
            if name not in known:
                meant = did_you_mean(name, known, f"; known are {', '.join(known)}")
                raise ConfigError(f"lifecycle in the configuration has no setting {name!r}{meant}")
        return Wishes().changed(**table)

    def changed(
        self,
        *,
        tier2: Any = None,
        bundles: Any = None,
        abort_uploads: str | bool | None = None,
        old_versions: str | bool | None = None,
        min_size: int | str | None = None,
        prices: Mapping[str, Any] | None = None,
    ) -> Wishes:
        """Return these wishes with some of them said anew; None leaves one as it is, `never` or False ends it."""
        return replace(
            self,
            tier2=self.tier2 if tier2 is None else _moves("tier2", tier2),
            bundles=self.bundles if bundles is None else _moves("bundles", bundles),
            abort_days=self.abort_days if abort_uploads is None else _days_or_never(abort_uploads),
            old_days=self.old_days if old_versions is None else _days_or_never(old_versions),
            min_size=self.min_size if min_size is None else _size(min_size),
            prices=self.prices if prices is None else Prices.of(prices),
        )


def days_of(duration: str) -> int:
    """Return the whole days after which a duration has passed in any case, whatever the calendar; at least 1.

    Raises PolicyError for a text that is no duration.
    """
    if not isinstance(duration, str):
        raise PolicyError(f"{duration!r} is no duration: write a text such as 30d")
    return _days_of(duration.replace(" ", ""))


@lru_cache(maxsize=64)
def _days_of(duration: str) -> int:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    moments = [begin + at * _DAY for at in range(1461 if re.search("mo|y", duration) else 1)]
    return max(1, *(math.ceil((moment - before(moment, duration)) / _DAY) for moment in moments))


def build_rules(
    root: str, policies: Sequence[Policy], wishes: Wishes, *, versioned: bool = False
) -> tuple[Rule, ...]:
    """Make the rules that the policies and wishes ask for.

    root: the archive's prefix in the bucket, empty or ending with `/`; versioned: whether the bucket keeps, or
    has kept, old versions.
    """
    made = [
        _rule_of("expire", root + scope, element("Expiration", element("Days", days)))
        for scope, days in _expiries(policies)
    ]
    for area, moves in ((layout.TIER2, wishes.tier2), (layout.BUNDLES, wishes.bundles)):
        if moves:
            made.append(_rule_of("move", root + area, *map(_transition, moves), min_size=wishes.min_size))
    if versioned and wishes.old_days is not None:
        old = element("NoncurrentVersionExpiration", element("NoncurrentDays", wishes.old_days))
        # A version that is deleted leaves a marker, and only a rule of its own removes that.
        marker = element("Expiration", element("ExpiredObjectDeleteMarker", "true"))
        made.extend(_rule_of("old", root + area, marker, old) for area in VERSIONS)
    if wishes.abort_days is not None:
        abort = element("AbortIncompleteMultipartUpload", element("DaysAfterInitiation", wishes.abort_days))
        made.extend(_rule_of("uploads", root + area, abort) for area in UPLOADS)
    return tuple(made)


def inexpressible(policy: Policy, policies: Sequence[Policy] = ()) -> str | None:
    """Say why a bucket can't carry out a policy, or None when it can.

    policies: all of them; those over the same universes decide together.
    """
    if policy.tiers != 2:
        return "it removes whole runs, which takes more than deleting objects"
    if policy.keep_last is not None or policy.keep_best:
        return "a bucket knows the age of an object, not its rank"
    if policy.keep_within is None:
        return "it has no age"
    if _scope(policy.universe) is None:
        return f"a bucket knows only beginnings of names, not {policy.universe}"
    for other in policies:
        if other is not policy and other.tiers == 2 and _may_meet(policy.universe, other.universe):
            reason = inexpressible(other)
            if reason is not None and "beginnings" not in reason:
                return f"another policy keeps details of the same universes ({other.title}), and {reason}"
    return None


def protected_tags(policies: Sequence[Policy], pinned: str, universe: str) -> frozenset[str]:
    """Return the tags whose runs no rule may touch in a universe: pinned, and those that policies on details keep."""
    meant = (policy for policy in policies if policy.tiers == 2 and fnmatchcase(universe, policy.universe))
    return frozenset({pinned, *(tag for policy in meant for tag in policy.keep_tags)})


def _expiries(policies: Sequence[Policy]) -> list[tuple[str, int]]:
    """Return (scope below the root, days) for the policies that a bucket can carry out; the longest age counts."""
    scopes: dict[str, int] = {}
    for policy in policies:
        scope = _scope(policy.universe)
        if scope is None or inexpressible(policy, policies) is not None:
            continue
        now = datetime.now(UTC)
        if before(now, policy.keep_within or "0") == now:
            # Days of buckets begin at 1, but what is asked for is to keep nothing.
            raise PolicyError(
                f"{policy.title} keeps no details at all: give an age, or remove them once with"
                " `archiver prune --tiers 2 --keep-last 0 --allow-empty --apply`"
            )
        ages = [
            days_of(other.keep_within)
            for other in policies
            if other.tiers == 2 and other.keep_within and _may_meet(policy.universe, other.universe)
        ]
        scopes[scope] = max(ages)
    return list(scopes.items())


def _scope(pattern: str) -> str | None:
    """Return the beginning of keys that a pattern of universes means, or None when it is more than a beginning."""
    wild = _WILD.search(pattern)
    if wild is None:
        return f"{layout.TIER2}{layout.universe_part(pattern)}/"
    if wild.start() != len(pattern) - 1 or pattern[-1] != "*":
        return None
    head = pattern[:-1]
    return f"{layout.TIER2}universe={layout.quote(head)}" if head else layout.TIER2


def _may_meet(one: str, other: str) -> bool:
    """Tell whether two patterns may match the same universe, judged by what they begin with."""
    heads = [_WILD.split(pattern, maxsplit=1)[0] for pattern in (one, other)]
    wild = [len(head) < len(pattern) for head, pattern in zip(heads, (one, other), strict=True)]
    if not any(wild):
        return one == other
    shorter, longer = sorted(heads, key=len)
    open_end = wild[0] if len(heads[0]) <= len(heads[1]) else wild[1]
    return longer.startswith(shorter) and (open_end or shorter == longer)


def _rule_of(kind: str, prefix: str, *actions: Xml, min_size: int | None = None) -> Rule:
    scope = element("Prefix", prefix)
    if min_size is not None:
        scope = element("And", scope, element("ObjectSizeGreaterThan", min_size - 1))
    area = re.sub(r"[^A-Za-z0-9]+", "-", prefix.rstrip("/").rpartition("/")[2])[:40].strip("-")
    # The digest keeps apart what different archives in one bucket, or universes of like names, have.
    name = f"{NAMED}{kind}-{area}-{hashlib.sha256(prefix.encode()).hexdigest()[:8]}"
    return rule(
        element(
            "Rule",
            element("ID", name),
            element("Filter", scope),
            element("Status", "Enabled"),
            *_ordered(actions),
        )
    )


def _ordered(actions: Sequence[Xml]) -> list[Xml]:
    order = ("<Expiration>", "<Transition>", "<NoncurrentVersionExpiration>", "<AbortIncomplete")
    return sorted(
        actions, key=lambda action: next(at for at, tag in enumerate(order) if action.startswith(tag))
    )


def _transition(move: Move) -> Xml:
    return element("Transition", element("Days", move.days or 0), element("StorageClass", move.storage_class))


def _moves(name: str, value: Any) -> tuple[Move, ...]:
    """Read `GLACIER_IR:30d`, or a list of such."""
    texts = list(value) if isinstance(value, list | tuple) else [value]
    return tuple(sorted((_one_move(name, text) for text in texts), key=lambda move: move.days or 0))


def _one_move(name: str, text: Any) -> Move:
    storage_class, colon, duration = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not colon or not _CLASS.fullmatch(storage_class):
        raise ConfigError(f"lifecycle {name} is {text!r}: write CLASS:AGE, such as GLACIER_IR:30d")
    days = _days(duration)
    if days < _LONG.get(storage_class, 0):
        raise ConfigError(
            f"lifecycle {name}: S3 moves nothing to {storage_class} before {_LONG[storage_class]} days: "
            f"write {storage_class}:{_LONG[storage_class]}d"
        )
    return Move(storage_class, days)


def _days_or_never(value: str | bool) -> int | None:
    if value in (False, "never", ""):
        return None
    if value is True:
        raise ConfigError("true is no age: write such as 7d, or never")
    return _days(value)


def _days(duration: Any) -> int:
    try:
        return days_of(duration)
    except PolicyError as error:
        raise ConfigError(str(error)) from None


def _size(value: int | str) -> int | None:
    from archiver.config.settings import size_in_bytes

    size = size_in_bytes(value) if isinstance(value, str) else value
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ConfigError(f"lifecycle min_size is {value!r}: give bytes, or such as 1MB")
    return size or None
