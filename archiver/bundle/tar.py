"""The tar around a bundle's members: one header for one name and size, so that the same runs give the same bytes."""

from __future__ import annotations

import tarfile
from datetime import datetime

from archiver.store.bundled import BLOCK

END = bytes(2 * BLOCK)
"""Two empty blocks end a tar."""
_SHORT = 100
_MOST_OCTAL = 8**11 - 1


def header(name: str, size: int, modified: datetime) -> bytes:
    """Return the header of a regular file: ustar, owned by nobody, mode 644; extended where that cannot hold it."""
    seconds = int(modified.timestamp())
    if len(name) > _SHORT or size > _MOST_OCTAL:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = size, seconds
        return info.tobuf(tarfile.PAX_FORMAT, "ascii", "strict")
    start = b"%b0000644\x000000000\x000000000\x00%011o\x00%011o\x00" % (
        name.encode("ascii").ljust(_SHORT, b"\0"),
        size,
        seconds,
    )
    rest = b" 0".ljust(102, b"\0") + b"ustar\x0000"
    # The checksum's own field counts as eight blanks; the last of them begins `rest`.
    total = sum(start) + 7 * 0x20 + sum(rest)
    return (start + b"%06o\x00" % total + rest).ljust(BLOCK, b"\0")


def padding(size: int) -> bytes:
    """Return the zeros that fill a member's last block."""
    return bytes(-size % BLOCK)
