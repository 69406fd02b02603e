"""A folder is read and written below its root alone: never through a link, never what is no file."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import ConfigError, NotFoundError, StorageError
from archiver.store import Store, open_store
from tests.test_store_local import files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "archive"))


def everything(store: Store, key: str) -> list[Callable[[], object]]:
    """Return each way to read or write what has a key."""

    def stream() -> None:
        with store.write(key) as out:
            out.write(b"x")

    return [
        lambda: store.get(key),
        lambda: store.get(key, 1, 2),
        lambda: store.open(key),
        lambda: store.stat(key),
        lambda: store.put(key, b"x"),
        lambda: store.put(key, b"x", create=True),
        stream,
        lambda: list(store.list(f"{key}/")),
        lambda: list(store.list(key)),
    ]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Give a folder outside of the archive, with what nobody may see."""
    folder = tmp_path / "outside"
    (folder / "below").mkdir(parents=True)
    (folder / "secret").write_text("secret")
    (folder / "below" / "secret").write_text("secret")
    return folder


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("where", ["link", "runs/link", "a/b/c/link"])
def test_a_link_to_a_folder_is_never_passed(
    store: Store, tmp_path: Path, outside: Path, where: str, relative: bool
) -> None:
    store.put(f"{where}-beside", b"x")
    link = tmp_path / "archive" / where
    link.symlink_to(os.path.relpath(outside, link.parent) if relative else outside)
    before = files(outside)
    for key in (f"{where}/secret", f"{where}/below/secret", f"{where}/new/x", f"{where}/below/new"):
        for act in everything(store, key):
            with pytest.raises(
                StorageError, match=f"{where} in .* is a symbolic link: an archive holds none"
            ):
                act()
        refused = store.delete([key, f"{where}-absent"])
        assert list(refused) == [key]
        assert "symbolic link" in str(refused[key])
    with pytest.raises(StorageError, match="symbolic link"):
        list(store.leftovers())
    assert files(outside) == before
    assert sorted(path.name for path in outside.iterdir()) == ["below", "secret"]
    assert store.get(f"{where}-beside") == b"x"
    assert store.delete([where]) == {}
    assert outside.exists()
    assert [entry.key for entry in store.list()] == [f"{where}-beside"]


@pytest.mark.parametrize("where", ["link", "runs/link"])
@pytest.mark.parametrize("target", ["outside/secret", "nothing", "archive/there", "link"])
def test_a_link_to_a_file_is_no_object(
    store: Store, tmp_path: Path, outside: Path, where: str, target: str
) -> None:
    store.put("there", b"x")
    store.put(f"{where}-beside", b"x")
    link = tmp_path / "archive" / where
    link.symlink_to(tmp_path / target)
    for act in (
        lambda: store.get(where),
        lambda: store.open(where),
        lambda: store.stat(where),
        lambda: list(store.list()),
        lambda: store.put(where, b"other", create=True),
    ):
        with pytest.raises(StorageError, match=f"{where} in .* is a symbolic link"):
            act()
    store.put(where, b"mine")
    assert (outside / "secret").read_text() == "secret"
    assert (store.get("there"), store.get(where)) == (b"x", b"mine")
    assert not link.is_symlink()


def test_a_link_that_appears_while_a_listing_goes_on_is_not_passed(
    store: Store, tmp_path: Path, outside: Path
) -> None:
    for key in ("a/x", "b/x"):
        store.put(key, b"")
    listing = store.list()
    assert next(listing).key == "a/x"
    (tmp_path / "archive/b/x").unlink()
    (tmp_path / "archive/b").rmdir()
    (tmp_path / "archive/b").symlink_to(outside)
    with pytest.raises(StorageError, match=r"b in .* is a symbolic link"):
        list(listing)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
@pytest.mark.parametrize("where", ["odd", "runs/odd"])
def test_what_is_no_file_neither_blocks_nor_is_read(
    store: Store, tmp_path: Path, where: str, kind: str
) -> None:
    store.put(f"{where}-beside", b"x")
    path = tmp_path / "archive" / where
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # its name may be no longer than 107 bytes
    elif kind == "folder":
        path.mkdir()
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("devices cannot be made here")
    for act in (store.get, store.open, lambda key: store.get(key, 0, 1)):
        with pytest.raises(NotFoundError):
            act(where)
    for key in (f"{where}/x", f"{where}/x/y"):
        with pytest.raises(NotFoundError):
            store.get(key)
        assert store.stat(key) is None
        assert list(store.list(f"{key}/")) == []
    assert store.stat(where) is None
    assert [entry.key for entry in store.list()] == [f"{where}-beside"]


def test_descriptors_are_closed_whatever_happens(store: Store, tmp_path: Path, outside: Path) -> None:
    store.put("runs/a/b", b"x")
    (tmp_path / "archive/link").symlink_to(outside)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are all that counts
    for key in ("runs/a/b", "runs/a", "runs/x/y", "runs/a/b/c", "link/secret", "link", "x" * 300):
        for act in everything(store, key):
            with suppress(StorageError, NotFoundError, ConfigError):
                getattr(act(), "close", list)()
            store.delete([key])
    store.put("runs/deep/a", b"x")
    half = store.list()
    assert next(half).key == "runs/deep/a"
    half.close()  # type: ignore[attr-defined]
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - the same


def test_folders_without_end_end(store: Store, tmp_path: Path) -> None:
    store.put("a/x", b"")
    deep = tmp_path / "archive/b"
    (deep / "/".join(["d"] * 200)).mkdir(parents=True)
    with pytest.raises(StorageError, match="nested too deeply"):
        list(store.list())
    assert [entry.key for entry in store.list("a")] == ["a/x"]


def test_a_folder_that_another_thread_makes_meanwhile_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "new" / "archive")
    look, met = os.stat, []

    def slow(path: Any, *args: Any, **how: Any) -> os.stat_result:
        try:
            return look(path, *args, **how)
        except FileNotFoundError:
            if (
                not met
            ):  # between the look and what follows from it another thread makes the folder, and sees it
                met.append(path)
                store.put("d/other", b"x")
            raise

    monkeypatch.setattr(os, "stat", slow)
    store.put("d/own", b"x")
    assert met
    assert [entry.key for entry in store.list()] == ["d/other", "d/own"]
