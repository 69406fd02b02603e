"""What each kind of failure of S3 becomes: tried again, or one error of one line."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from archiver.errors import AccessError, ArchiverError, StorageError, StorageFullError
from archiver.store import Store, open_store
from archiver.store.lanes import Lanes
from tests.conftest import ACCESS, SECRET, Place, new_bucket, s3_options
from tests.wire import Wire

VERBS: dict[str, Callable[[Store], Any]] = {
    "get": lambda store: store.get("a"),
    "put": lambda store: store.put("a", b"x"),
    "create": lambda store: store.put("a", b"x", create=True),
    "list": lambda store: list(store.list()),
    "stat": lambda store: store.stat("a"),
    "open": lambda store: store.open("a"),
    "now": lambda store: store.now(),
}


@pytest.fixture
def checked(rclone_endpoint: str) -> Iterator[tuple[Store, Wire]]:
    """Give a store on the server that checks digests, behind a wire."""
    with Wire(rclone_endpoint) as wire:
        yield (
            open_store(f"s3://{new_bucket(rclone_endpoint)}", storage_options=s3_options(wire.endpoint)),
            wire,
        )


@pytest.mark.parametrize("kind", ["refuse", "lose", "answer"])
@pytest.mark.parametrize("verb", list(VERBS))
def test_a_passing_fault_is_not_seen(wired_store: Store, wire: Wire, verb: str, kind: str) -> None:
    wired_store.put("a", b"x")
    wire.fault(kind, times=3)
    VERBS[verb](wired_store)
    assert wire.take("any") is None
    assert wired_store.get("a") == b"x"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_statuses_that_pass(wired_store: Store, wire: Wire, status: int) -> None:
    wired_store.put("a", b"x")
    wire.fault("answer", status=status, code="Whatever", times=2)
    assert wired_store.get("a") == b"x"
    assert wire.counts["GET"] == 3


def test_a_body_that_ends_early_is_fetched_again(wired_store: Store, wire: Wire) -> None:
    data = os.urandom(500_000)
    wired_store.put("a", data)
    wire.fault("truncate", "GET", times=2)
    assert wired_store.get("a") == data
    wire.fault("truncate", "GET")
    assert wired_store.get("a", 1000, 400_000) == data[1000:400_000]
    assert wire.counts["GET"] == 5


def test_a_body_that_stalls_is_fetched_again(wired_place: Place, wire: Wire) -> None:
    options = {**wired_place.options, "config_kwargs": {"read_timeout": 0.2}}
    store = Place("wired", wired_place.url, options).open()
    store.put("a", b"x" * 100_000)
    wire.fault("stall", "GET")
    assert store.get("a") == b"x" * 100_000


def test_a_server_that_knows_no_ranges_still_gives_the_right_bytes(wired_store: Store, wire: Wire) -> None:
    wired_store.put("a", b"0123456789")
    wire.fault("strip", "GET", times=2)
    assert wired_store.get("a", 3, 5) == b"34"
    assert wired_store.get("a", 8) == b"89"


def test_a_bit_that_flips_on_its_way_in_is_sent_again(checked: tuple[Store, Wire]) -> None:
    store, wire = checked
    wire.fault("corrupt", "PUT")
    store.put("a", b"\0" * 1000)
    assert store.get("a") == b"\0" * 1000
    assert wire.counts["PUT"] == 2


def test_there_is_one_retry_layer_and_it_has_an_end(wired_place: Place, wire: Wire) -> None:
    store = wired_place.open(deadline=3)
    store.put("a", b"x")
    wire.reset()
    wire.fault("answer", times=1000)
    with pytest.raises(StorageError, match="SlowDown"):
        store.get("a")
    # Waits double from 50 ms: two nested layers would have sent many more.
    assert 4 <= wire.counts["GET"] <= 8


def test_silence_has_an_end(wired_place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archiver.store.retry._LEAST_ATTEMPT", 0.2)
    patient = {**wired_place.options, "config_kwargs": {"read_timeout": 300}}
    store = wired_place._replace(options=patient).open(deadline=0.4)
    wire.fault("silence", times=1000)
    with pytest.raises(StorageError, match="no answer in time"):
        Lanes().run(lambda: store.get("a"), 30)
    assert wire.counts["GET"] <= 2


def test_an_unreachable_store_is_one_line() -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = open_store("s3://bucket/x", storage_options=s3_options(f"http://127.0.0.1:{port}"), deadline=2)
    for verb in ("get", "put", "list", "stat"):
        with pytest.raises(StorageError, match="check the network and the endpoint") as caught:
            VERBS[verb](store)
        assert "\n" not in str(caught.value)
    failed = store.delete(["a", "b"])
    assert set(failed) == {"a", "b"}


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "AccessDenied", AccessError, "access denied"),
        (400, "ExpiredToken", AccessError, "expired; log in"),
        (403, "InvalidAccessKeyId", AccessError, "access denied"),
        (403, "SignatureDoesNotMatch", AccessError, "access denied"),
        (403, "RequestTimeTooSkewed", AccessError, "clock is wrong"),
        (400, "AuthorizationHeaderMalformed", AccessError, "AWS_DEFAULT_REGION"),
        (404, "NoSuchBucket", StorageError, "bucket does not exist"),
        (507, "InsufficientStorage", StorageFullError, "no space"),
        (403, "QuotaExceeded", StorageFullError, "no space"),
        (400, "SomethingNew", StorageError, "SomethingNew"),
    ],
)
def test_answers_become_errors_of_one_line(
    wired_place: Place, wire: Wire, status: int, code: str, kind: type[ArchiverError], said: str
) -> None:
    secret = f"{ACCESS}{SECRET}"
    body = f"<Error><Code>{code}</Code><Message>key AKIA{'A' * 16}\nsignature={secret} http://u:{secret}@h/?q={secret}</Message></Error>"
    store = wired_place.open()
    for verb, call in VERBS.items():
        wire.fault("answer", times=1000, status=status, body=body.encode())
        with pytest.raises(kind, match=said) as caught:
            call(store)
        assert caught.type is kind, verb
        assert "\n" not in str(caught.value)
        assert secret not in str(caught.value)
        assert "AKIA" not in str(caught.value)
        wire._faults.clear()


def test_missing_credentials_are_said_to_be(moto_endpoint: str) -> None:
    store = open_store("s3://bucket/x", storage_options={"endpoint_url": moto_endpoint})
    with pytest.raises(AccessError, match="no credentials"):
        store.get("a")


def test_wrong_credentials_are_denied(rclone_place: Place) -> None:
    for wrong in ({"key": "someone"}, {"secret": "something"}):
        store = Place("rclone", rclone_place.url, {**rclone_place.options, **wrong}).open()
        for verb in VERBS:
            with pytest.raises(AccessError, match="access denied") as caught:
                VERBS[verb](store)
            assert not re.search("|".join([ACCESS, SECRET, *wrong.values()]), str(caught.value))


@pytest.mark.parametrize("status", [401, 403])
def test_a_web_server_that_refuses_is_not_asked_again(wire: Wire, status: int) -> None:
    wire.fault("answer", times=9, status=status)
    with pytest.raises(AccessError, match="access denied"):
        open_store(f"{wire.endpoint}/x").get("a")
    assert sum(wire.counts.values()) == 1
