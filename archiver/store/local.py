"""Local folders: durable writes by plain system calls; fsspec's own are neither atomic nor synced."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat as stat_module
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError, StorageFullError
from archiver.store.contract import TEMPORARY, Store, check_key, check_prefix, taken_error
from archiver.store.durable import CREATE, READ, link_new, read_range, remove, sync, sync_folder, write_all
from archiver.store.entry import Entry

_WORKERS = 8
_CHUNK = 1 << 20
_RACES = 100
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalStore(Store):
    """A folder on a disk that this machine mounts."""

    def __init__(
        self,
        folder: Path,
        *,
        read_only: bool = False,
        executor: Executor | None = None,
        device: int | None = None,
    ) -> None:
        """Open the folder. One that was never there is made by the first write; one that was and is gone stays gone.

        device: of the disk it was on, where it was open before.
        """
        self.local = folder
        self.url = str(folder)
        self.workers = _WORKERS
        self.read_only = read_only
        self.conditional = True
        self.executor = executor
        self._root = str(folder).rstrip("/") + "/"
        self._synced: set[str] = set()
        self._device = device
        if device is None:
            with suppress(OSError, StorageError):  # whoever uses it is told
                self._root_exists()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.local, self.read_only, self._device)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        if start < 0 or (end is not None and end < 0):
            raise ConfigError(f"range {start}:{end} of {key}: offsets count from 0")
        try:
            fd = os.open(self._root + key, READ)
            try:
                found = os.fstat(fd)
                if stat_module.S_ISDIR(found.st_mode):
                    raise IsADirectoryError(errno.EISDIR, "is a folder")
                stop = found.st_size if end is None else min(end, found.st_size)
                return read_range(fd, start, stop)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._unread(error, key) from error

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        try:
            temporary, fd = self._temporary(key)
            try:
                try:
                    write_all(fd, data)
                    sync(fd)
                finally:
                    os.close(fd)
                taken = self._publish(temporary, key, create=create)
            except BaseException:
                remove(temporary)
                raise
        except OSError as error:
            raise self._error(error, "write", key) from error
        if taken and self.get(key) != data:
            raise taken_error(key, self.url)

    def open(self, key: str) -> BinaryIO:
        check_key(key)
        try:
            return open(self._root + key, "rb")
        except OSError as error:
            raise self._unread(error, key) from error

    @contextmanager
    def write(self, key: str, *, create: bool = False) -> Iterator[BinaryIO]:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        with self._translated(key):
            temporary, fd = self._temporary(key)
        sink = _Sink(fd, self, key)
        try:
            try:
                stream = io.BufferedWriter(sink, _CHUNK)
                yield stream
                stream.flush()
                with self._translated(key):
                    sync(fd)
            finally:
                sink.dead = True
                os.close(fd)
            with self._translated(key):
                taken = self._publish(temporary, key, create=create)
            if taken:
                raise taken_error(key, self.url)
        except BaseException:
            remove(temporary)
            raise

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return self._walk(prefix, leftovers=False)

    def leftovers(self) -> Iterator[Entry]:
        return self._walk("", leftovers=True)

    def stat(self, key: str) -> Entry | None:
        check_key(key)
        try:
            found = os.stat(self._root + key)
        except (FileNotFoundError, NotADirectoryError):
            self._root_exists()
            return None
        except OSError as error:
            raise self._error(error, "read", key) from error
        return None if stat_module.S_ISDIR(found.st_mode) else _entry(key, found)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        self._root_exists()
        failed: dict[str, StorageError] = {}
        touched: set[str] = set()
        for key in keys:
            check_key(key)
            try:
                os.unlink(self._root + key)
                touched.add(os.path.dirname(self._root + key))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as error:
                failed[key] = self._failure(error, "delete", key)
        self._settle(touched)
        return failed

    def now(self) -> datetime:
        self._root_exists()
        if self.read_only:
            return datetime.fromtimestamp(time.time(), UTC)
        # On a network mount the clock is the server's: a file that is being written shows it.
        with self._translated("probe"):
            temporary, fd = self._temporary("probe")
            try:
                with suppress(OSError):  # a full disk still has a clock, and whoever prunes needs it
                    write_all(fd, b"archiver")
                    sync(fd)
                return datetime.fromtimestamp(os.fstat(fd).st_mtime, UTC)
            finally:
                os.close(fd)
                remove(temporary)

    # -- writing ---------------------------------------------------------------------------------------------

    def _temporary(self, key: str) -> tuple[str, int]:
        self._root_exists()
        folder = os.path.dirname(self._root + key)
        temporary = f"{folder}/{TEMPORARY}{secrets.token_hex(8)}"
        for _ in range(_RACES):
            try:
                self._make_folder(folder)
                return temporary, os.open(temporary, CREATE, 0o666)
            except FileNotFoundError:
                # Whoever deletes the last object of a folder removes the folder, perhaps just now.
                self._synced.discard(folder)
        raise StorageError(f"{folder} vanishes whenever it is made: something else deletes there")

    def _make_folder(self, folder: str) -> None:
        """Make the folder and those above it; a new name is durable only once the folder above is synced."""
        if folder in self._synced:
            return
        if len(folder) < len(self._root) and self._device is not None:
            self._root_exists()  # never made anew
        above = os.path.dirname(folder)
        try:
            os.mkdir(folder)
        except FileExistsError:
            pass
        except FileNotFoundError:
            self._synced.discard(above)
            self._make_folder(above)
            with suppress(FileExistsError):
                os.mkdir(folder)
        # Also when another writer made it: whether that one synced is not known. One may not be allowed to
        # read it.
        with suppress(PermissionError):
            sync_folder(above)
        self._synced.add(folder)
        if len(folder) < len(self._root):
            self._root_exists()

    def _publish(self, temporary: str, key: str, *, create: bool = False) -> bool:
        """Give the finished file its name, durably. Return whether a create found the name taken."""
        path = self._root + key
        if create:
            try:
                link_new(temporary, path)
            except FileExistsError:
                remove(temporary)
                return True
        else:
            os.replace(temporary, path)
        with suppress(FileNotFoundError):  # deleted again already, and its folder with it
            sync_folder(os.path.dirname(path))
        return False

    def _settle(self, folders: Iterable[str]) -> None:
        """Remove folders that deletions emptied, up to the root, and make what remains durable."""
        remaining = set()
        for emptied in folders:
            folder = emptied
            with suppress(OSError):
                while len(folder) > len(self._root):
                    os.rmdir(folder)
                    self._synced.discard(folder)
                    folder = os.path.dirname(folder)
            remaining.add(folder)
        for folder in remaining:
            with suppress(OSError):
                sync_folder(folder)

    # -- listing ---------------------------------------------------------------------------------------------

    def _walk(self, prefix: str, *, leftovers: bool) -> Iterator[Entry]:
        """Check the root and the first folder now, and the rest while it is consumed."""
        folder, _, begin = prefix.rpartition("/")
        folder = folder and folder + "/"
        if not self._root_exists():
            return iter(())
        return self._scan(folder, begin, leftovers=leftovers)

    def _root_exists(self) -> bool:
        """Tell whether the root is there; one that vanished or was unmounted while in use is an error."""
        try:
            device = os.stat(self._root).st_dev
        except FileNotFoundError:
            if self._device is None:
                return False
            raise StorageError(
                f"{self.url} was there and is gone: check the disk, or open the archive anew"
            ) from None
        except OSError as error:
            raise self._error(error, "list", self.url) from error
        if self._device is not None and self._device != device:
            raise StorageError(
                f"{self.url} is on another disk than before: check the mount, or open the archive anew"
            )
        self._device = device
        return True

    def _scan(self, folder: str, begin: str, *, leftovers: bool) -> Iterator[Entry]:
        try:
            with os.scandir(self._root + folder) as found:
                names = sorted(
                    (e.name + "/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in found
                )
        except (FileNotFoundError, NotADirectoryError):
            # Nobody wrote below this prefix, or the last object there was deleted meanwhile; unless the disk
            # went.
            self._root_exists()
            return
        except OSError as error:
            raise self._error(error, "list", folder or self.url) from error
        for name, item in names:
            if not name.startswith(begin):
                continue
            if name.endswith("/"):
                yield from self._scan(folder + name, "", leftovers=leftovers)
            elif item.is_symlink():
                raise StorageError(
                    f"{folder}{name} in {self.url} is a symbolic link: an archive holds none, remove it"
                )
            elif name.startswith(TEMPORARY) is leftovers:
                entry = self._listed(folder + name, item)
                if entry is not None:
                    yield entry

    def _listed(self, key: str, item: os.DirEntry[str]) -> Entry | None:
        try:
            found = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error, "list", key) from error
        return _entry(key, found) if stat_module.S_ISREG(found.st_mode) else None

    # -- errors ----------------------------------------------------------------------------------------------

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(error, "write", key) from error

    def _error(self, error: OSError, action: str, key: str) -> NotFoundError | StorageError:
        if isinstance(error, _ABSENT) and action == "read":
            return NotFoundError(f"{key} is not in {self.url}")
        return self._failure(error, action, key)

    def _unread(self, error: OSError, key: str) -> NotFoundError | StorageError:
        """Return what a failed read means: what is not there may be so because the disk went."""
        if isinstance(error, FileNotFoundError):
            self._root_exists()
        return self._error(error, "read", key)

    def _failure(self, error: OSError, action: str, key: str) -> StorageError:
        reason = error.strerror or type(error).__name__
        text = (
            f"cannot {action} {key} in {self.url}: {reason}"
            if key != self.url
            else f"cannot {action} {key}: {reason}"
        )
        if error.errno in _FULL:
            return StorageFullError(f"{text}; free some space")
        if error.errno in _DENIED:
            return AccessError(f"{text}; check the permissions")
        return StorageError(text)


class _Sink(io.FileIO):
    """The raw end of `write`: its own errors are the store's, those of the code that writes are not."""

    def __init__(self, fd: int, store: LocalStore, key: str) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._store, self._key = store, key
        self.dead = False

    def write(self, data: Any) -> int:
        # Once the descriptor is closed its number may be another file's: a late flush must not reach that.
        if self.dead:
            return len(data)
        with self._store._translated(self._key):
            return super().write(data) or 0


def _reopen(folder: Path, read_only: bool, device: int | None) -> LocalStore:
    return LocalStore(folder, read_only=read_only, device=device)


def _entry(key: str, found: os.stat_result) -> Entry:
    return Entry(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
