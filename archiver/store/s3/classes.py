"""Storage classes as S3 is asked for them: the requests that tell, change or thaw an object's class."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from archiver.errors import ConfigError, StorageError
from archiver.store.failures import code_of

if TYPE_CHECKING:
    from archiver.store.s3.client import S3Client

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


class StorageClasses:
    """The storage classes of one store's objects."""

    def __init__(self, client: S3Client, url: str, root: str, permit: Callable[[str], None]) -> None:
        """Take the bucket's client, the store's URL as shown and its prefix, and who refuses to change anything."""
        self._client, self._url, self._root = client, url, root
        self._permit = permit

    def warmth(self, key: str) -> Warmth:
        """Ask in which class an object is. Raises NotFoundError."""
        found = self._client.head(self._root + key, f"read {key}")
        state = _RESTORE.search(found.get("x-amz-restore", ""))
        until = parsedate_to_datetime(state[2]).astimezone(UTC) if state and state[2] else None
        return Warmth(
            found.get("x-amz-storage-class") or "STANDARD",
            int(found["content-length"]),
            bool(state and state[1] == "true"),
            until,
        )

    def thaw(self, key: str, *, days: int, tier: str) -> None:
        """Ask for a readable copy for some days; one that is on its way already is fine. Raises StorageError."""
        request: dict[str, Any] = {"Days": days, "GlacierJobParameters": {"Tier": tier.capitalize()}}
        try:
            self._call("restore_object", f"thaw {key}", key, RestoreRequest=request)
        except StorageError as error:
            if error.__cause__ is None or code_of(error.__cause__) != "RestoreAlreadyInProgress":
                raise

    def change(self, key: str, wanted: str) -> None:
        """Move an object to another class, in place and within the store. Raises StorageError, ConfigError."""
        if self.warmth(key).size > _MOST_COPIED:
            raise ConfigError(
                f"{key} is larger than 5 GB, which S3 moves to another class only by a lifecycle rule: add one"
            )
        source = {"Bucket": self._client.bucket, "Key": self._root + key}
        self._call(
            "copy_object",
            f"move {key} to {wanted}",
            key,
            CopySource=source,
            StorageClass=wanted,
            MetadataDirective="COPY",
        )

    def _call(self, method: str, action: str, key: str, **arguments: Any) -> Any:
        self._permit(action)
        return self._client.call(method, action, Key=self._root + key, **arguments)
