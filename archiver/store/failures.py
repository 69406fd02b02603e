"""What an exception of a backend means: which error of ours, and whether another attempt may succeed."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from archiver.errors import (
    AccessError,
    ArchiverError,
    ConfigError,
    NotFoundError,
    StorageError,
    StorageFullError,
)

NO_CONDITION = {"NotImplemented", "InvalidArgument", "InvalidRequest", "501"}
"""What servers answer that know no conditional writes."""
UNKNOWN_CALL = (400, 404, 405, 501)
"""How servers answer to a call that they do not know: of locks, of versions, of uploads."""
_TRANSIENT_CODES = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "OperationAborted",
    "ConditionalRequestConflict",
}
_ACCESS_CODES = {
    "AccessDenied",
    "AllAccessDisabled",
    "AccountProblem",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "InvalidSecurity",
    "NotSignedUp",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "AuthorizationHeaderMalformed",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}
_FULL_CODES = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity", "507"}
# By name, because these classes belong to libraries that are loaded only when a store uses them.
_TRANSIENT_CLASSES = {
    "HTTPClientError",
    "ConnectionError",
    "ConnectionClosedError",
    "EndpointConnectionError",
    "ResponseParserError",
    "IncompleteRead",
    "ClientError",  # aiohttp's; botocore's has a response and is judged by it
    "ServiceRequestError",
    "ServiceResponseError",
    "HttpError",
    "FSTimeoutError",
    "IncompleteReadError",
    "HTTPException",
    "SSLError",
    "gaierror",
}
_ACCESS_CLASSES = {
    "CredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "SSOError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "RefreshError",
    "DefaultCredentialsError",
    "ClientAuthenticationError",
}
_CONFIG_CLASSES = {"ProfileNotFound", "ParamValidationError", "InvalidConfigError", "InvalidRegionError"}
_CERTIFICATE_CLASSES = {"SSLCertVerificationError", "ClientConnectorCertificateError"}
_FULL_NUMBERS = {errno.ENOSPC, errno.EDQUOT}
_NETWORK_NUMBERS = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT}
_TRANSIENT_NUMBERS = {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO), errno.EAGAIN}


class TruncatedError(Exception):
    """A body ended before the length that was announced."""


class CredentialsError(Exception):
    """Credentials could not be fetched, because a file or a program of the user's is not as it should be."""


class S3Error(Exception):
    """An S3 server refused a request. response: why, as botocore would say it."""

    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__(f"the store answered {response['Error']['Code']}")
        self.response = response

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return int(self.response["ResponseMetadata"]["HTTPStatusCode"])


class Failure(NamedTuple):
    """What an exception means: the error to raise, and whether another attempt may succeed."""

    error: ArchiverError
    again: bool


def judge(error: BaseException, shown: str, action: str) -> Failure:
    """Say what an exception of a backend means.

    shown: the store's URL without credentials; action: what was being done, such as `read runs/x`.
    """
    what = f"cannot {action} in {shown}"
    response = response_of(error)
    if response is not None:
        return judge_response(response, what)
    names = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    reason = _one_line(error)
    if names & _CERTIFICATE_CLASSES or "certificate verify failed" in reason.lower().replace("_", " "):
        return Failure(StorageError(f"{what}: its certificate is not trusted ({reason})"), False)
    if "NoCredentialsError" in names:
        return Failure(
            AccessError(f"{what}: no credentials were found; log in, or set AWS_PROFILE or keys"), False
        )
    if names & _ACCESS_CLASSES:
        return Failure(
            AccessError(f"{what}: no credentials could be fetched ({reason}); log in, or correct them"), False
        )
    if names & _CONFIG_CLASSES:
        return Failure(ConfigError(f"{what}: {reason}"), False)
    if isinstance(error, FileNotFoundError) and _without_answer(error.__cause__):
        return judge(error.__cause__, shown, action)
    if isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
        return Failure(NotFoundError(f"{what}: it is not there"), False)
    if isinstance(error, PermissionError) or web_status(error) in (401, 403):
        return Failure(AccessError(f"{what}: access denied; {_CREDENTIALS}"), False)
    if isinstance(error, OSError) and error.errno in _FULL_NUMBERS:
        return Failure(StorageFullError(f"{what}: no space is left; free some"), False)
    if isinstance(error, TimeoutError) or "FSTimeoutError" in names:
        return Failure(StorageError(f"{what}: no answer in time; check the network and the endpoint"), True)
    unreachable = isinstance(error, OSError) and error.errno in _NETWORK_NUMBERS
    if isinstance(error, (TruncatedError, ConnectionError)) or unreachable or names & _TRANSIENT_CLASSES:
        return Failure(StorageError(f"{what}: {reason}; check the network and the endpoint"), True)
    if isinstance(error, OSError):
        return Failure(StorageError(f"{what}: {reason}"), error.errno in _TRANSIENT_NUMBERS)
    return Failure(StorageError(f"{what}: {reason}"), False)


_CREDENTIALS = "check the credentials and their rights"


def judge_response(response: Mapping[str, Any], what: str) -> Failure:
    """Say what the parsed error answer of an S3 server means.

    what: begins the text, such as `cannot read x`.
    """
    details = response.get("Error", {})
    code = str(details.get("Code", "") or "?")
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    if code == "InvalidObjectState":
        return Failure(
            StorageError(f"{what}: it is in cold storage; `archiver bundle restore NAME --wait` thaws it"),
            False,
        )
    if code == "NoSuchBucket":
        return Failure(
            StorageError(f"{what}: the bucket does not exist; create it or correct the URL"), False
        )
    if code in ("NoSuchKey", "NoSuchVersion", "404") or (status == 404 and code == "?"):
        return Failure(NotFoundError(f"{what}: it is not there"), False)
    if code in _FULL_CODES or status == 507:
        return Failure(StorageFullError(f"{what}: no space is left ({code}); free some"), False)
    if code in _TRANSIENT_CODES or status in (408, 429, 500, 502, 503, 504):
        return Failure(StorageError(f"{what}: the store answered {code}; try again later"), True)
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"):
        return Failure(AccessError(f"{what}: the credentials have expired; log in again"), False)
    if code == "RequestTimeTooSkewed":
        return Failure(AccessError(f"{what}: this machine's clock is wrong; set it"), False)
    if code == "AuthorizationHeaderMalformed":
        return Failure(AccessError(f"{what}: wrong region; set AWS_DEFAULT_REGION to the bucket's"), False)
    if code in _ACCESS_CODES or status in (401, 403):
        return Failure(AccessError(f"{what}: access denied ({code}); {_CREDENTIALS}"), False)
    if code in ("PermanentRedirect", "TemporaryRedirect", "301", "307"):
        return Failure(
            StorageError(f"{what}: the bucket is elsewhere; set AWS_DEFAULT_REGION or the endpoint"), False
        )
    message = _clean(str(details.get("Message", "")))
    return Failure(StorageError(f"{what}: the store answered {code} {message}".rstrip()), False)


def response_of(error: BaseException) -> dict[str, Any] | None:
    """Return the parsed answer of an S3 server that an exception carries, also when s3fs has wrapped it."""
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(response, dict) and "Error" in response:
            return response
    return None


def code_of(error: BaseException) -> str:
    """Return the S3 error code that an exception carries, or an empty text."""
    response = response_of(error)
    return str(response["Error"].get("Code", "")) if response else ""


def status_of(error: BaseException) -> int:
    """Return the HTTP status of the answer that an exception carries, or 0."""
    response = response_of(error) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)


def web_status(error: BaseException) -> int:
    """Return the HTTP status that an exception of aiohttp carries, or 0."""
    found = (
        getattr(link, "status", 0) for link in _chain(error) if type(link).__name__ == "ClientResponseError"
    )
    return next(found, 0)


def _without_answer(cause: BaseException | None) -> TypeGuard[BaseException]:
    """Whether a server gave none, or none that counts: fsspec says of a web object then that it is not there."""
    if cause is None or isinstance(cause, FileNotFoundError):
        return False
    names = {kind.__name__ for kind in type(cause).__mro__}
    return bool(names & (_TRANSIENT_CLASSES | {"TimeoutError"})) and not 0 < web_status(cause) < 500


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _one_line(error: BaseException) -> str:
    text = _clean(str(error))
    return text or type(error).__name__


_USERINFO = re.compile(r"(?<=://)[^/@\s\"']+@")
_QUERY = re.compile(r"(?<=[\w/])\?[^\s\"'>]+")
_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,}")
_CREDENTIAL = re.compile(
    r"(?i)\b(credential|signature|token|secret|password|authorization|accountkey|sig)(\s*[=:]\s*)\S+"
)


def _clean(text: str) -> str:
    """Make one short line of a library's text, without anything that looks like a credential."""
    text = " ".join(text.split())
    text = _USERINFO.sub("", text)
    text = _QUERY.sub("", text)
    text = _KEY_ID.sub("***", text)
    text = _CREDENTIAL.sub(r"\1\2***", text)
    return text if len(text) <= 200 else text[:200] + "..."
