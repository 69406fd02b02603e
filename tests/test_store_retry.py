"""The one retry layer, with a clock of its own."""

from __future__ import annotations

import errno

import pytest

from archiver.errors import AccessError, ArchiverError, NotFoundError, StorageError, StorageFullError
from archiver.store.failures import TruncatedError, judge
from archiver.store.retry import DEADLINE, FIRST_CONTACT, Retry


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def failing(clock: Clock, cost: float, error: Exception) -> tuple[list[float], object]:
    """Return an attempt that always fails after so many seconds, and what it was told is left."""
    told: list[float] = []

    def attempt(left: float) -> None:
        told.append(left)
        clock.at += min(cost, left)
        raise error

    return told, attempt


@pytest.mark.parametrize("cost", [0.0, 0.3, 3.0, 15.0, 1000.0])
@pytest.mark.parametrize(("answered", "limit"), [(False, FIRST_CONTACT), (True, DEADLINE)])
def test_it_ends_in_time(cost: float, answered: bool, limit: float) -> None:
    clock = Clock()
    retry = Retry("s3://b", clock=clock, sleep=clock.sleep)
    retry.answered = answered
    told, attempt = failing(clock, cost, ConnectionResetError("reset"))
    with pytest.raises(StorageError, match="cannot read x in s3://b: reset"):
        retry(attempt, "read x")  # type: ignore[arg-type]
    assert clock.at <= limit
    assert told == sorted(told, reverse=True)
    assert told[0] == limit
    assert len(told) > 1 or cost >= limit - 1


def test_a_large_body_gets_more_time() -> None:
    clock = Clock()
    retry = Retry("s3://b", deadline=10, clock=clock, sleep=clock.sleep)
    told, attempt = failing(clock, 1000, TimeoutError())
    with pytest.raises(StorageError, match="no answer in time"):
        retry(attempt, "write x", extra=100)  # type: ignore[arg-type]
    assert told[0] == 108


def test_waits_double_and_are_bounded() -> None:
    clock = Clock()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.at += seconds

    retry = Retry("s3://b", clock=clock, sleep=sleep)
    retry.answered = True
    _, attempt = failing(clock, 0, TruncatedError("half"))
    with pytest.raises(StorageError):
        retry(attempt, "read x")  # type: ignore[arg-type]
    assert 0.025 <= waits[0] <= 0.05
    assert max(waits) <= 5
    assert sum(waits) <= DEADLINE
    assert len(waits) >= 12


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [
        (FileNotFoundError("x"), NotFoundError, False),
        (PermissionError("x"), AccessError, False),
        (OSError(errno.ENOSPC, "full"), StorageFullError, False),
        (OSError(errno.EINVAL, "what"), StorageError, False),
        (OSError(errno.EBUSY, "busy"), StorageError, True),
        (ConnectionResetError("x"), StorageError, True),
        (BrokenPipeError("x"), StorageError, True),
        (TimeoutError(), StorageError, True),
        (TruncatedError("x"), StorageError, True),
        (ValueError("x"), StorageError, False),
        (KeyError("x"), StorageError, False),
    ],
)
def test_what_errors_mean(error: Exception, kind: type[ArchiverError], again: bool) -> None:
    failure = judge(error, "s3://b", "read x")
    assert type(failure.error) is kind
    assert failure.again is again
    assert str(failure.error).startswith("cannot read x in s3://b: ")


def test_errors_of_libraries_that_are_no_oserror() -> None:
    from aiohttp import ClientPayloadError
    from botocore.exceptions import (
        ConnectionClosedError,
        EndpointConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
        ReadTimeoutError,
        ResponseStreamingError,
        SSLError,
        TokenRetrievalError,
    )
    from fsspec.exceptions import FSTimeoutError

    passing = [
        ClientPayloadError("short"),
        ConnectionClosedError(endpoint_url="http://h"),
        EndpointConnectionError(endpoint_url="http://h", error="x"),
        ReadTimeoutError(endpoint_url="http://h"),
        ResponseStreamingError(error="x"),
        FSTimeoutError(),
        SSLError(endpoint_url="https://h", error="EOF occurred in violation of protocol"),
    ]
    assert [judge(error, "s3://b", "read x").again for error in passing] == [True] * len(passing)
    assert {type(judge(error, "s3://b", "read x").error) for error in passing} == {StorageError}
    denied = [
        NoCredentialsError(),
        PartialCredentialsError(provider="p", cred_var="v"),
        TokenRetrievalError(provider="p", error_msg="m"),
    ]
    assert [type(judge(error, "s3://b", "read x").error) for error in denied] == [AccessError] * len(denied)
    certificate = judge(
        SSLError(endpoint_url="https://h", error="[SSL: CERTIFICATE_VERIFY_FAILED] self signed"),
        "s3://b",
        "read x",
    )
    assert (certificate.again, "certificate is not trusted" in str(certificate.error)) == (False, True)


def test_texts_are_short_lines_without_credentials() -> None:
    secret = "very" + "secret"
    text = (
        f"no\n  luck at http://user:{secret}@host/x?sig={secret} with Signature={secret} token: {secret} AKIA{'Z' * 16}"
        + "x" * 500
    )
    shown = str(judge(RuntimeError(text), "s3://b", "read x").error)
    assert secret not in shown
    assert "AKIA" not in shown
    assert "\n" not in shown
    assert "no luck at http://host/x" in shown
    assert len(shown) < 300
