"""A bundle as a read-only store: its members by key, fetched by ranges, nothing unpacked to disk."""

from __future__ import annotations

import hashlib
import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, NamedTuple

import orjson

from archiver.base.address import shown_url
from archiver.base.run_id import is_run_id
from archiver.errors import (
    AccessError,
    ArchiverError,
    ConfigError,
    FormatError,
    IntegrityError,
    NotFoundError,
    StorageError,
)
from archiver.store.contract import Store, check_key, check_prefix
from archiver.store.entry import Entry
from archiver.store.ranges import check_range, open_ranges
from archiver.store.seekable import Frames

MANIFEST = "manifest.json"
FORMAT = 1
BLOCK = 512
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WEB = re.compile(r"(^|::)\s*https?://", re.IGNORECASE)


class Member(NamedTuple):
    """One object of a bundle: its key, where its bytes begin after the first frame, their number and sha256."""

    key: str
    at: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself. `runs` are as `archiver ls --json` shows them; `members` are in tar order."""

    text: bytes
    archiver: str
    modified: datetime
    runs: tuple[Mapping[str, Any], ...]
    members: Mapping[str, Member]


class _Opened(NamedTuple):
    frames: Frames
    manifest: Manifest
    keys: list[str]


class BundleStore(Store):
    """The members of a bundle, as if it were unpacked. Nothing is read before the first call."""

    def __init__(self, inner: Store, key: str) -> None:
        """Take the store that holds the bundle, and its key there."""
        check_key(key)
        self.inner, self.key = inner, key
        self.shown = shown_url(f"{inner.url}/{key}")
        self.url = f"bundle::{self.shown}"
        self.workers = inner.workers
        self.executor = inner.executor
        self.read_only = True
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return BundleStore, (self.inner, self.key)

    @property
    def manifest(self) -> Manifest:
        """What the bundle holds. Raises NotFoundError, IntegrityError."""
        return self._open()[1]

    @property
    def frames(self) -> Frames:
        """The plain tar, by ranges."""
        return self._open()[0]

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        check_range(key, start, end)
        frames, manifest, _ = self._open()
        member = manifest.members.get(key)
        if member is None:
            raise NotFoundError(f"{key} is not in {self.url}")
        stop = member.size if end is None else min(end, member.size)
        begin = frames.first + member.at
        data = frames.read(begin + start, begin + stop) if stop > start else b""
        if start == 0 and stop == member.size and hashlib.sha256(data).hexdigest() != member.sha256:
            raise IntegrityError(f"{key} in {self.shown} is damaged: its sha256 is not the manifest's")
        return data

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:  # noqa: ARG002 - the contract's
        raise self._refusal(f"write {key}")

    def open(self, key: str) -> BinaryIO:
        check_key(key)
        return open_ranges(self, key)

    def write(self, key: str, *, create: bool = False) -> AbstractContextManager[BinaryIO]:  # noqa: ARG002 - the contract's
        raise self._refusal(f"write {key}")

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        _, manifest, keys = self._open()
        for at in range(bisect_left(keys, prefix), len(keys)):
            if not keys[at].startswith(prefix):
                return
            yield Entry(keys[at], manifest.members[keys[at]].size, manifest.modified)

    def stat(self, key: str) -> Entry | None:
        check_key(key)
        manifest = self.manifest
        member = manifest.members.get(key)
        return None if member is None else Entry(key, member.size, manifest.modified)

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:  # noqa: ARG002 - the contract's
        raise self._refusal("delete")

    def close(self) -> None:
        super().close()
        self.inner.close()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def _refusal(self, action: str) -> AccessError:
        return AccessError(f"{self.url} is a bundle: cannot {action}; restore it into an archive first")

    def _read(self, start: int, end: int) -> bytes:
        with self._unsigned():
            return self.inner.get(self.key, start, end)

    @contextmanager
    def _unsigned(self) -> Iterator[None]:
        """Keep what signs a link, which is part of the key, out of errors."""
        _, mark, query = partition_query(f"{self.inner.url}/{self.key}")
        try:
            yield
        except ArchiverError as error:
            if mark and query in str(error):
                raise type(error)(str(error).replace(mark + query, "")) from None
            raise

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                with self._unsigned():
                    found = self.inner.stat(self.key)
                if found is None:
                    # Of what a web server refuses it has no size either; reading says why.
                    with suppress(NotFoundError):
                        self._read(0, 1)
                    raise NotFoundError(f"no bundle at {self.shown}: check the name")
                frames = Frames(self._read, found.size, self.shown)
                manifest = read_manifest(front_member(frames.read(0, frames.first), self.shown), self.shown)
                room = frames.size - frames.first
                if any(member.at + member.size > room for member in manifest.members.values()):
                    raise IntegrityError(f"{self.shown} is damaged: its manifest points outside of it")
                self._opened = _Opened(frames, manifest, sorted(manifest.members))
            return self._opened


def split_bundle(url: str) -> tuple[str, str]:
    """Split the URL or path of a bundle, with or without `bundle::`, into that of its folder and its name."""
    path, *query = partition_query(url.removeprefix("bundle::"))
    folder, mark, name = path.rpartition("/")
    if not name or name in (".", "..") or folder.endswith((":/", "::")):
        raise ConfigError(f"{shown_url(url)!r} names no bundle: give the path or URL of a .tar.zst file")
    return (folder or "/") if mark else ".", name + "".join(query)


def partition_query(url: str) -> tuple[str, str, str]:
    """Part what a web server takes as a query, such as the signature of a link, from a URL; nothing from others."""
    return url.partition("?") if _WEB.search(url) else (url, "", "")


def front_member(front: bytes, what: str) -> bytes:
    """Return the manifest: the first member of the tar's first frame. Raises IntegrityError."""
    name, size = front[:100].rstrip(b"\0"), front[124:135]
    if name != MANIFEST.encode() or not size.isdigit() or int(size, 8) > len(front) - BLOCK:
        raise IntegrityError(f"{what} is no bundle of archiver: its first member is not {MANIFEST}")
    return front[BLOCK : BLOCK + int(size, 8)]


def read_manifest(text: bytes, what: str) -> Manifest:
    """Read a manifest. Raises IntegrityError when it cannot be true, FormatError when it is of a newer format."""
    try:
        fields = orjson.loads(text)
        if int(fields["bundle"]) > FORMAT:
            raise FormatError(f"{what} is of bundle format {fields['bundle']}: upgrade archiver to read it")
        members: dict[str, Member] = {}
        for item in fields["members"]:
            member = Member(item["key"], item["at"], item["size"], item["sha256"])
            if member.key in members or not _sound(member):
                raise IntegrityError(f"{what} is damaged: its manifest cannot be true at {member.key!r}")
            members[member.key] = member
        runs = tuple(
            {**run, "created": datetime.fromisoformat(run["created"]), "tags": list(run["tags"])}
            for run in fields["runs"]
        )
        for run in runs:
            _check_run(run)
        modified = datetime.fromtimestamp(fields["modified"], UTC)
        return Manifest(text, str(fields["archiver"]), modified, runs, members)
    except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        raise IntegrityError(f"{what} is damaged: its manifest cannot be read ({error!r})") from None


def _check_run(run: Mapping[str, Any]) -> None:
    """Refuse what is no run: it is shown to people, and sorted. Raises ValueError, KeyError."""
    texts = (run["id"], run["universe"], *run["tags"])
    counts = (run["strategies"], run["detailed"], run["bytes"])
    if not (
        all(type(text) is str for text in texts)
        and all(type(count) is int and count >= 0 for count in counts)
        and is_run_id(run["id"])
        and run["created"].tzinfo is not None
    ):
        raise ValueError("a run is not what a run is")


def _sound(member: Member) -> bool:
    check_key(member.key)
    return (
        type(member.at) is type(member.size) is int
        and member.at >= 0
        and member.size >= 0
        and _SHA256.fullmatch(member.sha256) is not None
    )
