"""Records of many runs that are written at once: few looks, and the same whatever lay there, or is packed meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from archiver.archive import Archive
from archiver.format import layout
from archiver.runs.details import encode_unlike, without_details
from archiver.runs.record_puts import put_records
from archiver.runs.record_view import viewed
from archiver.runs.records import read_record
from archiver.store import Store
from tests.conftest import Place
from tests.stores import Frozen, SharedStore, fresh_store, save, snapshot
from tests.wire import Wire


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    store = fresh_store()
    runs = [save(store, name, days=days, bars=40).run for days, name in enumerate("aabbc", 1)]
    return Frozen(snapshot(store), runs)


def changed(frozen: Frozen) -> dict[str, bytes]:
    """Return other records of the same runs."""
    keys = {run: layout.record_key(run) for run in frozen.runs}
    texts = {run: frozen.objects[key] for run, key in keys.items()}
    return {
        run: encode_unlike(without_details(read_record(keys[run], text), "other"), len(text))
        for run, text in texts.items()
    }


def revised(store: Store) -> None:
    Archive(store).compact()
    view = viewed(store)
    for run in Archive(store).run_ids()[:2]:
        view.put(layout.record_key(run), view.get(layout.record_key(run)))


@pytest.mark.parametrize(
    "before",
    [lambda _: None, lambda store: Archive(store).compact(), revised],
    ids=["loose", "packed", "revised"],
)
def test_what_is_written_counts_also_where_others_pack_meanwhile(
    before: Callable[[Store], object], frozen: Frozen
) -> None:
    texts = changed(frozen)
    at = 0
    while True:
        store = fresh_store(frozen.objects)
        before(store)
        shared = SharedStore(store, at, lambda store=store: Archive(store).compact())
        put_records(viewed(shared), texts, shared)
        view = viewed(store)
        found = {run: read_record(layout.record_key(run), view.get(layout.record_key(run))) for run in texts}
        assert [run for run, record in found.items() if record.detail_removed != "other"] == []
        assert Archive(store).verify(read_data=True).ok
        if shared.calls <= at:
            break
        at += 1
    assert at > len(texts)


def test_thousands_of_records_take_a_request_each_and_a_few_looks(
    frozen: Frozen, wired_place: Place, wire: Wire
) -> None:
    store = wired_place.open()
    archive = Archive(store)
    archive.create()
    text = frozen.objects[layout.record_key(frozen.runs[0])]
    runs = [f"{frozen.runs[0][:-3]}{number:03x}" for number in range(100)]
    wire.reset()
    put_records(viewed(store), dict.fromkeys(runs, text), store)
    assert (wire.counts["PUT"], wire.counts["LIST"]) == (100, 3)
    assert sum(wire.counts.values()) == 103
