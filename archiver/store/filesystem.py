"""A filesystem of fsspec as the store calls it: in time, by as many threads as it bears, anew when it broke."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

from archiver.store.lanes import Lanes

T = TypeVar("T")

_ANSWERS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What a server says while the connection is well."""
# By name, because these classes belong to libraries that are loaded only when a store uses them.
_BROKEN = {"SSHException", "ChannelException", "error_temp", "error_proto", "error_reply", "EOFError"}
_memory = threading.RLock()
"""The filesystem in memory is one dict, which can't be listed while another thread adds to it."""
_REFUSED = {"AuthenticationException", "BadHostKeyException", "PermissionDenied", "LogonFailure"}


class Filesystem:
    """A filesystem, and how to open it again.

    `fs` writes and lists; `reader` reads, perhaps through a cache that a chained URL puts before it.
    """

    def __init__(self, connect: Callable[[], tuple[Any, str]], seconds: float) -> None:
        """Open it. connect: returns the filesystem and the path of the root in it; seconds: that this may take."""
        self._connect = connect
        self._lanes = Lanes()
        self._turn = threading.Lock()
        self._broken = False
        self._process = os.getpid()
        self.root = self._open(seconds)
        self.alone = not _bears_threads(self.fs)
        self._instant, self._in_memory = _is_instant(self.fs), _is_memory(self.fs)

    def _open(self, seconds: float) -> str:
        try:
            self.reader, root = self._lanes.run(self._connect, seconds)
        except Exception as error:
            meant = _meant(error)
            if meant is error:
                raise
            raise meant from error
        self.cached = _is_cache(self.reader)
        self.fs = self.reader.fs if self.cached else self.reader
        _make_exact(self.fs)
        _send_at_once(self.fs)
        for fs in (self.reader, self.fs):
            if (listings := getattr(fs, "dircache", None)) is not None:
                listings.use_listings_cache = False
        return root

    def call(self, work: Callable[[], T], seconds: float) -> T:
        """Do what uses `fs` or `reader`. Raises TimeoutError when it takes longer, else what the filesystem raises."""
        if self._instant:
            with _memory if self._in_memory else nullcontext():
                return work()
        if not self.alone:
            return self._lanes.run(work, seconds)
        began = time.monotonic()
        if not self._turn.acquire(timeout=seconds):
            raise TimeoutError("other calls are still waiting for an answer")
        try:
            return self._call_alone(work, max(seconds - (time.monotonic() - began), 1.0))
        finally:
            self._turn.release()

    def _call_alone(self, work: Callable[[], T], seconds: float) -> T:
        if self._broken or self._process != os.getpid():
            self._open(seconds)
            self._broken, self._process = False, os.getpid()
        try:
            return self._lanes.run(work, seconds)
        except _ANSWERS as error:
            if error.__cause__ is None:
                raise
            # ftplib's every error becomes "not found" in fsspec.
            meant = _meant(error.__cause__)
            if meant is error.__cause__ or isinstance(meant, FileNotFoundError):
                raise
            self._broken = not isinstance(meant, _ANSWERS)
            raise meant from error
        except BaseException as error:
            # What a call in the middle of an exchange leaves behind, the next one would take for its answer.
            meant = _meant(error)
            self._broken = not isinstance(meant, _ANSWERS)
            if meant is error:
                raise
            raise meant from error


def _meant(error: BaseException) -> BaseException:
    """Return the error of the system that an error of a client library means."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = " ".join(str(error).split()) or type(error).__name__
    if names & _REFUSED:
        return PermissionError(errno.EACCES, text)
    if names & _BROKEN:
        return ConnectionError(text)
    if "error_perm" in names:  # of ftplib: its answers that begin with 5
        from archiver.store.ftp import refused

        return refused(text)
    return error


def _make_exact(fs: Any) -> None:
    """Give the clients of ftp and smb, which are connected already, the methods of ours; the classes of fsspec stay as they are."""
    if type(fs).__module__ == "fsspec.implementations.ftp":
        from archiver.store.ftp import ExactFtp

        fs.__class__ = ExactFtp
    elif type(fs).__module__ == "fsspec.implementations.smb":
        from archiver.store.smb import ExactSmb

        fs.__class__ = ExactSmb


def _send_at_once(fs: Any) -> None:
    """Have sftp hold nothing back: each part of a file waits for an answer, and the system for more to send with it."""
    if type(fs).__module__ == "fsspec.implementations.sftp":
        with suppress(AttributeError, OSError):  # a connection through another has no socket
            fs.client.get_transport().sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_cache(fs: Any) -> bool:
    from fsspec.implementations.cached import CachingFileSystem

    return isinstance(fs, CachingFileSystem)


def _innermost(fs: Any) -> Any:
    while (inner := getattr(fs, "fs", None)) is not None and hasattr(inner, "protocol"):
        fs = inner
    return fs


def _bears_threads(fs: Any) -> bool:
    """Tell whether many threads may call a filesystem at once; the clients of sftp, ftp and smb do not bear it."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.implementations.arrow import ArrowFSWrapper

    inner = _innermost(fs)
    return isinstance(inner, (AsyncFileSystem, ArrowFSWrapper)) or _is_instant(inner)


def _is_memory(fs: Any) -> bool:
    from fsspec.implementations.memory import MemoryFileSystem

    return isinstance(_innermost(fs), MemoryFileSystem)


def _is_instant(fs: Any) -> bool:
    """Tell whether a filesystem is in this machine, and answers or fails."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(_innermost(fs), LocalFileSystem) or _is_memory(fs)
