"""Local folders: durable writes by plain system calls; fsspec's own are neither atomic nor synced."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat as stat_module
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError, StorageFullError
from archiver.store.contract import TEMPORARY, Store, check_key, check_prefix, taken_error
from archiver.store.durable import CREATE, link_new, read_range, remove, sync, write_all
from archiver.store.entry import Entry
from archiver.store.folder import Folder, Gone, LinkError, listed_name

_WORKERS = 8
_CHUNK = 1 << 20
_RACES, _SNATCHED = 100, 5
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_DEEPEST = 64
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
        self._folder = Folder(str(folder), device)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.local, self.read_only, self._folder.device)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        if start < 0 or (end is not None and end < 0):
            raise ConfigError(f"range {start}:{end} of {key}: offsets count from 0")
        try:
            fd, found = self._folder.open(key)
            try:
                stop = found.st_size if end is None else min(end, found.st_size)
                return read_range(fd, start, stop)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._error(error, "read", key) from error

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        with self._translated(key):
            taken = self._put(key, data, create=create)
        if taken and self.get(key) != data:
            raise taken_error(key, self.url)

    def _put(self, key: str, data: bytes, *, create: bool) -> bool:
        for left in reversed(range(_SNATCHED)):
            try:
                with self._temporary(key) as draft:
                    write_all(draft.fd, data)
                    sync(draft.fd)
                    return self._publish(draft, create=create)
            except FileNotFoundError:
                # A gc without any grace takes what is being written for what somebody left.
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def open(self, key: str) -> BinaryIO:
        check_key(key)
        try:
            return open(self._folder.open(key)[0], "rb")
        except OSError as error:
            raise self._error(error, "read", key) from error

    @contextmanager
    def write(self, key: str, *, create: bool = False) -> Iterator[BinaryIO]:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        with self._temporary(key) as draft:
            sink = _Sink(draft.fd, self, key)
            try:
                stream = io.BufferedWriter(sink, _CHUNK)
                yield stream
                stream.flush()
                with self._translated(key):
                    sync(draft.fd)
            finally:
                sink.dead = True
            with self._translated(key):
                taken = self._publish(draft, create=create)
            if taken:
                raise taken_error(key, self.url)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return self._walk(prefix, leftovers=False)

    def leftovers(self) -> Iterator[Entry]:
        return self._walk("", leftovers=True)

    def stat(self, key: str) -> Entry | None:
        check_key(key)
        try:
            return _entry(key, self._folder.stat(key))
        except OSError as error:
            failure = self._error(error, "read", key)
            if isinstance(failure, NotFoundError):
                return None
            raise failure from error

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        failed: dict[str, StorageError] = {}
        touched: set[str] = set()
        with self._translated("", "delete"):
            self._folder.exists()
        for key in keys:
            check_key(key)
            try:
                self._folder.unlink(key)
                touched.add(key[: key.rfind("/") + 1])
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as error:
                failed[key] = self._failure(error, "delete", key)
        self._folder.settle(touched)
        return failed

    def now(self) -> datetime:
        if self.read_only:
            return datetime.fromtimestamp(time.time(), UTC)
        # On a network mount the clock is the server's: a file that is being written shows it.
        with self._translated("probe"), self._temporary("probe") as draft:
            with suppress(OSError):  # a full disk still has a clock, and whoever prunes needs it
                write_all(draft.fd, b"archiver")
                sync(draft.fd)
            return datetime.fromtimestamp(os.fstat(draft.fd).st_mtime, UTC)

    def undurable(self) -> Sequence[str]:
        missing = []
        with self._translated("probe"), self._temporary("probe") as draft:
            write_all(draft.fd, b"archiver")
            if not sync(draft.fd):
                missing.append("files cannot be synced: what was saved last may be lost with the power")
            if not self._folder.sync(draft.at):
                missing.append("folders cannot be synced: what was saved last may be lost with the power")
            second = f"{draft.temporary}-2"
            if not link_new(draft.temporary, second, draft.at):
                missing.append(
                    "there are no hard links: of two writers that create one name at once the last wins"
                )
            remove(second, draft.at)
        return missing

    # -- writing ---------------------------------------------------------------------------------------------

    @contextmanager
    def _temporary(self, key: str) -> Iterator[_Draft]:
        """Give a file beside the one that is meant; it goes at the end, unless it has got its name by then."""
        draft = self._begin(key)
        try:
            yield draft
        finally:
            os.close(draft.fd)
            remove(draft.temporary, draft.at)
            if draft.at is not None:
                os.close(draft.at)

    def _begin(self, key: str) -> _Draft:
        with self._translated(key):
            for _ in range(_RACES):
                at = None
                with suppress(FileNotFoundError):
                    # Whoever deletes the last object of a folder removes the folder, perhaps just now.
                    at, name = self._folder.make(key)
                    temporary = f"{name[: name.rfind('/') + 1]}{TEMPORARY}{secrets.token_hex(8)}"
                    try:
                        return _Draft(at, temporary, name, os.open(temporary, CREATE, 0o666, dir_fd=at))
                    except BaseException:
                        if at is not None:
                            os.close(at)
                        raise
        folder = f"{self.url}/{key}".rpartition("/")[0]
        raise StorageError(f"{folder} vanishes whenever it is made: something else deletes there")

    def _publish(self, draft: _Draft, *, create: bool = False) -> bool:
        """Give the finished file its name, durably. Return whether a create found the name taken."""
        if create:
            try:
                link_new(draft.temporary, draft.name, draft.at)
            except FileExistsError:
                return True
        else:
            os.replace(draft.temporary, draft.name, src_dir_fd=draft.at, dst_dir_fd=draft.at)
        with suppress(FileNotFoundError):  # deleted again already, and its folder with it
            self._folder.sync(draft.at)
        return False

    # -- listing ---------------------------------------------------------------------------------------------

    def _walk(self, prefix: str, *, leftovers: bool) -> Iterator[Entry]:
        """Check the root now, and the rest while it is consumed."""
        with self._translated("", "list"):
            if not self._folder.exists():
                return iter(())
        folder, slash, begin = prefix.rpartition("/")
        return self._scan(folder + slash, begin, None, leftovers=leftovers)

    def _scan(self, folder: str, begin: str, above: int | None, *, leftovers: bool) -> Iterator[Entry]:
        if folder.count("/") > _DEEPEST:
            raise StorageError(f"{folder} in {self.url} is nested too deeply for an archive: remove it")
        try:
            with self._folder.scan(folder, above) as (fd, found):
                for item in found:
                    name = listed_name(item)
                    if not name.startswith(begin):
                        continue
                    if name.endswith("/"):
                        yield from self._scan(folder + name, "", fd, leftovers=leftovers)
                    elif item.is_symlink():
                        raise LinkError(errno.ELOOP, "is a symbolic link", folder + name)
                    elif name.startswith(TEMPORARY) is leftovers:
                        entry = _listed(folder + name, item)
                        if entry is not None:
                            yield entry
        except (FileNotFoundError, NotADirectoryError):
            # Nobody wrote below this prefix, or the last object there was deleted meanwhile; unless the disk
            # went.
            with self._translated("", "list"):
                self._folder.exists()
        except OSError as error:
            raise self._error(error, "list", folder) from error

    # -- errors ----------------------------------------------------------------------------------------------

    @contextmanager
    def _translated(self, key: str, action: str = "write") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(error, action, key) from error

    def _error(self, error: OSError, action: str, key: str) -> NotFoundError | StorageError:
        if isinstance(error, _ABSENT) and action == "read":
            try:
                self._folder.exists()
            except OSError as worse:
                return self._failure(worse, action, key)
            return NotFoundError(f"{key} is not in {self.url}")
        return self._failure(error, action, key)

    def _failure(self, error: OSError, action: str, key: str) -> StorageError:
        if isinstance(error, LinkError):
            return StorageError(
                f"{error.filename} in {self.url} is a symbolic link: an archive holds none, remove it"
            )
        if isinstance(error, Gone):
            return StorageError(f"{self.url} {error.strerror}, or open the archive anew")
        reason = error.strerror or type(error).__name__
        text = (
            f"cannot {action} {key} in {self.url}: {reason}"
            if key
            else f"cannot {action} {self.url}: {reason}"
        )
        if error.errno in _FULL:
            return StorageFullError(f"{text}; free some space")
        if error.errno in _DENIED:
            return AccessError(f"{text}; check the permissions")
        return StorageError(text)


class _Draft(NamedTuple):
    """A file that is being written: the folder's descriptor, the names in it, and its own descriptor."""

    at: int | None
    temporary: str
    name: str
    fd: int


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


def _listed(key: str, item: os.DirEntry[str]) -> Entry | None:
    try:
        found = item.stat(follow_symlinks=False)
    except FileNotFoundError:  # deleted meanwhile
        return None
    return _entry(key, found) if stat_module.S_ISREG(found.st_mode) else None


def _entry(key: str, found: os.stat_result) -> Entry:
    return Entry(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
