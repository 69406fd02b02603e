"""A place of the doctor's own in a store: what is written there goes, or is few and used again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from archiver.errors import AccessError, ArchiverError, NotFoundError
from archiver.format import layout
from archiver.store import BucketApi, Store

if TYPE_CHECKING:
    from archiver.store.s3.locks import ObjectLocks

SCRATCH = f"{layout.CODE}doctor/"
"""All that is written is below this prefix: whoever may save or prune may write there, and no reader looks there."""
KEPT = f"{SCRATCH}kept/"
"""Where it is written by who may not delete it: the same few objects each time."""

BODY = bytes(range(256)) * 4
_SETTLED = timedelta(hours=1)


class LacksError(Exception):
    """The store does not do it."""


class NotAskedError(Exception):
    """Such a store, or this caller, is not expected to do it."""


@dataclass(slots=True)
class Scratch:
    """A place of our own in the store."""

    store: Store
    prefix: str = field(default_factory=lambda: f"{SCRATCH}{secrets.token_hex(8)}/")
    refusal: AccessError | None = None
    """Why nothing can be deleted: then what is written stays, below `KEPT`, and is not written again."""
    versioned: bool = False
    keys: set[str] = field(default_factory=set)
    """What may have been written, also where a listing is denied."""

    def settle(self) -> None:
        """Find out whether what is written can be deleted, by deleting what is not there."""
        refused = self.store.delete([self.nothing]).get(self.nothing)
        if isinstance(refused, AccessError):
            self.refusal, self.prefix = refused, KEPT
        elif refused is not None:
            raise refused

    @property
    def nothing(self) -> str:
        """The key of an object that is never written."""
        return f"{self.prefix}nothing"

    def key(self, name: str) -> str:
        """Return the key of an object of ours."""
        key = self.prefix + name
        self.keys.add(key)
        return key

    def put(self, name: str, data: bytes = BODY) -> str:
        """Write an object of ours, unless it has stayed there since an earlier time."""
        key = self.key(name)
        if self.refusal is not None:
            with suppress(NotFoundError):
                if self.store.get(key) == data:
                    return key
        self.store.put(key, data)
        return key

    def listed(self, prefix: str = "") -> list[str]:
        """List what is ours and begins so: names in the order in which the store gives them."""
        found = [entry.key for entry in self.store.list(self.prefix + prefix)]
        return [key.removeprefix(self.prefix) for key in found]

    @property
    def bucket(self) -> BucketApi:
        """What the server does for the bucket as a whole."""
        api = self.store.bucket_api()
        if api is None:
            raise NotAskedError("no bucket of S3")
        return api

    @property
    def locks(self) -> ObjectLocks:
        """The locks of the bucket."""
        found = self.store.object_locks()
        if found is None:
            raise NotAskedError("no bucket of S3")
        return found

    def call(self, method: str, name: str, body: bytes | None = None, **arguments: Any) -> Any:
        """Send one request of S3 about an object of ours."""
        api = self.bucket
        return api.call(method, f"try {method}", body=body, Key=api.root + self.key(name), **arguments)


@contextmanager
def scratch_of(store: Store) -> Iterator[Scratch]:
    """Give a place of our own; remove what is in it, and folders that were not there before."""
    folder = store.local
    made = [] if folder is None else [path for path in (folder, *folder.parents) if not path.exists()]
    scratch = Scratch(store)
    try:
        yield scratch
    finally:
        if scratch.keys and scratch.refusal is None:
            with suppress(ArchiverError, LacksError):
                clean(scratch)
        for path in made:
            with suppress(OSError):
                path.rmdir()


def clean(scratch: Scratch) -> str:
    """Remove what is ours, with its old versions, and what others who could not had to leave."""
    if scratch.refusal is not None:
        raise AccessError(
            f"{len(scratch.listed())} objects of at most 1 kB stay below {KEPT}: the next doctor uses them again,"
            " and one that may delete removes them"
        )
    _delete(scratch.store, sorted(scratch.keys))
    _delete(scratch.store, _settled(scratch.store))
    if scratch.versioned:
        _clean_versions(scratch)
    if left := scratch.listed():
        raise LacksError(f"{len(left)} objects below {scratch.prefix} are still there: delete them")
    scratch.keys.clear()
    return "nothing of the probes is left"


def _delete(store: Store, keys: list[str]) -> None:
    for error in store.delete(keys).values():
        raise error


def _settled(store: Store) -> list[str]:
    """Return what stayed below `KEPT` and is not in use by another doctor just now."""
    entries = list(store.list(KEPT))
    if not entries:
        return []
    limit = store.now() - _SETTLED
    return [entry.key for entry in entries if entry.modified < limit]


def _clean_versions(scratch: Scratch) -> None:
    """Delete old versions of what was ours: no rule will."""
    api = scratch.bucket
    try:
        found = api.call(
            "list_object_versions", "list versions of the probes", Prefix=api.root + scratch.prefix
        )
    except AccessError as error:
        raise LacksError(
            f"old versions below {scratch.prefix} stay until a rule removes them: {error}"
        ) from None
    doomed = [
        {"Key": item["Key"], "VersionId": item["VersionId"]}
        for kind in ("Versions", "DeleteMarkers")
        for item in found.get(kind, ())
        if item["Key"].startswith(api.root + scratch.prefix)
    ]
    if doomed:
        answer = api.call("delete_objects", "delete versions of the probes", Delete={"Objects": doomed})
        if answer.get("Errors"):
            raise LacksError(f"{len(answer['Errors'])} old versions below {scratch.prefix} are still there")
