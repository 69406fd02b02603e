"""The trash, with two or three at work at once: pairs of calls at which they change over, and meetings of three."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest

from archiver.archive import Archive
from archiver.errors import IntegrityError, PolicyError, RunNotFoundError, StorageError
from archiver.format import layout
from archiver.retention.gc import collect
from archiver.retention.trash import Move, bring_back, put_away
from archiver.store import Store
from tests.removals import (
    CALLER,
    CALLERS,
    Act,
    filled,
    filled_objects,
    kept,
    made,
    oldest_first,
    prune_details,
    prune_runs,
    whole,
)
from tests.stores import (
    PAIRED,
    MovedStore,
    PassingStore,
    SharedStore,
    fresh_store,
    interleavings,
    snapshot,
)

pytestmark = pytest.mark.usefixtures("details_apart")


@pytest.fixture(scope="module")
def objects() -> dict[str, bytes]:
    return filled_objects()


@pytest.fixture(scope="module")
def runs(objects: dict[str, bytes]) -> list[str]:
    """Return the runs of these objects, the oldest first."""
    return oldest_first(fresh_store(objects))


def free(_: Store) -> Act:
    """Be a gc without any grace."""
    return lambda store: collect(store, grace="0d", apply=True)


@CALLER
@pytest.mark.parametrize("order", [1, -1], ids=["pin first", "pin second"])
@pytest.mark.parametrize("every", PAIRED)
def test_a_pin_that_returned_holds_at_every_interleaving(
    caller: str, order: int, every: int, objects: dict[str, bytes], runs: list[str]
) -> None:
    promised: list[bool] = []

    def pin(_: Store) -> Act:
        def act(store: Store) -> None:
            promised.append(False)
            with suppress(RunNotFoundError):
                Archive(store).tag(runs[0], "pinned")
                promised[-1] = True

        return act

    def remove(_: Store) -> Act:
        def act(store: Store) -> None:
            with suppress(PolicyError):
                CALLERS[caller](store)

        return act

    for store in interleavings(lambda: fresh_store(objects), *[pin, remove][::order], every):
        collect(store, grace="0d", apply=True)
        assert Archive(store).verify().ok
        assert not promised[-1] or runs[0] in Archive(store).run_ids()
        assert not promised[-1] or kept(store, runs[0])
    assert promised.count(True) > 0


@pytest.mark.parametrize("order", [1, -1], ids=["pin first", "gc first"])
@pytest.mark.parametrize("every", PAIRED)
def test_a_pin_and_a_gc_without_any_grace_at_every_interleaving(
    order: int, every: int, objects: dict[str, bytes], runs: list[str]
) -> None:
    """The run goes to the trash between the pin's look and its marker; then gc and the pin meet."""
    results: list[bool] = []

    def pin(_: Store) -> Callable[[SharedStore], object]:
        def act(store: SharedStore) -> None:
            def remove() -> None:
                store.between()
                prune_runs(store.inner)

            removing = SharedStore(store, 3, remove)
            results.append(False)
            with suppress(RunNotFoundError):
                Archive(removing).tag(runs[0], "pinned")
                results[-1] = True

        return act

    for store in interleavings(lambda: fresh_store(objects), *[pin, free][::order], every):
        collect(store, grace="0d", apply=True)
        assert Archive(store).verify().ok
        assert whole(store, runs[0]) or not results[-1]
    assert results.count(True) > 0


@pytest.mark.parametrize("order", [1, -1], ids=["undelete first", "gc first"])
@pytest.mark.parametrize("every", PAIRED)
@pytest.mark.parametrize("caller", ["prune", "prune details", "bundle --remove"])
def test_an_undelete_and_a_gc_without_any_grace_at_every_interleaving(
    caller: str, order: int, every: int, objects: dict[str, bytes], runs: list[str]
) -> None:
    store, _ = made(objects)
    CALLERS[caller](store)
    removed = snapshot(store)
    first = min(layout.run_of_record(entry.key) or "" for entry in store.list(layout.TRASH))
    back: list[bool] = []

    def undelete(_: Store) -> Act:
        def act(store: Store) -> None:
            back.append(False)
            with suppress(RunNotFoundError, IntegrityError):
                bring_back(store, first)
                back[-1] = True

        return act

    for store in interleavings(lambda: fresh_store(removed), *[undelete, free][::order], every):
        collect(store, grace="0d", apply=True)
        assert Archive(store).verify().ok
        assert not back[-1] or whole(store, first)
    assert back.count(True) > 0


@pytest.mark.parametrize("order", [1, -1], ids=["prune first", "gc first"])
@pytest.mark.parametrize("every", PAIRED)
def test_a_prune_of_runs_without_details_and_a_gc_at_every_interleaving(
    order: int, every: int, objects: dict[str, bytes], runs: list[str]
) -> None:
    """Details whose grace is over are freed, while the run itself goes to the trash."""
    store, _ = made(objects)
    prune_details(store)
    reduced = snapshot(store)

    def prune(_: Store) -> Act:
        return prune_runs

    for store in interleavings(lambda: fresh_store(reduced), *[prune, free][::order], every):
        archive = Archive(store)
        assert archive.verify().ok
        for run in archive.trash():
            archive.undelete(run.id)
        assert archive.verify().ok
        assert runs[2] in archive.run_ids()


@pytest.mark.parametrize("order", [1, -1], ids=["removal first", "gc first"])
@pytest.mark.parametrize("every", PAIRED)
def test_a_pin_a_removal_and_a_gc_at_once(
    order: int, every: int, objects: dict[str, bytes], runs: list[str]
) -> None:
    """The removal looks for the pinned run in the trash just when gc has deleted it there, and puts it back later."""
    pins: list[bool] = []

    def remove(plain: Store) -> Callable[[SharedStore], object]:
        def pin(store: SharedStore) -> None:
            store.between()
            pins.append(False)
            with suppress(RunNotFoundError):
                Archive(plain).tag(runs[0], "pinned")
                pins[-1] = True

        # After its copy is in the trash, before the record goes.
        return lambda store: put_away(SharedStore(store, 2, lambda: pin(store)), [Move(runs[0])])

    for store in interleavings(lambda: fresh_store(objects), *[remove, free][::order], every):
        assert Archive(store).verify().ok
        assert not pins[-1] or whole(store, runs[0])
    assert pins.count(True) > 0


def test_gc_brings_back_what_a_removal_could_not_find(objects: dict[str, bytes]) -> None:
    """A removal looks for the run, pinned meanwhile, in the trash just after gc deleted it, and before gc puts it back."""
    store, _ = made(objects)
    run = oldest_first(store)[0]
    record, trashed = layout.record_key(run), layout.trash_key(run)
    store.put(trashed, store.get(record))
    looked: list[str] = []

    class Meeting(PassingStore):
        def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
            wanted = list(keys)
            if trashed not in wanted or looked:
                return super().delete(wanted)
            Archive(store).tag(run, "pinned")
            store.delete([record])
            failed = super().delete(wanted)
            with pytest.raises(RunNotFoundError):
                bring_back(store, run)
            looked.append(run)
            return failed

    collect(Meeting(store), grace="0d", apply=True)
    assert looked == [run]
    assert whole(store, run)
    assert Archive(store).trash() == []
    assert Archive(store).verify(read_data=True).ok


@pytest.mark.parametrize("days", [0, 8])
def test_gc_leaves_a_run_alone_that_is_in_neither_place_for_a_moment(days: int) -> None:
    """A removal deletes the record after somebody brought the run back, and sees only then that its copy is gone."""
    store = MovedStore(fresh_store())
    runs = filled(store)
    store.move(days=days)

    class Meeting(PassingStore):
        met = False

        def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
            wanted = list(keys)
            if layout.record_key(runs[0]) not in wanted or self.met:
                return super().delete(wanted)
            self.met = True
            bring_back(store, runs[0])
            failed = super().delete(wanted)
            assert not any(store.stat(key) for key in (layout.record_key(runs[0]), layout.trash_key(runs[0])))
            collect(store, grace="7d" if days else "0d", apply=True)
            return failed

    meeting = Meeting(store)
    put_away(meeting, [Move(runs[0])])
    assert meeting.met
    assert whole(store, runs[0])
    assert Archive(store).verify(read_data=True).ok
