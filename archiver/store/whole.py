"""One object from one store to another, as it is, in bounded memory."""

from __future__ import annotations

from shutil import copyfileobj

from archiver.errors import NotFoundError
from archiver.store.contract import Store

_PIECE = 8 << 20


def copy_missing(source: Store, target: Store, key: str) -> int:
    """Copy an object that the target lacks; return its bytes, 0 where nothing was to be copied.

    Raises NotFoundError where neither has it.
    """
    if target.stat(key) is not None:
        return 0
    found = source.stat(key)
    if found is None:
        raise NotFoundError(f"{key} is neither in {source.url} nor in {target.url}")
    with source.open(key) as data, target.write(key) as out:
        copyfileobj(data, out, _PIECE)
    return found.size
