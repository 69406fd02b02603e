"""What packed runs reach: columns say the same as the records do, also of packs that were written without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from archiver.archive import Archive
from archiver.format import layout
from archiver.format.packs import has_reached
from archiver.retention.gc import collect
from archiver.retention.policy import Policy
from archiver.runs.packed.reach import RunSet, recorded
from archiver.runs.record_view import viewed
from archiver.store import Store
from tests.stores import Frozen, MovedStore, fresh_store, save, snapshot

DATA = (layout.TIER1, layout.TIER2, *layout.SHARED)
KINDS = ["columns", "records"]
T = TypeVar("T")


def filled(store: Store) -> list[str]:
    """Save runs that share tapes and code, or not: small and large ones, with details in the record and beside it."""
    return [
        save(store, "a", days=90, score=3.0, bars=40, code=b"print(1)", tags=["t"]).run,
        save(store, "a", days=60, score=1.0, strategies=5_000, bars=40, code=b"print(2)").run,
        save(store, "b", days=50, score=2.0, detail=False).run,
        save(store, "b", days=45, score=1.5, bars=60, code=b"print(3)").run,
        save(store, "b", score=0.5, bars=40, code=b"print(1)").run,
    ]


def packed(objects: dict[str, bytes], kind: str, monkeypatch: pytest.MonkeyPatch) -> MovedStore:
    """Pack what these objects are; of the kind `records` as it was done before there were such columns."""
    store = MovedStore(fresh_store(objects))
    with monkeypatch.context() as patch:
        if kind == "records":
            patch.setattr("archiver.format.packs.REACHED", ())
            patch.setattr("archiver.runs.packed.packing.reached_columns", lambda _: {})
        assert Archive(store).compact() == 5
    packs = viewed(store).packs
    assert [has_reached(packs.records(pack)) for pack in packs.live()] == [kind == "columns"]
    return store


def usage(store: Store) -> dict[str, Any]:
    """Return what takes the space, sizes of records apart."""
    found = Archive(store).du()
    own = {name: (one.runs, one.tier1, one.tier2) for name, one in found.universes.items()}
    shared = {name: part for name, part in found.parts.items() if f"{name}/" in (*DATA, layout.TRASH)}
    orphans = found.part("orphans").objects
    return {"own": own, "data": shared, "saves": found.shared_saves, "orphans": orphans}


def plan(store: Store, policy: Policy) -> dict[str, Any]:
    """Return what a plan says, sizes of records apart."""
    found = Archive(store).plan_prune(policy, allow_empty=True)
    said = ("run", "universe", "created", "action", "reasons")
    document = found.document()
    removals = [{name: one[name] for name in said} for one in document["removals"]]
    whole = {name: document[name] for name in ("keeps", "share", "freed_objects", "shared", "shared_bytes")}
    return {"removals": removals, **whole}


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    store = fresh_store()
    runs = filled(store)
    return Frozen(snapshot(store), runs)


def both(
    frozen: Frozen, kind: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Store], T]
) -> tuple[T, T]:
    """Ask the same of the loose runs and of the packed ones."""
    first = ask(fresh_store(frozen.objects))
    return first, ask(packed(frozen.objects, kind, monkeypatch))


@pytest.mark.parametrize("kind", KINDS)
def test_loose_and_packed_runs_are_measured_verified_and_judged_alike(
    kind: str, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = (
        Policy(keep_within="30d"),
        Policy(keep_last=1, tiers=2),
        Policy(keep_best=("sharpe_ratio", 1), keep_tags=["t"]),
        Policy(keep_last=0, universe="b"),
    )

    def ask(store: Store) -> Any:
        report = Archive(store).verify()
        packs = 2 * bool(viewed(store).packs.live())
        verified = (report.ok, report.runs, report.objects - packs)
        return usage(store), verified, [plan(store, policy) for policy in policies]

    loose, found = both(frozen, kind, monkeypatch, ask)
    assert found == loose
    assert found[0]["saves"] > 0
    assert found[1][0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("area", [layout.TAPES, layout.CODE, layout.TIER1])
def test_what_a_packed_run_lacks_is_named_with_the_run(
    area: str, kind: str, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(store: Store) -> set[tuple[str, str, str]]:
        store.delete([entry.key for entry in store.list(area)][:1])
        return {(one.run, one.key, one.what) for one in Archive(store).verify().problems}

    loose, found = both(frozen, kind, monkeypatch, ask)
    assert found == loose
    assert found


@pytest.mark.parametrize("kind", KINDS)
def test_gc_frees_what_only_masked_runs_of_a_pack_reach(
    kind: str, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(store: Store) -> set[str]:
        archive = Archive(store)
        assert collect(store, grace="0d", apply=True).objects == 0
        archive.apply(archive.plan_prune(Policy(keep_within="30d")), max_remove=1)
        collect(store, grace="0d", apply=True)
        assert archive.run_ids() == frozen.runs[-1:]
        assert archive.verify().ok
        return {key for key in snapshot(store) if key.startswith(DATA)}

    loose, found = both(frozen, kind, monkeypatch, ask)
    assert found == loose
    assert found


def test_a_set_of_runs_holds_packed_and_loose_ones(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    store = packed(frozen.objects, "columns", monkeypatch)
    more = save(store, "c").run
    view = viewed(store)
    found = RunSet()
    (pack, keep), *_ = found.look(view).packs
    assert all(run in found for run in [*frozen.runs, more])
    assert "20260101T000000Z-00000000" not in found
    assert len(found) == 6
    assert not found.add_packed(view.packs, pack, keep).any()
    archive = Archive(store)
    archive.apply(archive.plan_prune(Policy(keep_last=0, universe="c"), allow_empty=True), max_remove=1)
    now = RunSet()
    now.look(viewed(store))
    assert (more in now, more in recorded(viewed(store))) == (False, True)
