"""A plan: what a prune would remove and why, as a value that can be shown, checked against a re-read, and applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

from archiver.base.humanize import counted, size
from archiver.errors import PolicyError
from archiver.retention.policy import KEEP, REMOVE, Decision, Policy
from archiver.runs.outlines import Outline


@dataclass(frozen=True)
class Plan:
    """What would be removed, run by run. `str(plan)` shows it; `archive.apply(plan)` does it.

    `frees` holds the bytes of each removal's own objects by run. `freed` is what gc frees in all once the grace has
    passed, shared objects that nothing else uses among it; `shared` counts the objects, and `shared_bytes` their
    size, that removed runs use and that stay because other runs use them too.
    """

    url: str
    now: datetime
    policies: tuple[Policy, ...]
    decisions: tuple[Decision, ...]
    fingerprint: str
    frees: Mapping[str, int]
    freed: int
    freed_objects: int
    shared: int
    shared_bytes: int

    @property
    def removals(self) -> list[Decision]:
        """The decisions that remove something."""
        return [decision for decision in self.decisions if decision.action != KEEP]

    @property
    def keeps(self) -> list[Decision]:
        """The decisions that remove nothing."""
        return [decision for decision in self.decisions if decision.action == KEEP]

    @property
    def share(self) -> float:
        """Which part of all runs something is removed of, 0 to 1."""
        return len(self.removals) / len(self.decisions) if self.decisions else 0.0

    @property
    def unmatched(self) -> list[str]:
        """The patterns of policies that no universe matches, which may be misspelt."""
        universes = {decision.universe for decision in self.decisions}
        patterns = dict.fromkeys(policy.universe for policy in self.policies)
        return [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in universes)]

    def summary(self) -> list[str]:
        """Return lines that say, universe by universe, how many runs stay and go, and what that frees."""
        lines = [
            f"universe {universe}: {_tally(list(group))}"
            for universe, group in groupby(self.decisions, key=lambda decision: decision.universe)
        ]
        if not self.removals:
            return [*lines, "nothing to remove"]
        lines.append(
            f"{_tally(self.decisions)}; gc frees {size(self.freed)} in {counted(self.freed_objects, 'object')} once its grace"
            " has passed"
        )
        if self.shared:
            stay = "stays: other runs use it" if self.shared == 1 else "stay: other runs use them"
            lines.append(f"{counted(self.shared, 'shared object')} ({size(self.shared_bytes)}) {stay}")
        return lines

    def __str__(self) -> str:
        """Show every removal with its reasons, then the summary."""
        lines = [
            f"{one.action} {one.run} of {one.universe} ({size(self.frees.get(one.run, 0))}): {'; '.join(one.reasons)}"
            for one in self.removals
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
                {**_document(one), "bytes": self.frees.get(one.run, 0), "policy": one.policy}
                for one in self.removals
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
        check_share(len(self.removals), len(self.decisions), most)

    def check_url(self, url: str) -> None:
        """Raise PolicyError for another archive than the one that was planned for."""
        if url != self.url:
            raise PolicyError(f"the plan is for {self.url}, not for {url}: plan again")

    def check(self, fingerprint: str, decisions: Sequence[Decision]) -> None:
        """Raise PolicyError when a re-read of the archive finds a removal that no longer holds.

        fingerprint: of what was read now; decisions: made from it by the same policies at the plan's moment. Runs
        saved since do no harm: a plan never removes what it does not name.
        """
        if fingerprint == self.fingerprint:
            return
        found = {one.run: one for one in decisions}
        for removal in self.removals:
            now = found.get(removal.run)
            if now is None:
                raise PolicyError(f"the plan is stale: run {removal.run} is gone already; plan again")
            if now.action != removal.action:
                said = "; ".join(now.reasons)
                raise PolicyError(
                    f"the plan is stale: run {removal.run} is now to {now.action} ({said}); plan again"
                )


def fingerprint(runs: Iterable[Outline], tags: Mapping[str, Sequence[str]]) -> str:
    """Return a digest of what a plan is made from: the runs, the sizes of their records, and their tags."""
    digest = hashlib.sha256()
    for one in sorted(runs, key=lambda one: one.run):
        digest.update(repr((one.run, one.size, *tags.get(one.run, ()))).encode())
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


def _tally(decisions: Sequence[Decision]) -> str:
    def parts() -> Iterator[str]:
        whole = sum(one.action == REMOVE for one in decisions)
        kept = sum(one.action == KEEP for one in decisions)
        yield f"of {counted(len(decisions), 'run')} {kept} stay whole"
        if whole:
            yield f"{whole} go"
        if len(decisions) > kept + whole:
            yield f"{len(decisions) - kept - whole} lose their details"

    return ", ".join(parts())
