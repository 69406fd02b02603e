"""A plan: what a prune would remove and why, as a value that can be shown, checked against a re-read, and applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import counted, size
from archiver.errors import PolicyError
from archiver.retention.decisions import KEEP, Decision, Decisions, Tags
from archiver.retention.policy import Policy
from archiver.runs.outlines import Outlines

if TYPE_CHECKING:
    import numpy as np


class Frees(Mapping[str, int]):
    """The bytes of each removal's own objects, by run."""

    def __init__(self, runs: Outlines, rows: np.ndarray, amounts: np.ndarray) -> None:
        """Take all runs, the rows of those that something is removed of, ascending, and what that frees."""
        self._runs, self._rows = runs, rows
        self.amounts = amounts
        """The same in the order of the removals."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return map(self._runs.id, self._rows.tolist())

    def __getitem__(self, run: str) -> int:
        row = int(self._runs.rows_of([run])[0])
        at = int(self._rows.searchsorted(row))
        if at == len(self._rows) or self._rows[at] != row:
            raise KeyError(run)
        return int(self.amounts[at])


@dataclass(frozen=True)
class Plan:
    """What would be removed, run by run. `str(plan)` shows it; `archive.apply(plan)` does it.

    `decisions` says of each run what is to happen and why, `frees` the bytes of each removal's own objects by run.
    `freed` is what gc frees in all once the grace has passed, shared objects that nothing else uses among it; `shared`
    counts the objects, and `shared_bytes` their size, that removed runs use and that stay because other runs use them
    too.
    """

    url: str
    now: datetime
    policies: tuple[Policy, ...]
    decisions: Decisions
    fingerprint: str
    frees: Frees
    freed: int
    freed_objects: int
    shared: int
    shared_bytes: int

    @property
    def removals(self) -> list[Decision]:
        """The decisions that remove something."""
        return [self.decisions[row] for row in self.decisions.removing.tolist()]

    @property
    def keeps(self) -> list[Decision]:
        """The decisions that remove nothing."""
        return [decision for decision in self.decisions if decision.action == KEEP]

    @property
    def share(self) -> float:
        """Which part of all runs something is removed of, 0 to 1."""
        return self._lose / len(self.decisions) if len(self.decisions) else 0.0

    @property
    def unmatched(self) -> list[str]:
        """The patterns of policies that no universe matches, which may be misspelt."""
        universes = self.decisions.runs.universes
        patterns = dict.fromkeys(policy.universe for policy in self.policies)
        return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in universes)]

    @property
    def _lose(self) -> int:
        """How many runs something is removed of."""
        return len(self.decisions.removing)

    def _freeing(self) -> Iterator[tuple[Decision, int]]:
        """Yield the removals, and what each frees."""
        rows = self.decisions.removing.tolist()
        return zip(map(self.decisions.__getitem__, rows), self.frees.amounts.tolist(), strict=True)

    def summary(self) -> list[str]:
        """Return lines that say, universe by universe, how many runs stay and go, and what that frees."""
        tallies = self.decisions.tallies()
        lines = [f"universe {universe}: {_tally(counts)}" for universe, counts in tallies.items()]
        if not self._lose:
            return [*lines, "nothing to remove"]
        every = [sum(counts) for counts in zip(*tallies.values(), strict=True)]
        lines.append(
            f"{_tally(every)}; gc frees {size(self.freed)} in {counted(self.freed_objects, 'object')} once its grace"
            " has passed"
        )
        if self.shared:
            stay = "stays: other runs use it" if self.shared == 1 else "stay: other runs use them"
            lines.append(f"{counted(self.shared, 'shared object')} ({size(self.shared_bytes)}) {stay}")
        return lines

    def __str__(self) -> str:
        """Show every removal with its reasons, then the summary."""
        lines = [
            f"{one.action} {one.run} of {one.universe} ({size(amount)}): {'; '.join(one.reasons)}"
            for one, amount in self._freeing()
        ]
        return "\n".join([*lines, *self.summary()])

    def document(self) -> dict[str, Any]:
        """Return the plan as plain data for JSON."""
        return {
            "url": self.url,
            "now": self.now,
            "policies": [str(policy) for policy in self.policies],
            "fingerprint": self.fingerprint,
            "removals": [
                {**_document(one), "bytes": amount, "policy": one.policy} for one, amount in self._freeing()
            ],
            "keeps": [_document(one) for one in self.keeps],
            "runs": len(self.decisions),
            "share": self.share,
            "freed": self.freed,
            "freed_objects": self.freed_objects,
            "shared": self.shared,
            "shared_bytes": self.shared_bytes,
        }

    def check_share(self, most: float) -> None:
        """Raise PolicyError when more than a share of all runs (0 to 1) would lose something."""
        check_share(self._lose, len(self.decisions), most)

    def check_url(self, url: str) -> None:
        """Raise PolicyError for another archive than the one that was planned for."""
        if url != self.url:
            raise PolicyError(f"the plan is for {self.url}, not for {url}: plan again")

    def check(self, fingerprint: str, decisions: Decisions) -> None:
        """Raise PolicyError when a re-read of the archive finds a removal that no longer holds.

        fingerprint: of what was read now; decisions: made from it by the same policies at the plan's moment. Runs
        saved since do no harm: a plan never removes what it does not name.
        """
        if fingerprint == self.fingerprint:
            return
        removing = self.decisions.removing
        found = decisions.runs.rows_of(map(self.decisions.runs.id, removing.tolist()))
        for row, now in zip(removing.tolist(), found.tolist(), strict=True):
            run = self.decisions.runs.id(row)
            if now < 0:
                raise PolicyError(f"the plan is stale: run {run} is gone already; plan again")
            if decisions.actions[now] != self.decisions.actions[row]:
                one = decisions[now]
                said = "; ".join(one.reasons)
                raise PolicyError(f"the plan is stale: run {run} is now to {one.action} ({said}); plan again")


def fingerprint(runs: Outlines, tags: Tags) -> str:
    """Return a digest of what a plan is made from: the runs, the sizes of their records, and their tags."""
    digest = hashlib.sha256(f"{len(runs)} {runs.run.dtype}".encode())
    digest.update(runs.run[runs.by_id].tobytes())
    digest.update(runs.size[runs.by_id].tobytes())
    tagged = sorted(tags)
    for run, row in zip(tagged, runs.rows_of(tagged).tolist(), strict=True):
        if row >= 0:
            digest.update(repr((run, *tags[run])).encode())
    return digest.hexdigest()


def check_most(most: float) -> None:
    """Raise PolicyError for a limit that is no share: 80 would be none at all."""
    if isinstance(most, bool) or not isinstance(most, int | float) or not 0 <= most <= 1:
        raise PolicyError(f"max_remove is {most!r}: give a share of the runs, 0 to 1 (0.8 for 80%)")


def check_share(removed: int, total: int, most: float) -> None:
    """Raise PolicyError when more than a share (0 to 1) of so many runs would lose something."""
    check_most(most)
    if removed > most * total:
        share = removed / total
        raise PolicyError(
            f"the plan removes {share:.0%} of the runs ({removed} of {total}), more than {most:.0%}: if that is meant, say"
            f" max_remove ({max_remove_option(share)})"
        )


def max_remove_option(share: float) -> str:
    """Return the option of the command line that allows this share."""
    return f"--max-remove {min(100, int(share * 100) + 1)}%"


def _document(decision: Decision) -> dict[str, Any]:
    return {
        "run": decision.run,
        "universe": decision.universe,
        "created": decision.created,
        "action": decision.action,
        "reasons": list(decision.reasons),
    }


def _tally(counts: Sequence[int]) -> str:
    """Say how many runs stay and go; counts: for each of `ACTIONS`."""
    kept, whole, reduced = counts
    parts = [f"of {counted(sum(counts), 'run')} {kept} stay whole"]
    if whole:
        parts.append(f"{whole} go")
    if reduced:
        parts.append(f"{reduced} lose their details")
    return ", ".join(parts)
