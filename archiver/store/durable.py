"""Writing files so that they are there, whole, after the power went: the system calls, and nothing above them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

READ = os.O_RDONLY | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


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


sync = _sync_function()


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


def link_new(temporary: str, path: str) -> None:
    """Name the file, only if the name is free; FileExistsError otherwise."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links (FAT, some network mounts): look, then rename.
        if os.path.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.replace(temporary, path)
    else:
        os.unlink(temporary)


def remove(path: str) -> None:
    """Remove a file if it is there, whatever else goes wrong."""
    with suppress(OSError):
        os.unlink(path)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, READ | os.O_DIRECTORY)
    try:
        sync(fd)
    finally:
        os.close(fd)
