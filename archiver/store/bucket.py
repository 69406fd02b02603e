"""What an S3 server does for a whole bucket: its lifecycle rules, as the very XML; and single calls for
probes.

Clients parse rules into the fields they know and drop the rest, so a rule of a newer kind would be lost when
the set is written back. Here the bytes go through untouched.
"""

from __future__ import annotations

import base64
import hashlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from archiver.errors import NotFoundError, StorageError
from archiver.store.failures import code_of, status_of

if TYPE_CHECKING:
    from archiver.store.s3 import S3Store

_NONE = "NoSuchLifecycleConfiguration"
_UNSUPPORTED = {
    "NotImplemented",
    "MethodNotAllowed",
    "NotSupported",
    "UnsupportedOperation",
    "XNotImplemented",
}
_REJECTED = {"MalformedXML", "InvalidRequest", "InvalidArgument"}
_LEAST = "x-amz-transition-default-minimum-object-size"


class RuleSet(NamedTuple):
    """The lifecycle configuration of a bucket: its XML, and the smallest object it moves, as the header says it."""

    xml: bytes
    least: str = ""


class RejectedError(StorageError):
    """The server says that it will not take what was sent, whoever sends it."""


class UnsupportedError(RejectedError):
    """The server does not know this call."""


@dataclass(slots=True)
class _Exchange:
    sent: bytes | None = None
    received: bytes | None = None


_exchange: ContextVar[_Exchange | None] = ContextVar("archiver_bucket_exchange", default=None)


class BucketApi:
    """The calls that concern a bucket as a whole. `root` is the archive's prefix in it: empty, or ends with `/`."""

    def __init__(self, store: S3Store) -> None:
        """Take the store whose bucket is meant."""
        self.name = store.bucket
        self.url = store.url
        self.root = store.object_name("")
        self._store = store

    def rules(self) -> RuleSet | None:
        """Read the lifecycle rules, or None when there are none. Raises UnsupportedError, StorageError."""
        exchange = _Exchange()
        token = _exchange.set(exchange)
        try:
            answer = self.call("get_bucket_lifecycle_configuration", "read the lifecycle rules")
        except StorageError as error:
            if error.__cause__ is not None and code_of(error.__cause__) == _NONE:
                return None
            raise
        finally:
            _exchange.reset(token)
        xml = exchange.received or b""
        if b"LifecycleConfiguration" not in xml[:1000]:
            # Servers that do not know `?lifecycle` answer as if it were not there: with a list of objects.
            raise UnsupportedError(f"{self.url} does not know lifecycle rules: it answers something else")
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return RuleSet(xml, str(headers.get(_LEAST, "")))

    def replace_rules(self, rules: RuleSet | None) -> None:
        """Write the whole set of lifecycle rules; None removes it. Raises UnsupportedError, StorageError."""
        self._store.refuse_when_read_only("change the lifecycle rules")
        if rules is None:
            self.call("delete_bucket_lifecycle", "remove the lifecycle rules")
            return
        exchange = _Exchange(sent=rules.xml)
        token = _exchange.set(exchange)
        least: dict[str, Any] = {"TransitionDefaultMinimumObjectSize": rules.least} if rules.least else {}
        try:
            # The argument is a placeholder: what is sent is put in its place by _put_bytes.
            self.call(
                "put_bucket_lifecycle_configuration",
                "write the lifecycle rules",
                LifecycleConfiguration={"Rules": []},
                **least,
            )
        finally:
            _exchange.reset(token)

    def versioning(self) -> str:
        """Return `Enabled`, `Suspended`, or an empty text for a bucket that keeps no old versions."""
        return str(self.call("get_bucket_versioning", "read the versioning").get("Status", ""))

    def call(self, method: str, action: str, *, body: bytes | None = None, **arguments: Any) -> Any:
        """Send one request of the S3 API to the bucket and return the parsed answer.

        method: the client's name of it; action: for the error text; arguments: of that call, without Bucket.

        Raises UnsupportedError where the server does not know the call, RejectedError where it refuses what the call
        says, else StorageError.
        """
        try:
            return self._store.request(method, action, body=body, **arguments)
        except NotFoundError as error:
            raise StorageError(str(error)) from error.__cause__
        except StorageError as error:
            cause = error.__cause__
            if cause is not None and (code_of(cause) in _UNSUPPORTED or status_of(cause) in (405, 501)):
                raise UnsupportedError(f"{self.url} cannot {action}: its server does not know how") from cause
            if cause is not None and code_of(cause) in _REJECTED:
                raise RejectedError(str(error)) from cause
            raise


def pass_rules_through(events: Any) -> None:
    """Make a client send and keep the bytes of lifecycle rules as they are."""
    events.register("before-call.s3.PutBucketLifecycleConfiguration", _put_bytes, "archiver-rules-sent")
    events.register("before-parse.s3.GetBucketLifecycleConfiguration", _keep_bytes, "archiver-rules-received")


def _put_bytes(params: dict[str, Any], **_: Any) -> None:
    exchange = _exchange.get()
    if exchange is not None and exchange.sent is not None:
        params["body"] = exchange.sent
        digest = hashlib.md5(exchange.sent, usedforsecurity=False).digest()
        params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def _keep_bytes(response_dict: dict[str, Any], **_: Any) -> None:
    exchange = _exchange.get()
    if exchange is not None:
        exchange.received = bytes(response_dict["body"])
