"""What a request of S3 looks like: as botocore makes it for this user's configuration, and from then on without it.

botocore is asked how it makes a request of each kind: where it goes, what headers the configuration adds, how it is
signed. From that a form is made, which serves for all later ones. It is used only where it has proved that it gives,
byte for byte, what botocore gives; else botocore makes each request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from archiver.store.s3.options import digest
from archiver.store.s3.sigv4 import ALGORITHM, UNSIGNED, Identity, Scope, authorization, stamp_of
from archiver.store.s3.xml import write_deletion

_UNRESERVED = "-._~"
_NOT_QUOTED = "/" + _UNRESERVED
_OF_THE_CONNECTION = {"content-length", "expect", "transfer-encoding"}
_OF_THE_MOMENT = {
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "content-md5",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
}
"""Headers that are made anew for each request, or only count them."""
_CHECKSUMS = ("x-amz-checksum-", "x-amz-sdk-checksum-algorithm")
_HEADERS = {"Range": "range", "IfNoneMatch": "if-none-match"}
_QUERY = {
    "ContinuationToken": "continuation-token",
    "MaxKeys": "max-keys",
    "PartNumber": "partNumber",
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "UploadId": "uploadId",
}
_VALUED = frozenset(_QUERY.values())
_ELSEWHERE = ("Key", "Body", "ContentMD5", "Delete")

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "get_object": ("Key", "Range"),
    "head_object": ("Key",),
    "put_object": ("Key", "Body"),
    "upload_part": ("Key", "Body", "UploadId", "PartNumber"),
    "list_objects_v2": ("Prefix", "MaxKeys", "ContinuationToken", "StartAfter"),
    "delete_object": ("Key",),
    "delete_objects": ("Delete",),
}
"""What each call is tried with."""


class Request(NamedTuple):
    """What is to be sent.

    origin: scheme and address; path, query: percent-encoded, the parameters sorted; headers: names in lower case.
    """

    method: str
    origin: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Return path and parameters; one that only names what is meant, such as `uploads`, has no `=`."""
        if not self.query:
            return self.path
        if not self.query.endswith("=") and "=&" not in self.query:
            return f"{self.path}?{self.query}"
        pairs = (pair if pair[:-1] in _VALUED else pair.removesuffix("=") for pair in self.query.split("&"))
        return f"{self.path}?{'&'.join(pairs)}"


def read_request(method: str, url: str, headers: dict[str, str], body: bytes) -> Request:
    """Return a request that is given by its URL, without headers that belong to a connection."""
    parts = urlsplit(url)
    usual = ":443" if parts.scheme == "https" else ":80"
    pairs = (pair if "=" in pair else pair + "=" for pair in parts.query.split("&") if pair)
    kept = {name: value for name, value in headers.items() if name not in _OF_THE_CONNECTION}
    kept.setdefault("host", parts.netloc.removesuffix(usual))
    return Request(
        method, f"{parts.scheme}://{parts.netloc}", parts.path or "/", _in_order(pairs), kept, body
    )


@dataclass(frozen=True, slots=True)
class Form:
    """How requests of one kind are made. scope: where they are signed for, None: not at all; hashed: with their body."""

    method: str
    origin: str
    path: str
    query: str
    headers: dict[str, str]
    scope: Scope | None
    hashed: bool

    def fill(self, arguments: Mapping[str, Any], identity: Identity | None, moment: datetime) -> Request:
        """Return the request for arguments that `knows` knows."""
        body: bytes = arguments.get("Body", b"")
        if "Delete" in arguments:
            body = write_deletion(item["Key"] for item in arguments["Delete"]["Objects"])
        path = self.path
        if "Key" in arguments:
            path += quote(arguments["Key"], safe=_NOT_QUOTED)
        headers = self.headers.copy()
        if body or "Body" in arguments:  # Object Lock asks for it also where there is nothing
            headers["content-md5"] = digest(body)
        pairs = []
        for name, value in arguments.items():
            if name in _QUERY:
                pairs.append(f"{_QUERY[name]}={quote(str(value), safe=_UNRESERVED)}")
            elif name in _HEADERS:
                headers[_HEADERS[name]] = value
        query = _in_order([*self.query.split("&"), *pairs] if self.query else pairs) if pairs else self.query
        request = Request(self.method, self.origin, path, query, headers, body)
        if self.scope is not None and identity is not None:
            headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest() if self.hashed else UNSIGNED
            _sign(request, identity, self.scope, moment)
        return request


def knows(call: str, arguments: Iterable[str]) -> bool:
    """Tell whether a form of the call has a place for each argument."""
    return call in _ARGUMENTS and all(
        name in _QUERY or name in _HEADERS or name in _ELSEWHERE for name in arguments
    )


def learn(
    call: str,
    prepare: Callable[[str, Mapping[str, Any]], Request],
    identity: Identity | None,
    *,
    portable: bool,
) -> Form | None:
    """Return the form of a call, or None where botocore makes it in a way that no form can follow.

    prepare: has botocore make a request; portable: without the checksums that AWS alone knows.
    """
    first, second = (
        {name: sample for name, sample in samples.items() if name in _ARGUMENTS[call]} for samples in _SAMPLES
    )
    made = prepare(call, with_digest(first))
    scope = signed_for(made)
    if scope is None and "authorization" in made.headers:
        return None
    varying = tuple(f"{_QUERY[name]}=" for name in first if name in _QUERY)
    form = Form(
        made.method,
        made.origin,
        made.path.removesuffix(quote(first.get("Key", ""), safe=_NOT_QUOTED)),
        "&".join(pair for pair in made.query.split("&") if not pair.startswith(varying)),
        _lasting(made.headers, {_HEADERS[name] for name in first if name in _HEADERS}, portable=portable),
        scope,
        made.headers.get("x-amz-content-sha256") != UNSIGNED,
    )
    return form if _proven(form, prepare(call, with_digest(second)), second, identity, portable) else None


def _proven(
    form: Form, made: Request, arguments: Mapping[str, Any], identity: Identity | None, portable: bool
) -> bool:
    """Tell whether a form gives what botocore made of the same arguments, and whether we sign as it does."""
    if form.scope is not None and not signs_alike(made, identity):
        return False
    ours = form.fill(arguments, identity, datetime.now(UTC))
    if "Delete" in arguments:  # the same list of names may be written in several ways
        made = made._replace(body=ours.body)
    elif ours.headers.get("x-amz-content-sha256") != made.headers.get("x-amz-content-sha256"):
        return False
    lasting = _lasting(ours.headers, portable=portable), _lasting(made.headers, portable=portable)
    return lasting[0] == lasting[1] and ours._replace(headers={}) == made._replace(headers={})


def signed_for(request: Request) -> Scope | None:
    """Return where a request is signed for, None when it is not, or in another way than ours."""
    algorithm, _, rest = request.headers.get("authorization", "").partition(" Credential=")
    parts = rest.partition(",")[0].split("/")
    if algorithm != ALGORITHM or len(parts) < 5:
        return None
    return Scope(parts[-3], parts[-2])


def signs_alike(request: Request, identity: Identity | None) -> bool:
    """Tell whether we would sign a request of botocore's exactly as it did."""
    scope = signed_for(request)
    if scope is None or identity is None or "x-amz-date" not in request.headers:
        return False
    if request.headers.get("x-amz-security-token") != identity.token:
        return False
    return request.headers["authorization"] == _authorization(
        request, identity, scope, request.headers["x-amz-date"]
    )


def without_checksums(request: Request) -> Request:
    """Return a request with the digest that every server knows in the place of checksums that only some know."""
    headers = {name: value for name, value in request.headers.items() if not name.startswith(_CHECKSUMS)}
    if len(headers) != len(request.headers) and request.body:
        headers.setdefault("content-md5", digest(request.body))
    return request._replace(headers=headers)


def signed_again(request: Request, identity: Identity, moment: datetime) -> Request:
    """Return a signed request with a new signature."""
    scope = signed_for(request)
    if scope is None:
        return request
    again = request._replace(headers=request.headers.copy())
    _sign(again, identity, scope, moment)
    return again


def _sign(request: Request, identity: Identity, scope: Scope, moment: datetime) -> None:
    headers = request.headers
    headers["x-amz-date"] = stamp = stamp_of(moment)
    if identity.token:
        headers["x-amz-security-token"] = identity.token
    headers["authorization"] = _authorization(request, identity, scope, stamp)


def _authorization(request: Request, identity: Identity, scope: Scope, stamp: str) -> str:
    payload = request.headers.get("x-amz-content-sha256", "")
    return authorization(
        request.method, request.path, request.query, request.headers, payload, identity, scope, stamp
    )


def _lasting(headers: Mapping[str, str], without: Iterable[str] = (), *, portable: bool) -> dict[str, str]:
    """Return the headers that all requests of a kind have."""
    drop = {*_OF_THE_MOMENT, *without}
    return {
        name: value
        for name, value in headers.items()
        if name not in drop and not (portable and name.startswith(_CHECKSUMS))
    }


def with_digest(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the digest of a body, which a form adds by itself, to what botocore is given."""
    return {**arguments, "ContentMD5": digest(arguments["Body"])} if "Body" in arguments else arguments


def _in_order(pairs: Iterable[str]) -> str:
    return "&".join(sorted(pairs, key=lambda pair: pair.split("=", 1)))


_SAMPLES: tuple[dict[str, Any], dict[str, Any]] = tuple(  # type: ignore[assignment] # two, as the next lines show
    {
        "Key": key,
        "Body": key.encode(),
        "Range": f"bytes={number}-",
        "UploadId": f"u+{number}",
        "PartNumber": number,
        "Prefix": key,
        "MaxKeys": number,
        "StartAfter": key,
        "ContinuationToken": f"{number}/=+",
        "Delete": {"Objects": [{"Key": key}], "Quiet": True},
    }
    for number, key in enumerate(("a/b", "k=1/ü &+%~'(*)!@;:,$/x.y-z_"), 1)
)
