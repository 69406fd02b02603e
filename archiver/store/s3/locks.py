"""Object Lock: what a bucket, or one object of it, keeps from being deleted, and until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.store.failures import UNKNOWN_CALL, code_of, status_of

if TYPE_CHECKING:
    from archiver.store.s3.client import S3Client

_NONE = {
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "ObjectLockConfigurationNotFound",
    "404",
}
MODE = "GOVERNANCE"


class Held(NamedTuple):
    """What keeps an object: until when, in which mode, and whether a legal hold does."""

    until: datetime | None = None
    mode: str = ""
    legal_hold: bool = False


def lock_rule(client: S3Client) -> Mapping[str, Any] | None:
    """Return the default retention of a bucket with Object Lock, empty where it has none; None for one without locks.

    Raises StorageError, AccessError where that may not be asked.
    """
    try:
        answer = client.call("get_object_lock_configuration", "read the Object Lock")
    except NotFoundError:
        return None
    except AccessError:
        raise
    except StorageError as error:
        cause = error.__cause__
        if cause is not None and (code_of(cause) in _NONE or status_of(cause) in UNKNOWN_CALL):
            return None
        raise
    found = answer.get("ObjectLockConfiguration", {})
    if not found.get("ObjectLockEnabled"):
        return None
    rule: Mapping[str, Any] = found.get("Rule", {}).get("DefaultRetention", {})
    return rule


class ObjectLocks:
    """The locks of one store's objects."""

    def __init__(self, client: S3Client, url: str, root: str, permit: Callable[[str], None]) -> None:
        """Take the bucket's client, the store's URL as shown and its prefix, and who refuses to change anything."""
        self._client, self._url, self._root = client, url, root
        self._permit = permit

    def rule(self) -> Mapping[str, Any] | None:
        """Return the bucket's default retention, empty for none; None for a bucket without locks. Raises StorageError."""
        return lock_rule(self._client)

    def notice(self) -> str | None:
        """Say what the bucket's locks mean for whoever deletes; None where there are none, or nobody may ask."""
        try:
            rule = lock_rule(self._client)
        except AccessError:
            return None
        if rule is None:
            return None
        if not rule:
            return (
                "the bucket has Object Lock: what is deleted stays as an old version, and is not freed while a retention"
                " or a legal hold is on it"
            )
        time = f"{rule['Days']} days" if rule.get("Days") else f"{rule.get('Years')} years"
        return (
            f"the bucket locks every new object for {time} ({rule.get('Mode', 'no mode')}): what is deleted stays as an"
            " old version, and nothing of it can be freed before"
        )

    def require(self) -> None:
        """Raise ConfigError for a bucket that cannot lock an object."""
        if lock_rule(self._client) is None:
            raise ConfigError(
                f"{self._url} has no Object Lock, so nothing there can be retained or held: it is turned on for a bucket"
                " as a whole (aws s3api put-object-lock-configuration)"
            )

    def held(self, key: str) -> Held:
        """Tell what keeps an object. Raises NotFoundError."""
        found = self._client.head(self._root + key, f"read {key}")
        until = found.get("x-amz-object-lock-retain-until-date")
        return Held(
            None if until is None else datetime.fromisoformat(until).astimezone(UTC),
            found.get("x-amz-object-lock-mode", ""),
            found.get("x-amz-object-lock-legal-hold") == "ON",
        )

    def hold(self, key: str, *, until: datetime | None = None, legal_hold: bool = False) -> None:
        """Keep an object from being deleted: until a moment, or until the legal hold is taken off elsewhere.

        A longer retention that is there stays. Raises StorageError, ConfigError.
        """
        self._permit(f"lock {key}")
        self.require()
        there = self.held(key)
        name = self._root + key
        if until is not None and (there.until is None or there.until < until):
            retention = {"Mode": there.mode or MODE, "RetainUntilDate": until.replace(microsecond=0)}
            self._client.call("put_object_retention", f"retain {key}", Key=name, Retention=retention)
        if legal_hold and not there.legal_hold:
            hold = {"Status": "ON"}
            self._client.call("put_object_legal_hold", f"hold {key}", Key=name, LegalHold=hold)
