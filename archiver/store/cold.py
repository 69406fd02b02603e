"""Storage classes of S3: which class an object is in, whether it can be read, and how to thaw it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from archiver.errors import ConfigError, NotFoundError, StorageError
from archiver.store.contract import Store
from archiver.store.failures import code_of

CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
"""Storage classes that a bundle can be written in."""
FROZEN = ("GLACIER", "DEEP_ARCHIVE")
"""Classes whose objects are read only after a thaw."""
_MOST_COPIED = 5 * 10**9
_RESTORE = re.compile(r'ongoing-request="(true|false)"(?:, expiry-date="([^"]+)")?')


class Warmth(NamedTuple):
    """How an object can be read: its class, its size, whether a thaw runs, and until when a thawed copy stays."""

    storage_class: str
    size: int
    thawing: bool = False
    until: datetime | None = None

    @property
    def readable(self) -> bool:
        """Whether a read succeeds now."""
        return self.storage_class not in FROZEN or (self.until is not None and not self.thawing)


def known_class(storage_class: str) -> str:
    """Return the name of a class as S3 writes it. Raises ConfigError for an unknown one."""
    name = storage_class.upper().replace("-", "_")
    if name not in CLASSES:
        raise ConfigError(f"storage class {storage_class!r} is not known: use one of {', '.join(CLASSES)}")
    return name


def of_class(store: Store, storage_class: str) -> Store:
    """Return the same store, writing objects of another class. Raises ConfigError where there are none."""
    from archiver.store.s3 import S3Store

    name = known_class(storage_class)
    if not isinstance(store, S3Store):
        raise ConfigError(f"{store.url} has no storage classes: only buckets of S3 do")
    extra = {**(store.options.get("s3_additional_kwargs") or {}), "StorageClass": name}
    return S3Store(
        store.bucket,
        store.prefix,
        {**store.options, "s3_additional_kwargs": extra},
        read_only=store.read_only,
        executor=store.executor,
        deadline=store.deadline,
    )


def warmth(store: Store, key: str) -> Warmth | None:
    """Ask in which class an object is; None where the store has no classes. Raises NotFoundError."""
    from archiver.store.s3 import S3Store

    if not isinstance(store, S3Store):
        return None
    if store.stat(key) is None:
        raise NotFoundError(f"{key} is not in {store.url}")
    found = store.request("head_object", f"read {key}", Key=store.object_name(key))
    state = _RESTORE.search(str(found.get("Restore", "")))
    until = parsedate_to_datetime(state[2]).astimezone(UTC) if state and state[2] else None
    return Warmth(
        str(found.get("StorageClass") or "STANDARD"),
        int(found["ContentLength"]),
        bool(state and state[1] == "true"),
        until,
    )


def thaw(store: Store, key: str, *, days: int, tier: str) -> None:
    """Ask for a readable copy for some days; one that is on its way already is fine. Raises StorageError."""
    request: dict[str, Any] = {"Days": days, "GlacierJobParameters": {"Tier": tier.capitalize()}}
    try:
        _call(store, "restore_object", f"thaw {key}", key, RestoreRequest=request)
    except StorageError as error:
        if error.__cause__ is None or code_of(error.__cause__) != "RestoreAlreadyInProgress":
            raise


def change_class(store: Store, key: str, storage_class: str) -> None:
    """Move an object to another class, in place and within the store. Raises StorageError, ConfigError."""
    from archiver.store.s3 import S3Store

    wanted = known_class(storage_class)
    if not isinstance(store, S3Store):
        raise ConfigError(f"{store.url} has no storage classes: only buckets of S3 do")
    entry = store.stat(key)
    if entry is None:
        raise NotFoundError(f"{key} is not in {store.url}")
    if entry.size > _MOST_COPIED:
        raise ConfigError(
            f"{key} is larger than 5 GB, which S3 moves to another class only by a lifecycle rule: add one"
        )
    name = store.object_name(key)
    _call(
        store,
        "copy_object",
        f"move {key} to {wanted}",
        key,
        CopySource={"Bucket": store.bucket, "Key": name},
        StorageClass=wanted,
        MetadataDirective="COPY",
    )


def keep_in_class(store: Store, key: str, storage_class: str) -> None:
    """Move an object to another class unless it is in that one. Raises StorageError, ConfigError."""
    found = warmth(store, key)
    if found is None or found.storage_class != known_class(storage_class):
        change_class(store, key, storage_class)


def _call(store: Store, method: str, action: str, key: str, **arguments: Any) -> Any:
    from archiver.store.s3 import S3Store

    if not isinstance(store, S3Store):
        raise ConfigError(f"{store.url} has no storage classes: only buckets of S3 do")
    store.refuse_when_read_only(action)
    return store.request(method, action, Key=store.object_name(key), **arguments)
