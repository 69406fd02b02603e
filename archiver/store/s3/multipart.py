"""Streaming a large object to S3 in parts: nothing shows before the last step, nothing stays on a failure."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from archiver.errors import ArchiverError, StorageError
from archiver.store.contract import Store, taken_error
from archiver.store.failures import NO_CONDITION, code_of, status_of
from archiver.store.s3.client import S3Client

_AT_ONCE = 3
_GROW_AFTER = 5000
"""Parts after which they get larger, as 10,000 are allowed; some stores want equal ones, so not sooner."""


@contextmanager
def upload(
    store: Store, client: S3Client, key: str, name: str, part: int, *, create: bool
) -> Iterator[BinaryIO]:
    """Stream an object in parts of so many bytes; what fits into two goes in one request.

    name: of the object in the client's bucket; create: replace nothing.
    """
    stream = _Parts(store, client, key, name, part, create)
    try:
        yield cast(BinaryIO, stream)
        stream.finish()
    except BaseException:
        stream.abandon()
        raise


class _Parts(io.RawIOBase):
    def __init__(self, store: Store, client: S3Client, key: str, name: str, part: int, create: bool) -> None:
        self._store, self._client, self._key, self._name = store, client, key, name
        self._part, self._create = part, create
        self._buffer = bytearray()
        self._size = 0
        self._upload = ""
        self._sent: list[dict[str, Any]] = []
        self._number = 0
        self._pending: deque[Future[dict[str, Any]]] = deque()
        self._threads: ThreadPoolExecutor | None = None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        count = memoryview(data).nbytes
        self._buffer += data
        self._size += count
        if not self._upload and len(self._buffer) > 2 * self._part:
            self._begin()
        while self._upload and len(self._buffer) > self._part_size():
            self._send(self._part_size())
        return count

    def finish(self) -> None:
        """Make the object visible."""
        # Some servers pass over the condition, so what is there is looked for first.
        if self._create and self._store.stat(self._key) is not None:
            raise taken_error(self._key, self._store.url)
        if not self._upload:
            self._store.put(self._key, bytes(self._buffer), create=self._create)
            return
        if self._buffer:
            self._send(len(self._buffer))
        self._collect(0)
        self._complete()
        self._stop()

    def abandon(self) -> None:
        """Remove what was sent; parts of an unfinished upload are paid for and not listed."""
        self._stop()
        if self._upload:
            with suppress(ArchiverError):
                self._request("abort_multipart_upload", UploadId=self._upload)

    def _begin(self) -> None:
        self._upload = str(self._request("create_multipart_upload")["UploadId"])
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="archiver-upload")

    def _part_size(self) -> int:
        return self._part * (1 + self._number // _GROW_AFTER * 7)

    def _send(self, size: int) -> None:
        assert self._threads is not None  # noqa: S101 - for the type checker; _begin made it
        with memoryview(self._buffer) as view:
            data = bytes(view[:size])
        del self._buffer[:size]
        self._number += 1
        self._collect(_AT_ONCE - 1)
        self._pending.append(self._threads.submit(self._send_part, self._number, data))

    def _send_part(self, number: int, data: bytes) -> dict[str, Any]:
        tag = self._client.put_part(self._name, self._upload, number, data, f"write {self._key}")
        return {"PartNumber": number, "ETag": tag}

    def _collect(self, leave: int) -> None:
        while len(self._pending) > leave:
            self._sent.append(self._pending.popleft().result())

    def _complete(self) -> None:
        condition: dict[str, Any] = (
            {"IfNoneMatch": "*"} if self._create and self._store.conditional is not False else {}
        )
        parts = {"Parts": self._sent}
        try:
            self._request(
                "complete_multipart_upload", UploadId=self._upload, MultipartUpload=parts, **condition
            )
        except StorageError as error:
            if error.__cause__ is None:
                raise
            if status_of(error.__cause__) == 412:
                raise taken_error(self._key, self._store.url) from None
            if condition and code_of(error.__cause__) in NO_CONDITION:
                self._store.conditional = False
                self._complete()
                return
            if code_of(error.__cause__) != "NoSuchUpload":
                raise
            # An earlier attempt of ours completed it, and only its answer was lost; or somebody aborted it.
            there = self._request("head_object")
            if int(there["ContentLength"]) != self._size or not str(there["ETag"]).strip('"').endswith(
                f"-{len(self._sent)}"
            ):
                raise

    def _stop(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def _request(self, method: str, **arguments: Any) -> Any:
        return self._client.call(method, f"write {self._key}", Key=self._name, **arguments)
