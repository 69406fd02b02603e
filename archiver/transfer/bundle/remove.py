"""Removing the details of runs that are safe in a bundle: planned, and done only after the bundle was read back.

As in a prune, the whole record goes to `trash/` first, and a reduced one takes its place; data is not touched: gc
frees it when the grace is over, and `undelete` works until then. Metrics, code and tags stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from archiver.errors import IntegrityError, NotFoundError, PolicyError
from archiver.format import layout
from archiver.retention.trash import Move, bring_back, put_away
from archiver.runs.details import archived_in
from archiver.runs.records import read_record
from archiver.runs.tags import pinned
from archiver.store import Store
from archiver.transfer.bundle.check import verify
from archiver.transfer.bundle.place import Place, run_ids


class Item(NamedTuple):
    """What becomes of one run: whether its details go, why (not), and the bytes of the details."""

    run: str
    universe: str
    remove: bool
    reason: str
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """A plan: which runs of a bundle lose their details in the archive."""

    url: str
    bundle: str
    items: tuple[Item, ...]

    @property
    def removed(self) -> tuple[Item, ...]:
        """The runs that lose their details."""
        return tuple(item for item in self.items if item.remove)


def plan_removal(store: Store, place: Place) -> Removal:
    """Plan the removal of details that a bundle holds. Nothing is changed. Raises NotFoundError, IntegrityError."""
    source = place.open()
    manifest = source.manifest
    kept = pinned(store)

    def judge(run: str) -> Item:
        sha256 = manifest.members[layout.record_key(run)].sha256
        return _judge(store, run, sha256, place.name, pinned=run in kept)

    return Removal(store.url, place.name, tuple(store.map(judge, sorted(run_ids(source)))))


def apply_removal(
    store: Store, place: Place, plan: Removal, *, step: Callable[[int], object] = lambda _: None
) -> tuple[str, ...]:
    """Read the bundle back, verify all of it, and only then do what the plan says.

    step: told of each run that is done. Returns the ids of the runs that lost their details.

    Raises IntegrityError when the bundle is damaged, PolicyError when the plan is stale or somebody replaced the bundle
    meanwhile; all runs have their details then.
    """
    held = place.open().manifest
    checked = verify(place)
    if not checked.ok:
        raise IntegrityError(f"{place.url} is damaged, so nothing was removed: {checked.damage[0]}")
    if plan.url != store.url or plan.bundle != place.name or plan_removal(store, place) != plan:
        raise PolicyError("the archive has changed since this was planned: plan again")
    wanted = [
        Move(item.run, partial(archived_in, bundle=place.name), member.sha256)
        for item in plan.removed
        if (member := held.members.get(layout.record_key(item.run))) is not None
    ]
    done = put_away(store, wanted, step=step)
    if _manifest_text(place) != held.text:
        # An upload that had begun before this bundle was there has taken its place.
        for run in done.reduced:
            bring_back(store, run)
        raise PolicyError(f"{place.url} was replaced meanwhile, so nothing was removed: plan again")
    done.check()
    return tuple(done.reduced)


def _manifest_text(place: Place) -> bytes | None:
    try:
        return place.open().manifest.text
    except (NotFoundError, IntegrityError):
        return None


def _judge(store: Store, run: str, sha256: str, bundle: str, *, pinned: bool) -> Item:
    key = layout.record_key(run)
    try:
        data = store.get(key)
    except NotFoundError:
        return Item(run, "", False, "it is not in the archive any more")
    record = read_record(key, data)
    if record.archived:
        return Item(run, record.universe, False, f"its details are in {record.archived} already")
    if pinned:
        return Item(run, record.universe, False, "it is pinned")
    if hashlib.sha256(data).hexdigest() != sha256:
        return Item(run, record.universe, False, "it changed since it was bundled")
    if record.detail_removed:
        return Item(run, record.universe, False, f"its details went before: {record.detail_removed}")
    return Item(run, record.universe, True, f"whole in {bundle}", record.detail_bytes)
