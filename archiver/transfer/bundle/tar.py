"""The tar around a bundle's members: one header for one name and size, so that the same runs give the same bytes."""

from __future__ import annotations

import tarfile
from datetime import datetime

from archiver.store.bundled import BLOCK

END = bytes(2 * BLOCK)
"""Two empty blocks end a tar."""
_SHORT = 100
_MOST_OCTAL = 8**11 - 1
_OWNER = b"0000644\x000000000\x000000000\x00"
_REST = b" 0".ljust(102, b"\0") + b"ustar\x0000"
_SUM_OF_REST = sum(_REST) + 7 * 0x20
"""The checksum's own field counts as eight blanks; the last of them begins the rest."""


def header(name: str, size: int, modified: datetime) -> bytes:
    """Return the header of a regular file: ustar, owned by nobody, mode 644; extended where that cannot hold it."""
    if _is_extended(name, size):
        info = tarfile.TarInfo(name)
        info.size, info.mtime = size, int(modified.timestamp())
        return info.tobuf(tarfile.PAX_FORMAT, "ascii", "strict")
    start = (
        name.encode("ascii").ljust(_SHORT, b"\0")
        + _OWNER
        + b"%011o\x00%011o\x00" % (size, int(modified.timestamp()))
    )
    return (start + b"%06o\x00" % (sum(start) + _SUM_OF_REST) + _REST).ljust(BLOCK, b"\0")


def header_size(name: str, size: int, modified: datetime) -> int:
    """Return the number of bytes of a header."""
    return len(header(name, size, modified)) if _is_extended(name, size) else BLOCK


def _is_extended(name: str, size: int) -> bool:
    return len(name) > _SHORT or size > _MOST_OCTAL


def padding(size: int) -> bytes:
    """Return the zeros that fill a member's last block."""
    return bytes(-size % BLOCK)
