"""The questions that `doctor` asks of a store, one function each: it returns what was found, or raises what is missing."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.format import layout
from archiver.retention.bucket_rules import dangers, is_ours, parse
from archiver.store import BucketApi, Store, UnsupportedError

SCRATCH = "doctor/"
"""All that is written is below this prefix, and below a random name there."""

_SKEW = 300.0
_ROUNDS = 5
_BODY = bytes(range(256)) * 4


class LacksError(Exception):
    """The store does not do it."""


class NotAskedError(Exception):
    """Such a store is not expected to do it."""


@dataclass(slots=True)
class Scratch:
    """A place of our own in the store."""

    store: Store
    prefix: str = field(default_factory=lambda: f"{SCRATCH}{secrets.token_hex(8)}/")
    versioned: bool = False
    keys: set[str] = field(default_factory=set)
    """What may have been written, also where a listing is denied."""

    def key(self, name: str) -> str:
        """Return the key of an object of ours."""
        key = self.prefix + name
        self.keys.add(key)
        return key

    def put(self, name: str, data: bytes = _BODY) -> str:
        """Write an object of ours."""
        key = self.key(name)
        self.store.put(key, data)
        return key

    def listed(self) -> dict[str, int]:
        """List what is ours: sizes by key."""
        return {entry.key: entry.size for entry in self.store.list(self.prefix)}

    @property
    def bucket(self) -> BucketApi:
        """What the server does for the bucket as a whole."""
        api = self.store.bucket_api()
        if api is None:
            raise NotAskedError("no bucket of S3")
        return api

    def call(self, method: str, name: str, body: bytes | None = None, **arguments: Any) -> Any:
        """Send one request of S3 about an object of ours."""
        api = self.bucket
        return api.call(method, f"try {method}", body=body, Key=api.root + self.key(name), **arguments)


@dataclass(frozen=True, slots=True)
class Probe:
    """A question: its name, what archiver does where the answer is no, whether an archive needs a yes, whether it writes."""

    name: str
    ask: Callable[[Scratch], str]
    without: str
    vital: bool = False
    writes: bool = True


# -- what every store must do --------------------------------------------------------------------------------


def _reach(scratch: Scratch) -> str:
    began = time.perf_counter()
    if scratch.listed():
        raise LacksError("a prefix that nobody used is not empty")
    return f"answers in {_ms(time.perf_counter() - began)}"


def _write(scratch: Scratch) -> str:
    times = [_timed(partial(scratch.put, f"first-{at}"))[0] for at in range(_ROUNDS)]
    return f"{_ms(statistics.median(times))} (median of {_ROUNDS}, 1 kB)"


def _read(scratch: Scratch) -> str:
    answers = [_timed(partial(scratch.store.get, scratch.key(f"first-{at}"))) for at in range(_ROUNDS)]
    if any(data != _BODY for _, data in answers):
        raise LacksError("what is read differs from what was written")
    return f"{_ms(statistics.median([seconds for seconds, _ in answers]))} (median of {_ROUNDS}, 1 kB)"


def _list(scratch: Scratch) -> str:
    key = scratch.put("listed")
    if scratch.listed().get(key) != len(_BODY):
        raise LacksError("an object is not listed right after it was written")
    return "shows an object right after it was written"


def _delete(scratch: Scratch) -> str:
    scratch.put("a-b")
    doomed = [scratch.put("a*b"), scratch.put("a.b")]
    failed = scratch.store.delete([doomed[0]])
    for error in failed.values():
        raise error
    left = scratch.listed()
    if doomed[0] in left:
        raise LacksError("an object is still listed right after it was deleted")
    if doomed[1] not in left or scratch.key("a-b") not in left:
        raise LacksError("deleting a*b deleted other objects too")
    if scratch.store.stat(doomed[0]) is not None:
        raise LacksError("an object is still there right after it was deleted")
    return "exactly what was asked for, at once"


def _replace(scratch: Scratch) -> str:
    key = scratch.put("replaced", b"before")
    scratch.store.put(key, b"after")
    if scratch.store.get(key) != b"after":
        raise LacksError("an object that was replaced still shows its former content")
    return "a replaced object is seen at once"


def _names(scratch: Scratch) -> str:
    key = scratch.put(f"universe={layout.quote('a/b ü*')}/x.json.zst")
    if key not in scratch.listed() or scratch.store.get(key) != _BODY:
        raise LacksError("a name with % and = comes back otherwise")
    return "quoted names come back as they are"


def _ranges(scratch: Scratch) -> str:
    key = scratch.put("range")
    if scratch.store.get(key, 3, 259) != _BODY[3:259] or scratch.store.get(key, 1000) != _BODY[1000:]:
        raise LacksError("a part of an object comes back otherwise")
    api = scratch.store.bucket_api()
    if api is not None:
        answer = scratch.call("get_object", "range", Range="bytes=3-258")
        if not answer.get("ContentRange"):
            raise LacksError("the whole object is sent instead of a part")
    return "a part of an object can be read alone"


def _absent(scratch: Scratch) -> str:
    if scratch.store.stat(scratch.key("nothing")) is not None:
        raise LacksError("an object that nobody wrote is there")
    with suppress(NotFoundError):
        scratch.store.get(scratch.key("nothing"))
        raise LacksError("an object that nobody wrote can be read")
    return "what is not there is said not to be there"


def _conditional(scratch: Scratch) -> str:
    key = scratch.key("created")
    scratch.store.put(key, b"first", create=True)
    try:
        scratch.store.put(key, b"second", create=True)
    except ConfigError:
        if scratch.store.conditional:
            return "a second create is refused by the store"
        raise LacksError(
            "the store does not refuse a second create; archiver looks before it writes"
        ) from None
    raise LacksError("a second create replaces the first")


def _large(scratch: Scratch) -> str:
    if scratch.store.bucket_api() is None:
        with scratch.store.write(scratch.key("streamed")) as stream:
            stream.write(_BODY)
            stream.write(_BODY)
        if scratch.store.get(scratch.key("streamed")) != _BODY * 2:
            raise LacksError("what was streamed comes back otherwise")
        return "a large object can be streamed"
    upload = scratch.call("create_multipart_upload", "parts")["UploadId"]
    part = scratch.call("upload_part", "parts", body=_BODY, UploadId=upload, PartNumber=1)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    scratch.call("complete_multipart_upload", "parts", UploadId=upload, MultipartUpload=parts)
    if scratch.store.get(scratch.key("parts")) != _BODY:
        raise LacksError("what was uploaded in parts comes back otherwise")
    upload = scratch.call("create_multipart_upload", "aborted")["UploadId"]
    scratch.call("upload_part", "aborted", body=_BODY, UploadId=upload, PartNumber=1)
    scratch.call("abort_multipart_upload", "aborted", UploadId=upload)
    if scratch.store.stat(scratch.key("aborted")) is not None:
        raise LacksError("an aborted upload left an object")
    return "objects can be uploaded in parts, and uploads aborted"


# -- what a bucket may do ------------------------------------------------------------------------------------


def _rules(scratch: Scratch) -> str:
    api = scratch.bucket
    found = api.rules()
    rules = parse(None if found is None else found.xml).rules
    harm = dangers((rule for rule in rules if not is_ours(rule, api.root)), api.root)
    warning = f"; warning: {harm[0]}" if harm else ""
    return f"{len(rules)} rules (writing was not tried){warning}"


def _tags(scratch: Scratch) -> str:
    # On an object of ours: there is a server that puts the tags in the place of the content.
    scratch.put("tagged")
    scratch.call("put_object_tagging", "tagged", Tagging={"TagSet": [{"Key": "probe", "Value": "yes"}]})
    if scratch.store.get(scratch.key("tagged")) != _BODY:
        raise LacksError("tagging an object overwrites its content: never tag objects there")
    tags = scratch.call("get_object_tagging", "tagged").get("TagSet")
    if tags != [{"Key": "probe", "Value": "yes"}]:
        raise LacksError("tags are not kept")
    return "objects can be tagged"


def _versions(scratch: Scratch) -> str:
    status = scratch.bucket.versioning()
    scratch.versioned = bool(status)
    if not status:
        return "off: what gc deletes is freed at once"
    return (
        f"{status.lower()}: what gc deletes goes on being paid for as old versions until a rule removes them "
        "(archiver lifecycle plan)"
    )


def _lock(scratch: Scratch) -> str:
    api = scratch.bucket
    try:
        answer = api.call("get_object_lock_configuration", "read the object lock")
    except AccessError:
        raise
    except StorageError as error:
        if isinstance(error, UnsupportedError) or "ObjectLock" in str(error):
            return "off"
        raise
    rule = answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention")
    if rule:
        raise LacksError("every new object is locked for a time: gc cannot free it before")
    return "off"


def _clock(scratch: Scratch) -> str:
    before = datetime.now(UTC)
    found = scratch.store.stat(scratch.put("clock"))
    after = datetime.now(UTC)
    if found is None:
        raise LacksError("an object is not there right after it was written")
    ahead = max((before - found.modified).total_seconds() - 1.0, 0.0)  # the store shows whole seconds
    behind = max((found.modified - after).total_seconds(), 0.0)
    difference = max(ahead, behind)
    text = "within a second" if difference < 1 else f"{difference:.0f} s {'behind' if ahead else 'ahead'}"
    if difference > _SKEW:
        raise LacksError(f"the store's clock is {text}: set this machine's or the server's")
    return f"the store's clock agrees: {text}"


def _archive(scratch: Scratch) -> str:
    try:
        scratch.store.get(layout.ARCHIVE)
    except NotFoundError:
        return "there is none yet: the first save makes one"
    return "there is one"


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


PROBES = (
    Probe(
        "reach",
        _reach,
        "nothing works: check the URL, the network and the credentials",
        vital=True,
        writes=False,
    ),
    Probe("write", _write, "the archive can only be read", vital=True),
    Probe("read", _read, "nothing that is saved can be loaded", vital=True),
    Probe("absent", _absent, "runs that are not there look as if they were", vital=True, writes=False),
    Probe("list", _list, "new runs are missed: use a store that is consistent", vital=True),
    Probe("replace", _replace, "what prune changes is seen late: use a store that is consistent", vital=True),
    Probe("names", _names, "universes of such names are lost: use another store", vital=True),
    Probe("delete", _delete, "prune, gc and untag do not work", vital=True),
    Probe("ranges", _ranges, "loading a strategy reads its whole run"),
    Probe("multipart", _large, "objects over 32 MB cannot be saved", vital=True),
    Probe("conditional create", _conditional, "nothing depends on it: run ids are random"),
    Probe(
        "clock", _clock, "ages of objects count by the store's clock; requests to S3 fail beyond 15 minutes"
    ),
    Probe("versioning", _versions, "what is deleted by mistake is gone", writes=False),
    Probe(
        "lifecycle", _rules, "`archiver prune` and `archiver gc` do from here what rules would", writes=False
    ),
    Probe("tagging", _tags, "nothing: archiver tags runs by keys, never objects"),
    Probe("object lock", _lock, "gc frees space only when the lock ends", writes=False),
    Probe("archive", _archive, "the first save makes one", writes=False),
)
