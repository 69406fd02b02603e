"""Whether an archive may live in a store of your own: tests to inherit.

```python
from archiver.testing import Opened, StoreTests

class TestMyStore(StoreTests):
    @pytest.fixture
    def opened(self, tmp_path) -> Opened:
        return lambda **how: MyStore(tmp_path, **how)
```

pytest then runs all that an archive asks of a store, as `archiver.store.Store` says it. A store that passes, and of which
`archiver doctor` has nothing to say, holds an archive.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from threading import Barrier
from typing import BinaryIO, ClassVar

import pytest

from archiver.errors import AccessError, ConfigError, NotFoundError
from archiver.store import Store

Opened = Callable[..., Store]
"""Opens the store under test, each time anew and on the same place; takes `read_only=True`."""

NO_KEYS = ("", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "../a", "a\0b", "a\\b", "\ud800")
"""What is no key, whatever the store."""


class StoreTests:
    """What a store must do. A subclass gives the fixture `opened`, for a place where nothing is yet."""

    names: ClassVar[Sequence[str]] = ("a%2Fb", "universe=a%20b", "%C3%A9", "~", "_x-y.z", "x" * 239)
    """Names that keys of an archive have parts like; add those that your store should bear, too."""
    refuses_to_replace: ClassVar[bool] = True
    """Whether a create that meets other bytes is refused; an archive does not depend on it."""

    @pytest.fixture
    def opened(self) -> Opened:
        """Return what opens the store. Every subclass has its own."""
        raise NotImplementedError("give a fixture `opened` that returns a function which opens your store")

    @pytest.fixture
    def store(self, opened: Opened) -> Store:
        """Open the store, which is empty."""
        return opened()

    def test_an_object_comes_back(self, store: Store) -> None:
        store.put("runs/a.json", b"one")
        assert store.get("runs/a.json") == b"one"
        store.put("runs/a.json", b"two, which is longer")
        assert store.get("runs/a.json") == b"two, which is longer"
        store.put("runs/a.json", b"")
        assert store.get("runs/a.json") == b""

    def test_a_key_is_a_name_and_never_a_pattern(self, store: Store) -> None:
        plain = ["d/a", "d/a-b", "d/ab", "d/axb", "d/b"]
        for key in [*plain, *(f"d/{name}" for name in self.names)]:
            store.put(key, key.encode())
        assert keys(store) == sorted([*plain, *(f"d/{name}" for name in self.names)])
        for name in self.names:
            assert store.get(f"d/{name}") == f"d/{name}".encode()
            assert store.stat(f"d/{name}") is not None
            assert store.delete([f"d/{name}"]) == {}
            assert store.stat(f"d/{name}") is None
        assert keys(store) == plain

    def test_what_is_no_key_is_refused(self, store: Store) -> None:
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

    def test_what_is_absent_is_said_to_be(self, store: Store) -> None:
        store.put("d/a", b"x")
        for key in ("d/b", "nothing/here", "d"):
            with pytest.raises(NotFoundError, match=key):
                store.get(key)
            with pytest.raises(NotFoundError, match=key):
                store.get(key, 1, 2)
            with pytest.raises(NotFoundError, match=key):
                store.open(key)
            assert store.stat(key) is None

    def test_ranges_are_those_of_a_slice(self, store: Store) -> None:
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

    def test_an_empty_object_has_empty_ranges(self, store: Store) -> None:
        store.put("e", b"")
        assert store.get("e", 0, 10) == b""
        assert store.get("e", 5) == b""
        with store.open("e") as stream:
            assert stream.read() == b""

    def test_an_open_object_reads_and_seeks(self, store: Store) -> None:
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

    def test_a_written_object_shows_only_when_it_is_whole(self, store: Store) -> None:
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

    def test_a_stream_that_creates_replaces_nothing(self, store: Store) -> None:
        for size in (5, (16 << 20) + 1):
            key = f"d/{size}"
            with store.write(key, create=True) as stream:
                stream.write(b"a" * size)
            with pytest.raises(ConfigError, match="never replaced"), store.write(key, create=True) as stream:
                stream.write(b"b" * size)
            assert store.get(key) == b"a" * size
        assert len(keys(store)) == 2
        assert list(store.leftovers()) == []

    def test_an_object_whose_writing_fails_leaves_nothing(self, store: Store) -> None:
        store.put("d/w", b"before")
        for error in (ValueError, KeyboardInterrupt, OSError):
            with pytest.raises(error), store.write("d/w") as stream:
                _write_and_raise(stream, error)
        assert store.get("d/w") == b"before"
        assert keys(store) == ["d/w"]
        assert list(store.leftovers()) == []

    def test_listings_are_sorted_and_complete(self, store: Store) -> None:
        assert keys(store) == []
        names = ["b", "a-b/x", "a.b", "a/b", "a/c/d", "a0", "B", *self.names]
        for name in names:
            store.put(name, name.encode())
        assert keys(store) == sorted(names)
        assert keys(store, "a/") == ["a/b", "a/c/d"]
        assert keys(store, "a/c") == ["a/c/d"]
        assert keys(store, "a") == sorted(name for name in names if name.startswith("a"))
        assert keys(store, "nothing/") == []
        assert {entry.key: entry.size for entry in store.list()} == {
            name: len(name.encode()) for name in names
        }

    def test_listings_are_never_cached(self, store: Store, opened: Opened) -> None:
        other = opened()
        store.put("a", b"1")
        assert keys(other) == ["a"]
        store.put("b", b"1")
        assert keys(other) == ["a", "b"]
        other.delete(["a"])
        assert keys(store) == ["b"]
        assert store.stat("a") is None

    def test_more_than_a_page_is_listed_and_deleted(self, store: Store) -> None:
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

    def test_what_is_absent_is_deleted_already(self, store: Store) -> None:
        store.put("a", b"")
        assert store.delete(["a", "b", "c/d", "a"]) == {}
        assert store.delete(["a"]) == {}
        assert store.delete([]) == {}

    def test_sizes_and_times_agree_with_the_clock(self, store: Store) -> None:
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

    def test_a_create_met_again_is_success(self, store: Store) -> None:
        store.put("c", b"mine", create=True)
        store.put("c", b"mine", create=True)
        assert store.get("c") == b"mine"

    def test_a_create_never_replaces_where_the_store_can_tell(self, store: Store) -> None:
        store.put("c", b"another's", create=True)
        if not self.refuses_to_replace:
            pytest.skip(
                "nothing tells there that a key is taken: ids of runs are random, and carry the weight"
            )
        with pytest.raises(ConfigError, match="c exists"):
            store.put("c", b"mine", create=True)
        assert store.get("c") == b"another's"

    def test_read_only_means_that(self, store: Store, opened: Opened) -> None:
        store.put("a", b"kept")
        shut = opened(read_only=True)
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

    def test_many_threads_use_one_store(self, store: Store) -> None:
        # A server over folders may forget one that became empty, and for a moment what others write there.
        stays = [f"t/{folder}/stays" for folder in range(7)]
        for key in stays:
            store.put(key, b"")

        def work(number: int) -> bool:
            key = f"t/{number % 7}/{number}"
            store.put(key, str(number).encode())
            return store.get(key) == str(number).encode() and store.delete([key]) == {}

        with ThreadPoolExecutor(16) as executor:
            assert all(executor.map(work, range(200)))
        assert keys(store) == stays

    def test_a_store_survives_pickling(self, store: Store) -> None:
        store.put("a", b"there")
        again = pickle.loads(pickle.dumps(store))
        assert again.get("a") == b"there"
        assert (again.url, again.local, again.read_only) == (store.url, store.local, store.read_only)

    def test_ranges_at_the_edges_are_right_at_once_and_again(self, store: Store) -> None:
        data = bytes(range(256))
        store.put("d/r", data)
        store.put("d/e", b"")
        for start, end in [
            (128, 256),
            (0, 128),
            (255, 256),
            (256, 300),
            (300, 400),
            (256, None),
            (1, None),
            (0, 256),
        ]:
            assert store.get("d/r", start, end) == data[start:end], (start, end)
            assert store.get("d/e", start, end) == b"", (start, end)

    def test_what_many_threads_do_at_once_stays_apart(self, store: Store) -> None:
        together = Barrier(8)

        def work(number: int) -> bool:
            data = bytes([number]) * (1000 + number)
            together.wait(30)
            store.put(f"d/{number}", data)
            found = store.get(f"d/{number}"), store.get(f"d/{number}", 500, 600), store.stat(f"d/{number}")
            return found[:2] == (data, data[500:600]) and found[2] is not None and found[2].size == len(data)

        with ThreadPoolExecutor(8) as executor:
            assert all(executor.map(work, range(8)))
        assert keys(store) == [f"d/{number}" for number in range(8)]


def keys(store: Store, prefix: str = "") -> list[str]:
    """Return the keys that a store lists."""
    return [entry.key for entry in store.list(prefix)]


def _write_and_raise(stream: BinaryIO, error: type[BaseException]) -> None:
    stream.write(b"x" * 3_000_000)
    raise error
