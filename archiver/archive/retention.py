"""What stays and what goes, as an archive gives it: plans of policies, the trash and its undo, gc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from archiver.archive.configured import Configured
from archiver.archive.listing import Listing
from archiver.archive.root import Root
from archiver.base.unread import Errors
from archiver.errors import PolicyError
from archiver.format import layout
from archiver.format.model import Run
from archiver.retention import GRACE, MOST
from archiver.retention.policy import Policy, judged_by
from archiver.runs.record_view import viewed
from archiver.runs.records import look_at_clock
from archiver.store import Store

if TYPE_CHECKING:
    from archiver.retention.gc.deleting import Collected
    from archiver.retention.plan import Plan
    from archiver.retention.trash import Removed


@dataclass(frozen=True)
class Retention:
    """Plans, removes and brings back."""

    store: Store
    root: Root
    listing: Listing
    configured: Configured

    def plan_prune(self, *policies: Policy, allow_empty: bool = False) -> Plan:
        """Plan what policies remove, the configured ones if none is given; nothing is changed.

        allow_empty: let a policy keep nothing. Returns the plan: `print(plan)` shows what goes and why. Raises
        PolicyError for a policy that cannot be meant.
        """
        from archiver.retention.prune import plan_prune

        for policy in policies:
            if not isinstance(policy, Policy):
                raise PolicyError(
                    f"{policy!r} is no policy: give archiver.Policy(...), several one after the other"
                )
        chosen = policies or self.configured.policies(self.store.url)
        if not chosen:
            raise PolicyError(
                "no policy says what may go: give one, or write [[policy]] tables into archiver.toml"
            )
        state = self.listing.outlines(judged_by(chosen))
        return plan_prune(self.store, state, chosen, look_at_clock(self.store), allow_empty=allow_empty)

    def apply(
        self, plan: Plan, *, max_remove: float = MOST, step: Callable[[int], object] = lambda _: None
    ) -> Removed:
        """Do what a plan says: pruned runs go to the trash, from where `undelete` brings them back.

        max_remove: which part of all runs may lose something, 0 to 1; step: is told how many runs were dealt with.
        Returns what was done. Raises PolicyError for a plan that a re-read finds stale, or that removes too much.
        """
        from archiver.retention.prune import apply_plan

        read = partial(self.listing.outlines, judged_by(plan.policies))
        return apply_plan(self.store, plan, read, max_remove=max_remove, step=step)

    def undelete(self, run: str) -> Run:
        """Bring a pruned run, or the details that one lost, back. Raises RunNotFoundError once gc has taken it."""
        from archiver.retention.prune import undelete

        self.root.require()
        found = undelete(self.store, self.listing.run_id(run, layout.TRASH))
        return self.listing.run(found.run)

    def compact(self, *, step: Callable[[int], object] = lambda _: None) -> int:
        """Pack the records of many runs into a few objects, so that reading them takes few requests.

        Whoever reads thousands of loose records does it, too, if it may write. step: is told how many runs were dealt
        with. Returns how many runs are packed by now.
        """
        from archiver.runs.packed.packing import pack

        self.root.require()
        view = viewed(self.store)
        for error in pack(view, step=step).failed.values():
            raise error
        return sum(one.runs for one in view.packs.live())

    def trash(self, errors: Errors = "raise") -> list[Run]:
        """Return the pruned runs, and those that lost their details, that can be brought back, newest first.

        errors: about one that cannot be read, see `load_metrics`.
        """
        return self.listing.trash(errors)

    def gc(
        self,
        grace: str = GRACE,
        *,
        apply: bool = False,
        allow_empty: bool = False,
        versions: bool = False,
        step: Callable[[int], object] = lambda _: None,
    ) -> Collected:
        """Free what no run and no trash within the grace needs; without `apply` only count it.

        Arguments:
            grace: how long what nothing needs is kept, by the store's clock: `7d`, `12h`.
            apply: delete.
            allow_empty: go on although there are data objects and no record explains them.
            versions: remove old versions of what was deleted, too, where a bucket keeps them.
            step: is told how many objects were deleted or counted, again and again.

        Returns what was found; what could not be deleted is in `.failed`. Raises IntegrityError or FormatError for a
        record that cannot be read, StorageError when a listing fails: nothing has been deleted then. Raises PolicyError
        where there is data and no run at all, or for `versions` under Object Lock.
        """
        from archiver.retention.gc import collect

        self.root.require()
        return collect(
            self.store, grace=grace, apply=apply, allow_empty=allow_empty, versions=versions, step=step
        )
