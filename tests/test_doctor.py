"""The doctor finds out what a store does, and leaves no trace."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from archiver import cli
from archiver.errors import StorageError
from archiver.health.doctor import SCRATCH, Finding, examine, verdict
from archiver.store import Store, durable, open_store
from archiver.store.entry import Entry
from tests.conftest import Place, s3_options
from tests.faults import DiedError, FaultyStore
from tests.wire import Wire


def findings(store: Store) -> dict[str, Finding]:
    return {finding.probe: finding for finding in examine(store)}


def states(found: dict[str, Finding], *but: str) -> set[str]:
    return {finding.state for name, finding in found.items() if name not in but}


def test_every_kind_of_store_is_fit_and_left_as_it_was(place: Place) -> None:
    store = place.open()
    store.put("runs/theirs", b"data")
    store.put("code/doctor-of-medicine", b"another's")
    before = list(store.list())
    found = findings(store)
    assert all(finding.sound for finding in found.values())
    assert found["cleaned up"].state == found["rights"].state == "ok"
    assert [(entry.key, entry.size, entry.modified) for entry in store.list()] == before
    assert store.get("code/doctor-of-medicine") == b"another's"
    assert list(store.leftovers()) == []


def test_what_moto_can_and_rclone_cannot(moto_place: Place, rclone_place: Place) -> None:
    moto, rclone = findings(moto_place.open()), findings(rclone_place.open())
    assert states(moto, "durable") == {"ok"}
    assert {name for name, finding in rclone.items() if finding.state == "no"} == {
        "conditional create",
        "lifecycle",
        "tagging",
    }
    assert "overwrites its content" in rclone["tagging"].detail
    assert "archiver prune" in rclone["lifecycle"].without


def test_memory_and_folders_are_not_asked_for_what_buckets_do(file_place: Place, memory_place: Place) -> None:
    bucket = {"versioning", "lifecycle", "tagging", "object lock", "encryption", "abort", "ranges"}
    for place, more in ((file_place, set()), (memory_place, {"durable"})):
        found = findings(place.open())
        assert {name for name, finding in found.items() if finding.state == "none"} == bucket | more
        assert verdict([*found.values()]) == "an archive can live here"


def test_a_folder_that_was_not_there_is_not_there_afterwards(tmp_path: Path) -> None:
    assert findings(open_store(str(tmp_path / "not" / "yet")))["write"].state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_every_change_is_below_the_scratch_prefix(wired_place: Place, wire: Wire) -> None:
    findings(wired_place.open())
    bucket = wired_place.url.removeprefix("s3://").partition("/")[0]
    own = f"/{bucket}/some/prefix/{SCRATCH}"
    changes = [(verb, path) for verb, path, _ in wire.seen if verb not in ("GET", "HEAD", "LIST")]
    assert len(changes) > 20
    for verb, path in changes:
        if verb == "BULK":
            assert path.rstrip("/").partition("?")[0].rstrip("/") == f"/{bucket}"
        else:
            assert unquote(urlsplit(path).path).startswith(own), (verb, path)


def test_a_versioned_bucket_keeps_no_version_of_the_probes(moto_place: Place) -> None:
    store = moto_place.open()
    api = store.bucket_api()
    assert api is not None
    api.call("put_bucket_versioning", "switch on", VersioningConfiguration={"Status": "Enabled"})
    store.put("runs/theirs", b"1")
    store.put("runs/theirs", b"2")
    found = findings(store)
    assert found["versioning"].detail.startswith("enabled: what gc deletes goes on being paid for")
    assert found["cleaned up"].state == "ok"
    left = api.call("list_object_versions", "look")
    assert [item["Key"] for item in left["Versions"]] == ["some/prefix/runs/theirs"] * 2
    assert "DeleteMarkers" not in left


def test_rules_of_others_that_would_harm_are_mentioned(moto_place: Place) -> None:
    from archiver.store import RuleSet
    from tests.test_bucket_rules_lifecycle import OTHERS

    store = moto_place.open()
    api = store.bucket_api()
    assert api is not None
    api.replace_rules(RuleSet(OTHERS.replace(b"logs/", b"some/")))
    assert "warning: rule logs, which is not archiver's" in findings(store)["lifecycle"].detail


def test_what_is_denied_is_told_from_what_is_missing(wired_place: Place, wire: Wire) -> None:
    from tests.wire import Fault

    wire.always = Fault("answer", "BULK", 403, "AccessDenied")
    found = findings(wired_place.open())
    assert found["delete"].state == found["cleaned up"].state == "denied"
    assert found["rights"].detail == "may list, read, write, read bucket rules; may not delete"
    assert states(found, "delete", "cleaned up", "rights", "durable", "long names") == {"ok"}
    assert found["delete"].sound, "it is no fault of the store"
    assert verdict([*found.values()]) == (
        "an archive can live here; pruning needs other credentials, and was not tried"
    )
    pruner = {finding.probe: finding for finding in examine(wired_place.open(), "pruner")}
    assert not pruner["delete"].sound


def test_what_cannot_be_deleted_is_few_and_used_again_until_someone_can(
    wired_place: Place, wire: Wire
) -> None:
    from tests.wire import Fault

    store = wired_place.open()
    wire.always = Fault("answer", "BULK", 403, "AccessDenied")
    findings(store)
    kept = [entry.key for entry in store.list()]
    assert 0 < len(kept) < 12
    wire.reset()
    found = findings(store)
    assert [entry.key for entry in store.list()] == kept
    assert wire.counts["PUT"] < 10
    assert f"{len(kept)} objects of at most 1 kB stay below code/doctor/kept/" in found["cleaned up"].detail
    assert all(finding.sound for finding in found.values())
    wire.always = None
    findings(store)
    assert [entry.key for entry in store.list()] == kept, "another doctor may be using them"
    findings(_Odd(store, hours=-2))
    assert list(store.list()) == []


def test_a_reader_s_doctor_writes_nothing(wired_place: Place, wire: Wire) -> None:
    store = wired_place.open()
    found = {finding.probe: finding for finding in examine(store, "reader")}
    assert not set(wire.counts) & {"PUT", "DELETE", "BULK", "START"}
    assert all(finding.sound for finding in found.values())
    assert found["write"].detail == "not tried: a reader writes nothing"
    assert verdict([*found.values()]) == "an archive can be read here; what saving needs was not tried"


def test_credentials_that_may_only_read(wired_place: Place, wire: Wire) -> None:
    from tests.wire import Fault

    wire.always = Fault("answer", "PUT", 403, "AccessDenied")
    found = findings(wired_place.open())
    assert found["write"].state == "denied"
    assert found["reach"].state == found["absent"].state == "ok"
    assert found["delete"].detail == "not tried: nothing can be written"
    assert found["rights"].detail == "may list, read, read bucket rules; may not write"
    assert "cleaned up" not in found


def test_wrong_credentials_are_denied_and_never_shown(rclone_place: Place) -> None:
    wrong = "not" + "thesecret"
    store = open_store(rclone_place.url, storage_options={**rclone_place.options, "secret": wrong})
    found = findings(store)
    assert found["rights"].detail.startswith("may nothing; may not list, read, write")
    assert not found["reach"].sound
    assert not any(word in str(found) for word in (wrong, rclone_place.options["key"]))


def test_a_server_that_knows_no_ranges(wired_place: Place, wire: Wire) -> None:
    from tests.wire import Fault

    wire.always = Fault("strip", "GET")
    found = findings(wired_place.open())
    assert found["ranges"].detail == "the whole object is sent instead of a part"
    assert found["ranges"].sound, "it is slower, no more"


def test_nobody_answers(unused_port: int) -> None:
    store = open_store(
        "s3://bucket/x", storage_options=s3_options(f"http://127.0.0.1:{unused_port}"), deadline=1.0
    )
    (only,) = examine(store)
    assert (only.probe, only.state, only.sound) == ("reach", "failed", False)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_bucket_that_does_not_exist(moto_endpoint: str) -> None:
    (only,) = examine(open_store("s3://no-such-bucket-here/x", storage_options=s3_options(moto_endpoint)))
    assert "does not exist" in only.detail


class _Odd(FaultyStore):
    """A store that shows things late, early, at another time, or in another order."""

    def __init__(self, inner: Store, *, late: bool = False, hours: float = 0.0, order: bool = False) -> None:
        super().__init__(inner)
        self.late, self.hours, self.order = late, hours, order

    def list(self, prefix: str = "") -> Iterator[Entry]:
        found = [] if self.late else [self._moved(entry) for entry in self.inner.list(prefix)]
        # As SeaweedFS does: what is in the folder `a` before what is in the folder `a-b`.
        return iter(sorted(found, key=lambda entry: entry.key.split("/")) if self.order else found)

    def stat(self, key: str) -> Entry | None:
        found = self.inner.stat(key)
        return found and self._moved(found)

    def _moved(self, entry: Entry) -> Entry:
        return entry._replace(modified=entry.modified + timedelta(hours=self.hours))


def test_a_store_that_lists_late_cannot_hold_an_archive(memory_place: Place) -> None:
    found = findings(_Odd(memory_place.open(), late=True))
    assert found["list"].state == "no"
    assert not found["list"].sound
    assert verdict([*found.values()]).startswith("an archive cannot live here: list")
    assert list(memory_place.open().list()) == []


def test_a_store_that_lists_folder_by_folder_cannot_hold_an_archive(memory_place: Place) -> None:
    found = findings(_Odd(memory_place.open(), order=True))
    assert found["order"].detail == "a listing is not in the order of the names"
    assert not found["order"].sound


class _Crossed(FaultyStore):
    """A store that gives wrong bytes where the case is not looked at often: ranges, names, threads."""

    def __init__(self, inner: Store, *, edge: str = "", case: bool = False, threads: bool = False) -> None:
        super().__init__(inner)
        self.edge, self.case, self.threads = edge, case, threads
        self.inside = 0

    def map(self, *arguments: Any, **how: Any) -> Iterator[Any]:
        return self.inner.map(*arguments, **how)

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        data = self.inner.get(self._known(key))
        self.inside += 1
        if self.threads and threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
            data = data if self.inside == 1 else b"another's"
        self.inside -= 1
        if self.edge == "whole" and (start or end is not None):
            return data
        if self.edge == "raises" and start >= len(data) and start:
            raise StorageError("InvalidRange")
        return data[start:end]

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self.inner.put(self._known(key), data, create=create)

    def _known(self, key: str) -> str:
        return key.lower() if self.case else key


@pytest.mark.parametrize(
    ("odd", "probe", "state", "vital"),
    [
        ({"edge": "whole"}, "edges", "no", True),
        ({"edge": "raises"}, "edges", "failed", True),
        ({"case": True}, "case", "no", False),
        ({"threads": True}, "many threads", "no", True),
    ],
)
def test_what_archiver_relies_on_is_tried(
    memory_place: Place, odd: dict[str, Any], probe: str, state: str, vital: bool
) -> None:
    found = findings(_Crossed(memory_place.open(), **odd))
    assert (found[probe].state, found[probe].sound) == (state, not vital)


def test_a_disk_that_does_not_sync_is_said_to_be_one(
    file_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(durable, "_sync", refuse)
    found = findings(file_place.open())
    assert found["durable"].state == "no"
    assert "folders cannot be synced" in found["durable"].detail
    assert all(finding.sound for finding in found.values())
    assert found["cleaned up"].state == "ok"


@pytest.mark.parametrize(("hours", "text"), [(24, "86400 s ahead"), (-24, "behind")])
def test_a_clock_that_is_wrong_by_a_day(memory_place: Place, hours: float, text: str) -> None:
    found = findings(_Odd(memory_place.open(), hours=hours))
    assert found["clock"].state == "no"
    assert text in found["clock"].detail
    assert found["clock"].sound, "ages count by the store's own clock"


def test_a_failure_at_any_call_leaves_nothing_behind(memory_place: Place) -> None:
    inner = memory_place.open()
    counting = FaultyStore(inner)
    findings(counting)
    assert len(counting.calls) > 30
    for at in range(len(counting.calls) - 4):  # the last ones clean up themselves
        store = FaultyStore(inner, at)
        found = findings(store)
        assert store.failed
        assert "failed" in states(found), at
        assert list(inner.list()) == [], at


def test_an_interrupted_doctor_cleans_up(memory_place: Place) -> None:
    store = memory_place.open()
    probes = examine(store)
    for finding in probes:
        if finding.probe == "names":
            break
    assert list(store.list()) != []
    probes.close()  # type: ignore[attr-defined]
    assert list(store.list()) == []


def test_a_doctor_that_dies_says_nothing_and_raises(memory_place: Place) -> None:
    with pytest.raises(DiedError):
        findings(FaultyStore(memory_place.open(), 9, die=True))


def test_the_command(
    moto_place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", json.dumps(moto_place.options))
    monkeypatch.setenv("ARCHIVER_URL", moto_place.url)
    assert cli.main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert {finding["probe"] for finding in document["findings"]} >= {
        "reach",
        "multipart",
        "tagging",
        "rights",
    }
    assert cli.main(["doctor"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("probe\t")
    assert "an archive can live here" in captured.err
    monkeypatch.setenv("ARCHIVER_URL", "s3://no-such-bucket-here/x")
    assert cli.main(["doctor"]) == 14
    captured = capsys.readouterr()
    assert "cannot live here: reach" in captured.err
    assert moto_place.options["secret"] not in captured.out + captured.err
