"""The files below one folder, reached part by part: never through a link, never by what is no file.

A folder that came from elsewhere may hold links, pipes and devices. Each part of a path is opened in the folder that was
opened before it, so nothing outside can be reached, also when somebody puts a link there meanwhile. The folder itself
may be a link: whoever opens the archive named it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from archiver.store.durable import sync_folder

_ENTER = (
    os.O_DIRECTORY
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
    # A folder may be passed through by who may not list it.
    | getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
)
_SCAN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe without a writer would wait for one.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAYBE_LINK = {errno.ENOTDIR, errno.ELOOP, errno.EMLINK}
_NO_FILE = {errno.ENXIO, errno.ENODEV}


class LinkError(OSError):
    """A part of the path is a symbolic link; `filename` is the path up to it."""


class Gone(OSError):  # noqa: N818 - what happened, not an error of this module
    """The folder was there and is not any more, or another disk is in its place."""


class Folder:
    """One folder and what is below it."""

    def __init__(self, path: str, device: int | None = None) -> None:
        """Take the path, which need not exist; a folder that is there now, and goes later, is gone.

        device: of the disk that it was on, where it was open before.
        """
        self._path = path.rstrip("/") or "/"
        self._root = self._path.rstrip("/") + "/"
        self.device = device
        self._seen = device is not None
        self._synced: set[str] = set()
        if device is None:
            with suppress(OSError):  # whoever uses it is told
                self.exists()

    def exists(self) -> bool:
        """Tell whether the folder is there. Raises Gone when it was there before, or another disk is there."""
        seen = (
            self._seen
        )  # before the look: another thread may make the folder, and see it, in the middle of ours
        try:
            device = os.stat(self._root).st_dev
        except FileNotFoundError:
            if seen:
                raise Gone(errno.ENOENT, "was there and is gone: check the disk") from None
            return False
        if self.device not in (None, device):
            raise Gone(errno.EXDEV, "is on another disk than before: check the mount")
        self.device, self._seen = device, True
        return True

    # -- reading ---------------------------------------------------------------------------------------------

    def open(self, key: str) -> tuple[int, os.stat_result]:
        """Open a regular file for reading; what is none is absent."""
        with self._there():
            at, name = self._enter(key)
            try:
                fd = _open_file(name, at, key)
            finally:
                _close(at)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFoundError(errno.ENOENT, "is no file", key)
        except BaseException:
            os.close(fd)
            raise
        self._seen = True
        return fd, found

    def stat(self, key: str) -> os.stat_result:
        """Tell of a regular file what the system knows; what is none is absent."""
        with self._there():
            at, name = self._enter(key)
            try:
                found = os.stat(name, dir_fd=at, follow_symlinks=False)
            finally:
                _close(at)
        if stat.S_ISLNK(found.st_mode):
            raise LinkError(errno.ELOOP, "is a symbolic link", key)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "is no file", key)
        return found

    @contextmanager
    def scan(self, folder: str, above: int | None = None) -> Iterator[tuple[int, list[os.DirEntry[str]]]]:
        """Give a descriptor of a folder, and what is in it: folders as if their names ended in `/`, sorted.

        folder: a path that ends in `/` or is empty; above: a descriptor of the folder that it is in.
        """
        place = folder.rstrip("/")
        at: int | None
        if above is not None:
            at, name = os.dup(above), place.rpartition("/")[2]
        elif place:
            at, name = self._enter(place)
        else:
            at, name = None, self._root
        try:
            fd = os.open(name, _SCAN if place else _SCAN & ~os.O_NOFOLLOW, dir_fd=at)
        except OSError as error:
            raise _explained(error, name, at, place) from None
        finally:
            _close(at)
        try:
            with os.scandir(fd) as found:
                yield fd, sorted(found, key=listed_name)
        finally:
            os.close(fd)

    # -- writing ---------------------------------------------------------------------------------------------

    def make(self, key: str) -> tuple[int | None, str]:
        """Return what `_enter` does, after making the folders that are missing; each is durable when it returns.

        A new name is durable only once the folder above is synced. Raises Gone where the folder itself vanished.
        """
        if not self.exists() or "" not in self._synced:
            self._make_root(self._path)
            self._synced.add("")
            self.exists()
        *folders, name = key.split("/")
        at, path, place = None, self._root, ""
        try:
            for part in folders:
                place += part + "/"
                inner = self._make_folder(path + part, at, place)
                _close(at)
                at, path = inner, ""
        except BaseException:
            _close(at)
            raise
        return at, path + name

    def unlink(self, key: str) -> None:
        """Remove a name; a link is removed itself."""
        at, name = self._enter(key)
        try:
            os.unlink(name, dir_fd=at)
        finally:
            _close(at)

    def settle(self, folders: Iterable[str]) -> None:
        """Remove folders that are empty now, and those above, up to the root; make what remains durable.

        folders: paths that end in `/`, or an empty one for the root.
        """
        remaining = set()
        for emptied in folders:
            folder = emptied
            with suppress(OSError):
                while folder:
                    at, name = self._enter(folder.rstrip("/"))
                    try:
                        os.rmdir(name, dir_fd=at)
                    finally:
                        _close(at)
                    self._synced.discard(folder)
                    folder = folder.rstrip("/").rpartition("/")[0]
                    folder = folder and folder + "/"
            remaining.add(folder)
        for folder in remaining:
            with suppress(OSError):
                at, _ = self._enter(folder + "x")
                try:
                    self.sync(at)
                finally:
                    _close(at)

    def sync(self, at: int | None) -> bool:
        """Make the names in a folder durable, None: in the root. Return whether the file system does that."""
        return sync_folder(self._root) if at is None else sync_folder(".", at)

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Look, where something is absent, whether the folder itself is there: it may be so because the disk went."""
        try:
            yield
        except FileNotFoundError:
            self.exists()
            raise

    # -- the rest --------------------------------------------------------------------------------------------

    def _enter(self, key: str) -> tuple[int | None, str]:
        """Return a descriptor of the folder that a key is in, to be closed, and the name in it.

        For a name in the root it is None, and the name is a whole path: calls take the two as they are.
        """
        *folders, name = key.split("/")
        at, path = None, self._root
        for depth, part in enumerate(folders, 1):
            try:
                inner = os.open(path + part, _ENTER, dir_fd=at)
            except OSError as error:
                raise _explained(error, path + part, at, "/".join(folders[:depth])) from None
            finally:
                _close(at)
            at, path = inner, ""
        return at, path + name

    def _make_root(self, path: str) -> None:
        above = os.path.dirname(path)
        try:
            os.mkdir(path)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self._make_root(above)
            with suppress(FileExistsError):
                os.mkdir(path)
        sync_folder(above)

    def _make_folder(self, path: str, above: int | None, place: str) -> int:
        if place in self._synced:
            try:
                return os.open(path, _ENTER, dir_fd=above)
            except FileNotFoundError:
                # Whoever deletes the last object of a folder removes the folder.
                self._synced.discard(place)
        with suppress(FileExistsError):
            os.mkdir(path, dir_fd=above)
        try:
            made = os.open(path, _ENTER, dir_fd=above)
        except OSError as error:
            raise _explained(error, path, above, place.rstrip("/")) from None
        # Also when another writer made it: whether that one synced is not known.
        self.sync(above)
        self._synced.add(place)
        return made


def listed_name(item: os.DirEntry[str]) -> str:
    """Return the name that an entry is sorted by: that of a folder ends in `/`."""
    return item.name + "/" if item.is_dir(follow_symlinks=False) else item.name


def _open_file(name: str, at: int | None, key: str) -> int:
    try:
        return os.open(name, _READ, dir_fd=at)
    except OSError as error:
        if error.errno in _NO_FILE:  # a socket, a device that nobody drives
            raise FileNotFoundError(errno.ENOENT, "is no file", key) from None
        raise _explained(error, name, at, key) from None


def _explained(error: OSError, name: str, at: int | None, place: str) -> OSError:
    """Return what the error of a call that follows no links means. place: what was opened, from the root."""
    if error.errno in _MAYBE_LINK:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                return LinkError(errno.ELOOP, "is a symbolic link", place)
    return error


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)
