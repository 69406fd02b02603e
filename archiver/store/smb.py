"""SMB, without what fsspec's client makes of it: a rename replaces, a listing is one question, what is absent is said to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from stat import S_ISDIR
from typing import Any

import smbclient
from fsspec.implementations.smb import SMBFileSystem
from smbprotocol.exceptions import SMBOSError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ExactSmb(SMBFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The same session, with the calls that do what others' do."""

    def mv(self, path1: str, path2: str, **_how: Any) -> None:
        """Give a file another name, also one that is taken, as everywhere else."""
        with _as_the_system_says():
            smbclient.replace(self._named(path1), self._named(path2), port=self._port)

    def ls(self, path: str, detail: bool = True, **_how: Any) -> list[Any]:
        """List a folder."""
        with _as_the_system_says():
            inside = list(smbclient.scandir(self._named(path), port=self._port))
        found = [
            {
                "name": f"{path.rstrip('/')}/{entry.name}",
                "type": _kind(entry),
                "size": entry.smb_info.end_of_file,
                "mtime": entry.smb_info.last_write_time,
            }
            for entry in inside
        ]
        return found if detail else sorted(one["name"] for one in found)

    def info(self, path: str, **_how: Any) -> dict[str, Any]:
        """Tell of one file or folder."""
        with _as_the_system_says():
            found = smbclient.stat(self._named(path), port=self._port)
        kind = "directory" if S_ISDIR(found.st_mode) else "file"
        # Exactly the moment that a listing tells, which a number of seconds is not.
        modified = _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
        return {"name": path, "type": kind, "size": found.st_size, "mtime": modified}

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        with _as_the_system_says():
            smbclient.remove(self._named(path), port=self._port)

    def _open(self, path: str, mode: str = "rb", **how: Any) -> Any:
        # Else nobody else may open it meanwhile, nor a call of ours that comes after one that was given up.
        how.setdefault("share_access", self.share_access or "rwd")
        with _as_the_system_says():
            return super()._open(path, mode, **how)

    def _named(self, path: str) -> str:
        return f"\\\\{self.host}" + path.replace("/", "\\")


def _kind(entry: Any) -> str:
    if entry.is_symlink():
        return "link"
    return "directory" if entry.is_dir() else "file"


@contextmanager
def _as_the_system_says() -> Iterator[None]:
    """Raise FileNotFoundError and its like for errors of smbprotocol, which have a class of their own."""
    try:
        yield
    except SMBOSError as error:
        if not error.errno:
            raise
        raise OSError(error.errno, os.strerror(error.errno)) from error
