"""Many runs go to the trash with two requests each, and what is put aside meanwhile is not lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest

from archiver.archive import Archive
from archiver.errors import StorageError
from archiver.format import layout
from archiver.retention.policy import Policy
from archiver.runs.packed.unpacking import loosened
from archiver.runs.record_view import viewed
from archiver.store import Store
from archiver.store.entry import Entry
from tests.stores import PassingStore, fresh_store, save


class Counted(PassingStore):
    """A store that counts its calls, and refuses to write what begins so."""

    def __init__(self, inner: Store, refuse: str = "-") -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self.refuse = refuse

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.calls["get"] += 1
        return super().get(key, start, end)

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self.calls["put"] += 1
        if key.startswith(self.refuse):
            raise StorageError(f"{key} is refused")
        super().put(key, data, create=create)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        self.calls["list"] += 1
        return super().list(prefix)

    def stat(self, key: str) -> Entry | None:
        self.calls["stat"] += 1
        return super().stat(key)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.calls["delete"] += 1
        return super().delete(keys)


def filled(count: int) -> tuple[Store, list[str]]:
    store = fresh_store()
    runs = [save(store, days=90).run for _ in range(count)]
    save(store)
    return store, runs


def packed(count: int) -> tuple[Store, list[str]]:
    store, runs = filled(count)
    Archive(store).compact()
    return store, runs


def requests_of_a_prune(made: tuple[Store, list[str]], policy: Policy) -> int:
    store, runs = made
    counted = Counted(store)
    archive = Archive(counted)
    plan = archive.plan_prune(policy)
    counted.calls.clear()
    done = archive.apply(plan, max_remove=1)
    assert {*done.removed, *done.reduced} == set(runs)
    assert len(Archive(store).run_ids()) == (1 if done.removed else 1 + len(runs))
    assert {run.id for run in Archive(store).trash()} == {*runs}
    assert done.reduced or not list(store.list(layout.REVISED))
    return counted.calls.total()


@pytest.mark.parametrize("made", [filled, packed])
def test_a_prune_takes_two_requests_a_run(made: Callable[[int], tuple[Store, list[str]]]) -> None:
    more, few = (requests_of_a_prune(made(count), Policy(keep_within="30d")) for count in (44, 24))
    assert more - few == 2 * 20


def test_a_prune_of_details_looks_once_at_each_loose_run_that_stays_in_sight() -> None:
    # A record is read and copied, a look whether somebody packs it just now, and a record that takes its place.
    less = Policy(keep_within="30d", tiers=2)
    assert requests_of_a_prune(filled(44), less) - requests_of_a_prune(filled(24), less) == 4 * 20


def test_only_what_a_pack_alone_holds_is_taken_out() -> None:
    store, runs = packed(4)
    archive = Archive(store)
    before = {run: viewed(store).get(layout.record_key(run)) for run in runs}
    archive.apply(archive.plan_prune(Policy(keep_last=4)), max_remove=1)
    (gone,) = {run.id for run in archive.trash()}
    view = viewed(store)
    there = [run for run in runs if run != gone]
    view.put(layout.record_key(there[0]), before[there[0]])  # a loose record in `revised/`
    loose = save(store).run
    with loosened(view, [*runs, loose], [runs[0], loose]) as found:
        assert found.written == {run: before[run] for run in there[1:]}
        assert {run: found.read(view, run) for run in there} == {run: before[run] for run in there}
        assert found.read(view, loose) == store.get(layout.record_key(loose))
        assert view.loosened == {*there[1:], loose}
    assert view.loosened == set()
    assert {layout.parse(entry.key).run for entry in store.list(layout.REVISED)} == set(there)  # type: ignore[union-attr]  # its keys are known


def test_what_cannot_be_taken_out_stays_where_it_is() -> None:
    store, runs = packed(3)
    counted = Counted(store, refuse=layout.REVISED + runs[0])
    archive = Archive(counted)
    done = archive.apply(archive.plan_prune(Policy(keep_within="30d")), max_remove=1)
    assert set(done.failed) == {runs[0]}
    assert set(done.removed) == {*runs[1:]}
    assert runs[0] in Archive(store).run_ids()
