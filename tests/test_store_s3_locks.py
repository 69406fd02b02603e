"""What a bucket offers: locks of bundles, classes of details, encryption; and what locks keep is said before."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError
from archiver.health.doctor import examine
from archiver.store import Store
from archiver.store.s3.cold import warmth
from tests.conftest import Cli, Place, new_bucket, s3_options
from tests.stores import result


def locked_bucket(endpoint: str, days: int = 0) -> str:
    """Make a bucket on a server that keeps versions and has Object Lock, perhaps with a default."""
    bucket = new_bucket(endpoint)
    api = Place("moto", f"s3://{bucket}/a", s3_options(endpoint)).open().bucket_api()
    assert api is not None
    api.call("put_bucket_versioning", "test", VersioningConfiguration={"Status": "Enabled"})
    rule = {"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}} if days else {}
    api.call(
        "put_object_lock_configuration",
        "test",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", **rule},
    )
    return f"s3://{bucket}/a"


@pytest.fixture
def locked(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Give an archive of one run in a bucket with Object Lock, which the configuration names too."""
    url, options = locked_bucket(moto_endpoint), s3_options(moto_endpoint)
    monkeypatch.setenv("ARCHIVER_URL", url)
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", json.dumps(options))
    archive = archiver.open()
    archive.save_universe_results("u", [result("A")], code="none")
    return archive


def head(store: Store, key: str) -> Any:
    locks = store.object_locks()
    assert locks is not None
    return locks.held(key)


def test_a_bundle_is_retained_and_held(locked: Archive, command: Cli) -> None:
    run = locked.run_ids()[0]
    assert command("bundle", "create", "kept", run, "--retain", "7y", "--legal-hold")[0] == 0
    held = head(locked.store, "bundles/kept.tar.zst")
    wanted = datetime.now(UTC) + timedelta(days=7 * 365.25)
    assert (held.mode, held.legal_hold) == ("GOVERNANCE", True)
    assert abs(held.until - wanted) < timedelta(days=3)
    locked.bundles.hold("kept", "30d")  # a longer one stays
    assert head(locked.store, "bundles/kept.tar.zst") == held
    assert locked.bundles.verify("kept").ok
    locked.bundle([run], "free")
    assert head(locked.store, "bundles/free.tar.zst") == (None, "", False)


def test_a_bundle_that_moves_to_a_cold_class_is_retained_there(locked: Archive, command: Cli) -> None:
    run = locked.run_ids()[0]
    done = command(
        "bundle", "create", "cold", run, "--retain", "90d", "--storage-class", "GLACIER", "--verify"
    )
    assert done[0] == 0
    assert warmth(locked.store, "bundles/cold.tar.zst").storage_class == "GLACIER"  # type: ignore[union-attr]  # it is there
    assert head(locked.store, "bundles/cold.tar.zst").mode == "GOVERNANCE"


def test_where_nothing_can_be_held_no_bundle_is_made(archive: Archive, moto_place: Place) -> None:
    bucket = archiver.open(moto_place.url, **moto_place.options)
    for place, why in ((archive, "is in no bucket of S3"), (bucket, "has no Object Lock")):
        place.save_universe_results("u", [result("A")], code="none")
        with pytest.raises(ConfigError, match=why):
            place.bundles.hold("x", "7y", check=True)


def test_the_command_refuses_before_it_writes(archive: Archive, command: Cli) -> None:
    run = archive.save_universe_results("u", [result("A")], code="none")
    done = command("--url", str(archive.store.local), "bundle", "create", "x", run.id, "--legal-hold")
    assert (done[0], archive.bundles.names()) == (2, [])


def test_what_locks_keep_is_said_before(
    moto_endpoint: str, command: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVER_URL", locked_bucket(moto_endpoint, days=30))
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", json.dumps(s3_options(moto_endpoint)))
    archive = archiver.open()
    run = archive.save_universe_results("u", [result("A")], code="none")
    archive.bundle([run.id], "b")
    words = "locks every new object for 30 days (GOVERNANCE)"
    for line in (["gc"], ["prune", "--keep-last", "1"], ["bundle", "create", "b", run.id, "--remove"]):
        code, _, said = command(*line)
        assert (code, words in said) == (0, True), said
    archive.tag(run.id, "x")
    archive.untag(run.id, "x")
    said = command("du")[2]
    assert "old version" in said
    assert words in said
    assert json.loads(command("--json", "du")[1])["old_versions"]["objects"] >= 2
    assert command("--json", "gc")[0] == 0


@pytest.mark.usefixtures("details_apart")
def test_details_alone_are_of_another_class(moto_place: Place) -> None:
    archive = archiver.open(moto_place.url, detail_storage_class="standard-ia", **moto_place.options)
    first = archive.save_universe_results("u", [result("A", bars=50)], code="none")
    travelled: Archive = pickle.loads(pickle.dumps(archive))
    run = travelled.start("v", code="none")
    run.add(result("B", bars=50))
    second = run.finish()
    classes = {
        entry.key: warmth(archive.store, entry.key).storage_class  # type: ignore[union-attr]  # all are there
        for entry in archive.store.list()
    }
    details = {archive.record(one.id).tier2.key for one in (first, second)}  # type: ignore[union-attr]  # both have details
    assert {key for key, one in classes.items() if one == "STANDARD_IA"} == details
    assert archive.load_strategy("A")["trades"]
    for wrong, why in (("GLACIER", "nobody can read at once"), ("COLD", "is not known")):
        with pytest.raises(ConfigError, match=why):
            archiver.open(moto_place.url, detail_storage_class=wrong, **moto_place.options)


def test_doctor_tells_of_locks_and_encryption(moto_endpoint: str) -> None:
    store = Place("moto", locked_bucket(moto_endpoint), s3_options(moto_endpoint)).open()
    api = store.bucket_api()
    assert api is not None

    def told() -> dict[str, tuple[str, str]]:
        return {one.probe: (one.state, one.detail) for one in examine(store, "reader")}

    before = told()
    assert before["object lock"] == ("ok", "on, without a default: `bundle create --retain` can use it")
    assert before["encryption"] == ("ok", "none by default")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key-1"}}
    api.call("put_bucket_encryption", "test", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert "aws:kms by default with key-1: who reads needs kms:Decrypt" in told()["encryption"][1]
    assert "without a bucket key" in told()["encryption"][1]
