"""Copying runs between archives, and, on request, taking away what the source no longer has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from archiver.base.run_id import SECOND
from archiver.errors import ConfigError, PolicyError
from archiver.format import layout
from archiver.retention import MOST
from archiver.retention.plan import check_share
from archiver.retention.policy import before
from archiver.retention.trash import Move, put_away
from archiver.runs.tags import pinned
from archiver.store import Store


class Extra(NamedTuple):
    """A run that only the target has, whether it goes, and why (not)."""

    run: str
    remove: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Extras:
    """A plan: runs of the target that the source does not have. `total` counts all runs of the target."""

    source: str
    target: str
    total: int
    items: tuple[Extra, ...]

    @property
    def removed(self) -> tuple[str, ...]:
        """The runs that go to the trash."""
        return tuple(item.run for item in self.items if item.remove)


def run_ids(store: Store) -> list[str]:
    """Return the ids of all runs, oldest first; their records are not read."""
    found = (layout.run_of_record(entry.key) for entry in store.list(layout.RUNS))
    return sorted(run for run in found if run is not None)


def since_moment(since: str | datetime, now: datetime) -> datetime:
    """Read a moment: a datetime, a date such as 2025-01-21, or an age such as 30d. Raises ConfigError."""
    if isinstance(since, datetime):
        return since if since.tzinfo else since.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        try:
            return before(now, since)
        except PolicyError:
            raise ConfigError(
                f"since {since!r} is no moment: write a date such as 2025-01-21 or an age such as 30d"
            ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def later(runs: Iterable[str], moment: datetime) -> list[str]:
    """Return the runs that began at a moment or after it: their ids tell."""
    first = moment.astimezone(UTC).strftime(SECOND)
    return [run for run in runs if run >= first]


def plan_extras(source: Store, target: Store, candidates: Sequence[str]) -> Extras:
    """Plan that the candidates, runs of the target, go where the source has them no longer. Nothing is changed.

    Raises PolicyError for a source without any runs: that is more likely a wrong URL than a wish.
    """
    here = set(run_ids(source))
    if not here:
        raise PolicyError(f"{source.url} has no runs at all: nothing is deleted from {target.url}")
    kept = pinned(target)
    items = tuple(
        Extra(run, run not in kept, "it is pinned there" if run in kept else "the source does not have it")
        for run in sorted(candidates)
        if run not in here
    )
    return Extras(source.url, target.url, len(run_ids(target)), items)


def apply_extras(
    source: Store,
    target: Store,
    plan: Extras,
    *,
    max_remove: float = MOST,
    step: Callable[[int], object] = lambda _: None,
) -> list[str]:
    """Move the planned runs to the target's trash, from where `undelete` brings them back until gc.

    Returns the ids of those that went; what was pinned meanwhile stays. Raises PolicyError for a stale plan, or one that
    removes more than a share of the runs, StorageError for the first run that could not be moved.
    """
    check_share(len(plan.removed), plan.total, max_remove)
    again = plan_extras(source, target, [item.run for item in plan.items])
    if (again.source, again.target, again.items) != (plan.source, plan.target, plan.items):
        raise PolicyError("the archives have changed since this was planned: plan again")
    done = put_away(target, [Move(run) for run in plan.removed], step=step)
    done.check()
    return done.removed
