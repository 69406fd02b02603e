"""Old versions: what a bucket keeps of objects that were replaced or deleted. It takes money, and no listing shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from archiver.errors import AccessError, NotFoundError, PolicyError, StorageError
from archiver.store.entry import Version
from archiver.store.failures import UNKNOWN_CALL, judge_response, status_of
from archiver.store.s3.locks import lock_rule

if TYPE_CHECKING:
    from archiver.store.s3.client import S3Client

_PAGE = 1_000


def keeps_versions(client: S3Client) -> bool | None:
    """Tell whether the bucket keeps, or kept, old versions; None where it does not say."""
    try:
        answer = client.call("get_bucket_versioning", "read the versioning")
    except (AccessError, NotFoundError):
        return None
    except StorageError as error:
        if error.__cause__ is not None and status_of(error.__cause__) in UNKNOWN_CALL:
            return False
        raise
    return bool(answer.get("Status"))


def versions(client: S3Client, url: str, root: str, prefix: str) -> Iterator[Version]:
    """Yield all versions and delete markers below a prefix, by key, the newest first. Raises StorageError."""
    token: dict[str, Any] = {}
    while True:
        page = client.call(
            "list_object_versions", "list versions", Prefix=root + prefix, MaxKeys=_PAGE, **token
        )
        found = [
            *(_version(item, root, marker=False) for item in page.get("Versions", ())),
            *(_version(item, root, marker=True) for item in page.get("DeleteMarkers", ())),
        ]
        yield from sorted(found, key=lambda one: (one.key, -one.modified.timestamp(), not one.latest))
        following = {
            "KeyMarker": page.get("NextKeyMarker"),
            "VersionIdMarker": page.get("NextVersionIdMarker"),
        }
        if not page.get("IsTruncated"):
            return
        token = {name: value for name, value in following.items() if value}
        if not token:
            raise StorageError(f"{url} broke off its listing of versions: try again")


def refuse_lock(client: S3Client, url: str) -> None:
    """Raise PolicyError for a bucket with Object Lock: its versions are there to stay. Raises StorageError."""
    if lock_rule(client) is not None:
        raise PolicyError(
            f"{url} is under Object Lock: its old versions are not archiver's to remove; a lifecycle rule of the"
            " bucket removes them once their locks have ended"
        )


def delete_versions(
    client: S3Client, url: str, root: str, wanted: Sequence[Version]
) -> dict[str, StorageError]:
    """Delete exactly these versions. Return what failed, and why, by key."""
    failed: dict[str, StorageError] = {}
    for at in range(0, len(wanted), _PAGE):
        objects = [{"Key": root + one.key, "VersionId": one.version} for one in wanted[at : at + _PAGE]]
        answer = client.call(
            "delete_objects",
            f"delete {len(objects)} versions",
            Delete={"Objects": objects, "Quiet": True},
        )
        for item in answer.get("Errors", ()):
            key = str(item.get("Key", "")).removeprefix(root)
            failure = judge_response({"Error": item}, f"cannot delete a version of {key} in {url}")
            if isinstance(failure.error, StorageError):
                failed[key] = failure.error
    return failed


def _version(item: Any, root: str, *, marker: bool) -> Version:
    return Version(
        key=str(item["Key"]).removeprefix(root),
        version=str(item["VersionId"]),
        size=0 if marker else int(item["Size"]),
        modified=item["LastModified"].astimezone(UTC).replace(microsecond=0),
        latest=bool(item["IsLatest"]),
        marker=marker,
    )
