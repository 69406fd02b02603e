"""What a connection to S3 does when it breaks, and what it costs when it does not."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from archiver.errors import (
    AccessError,
    ArchiverError,
    ConfigError,
    NotFoundError,
    StorageError,
    StorageFullError,
)
from archiver.store import Store, open_store
from archiver.store.s3 import PART, S3Store
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
def store(wired_place: Place, wire: Wire) -> Store:
    """Give a store that has answered before, behind the wire, with nothing counted yet."""
    store = wired_place.open(deadline=10)
    assert list(store.list()) == []
    wire.reset()
    return store


@pytest.fixture
def checked(rclone_endpoint: str) -> Iterator[tuple[Store, Wire]]:
    """Give a store on the server that checks digests, behind a wire."""
    with Wire(rclone_endpoint) as wire:
        yield (
            open_store(f"s3://{new_bucket(rclone_endpoint)}", storage_options=s3_options(wire.endpoint)),
            wire,
        )


# -- what it costs -------------------------------------------------------------------------------------------


def test_each_verb_costs_one_request(store: Store, wire: Wire) -> None:
    def cost(call: Callable[[], Any]) -> dict[str, int]:
        wire.reset()
        call()
        return dict(wire.counts)

    assert cost(lambda: store.put("a", b"x" * 100)) == {"PUT": 1}
    assert cost(lambda: store.put("big", b"x" * (2 * PART))) == {"PUT": 1}
    assert cost(lambda: store.put("c", b"x", create=True)) == {"PUT": 1}
    assert cost(lambda: store.get("a")) == {"GET": 1}
    assert cost(lambda: store.get("a", 10, 20)) == {"GET": 1}
    assert cost(lambda: store.get("a", 90)) == {"GET": 1}
    assert cost(lambda: store.stat("a")) == {"HEAD": 1}
    assert cost(lambda: store.stat("absent")) == {"HEAD": 1}
    assert cost(lambda: list(store.list())) == {"LIST": 1}
    assert cost(lambda: store.open("a").read()) == {"HEAD": 1, "GET": 1}
    assert cost(store.now) == {"PUT": 1, "HEAD": 1, "BULK": 1}
    assert cost(lambda: store.delete(["a", "c", "absent"])) == {"BULK": 1}
    assert cost(lambda: write(store, "w", b"small")) == {"PUT": 1}


def test_listing_and_deleting_take_a_request_a_thousand(store: Store, wire: Wire) -> None:
    names = [f"n/{number:04d}" for number in range(1001)]
    list(store.map(lambda name: store.put(name, b""), names))
    wire.reset()
    assert [entry.key for entry in store.list("n/")] == names
    assert store.delete(names) == {}
    assert wire.counts == {"LIST": 2, "BULK": 2}


def test_connections_are_as_many_as_workers(store: Store, wire: Wire) -> None:
    store.put("a", b"x")
    wire.delay = 0.2
    assert list(store.map(lambda _: store.get("a"), range(3 * store.workers))) == [b"x"] * (3 * store.workers)
    assert store.workers == 32
    assert wire.most_at_once == store.workers


def test_a_smaller_pool_means_fewer_workers(wired_place: Place) -> None:
    options = {**wired_place.options, "config_kwargs": {"max_pool_connections": 4}}
    assert Place("wired", wired_place.url, options).open().workers == 4


def test_uploads_carry_a_digest_and_no_checksum_that_aws_alone_knows(store: Store, wire: Wire) -> None:
    store.put("a", b"x")
    store.put("a", b"x", create=False)
    write(store, "big", b"x" * (3 * PART))
    store.delete(["a"])
    sent = [headers for verb, _, headers in wire.seen if verb in ("PUT", "PART", "BULK")]
    assert len(sent) == 6
    assert all("content-md5" in headers for headers in sent)
    uploads = [headers for verb, _, headers in wire.seen if verb in ("PUT", "PART")]
    assert not [
        name for headers in uploads for name in headers if "checksum" in name or name == "x-amz-trailer"
    ]


# -- what is tried again -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["refuse", "lose", "answer"])
@pytest.mark.parametrize("verb", list(VERBS))
def test_a_passing_fault_is_not_seen(store: Store, wire: Wire, verb: str, kind: str) -> None:
    store.put("a", b"x")
    wire.fault(kind, times=3)
    VERBS[verb](store)
    assert wire.take("any") is None
    assert store.get("a") == b"x"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_statuses_that_pass(store: Store, wire: Wire, status: int) -> None:
    store.put("a", b"x")
    wire.fault("answer", status=status, code="Whatever", times=2)
    assert store.get("a") == b"x"
    assert wire.counts["GET"] == 3


def test_a_body_that_ends_early_is_fetched_again(store: Store, wire: Wire) -> None:
    data = os.urandom(500_000)
    store.put("a", data)
    wire.fault("truncate", "GET", times=2)
    assert store.get("a") == data
    wire.fault("truncate", "GET")
    assert store.get("a", 1000, 400_000) == data[1000:400_000]
    assert wire.counts["GET"] == 5


def test_a_body_that_stalls_is_fetched_again(wired_place: Place, wire: Wire) -> None:
    options = {**wired_place.options, "config_kwargs": {"read_timeout": 0.5}}
    store = Place("wired", wired_place.url, options).open()
    store.put("a", b"x" * 100_000)
    wire.fault("stall", "GET")
    assert store.get("a") == b"x" * 100_000


def test_a_server_that_knows_no_ranges_still_gives_the_right_bytes(store: Store, wire: Wire) -> None:
    store.put("a", b"0123456789")
    wire.fault("strip", "GET", times=2)
    assert store.get("a", 3, 5) == b"34"
    assert store.get("a", 8) == b"89"


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


def test_silence_has_an_end(wired_place: Place, wire: Wire) -> None:
    store = wired_place.open(deadline=2)
    store.put("a", b"x")
    wire.reset()
    wire.fault("silence", times=1000)
    with pytest.raises(StorageError, match="no answer in time"):
        store.get("a")
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


# -- creating ------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_was_lost_knows_its_own_bytes(store: Store, wire: Wire) -> None:
    wire.fault("lose", "PUT")
    store.put("record", b"mine", create=True)
    assert wire.counts == {"PUT": 2, "GET": 1}
    assert store.get("record") == b"mine"


def test_a_create_whose_answer_was_lost_does_not_claim_anothers_bytes(store: Store, wire: Wire) -> None:
    store.put("record", b"another's")
    wire.fault("refuse", "PUT")
    with pytest.raises(ConfigError, match="other content"):
        store.put("record", b"mine", create=True)
    assert store.get("record") == b"another's"
    assert store.conditional is True


def test_ceph_says_taken_without_a_word(store: Store, wire: Wire) -> None:
    store.put("record", b"mine")
    for body in (b"", b"<Error><Code>PreconditionFailed</Code></Error>"):
        wire.fault("answer", "PUT", status=412, body=body)
        store.put("record", b"mine", create=True)
        wire.fault("answer", "PUT", status=412, body=body)
        with pytest.raises(ConfigError, match="other content"):
            store.put("record", b"other", create=True)


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_a_server_without_conditions_is_looked_at_first(
    store: Store, wire: Wire, status: int, code: str
) -> None:
    wire.fault("answer", "PUT", status=status, code=code)
    store.put("record", b"mine", create=True)
    assert store.get("record") == b"mine"
    assert store.conditional is False
    wire.reset()
    with pytest.raises(ConfigError, match="other content"):
        store.put("record", b"other", create=True)
    store.put("record", b"mine", create=True)
    assert wire.counts == {"GET": 2}


def test_a_large_create_is_still_one_request(store: Store, wire: Wire) -> None:
    data = os.urandom(2 * PART + 1)
    store.put("record", data, create=True)
    with pytest.raises(ConfigError, match="other content"):
        store.put("record", b"other", create=True)
    assert wire.counts == {"PUT": 2, "GET": 1}


# -- streaming -----------------------------------------------------------------------------------------------


def write(store: Store, key: str, data: bytes, error: BaseException | None = None) -> None:
    with store.write(key) as stream:
        for at in range(0, len(data), 5_000_000):
            stream.write(data[at : at + 5_000_000])
        assert stream.tell() == len(data)
        if error is not None:
            raise error


def test_a_large_object_goes_in_parts(store: Store, wire: Wire) -> None:
    data = os.urandom(3 * PART + 12345)
    write(store, "w", data)
    assert wire.counts == {"START": 1, "PART": 4, "FINISH": 1}
    assert store.get("w") == data
    wire.reset()
    store.put("p", data)
    assert wire.counts == {"START": 1, "PART": 4, "FINISH": 1}
    assert store.get("p", 3 * PART) == data[3 * PART :]


def test_parts_of_a_failed_stream_are_removed(store: Store, wire: Wire) -> None:
    for error in (ValueError(), KeyboardInterrupt()):
        wire.reset()
        with pytest.raises(type(error)):
            write(store, "w", b"x" * (3 * PART), error)
        assert wire.counts["ABORT"] == 1
        assert wire.counts["FINISH"] == 0
        assert wire.seen[-1][0] == "ABORT"
    assert store.stat("w") is None
    assert uploads(store) == []


def test_a_stream_survives_passing_faults(store: Store, wire: Wire) -> None:
    data = os.urandom(3 * PART)
    for verb in ("START", "PART", "FINISH"):
        wire.fault("answer", verb)
        wire.fault("refuse", verb)
    write(store, "w", data)
    assert store.get("w") == data


def test_a_stream_whose_last_answer_was_lost_knows_its_object(store: Store, wire: Wire) -> None:
    data = os.urandom(3 * PART)
    wire.fault("lose", "FINISH")
    wire.fault("answer", "FINISH", status=404, code="NoSuchUpload")
    write(store, "w", data)
    assert store.get("w") == data
    wire.fault("answer", "FINISH", status=404, code="NoSuchUpload")
    with pytest.raises(StorageError, match="NoSuchUpload"):
        write(store, "w", b"shorter" * PART)
    assert store.get("w") == data


def test_a_part_that_cannot_be_sent_fails_the_stream(store: Store, wire: Wire) -> None:
    wire.fault("answer", "PART", status=403, code="AccessDenied")
    with pytest.raises(AccessError):
        write(store, "w", b"x" * (4 * PART))
    assert store.stat("w") is None
    assert uploads(store) == []


def uploads(store: Store) -> list[str]:
    assert isinstance(store, S3Store)
    return [
        found["Key"] for found in store.request("list_multipart_uploads", "list uploads").get("Uploads", [])
    ]


# -- listing and deleting ------------------------------------------------------------------------------------


def test_a_missing_bucket_is_never_empty(moto_endpoint: str, rclone_endpoint: str) -> None:
    for endpoint in (moto_endpoint, rclone_endpoint):
        for verb, call in VERBS.items():
            store = open_store("s3://no-such-bucket-here/x", storage_options=s3_options(endpoint))
            with pytest.raises(StorageError, match="bucket does not exist") as caught:
                call(store)
            assert not isinstance(caught.value, NotFoundError), verb
        assert set(store.delete(["a"])) == {"a"}


def test_something_else_than_s3_is_never_empty(wired_place: Place, wire: Wire) -> None:
    for status, body in [
        (404, b"<html>no</html>"),
        (200, b"<html></html>"),
        (200, b""),
        (404, b""),
        (200, b"hello"),
    ]:
        wire.always = None
        store = wired_place.open(deadline=1.5)
        wire.fault("answer", times=100, status=status, body=body)
        for verb in ("list", "stat", "get"):
            if verb == "get" and status == 200:
                continue  # bytes are bytes: records tell their hashes
            with pytest.raises(StorageError):
                VERBS[verb](store)
        wire._faults.clear()


def test_a_listing_that_breaks_off_raises(store: Store, wire: Wire) -> None:
    names = [f"n/{number:04d}" for number in range(1001)]
    list(store.map(lambda name: store.put(name, b""), names))
    wire.fault("page", "LIST")
    with pytest.raises(StorageError, match="broke off"):
        list(store.list("n/"))
    listing = store.list("n/")
    assert next(listing).key == names[0]
    wire.fault("answer", "LIST", status=403, code="AccessDenied", times=2)
    with pytest.raises(AccessError):
        list(listing)


def test_a_listing_out_of_order_raises(store: Store, wire: Wire) -> None:
    begin = "<Contents><Size>1</Size><LastModified>2025-01-01T00:00:00Z</LastModified><Key>some/prefix/"
    end = "</Key></Contents>"
    items = "".join(f"{begin}{name}{end}" for name in "ba")
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
    wire.fault("answer", "LIST", status=200, body=body.encode())
    with pytest.raises(StorageError, match="out of order"):
        list(store.list())


def test_folders_that_consoles_make_are_no_objects(store: Store) -> None:
    assert isinstance(store, S3Store)
    for name in ("some/prefix/", "some/prefix/runs/"):
        store.request("put_object", "make a folder", body=b"", Key=name)
    store.put("runs/a", b"x")
    assert [entry.key for entry in store.list()] == ["runs/a"]


def test_errors_of_single_keys_are_reported_or_asked_again(store: Store, wire: Wire) -> None:
    for key in ("a", "b", "c"):
        store.put(key, b"")
    denied = "<Error><Key>some/prefix/a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    busy = "<Error><Key>some/prefix/b</Key><Code>InternalError</Code><Message>later</Message></Error>"
    wire.fault("answer", "BULK", status=200, body=f"<DeleteResult>{denied}{busy}</DeleteResult>".encode())
    failed = store.delete(["a", "b", "c"])
    assert set(failed) == {"a"}
    assert isinstance(failed["a"], AccessError)
    assert wire.counts["BULK"] == 2
    assert [entry.key for entry in store.list()] == ["a", "c"]


def test_a_server_without_bulk_deletion_is_asked_one_by_one(store: Store, wire: Wire) -> None:
    for key in ("a", "b", "c"):
        store.put(key, b"")
    wire.fault("answer", "BULK", status=501, code="NotImplemented")
    wire.fault("answer", "DELETE", status=403, code="AccessDenied")
    failed = store.delete(["a", "b", "c"])
    assert wire.counts["DELETE"] == 3
    assert [entry.key for entry in store.list()] == list(failed)
    assert len(failed) == 1


# -- errors --------------------------------------------------------------------------------------------------


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
    for verb, call in VERBS.items():
        store = wired_place.open()
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


def test_the_environment_is_enough(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = open_store(f"s3://{new_bucket(moto_endpoint)}/x")
    store.put("a", b"x")
    assert store.get("a") == b"x"


@pytest.mark.parametrize("region", [None, "eu-central-1", "garage"])
def test_a_region_is_the_users_choice(
    rclone_endpoint: str, monkeypatch: pytest.MonkeyPatch, region: str | None
) -> None:
    if region:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    store = open_store(f"s3://{new_bucket(rclone_endpoint)}/x", storage_options=s3_options(rclone_endpoint))
    store.put("a", b"x")
    assert store.get("a") == b"x"


@pytest.mark.parametrize(
    "options",
    [
        {"nonsense": 1},
        {"client_kwargs": {"nonsense": 1}},
        {"config_kwargs": {"nonsense": 1}},
        {"profile": "nobody"},
        {"endpoint_url": "nonsense"},
    ],
)
def test_options_that_do_not_fit_are_the_users_to_correct(
    moto_endpoint: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store("s3://bucket/x", storage_options={**s3_options(moto_endpoint), **options}).get("a")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_store_works_on_in_a_forked_process(moto_place: Place) -> None:
    store = moto_place.open()
    store.put("a", b"before")
    child = os.fork()
    if child == 0:
        os._exit(0 if store.get("a") == b"before" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("a") == b"before"
