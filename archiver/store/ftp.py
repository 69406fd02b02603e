"""FTP, without what fsspec's client makes of its errors: a failed listing is not empty, a failed read not absent."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from ftplib import error_perm
from typing import Any

from fsspec.implementations.ftp import FTPFileSystem

_BLOCK = 1 << 16
_REST = 1 << 20
"""Bytes that are read and thrown away rather than to begin a new connection."""
_UNKNOWN = ("500", "502", "504")


class ExactFtp(FTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The same connection, read by MLSD and MLST, which tell sizes and times exactly."""

    def ls(self, path: str, detail: bool = True, **_how: Any) -> list[Any]:
        """List a folder. Raises what the server says, unlike the client this one is made of."""
        path = self._strip_protocol(path)
        try:
            found = list(self.ftp.mlsd(path))
        except error_perm as error:
            # Servers do not agree on a number that says that there is none: MLST does, or tells that there is.
            if self.info(path)["type"] != "directory":
                raise FileNotFoundError(errno.ENOENT, "is no folder", path) from None
            raise refused(str(error)) from error
        entries = [
            _entry(f"{path.rstrip('/')}/{name.rpartition('/')[2]}", facts)
            for name, facts in found
            if name not in (".", "..") and facts.get("type") not in ("cdir", "pdir")
        ]
        return entries if detail else sorted(entry["name"] for entry in entries)

    def info(self, path: str, **_how: Any) -> dict[str, Any]:
        """Tell of one file or folder, without a listing of what is beside it."""
        path = self._strip_protocol(path)
        try:
            answer = self.ftp.sendcmd(f"MLST {path}")
        except error_perm as error:
            raise refused(str(error)) from error
        line = next((line for line in answer.splitlines() if "=" in line and ";" in line), "")
        facts = dict(
            fact.lower().split("=", 1) for fact in line.strip().partition(" ")[0].split(";") if "=" in fact
        )
        return _entry(path, facts)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_how: Any) -> bytes:
        """Read a file or a part of it, which ends where the file ends."""
        path = self._strip_protocol(path)
        info = self.info(path)
        if info["type"] == "directory":
            raise FileNotFoundError(errno.ENOENT, "is a folder", path)
        begin, size = start or 0, info["size"]
        stop = size if end is None else min(end, size)
        if begin >= stop:
            return b""
        try:
            self.ftp.voidcmd("TYPE I")
            data = self.ftp.transfercmd(f"RETR {path}", rest=begin or None)
        except error_perm as error:
            raise refused(str(error)) from error
        left = stop - begin + (size - stop if size - stop <= _REST else 0)
        parts = []
        with data:
            while left and (block := data.recv(min(_BLOCK, left))):
                parts.append(block)
                left -= len(block)
        if left:
            raise ConnectionError("the connection ended before the file did")
        if size - stop <= _REST:
            self.ftp.voidresp()
        else:
            self._connect()  # what the server still sends of this file would be taken for its next answer
        return b"".join(parts)[: stop - begin]


def _entry(path: str, facts: dict[str, str]) -> dict[str, Any]:
    kind = facts.get("type", "").lower()
    entry = {
        "name": path,
        "size": int(facts.get("size", facts.get("sizd", 0))),
        "type": {"dir": "directory", "cdir": "directory", "pdir": "directory", "file": "file"}.get(
            kind, "link"
        ),
    }
    if "modify" in facts:
        entry["mtime"] = datetime.strptime(facts["modify"][:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return entry


def refused(text: str) -> OSError:
    """Return the error of the system that an answer of the server means, one that begins with 5 or is so final."""
    if text[:3] in ("452", "552"):
        return OSError(errno.ENOSPC, text)
    if text[:3] == "550" and not any(word in text.lower() for word in ("denied", "permitted", "permission")):
        return FileNotFoundError(errno.ENOENT, text)
    if text[:3] in ("550", "530", "532", "553"):
        return PermissionError(errno.EACCES, text)
    if text[:3] in _UNKNOWN:
        return OSError(
            errno.ENOSYS, f"{text}: archiver needs MLSD and MLST, which tell sizes and times exactly"
        )
    return OSError(errno.EIO, text)
