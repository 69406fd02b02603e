"""What binds a process to a bucket: botocore's client, the credentials it found, and the connections."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from archiver.store.failures import S3Error
from archiver.store.s3.connections import Answer
from archiver.store.s3.form import (
    Form,
    Request,
    knows,
    learn,
    read_request,
    signed_again,
    signs_alike,
    with_digest,
    without_checksums,
)
from archiver.store.s3.options import digest
from archiver.store.s3.settings import Settings, fetched, make_session
from archiver.store.s3.sigv4 import Identity
from archiver.store.s3.transport import Transports, make_transport, verification
from archiver.store.s3.xml import read_error

BUCKET_REGION = "x-amz-bucket-region"
_MOST_SENT = 4
"""Requests that one call of botocore's may send: it asks where a bucket is, and some servers never say."""


class Link:
    """One botocore client and what was learned from it."""

    def __init__(
        self,
        bucket: str,
        settings: Settings,
        transports: Transports,
        skew: timedelta,
        region: str | None,
    ) -> None:
        """Make the client; region: where the bucket turned out to be.

        Raises TypeError, ValueError and what botocore raises.
        """
        from botocore.config import Config

        self.bucket = bucket
        self.skew = skew
        """How far the server's clock is ahead."""
        self._settings = settings
        self._transports = transports
        self._forms: dict[str, Form | None] = {}
        self._lock = threading.RLock()
        self._turn = _Turn()
        self._session, self._provider = make_session(settings)
        given = settings.client if region is None else {**settings.client, "region_name": region}
        self._client = self._session.create_client("s3", config=Config(**settings.config), **given)
        self._verify = verification(self._session, settings.client.get("verify"))
        events = self._client.meta.events
        events.register("before-call.s3", self._put_bytes, "archiver-bytes")
        events.register("before-send.s3", self._send_made, "archiver-send")

    def identity(self) -> Identity | None:
        """Return who signs now; credentials that end soon are fetched anew."""
        if self._provider is None:
            return None
        found = fetched(self._provider.get_frozen_credentials)
        return Identity(found.access_key, found.secret_key, found.token)

    def send(self, method: str, arguments: Mapping[str, Any], left: float) -> Answer:
        """Send one of the calls that are asked often and return the answer as it came."""
        form = self._form(method) if knows(method, arguments) else None
        if form is not None:
            request = form.fill(arguments, self.identity(), self._now())
        else:
            request = self._finished(self._made(method, with_digest(arguments)))
        return self._pass(request, left)

    def call(
        self, method: str, arguments: Mapping[str, Any], xml: bytes | None, left: float
    ) -> tuple[Any, bytes]:
        """Let botocore make a request and read the answer; return also the answer's bytes."""
        self._turn.begin(left=left, xml=xml)
        answer = getattr(self._client, method)(**self._complete(method, arguments))
        return answer, self._turn.received

    @property
    def region(self) -> str:
        """Where requests are signed for."""
        return str(self._client.meta.region_name)

    def home(self, left: float) -> str:
        """Ask in which region the bucket is; empty where the server does not say."""
        answer = self._pass(self._finished(self._made("head_bucket", {})), left)
        return answer.headers.get(BUCKET_REGION, "")

    # -- how requests are made -------------------------------------------------------------------------------

    def _form(self, method: str) -> Form | None:
        try:
            return self._forms[method]
        except KeyError:
            pass
        with self._lock:
            if method not in self._forms:
                self._forms[method] = learn(
                    method, self._made, self.identity(), portable=self._settings.portable
                )
            return self._forms[method]

    def _made(self, method: str, arguments: Mapping[str, Any]) -> Request:
        """Have botocore make and sign a request, and send nothing."""
        self._turn.begin(caught=True)
        try:
            getattr(self._client, method)(**self._complete(method, arguments))
        except _MadeError as made:
            return made.request
        raise TypeError(f"botocore makes no request of {method}")

    def _complete(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Add what the user asked for on every request that takes it: encryption, requester pays."""
        meta = self._client.meta
        takes = meta.service_model.operation_model(meta.method_to_api_mapping[method]).input_shape.members
        always = {name: value for name, value in self._settings.always.items() if name in takes}
        return {**always, "Bucket": self.bucket, **arguments}

    def _finished(self, made: Request) -> Request:
        """Return a request of botocore's with our rules for headers, if we can sign it."""
        wanted = without_checksums(made) if self._settings.portable else made
        if "authorization" not in made.headers:
            return wanted
        identity = self.identity()
        borrowed = self._settings.borrowed is not None
        if identity is None or not (borrowed or signs_alike(made, identity)):
            return made  # what we could not sign as botocore does is sent as it is
        changed = borrowed or self.skew or wanted != made
        return signed_again(wanted, identity, self._now()) if changed else made

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.skew

    # -- how they are sent -----------------------------------------------------------------------------------

    def _put_bytes(self, params: dict[str, Any], **_: Any) -> None:
        if self._turn.xml is not None:
            params["body"] = self._turn.xml
            params["headers"]["Content-MD5"] = digest(self._turn.xml)

    def _send_made(self, request: Any, **_: Any) -> Any:
        """Take the place of botocore's own way to the wire."""
        from botocore.awsrequest import AWSResponse

        made = _read(request)
        if self._turn.caught:
            raise _MadeError(made)
        answer = self._pass(self._finished(made), self._turn.until - time.monotonic())
        self._turn.received = answer.body
        self._turn.sent += 1
        if self._turn.sent > _MOST_SENT:
            raise S3Error(read_error(answer.status, answer.headers, answer.body))
        return AWSResponse(request.url, answer.status, answer.headers, _Body(answer.body))

    def _pass(self, request: Request, left: float) -> Answer:
        transport = self._transports.get(request.origin)
        if transport is None:
            with self._lock:
                transport = self._transports.get(request.origin)
                if transport is None:
                    transport = make_transport(
                        request.origin, self._client.meta.config, self._verify, self._settings.workers
                    )
                    self._transports[request.origin] = transport
        return transport.send(request.method, request.target, request.headers, request.body, left)


class _Turn(threading.local):
    """What this thread's call through botocore is for."""

    caught = False
    xml: bytes | None = None
    until = 0.0
    received = b""
    sent = 0

    def begin(self, *, caught: bool = False, xml: bytes | None = None, left: float = 0.0) -> None:
        self.caught, self.xml, self.until = caught, xml, time.monotonic() + left
        self.received, self.sent = b"", 0


class _MadeError(BaseException):
    """Carries a request out of botocore, which catches every Exception on the way."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


class _Body(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _read(request: Any) -> Request:
    """Read a request that botocore has prepared."""
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    headers = {
        str(name).lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    return read_request(
        request.method, request.url, headers, body.encode() if isinstance(body, str) else bytes(body)
    )
