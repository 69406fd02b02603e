"""What to keep: rules over the runs of each universe, and the decision on every run with its reasons.

Pure: runs, policies and a moment go in, decisions come out. What any rule keeps stays. Policies that remove whole
runs and policies that remove only details decide apart from each other: a run may stay and lose its details.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypeVar

from archiver.base.suggest import did_you_mean
from archiver.errors import PolicyError
from archiver.format.model import Record
from archiver.runs.outlines import Outline
from archiver.runs.tags import PINNED

KEEP: Literal["keep"] = "keep"
REMOVE: Literal["remove"] = "remove"
REMOVE_DETAILS: Literal["remove details"] = "remove details"

_DURATION = re.compile(r"0|(?:\d+(?:min|mo|s|h|d|w|y))+")
_PART = re.compile(r"(\d+)(min|mo|s|h|d|w|y)")
_LENGTHS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
Judged = Record | Outline
"""What is decided on: a run by its record, or by its outline."""
Own = TypeVar("Own", bound=Judged)
_FEW = 1_000
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


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen to one run, why, and the policy that decided where something is removed."""

    run: str
    universe: str
    created: datetime
    action: Literal["keep", "remove", "remove details"]
    reasons: tuple[str, ...]
    policy: str = ""
    spared: Literal["", "remove", "remove details"] = ""
    """What the policies say of a run that only the tag `pinned` keeps."""
    detailed: bool = True
    """Whether the run has details."""


class _Verdict(NamedTuple):
    """What policies of one kind say of a run: why it stays, or why not and by which policy."""

    keeps: tuple[str, ...]
    fails: tuple[str, ...]
    policy: str


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


def decide(
    records: Iterable[Judged],
    tags: Mapping[str, Sequence[str]],
    policies: Sequence[Policy],
    now: datetime,
) -> list[Decision]:
    """Decide on every run, universe by universe, newest run first.

    Arguments:
        records: of all runs, in any order.
        tags: the tags of each run that has some, by its id.
        policies: what to keep; a run that no policy's universe matches stays.
        now: the moment that ages count to (aware).

    Raises PolicyError for a metric that none of the runs has.
    """
    ordered = in_order(records)
    _check_metrics(ordered, policies)
    decisions: list[Decision] = []
    for universe, group in groupby(ordered, key=lambda record: record.universe):
        own = list(group)
        meant = [policy for policy in policies if fnmatchcase(universe, policy.universe)]
        whole = _judge(own, [policy for policy in meant if policy.tiers == "all"], tags, now)
        about_details = [policy for policy in meant if policy.tiers == 2]
        details = _judge([record for record in own if record.has_detail], about_details, tags, now)
        default = ("it has no details" if about_details else "no policy covers it",)
        decisions += [
            _decision(record, whole.get(record.run), details.get(record.run), tags, default) for record in own
        ]
    return decisions


def in_order(records: Iterable[Own]) -> list[Own]:
    """Return runs universe by universe, newest first: the order in which `decide` decides on them."""
    ordered = sorted(records, key=lambda record: (record.created, record.run), reverse=True)
    ordered.sort(key=lambda record: record.universe)
    return ordered


def judged_by(policies: Iterable[Policy]) -> set[str]:
    """Return the metrics that policies judge runs by."""
    return {metric for policy in policies for metric, _ in policy.keep_best}


def refuse_empty(decisions: Sequence[Decision], policies: Sequence[Policy]) -> None:
    """Raise PolicyError when a policy keeps nothing of what it covers."""
    for policy in policies:
        if not policy.has_rules:
            raise PolicyError(
                "a policy without rules keeps nothing: add one, or say allow_empty (--allow-empty)"
            )
        covered = [
            one
            for one in decisions
            if fnmatchcase(one.universe, policy.universe) and (one.detailed or policy.tiers != 2)
        ]
        losing = (REMOVE,) if policy.tiers == "all" else (REMOVE, REMOVE_DETAILS)
        gone = sum(one.action in losing for one in covered)
        spared = sum(one.spared in losing for one in covered)
        # What somebody pinned does not show that the policy is meant so.
        if gone and gone + spared == len(covered):
            what = "details" if policy.tiers == 2 else "runs"
            raise PolicyError(
                f"{policy} keeps none of the {len(covered)} {what} it covers{' but what is pinned' if spared else ''}:"
                " loosen it, or say allow_empty (--allow-empty)"
            )


def _decision(
    record: Judged,
    whole: _Verdict | None,
    details: _Verdict | None,
    tags: Mapping[str, Sequence[str]],
    default: tuple[str, ...],
) -> Decision:
    about = (record.run, record.universe, record.created)
    detailed = record.has_detail
    action = (
        REMOVE
        if whole is not None and not whole.keeps
        else REMOVE_DETAILS
        if details is not None and not details.keeps
        else None
    )
    if PINNED in tags.get(record.run, ()):
        return Decision(*about, KEEP, (PINNED,), spared=action or "", detailed=detailed)
    verdict = whole if action == REMOVE else details
    if action is not None and verdict is not None:
        return Decision(*about, action, verdict.fails, verdict.policy, detailed=detailed)
    reasons = whole.keeps if whole else ()
    if details:
        reasons = tuple(dict.fromkeys((*reasons, *(f"details {text}" for text in details.keeps))))
    return Decision(*about, KEEP, reasons or default, detailed=detailed)


def _judge(
    records: Sequence[Judged], policies: Sequence[Policy], tags: Mapping[str, Sequence[str]], now: datetime
) -> dict[str, _Verdict]:
    """Ask policies of one kind about the runs of a universe, newest first."""
    verdicts: dict[str, _Verdict] = {}
    same: dict[_Verdict, _Verdict] = {}  # of a million runs most are told the same, once
    for policy in policies:
        rules = _rules(policy, records, tags, now)
        ranked = policy.keep_within is not None or policy.keep_last is not None
        metrics = [] if ranked else [metric for metric, _ in policy.keep_best]
        title = policy.title
        for record in records:
            keeps: list[str] = []
            fails: list[str] = []
            for rule in rules:
                kept, reason = rule(record)
                (keeps if kept else fails).append(reason)
            if not keeps and metrics and all(metric not in record.metrics for metric in metrics):
                keeps.append(f"without {' and '.join(metrics)} it cannot be judged")
            before_it = verdicts.get(record.run)
            verdict = _Verdict(
                tuple(dict.fromkeys((*(before_it.keeps if before_it else ()), *keeps))),
                (*(before_it.fails if before_it else ()), *(fails or ["no rule keeps it"])),
                f"{before_it.policy}; {title}" if before_it else title,
            )
            verdicts[record.run] = same.setdefault(verdict, verdict) if len(same) < _FEW else verdict
    return verdicts


Rule = Callable[[Judged], tuple[bool, str]]


def _rules(
    policy: Policy, records: Sequence[Judged], tags: Mapping[str, Sequence[str]], now: datetime
) -> list[Rule]:
    """Make the rules of a policy: each says of a run whether it keeps it, and how to put that."""
    rules: list[Rule] = []
    if policy.keep_within is not None:
        limit = before(now, policy.keep_within)
        young, old = f"younger than {policy.keep_within}", f"older than {policy.keep_within}"
        rules.append(lambda record: (True, young) if record.created >= limit else (False, old))
    if policy.keep_last is not None:
        last = {record.run for record in records[: policy.keep_last]}
        inside, outside = f"among the last {policy.keep_last}", f"not among the last {policy.keep_last}"
        rules.append(lambda record: (True, inside) if record.run in last else (False, outside))
    rules += [_best_rule(records, metric, count) for metric, count in policy.keep_best]
    if policy.keep_tags:
        rules.append(_tag_rule(policy.keep_tags, tags))
    return rules


def _best_rule(records: Sequence[Judged], metric: str, count: int) -> Rule:
    # Newest first and stable: of equal runs the newer one is kept.
    scored = sorted(
        (record for record in records if metric in record.metrics),
        key=lambda record: record.metrics[metric][1],
        reverse=True,
    )
    best = {record.run for record in scored[:count]}

    def rule(record: Judged) -> tuple[bool, str]:
        if metric not in record.metrics:
            return False, f"no number as {metric}"
        kept = record.run in best
        score = record.metrics[metric][1]
        return kept, f"{'' if kept else 'not '}among the best {count} by {metric} ({score:.4g})"

    return rule


def _tag_rule(wanted: Sequence[str], tags: Mapping[str, Sequence[str]]) -> Rule:
    without = f"not tagged {' or '.join(wanted)}"

    def rule(record: Judged) -> tuple[bool, str]:
        found = [tag for tag in tags.get(record.run, ()) if tag in wanted]
        return (True, f"tagged {', '.join(found)}") if found else (False, without)

    return rule


def _check_metrics(records: Sequence[Judged], policies: Sequence[Policy]) -> None:
    for policy in policies:
        covered = [record for record in records if fnmatchcase(record.universe, policy.universe)]
        for metric, _ in policy.keep_best:
            if covered and not any(metric in record.metrics for record in covered):
                there = {name for record in covered for name in record.metrics}
                hint = did_you_mean(metric, there, ": `archiver metrics` shows what there is")
                raise PolicyError(f"no run has a number as metric {metric!r} to keep the best by{hint}")


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
