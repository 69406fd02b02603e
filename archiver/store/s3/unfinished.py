"""Uploads in parts that nobody finished: S3 keeps them, and takes money for them, and no listing of objects shows them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from archiver.errors import AccessError, NotFoundError, StorageError
from archiver.store.entry import Entry
from archiver.store.failures import UNKNOWN_CALL, status_of
from archiver.store.s3.client import S3Client

_MARK = "//upload="
"""Between the key and the id of an upload: no object can have such a key."""
AREAS = (
    "runs/",
    "revised/",
    "packs/",
    "masks/",
    "open/",
    "trash/",
    "quarantine/",
    "tier1/",
    "tier2/",
    "tapes/",
    "clocks/",
    "code/",
    "files/",
    "tags/",
    "untagged/",
    "catalog/",
    "bundles/",
)
"""Where archiver writes, as the layout of keys has it, which stands no lower than this. What is uploaded beside it belongs to others."""
_PAGE = 1_000


def uploads(client: S3Client, root: str) -> Iterator[Entry]:
    """Yield the unfinished uploads below archiver's own prefixes, of size 0; none where the server does not list them."""
    try:
        yield from _below(client, root)
    except (AccessError, NotFoundError):
        return  # listing these is a right of its own, which gc does not need otherwise
    except StorageError as error:
        if error.__cause__ is None or status_of(error.__cause__) not in UNKNOWN_CALL:
            raise


def is_upload(key: str) -> bool:
    """Tell whether a key is one that `uploads` gave."""
    return _MARK in key


def abort(client: S3Client, root: str, key: str) -> StorageError | None:
    """Abort an upload; one that is gone already is fine. Return what failed."""
    name, _, upload = key.partition(_MARK)
    try:
        client.call("abort_multipart_upload", f"abort the upload of {name}", Key=root + name, UploadId=upload)
    except NotFoundError:
        pass
    except StorageError as error:
        if error.__cause__ is None or status_of(error.__cause__) != 404:
            return error
    return None


def _below(client: S3Client, root: str) -> Iterator[Entry]:
    token: dict[str, Any] = {}
    while True:
        page = client.call(
            "list_multipart_uploads", "list unfinished uploads", Prefix=root, MaxUploads=_PAGE, **token
        )
        for item in page.get("Uploads", ()):
            name = str(item["Key"])
            # Some servers do not heed the prefix.
            if name.startswith(root) and name.startswith(AREAS, len(root)):
                key = f"{name.removeprefix(root)}{_MARK}{item['UploadId']}"
                yield Entry(key, 0, item["Initiated"].astimezone(UTC).replace(microsecond=0))
        following = {
            "KeyMarker": page.get("NextKeyMarker"),
            "UploadIdMarker": page.get("NextUploadIdMarker"),
        }
        if not page.get("IsTruncated") or not all(following.values()) or following == token:
            return
        token = following
