"""What every store must do, on a folder, in memory, and on two S3 servers."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from archiver.errors import NotFoundError, StorageError
from archiver.store import Store, open_store
from archiver.testing import Opened, StoreTests, keys
from tests.conftest import THINNED_PLACES, Place
from tests.faults import DiedError, FaultyStore, flip, truncate

AWKWARD = [
    "a*b",
    "a?b",
    "[ab]",
    "{a,b}",
    "a b",
    "a+b&c=d",
    "a%2Fb",
    "a#b",
    "é-ü",
    "~",
    "$x",
    "a'b\"c",
    "x" * 200,
    "@",
    "<a>",
]


@pytest.fixture(params=[*THINNED_PLACES, "folders", "cached"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give each kind of place in turn; more kinds than other tests need."""
    if request.param == "folders":
        return Place(
            "folders", f"simplecache::file://{tmp_path}/archive", {"cache_storage": f"{tmp_path}/cache"}
        )
    if request.param == "cached":
        inner: Place = request.getfixturevalue("memory_place")
        return Place("cached", f"simplecache::{inner.url}", {"cache_storage": str(tmp_path)})
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


class TestStores(StoreTests):
    names = AWKWARD

    @pytest.fixture
    def opened(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> Opened:
        # rclone accepts If-None-Match and ignores it.
        monkeypatch.setattr(type(self), "refuses_to_replace", place.kind != "rclone")
        return place.open


def test_a_store_ends_at_its_prefix(place: Place, store: Store) -> None:
    beside = Place(place.kind, place.url + "2", place.options).open()
    beside.put("x", b"beside")
    store.put("y", b"inside")
    assert keys(store) == ["y"]
    assert keys(beside) == ["x"]


def test_map_keeps_order_and_bounds_what_is_begun(store: Store) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield number

    results = store.map(lambda number: number * 2, endless())
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    results.close()  # type: ignore[attr-defined]
    assert taken <= 10 + store.workers * 4


def test_map_raises_in_place_and_begins_no_more(store: Store) -> None:
    seen: list[int] = []

    def work(number: int) -> int:
        seen.append(number)
        if number == 5:
            raise StorageError("broken")
        return number

    results = store.map(work, range(100_000))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(StorageError, match="broken"):
        next(results)
    assert len(seen) <= 6 + store.workers * 4


def test_map_runs_at_the_same_time_and_no_more_than_that(store: Store) -> None:
    together = threading.Barrier(store.workers)
    assert list(store.map(lambda _: together.wait(30) >= 0, range(store.workers))) == [True] * store.workers


def test_map_uses_the_executor_it_is_given(place: Place) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as executor:
        store = place.open(executor=executor)
        names = list(store.map(lambda _: threading.current_thread().name, range(20)))
        assert all(name.startswith("mine") for name in names)
        assert executor.submit(lambda: 1).result() == 1


def read_elsewhere(store: Store, key: str) -> tuple[bytes, int, int]:
    return store.get(key), os.getpid(), id(store)


def test_map_sends_small_work_to_processes_in_batches_that_share_one_store(place: Place) -> None:
    if place.kind == "memory" or "memory" in place.url:
        pytest.skip("memory is of one process")
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        store = place.open(executor=executor)
        wanted = [f"k/{number:03}" for number in range(150)]
        for key in wanted:
            store.put(key, key.encode())
        found = list(store.map(partial(read_elsewhere, store), wanted))
        assert [data for data, _, _ in found] == [key.encode() for key in wanted]
        assert len({pid for _, pid, _ in found} - {os.getpid()}) == 1
        batches = len({again for _, _, again in found})
        assert batches == 1 or store.local is not None
        results = store.map(partial(read_elsewhere, store), [*wanted[:3], "absent", "k/000"])
        assert [next(results)[0] for _ in range(3)] == [b"k/000", b"k/001", b"k/002"]
        with pytest.raises(NotFoundError, match="absent"):
            next(results)


def test_a_faulty_store_fails_where_it_is_told(store: Store) -> None:
    store.put("a", b"old")
    faulty = FaultyStore(store, 1, when="after")
    assert faulty.get("a") == b"old"
    with pytest.raises(StorageError, match="test says"):
        faulty.put("a", b"new")
    assert faulty.get("a") == b"new"
    assert faulty.counts == {"get": 2, "put": 1}
    dying = FaultyStore(store, 0, die=True)
    with pytest.raises(DiedError):
        dying.put("a", b"never")
    with pytest.raises(DiedError):
        dying.get("a")
    half = FaultyStore(store, 0, when="midway")
    with pytest.raises(StorageError):
        half.delete(["a", "b"])
    with pytest.raises(DiedError), FaultyStore(store, 0, die=True).write("w") as stream:
        stream.write(b"x")
    assert keys(store) == []


def test_a_flipped_bit_and_a_cut_are_what_they_say(store: Store) -> None:
    store.put("a", b"\0\0\0")
    flip(store, "a")
    assert store.get("a") == b"\0\1\0"
    truncate(store, "a", 1)
    assert store.get("a") == b"\0"


def test_a_chain_that_ends_in_a_bucket(moto_place: Place, tmp_path: Path) -> None:
    url = f"simplecache::{moto_place.url}"
    store = open_store(url, storage_options={"s3": moto_place.options, "cache_storage": str(tmp_path)})
    store.put("d/a", b"old")
    assert store.get("d/a") == b"old"
    store.put("d/a", b"new")
    with store.write("d/b") as stream:
        stream.write(b"streamed")
    assert (store.get("d/a"), store.get("d/b", 0, 6)) == (b"new", b"stream")
    assert keys(store) == keys(moto_place.open()) == ["d/a", "d/b"]
    assert store.delete(["d/a", "d/*"]) == {}
    assert keys(store) == ["d/b"]
    with pytest.raises(StorageError, match="bucket does not exist"):
        list(
            open_store(
                "simplecache::s3://no-such-bucket/x", storage_options={"s3": moto_place.options}
            ).list()
        )


def test_map_of_small_reads_stays_in_one_thread_until_they_wait(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def where(seconds: float) -> str:
        time.sleep(seconds)
        return threading.current_thread().name

    quick = list(store.map(where, [0.0] * 500, small=True))
    assert set(quick) == {threading.current_thread().name}
    slow = list(store.map(where, [0.03] * 20, small=True))
    assert slow[0] == threading.current_thread().name != slow[-1]


def test_a_folder_of_another_file_system_that_went_is_not_made_anew(tmp_path: Path) -> None:
    root = tmp_path / "root"
    open_store(f"simplecache::file://{root}").put("a/b", b"x")
    store = open_store(f"simplecache::file://{root}")
    assert store.stat("a/b") is not None
    shutil.rmtree(root)
    for act in (
        lambda: store.put("a/b", b"x"),
        lambda: store.stat("a/b"),
        lambda: list(store.list()),
        lambda: store.delete(["a/b"]),
        store.now,
    ):
        with pytest.raises(StorageError, match=r"was there and is gone|does not exist"):
            act()
        assert not root.exists()
