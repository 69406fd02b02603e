"""The questions that `doctor` asks of a store, one function each: it returns what was found, or raises what is missing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.format import layout
from archiver.health.doctor import bucket
from archiver.health.doctor.scratch import BODY, LacksError, NotAskedError, Scratch, clean

Role = Literal["reader", "writer", "pruner"]
ROLES: tuple[Role, ...] = ("reader", "writer", "pruner")
"""Each may what the one before it may, and more: read; save; prune, undelete, untag and gc."""

_SKEW = 300.0
_ROUNDS = 5
_AT_ONCE = 8
# A folder and a name that begins like it, in the order of their bytes; and what differs in case alone.
_NAMES = ("A-B/x", "a-b/x", "a/x")
_QUOTED = f"universe={layout.quote('a/b ü*')}/x.json.zst"
_LONGEST = f"universe={'x' * 230}/x.json.zst"


@dataclass(frozen=True, slots=True)
class Probe:
    """A question.

    without: what archiver does where the answer is no; needed_by: the least role whose work needs a yes, None
    where nobody's does; writes: whether it writes.
    """

    name: str
    ask: Callable[[Scratch], str]
    without: str
    needed_by: Role | None = None
    writes: bool = True


# -- what every store must do --------------------------------------------------------------------------------


def _reach(scratch: Scratch) -> str:
    began = time.perf_counter()
    if scratch.listed():
        raise LacksError("a prefix that nobody used is not empty")
    return f"answers in {_ms(time.perf_counter() - began)}"


def _archive(scratch: Scratch) -> str:
    try:
        scratch.store.get(layout.ARCHIVE)
    except NotFoundError:
        return "there is none yet: the first save makes one"
    return "there is one"


def _write(scratch: Scratch) -> str:
    scratch.settle()
    rounds = _ROUNDS if scratch.refusal is None else 1
    times = [_timed(partial(scratch.store.put, scratch.key(f"first-{at}"), BODY))[0] for at in range(rounds)]
    return f"{_ms(statistics.median(times))} (median of {rounds}, 1 kB)"


def _read(scratch: Scratch) -> str:
    answers = [_timed(partial(scratch.store.get, scratch.key("first-0"))) for _ in range(_ROUNDS)]
    if any(data != BODY for _, data in answers):
        raise LacksError("what is read differs from what was written")
    return f"{_ms(statistics.median([seconds for seconds, _ in answers]))} (median of {_ROUNDS}, 1 kB)"


def _at_once(scratch: Scratch) -> str:
    names = [f"first-{at}" for at in range(_AT_ONCE)] if scratch.refusal is None else ["first-0"] * _AT_ONCE

    def work(name: str) -> bool:
        key = scratch.put(name, BODY)
        return scratch.store.get(key) == scratch.store.get(key, 0, len(BODY)) == BODY

    if not all(scratch.store.map(work, names, at_once=_AT_ONCE)):
        raise LacksError("threads that use it at once get each other's answers")
    return f"{_AT_ONCE} threads write and read at once"


def _list(scratch: Scratch) -> str:
    scratch.put("first-0")
    shown = {entry.key: entry.size for entry in scratch.store.list(scratch.prefix)}
    if shown.get(scratch.key("first-0")) != len(BODY):
        raise LacksError("an object is not listed right after it was written")
    return "shows an object right after it was written"


def _order(scratch: Scratch) -> str:
    for name in _NAMES[1:]:
        scratch.put(name, name.encode())
    shown = scratch.listed()
    if shown != sorted(shown):
        raise LacksError("a listing is not in the order of the names")
    if scratch.listed("a/") != ["a/x"] or scratch.listed("a") != ["a-b/x", "a/x"]:
        raise LacksError("a listing of what begins with a/ or a shows something else")
    return "listings are sorted, and show exactly what begins as asked"


def _case(scratch: Scratch) -> str:
    for name in _NAMES:
        scratch.put(name, name.encode())
    if any(scratch.store.get(scratch.key(name)) != name.encode() for name in _NAMES):
        raise LacksError("A-B and a-b are one name there")
    return "A and a are two names"


def _odd(scratch: Scratch) -> str:
    """Put an object whose name looks like a pattern, and return its key; Windows has no such names, and archiver writes none."""
    try:
        return scratch.put("a*c")
    except StorageError as error:
        failure = error
    try:
        scratch.put("a*c")
    except StorageError:
        return scratch.put("a-c")
    raise failure  # it fails now and then, which has nothing to do with the name


def _delete(scratch: Scratch) -> str:
    if scratch.refusal is not None:
        raise scratch.refusal
    scratch.put("a-b-c")
    doomed = _odd(scratch)
    name = doomed.rpartition("/")[2]
    scratch.put("a.c")
    for error in scratch.store.delete([doomed]).values():
        raise error
    left = scratch.listed()
    if name in left:
        raise LacksError("an object is still listed right after it was deleted")
    if "a.c" not in left or "a-b-c" not in left:
        raise LacksError(f"deleting {name} deleted other objects too")
    if scratch.store.stat(doomed) is not None:
        raise LacksError("an object is still there right after it was deleted")
    return "exactly what was asked for, at once"


def _replace(scratch: Scratch) -> str:
    key = scratch.key("replaced")
    scratch.store.put(key, b"before")
    scratch.store.put(key, b"after")
    if scratch.store.get(key) != b"after":
        raise LacksError("an object that was replaced still shows its former content")
    return "a replaced object is seen at once"


def _names(scratch: Scratch) -> str:
    key = scratch.put(_QUOTED)
    if _QUOTED not in scratch.listed() or scratch.store.get(key) != BODY:
        raise LacksError("a name with % and = comes back otherwise")
    return "quoted names come back as they are"


def _long_names(scratch: Scratch) -> str:
    if scratch.refusal is not None:
        raise NotAskedError("not tried: it would stay")
    key = scratch.put(_LONGEST)
    if scratch.store.get(key) != BODY:
        raise LacksError("a name of 239 bytes comes back otherwise")
    return "a name may have 239 bytes"


def _edges(scratch: Scratch) -> str:
    key, empty, size = scratch.put("first-0"), scratch.put("empty", b""), len(BODY)
    for start, end in ((0, 1), (3, 259), (size - 1, size), (size - 3, size + 100), (size - 3, None)):
        if scratch.store.get(key, start, end) != BODY[start:end]:
            raise LacksError("a part of an object comes back otherwise")
    for start, end in ((size, size + 1), (size, None), (size + 10, size + 20), (5, 5)):
        if scratch.store.get(key, start, end):
            raise LacksError("a part beyond the end of an object is not empty")
    if scratch.store.get(empty) or scratch.store.get(empty, 0, 10) or scratch.store.get(empty, 5):
        raise LacksError("an empty object is not empty")
    return "parts of an object are right, also at its end and beyond"


def _ranges(scratch: Scratch) -> str:
    scratch.put("first-0")
    if not scratch.call("get_object", "first-0", Range="bytes=3-258").get("ContentRange"):
        raise LacksError("the whole object is sent instead of a part")
    return "a part of an object can be read alone"


def _absent(scratch: Scratch) -> str:
    if scratch.store.stat(scratch.nothing) is not None:
        raise LacksError("an object that nobody wrote is there")
    with suppress(NotFoundError):
        scratch.store.get(scratch.nothing)
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
        with scratch.store.write(scratch.key("parts")) as stream:
            stream.write(BODY[:512])
            stream.write(BODY[512:])
    else:
        upload = scratch.call("create_multipart_upload", "parts")["UploadId"]
        try:
            part = scratch.call("upload_part", "parts", body=BODY, UploadId=upload, PartNumber=1)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            scratch.call("complete_multipart_upload", "parts", UploadId=upload, MultipartUpload=parts)
        except BaseException:
            with suppress(StorageError):
                scratch.call("abort_multipart_upload", "parts", UploadId=upload)
            raise
    if scratch.store.get(scratch.key("parts")) != BODY:
        raise LacksError("what was uploaded in parts comes back otherwise")
    return "a large object can be written in parts"


def _abort(scratch: Scratch) -> str:
    api = scratch.bucket
    with suppress(StorageError):
        # Who may not abort is told so also of an upload that is not there; and then none is begun.
        try:
            scratch.call("abort_multipart_upload", "parts", UploadId="none")
        except AccessError as error:
            raise LacksError(f"uploads in parts work, but one cannot be aborted: {error}") from None
    upload = scratch.call("create_multipart_upload", "aborted")["UploadId"]
    scratch.call("upload_part", "aborted", body=BODY, UploadId=upload, PartNumber=1)
    scratch.call("abort_multipart_upload", "aborted", UploadId=upload)
    if scratch.store.stat(scratch.key("aborted")) is not None:
        raise LacksError(f"an aborted upload left an object in {api.name}")
    return "an upload in parts can be aborted"


def _durable(scratch: Scratch) -> str:
    if scratch.store.local is None:
        raise NotAskedError("no folder of this machine")
    missing = scratch.store.undurable()
    if missing:
        raise LacksError("; ".join(missing))
    return "what is saved stays through a loss of power"


def _clock(scratch: Scratch) -> str:
    key = scratch.key("first-0")
    before = datetime.now(UTC)
    scratch.store.put(key, BODY)
    found = scratch.store.stat(key)
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


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


_CONSISTENT = "use a store that is consistent"
PROBES = (
    Probe("reach", _reach, "nothing works: check the URL, the network and the credentials", "reader", False),
    Probe("archive", _archive, "nothing can be loaded", "reader", writes=False),
    Probe("absent", _absent, "runs that are not there look as if they were", "reader", writes=False),
    Probe("write", _write, "the archive can only be read", "writer"),
    Probe("read", _read, "nothing that is saved can be loaded", "reader"),
    Probe("many threads", _at_once, "what is read is not what was saved", "reader"),
    Probe("list", _list, f"new runs are missed: {_CONSISTENT}", "reader"),
    Probe("order", _order, "runs are missed: use another store", "reader"),
    Probe("replace", _replace, f"what prune changes is seen late: {_CONSISTENT}", "writer"),
    Probe("names", _names, "universes of such names are lost: use another store", "reader"),
    Probe("long names", _long_names, "universes of long names cannot be saved"),
    Probe("case", _case, "universes and tags whose names differ in case alone are mixed up"),
    Probe("edges", _edges, "what is loaded is wrong: use another store", "reader"),
    Probe("ranges", _ranges, "loading a strategy reads its whole run"),
    Probe("delete", _delete, "prune, gc and untag do not work", "pruner"),
    Probe("multipart", _large, "objects over 32 MB cannot be saved", "writer"),
    Probe("abort", _abort, "what a save that failed has uploaded is paid for until a rule or gc removes it"),
    Probe("conditional create", _conditional, "nothing depends on it: run ids are random"),
    Probe("durable", _durable, "what was saved last may be lost with the power; all before is safe"),
    Probe(
        "clock", _clock, "ages of objects count by the store's clock; requests to S3 fail beyond 15 minutes"
    ),
    Probe("versioning", bucket.versions, "what is deleted by mistake is gone", writes=False),
    Probe(
        "lifecycle",
        bucket.rules,
        "`archiver prune` and `archiver gc` do from here what rules would",
        writes=False,
    ),
    Probe("tagging", bucket.tags, "nothing: archiver tags runs by keys, never objects"),
    Probe("encryption", bucket.encryption, "whoever reads the disks reads the archive", writes=False),
    Probe("object lock", bucket.lock, "gc frees space only when the lock ends", writes=False),
)
CLEAN = Probe("cleaned up", clean, "a few small objects of the probes stay")
