"""How the client makes its requests, what it does when an answer says what would help, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import re
import threading
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import AccessError, ConfigError, NotFoundError, StorageError
from archiver.store import RuleSet, Store, open_store
from archiver.store.s3 import PART, S3Store
from tests.conftest import ACCESS, SECRET, Place, new_bucket, s3_options
from tests.wire import Wire

CALLS = {
    "get_object",
    "head_object",
    "put_object",
    "upload_part",
    "list_objects_v2",
    "delete_object",
    "delete_objects",
}


def live(store: Store) -> None:
    """Ask for everything that is asked often, with a name that needs quoting."""
    assert isinstance(store, S3Store)
    key = "k=1/ü &+%~'(*)!@;:,$/x.y-z_"
    store.put(key, b"0123456789")
    assert (store.get(key), store.get(key, 3), store.get(key, 3, 5)) == (b"0123456789", b"3456789", b"34")
    found = store.stat(key)
    assert found is not None
    assert list(store.list("k=1/")) == [found]
    with store.write("large") as stream:
        stream.write(bytes(2 * PART + 1))
    assert store.get("large", 2 * PART) == b"\0"
    store.client.delete(store.object_name("large"), "delete large")
    assert store.delete([key, "absent"]) == {}
    assert list(store.list("k=1/")) == []


def forms(store: Store) -> dict[str, bool]:
    """Tell which calls are made without botocore."""
    assert isinstance(store, S3Store)
    link = store.client._linked()
    return {call: link._form(call) is not None for call in CALLS}


@pytest.fixture
def checking(rclone_endpoint: str) -> Place:
    """Give a bucket on the server that checks each signature (rclone does, moto does not)."""
    return Place("rclone", f"s3://{new_bucket(rclone_endpoint)}/some/prefix", s3_options(rclone_endpoint))


# -- making requests -----------------------------------------------------------------------------------------


def test_what_is_asked_often_is_made_without_botocore(checking: Place, moto_place: Place) -> None:
    for place in (checking, moto_place):
        store = place.open()
        assert forms(store) == dict.fromkeys(CALLS, True)
        live(store)


@pytest.mark.parametrize(
    "options",
    [
        {"config_kwargs": {"s3": {"payload_signing_enabled": False}}},
        {"config_kwargs": {"s3": {"addressing_style": "path"}}},
        {"config_kwargs": {"user_agent_extra": "more"}},
        {"client_kwargs": {"region_name": "eu-west-1"}},
        {"requester_pays": True},
        {"s3_additional_kwargs": {"ServerSideEncryption": "AES256", "ContentType": "text/plain"}},
        {"s3_additional_kwargs": {"Metadata": {"who": "me"}, "StorageClass": "STANDARD"}},
        {"username": ACCESS, "password": SECRET, "key": None, "secret": None},
        {"use_ssl": False, "use_listings_cache": True, "default_block_size": 1 << 20, "version_aware": True},
        {"token": "a" + "/b+c="},
    ],
)
def test_configured_requests_are_what_botocore_makes_of_them(
    checking: Place, options: dict[str, Any]
) -> None:
    store = Place("rclone", checking.url, {**checking.options, **options}).open()
    assert forms(store) == dict.fromkeys(CALLS, True)
    live(store)


@pytest.mark.parametrize(
    ("options", "strange"),
    [
        ({"config_kwargs": {"signature_version": "s3"}}, CALLS),
        (
            {"config_kwargs": {"request_checksum_calculation": "when_supported"}},
            {"put_object", "upload_part"},
        ),
        ({"s3_additional_kwargs": {"ChecksumAlgorithm": "SHA256"}}, {"put_object"}),
    ],
)
def test_what_is_not_understood_is_made_by_botocore(
    moto_place: Place, options: dict[str, Any], strange: set[str]
) -> None:
    store = Place("moto", moto_place.url, {**moto_place.options, **options}).open()
    assert {call for call, direct in forms(store).items() if not direct} >= strange
    live(store)


def test_what_the_user_adds_is_on_every_request_that_takes_it(wired_place: Place, wire: Wire) -> None:
    extra = {"ServerSideEncryption": "AES256", "StorageClass": "STANDARD_IA"}
    options = {**wired_place.options, "requester_pays": True, "s3_additional_kwargs": extra}
    live(Place("wired", wired_place.url, options).open())
    by_verb = {verb: headers for verb, _, headers in wire.seen}
    assert all(headers["x-amz-request-payer"] == "requester" for headers in by_verb.values())
    for verb, encrypted, classed in [("PUT", True, True), ("START", True, True), ("PART", False, False)]:
        assert ("x-amz-server-side-encryption" in by_verb[verb]) is encrypted, verb
        assert ("x-amz-storage-class" in by_verb[verb]) is classed, verb
    assert "x-amz-server-side-encryption" not in by_verb["GET"]


def test_a_key_of_the_customer_is_on_every_request(wired_place: Place, wire: Wire) -> None:
    extra = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    store = Place("wired", wired_place.url, {**wired_place.options, "s3_additional_kwargs": extra}).open()
    store.put("a", b"x")
    assert store.get("a") == b"x"
    assert store.stat("a") is not None
    for verb in ("PUT", "GET", "HEAD"):
        (headers,) = [seen for name, _, seen in wire.seen if name == verb]
        assert headers["x-amz-server-side-encryption-customer-key-md5"]


def test_who_gives_no_credentials_signs_nothing(moto_place: Place, wire: Wire) -> None:
    options = {"anon": True, "endpoint_url": wire.endpoint, "key": ACCESS, "secret": SECRET}
    Place("moto", moto_place.url, options).open().put("a", b"x")
    assert wire.seen
    assert not any("authorization" in headers or "x-amz-date" in headers for _, _, headers in wire.seen)


def test_no_request_has_a_checksum_that_servers_may_not_know(wired_place: Place, wire: Wire) -> None:
    store = wired_place.open()
    live(store)
    api = store.bucket_api()
    assert api is not None
    rule = b"<Rule><ID>a</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    api.replace_rules(RuleSet(b"<LifecycleConfiguration>" + rule + b"</LifecycleConfiguration>"))
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    store.put("a", b"x")
    api.call("put_object_tagging", "tag", Key=api.root + "a", Tagging=tags)
    api.call("delete_objects", "delete", Delete={"Objects": [{"Key": api.root + "a"}]})
    names = {name for _, _, headers in wire.seen for name in headers}
    assert not [name for name in names if "checksum" in name or "crc" in name or "trailer" in name]
    for verb, _, headers in wire.seen:
        if verb in ("PUT", "PART", "BULK"):
            assert len(b64decode(headers["content-md5"])) == 16


def test_who_asks_for_such_a_checksum_gets_it(wired_place: Place, wire: Wire) -> None:
    extra = {"s3_additional_kwargs": {"ChecksumAlgorithm": "CRC32"}}
    Place("wired", wired_place.url, {**wired_place.options, **extra}).open().put("a", b"data")
    ((_, _, headers),) = wire.seen
    assert b64decode(headers["x-amz-checksum-crc32"]) == zlib.crc32(b"data").to_bytes(4, "big")
    assert b64decode(headers["content-md5"]) == md5(b"data").digest()


def test_a_proxy_of_the_configuration_is_used(moto_place: Place, wire: Wire) -> None:
    # The wire takes the place of the proxy: it passes on whatever it is asked for.
    options = {**moto_place.options, "config_kwargs": {"proxies": {"http": wire.endpoint}}}
    live(Place("moto", moto_place.url, options).open())
    assert wire.seen
    assert all(path.startswith(moto_place.options["endpoint_url"]) for _, path, _ in wire.seen)


def test_a_proxy_of_the_environment_is_used(
    moto_place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", wire.endpoint)
    moto_place.open().put("a", b"direct")
    assert not wire.seen
    monkeypatch.delenv("NO_PROXY")
    assert moto_place.open().get("a") == b"direct"
    assert wire.counts == {"GET": 1}


def test_a_session_for_asyncio_gives_its_credentials(checking: Place) -> None:
    from aiobotocore.session import AioSession

    session = AioSession()
    session.set_credentials(ACCESS, SECRET)
    options = {"session": session, "endpoint_url": checking.options["endpoint_url"]}

    async def within_a_loop() -> None:
        live(Place("rclone", checking.url, options).open())

    asyncio.run(within_a_loop())


def test_options_of_fsspecs_configuration_count(checking: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.config import conf

    monkeypatch.setitem(conf, "s3", checking.options)
    live(open_store(checking.url))


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


@pytest.mark.parametrize("verb", ["GET", "PUT", "HEAD", "LIST", "BULK", "START"])
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
    [(301, "PermanentRedirect"), (307, "TemporaryRedirect"), (400, "AuthorizationHeaderMalformed")],
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
    live(wired_store)  # and it is known from then on
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
    store = open_store("s3://bucket/x", storage_options=s3_options(endpoint), deadline=1.5)
    with pytest.raises(StorageError, match=r"SSL.*check the network and the endpoint"):
        store.get("a")


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>',
        b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>',
        '<?xml version="1.0" encoding="utf-16"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'.encode(
            "utf-16"
        ),
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


# -- threads, processes and what is left ---------------------------------------------------------------------


def sockets() -> int:
    """Count the sockets that this process has open."""
    found = 0
    for open_file in Path("/proc/self/fd").iterdir():
        try:
            found += str(open_file.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts sockets as Linux shows them")
@pytest.mark.parametrize("closes", [True, False])
def test_a_hundred_stores_leave_nothing_behind(checking: Place, closes: bool) -> None:
    def use() -> None:
        store = checking.open()
        assert list(store.map(store.stat, ["a", "b", "c"])) == [None] * 3
        if closes:
            store.close()

    use()
    gc.collect()
    threads, before = set(threading.enumerate()), sockets()
    for _ in range(100):
        use()
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
    assert set(threading.enumerate()) <= threads
    assert sockets() <= before


def test_a_closed_store_opens_again(checking: Place) -> None:
    with checking.open() as store:
        store.put("a", b"x")
    store.close()
    assert list(store.map(store.get, ["a"] * 40)) == [b"x"] * 40
    store.close()


def test_a_map_within_a_map_ends(checking: Place) -> None:
    first, second = checking.open(), checking.open()
    second.put("a", b"x")

    def inner(_: int) -> list[bytes]:
        return list(first.map(second.get, ["a"] * 3))

    def outer(number: int) -> int:
        return sum(map(len, second.map(inner, range(3)))) + number * 0

    assert list(first.map(outer, range(100))) == [9] * 100


def test_many_threads_send_on_their_own_connections(wired_store: Store, wire: Wire) -> None:
    for number in range(50):
        wired_store.put(f"n/{number}", str(number).encode() * 1000)
    with ThreadPoolExecutor(50) as pool:
        for _ in range(4):
            found = list(pool.map(lambda number: wired_store.get(f"n/{number}"), range(50)))
            assert found == [str(number).encode() * 1000 for number in range(50)]


def _child(store: Store, found: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        found.put(list(pool.map(store.get, ["a"] * 20)) + list(store.map(store.get, ["a"] * 20)))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_are_made_of_this_one_have_connections_of_their_own(
    checking: Place, method: str
) -> None:
    context = multiprocessing.get_context(method)
    store = checking.open()
    store.put("a", b"x" * 1000)
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [store.get("a") for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        found = context.Queue()
        children = [context.Process(target=_child, args=(store, found)) for _ in range(3)]
        for child in children:
            child.start()
        for _ in children:
            assert found.get(timeout=60) == [b"x" * 1000] * 40
        for child in children:
            child.join()
    finally:
        stop.set()
        busy.join()


@pytest.fixture(autouse=True)
def _quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing of any library's appears on standard error."""
    yield
    assert capfd.readouterr().err == ""
