"""One object from one store to another, as it is, in bounded memory."""

from __future__ import annotations

from shutil import copyfileobj

from archiver.store.contract import Store

_PIECE = 8 << 20


def copy_missing(source: Store, target: Store, key: str) -> int:
    """Copy an object that the target lacks; return its bytes, 0 where nothing was to be copied."""
    found = source.stat(key)
    if found is None or target.stat(key) is not None:
        return 0
    with source.open(key) as data, target.write(key) as out:
        copyfileobj(data, out, _PIECE)
    return found.size
