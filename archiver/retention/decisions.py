"""What is to happen to every run, by policies, and why.

Pure: runs, policies and a moment go in, decisions come out. What any rule keeps stays. Policies that remove whole
runs and policies that remove only details decide apart from each other: a run may stay and lose its details.
All runs are decided on at once, as columns; reasons are put into words for the runs that are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, overload

from archiver.base.suggest import did_you_mean
from archiver.errors import PolicyError
from archiver.format.packs import microseconds, moment_of
from archiver.retention.policy import Policy, before
from archiver.runs.outlines import Outlines
from archiver.runs.tags import PINNED

if TYPE_CHECKING:
    import numpy as np

KEEP: Literal["keep"] = "keep"
REMOVE: Literal["remove"] = "remove"
REMOVE_DETAILS: Literal["remove details"] = "remove details"
ACTIONS = (KEEP, REMOVE, REMOVE_DETAILS)
_SPARED: tuple[Literal[""], Literal["remove"], Literal["remove details"]] = ("", REMOVE, REMOVE_DETAILS)

Tags = Mapping[str, Sequence[str]]


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


class Decisions(Sequence[Decision]):
    """The decision on every run, universe by universe, newest run first: each is made when it is asked for."""

    def __init__(self, runs: Outlines, tags: Tags, policies: Sequence[Policy], now: datetime) -> None:
        """Decide; arguments as `decide` takes them."""
        import numpy as np

        self.runs = runs
        judged = [_judge(runs, tags, policy, now) for policy in policies]
        self._whole = [one for one in judged if one.policy.tiers == "all"]
        self._details = [one for one in judged if one.policy.tiers == 2]
        self._pinned = _tagged(runs, tags, (PINNED,))
        gone, reduced = _failing(runs, self._whole), _failing(runs, self._details)
        self._said = np.where(gone, 1, np.where(reduced, 2, 0)).astype(np.int8)
        self.actions = np.where(self._pinned, 0, self._said).astype(np.int8)
        """Of each run, which of `ACTIONS`."""
        self.spared = np.where(self._pinned, self._said, 0).astype(np.int8)
        """Of each run that only the tag `pinned` keeps, which of them the policies say."""

    def __len__(self) -> int:
        return len(self.runs)

    @overload
    def __getitem__(self, at: int) -> Decision: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Decision, ...]: ...
    def __getitem__(self, at: int | slice) -> Decision | tuple[Decision, ...]:
        if isinstance(at, slice):
            return tuple(map(self._decision, range(*at.indices(len(self)))))
        return self._decision(range(len(self))[at])

    def __iter__(self) -> Iterator[Decision]:
        return map(self._decision, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of any list: two are told apart by what they hold

    @property
    def removing(self) -> np.ndarray:
        """The rows of the runs that something is removed of."""
        import numpy as np

        return np.flatnonzero(self.actions)

    def universe(self, row: int) -> str:
        """Return the universe of a row."""
        name: str = self.runs.universes[self.runs.universe[row]]
        return name

    def tallies(self) -> dict[str, list[int]]:
        """Return of each universe how many runs there are for each of `ACTIONS`."""
        import numpy as np

        places = self.runs.universe * len(ACTIONS) + self.actions
        counts = np.bincount(places, minlength=len(ACTIONS) * len(self.runs.universes))
        return dict(zip(self.runs.universes, counts.reshape(-1, len(ACTIONS)).tolist(), strict=True))

    def _decision(self, row: int) -> Decision:
        runs = self.runs
        about = runs.id(row), self.universe(row), moment_of(int(runs.created[row]))
        said, detailed = int(self._said[row]), bool(runs.detailed[row])
        if self._pinned[row]:
            return Decision(*about, KEEP, (PINNED,), spared=_SPARED[said], detailed=detailed)
        if said:
            verdict = [one for one in (self._whole, self._details)[said - 1] if one.covers[row]]
            reasons = tuple(reason for one in verdict for reason in one.fails(row))
            policy = "; ".join(one.title for one in verdict)
            return Decision(*about, ACTIONS[said], reasons, policy, detailed=detailed)
        keeps = [text for one in self._whole if one.covers[row] for text in one.keeps(row)]
        keeps += [f"details {text}" for one in self._details if one.covers[row] for text in one.keeps(row)]
        return Decision(*about, KEEP, tuple(dict.fromkeys(keeps)) or self._default(row), detailed=detailed)

    def _default(self, row: int) -> tuple[str]:
        universe = self.universe(row)
        about_details = any(fnmatchcase(universe, one.policy.universe) for one in self._details)
        return ("it has no details" if about_details else "no policy covers it",)


def decide(runs: Outlines, tags: Tags, policies: Sequence[Policy], now: datetime) -> Decisions:
    """Decide on every run.

    Arguments:
        runs: all runs, with scores of the metrics that policies judge by.
        tags: the tags of each run that has some, by its id.
        policies: what to keep; a run that no policy's universe matches stays.
        now: the moment that ages count to (aware).

    Raises PolicyError for a metric that none of the runs has.
    """
    for policy in policies:
        covered = _of_universes(runs, policy.universe)
        for metric, _ in policy.keep_best:
            if covered.any() and not _has(runs, metric)[covered].any():
                hint = did_you_mean(
                    metric, runs.metrics - {metric}, ": `archiver metrics` shows what there is"
                )
                raise PolicyError(f"no run has a number as metric {metric!r} to keep the best by{hint}")
    return Decisions(runs, tags, policies, now)


def refuse_empty(decisions: Decisions, policies: Sequence[Policy]) -> None:
    """Raise PolicyError when a policy keeps nothing of what it covers."""
    import numpy as np

    for policy in policies:
        if not policy.has_rules:
            raise PolicyError(
                "a policy without rules keeps nothing: add one, or say allow_empty (--allow-empty)"
            )
        covered = _covered(decisions.runs, policy)
        losing = (1,) if policy.tiers == "all" else (1, 2)
        gone, spared = (
            np.count_nonzero(np.isin(which[covered], losing))
            for which in (decisions.actions, decisions.spared)
        )
        # What somebody pinned does not show that the policy is meant so.
        if gone and gone + spared == np.count_nonzero(covered):
            what = "details" if policy.tiers == 2 else "runs"
            raise PolicyError(
                f"{policy} keeps none of the {gone + spared} {what} it covers{' but what is pinned' if spared else ''}:"
                " loosen it, or say allow_empty (--allow-empty)"
            )


class _Rule:
    """A rule of a policy: which runs it keeps, and how to put that of one."""

    def __init__(self, keeps: np.ndarray, kept: str, others: str) -> None:
        self.keeps, self._kept, self._others = keeps, kept, others

    def reason(self, row: int) -> str:
        return self._kept if self.keeps[row] else self._others


class _Best(_Rule):
    """Keeps the best by a metric."""

    def __init__(self, keeps: np.ndarray, metric: str, count: int, scores: np.ndarray) -> None:
        text = f"among the best {count} by {metric}"
        super().__init__(keeps, text, f"not {text}")
        self._metric, self._scores = metric, scores

    def reason(self, row: int) -> str:
        score = float(self._scores[row])
        return f"no number as {self._metric}" if score != score else f"{super().reason(row)} ({score:.4g})"


class _Tagged(_Rule):
    """Keeps what has one of some tags."""

    def __init__(self, keeps: np.ndarray, wanted: Sequence[str], runs: Outlines, tags: Tags) -> None:
        super().__init__(keeps, "", f"not tagged {' or '.join(wanted)}")
        self._wanted, self._runs, self._tags = wanted, runs, tags

    def reason(self, row: int) -> str:
        found = [tag for tag in self._tags.get(self._runs.id(row), ()) if tag in self._wanted]
        return f"tagged {', '.join(found)}" if found else super().reason(row)


@dataclass(frozen=True, eq=False)
class _Judgement:
    """What a policy says of every run: which it covers, and what of them each rule keeps."""

    policy: Policy
    title: str
    covers: np.ndarray
    rules: Sequence[_Rule]
    spares: np.ndarray
    """The runs that no rule keeps, and that have no number by which any could."""
    kept: np.ndarray

    def keeps(self, row: int) -> list[str]:
        """Return why a run stays."""
        found = [rule.reason(row) for rule in self.rules if rule.keeps[row]]
        if not found and self.spares[row]:
            metrics = " and ".join(metric for metric, _ in self.policy.keep_best)
            return [f"without {metrics} it cannot be judged"]
        return found

    def fails(self, row: int) -> list[str]:
        """Return why a run does not stay."""
        return [rule.reason(row) for rule in self.rules if not rule.keeps[row]] or ["no rule keeps it"]


def _judge(runs: Outlines, tags: Tags, policy: Policy, now: datetime) -> _Judgement:
    import numpy as np

    covers = _covered(runs, policy)
    rules: list[_Rule] = []
    if policy.keep_within is not None:
        young = covers & (runs.created >= microseconds(before(now, policy.keep_within)))
        rules.append(_Rule(young, f"younger than {policy.keep_within}", f"older than {policy.keep_within}"))
    if policy.keep_last is not None:
        text = f"among the last {policy.keep_last}"
        last = _first(runs, np.flatnonzero(covers), policy.keep_last)
        rules.append(_Rule(last, text, f"not {text}"))
    for metric, count in policy.keep_best:
        scored = np.flatnonzero(covers & _has(runs, metric))
        scores = _scores(runs, metric)
        # Newest first and stable: of equal runs the newer one is kept.
        best = _first(runs, scored[np.argsort(-scores[scored], kind="stable")], count)
        rules.append(_Best(best, metric, count, scores))
    if policy.keep_tags:
        kept = covers & _tagged(runs, tags, policy.keep_tags)
        rules.append(_Tagged(kept, policy.keep_tags, runs, tags))
    kept = np.zeros(len(runs), bool)
    for rule in rules:
        kept |= rule.keeps
    spares = np.zeros(len(runs), bool)
    if policy.keep_best and policy.keep_within is None and policy.keep_last is None:
        spares = covers & ~kept
        for metric, _ in policy.keep_best:
            spares &= ~_has(runs, metric)
    return _Judgement(policy, policy.title, covers, rules, spares, kept | spares)


def _failing(runs: Outlines, judged: Sequence[_Judgement]) -> np.ndarray:
    """Return which runs policies of one kind cover, and none of them keeps."""
    import numpy as np

    covered, kept = np.zeros(len(runs), bool), np.zeros(len(runs), bool)
    for one in judged:
        covered |= one.covers
        kept |= one.kept
    return covered & ~kept


def _first(runs: Outlines, rows: np.ndarray, count: int) -> np.ndarray:
    """Return which runs are among the first so many of their universe, of these rows in their order."""
    import numpy as np

    own = runs.universe[rows]
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], own[order])
    found = np.zeros(len(runs), bool)
    found[rows[order[np.arange(len(rows)) - starts < count]]] = True
    return found


def _covered(runs: Outlines, policy: Policy) -> np.ndarray:
    """Return the runs that a policy is about."""
    covered = _of_universes(runs, policy.universe)
    return covered & runs.detailed if policy.tiers == 2 else covered


def _of_universes(runs: Outlines, pattern: str) -> np.ndarray:
    import numpy as np

    matches = np.array([fnmatchcase(name, pattern) for name in runs.universes], bool)
    found: np.ndarray = matches[runs.universe] if len(runs) else np.zeros(0, bool)
    return found


def _scores(runs: Outlines, metric: str) -> np.ndarray:
    import numpy as np

    found = runs.scores.get(metric)
    return np.full(len(runs), np.nan) if found is None else found


def _has(runs: Outlines, metric: str) -> np.ndarray:
    import numpy as np

    found: np.ndarray = ~np.isnan(_scores(runs, metric))
    return found


def _tagged(runs: Outlines, tags: Tags, wanted: Sequence[str]) -> np.ndarray:
    """Return the runs that have one of these tags."""
    import numpy as np

    rows = runs.rows_of(run for run, own in tags.items() if any(tag in wanted for tag in own))
    found = np.zeros(len(runs), bool)
    found[rows[rows >= 0]] = True
    return found
