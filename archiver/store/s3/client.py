"""The one client of S3: every request to a bucket, its headers, its signature, its retries and its errors.

What is asked often is made and read here; for the rest botocore makes the request and reads the answer. Both take
credentials, region, endpoint and whatever the user configured from botocore, and both go over the same connections.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from archiver.errors import ConfigError
from archiver.store.failures import S3Error, TruncatedError, code_of, response_of, status_of
from archiver.store.limits import SLOW_LINK
from archiver.store.retry import DEADLINE, Retry
from archiver.store.s3.connections import Answer
from archiver.store.s3.link import BUCKET_REGION, Link
from archiver.store.s3.settings import read_options
from archiver.store.s3.sigv4 import Identity
from archiver.store.s3.transport import Transports
from archiver.store.s3.xml import Page, is_error, read_error, read_failures, read_page

T = TypeVar("T")

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_ASK_SECONDS = 5.0
_SAME_CLOCK = timedelta(seconds=5)
"""An answer may be that much older than the clock it shows."""


class S3Client:
    """Requests to one bucket. From any number of threads; after a fork in either process.

    Every method takes `action`: what is being done, for the error text, such as `read runs/x`; and raises the
    ArchiverError that a failure means, whose __cause__ tells the code of S3.
    """

    def __init__(
        self, bucket: str, options: Mapping[str, Any], *, shown: str, deadline: float = DEADLINE
    ) -> None:
        """Take the storage options of s3fs; nothing is requested yet. shown: the URL for error texts."""
        self.bucket = bucket
        self._shown = shown
        self._retry = Retry(shown, deadline=deadline)
        try:
            self._settings = read_options(options)
            self.workers = self._settings.workers
        except (TypeError, KeyError, ValueError) as error:
            raise self._misfit(error) from error
        self._transports = Transports()
        self._begin()
        weakref.finalize(self, self._transports.close)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._skew = timedelta()
        self._region: str | None = None

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._transports.close()

    # -- what is asked often ---------------------------------------------------------------------------------

    def get(self, name: str, action: str, start: int = 0, end: int | None = None) -> bytes:
        """Return an object, or its bytes from start to before end, clipped to its size."""
        arguments = {"Key": name}
        if start > 0 or end is not None:
            arguments["Range"] = f"bytes={start}-{'' if end is None else end - 1}"

        def read(link: Link, left: float) -> bytes:
            try:
                return complete(self._sent(link, "get_object", arguments, left), start, end)
            except S3Error as error:
                if error.status == 416:
                    return b""  # begins at or beyond the end
                raise

        return self._run(read, action, extra=0 if end is None else (end - start) / SLOW_LINK)

    def head(self, name: str, action: str) -> dict[str, str]:
        """Return the headers of an object, names in lower case."""
        arguments = {"Key": name}

        def ask(link: Link, left: float) -> dict[str, str]:
            try:
                return self._sent(link, "head_object", arguments, left).headers
            except S3Error as error:
                if error.status not in (400, 403):
                    raise
                # An answer to HEAD has no body, so it does not say why it was refused: a GET does.
                self._sent(link, "get_object", {**arguments, "Range": "bytes=0-0"}, left)
            return self._sent(link, "head_object", arguments, left).headers

        return self._run(ask, action)

    def put(self, name: str, data: bytes, action: str, *, only_new: bool = False) -> None:
        """Write an object in one request, checked by its digest on arrival. only_new: unless there is one."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        self._ask("put_object", action, Key=name, Body=data, **condition)

    def put_part(self, name: str, upload: str, number: int, data: bytes, action: str) -> str:
        """Send one part of an upload, checked by its digest on arrival; return its ETag."""
        answer = self._ask("upload_part", action, Key=name, Body=data, UploadId=upload, PartNumber=number)
        return answer.headers.get("etag", "")

    def page(
        self, prefix: str, action: str, *, size: int, token: str | None = None, after: str | None = None
    ) -> Page:
        """Return up to so many objects whose names begin with a prefix, in the order of the server.

        token: that of the page before; after: the name that those wanted come after.
        """
        arguments: dict[str, Any] = {"Prefix": prefix, "MaxKeys": size}
        if token:
            arguments["ContinuationToken"] = token
        if after:
            arguments["StartAfter"] = after
        return self._run(
            lambda link, left: read_page(self._sent(link, "list_objects_v2", arguments, left).body), action
        )

    def clock(self, action: str) -> datetime:
        """Return the time of the server."""
        answer = self._ask("list_objects_v2", action, Prefix="", MaxKeys=1)
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)

    def delete(self, name: str, action: str) -> None:
        """Delete an object; an absent one is fine."""
        self._ask("delete_object", action, Key=name)

    def delete_many(self, names: Sequence[str], action: str) -> list[dict[str, str]]:
        """Delete up to 1,000 objects; return what was not: Key, Code and Message."""
        objects = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        return self._run(
            lambda link, left: read_failures(
                self._sent(link, "delete_objects", {"Delete": objects}, left).body
            ),
            action,
        )

    # -- what is asked rarely --------------------------------------------------------------------------------

    def call(self, method: str, action: str, *, body: bytes | None = None, **arguments: Any) -> Any:
        """Send any request of the S3 API and return the answer as botocore reads it.

        method: botocore's name of it, such as `put_object`; body: bytes to send; arguments: of that call, without
        Bucket.
        """
        if body is not None:
            arguments["Body"] = body
        return self.exchange(method, action, **arguments)[0]

    def exchange(
        self, method: str, action: str, *, xml: bytes | None = None, **arguments: Any
    ) -> tuple[Any, bytes]:
        """Do what `call` does; return also the answer's own bytes. xml: sent as it is, instead of the arguments."""
        extra = len(arguments.get("Body") or b"") / SLOW_LINK
        return self._run(lambda link, left: link.call(method, arguments, xml, left), action, extra=extra)

    # -- attempts --------------------------------------------------------------------------------------------

    def _ask(self, method: str, action: str, **arguments: Any) -> Answer:
        extra = len(arguments.get("Body") or b"") / SLOW_LINK
        return self._run(lambda link, left: self._sent(link, method, arguments, left), action, extra=extra)

    def _sent(self, link: Link, method: str, arguments: Mapping[str, Any], left: float) -> Answer:
        answer = link.send(method, arguments, left)
        # Some refuse after they have sent a status of success; only what is stored may look like anything.
        late = method != "get_object" and is_error(answer.body)
        if answer.status >= 300 or late:
            raise S3Error(read_error(answer.status, answer.headers, answer.body))
        return answer

    def _run(self, work: Callable[[Link, float], T], action: str, *, extra: float = 0.0) -> T:
        return self._retry(lambda left: self._cured(work, left), action, extra=extra)

    def _cured(self, work: Callable[[Link, float], T], left: float) -> T:
        """Do work; where the answer says what would help, do that and the work once more, at once."""
        until = time.monotonic() + left
        tried: set[Callable[..., bool]] = set()
        while True:
            link = self._linked()
            used = link.identity()
            try:
                return work(link, max(until - time.monotonic(), 0.001))
            except Exception as error:
                cure = self._cure(error)
                if cure is None or cure in tried or not cure(link, used, error):
                    raise
                tried.add(cure)

    # -- what helps ------------------------------------------------------------------------------------------

    def _cure(self, error: Exception) -> Callable[[Link, Identity | None, Exception], bool] | None:
        response = response_of(error)
        if response is None:
            return None
        code = code_of(error)
        if code == "RequestTimeTooSkewed":
            return self._set_clock
        if code in _EXPIRED:
            return self._renew
        # A HEAD does not say more than 400.
        headed = status_of(error) == 400 and BUCKET_REGION in response["ResponseMetadata"]["HTTPHeaders"]
        if code in _ELSEWHERE or status_of(error) in (301, 302, 307) or headed:
            return self._move
        return None

    def _set_clock(self, link: Link, _used: Identity | None, error: Exception) -> bool:
        """Count time as the server does."""
        headers = (response_of(error) or {})["ResponseMetadata"].get("HTTPHeaders", {})
        try:
            shown = parsedate_to_datetime(headers["date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return False
        skew = shown - datetime.now(UTC)
        if abs(skew - link.skew) < _SAME_CLOCK:
            return False
        self._skew = link.skew = skew
        return True

    def _renew(self, link: Link, used: Identity | None, _error: Exception) -> bool:
        """Look for credentials anew, as a new process would: a tool may have written others since."""
        with self._lock:
            if self._link is link:
                self._link = None
        return self._linked().identity() != used

    def _move(self, link: Link, _used: Identity | None, error: Exception) -> bool:
        """Go to the region where the bucket is."""
        response = response_of(error) or {}
        region = response["ResponseMetadata"].get("HTTPHeaders", {}).get(BUCKET_REGION)
        region = region or response["Error"].get("Region") or link.home(_ASK_SECONDS)
        if not region or region == link.region:
            return False
        with self._lock:
            if self._link is link:
                self._region, self._link = region, None
        return True

    # -- the link --------------------------------------------------------------------------------------------

    def _linked(self) -> Link:
        """Return the link to the server; making it may fetch credentials, and shows what is wrong with the options."""
        if os.getpid() != self._process:
            self._begin()
        link = self._link
        if link is None:
            with self._lock:
                link = self._link
                if link is None:
                    try:
                        link = Link(self.bucket, self._settings, self._transports, self._skew, self._region)
                    except (TypeError, ValueError) as error:
                        raise self._misfit(error) from error
                    self._link = link
        return link

    def _misfit(self, error: Exception) -> ConfigError:
        return ConfigError(f"{self._shown}: storage options do not fit s3: {error}")


def complete(answer: Answer, start: int, end: int | None) -> bytes:
    """Return the bytes asked for, or raise TruncatedError when others came."""
    data = answer.body
    span = answer.headers.get("content-range", "")
    if not span:
        return data[start:end] if start or end is not None else data  # no range, or the server knows none
    size = int(span.rpartition("/")[2])
    if len(data) != min(size, size if end is None else end) - start:
        raise TruncatedError(f"{span} arrived, {start}-{'' if end is None else end - 1} was asked for")
    return data
