"""Writing files so that they are there, whole, after the power went: the system calls, and nothing above them.

Not every file system offers every call. What only makes a write more durable is done where it is offered; that a disk
failed or is full is never taken for "not offered". `doctor` tells what is missing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}
# Folders are refused in more ways: SMB and DrvFs say EINVAL, others that it is a folder or no file to write.
_NO_FOLDERS = _NOT_OFFERED | {errno.EBADF, errno.EISDIR, errno.EACCES, errno.EPERM}
_NO_LINKS = _NOT_OFFERED | {errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV}


def _sync_function() -> Callable[[int], None]:
    try:
        from fcntl import F_FULLFSYNC, fcntl  # type: ignore[attr-defined, unused-ignore]  # of macOS alone
    except ImportError:
        return os.fsync

    def full(fd: int) -> None:
        # macOS: fsync alone leaves the bytes in the drive's cache.
        try:
            fcntl(fd, F_FULLFSYNC)
        except OSError:
            os.fsync(fd)

    return full


_sync = _sync_function()


def sync(fd: int) -> bool:
    """Make a file's bytes durable. Return whether its file system does that."""
    try:
        _sync(fd)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return True


def read_range(fd: int, start: int, stop: int) -> bytes:
    """Read to the end of the range; one system call where the kernel gives all at once."""
    if stop <= start:
        return b""
    data = os.pread(fd, stop - start, start)
    if len(data) == stop - start:
        return data
    parts = [data]
    at = start + len(data)
    while parts[-1] and at < stop:
        parts.append(os.pread(fd, stop - at, at))
        at += len(parts[-1])
    return b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    """Write everything; a system call may take less than it is given."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def link_new(temporary: str, name: str, at: int | None = None) -> bool:
    """Name the file, only if the name is free; FileExistsError otherwise.

    at: a descriptor of the folder that both names are in, None where they are whole paths. Return whether the file
    system has hard links: without them nothing keeps another writer from taking the name just then.
    """
    try:
        os.link(temporary, name, src_dir_fd=at, dst_dir_fd=at)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links (FAT, some network mounts): look, then rename.
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=at, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        os.replace(temporary, name, src_dir_fd=at, dst_dir_fd=at)
        return False
    os.unlink(temporary, dir_fd=at)
    return True


def remove(path: str, at: int | None = None) -> None:
    """Remove a file if it is there, whatever else goes wrong."""
    with suppress(OSError):
        os.unlink(path, dir_fd=at)


def sync_folder(folder: str, at: int | None = None) -> bool:
    """Make the names in a folder durable. Return whether its file system does that, for this user.

    at: a descriptor of the folder that the path is relative to.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
        try:
            _sync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
        return False
    return True
