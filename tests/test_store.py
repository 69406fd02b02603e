"""What every store must do, on a folder, in memory, and on two S3 servers."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import pytest

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.store import Store, open_store
from tests.conftest import PLACES, Place
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


@pytest.fixture(params=[*PLACES, "folders", "cached"])
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


def keys(store: Store, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def test_an_object_comes_back(store: Store) -> None:
    store.put("runs/a.json", b"one")
    assert store.get("runs/a.json") == b"one"
    store.put("runs/a.json", b"two, which is longer")
    assert store.get("runs/a.json") == b"two, which is longer"
    store.put("runs/a.json", b"")
    assert store.get("runs/a.json") == b""


def test_a_key_is_a_name_and_never_a_pattern(store: Store) -> None:
    plain = ["d/a", "d/a-b", "d/ab", "d/axb", "d/b"]
    for key in [*plain, *(f"d/{name}" for name in AWKWARD)]:
        store.put(key, key.encode())
    assert keys(store) == sorted([*plain, *(f"d/{name}" for name in AWKWARD)])
    for name in AWKWARD:
        assert store.get(f"d/{name}") == f"d/{name}".encode()
        assert store.stat(f"d/{name}") is not None
        assert store.delete([f"d/{name}"]) == {}
        assert store.stat(f"d/{name}") is None
    assert keys(store) == plain


NO_KEYS = ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../a", "a\0b", "a\\b", "\ud800"]


def test_what_is_no_key_is_refused(store: Store) -> None:
    for key in NO_KEYS:
        for act in (
            store.get,
            store.stat,
            store.open,
            lambda key: store.put(key, b""),
            lambda key: store.delete([key]),
        ):
            with pytest.raises(ConfigError, match="is no key"):
                act(key)
        with pytest.raises(ConfigError), store.write(key) as stream:
            stream.write(b"x")
    assert keys(store) == []


def test_what_is_absent_is_said_to_be(store: Store) -> None:
    store.put("d/a", b"x")
    for key in ("d/b", "nothing/here", "d"):
        with pytest.raises(NotFoundError, match=key):
            store.get(key)
        with pytest.raises(NotFoundError, match=key):
            store.get(key, 1, 2)
        with pytest.raises(NotFoundError, match=key):
            store.open(key)
        assert store.stat(key) is None


def test_ranges_are_those_of_a_slice(store: Store) -> None:
    data = bytes(range(100))
    store.put("r", data)
    for start, end in [
        (0, 10),
        (10, 20),
        (90, None),
        (0, None),
        (50, 1000),
        (99, 100),
        (100, None),
        (200, 300),
        (5, 5),
        (9, 3),
    ]:
        assert store.get("r", start, end) == data[start:end], (start, end)
    with pytest.raises(ConfigError):
        store.get("r", -5)
    with pytest.raises(NotFoundError):
        store.get("absent", 5, 5)


def test_an_empty_object_has_empty_ranges(store: Store) -> None:
    store.put("e", b"")
    assert store.get("e", 0, 10) == b""
    assert store.get("e", 5) == b""
    with store.open("e") as stream:
        assert stream.read() == b""


def test_an_open_object_reads_and_seeks(store: Store) -> None:
    data = bytes(range(256)) * 1000
    store.put("o", data)
    with store.open("o") as stream:
        assert stream.seekable()
        assert stream.read(10) == data[:10]
        assert stream.tell() == 10
        stream.seek(-20, 2)
        assert stream.read() == data[-20:]
        stream.seek(100_000)
        assert stream.read(70_000) == data[100_000:170_000]
        stream.seek(100_100)
        assert stream.read(1) == data[100_100:100_101]
        stream.seek(5, 1)
        assert stream.tell() == 100_106
        stream.seek(len(data) + 5)
        assert stream.read(5) == b""
        stream.seek(0)
        assert stream.read() == data
        assert stream.read() == b""


def test_a_written_object_shows_only_when_it_is_whole(store: Store) -> None:
    with store.write("d/w") as stream:
        stream.write(b"begin ")
        assert store.stat("d/w") is None
        assert keys(store) == []
        stream.write(b"end")
    assert store.get("d/w") == b"begin end"
    with store.write("d/w") as stream:
        stream.write(b"second")
    assert store.get("d/w") == b"second"
    with store.write("d/empty"):
        pass
    assert store.get("d/empty") == b""


def test_a_stream_that_creates_replaces_nothing(store: Store) -> None:
    for size in (5, (16 << 20) + 1):
        key = f"d/{size}"
        with store.write(key, create=True) as stream:
            stream.write(b"a" * size)
        with pytest.raises(ConfigError, match="never replaced"), store.write(key, create=True) as stream:
            stream.write(b"b" * size)
        assert store.get(key) == b"a" * size
    assert len(keys(store)) == 2
    assert list(store.leftovers()) == []


def test_an_object_whose_writing_fails_leaves_nothing(store: Store) -> None:
    store.put("d/w", b"before")
    for error in (ValueError, KeyboardInterrupt, OSError):
        with pytest.raises(error), store.write("d/w") as stream:
            _write_and_raise(stream, error)
    assert store.get("d/w") == b"before"
    assert keys(store) == ["d/w"]
    assert list(store.leftovers()) == []


def _write_and_raise(stream: BinaryIO, error: type[BaseException]) -> None:
    stream.write(b"x" * 3_000_000)
    raise error


def test_listings_are_sorted_and_complete(store: Store) -> None:
    assert keys(store) == []
    names = ["b", "a-b/x", "a.b", "a/b", "a/c/d", "a0", "B", "é", "a b"]
    for name in names:
        store.put(name, name.encode())
    assert keys(store) == sorted(names)
    assert keys(store, "a/") == ["a/b", "a/c/d"]
    assert keys(store, "a/c") == ["a/c/d"]
    assert keys(store, "a") == sorted(name for name in names if name.startswith("a"))
    assert keys(store, "nothing/") == []
    assert {entry.key: entry.size for entry in store.list()} == {name: len(name.encode()) for name in names}


def test_listings_are_never_cached(store: Store, place: Place) -> None:
    other = place.open()
    store.put("a", b"1")
    assert keys(other) == ["a"]
    store.put("b", b"1")
    assert keys(other) == ["a", "b"]
    other.delete(["a"])
    assert keys(store) == ["b"]
    assert store.stat("a") is None


def test_a_store_ends_at_its_prefix(place: Place, store: Store) -> None:
    beside = Place(place.kind, place.url + "2", place.options).open()
    beside.put("x", b"beside")
    store.put("y", b"inside")
    assert keys(store) == ["y"]
    assert keys(beside) == ["x"]


def test_more_than_a_page_is_listed_and_deleted(store: Store) -> None:
    names = [f"many/{number:04d}" for number in range(1100)]
    if store.local is not None:
        (store.local / "many").mkdir(parents=True)
        for name in names:
            (store.local / name).touch()
    else:
        assert list(store.map(lambda name: store.put(name, b""), names)) == [None] * 1100
    store.put("other", b"")
    assert keys(store, "many/") == names
    assert store.delete(iter(names)) == {}
    assert keys(store) == ["other"]


def test_what_is_absent_is_deleted_already(store: Store) -> None:
    store.put("a", b"")
    assert store.delete(["a", "b", "c/d", "a"]) == {}
    assert store.delete(["a"]) == {}
    assert store.delete([]) == {}


def test_sizes_and_times_agree_with_the_clock(store: Store) -> None:
    before = store.now()
    store.put("d/t", b"12345")
    entry = store.stat("d/t")
    after = store.now()
    assert entry is not None
    assert (entry.key, entry.size) == ("d/t", 5)
    assert before - timedelta(seconds=1) <= entry.modified <= after
    assert entry.modified.tzinfo is UTC
    assert before.tzinfo is UTC
    assert list(store.list()) == [entry]


def test_a_create_met_again_is_success(store: Store) -> None:
    store.put("c", b"mine", create=True)
    store.put("c", b"mine", create=True)
    assert store.get("c") == b"mine"


def test_a_create_never_replaces_where_the_store_can_tell(store: Store, place: Place) -> None:
    store.put("c", b"another's", create=True)
    if place.kind == "rclone":
        pytest.skip("rclone accepts If-None-Match and ignores it: nothing tells, so run ids carry the weight")
    with pytest.raises(ConfigError, match="c exists"):
        store.put("c", b"mine", create=True)
    assert store.get("c") == b"another's"


def test_read_only_means_that(place: Place, store: Store) -> None:
    store.put("a", b"kept")
    shut = place.open(read_only=True)
    assert shut.get("a") == b"kept"
    for act in (
        lambda: shut.put("a", b"new"),
        lambda: shut.put("b", b"new", create=True),
        lambda: shut.delete(["a"]),
        lambda: shut.write("a").__enter__(),
    ):
        with pytest.raises(AccessError, match="read-only"):
            act()
    assert abs(shut.now() - store.now()) < timedelta(seconds=5)
    assert [(entry.key, entry.size) for entry in shut.list()] == [("a", 4)]


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


def test_many_threads_use_one_store(store: Store) -> None:
    def work(number: int) -> bool:
        key = f"t/{number % 7}/{number}"
        store.put(key, str(number).encode())
        return store.get(key) == str(number).encode() and store.delete([key]) == {}

    with ThreadPoolExecutor(16) as executor:
        assert all(executor.map(work, range(200)))
    assert keys(store) == []


def test_a_store_survives_pickling(store: Store) -> None:
    store.put("a", b"there")
    again = pickle.loads(pickle.dumps(store))
    assert again.get("a") == b"there"
    assert (again.url, again.local, again.read_only) == (store.url, store.local, store.read_only)


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
