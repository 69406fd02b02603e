"""Which object meets which rule on which day, as a server reckons it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from archiver.retention.bucket_rules.document import Rule
from archiver.retention.bucket_rules.prices import least_size
from archiver.store.entry import Entry

_DAY = timedelta(days=1)


class Event(NamedTuple):
    """What happens to one object: from the beginning of that day (UTC) on, at a time of the server's choice."""

    day: date
    action: str
    key: str
    size: int
    rule: str
    if_tagged: bool = False


def simulate(
    rules: Iterable[Rule], entries: Iterable[Entry], root: str, *, moves_small: bool = False
) -> Iterator[Event]:
    """Yield what the rules do to each object, in the order of the objects and, for each, of the days.

    entries: as the store lists them, so below `root`; moves_small: the bucket moves small objects too. Of several
    rules the one that expires an object first wins, and nothing is moved on or after that day.
    """
    by_prefix: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.enabled and (rule.removes or rule.moves):
            by_prefix.setdefault(rule.prefix, []).append(rule)
    lengths = sorted({len(prefix) for prefix in by_prefix})
    for entry in entries:
        name = root + entry.key
        meant = [
            rule
            for length in lengths
            if length <= len(name)
            for rule in by_prefix.get(name[:length], ())
            if _covers(rule, entry.size)
        ]
        if meant:
            yield from _events(entry, meant, moves_small=moves_small)


def day_of(modified: datetime, days: int) -> date:
    """Return the day on whose beginning an age is reached: S3 rounds up to the next midnight, UTC."""
    try:
        return (modified.astimezone(UTC) + days * _DAY).date() + _DAY
    except OverflowError:
        return date.max


def _covers(rule: Rule, size: int) -> bool:
    return (rule.larger is None or size > rule.larger) and (rule.smaller is None or size < rule.smaller)


def _events(entry: Entry, rules: Sequence[Rule], *, moves_small: bool) -> list[Event]:
    ends = [
        Event(_expiry(rule, entry), "expire", entry.key, entry.size, rule.id, bool(rule.tags))
        for rule in rules
        if rule.removes
    ]
    # A rule that asks for tags may never come true: it does not hide what happens for certain.
    certain = min((event for event in ends if not event.if_tagged), default=None)
    kept = [event for event in ends if event.if_tagged and (certain is None or event.day < certain.day)]
    moves = [
        Event(
            move.date.date() if move.date else day_of(entry.modified, move.days or 0),
            f"move to {move.storage_class}",
            entry.key,
            entry.size,
            rule.id,
            bool(rule.tags),
        )
        for rule in rules
        for move in rule.moves
        if entry.size >= least_size(rule, moves_small=moves_small)
    ]
    moves = [event for event in moves if certain is None or event.day < certain.day]
    return sorted([*moves, *kept, *([certain] if certain else [])])


def _expiry(rule: Rule, entry: Entry) -> date:
    if rule.expire_date is not None:
        return rule.expire_date.date()
    return day_of(entry.modified, rule.expire_days or 0)
