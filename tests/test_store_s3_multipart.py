"""Objects that go to S3 in parts: what arrives, what is tried again, what a failure leaves."""

from __future__ import annotations

import os

import pytest

from archiver.errors import AccessError, ConfigError, StorageError
from archiver.store import Store
from archiver.store.s3.store import PART, S3Store
from tests.wire import Wire


def write(store: Store, key: str, data: bytes, error: BaseException | None = None) -> None:
    with store.write(key) as stream:
        for at in range(0, len(data), 5_000_000):
            stream.write(data[at : at + 5_000_000])
        assert stream.tell() == len(data)
        if error is not None:
            raise error


def test_a_large_object_goes_in_parts(wired_store: Store, wire: Wire) -> None:
    data = os.urandom(3 * PART + 12345)
    write(wired_store, "w", data)
    assert wire.counts == {"START": 1, "PART": 4, "FINISH": 1}
    assert wired_store.get("w") == data
    wire.reset()
    wired_store.put("p", data)
    assert wire.counts == {"START": 1, "PART": 4, "FINISH": 1}
    assert wired_store.get("p", 3 * PART) == data[3 * PART :]


def test_parts_of_a_failed_stream_are_removed(wired_store: Store, wire: Wire) -> None:
    for error in (ValueError(), KeyboardInterrupt()):
        wire.reset()
        with pytest.raises(type(error)):
            write(wired_store, "w", b"x" * (3 * PART), error)
        assert wire.counts["ABORT"] == 1
        assert wire.counts["FINISH"] == 0
        assert wire.seen[-1][0] == "ABORT"
    assert wired_store.stat("w") is None
    assert uploads(wired_store) == []


def test_a_stream_survives_passing_faults(wired_store: Store, wire: Wire) -> None:
    data = os.urandom(3 * PART)
    for verb in ("START", "PART", "FINISH"):
        wire.fault("answer", verb)
        wire.fault("refuse", verb)
    write(wired_store, "w", data)
    assert wired_store.get("w") == data


def test_a_stream_whose_last_answer_was_lost_knows_its_object(wired_store: Store, wire: Wire) -> None:
    data = os.urandom(3 * PART)
    wire.fault("lose", "FINISH")
    wire.fault("answer", "FINISH", status=404, code="NoSuchUpload")
    write(wired_store, "w", data)
    assert wired_store.get("w") == data
    wire.fault("answer", "FINISH", status=404, code="NoSuchUpload")
    with pytest.raises(StorageError, match="NoSuchUpload"):
        write(wired_store, "w", b"shorter" * PART)
    assert wired_store.get("w") == data


def test_a_part_that_cannot_be_sent_fails_the_stream(wired_store: Store, wire: Wire) -> None:
    wire.fault("answer", "PART", status=403, code="AccessDenied")
    with pytest.raises(AccessError):
        write(wired_store, "w", b"x" * (4 * PART))
    assert wired_store.stat("w") is None
    assert uploads(wired_store) == []


def uploads(store: Store) -> list[str]:
    assert isinstance(store, S3Store)
    return [
        found["Key"] for found in store.request("list_multipart_uploads", "list uploads").get("Uploads", [])
    ]


def test_the_server_refuses_a_stream_that_would_replace_what_came_meanwhile(
    wired_store: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(wired_store, "a", b"first" * (4 * PART // 5))
    # It was not there when the writer looked.
    monkeypatch.setattr(wired_store, "stat", lambda key: None)
    with pytest.raises(ConfigError, match="never replaced"), wired_store.write("a", create=True) as stream:
        stream.write(b"other" * (4 * PART // 5))
    assert wired_store.get("a") == b"first" * (4 * PART // 5)
    assert wire.counts["ABORT"] == 1


def test_a_server_that_knows_no_condition_still_takes_a_stream(wired_store: Store, wire: Wire) -> None:
    wire.fault("answer", "FINISH", status=501, code="NotImplemented")
    with wired_store.write("a", create=True) as stream:
        stream.write(b"x" * (3 * PART))
    assert wired_store.get("a") == b"x" * (3 * PART)
    with pytest.raises(ConfigError, match="never replaced"), wired_store.write("a", create=True) as stream:
        stream.write(b"y" * (3 * PART))
