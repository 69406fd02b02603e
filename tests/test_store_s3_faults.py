"""What servers, proxies and names do wrong in ways of their own; and the ways that credentials come, besides plain keys."""

from __future__ import annotations

import json
import re
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archiver.errors import StorageError
from archiver.store import Store, open_store
from archiver.store.s3.store import PART
from tests.conftest import _BIN, ACCESS, SECRET, Place, _serve, new_bucket
from tests.test_store_s3_client import _quiet, live  # noqa: F401 - the first is for all tests here
from tests.wire import Fault, Wire

BUSY = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>later</Message></Error>'


# -- answers that are not what they seem ---------------------------------------------------------------------


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
def test_an_upload_that_fails_after_its_status_was_sent_is_completed_again(
    wired_store: Store, wire: Wire, code: str
) -> None:
    # S3 sends 200 while it puts parts together, and may then find that it cannot.
    wire.fault("answer", "FINISH", status=200, body=BUSY.replace(b"SlowDown", code.encode()))
    with wired_store.write("large") as stream:
        stream.write(bytes(2 * PART + 1))
    assert wire.counts["FINISH"] == 2
    found = wired_store.stat("large")
    assert found is not None
    assert found.size == 2 * PART + 1


def test_an_upload_that_is_refused_for_good_after_its_status_was_sent_is_an_error(
    wired_place: Place, wire: Wire
) -> None:
    store = wired_place.open(deadline=1.5)
    body = BUSY.replace(b"SlowDown", b"InvalidPart")
    wire.always = Fault("answer", "FINISH", status=200, body=body)
    with pytest.raises(StorageError, match="InvalidPart"), store.write("large") as stream:
        stream.write(bytes(2 * PART + 1))
    assert store.stat("large") is None
    assert list(store.leftovers()) == []


@pytest.mark.parametrize("verb", ["LIST", "BULK"])
def test_busy_in_an_answer_of_status_200_is_asked_again(wired_store: Store, wire: Wire, verb: str) -> None:
    wired_store.put("a", b"x")
    wire.fault("answer", verb, status=200, body=BUSY)
    assert [entry.key for entry in wired_store.list()] == ["a"]
    assert wired_store.delete(["a"]) == {}
    assert list(wired_store.list()) == []


@pytest.mark.parametrize("verb", ["PUT", "PART"])
def test_a_refusal_in_an_answer_to_an_upload_of_status_200_is_asked_again(
    wired_store: Store, wire: Wire, verb: str
) -> None:
    wire.fault("answer", verb, status=200, body=BUSY)
    data = b"x" if verb == "PUT" else bytes(2 * PART + 1)
    with wired_store.write("a") as stream:
        stream.write(data)
    assert wired_store.get("a") == data


@pytest.mark.parametrize("said", [3, 30])
def test_an_answer_of_another_length_than_it_says_harms_no_other(
    wired_place: Place, wire: Wire, said: int
) -> None:
    hurried = {**wired_place.options, "config_kwargs": {"read_timeout": 0.3}}
    store = wired_place._replace(options=hurried).open()
    store.put("a", b"0123456789")
    store.put("b", b"other")
    wire.fault("answer", "GET", status=200, body=b"0123456789", headers={"Content-Length": str(said)})
    assert store.get("a") == b"0123456789"[:said]
    assert store.get("b") == b"other"


def test_nobody_is_asked_for_compressed_answers(wired_store: Store, wire: Wire) -> None:
    live(wired_store)
    assert {headers.get("accept-encoding") for _, _, headers in wire.seen} == {"identity"}


# -- names ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sixth(_isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the endpoint of a server that checks signatures, at an address of IPv6."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    folder = tmp_path_factory.mktemp("six")
    (folder / "buckets" / "bucket").mkdir(parents=True)
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no address ::1 here")
    keys = f"--auth-key={ACCESS},{SECRET}"
    served = _serve(
        lambda port: [
            str(_BIN / "rclone"), "serve", "s3", keys, f"--addr=[::1]:{port}", f"--addr=127.0.0.1:{port}",
            "--config=", str(folder / "buckets"),
        ],
        folder / "log",
    )  # fmt: skip
    yield next(served).replace("127.0.0.1", "[::1]")
    served.close()  # type: ignore[attr-defined] # a generator


def test_an_address_of_ipv6_is_signed_for(sixth: str) -> None:
    live(
        open_store("s3://bucket/x", storage_options={"endpoint_url": sixth, "key": ACCESS, "secret": SECRET})
    )


def test_a_name_that_nobody_knows_is_one_line() -> None:
    options = {"endpoint_url": "http://bucket.nobody.invalid:9", "key": ACCESS, "secret": SECRET}
    with pytest.raises(StorageError, match="check the network and the endpoint") as caught:
        open_store("s3://bucket/x", storage_options=options, deadline=1).get("a")
    assert "\n" not in str(caught.value)


# -- credentials ---------------------------------------------------------------------------------------------


def signer(wire: Wire) -> tuple[str, str, str | None]:
    """Return the key, the region and the token of the last request."""
    headers = wire.seen[-1][2]
    match = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", headers["authorization"])
    assert match
    return match[1], match[2], headers.get("x-amz-security-token")


def test_a_role_by_a_token_in_a_file(
    moto_endpoint: str, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("a" + ".b.c")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/archiver")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    live(open_store(f"s3://{new_bucket(moto_endpoint)}/x", storage_options={"endpoint_url": wire.endpoint}))
    key, region, session = signer(wire)
    assert key.startswith("ASIA")
    assert (region, bool(session)) == ("eu-central-1", True)


def test_a_program_that_gives_keys_and_a_profile_that_gives_a_region(
    moto_endpoint: str, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"Version": 1, "AccessKeyId": "by" + "program", "SecretAccessKey": SECRET, "SessionToken": "t"}
    script = tmp_path / "keys"
    script.write_text(f"#!{sys.executable}\nprint({json.dumps(given)!r})\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    config = tmp_path / "config"
    config.write_text(f"[profile work]\nregion = ap-southeast-2\ncredential_process = {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    options = {"endpoint_url": wire.endpoint, "profile": "work"}
    live(open_store(f"s3://{new_bucket(moto_endpoint)}/x", storage_options=options))
    assert signer(wire) == ("by" + "program", "ap-southeast-2", "t")
