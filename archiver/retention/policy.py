"""What to keep: rules over the runs of each universe, as a user gives them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from archiver.base.suggest import did_you_mean
from archiver.errors import PolicyError

_DURATION = re.compile(r"0|(?:\d+(?:min|mo|s|h|d|w|y))+")
_PART = re.compile(r"(\d+)(min|mo|s|h|d|w|y)")
_LENGTHS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Policy:
    """What to keep of each universe; what no rule keeps is removed.

    Arguments:
        keep_within: keep runs younger than this: `12h`, `30d`, `4w`, `6mo`, `1y`, or several in a row (`1y6mo`).
        keep_last: keep so many newest runs.
        keep_best: keep the best runs by a metric: ("sharpe_ratio", 20), or a list of such pairs. A run counts by
            its best strategy. One that has no number there is left to the other rules; without any it stays.
        keep_tags: keep runs with one of these tags. Runs tagged `pinned` always stay.
        tiers: "all" removes whole runs, 2 only their details: the metrics stay.
        universe: only universes that this pattern matches (`universe_0*`).
        name: what the policy is called where it is the reason for something; None: its own rules.

    Raises PolicyError for a rule that cannot be meant.
    """

    keep_within: str | None = None
    keep_last: int | None = None
    keep_best: Any = ()
    keep_tags: Sequence[str] = ()
    tiers: Literal["all", 2] = "all"
    universe: str = "*"
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the rules and bring them into one shape."""
        if self.keep_within is not None:
            before(datetime.now(UTC), self.keep_within)
        if self.keep_last is not None:
            _whole_number("keep_last", self.keep_last)
        if self.tiers not in ("all", 2) or isinstance(self.tiers, bool):
            raise PolicyError(f'tiers is {self.tiers!r}: give "all" for whole runs, or 2 for details only')
        for field in ("universe", "name"):
            value = getattr(self, field)
            if not isinstance(value, str) and (value is not None or field == "universe"):
                raise PolicyError(f"{field} is {value!r}: give a text")
        object.__setattr__(self, "keep_best", _best(self.keep_best))
        object.__setattr__(self, "keep_tags", _tags(self.keep_tags))

    def __str__(self) -> str:
        """Write the rules in one line, as the command line takes them."""
        parts = [
            *([f"keep-within {self.keep_within}"] if self.keep_within is not None else []),
            *([f"keep-last {self.keep_last}"] if self.keep_last is not None else []),
            *(f"keep-best {metric}:{count}" for metric, count in self.keep_best),
            *(f"keep-tag {tag}" for tag in self.keep_tags),
            *([f"tiers {self.tiers}"] if self.tiers != "all" else []),
            *([f"universe {self.universe}"] if self.universe != "*" else []),
        ]
        rules = ", ".join(parts) or "no rule"
        return f"{self.name} ({rules})" if self.name else rules

    @property
    def title(self) -> str:
        """Its name, or its rules where it has none."""
        return self.name or str(self)

    @property
    def has_rules(self) -> bool:
        """Whether anything but `pinned` is kept at all."""
        return (
            self.keep_within is not None
            or self.keep_last is not None
            or bool(self.keep_best or self.keep_tags)
        )


def parse_policies(tables: Iterable[Mapping[str, Any]]) -> list[Policy]:
    """Read the `[[policy]]` tables of the configuration. Raises PolicyError, with what was probably meant."""
    known = [field.name for field in fields(Policy)]
    policies = []
    for number, table in enumerate(tables, 1):
        for name in table:
            if name not in known:
                meant = did_you_mean(name, known, f"; known are {', '.join(known)}")
                raise PolicyError(f"policy {number} in the configuration has no rule {name!r}{meant}")
        try:
            policies.append(Policy(**table))
        except PolicyError as error:
            raise PolicyError(f"policy {number} in the configuration: {error}") from None
    return policies


def before(now: datetime, duration: str) -> datetime:
    """Return the moment that lies a duration before another; months and years go by the calendar.

    Raises PolicyError for a text that is no duration.
    """
    text = duration.replace(" ", "") if isinstance(duration, str) else ""
    if not _DURATION.fullmatch(text):
        raise PolicyError(
            f"{duration!r} is no duration: write 12h, 30d, 4w, 6mo or 1y (s, min, h, d, w, mo, y)"
        )
    moment = now
    for count, unit in _PART.findall(text):
        try:
            if unit in ("mo", "y"):
                moment = _months_before(moment, int(count) * (12 if unit == "y" else 1))
            else:
                moment -= int(count) * _LENGTHS[unit]
        except (OverflowError, ValueError):
            return _EARLIEST
    return moment


def judged_by(policies: Iterable[Policy]) -> set[str]:
    """Return the metrics that policies judge runs by."""
    return {metric for policy in policies for metric, _ in policy.keep_best}


def _months_before(moment: datetime, count: int) -> datetime:
    """Go back so many months; a day that the month does not have becomes its last."""
    months = moment.year * 12 + moment.month - 1 - count
    year, month = divmod(months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _whole_number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PolicyError(f"{name} is {value!r}: give a whole number, 0 or more")
    return value


def _best(value: Any) -> tuple[tuple[str, int], ...]:
    """Read keep_best: a pair, a text `metric:count`, or several of either."""
    if value is None:
        return ()
    if isinstance(value, str):
        metric, colon, count = value.rpartition(":")
        if not colon or not metric or not count.isdigit():
            raise PolicyError(f"keep_best is {value!r}: write METRIC:COUNT, such as sharpe_ratio:20")
        return ((metric, int(count)),)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise PolicyError(f'keep_best is {value!r}: give a metric and a count, such as ("sharpe_ratio", 20)')
    items = list(value)
    if len(items) == 2 and isinstance(items[0], str) and not isinstance(items[1], (str, list, tuple)):
        return ((items[0], _whole_number(f"the count of keep_best {items[0]}", items[1])),)
    return tuple(pair for item in items for pair in _best(item))


def _tags(value: Any) -> tuple[str, ...]:
    if value is not None and (isinstance(value, Mapping) or not isinstance(value, Iterable)):
        raise PolicyError(f'keep_tags is {value!r}: give tags as texts, such as ["release"]')
    tags = (value,) if isinstance(value, str) else tuple(value or ())
    for tag in tags:
        if not isinstance(tag, str) or not tag:
            raise PolicyError(f"keep_tags holds {tag!r}: give tags as texts")
    return tags
