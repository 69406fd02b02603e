"""Storage classes for whoever holds a store of any kind: names, which are frozen, warmth and thaw; refused where it is no S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.errors import AccessError, ConfigError, NotFoundError
from archiver.store.s3.classes import CLASSES, FROZEN, StorageClasses, Warmth

if TYPE_CHECKING:
    from archiver.store.contract import Store

__all__ = [
    "CLASSES",
    "DETAIL_CLASS",
    "FROZEN",
    "Warmth",
    "change_class",
    "detail_class",
    "is_frozen",
    "keep_in_class",
    "known_class",
    "of_class",
    "thaw",
    "warmth",
]


DETAIL_CLASS = "detail_storage_class"
"""The storage option that names the class of details alone."""


def known_class(storage_class: str) -> str:
    """Return the name of a class as S3 writes it. Raises ConfigError for an unknown one."""
    name = storage_class.upper().replace("-", "_")
    if name not in CLASSES:
        raise ConfigError(f"storage class {storage_class!r} is not known: use one of {', '.join(CLASSES)}")
    return name


def is_frozen(storage_class: str) -> bool:
    """Tell whether nobody can read an object of a class at once. Raises ConfigError for an unknown class."""
    return known_class(storage_class) in FROZEN


def detail_class(given: Any) -> str | None:
    """Return the class that the option `detail_storage_class` names. Raises ConfigError for one that cannot be read at once."""
    if given is None:
        return None
    name = known_class(str(given))
    if name in FROZEN:
        raise ConfigError(
            f"{DETAIL_CLASS} is {name}, whose objects nobody can read at once: bundle runs instead"
        )
    return name


def of_class(store: Store, storage_class: str) -> Store:
    """Return the same store, writing objects of another class. Raises ConfigError where there are none."""
    return store.written_as(known_class(storage_class))


def warmth(store: Store, key: str) -> Warmth | None:
    """Ask in which class an object is; None where the store has no classes. Raises NotFoundError."""
    classes = store.storage_classes()
    if classes is None:
        return None
    try:
        return classes.warmth(key)
    except (NotFoundError, AccessError):
        # The store knows what is behind it: no such object, no such bucket, or a right that is missing.
        if store.stat(key) is None:
            raise NotFoundError(f"{key} is not in {store.url}") from None
        raise


def thaw(store: Store, key: str, *, days: int, tier: str) -> None:
    """Ask for a readable copy for some days; one that is on its way already is fine. Raises StorageError."""
    _classes(store).thaw(key, days=days, tier=tier)


def change_class(store: Store, key: str, storage_class: str) -> None:
    """Move an object to another class, in place and within the store. Raises StorageError, ConfigError."""
    wanted = known_class(storage_class)
    _classes(store).change(key, wanted)


def keep_in_class(store: Store, key: str, storage_class: str) -> None:
    """Move an object to another class unless it is in that one. Raises StorageError, ConfigError."""
    found = warmth(store, key)
    if found is None or found.storage_class != known_class(storage_class):
        change_class(store, key, storage_class)


def _classes(store: Store) -> StorageClasses:
    classes = store.storage_classes()
    if classes is None:
        raise ConfigError(f"{store.url} has no storage classes: only buckets of S3 do")
    return classes
