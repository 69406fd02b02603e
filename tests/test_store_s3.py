"""What S3 costs, how it creates, lists and deletes, and which options it takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.store import Store, open_store
from archiver.store.s3.store import PART, S3Store
from tests.conftest import ACCESS, SECRET, Place, new_bucket, s3_options
from tests.test_store_failures import VERBS
from tests.test_store_s3_multipart import write
from tests.wire import Wire

# -- what it costs -------------------------------------------------------------------------------------------


def test_each_verb_costs_one_request(wired_store: Store, wire: Wire) -> None:
    def cost(call: Callable[[], Any]) -> dict[str, int]:
        wire.reset()
        call()
        return dict(wire.counts)

    assert cost(lambda: wired_store.put("a", b"x" * 100)) == {"PUT": 1}
    assert cost(lambda: wired_store.put("big", b"x" * (2 * PART))) == {"PUT": 1}
    assert cost(lambda: wired_store.put("c", b"x", create=True)) == {"PUT": 1}
    assert cost(lambda: wired_store.get("a")) == {"GET": 1}
    assert cost(lambda: wired_store.get("a", 10, 20)) == {"GET": 1}
    assert cost(lambda: wired_store.get("a", 90)) == {"GET": 1}
    assert cost(lambda: wired_store.stat("a")) == {"HEAD": 1}
    assert cost(lambda: wired_store.stat("absent")) == {"HEAD": 1}
    assert cost(lambda: list(wired_store.list())) == {"LIST": 1}
    assert cost(lambda: wired_store.open("a").read()) == {"HEAD": 1, "GET": 1}
    assert cost(wired_store.now) == {"PUT": 1, "HEAD": 1, "BULK": 1}
    assert cost(lambda: wired_store.delete(["a", "c", "absent"])) == {"BULK": 1}
    assert cost(lambda: write(wired_store, "w", b"small")) == {"PUT": 1}


def test_a_small_body_is_sent_at_once_and_a_large_one_when_the_server_will_have_it(
    wired_store: Store, wire: Wire
) -> None:
    for size, waits in ((0, False), (4000, False), (256 << 10, False), (2 * PART, True)):
        wire.reset()
        wired_store.put("a", b"x" * size)
        (_, _, headers) = wire.seen[0]
        assert ("expect" in headers) is waits, size
        assert headers["user-agent"].startswith("archiver/")
        assert wired_store.get("a") == b"x" * size


def test_listing_and_deleting_take_a_request_a_thousand_and_one_that_breaks_off_raises(
    rclone_endpoint: str,
) -> None:
    names = [f"n/{number:04d}" for number in range(1001)]
    bucket = new_bucket(rclone_endpoint)  # a thousand objects take moto seconds
    store = open_store(f"s3://{bucket}/p", storage_options=s3_options(rclone_endpoint))
    list(store.map(lambda name: store.put(name, b""), names))
    with Wire(rclone_endpoint) as wire:
        store = open_store(f"s3://{bucket}/p", storage_options=s3_options(wire.endpoint))
        assert [entry.key for entry in store.list("n/")] == names
        assert wire.counts == {"LIST": 2}
        wire.fault("page", "LIST")
        with pytest.raises(StorageError, match="broke off"):
            list(store.list("n/"))
        listing = store.list("n/")
        assert next(listing).key == names[0]
        wire.fault("answer", "LIST", status=403, code="AccessDenied")
        with pytest.raises(AccessError):
            list(listing)
        wire.reset()
        assert store.delete(names) == {}
        assert wire.counts == {"BULK": 2}
        assert list(store.list()) == []


def test_connections_are_as_many_as_workers(wired_store: Store, wire: Wire) -> None:
    wired_store.put("a", b"x")
    wire.delay = 0.2
    assert list(wired_store.map(lambda _: wired_store.get("a"), range(3 * wired_store.workers))) == [b"x"] * (
        3 * wired_store.workers
    )
    assert wired_store.workers == 32
    assert wire.most_at_once == wired_store.workers


def test_a_smaller_pool_means_fewer_workers(wired_place: Place) -> None:
    options = {**wired_place.options, "config_kwargs": {"max_pool_connections": 4}}
    assert Place("wired", wired_place.url, options).open().workers == 4


def test_uploads_carry_a_digest_and_no_checksum_that_aws_alone_knows(wired_store: Store, wire: Wire) -> None:
    wired_store.put("a", b"x")
    wired_store.put("a", b"x", create=False)
    write(wired_store, "big", b"x" * (3 * PART))
    wired_store.delete(["a"])
    sent = [headers for verb, _, headers in wire.seen if verb in ("PUT", "PART", "BULK")]
    assert len(sent) == 6
    assert all("content-md5" in headers for headers in sent)
    uploads = [headers for verb, _, headers in wire.seen if verb in ("PUT", "PART")]
    assert not [
        name for headers in uploads for name in headers if "checksum" in name or name == "x-amz-trailer"
    ]


# -- creating ------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_was_lost_knows_its_own_bytes(wired_store: Store, wire: Wire) -> None:
    wire.fault("lose", "PUT")
    wired_store.put("record", b"mine", create=True)
    assert wire.counts == {"PUT": 2, "GET": 1}
    assert wired_store.get("record") == b"mine"


def test_a_create_whose_answer_was_lost_does_not_claim_anothers_bytes(wired_store: Store, wire: Wire) -> None:
    wired_store.put("record", b"another's")
    wire.fault("refuse", "PUT")
    with pytest.raises(ConfigError, match="other content"):
        wired_store.put("record", b"mine", create=True)
    assert wired_store.get("record") == b"another's"
    assert wired_store.conditional is True


def test_ceph_says_taken_without_a_word(wired_store: Store, wire: Wire) -> None:
    wired_store.put("record", b"mine")
    for body in (b"", b"<Error><Code>PreconditionFailed</Code></Error>"):
        wire.fault("answer", "PUT", status=412, body=body)
        wired_store.put("record", b"mine", create=True)
        wire.fault("answer", "PUT", status=412, body=body)
        with pytest.raises(ConfigError, match="other content"):
            wired_store.put("record", b"other", create=True)


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_a_server_without_conditions_is_looked_at_first(
    wired_store: Store, wire: Wire, status: int, code: str
) -> None:
    wire.fault("answer", "PUT", status=status, code=code)
    wired_store.put("record", b"mine", create=True)
    assert wired_store.get("record") == b"mine"
    assert wired_store.conditional is False
    wire.reset()
    with pytest.raises(ConfigError, match="other content"):
        wired_store.put("record", b"other", create=True)
    wired_store.put("record", b"mine", create=True)
    assert wire.counts == {"GET": 2}


def test_a_large_create_is_still_one_request(wired_store: Store, wire: Wire) -> None:
    data = os.urandom(2 * PART + 1)
    wired_store.put("record", data, create=True)
    with pytest.raises(ConfigError, match="other content"):
        wired_store.put("record", b"other", create=True)
    assert wire.counts == {"PUT": 2, "GET": 1}


# -- listing and deleting ------------------------------------------------------------------------------------


def test_a_missing_bucket_is_never_empty(moto_endpoint: str, rclone_endpoint: str) -> None:
    for endpoint in (moto_endpoint, rclone_endpoint):
        store = open_store("s3://no-such-bucket-here/x", storage_options=s3_options(endpoint))
        for verb, call in VERBS.items():
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


def test_a_listing_out_of_order_raises(wired_store: Store, wire: Wire) -> None:
    begin = "<Contents><Size>1</Size><LastModified>2025-01-01T00:00:00Z</LastModified><Key>some/prefix/"
    end = "</Key></Contents>"
    items = "".join(f"{begin}{name}{end}" for name in "ba")
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
    wire.fault("answer", "LIST", status=200, body=body.encode())
    with pytest.raises(StorageError, match="out of order"):
        list(wired_store.list())


def test_folders_that_consoles_make_are_no_objects(wired_store: Store) -> None:
    assert isinstance(wired_store, S3Store)
    for name in ("some/prefix/", "some/prefix/runs/"):
        wired_store.request("put_object", "make a folder", body=b"", Key=name)
    wired_store.put("runs/a", b"x")
    assert [entry.key for entry in wired_store.list()] == ["runs/a"]


def test_errors_of_single_keys_are_reported_or_asked_again(wired_store: Store, wire: Wire) -> None:
    for key in ("a", "b", "c"):
        wired_store.put(key, b"")
    denied = "<Error><Key>some/prefix/a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    busy = "<Error><Key>some/prefix/b</Key><Code>InternalError</Code><Message>later</Message></Error>"
    wire.fault("answer", "BULK", status=200, body=f"<DeleteResult>{denied}{busy}</DeleteResult>".encode())
    failed = wired_store.delete(["a", "b", "c"])
    assert set(failed) == {"a"}
    assert isinstance(failed["a"], AccessError)
    assert wire.counts["BULK"] == 2
    assert [entry.key for entry in wired_store.list()] == ["a", "c"]


def test_a_server_without_bulk_deletion_is_asked_one_by_one(wired_store: Store, wire: Wire) -> None:
    for key in ("a", "b", "c"):
        wired_store.put(key, b"")
    wire.fault("answer", "BULK", status=501, code="NotImplemented")
    wire.fault("answer", "DELETE", status=403, code="AccessDenied")
    failed = wired_store.delete(["a", "b", "c"])
    assert wire.counts["DELETE"] == 3
    assert [entry.key for entry in wired_store.list()] == list(failed)
    assert len(failed) == 1


# -- options --------------------------------------------------------------------------------------------------


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
        {"config_kwargs": "abc"},
        {"config_kwargs": {"max_pool_connections": "many"}},
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
