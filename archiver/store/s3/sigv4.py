"""Signature Version 4: proves to an S3 server who sends a request, and that it arrives as it was sent."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
STAMP = "%Y%m%dT%H%M%SZ"

_NOT_SIGNED = frozenset(
    (
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    )
)
"""What a client adds after it has signed, and what proxies change on the way."""


class Identity(NamedTuple):
    """Who signs: an access key, its secret, and the token that goes with temporary ones."""

    access_key: str
    secret_key: str
    token: str | None = None


class Scope(NamedTuple):
    """Where a signature is valid."""

    region: str
    service: str = "s3"


def authorization(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload: str,
    identity: Identity,
    scope: Scope,
    stamp: str,
) -> str:
    """Return the value of the header Authorization.

    path, query: as they are sent, percent-encoded, the parameters sorted; headers: all that are sent, names in lower
    case, `host` among them; payload: the hex sha256 of the body, or UNSIGNED; stamp: the time as in `x-amz-date`.
    """
    signed = sorted((name, value) for name, value in headers.items() if name not in _NOT_SIGNED)
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in signed)
    request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
    day = stamp[:8]
    place = f"{day}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{stamp}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(identity.secret_key, day, scope), text.encode(), "sha256").hex()
    return (
        f"{ALGORITHM} Credential={identity.access_key}/{place}, SignedHeaders={names}, Signature={signature}"
    )


def stamp_of(moment: datetime) -> str:
    """Return a moment (UTC) as `x-amz-date` has it."""
    return moment.strftime(STAMP)


@lru_cache(maxsize=32)
def _signing_key(secret: str, day: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
