"""Deletion: the one place where records and data of an archive are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.errors import (
    ConfigError,
    StorageError,
)
from archiver.format import layout
from archiver.store import Store

_REMOVABLE = frozenset(layout.AREAS) - {layout.BUNDLES, layout.QUARANTINE}


def remove(store: Store, keys: Sequence[str], *, leftovers: bool = False) -> dict[str, StorageError]:
    """Delete objects: the one place where records and data of an archive are deleted. Return what failed, and why.

    leftovers: the keys are those of `Store.leftovers`. Raises ConfigError for a key that is no record, data, tag or
    catalog: whatever else lies in the archive is not ours to delete.
    """
    for key in keys:
        known = layout.parse(key)
        if not leftovers and (known is None or known.area not in _REMOVABLE):
            raise ConfigError(f"{key} is not the archive's to delete")
    return store.delete(keys)
