"""S3 and what speaks its language: the verbs of a store, one request each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, BinaryIO

from archiver.errors import AccessError, NotFoundError, StorageError
from archiver.store.contract import Store, check_key, check_prefix, reopened, taken_error
from archiver.store.entry import Entry, Version
from archiver.store.failures import NO_CONDITION, code_of, judge_response, response_of, status_of
from archiver.store.parallel_listing import Line, NoStartError, Piece, Spread
from archiver.store.ranges import check_range, open_ranges, probe_clock
from archiver.store.retry import DEADLINE
from archiver.store.s3.bucket import BucketApi
from archiver.store.s3.classes import StorageClasses
from archiver.store.s3.client import S3Client
from archiver.store.s3.cold import DETAIL_CLASS, detail_class
from archiver.store.s3.locks import ObjectLocks
from archiver.store.s3.multipart import upload
from archiver.store.s3.unfinished import abort, is_upload, uploads
from archiver.store.s3.versions import delete_versions, keeps_versions, refuse_lock, versions
from archiver.store.s3.xml import Page, can_be_written

PART = 8 << 20
"""Bytes of one part of a multipart upload; what fits into two is put in one request."""

_PAGE = 1000
_ALONE = 5
"""So many pages of a listing are asked for one after the other before several are at once."""
_NO_BULK = {"NotImplemented", "MethodNotAllowed", "501", "405"}
_ROUNDS = 4


class S3Store(Store):
    """A bucket, or a prefix of one."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        options: Mapping[str, Any],
        *,
        read_only: bool = False,
        executor: Executor | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Open a prefix ("": a whole bucket) with the storage options of s3fs; nothing is requested yet."""
        self.bucket = bucket
        self.prefix = prefix
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.read_only = read_only
        self.executor = executor
        self._root = prefix + "/" if prefix else ""
        self.options = dict(options)
        self.deadline = deadline
        plain = dict(options)
        self._detail_class = detail_class(plain.pop(DETAIL_CLASS, None))
        self._details: S3Store | None = None
        self.client = S3Client(bucket, plain, shown=self.url, deadline=deadline)
        self.workers = self.client.workers
        self._bucket_seen = False

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (_reopen, self.bucket, self.prefix, self.options, self.read_only, self.deadline)

    def close(self) -> None:
        super().close()
        self.client.close()
        if self._details is not None:
            self._details.close()

    # -- the verbs -------------------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        check_range(key, start, end)
        if end is not None and end <= start:
            if self.stat(key) is None:
                raise NotFoundError(f"{key} is not in {self.url}")
            return b""
        try:
            return self.client.get(self._root + key, f"read {key}", start, end)
        except NotFoundError as error:
            if code_of(error) != "NoSuchKey":
                self._require_bucket()
            raise
        except AccessError as error:
            if self._is_absent(key, error):
                raise NotFoundError(f"{key} is not in {self.url}") from error
            raise

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        if len(data) > 2 * PART and not create:
            with self.write(key) as stream:
                stream.write(data)
        elif not create:
            self.put_whole(key, data)
        elif self.conditional is False or not self._put_condition(key, data):
            self._look_then_put(key, data)

    def open(self, key: str) -> BinaryIO:
        check_key(key)
        return open_ranges(self, key)

    def write(self, key: str, *, create: bool = False) -> AbstractContextManager[BinaryIO]:
        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        return upload(self, self.client, key, self.object_name(key), PART, create=create)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return self._pages(prefix)

    def list_many(self, prefix: str, line: Line) -> Iterator[Entry]:
        check_prefix(prefix)
        return self._pages(prefix, line)

    def stat(self, key: str) -> Entry | None:
        check_key(key)
        try:
            found = self.client.head(self._root + key, f"read {key}")
        except NotFoundError:
            self._require_bucket()
            return None
        except AccessError as error:
            if self._is_absent(key, error):
                return None
            raise
        try:
            modified = parsedate_to_datetime(found["last-modified"])
            return Entry(key, int(found["content-length"]), modified)
        except (KeyError, ValueError):
            raise StorageError(f"{self.url} does not answer as S3 does: check the endpoint") from None

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        wanted = list(dict.fromkeys(keys))
        unfinished = [key for key in wanted if is_upload(key)]
        wanted = [key for key in wanted if not is_upload(key)]
        for key in wanted:
            check_key(key)
        aborted = zip(unfinished, self.map(partial(abort, self.client, self._root), unfinished), strict=True)
        failed = {key: error for key, error in aborted if error is not None}
        for at in range(0, len(wanted), _PAGE):
            try:
                failed.update(self._delete_page(wanted[at : at + _PAGE]))
            except StorageError as error:
                # The store as a whole does not answer or refuses: the other pages would fare no better.
                failed.update(dict.fromkeys(wanted[at:], error))
                break
        return failed

    def keeps_versions(self) -> bool | None:
        return keeps_versions(self.client)

    def versions(self, prefix: str = "") -> Iterator[Version]:
        check_prefix(prefix)
        return (
            versions(self.client, self.url, self._root, prefix) if keeps_versions(self.client) else iter(())
        )

    def get_version(self, version: Version) -> bytes:
        name, action = self._root + version.key, f"read an old version of {version.key}"
        found = self.client.call("get_object", action, Key=name, VersionId=version.version)
        data: bytes = found["Body"].read()
        return data

    def delete_versions(self, versions: Sequence[Version]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        return delete_versions(self.client, self.url, self._root, versions)

    def refuse_locked(self) -> None:
        refuse_lock(self.client, self.url)

    def leftovers(self) -> Iterator[Entry]:
        return uploads(self.client, self._root)

    def now(self) -> datetime:
        return self.client.clock("read the clock") if self.read_only else probe_clock(self)

    def bucket_api(self) -> BucketApi:
        return BucketApi(self.client, self.url, self._root, self.refuse_when_read_only)

    def storage_classes(self) -> StorageClasses:
        return StorageClasses(self.client, self.url, self._root, self.refuse_when_read_only)

    def object_locks(self) -> ObjectLocks:
        return ObjectLocks(self.client, self.url, self._root, self.refuse_when_read_only)

    @property
    def details(self) -> Store:
        if self._detail_class is None:
            return self
        if self._details is None:
            self._details = self.written_as(self._detail_class)
        return self._details

    def written_as(self, storage_class: str) -> S3Store:
        extra = {**(self.options.get("s3_additional_kwargs") or {}), "StorageClass": storage_class}
        return S3Store(
            self.bucket,
            self.prefix,
            {**{k: v for k, v in self.options.items() if k != DETAIL_CLASS}, "s3_additional_kwargs": extra},
            read_only=self.read_only,
            executor=self.executor,
            deadline=self.deadline,
        )

    # -- writing ---------------------------------------------------------------------------------------------

    def put_whole(self, key: str, data: bytes, *, only_new: bool = False) -> None:
        """Write an object in one request, checked by its digest on arrival."""
        self.client.put(self.object_name(key), data, f"write {key}", only_new=only_new)

    def _put_condition(self, key: str, data: bytes) -> bool:
        """Create with If-None-Match; return False when the server refused the condition and wrote nothing."""
        try:
            self.put_whole(key, data, only_new=True)
        except StorageError as error:
            cause = error.__cause__
            if cause is None:
                raise
            if status_of(cause) == 412:
                self.conditional = True
                # Perhaps an earlier attempt of ours landed, and only its answer was lost.
                if self.get(key) != data:
                    raise taken_error(key, self.url) from None
                return True
            if code_of(cause) in NO_CONDITION:
                self.conditional = False
                return False
            raise
        return True

    def _look_then_put(self, key: str, data: bytes) -> None:
        try:
            there = self.get(key)
        except NotFoundError:
            self.put_whole(key, data)
        else:
            if there != data:
                raise taken_error(key, self.url)

    # -- listing and deleting --------------------------------------------------------------------------------

    def _pages(self, prefix: str, line: Line | None = None) -> Iterator[Entry]:
        token: str | None = None
        first = last = known = ""
        pages, seconds = 0, 0.0
        while True:
            begun = time.monotonic()
            page = self._page(f"list {prefix or 'objects'}", prefix, _PAGE, token)
            pages, seconds = pages + 1, seconds + time.monotonic() - begun
            for entry in self._entries(page):
                if entry.key <= known:
                    continue
                if entry.key <= last:
                    raise self._out_of_order()
                first, last = first or entry.key, entry.key
                yield entry
            if page.following is None:
                return
            if page.following in ("", token):
                raise StorageError(f"{self.url} broke off its listing: try again")
            token = page.following
            if pages == _ALONE and line is not None:
                spread = Spread(partial(self._piece, prefix), line, seconds / pages)
                try:
                    for entry in spread.entries(first, last, pages):
                        if entry.key <= last:
                            raise self._out_of_order()
                        last = entry.key
                        yield entry
                    return
                except NoStartError:
                    line, known = None, last

    def _entries(self, page: Page) -> Iterator[Entry]:
        cut = len(self._root)
        for name, size, modified in page.objects:
            key = name[cut:]
            if key and not key.endswith("/"):  # consoles make such empty objects to show a folder
                yield Entry(key, size, modified)

    def _piece(self, prefix: str, after: str) -> Piece:
        """Ask for the page of a listing that comes after a key."""
        page = self._page(f"list {prefix or 'objects'}", prefix, _PAGE, after=after)
        names = [found.name[len(self._root) :] for found in page.objects]
        more = page.following is not None
        if names and names[0] <= after:
            raise NoStartError
        if more and not names:
            raise StorageError(f"{self.url} broke off its listing: try again")
        first, last = (names[0], names[-1]) if names else (after, after)
        return Piece([*self._entries(page)], first, last, more)

    def _out_of_order(self) -> StorageError:
        return StorageError(f"{self.url} lists its objects out of order: it cannot hold an archive")

    def _page(
        self,
        action: str,
        prefix: str = "",
        size: int = 1,
        token: str | None = None,
        *,
        after: str | None = None,
    ) -> Page:
        """Ask for one page of a listing; an answer of something else than S3 must not look empty."""
        try:
            start = None if after is None else self._root + after
            page = self.client.page(self._root + prefix, action, size=size, token=token, after=start)
        except NotFoundError as error:
            raise StorageError(
                f"{self.url} answers {code_of(error)} to a listing: check the endpoint"
            ) from error
        self._bucket_seen = True
        return page

    def _is_absent(self, key: str, refusal: AccessError) -> bool:
        """Tell whether an object is missing to whom may list only below a prefix: some servers refuse to say so."""
        if code_of(refusal) not in ("AccessDenied", "403"):
            return False
        try:
            page = self._page(f"read {key}", key)
        except StorageError:
            return False  # the refusal says more
        return not any(found.name == self._root + key for found in page.objects)

    def _delete_page(self, keys: Sequence[str]) -> dict[str, StorageError]:
        """Delete up to 1,000 objects; what the server says was only overloaded is asked again a few times."""
        failed: dict[str, StorageError] = {}
        for last_round in (*[False] * (_ROUNDS - 1), True):
            again = []
            for item in self._delete_objects(keys):
                key = str(item.get("Key", "")).removeprefix(self._root)
                failure = judge_response({"Error": item}, f"cannot delete {key} in {self.url}")
                if failure.again and not last_round:
                    again.append(key)
                elif isinstance(failure.error, StorageError):
                    failed[key] = failure.error
            if not again:
                break
            keys = again
        return failed

    def _delete_objects(self, keys: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        names = [self._root + key for key in keys]
        try:
            if not all(map(can_be_written, names)):
                return self._delete_each(keys)
            return self.client.delete_many(names, f"delete {len(keys)} objects")
        except StorageError as error:
            if error.__cause__ is None or code_of(error.__cause__) not in _NO_BULK:
                raise
            return self._delete_each(keys)

    def _delete_each(self, keys: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        return [failed for failed in self.map(self._delete_one, keys) if failed]

    def _delete_one(self, key: str) -> Mapping[str, Any]:
        try:
            self.client.delete(self._root + key, f"delete {key}")
        except StorageError as error:
            response = response_of(error)
            if response is None:
                raise
            return {**response["Error"], "Key": self._root + key}
        return {}

    def _require_bucket(self) -> None:
        """Raise StorageError when the bucket is missing: HEAD says no more than 404 then."""
        if not self._bucket_seen:
            self._page("find the bucket")

    # -- requests --------------------------------------------------------------------------------------------

    def object_name(self, key: str) -> str:
        """Return the full name of an object in the bucket."""
        return self._root + key

    def request(self, method: str, action: str, *, body: bytes | None = None, **arguments: Any) -> Any:
        """Send any request of the S3 API to the bucket; see `S3Client.call`."""
        return self.client.call(method, action, body=body, **arguments)


def _reopen(bucket: str, prefix: str, options: dict[str, Any], read_only: bool, deadline: float) -> S3Store:
    return S3Store(bucket, prefix, options, read_only=read_only, deadline=deadline)
