"""Bundles in cold storage: starting the thaw, saying when it is due and what it costs, waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from archiver.errors import ConfigError, StorageError
from archiver.store.s3.cold import Warmth, thaw, warmth
from archiver.transfer.bundle.place import Place

DAYS = 7
"""How long a thawed copy stays, in days."""


class Terms(NamedTuple):
    """What a thaw takes and costs: hours at least and at most, USD a GB, USD a request."""

    least: float
    most: float
    gb: float
    request: float


PRICES_OF = "November 2025, us-east-1"
TERMS: dict[tuple[str, str], Terms] = {
    ("GLACIER", "expedited"): Terms(1 / 60, 5 / 60, 0.03, 0.01),
    ("GLACIER", "standard"): Terms(3, 5, 0.01, 0.00005),
    ("GLACIER", "bulk"): Terms(5, 12, 0.0, 0.0),
    ("DEEP_ARCHIVE", "standard"): Terms(9, 12, 0.02, 0.0001),
    ("DEEP_ARCHIVE", "bulk"): Terms(12, 48, 0.0025, 0.000025),
}
"""Terms by class and tier; prices as of PRICES_OF, before tax. The bill is what counts."""
_FIRST_WAIT, _LONGEST_WAIT = 15.0, 600.0
_PART_OF_WAIT = 20


def require_warm(
    place: Place,
    *,
    wait: bool = False,
    tier: str = "standard",
    days: int = DAYS,
    say: Callable[[str], None] = lambda _text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make sure that a bundle can be read; start its thaw where it cannot.

    Arguments:
        place: where the bundle is.
        wait: return when it is thawed, however long that takes; otherwise raise.
        tier: expedited, standard or bulk: quicker is dearer.
        days: how long the thawed copy stays.
        say: told when the thaw is due and what it costs.
        sleep: waits so many seconds.

    Raises StorageError with the same text when it is not readable yet, ConfigError for a tier the class lacks.
    """
    found = warmth(place.store, place.key)
    if found is None or found.readable:
        return
    terms = TERMS.get((found.storage_class, tier.lower()))
    if terms is None:
        tiers = [name for storage_class, name in TERMS if storage_class == found.storage_class]
        raise ConfigError(f"{found.storage_class} has no tier {tier!r}: use {' or '.join(tiers)}")
    if found.thawing:
        text = f"{place.url} is thawing: it may take {_hours(terms)} from when that was asked for"
    else:
        thaw(place.store, place.key, days=days, tier=tier)
        text = (
            f"{place.url} was in {found.storage_class}; its thaw has begun: {_terms_text(terms, found, days)}"
        )
        found = warmth(place.store, place.key)
        if found is None or found.readable:
            return
    if not wait:
        raise StorageError(f"{text}; repeat the command then, or add --wait")
    say(text)
    _wait(place, terms, sleep)


def _wait(place: Place, terms: Terms, sleep: Callable[[float], None]) -> None:
    """Ask now and then: some twenty times in the time that it should take, and not more often later."""
    pause = max(_FIRST_WAIT, min(_LONGEST_WAIT, terms.least * 3600 / _PART_OF_WAIT))
    while True:
        sleep(pause)
        found = warmth(place.store, place.key)
        if found is None or found.readable:
            return


def _terms_text(terms: Terms, found: Warmth, days: int) -> str:
    cost = found.size / 1e9 * terms.gb + terms.request
    price = "less than $0.01" if cost < 0.01 else f"about ${cost:,.2f}"
    return f"due in {_hours(terms)}, {price} (prices of {PRICES_OF}), readable for {days} days"


def _hours(terms: Terms) -> str:
    if terms.most < 1:
        return f"{terms.least * 60:.0f} to {terms.most * 60:.0f} minutes"
    return f"{terms.least:.0f} to {terms.most:.0f} hours"
