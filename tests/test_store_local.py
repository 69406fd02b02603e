"""What a folder on a disk adds: durable, atomic, and honest about disks that fill, vanish or refuse."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.errors import AccessError, NotFoundError, StorageError, StorageFullError
from archiver.store import Store, durable, local, open_store
from archiver.store.contract import TEMPORARY
from archiver.store.folder import Folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "archive"))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- whole ---------------------------------------------------------------------------------------------------


def test_a_killed_writer_leaves_whole_objects_and_leftovers_that_can_be_told(store: Store) -> None:
    code = """
        import os, sys
        from archiver.store import open_store
        store = open_store(sys.argv[1])
        print("ready", flush=True)
        for number in range(10**9):
            store.put(f"n/{number % 50}", bytes([number % 256]) * 200_000)
            with store.write(f"w/{number % 50}") as stream:
                for _ in range(10):
                    stream.write(bytes([number % 256]) * 200_000)
    """
    for pause in (0.05, 0.1, 0.2, 0.3):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), store.url], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    sizes = {"n": 200_000, "w": 2_000_000}
    entries = list(store.list())
    assert entries
    for entry in entries:
        data = store.get(entry.key)
        assert entry.size == len(data) == sizes[entry.key[0]]
        assert data == data[:1] * len(data)
    left = list(store.leftovers())
    assert {TEMPORARY in entry.key for entry in left} <= {True}
    assert store.delete(entry.key for entry in left) == {}
    assert files(Path(store.url)) == [entry.key for entry in store.list()]


def test_leftovers_are_not_objects(store: Store, tmp_path: Path) -> None:
    store.put("runs/a", b"x")
    (tmp_path / "archive" / "runs" / f"{TEMPORARY}0123").write_bytes(b"half")
    assert [entry.key for entry in store.list()] == ["runs/a"]
    assert [(entry.key, entry.size) for entry in store.leftovers()] == [(f"runs/{TEMPORARY}0123", 4)]


def test_emptied_folders_go_and_come_back(store: Store, tmp_path: Path) -> None:
    store.put("tier2/u/run/detail", b"x")
    store.put("tier2/u/other", b"x")
    assert store.delete(["tier2/u/run/detail"]) == {}
    assert not (tmp_path / "archive/tier2/u/run").exists()
    assert store.delete(["tier2/u/other"]) == {}
    assert list((tmp_path / "archive").iterdir()) == []
    store.put("tier2/u/run/detail", b"x")
    assert store.get("tier2/u/run/detail") == b"x"


def test_a_folder_that_someone_removed_is_made_again(store: Store, tmp_path: Path) -> None:
    store.put("runs/a", b"x")
    (tmp_path / "archive/runs/a").unlink()
    (tmp_path / "archive/runs").rmdir()
    store.put("runs/b", b"x")
    assert files(tmp_path / "archive") == ["runs/b"]


# -- disks that fill, refuse, vanish -------------------------------------------------------------------------


def test_a_disk_that_fills_leaves_nothing_behind(store: Store) -> None:
    # A limit on the size of files is met the way a full disk is: a short write, then an error.
    code = """
        import resource, sys
        from archiver.errors import StorageFullError
        from archiver.store import open_store
        store = open_store(sys.argv[1])
        store.put("d/a", b"before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            store.put("d/a", b"x" * 200_000)
        except StorageFullError as error:
            print(error)
        try:
            with store.write("d/b") as stream:
                for _ in range(100):
                    stream.write(b"x" * 100_000)
        except StorageFullError as error:
            print(error)
        assert store.get("d/a") == b"before"
    """
    done = run(code, store.url)
    assert done.returncode == 0, done.stderr
    assert [line.split(" in ")[0] for line in done.stdout.splitlines()] == [
        "cannot write d/a",
        "cannot write d/b",
    ]
    assert "free some space" in done.stdout
    assert files(Path(store.url)) == ["d/a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["file", "folder"])
def test_a_sync_that_fails_is_a_put_that_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    store.put("d/a", b"before")

    def sync(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().is_dir() is (call == "folder"):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable, "_sync", sync)
    with pytest.raises(StorageFullError, match="free some space"):
        store.put("d/a", b"after")
    with pytest.raises(StorageFullError), store.write("d/b") as stream:
        stream.write(b"x")
    assert files(Path(store.url)) == (["d/a"] if call == "file" else ["d/a", "d/b"])
    assert store.get("d/a") == (b"before" if call == "file" else b"after")
    assert list(store.leftovers()) == []


def test_a_real_full_disk(tmp_path: Path) -> None:
    code = f"""
        import sys, subprocess
        sys.path[:0] = {sys.path!r}
        from archiver.errors import StorageFullError
        from archiver.store import open_store
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", sys.argv[1]], check=True)
        store = open_store(sys.argv[1] + "/archive")
        store.put("a", b"x" * 500_000)
        for attempt in range(3):
            try:
                store.put("b", b"x" * 700_000)
            except StorageFullError as error:
                print("full")
        assert [entry.key for entry in store.list()] == ["a"], list(store.list())
        assert list(store.leftovers()) == []
        store.put("c", b"x" * 400_000)
    """
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["full"] * 3


def test_a_folder_that_refuses_is_an_access_error(plain_folder: Path) -> None:
    store = open_store(str(plain_folder / "archive"))
    folder = plain_folder / "archive" / "d"
    store.put("d/a", b"x")
    folder.chmod(0o500)
    with pytest.raises(AccessError, match="check the permissions"):
        store.put("d/b", b"x")
    assert isinstance(store.delete(["d/a"])["d/a"], AccessError)
    folder.chmod(0)
    with pytest.raises(AccessError):
        list(store.list())
    with pytest.raises(AccessError):
        store.get("d/a")
    with pytest.raises(AccessError):
        store.stat("d/a")
    folder.chmod(0o700)
    assert [entry.key for entry in store.list()] == ["d/a"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_read_is_never_empty(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.put("a/x", b"")
    store.put("d/a", b"")
    real = os.scandir

    def scandir(fd: int) -> object:
        if Path(f"/proc/self/fd/{fd}").readlink().name == "d":
            raise OSError(number, os.strerror(number))
        return real(fd)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(StorageError, match="cannot list d/"):
        list(store.list())
    assert [entry.key for entry in store.list("a/")] == ["a/x"]


def test_an_archive_that_vanishes_is_never_empty(store: Store, tmp_path: Path) -> None:
    assert list(store.list()) == []
    store.put("a", b"x")
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is gone"):
        list(store.list())
    for act in (
        lambda: list(store.list("runs/")),
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.open("a"),
        lambda: store.put("b", b"x"),
        lambda: store.write("b").__enter__(),
        lambda: store.delete(["a"]),
        store.now,
    ):
        with pytest.raises(StorageError, match="is gone"):
            act()
    assert not (tmp_path / "archive").exists(), "it is not made anew"
    (tmp_path / "elsewhere").rename(tmp_path / "archive")
    assert [entry.key for entry in store.list()] == ["a"]


def test_a_disk_that_was_unmounted_is_never_empty(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("a", b"x")
    assert len(list(store.list())) == 1
    monkeypatch.setattr(store, "_folder", Elsewhere(store.url))
    for act in (
        lambda: list(store.list()),
        lambda: store.get("absent"),
        lambda: store.stat("absent"),
        lambda: store.put("b", b"x"),
        lambda: store.delete(["a"]),
        store.now,
    ):
        with pytest.raises(StorageError, match="another disk"):
            act()
    assert files(Path(store.url)) == ["a"]


class Elsewhere(Folder):
    """A folder that was on another disk when it was first seen."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.device = -1


def test_the_archive_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = open_store(str(tmp_path / "link"))
    store.put("a", b"x")
    assert [entry.key for entry in store.list()] == ["a"]
    assert store.url == str(tmp_path / "link")


def test_what_is_no_file_is_no_object(store: Store, tmp_path: Path) -> None:
    store.put("d/a", b"x")
    os.mkfifo(tmp_path / "archive" / "pipe")
    assert [entry.key for entry in store.list()] == ["d/a"]
    for key in ("d", "d/a/b"):
        with pytest.raises(NotFoundError):
            store.get(key)
        assert store.stat(key) is None
    with pytest.raises(StorageError, match="cannot write d/a/b"):
        store.put("d/a/b", b"x")
    assert isinstance(store.delete(["d"])["d"], StorageError)
    assert store.get("d/a") == b"x"


def test_a_name_too_long_for_the_disk_is_said_to_be(store: Store) -> None:
    with pytest.raises(StorageError, match="too long"):
        store.put("x" * 300, b"")


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "archive"))
    assert list(store.list()) == []
    assert store.stat("a") is None
    assert store.delete(["a"]) == {}
    with pytest.raises(NotFoundError):
        store.get("a")
    assert list(tmp_path.iterdir()) == []


def test_a_local_store_needs_no_fsspec(tmp_path: Path) -> None:
    code = """
        import sys
        from archiver.store import open_store
        store = open_store(sys.argv[1])
        store.put("a", b"x")
        assert store.get("a") == b"x" and len(list(store.list())) == 1
        print([name for name in ("fsspec", "s3fs", "botocore", "pyarrow", "pydantic") if name in sys.modules])
    """
    done = run(code, str(tmp_path / "archive"))
    assert done.stdout.strip() == "[]", done.stderr


def test_a_root_that_went_is_gone_for_every_verb(tmp_path: Path) -> None:
    root = tmp_path / "root"
    once = open_store(root)
    once.put("a/b", b"x")
    opened = open_store(root)  # nothing was asked of it yet
    used = open_store(root)
    assert used.get("a/b") == b"x"
    sent = pickle.loads(pickle.dumps(used))
    shutil.move(root, tmp_path / "away")

    def write(store: Store) -> None:
        with store.write("a/c") as stream:
            stream.write(b"x")

    verbs: list[Callable[[Store], object]] = [
        lambda store: store.get("a/b"),
        lambda store: store.open("a/b"),
        lambda store: store.stat("a/b"),
        lambda store: list(store.list()),
        lambda store: list(store.list("a/")),
        lambda store: list(store.leftovers()),
        lambda store: store.put("a/b", b"x"),
        lambda store: store.put("new", b"x", create=True),
        write,
        lambda store: store.delete(["a/b"]),
        lambda store: store.now(),
    ]
    for verb in verbs:
        for store in (once, opened, used, sent, pickle.loads(pickle.dumps(opened))):
            with pytest.raises(StorageError, match="was there and is gone"):
                verb(store)
            assert not root.exists()
    new = open_store(root)
    new.put("a/b", b"y")
    assert new.get("a/b") == b"y"


def test_a_root_that_was_never_there_is_made_by_the_first_write_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "not" / "yet")
    assert list(store.list()) == []
    assert store.stat("a") is None
    assert store.delete(["a"]) == {}
    assert not (tmp_path / "not").exists()
    store.put("a", b"x")
    shutil.rmtree(tmp_path / "not")
    with pytest.raises(StorageError, match="was there and is gone"):
        store.put("a", b"x")
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("create", [False, True])
def test_a_write_whose_unfinished_file_is_taken_away_is_made_again(
    create: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a gc without any grace, say, that takes it for what a dead writer left."""
    store = open_store(tmp_path / "root")
    taken: list[object] = []
    sync = durable.sync

    def snatch(fd: int) -> None:
        sync(fd)
        if len(taken) < 3:
            taken.append([store.delete([entry.key]) for entry in store.leftovers()])

    monkeypatch.setattr(local, "sync", snatch)
    store.put("a/b", b"x", create=create)
    assert len(taken) == 3
    assert store.get("a/b") == b"x"
    assert list(store.leftovers()) == []
