"""What the client does when an answer says what would help, and what users are told."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.store import Store, open_store
from tests import waits
from tests.conftest import SECRET, Place, s3_options
from tests.test_store_s3_client import _quiet, live  # noqa: F401 - the first is for all tests here
from tests.thinned import one_in
from tests.wire import Wire

# -- what helps ----------------------------------------------------------------------------------------------


def signed_by(wire: Wire) -> tuple[str, str]:
    """Return the key and the region of the last request."""
    match = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", wire.seen[-1][2]["authorization"])
    assert match
    return match[1], match[2]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the credentials file."""
    place = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place))

    def write(key: str) -> None:
        place.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n")

    return write


@pytest.mark.parametrize("verb", one_in(3, ["GET", "PUT", "HEAD", "LIST", "BULK", "START"]))
def test_credentials_that_expired_are_looked_for_anew(
    wired_place: Place, wire: Wire, keys: Callable[[str], None], verb: str
) -> None:
    keys("first" + "key")
    store = open_store(wired_place.url, storage_options={"endpoint_url": wire.endpoint})
    store.put("a", b"x")
    assert signed_by(wire)[0] == "first" + "key"
    keys("second" + "key")
    wire.fault("answer", verb, status=400, code="ExpiredToken")
    if verb == "HEAD":
        wire.fault("answer", "GET", status=400, code="ExpiredToken")
        assert store.stat("a") is not None
    live(store)
    assert signed_by(wire)[0] == "second" + "key"


def test_credentials_that_stay_expired_are_said_to_be(
    wired_place: Place, wire: Wire, keys: Callable[[str], None]
) -> None:
    keys("first" + "key")
    store = open_store(wired_place.url, storage_options={"endpoint_url": wire.endpoint})
    wire.fault("answer", "GET", status=400, code="ExpiredToken", times=9)
    with pytest.raises(AccessError, match="expired; log in again"):
        store.get("a")
    assert wire.counts == {"GET": 1}


def test_a_wrong_clock_is_set_by_the_servers(wired_store: Store, wire: Wire) -> None:
    wired_store.put("a", b"x")
    wire.reset()
    ahead = datetime.now(UTC) + timedelta(hours=5)
    wire.fault(
        "answer",
        "GET",
        status=403,
        code="RequestTimeTooSkewed",
        headers={"Date": format_datetime(ahead, usegmt=True)},
    )
    assert wired_store.get("a") == b"x"
    api = wired_store.bucket_api()
    assert api is not None
    assert api.versioning() == ""  # what botocore makes is signed anew
    for _, _, headers in wire.seen[1:]:
        sent = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(sent - ahead) < timedelta(minutes=1)


def test_a_clock_that_agrees_is_not_the_reason(wired_store: Store, wire: Wire) -> None:
    now = format_datetime(datetime.now(UTC), usegmt=True)
    wire.fault("answer", "GET", status=403, code="RequestTimeTooSkewed", headers={"Date": now}, times=9)
    with pytest.raises(AccessError, match="clock is wrong"):
        wired_store.get("a")
    assert wire.counts["GET"] == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, "PermanentRedirect"),
        pytest.param(307, "TemporaryRedirect", marks=pytest.mark.slow),
        pytest.param(400, "AuthorizationHeaderMalformed", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("verb", ["GET", "PUT", "HEAD", "LIST", "BULK"])
def test_a_bucket_in_another_region_is_found(
    wired_store: Store, wire: Wire, verb: str, status: int, code: str
) -> None:
    there = {"x-amz-bucket-region": "eu-west-3"}
    wired_store.put("a", b"x")
    assert signed_by(wire)[1] == "us-east-1"
    wire.fault("answer", verb, status=status, code=code, headers=there)
    wire.reset()
    if verb == "HEAD":
        if status == 400:  # then a GET is asked why
            wire.fault("answer", "GET", status=status, code=code, headers=there)
        assert wired_store.stat("a") is not None
    live(wired_store)
    assert signed_by(wire)[1] == "eu-west-3"
    wire.reset()
    wired_store.put("a", b"y")  # and it is known from then on
    assert wired_store.get("a") == b"y"
    assert [entry.key for entry in wired_store.list()] == ["a"]
    assert wired_store.delete(["a"]) == {}
    assert {re.search(r"/\d+/([^/]+)/", headers["authorization"])[1] for _, _, headers in wire.seen} == {
        "eu-west-3"
    }  # type: ignore[index]


def test_a_bucket_that_is_elsewhere_in_a_way_nobody_says_is_an_error(wired_store: Store, wire: Wire) -> None:
    wire.fault("answer", status=301, code="PermanentRedirect", times=200)
    api = wired_store.bucket_api()
    assert api is not None
    for ask in (lambda: wired_store.get("a"), api.versioning, lambda: list(wired_store.list())):
        wire.reset()
        with pytest.raises(StorageError, match="elsewhere"):
            ask()
        assert sum(wire.counts.values()) < 10


@pytest.mark.parametrize("kind", ["hang up", "chunk"])
def test_servers_that_close_and_chunk_are_understood(wired_store: Store, wire: Wire, kind: str) -> None:
    wire.fault(kind, times=100)
    live(wired_store)


def test_a_storm_passes(wired_place: Place, wire: Wire) -> None:
    with waits.real():  # without, one of the threads may meet most of it
        store = wired_place.open(deadline=30)
    names = [f"n/{number}" for number in range(64)]
    wire.fault("answer", times=60)
    list(store.map(lambda name: store.put(name, name.encode()), names))
    wire.fault("answer", times=40)
    wire.fault("refuse", times=20)
    assert list(store.map(store.get, names)) == [name.encode() for name in names]


# -- refusals of what is not there ---------------------------------------------------------------------------


def test_who_may_list_only_a_prefix_is_told_what_is_missing(wired_store: Store, wire: Wire) -> None:
    """RGW answers 403 for a missing object to whom may not list the whole bucket."""
    wired_store.put("there", b"x")
    wired_store.put("missing-not", b"x")
    for verb in ("HEAD", "GET"):
        wire.fault("answer", verb, status=403, code="AccessDenied", times=2)
    assert wired_store.stat("missing") is None
    with pytest.raises(NotFoundError):
        wired_store.get("missing")
    wire._faults.clear()
    wire.reset()
    for verb in ("HEAD", "GET"):
        wire.fault("answer", verb, status=403, code="AccessDenied", times=2)
    with pytest.raises(AccessError, match="access denied"):
        wired_store.stat("there")
    with pytest.raises(AccessError, match="access denied"):
        wired_store.get("there")
    asked = [path for verb, path, _ in wire.seen if verb == "LIST"]
    assert asked
    assert all("prefix=some%2Fprefix%2Fthere" in path for path in asked)


def test_who_may_list_nothing_is_denied(wired_store: Store, wire: Wire) -> None:
    wire.fault("answer", status=403, code="AccessDenied", times=20)
    for ask in (wired_store.stat, wired_store.get):
        with pytest.raises(AccessError, match="access denied"):
            ask("missing")


# -- causes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/bin/sh -c 'echo session expired for bob >&2; exit 1'", "session expired for bob"),
        ("/no/such/program", "No such file.*'/no/such/program'"),
        ("/bin/echo nonsense", "no credentials could be fetched"),
    ],
)
def test_why_credentials_cannot_be_fetched_is_said(
    moto_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    (tmp_path / "config").write_text(f"[profile p]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    endpoint = moto_place.options["endpoint_url"]
    store = open_store(moto_place.url, storage_options={"profile": "p", "endpoint_url": endpoint})
    for ask in (store.get, store.stat, lambda key: store.put(key, b"")):
        with pytest.raises(AccessError, match=said) as caught:
            ask("a")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "nonsense"])
def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, text: str | None) -> None:
    bundle = tmp_path / "ca.pem"
    if text is not None:
        bundle.write_text(text)
    options = {**s3_options("https://127.0.0.1:9"), "client_kwargs": {"verify": str(bundle)}}
    with pytest.raises(ConfigError, match=r"ca\.pem cannot be read") as caught:
        open_store("s3://bucket/x", storage_options=options, deadline=2).get("a")
    assert "\n" not in str(caught.value)


def test_plain_http_where_tls_is_wanted_is_said(moto_endpoint: str) -> None:
    endpoint = moto_endpoint.replace("http:", "https:")
    store = open_store("s3://bucket/x", storage_options=s3_options(endpoint), deadline=8)
    with pytest.raises(StorageError, match=r"SSL.*check the network and the endpoint"):
        store.get("a")


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>',
        b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'.encode(
            "utf-16"
        ),
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key></Key><Size>1</Size><LastModified>2025-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents>",
        b"<x:ListBucketResult xmlns:x='y'><x:IsTruncated>false</x:IsTruncated></x:ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult></ListBucketResult>",
        b"<Other><IsTruncated>false</IsTruncated></Other>",
    ],
)
def test_xml_that_s3_never_sends_is_no_listing(wired_place: Place, wire: Wire, body: bytes) -> None:
    store = wired_place.open(deadline=1.2)
    wire.fault("answer", "LIST", status=200, body=body, times=20)
    with pytest.raises(StorageError, match="check the network and the endpoint"):
        list(store.list())


def test_names_that_xml_cannot_hold_are_deleted_one_by_one(wired_store: Store, wire: Wire) -> None:
    for key in ("a\x01b", "c&<d>", "e\x7ff"):
        wired_store.put(key, b"")
    assert [entry.key for entry in wired_store.list()] == ["a\x01b", "c&<d>", "e\x7ff"]
    assert wired_store.delete(["c&<d>"]) == {}
    assert wire.counts["DELETE"] == 0
    assert wired_store.delete(["a\x01b", "e\x7ff"]) == {}
    assert list(wired_store.list()) == []
