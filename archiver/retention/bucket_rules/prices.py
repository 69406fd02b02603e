"""What a move to another storage class costs and saves: an estimate, by prices that are settings with their date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from archiver.errors import ConfigError
from archiver.retention.bucket_rules.document import Rule
from archiver.store.entry import Entry

SMALL = 128 * 1024
"""Bytes below which S3 moves nothing by default, and which colder classes bill at least."""
MINIMUM_DAYS = {
    "STANDARD_IA": 30,
    "ONEZONE_IA": 30,
    "GLACIER_IR": 90,
    "GLACIER": 90,
    "DEEP_ARCHIVE": 180,
}
"""Days that are paid for in any case."""
COLD = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes that cannot be read before a restore."""

_GB = 1e9
_OVERHEAD = 32 * 1024, 8 * 1024
"""Bytes that an object adds in a cold class, at its own price and at the standard price."""
_BILLED_SMALL = frozenset({"STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"})


def _storage() -> dict[str, float]:
    return {
        "STANDARD": 0.023,
        "INTELLIGENT_TIERING": 0.023,
        "STANDARD_IA": 0.0125,
        "ONEZONE_IA": 0.01,
        "GLACIER_IR": 0.004,
        "GLACIER": 0.0036,
        "DEEP_ARCHIVE": 0.00099,
    }


def _requests() -> dict[str, float]:
    return {
        "INTELLIGENT_TIERING": 0.01,
        "STANDARD_IA": 0.01,
        "ONEZONE_IA": 0.01,
        "GLACIER_IR": 0.02,
        "GLACIER": 0.03,
        "DEEP_ARCHIVE": 0.05,
    }


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices, and the month they were true in. storage: a GB (10^9 bytes) and month; requests: 1,000 moves into it.

    The defaults are list prices of AWS us-east-1; your contract, region or provider has others: set them.
    """

    date: str = "2026-11"
    currency: str = "USD"
    storage: Mapping[str, float] = field(default_factory=_storage)
    requests: Mapping[str, float] = field(default_factory=_requests)

    @staticmethod
    def of(table: Mapping[str, Any]) -> Prices:
        """Read the table `[lifecycle.prices]` over the defaults. Raises ConfigError; prices need their date."""
        known = [item.name for item in fields(Prices)]
        if not isinstance(table, Mapping) or set(table) - set(known):
            raise ConfigError(f"lifecycle.prices takes {', '.join(known)}")
        if "date" not in table:
            raise ConfigError('lifecycle.prices: say of when they are, such as date = "2026-11"')
        default = Prices()
        return Prices(
            date=str(table["date"]),
            currency=str(table.get("currency", default.currency)),
            storage={**default.storage, **_given(table, "storage")},
            requests={**default.requests, **_given(table, "requests")},
        )


def _given(table: Mapping[str, Any], name: str) -> Mapping[str, float]:
    given = table.get(name, {})
    if not isinstance(given, Mapping) or not all(
        isinstance(price, int | float) and not isinstance(price, bool) and price >= 0
        for price in given.values()
    ):
        raise ConfigError(f"lifecycle.prices.{name}: give a price for each storage class")
    return given


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one move means for the objects there are now. `once` and months in `currency`; None: no price is known."""

    rule: str
    storage_class: str
    days: int
    objects: int
    bytes: int
    small: int
    once: float | None
    month_before: float | None
    month_after: float | None
    minimum_days: int
    currency: str = "USD"
    prices_of: str = ""

    @property
    def saves(self) -> float | None:
        """What a month costs less once all is moved."""
        if self.month_before is None or self.month_after is None:
            return None
        return self.month_before - self.month_after

    @property
    def pays_back(self) -> float | None:
        """Months until the requests are paid for; None: never, or not known."""
        if self.once is None or self.saves is None or self.saves <= 0:
            return None
        return self.once / self.saves


def estimate(
    rules: Iterable[Rule], entries: Iterable[Entry], root: str, prices: Prices, *, moves_small: bool = False
) -> list[Estimate]:
    """Estimate every move of the rules over the objects of an archive.

    entries: as the store lists them, so below `root`; moves_small: the bucket moves small objects too.
    """
    moving = [rule for rule in rules if rule.enabled and rule.moves]
    sizes: dict[int, list[int]] = {at: [] for at in range(len(moving))}
    small = dict.fromkeys(sizes, 0)
    for entry in entries:
        for at, rule in enumerate(moving):
            if (root + entry.key).startswith(rule.prefix):
                if entry.size < least_size(rule, moves_small=moves_small):
                    small[at] += 1
                else:
                    sizes[at].append(entry.size)
    return [
        _estimate(rule.id, before, move.storage_class, move.days or 0, sizes[at], small[at], prices)
        for at, rule in enumerate(moving)
        for before, move in zip(
            ("STANDARD", *(earlier.storage_class for earlier in rule.moves)), rule.moves, strict=False
        )
    ]


def least_size(rule: Rule, *, moves_small: bool) -> int:
    """Return the bytes from which on objects are moved by a rule."""
    if rule.larger is not None:
        return rule.larger + 1
    return 0 if moves_small else SMALL


def _estimate(
    name: str, before: str, storage_class: str, days: int, sizes: list[int], small: int, prices: Prices
) -> Estimate:
    request = prices.requests.get(storage_class)
    return Estimate(
        rule=name,
        storage_class=storage_class,
        days=days,
        objects=len(sizes),
        bytes=sum(sizes),
        small=small,
        once=None if request is None else len(sizes) / 1000 * request,
        month_before=_month(before, sizes, prices),
        month_after=_month(storage_class, sizes, prices),
        minimum_days=MINIMUM_DAYS.get(storage_class, 0),
        currency=prices.currency,
        prices_of=prices.date,
    )


def _month(storage_class: str, sizes: list[int], prices: Prices) -> float | None:
    price, standard = prices.storage.get(storage_class), prices.storage.get("STANDARD", 0.0)
    if price is None:
        return None
    if storage_class in _BILLED_SMALL:
        sizes = [max(size, SMALL) for size in sizes]
    own, at_standard = _OVERHEAD if storage_class in COLD else (0, 0)
    return ((sum(sizes) + own * len(sizes)) * price + at_standard * len(sizes) * standard) / _GB
