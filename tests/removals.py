"""Runs that go to the trash by each of the ways there are, for the tests of the trash."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from archiver.archive import Archive
from archiver.errors import RunNotFoundError
from archiver.format import layout
from archiver.retention.policy import Policy
from archiver.store import Store
from archiver.transfer.copy import apply_extras, plan_extras
from tests.stores import fresh_store, save, snapshot

Act = Callable[[Store], object]
OLD = Policy(keep_tags=["keep"])
DETAILS = Policy(keep_tags=["keep"], tiers=2)
BUNDLE = "safe"


def filled(store: Store) -> list[str]:
    """Save two runs that every caller takes, and one that stays; the first and the last share a tape. A bundle holds two."""
    runs = [
        save(store, "a", days=90, bars=40, strategies=100, tags=["t"]).run,
        save(store, "b", days=60).run,
        save(store, "b", bars=40, tags=["keep"]).run,
    ]
    Archive(store).bundle(runs[:2], BUNDLE)
    return runs


def filled_objects() -> dict[str, bytes]:
    store = fresh_store()
    filled(store)
    return snapshot(store)


def made(objects: dict[str, bytes]) -> tuple[Store, list[str]]:
    store = fresh_store()
    for key, data in objects.items():
        store.put(key, data)
    return store, Archive(store).run_ids()


def oldest_first(store: Store) -> list[str]:
    return [record.run for record in reversed(Archive(store).records())]


def prune_runs(store: Store) -> object:
    archive = Archive(store)
    return archive.apply(archive.plan_prune(OLD), max_remove=1)


def prune_details(store: Store) -> object:
    archive = Archive(store)
    return archive.apply(archive.plan_prune(DETAILS), max_remove=1)


def delete_extra(store: Store) -> object:
    kept = Archive(store).records()[0]
    source = fresh_store_beside(kept.run, store.get(layout.record_key(kept.run)))
    plan = plan_extras(source, store, Archive(store).run_ids())
    return apply_extras(source, store, plan, max_remove=1)


def fresh_store_beside(run: str, record: bytes) -> Store:
    from archiver.store import open_store

    source = open_store(f"memory://beside-{run}")
    source.put(layout.record_key(run), record)
    return source


def bundle_remove(store: Store) -> object:
    bundles = Archive(store).bundles
    return bundles.apply_removal(bundles.plan_removal(BUNDLE))


CALLERS: dict[str, Act] = {
    "prune": prune_runs,
    "prune details": prune_details,
    "copy --delete-extra": delete_extra,
    "bundle --remove": bundle_remove,
}
CALLER = pytest.mark.parametrize("caller", CALLERS)


def whole(store: Store, run: str) -> bool:
    """Tell whether a run is there with all that it had."""
    archive = Archive(store)
    try:
        return archive.record(run).tier2 is not None and bool(archive.load_strategy("s0", run=run)["trades"])
    except RunNotFoundError:
        return False


def kept(store: Store, run: str) -> bool:
    """Tell whether a run is there with all that it had, or can be made so."""
    with suppress(RunNotFoundError):
        Archive(store).undelete(run)
    return whole(store, run)
