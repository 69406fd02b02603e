"""S3 and what speaks its language: one request a verb, through the client of s3fs but around its traps."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, BinaryIO, TypeVar

from archiver.errors import ConfigError, NotFoundError, StorageError
from archiver.format.model import Version
from archiver.store.bucket import BucketApi, pass_rules_through
from archiver.store.contract import Store, check_key, check_prefix, reopened, taken_error
from archiver.store.entry import Entry
from archiver.store.failures import NO_CONDITION, code_of, judge_response, response_of, status_of
from archiver.store.ranges import check_range, open_ranges, probe_clock
from archiver.store.request import (
    WORKERS,
    Client,
    add_digest,
    complete,
    digest,
    forget_dead_loop,
    s3_options,
    send_at_once,
)
from archiver.store.retry import DEADLINE, Retry
from archiver.store.unfinished import abort, is_upload, uploads
from archiver.store.versions import delete_versions, keeps_versions, refuse_lock, versions

T = TypeVar("T")

PART = 8 << 20
"""Bytes of one part of a multipart upload; what fits into two is put in one request."""

_PAGE = 1000
_SLOW_LINK = 256 * 1024
"""Bytes a second that a link carries at least: what a large body adds to the budget."""
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
        self._retry = Retry(self.url, deadline=deadline)
        self._bucket_seen = False
        self._lock = threading.Lock()
        self._connect()

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (_reopen, self.bucket, self.prefix, self.options, self.read_only, self.deadline)

    def _connect(self) -> None:
        import s3fs

        try:
            options = s3_options(self.options)
            self.workers = max(1, min(WORKERS, int(options["config_kwargs"]["max_pool_connections"])))
            self._fs = s3fs.S3FileSystem(**options)
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigError(f"{self.url}: storage options do not fit s3: {error}") from error
        self._process = os.getpid()
        self._ready = False

    # -- the verbs -------------------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        check_key(key)
        check_range(key, start, end)
        if end is not None and end <= start:
            if self.stat(key) is None:
                raise NotFoundError(f"{key} is not in {self.url}")
            return b""
        ranged = start > 0 or end is not None
        header = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if ranged else {}

        async def read(client: Client) -> bytes:
            try:
                response = await client("get_object", Key=self._root + key, **header)
            except Exception as error:
                if status_of(error) == 416:
                    return b""  # begins at or beyond the end
                raise
            async with response["Body"] as body:
                data: bytes = await body.read()
            return complete(response, data, start, end)

        try:
            return self._run(read, f"read {key}", extra=0 if end is None else (end - start) / _SLOW_LINK)
        except NotFoundError as error:
            if code_of(error) != "NoSuchKey":
                self._require_bucket()
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
        from archiver.store.multipart import upload

        check_key(key)
        self.refuse_when_read_only(f"write {key}")
        return upload(self, key, PART, create=create)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        check_prefix(prefix)
        return self._pages(prefix)

    def stat(self, key: str) -> Entry | None:
        check_key(key)

        async def head(client: Client) -> Any:
            try:
                return await client("head_object", Key=self._root + key)
            except Exception as error:
                # An answer to HEAD has no body, so it does not say why it was refused: a GET does.
                if status_of(error) in (400, 403):
                    await client("get_object", Key=self._root + key, Range="bytes=0-0")
                raise

        try:
            found = self._run(head, f"read {key}")
        except NotFoundError:
            self._require_bucket()
            return None
        if "LastModified" not in found:
            raise StorageError(f"{self.url} does not answer as S3 does: check the endpoint")
        return Entry(key, int(found["ContentLength"]), _second(found["LastModified"]))

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        wanted = list(dict.fromkeys(keys))
        unfinished = [key for key in wanted if is_upload(key)]
        wanted = [key for key in wanted if not is_upload(key)]
        for key in wanted:
            check_key(key)
        aborted = zip(unfinished, self.map(partial(abort, self), unfinished), strict=True)
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
        return keeps_versions(self)

    def versions(self, prefix: str = "") -> Iterator[Version]:
        check_prefix(prefix)
        return versions(self, prefix) if keeps_versions(self) else iter(())

    def delete_versions(self, versions: Sequence[Version]) -> dict[str, StorageError]:
        self.refuse_when_read_only("delete")
        return delete_versions(self, versions)

    def refuse_locked(self) -> None:
        refuse_lock(self)

    def leftovers(self) -> Iterator[Entry]:
        return uploads(self)

    def now(self) -> datetime:
        return self._date() if self.read_only else probe_clock(self)

    def bucket_api(self) -> BucketApi:
        return BucketApi(self)

    # -- writing ---------------------------------------------------------------------------------------------

    def put_whole(self, key: str, data: bytes, *, only_new: bool = False) -> None:
        """Write an object in one request, checked by its digest on arrival."""
        name = self.object_name(key)
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_new else {}
        self.request("put_object", f"write {key}", body=data, Key=name, ContentMD5=digest(data), **condition)

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

    def _pages(self, prefix: str) -> Iterator[Entry]:
        token: dict[str, Any] = {}
        last = ""
        while True:
            page = self._page(f"list {prefix or 'objects'}", prefix, _PAGE, **token)
            for item in page.get("Contents", ()):
                key = item["Key"].removeprefix(self._root)
                if key.endswith("/") or not key:
                    continue  # consoles make such empty objects to show a folder
                if key <= last:
                    raise StorageError(
                        f"{self.url} lists its objects out of order: it cannot hold an archive"
                    )
                last = key
                yield Entry(key, int(item["Size"]), _second(item["LastModified"]))
            if not page.get("IsTruncated"):
                return
            following = page.get("NextContinuationToken")
            if not following or token.get("ContinuationToken") == following:
                raise StorageError(f"{self.url} broke off its listing: try again")
            token = {"ContinuationToken": following}

    def _page(self, action: str, prefix: str = "", size: int = 1, **token: Any) -> Mapping[str, Any]:
        """Ask for one page of a listing; an answer of something else than S3 must not look empty."""
        try:
            page: Mapping[str, Any] = self.request(
                "list_objects_v2", action, Prefix=self._root + prefix, MaxKeys=size, **token
            )
        except NotFoundError as error:
            raise StorageError(
                f"{self.url} answers {code_of(error)} to a listing: check the endpoint"
            ) from error
        if "IsTruncated" not in page:
            raise StorageError(f"{self.url} does not answer a listing as S3 does: check the endpoint")
        self._bucket_seen = True
        return page

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
        names = [{"Key": self._root + key} for key in keys]
        try:
            answer = self.request(
                "delete_objects", f"delete {len(keys)} objects", Delete={"Objects": names, "Quiet": True}
            )
        except StorageError as error:
            if error.__cause__ is None or code_of(error.__cause__) not in _NO_BULK:
                raise
            return [failed for failed in self.map(self._delete_one, keys) if failed]
        return list(answer.get("Errors", ()))

    def _delete_one(self, key: str) -> Mapping[str, Any]:
        try:
            self.request("delete_object", f"delete {key}", Key=self._root + key)
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

    def _date(self) -> datetime:
        answer = self._page("read the clock")
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)

    # -- requests --------------------------------------------------------------------------------------------

    def object_name(self, key: str) -> str:
        """Return the full name of an object in the bucket."""
        return self._root + key

    def request(self, method: str, action: str, *, body: bytes | None = None, **arguments: Any) -> Any:
        """Send one request of the S3 API to the bucket, under the retry layer, and return the parsed answer.

        method: the client's name of it, such as `put_object`; action: for the error text; body: bytes to
        send, which add to the budget what a slow link needs for them; arguments: of that API call, without
        Bucket.

        Raises the ArchiverError that the failure means; its __cause__ is the client's own exception.
        """
        if body is not None:
            arguments["Body"] = body
        extra = len(body or b"") / _SLOW_LINK

        async def send(client: Client) -> Any:
            return await client(method, **arguments)

        return self._run(send, action, extra=extra)

    def _run(self, work: Callable[[Client], Awaitable[T]], action: str, *, extra: float = 0.0) -> T:
        from fsspec.asyn import sync

        if os.getpid() != self._process:
            with self._lock:
                if os.getpid() != self._process:
                    forget_dead_loop()
                    self._connect()

        async def attempt(left: float) -> T:
            return await work(Client(self._fs, self.bucket, left))

        def once(left: float) -> T:
            self._prepare()
            result: T = sync(self._fs.loop, attempt, left)
            return result

        return self._retry(once, action, extra=extra)

    def _prepare(self) -> None:
        """Make the client, which may fetch credentials; what is wrong with the options shows here."""
        if self._ready:
            return
        with self._lock:
            try:
                client = self._fs.connect()
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{self.url}: storage options do not fit s3: {error}") from error
            pass_rules_through(client.meta.events)
            client.meta.events.register("before-sign.s3.PutObject", send_at_once, "archiver-send")
            host = client.meta.endpoint_url.partition("://")[2].partition("/")[0].partition(":")[0]
            if not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
                client.meta.events.register("before-sign.s3.DeleteObjects", add_digest, "archiver-digest")
            self._ready = True


def _second(moment: datetime) -> datetime:
    """Cut a time to the second: HEAD tells no more, LIST of some servers does, and they must agree."""
    return moment.astimezone(UTC).replace(microsecond=0)


def _reopen(bucket: str, prefix: str, options: dict[str, Any], read_only: bool, deadline: float) -> S3Store:
    return S3Store(bucket, prefix, options, read_only=read_only, deadline=deadline)
