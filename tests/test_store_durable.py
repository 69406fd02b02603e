"""What is written stays, in the order that keeps it through a loss of power, also where calls are missing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.errors import ConfigError, StorageError
from archiver.store import Store, durable, open_store
from archiver.store.contract import TEMPORARY
from tests.test_store_local import files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "archive"))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record in which order files and folders are synced and named; the real calls are made."""
    seen: list[tuple[str, str]] = []

    def name_of(fd: int) -> str:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        return "temporary" if name.startswith(TEMPORARY) else name

    def sync(fd: int) -> None:
        seen.append(("sync", name_of(fd)))
        os.fsync(fd)

    def named(kind: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(source: str, target: str, **folders: int | None) -> None:
            seen.append((kind, Path(target).name))
            real(source, target, **folders)

        return call

    monkeypatch.setattr(durable, "_sync", sync)
    monkeypatch.setattr(os, "replace", named("name", os.replace))
    monkeypatch.setattr(os, "link", named("name", os.link))
    return seen


@pytest.mark.parametrize("create", [False, True])
def test_a_put_syncs_the_file_names_it_and_syncs_the_folder(
    store: Store, events: list[tuple[str, str]], create: bool
) -> None:
    store.put("runs/a", b"x", create=create)
    # The folders are new: each is durable once the folder above it is synced.
    assert events == [("sync", Path(store.url).parent.name), ("sync", "archive"), *_PUT]
    events.clear()
    store.put("runs/a" if not create else "runs/b", b"y", create=create)
    assert [(kind, name.replace("b", "a")) for kind, name in events] == _PUT


_PUT = [("sync", "temporary"), ("name", "a"), ("sync", "runs")]


def test_a_stream_is_synced_before_it_is_named(store: Store, events: list[tuple[str, str]]) -> None:
    store.put("runs/b", b"")
    events.clear()
    with store.write("runs/a") as stream:
        stream.write(b"x" * 10_000_000)
        assert events == []
    assert events == _PUT


# -- what a file system does not offer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "ENOTTY", "EBADF", "EISDIR", "EPERM"]
)
@pytest.mark.parametrize("call", ["file", "folder"])
def test_a_sync_that_is_not_offered_is_done_without(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str, name: str
) -> None:
    def refuse(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().is_dir() is (call == "folder"):
            raise OSError(getattr(errno, name), name)

    monkeypatch.setattr(durable, "_sync", refuse)
    if call == "file" and name in ("EBADF", "EISDIR", "EPERM"):
        with pytest.raises(StorageError):
            store.put("d/a", b"x")
        return
    store.put("d/a", b"x")
    store.put("d/a", b"y", create=False)
    store.put("d/b", b"x", create=True)
    with store.write("e/c") as stream:
        stream.write(b"x")
    assert files(Path(store.url)) == ["d/a", "d/b", "e/c"]
    assert store.delete(["e/c"]) == {}
    assert store.now() is not None
    (said,) = store.undurable()
    assert said.startswith(f"{call}s cannot be synced")


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT", "EROFS"])
@pytest.mark.parametrize("call", ["file", "folder", "link"])
def test_a_disk_that_failed_is_no_disk_that_does_not_offer(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str, name: str
) -> None:
    store.put("d/a", b"x")
    error = OSError(getattr(errno, name), name)

    def refuse(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().is_dir() is (call == "folder"):
            raise error

    def link(source: str, target: str, **folders: int | None) -> None:
        raise error

    monkeypatch.setattr(durable, "_sync", refuse if call != "link" else os.fsync)
    if call == "link":
        monkeypatch.setattr(os, "link", link)
    with pytest.raises(StorageError, match="cannot write d/b"):
        store.put("d/b", b"x", create=True)
    with pytest.raises(StorageError):
        store.undurable()


def test_a_folder_that_may_not_be_listed_can_be_written_to(plain_folder: Path) -> None:
    store = open_store(str(plain_folder / "archive"))
    store.put("d/e/a", b"x")
    for name in ("archive", "archive/d", "archive/d/e"):
        (plain_folder / name).chmod(0o300)
    store.put("d/e/b", b"x")
    again = open_store(str(plain_folder / "archive"))
    again.put("d/e/c", b"x", create=True)
    again.put("d/f/c", b"x")
    assert again.get("d/e/c") == b"x"
    assert "folders cannot be synced" in again.undurable()[0]
    for name in ("archive", "archive/d", "archive/d/e"):
        (plain_folder / name).chmod(0o700)


def test_an_ordinary_disk_lacks_nothing(store: Store) -> None:
    assert list(store.undurable()) == []
    assert files(Path(store.url)) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EXDEV])
def test_a_disk_without_hard_links_creates_too(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(source: str, target: str, **folders: int | None) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", link)
    store.put("a", b"mine", create=True)
    store.put("a", b"mine", create=True)
    with pytest.raises(ConfigError, match="other content"):
        store.put("a", b"other", create=True)
    assert files(Path(store.url)) == ["a"]
    (said,) = store.undurable()
    assert "no hard links" in said
    assert files(Path(store.url)) == ["a"]
