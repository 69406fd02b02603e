"""How the client makes its requests, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
import zlib
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import md5
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import StorageError
from archiver.store import RuleSet, Store, open_store
from archiver.store.s3.store import PART, S3Store
from tests.conftest import _BIN, ACCESS, SECRET, Place, _serve, new_bucket, s3_options
from tests.thinned import one_in
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
    (listed,) = store.list("k=1/")
    # moto rounds the moment of an object in one way here and in another there.
    assert abs(listed.modified - found.modified) <= timedelta(seconds=1)
    assert listed._replace(modified=found.modified) == found
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
    one_in(
        2,
        [
            {"config_kwargs": {"s3": {"payload_signing_enabled": False}}},
            {"config_kwargs": {"s3": {"addressing_style": "path"}}},
            {"config_kwargs": {"user_agent_extra": "more"}},
            {"client_kwargs": {"region_name": "eu-west-1"}},
            {"requester_pays": True},
            {"s3_additional_kwargs": {"ServerSideEncryption": "AES256", "ContentType": "text/plain"}},
            {"s3_additional_kwargs": {"Metadata": {"who": "me"}, "StorageClass": "STANDARD"}},
            {"username": ACCESS, "password": SECRET, "key": None, "secret": None},
            {
                "use_ssl": False,
                "use_listings_cache": True,
                "default_block_size": 1 << 20,
                "version_aware": True,
            },
            {"token": "a" + "/b+c="},
        ],
    ),
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


# -- over TLS ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(_isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Give the https endpoint of a server that checks signatures, and its certificate, which nobody has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "archiver of tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *private))
    (folder / "buckets" / "bucket").mkdir(parents=True)
    served = _serve(
        lambda port: [
            str(_BIN / "rclone"), "serve", "s3", f"--auth-key={ACCESS},{SECRET}", f"--addr=127.0.0.1:{port}",
            f"--cert={folder / 'cert.pem'}", f"--key={folder / 'key.pem'}", "--config=", str(folder / "buckets"),
        ],
        folder / "log",
    )  # fmt: skip
    yield next(served).replace("http:", "https:"), folder / "cert.pem"
    served.close()  # type: ignore[attr-defined] # a generator


def test_a_certificate_is_trusted_when_the_user_says_so(
    certified: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, certificate = certified
    for verify in (str(certificate), False):
        options = {**s3_options(endpoint), "client_kwargs": {"verify": verify}}
        store = open_store("s3://bucket/x", storage_options=options)
        assert forms(store) == dict.fromkeys(CALLS, True)
        live(store)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    live(open_store("s3://bucket/y", storage_options=s3_options(endpoint)))


def test_a_certificate_that_nobody_signed_is_refused_at_once(certified: tuple[str, Path]) -> None:
    store = open_store("s3://bucket/x", storage_options=s3_options(certified[0]), deadline=60)
    with pytest.raises(StorageError, match="certificate is not trusted"):
        store.get("a")


def test_a_certificate_of_another_name_is_refused(certified: tuple[str, Path]) -> None:
    endpoint, certificate = certified
    options = {
        **s3_options(endpoint.replace("127.0.0.1", "localhost")),
        "client_kwargs": {"verify": str(certificate)},
    }
    with pytest.raises(StorageError, match="certificate is not trusted"):
        open_store("s3://bucket/x", storage_options=options).get("a")


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
@pytest.mark.parametrize("closes", [pytest.param(True, marks=pytest.mark.slow), False])
def test_many_stores_leave_nothing_behind(checking: Place, closes: bool) -> None:
    def use() -> None:
        store = checking.open()
        assert list(store.map(store.stat, ["a", "b", "c"])) == [None] * 3
        if closes:
            store.close()

    use()
    gc.collect()
    threads, before = set(threading.enumerate()), sockets()
    for _ in range(25):
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
    busy = threading.Thread(target=lambda: [store.get("a") for _ in iter(lambda: stop.wait(0.002), True)])
    busy.start()
    try:
        found = context.Queue()
        children = [context.Process(target=_child, args=(store, found)) for _ in range(2)]
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
