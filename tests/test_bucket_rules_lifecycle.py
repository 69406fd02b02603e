"""Bucket rules on real servers: what is written, what is kept, what is put back."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from functools import partial
from pathlib import Path

import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import AccessError, ConfigError, PolicyError, StorageError
from archiver.retention.bucket_rules import Wishes, build_rules, describe, parse
from archiver.retention.bucket_rules.lifecycle import RulesPlan, apply, plan, read
from archiver.retention.policy import Policy
from archiver.store import BucketApi, RuleSet
from tests.benchmarks.workload import small_run
from tests.conftest import Cli, Place
from tests.wire import Wire

pytestmark = pytest.mark.usefixtures("details_apart")

MONTH = Policy(keep_within="30d", tiers=2)
OTHERS = b"""<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>logs</ID><Filter><Prefix>logs/</Prefix></Filter>
<Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule><Rule><ID>tagged</ID><Filter><And><Prefix>x/</Prefix>
<Tag><Key>a</Key><Value>b</Value></Tag></And></Filter><Status>Disabled</Status><Transition><Days>60</Days>
<StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>"""


@pytest.fixture
def archive(moto_place: Place) -> Archive:
    archive = archiver.open(moto_place.url, **moto_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    return archive


@pytest.fixture
def bucket(archive: Archive) -> BucketApi:
    api = archive.store.bucket_api()
    assert api is not None
    return api


def planned(archive: Archive, *policies: Policy, **wishes: object) -> RulesPlan:
    tags = {run.id: run.tags for run in archive.runs()}
    return plan(archive.store, archive.records(), tags, policies, Wishes.of(wishes))


def at_once(_seconds: float) -> None:
    """Do not wait: the servers here show at once what was written."""


def ids(api: BucketApi) -> list[str]:
    rules = api.rules()
    return [rule.id for rule in parse(rules.xml).rules] if rules else []


def test_rules_are_written_read_again_and_removed(archive: Archive, bucket: BucketApi) -> None:
    assert bucket.rules() is None
    assert apply(archive.store, planned(archive, MONTH), wait=at_once)
    before = read(archive.store)
    assert [before.text(rule) for rule in before.document.rules] == [
        "tier2/: expire after 30 days",
        "tier2/: incomplete uploads go after 7 days",
        "bundles/: incomplete uploads go after 7 days",
        "catalog/: incomplete uploads go after 7 days",
    ]
    assert all(before.ours(rule) for rule in before.document.rules)
    assert not apply(archive.store, planned(archive, MONTH), wait=at_once)
    assert apply(archive.store, planned(archive, abort_uploads="never"), wait=at_once)
    assert bucket.rules() is None


def test_rules_of_others_and_of_other_archives_stay_as_they_are(
    archive: Archive, bucket: BucketApi, moto_place: Place
) -> None:
    bucket.replace_rules(RuleSet(OTHERS))
    former = bucket.rules()
    assert former is not None
    assert parse(former.xml).meaning == parse(OTHERS).meaning
    neighbour = archiver.open(moto_place.url + "/nested", **moto_place.options)
    neighbour.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    assert apply(neighbour.store, planned(neighbour, MONTH), wait=at_once)
    theirs = bucket.rules()
    assert theirs is not None
    assert apply(archive.store, planned(archive, MONTH, tier2="GLACIER_IR:30d"), wait=at_once)
    assert len(ids(bucket)) == 2 + 4 + 5
    assert apply(archive.store, planned(archive, abort_uploads=False), wait=at_once)
    assert bucket.rules() == theirs
    assert apply(neighbour.store, planned(neighbour, abort_uploads=False), wait=at_once)
    assert bucket.rules() == former


def test_the_size_from_which_a_bucket_moves_objects_is_kept(archive: Archive, bucket: BucketApi) -> None:
    bucket.replace_rules(RuleSet(OTHERS, "varies_by_storage_class"))
    kept = bucket.rules()
    assert kept is not None
    apply(archive.store, planned(archive, MONTH), wait=at_once)
    after = bucket.rules()
    assert after is not None
    assert after.least == kept.least
    assert read(archive.store).moves_small == (kept.least == "varies_by_storage_class")


@pytest.mark.parametrize("others", [None, RuleSet(OTHERS)])
def test_what_the_server_drops_is_noticed_and_the_former_rules_are_back(
    archive: Archive, bucket: BucketApi, others: RuleSet | None
) -> None:
    # moto, like Ceph, forgets the size: the rule would move everything.
    bucket.replace_rules(others)
    former = bucket.rules()
    with pytest.raises(
        StorageError, match=r"came back as \(tier2/: move to GLACIER after 3 days\); the former"
    ) as e:
        apply(archive.store, planned(archive, MONTH, tier2="GLACIER:3d", min_size="1MB"), wait=at_once)
    assert "\n" not in str(e.value)
    assert bucket.rules() == former


def test_former_rules_that_cannot_be_put_back_are_saved(
    wired_place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    archive = archiver.open(wired_place.url, **wired_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    bucket = archive.store.bucket_api()
    assert bucket is not None
    bucket.replace_rules(RuleSet(OTHERS))
    made = planned(archive, tier2="GLACIER:3d", min_size="1MB")

    def deny(_seconds: float) -> None:
        wire.fault("answer", "PUT", status=403, code="AccessDenied")

    with pytest.raises(StorageError, match="put them back by hand"):
        apply(archive.store, made, wait=deny)
    (saved,) = tmp_path.glob("archiver-former-rules-*.xml")
    assert made.before.found is not None
    assert saved.read_bytes() == made.before.found.xml


def test_rules_that_changed_since_the_plan_are_not_overwritten(archive: Archive, bucket: BucketApi) -> None:
    made = planned(archive, MONTH)
    bucket.replace_rules(RuleSet(OTHERS))
    with pytest.raises(PolicyError, match="plan again"):
        apply(archive.store, made, wait=at_once)
    assert ids(bucket) == ["logs", "tagged"]


@pytest.mark.parametrize("kind", ["lose", "refuse"])
def test_a_lost_connection_while_writing_is_got_over(wired_place: Place, wire: Wire, kind: str) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    made = planned(archive, MONTH)
    wire.fault(kind, "PUT")
    assert apply(archive.store, made, wait=at_once)
    assert planned(archive, MONTH).change.empty


@pytest.mark.parametrize(("verb", "step"), [("GET", "read"), ("PUT", "write")])
def test_a_denied_call_changes_nothing_and_says_which(
    wired_place: Place, wire: Wire, verb: str, step: str
) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    bucket = archive.store.bucket_api()
    assert bucket is not None
    bucket.replace_rules(RuleSet(OTHERS))
    made = planned(archive, MONTH)
    wire.fault("answer", verb, status=403, code="AccessDenied")
    with pytest.raises(AccessError, match=f"cannot {step} the lifecycle rules"):
        apply(archive.store, made, wait=at_once)
    assert ids(bucket) == ["logs", "tagged"]


@pytest.mark.parametrize(
    ("status", "code"), [(400, "MalformedXML"), (400, "InvalidRequest"), (501, "NotImplemented")]
)
def test_a_server_that_takes_no_rules_on_uploads_gets_the_others(
    wired_place: Place, wire: Wire, status: int, code: str
) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    made = planned(archive, MONTH)
    wire.fault("answer", "PUT", status=status, code=code)
    done = apply(archive.store, made, wait=at_once)
    assert done is not None
    assert [done.before.text(rule) for rule in done.change.wanted] == ["tier2/: expire after 30 days"]
    assert done.warnings[-1].startswith("rules on incomplete uploads are left out")
    assert planned(archive, MONTH, abort_uploads="never").change.empty
    # The next time nothing else is to be done.
    wire.fault("answer", "PUT", status=status, code=code)
    again = apply(archive.store, planned(archive, MONTH), wait=at_once)
    assert again is not None
    assert again.change.empty


def test_a_server_that_takes_none_of_the_rules_is_left_alone(wired_place: Place, wire: Wire) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    made = planned(archive, MONTH)
    wire.fault("answer", "PUT", status=400, code="MalformedXML", times=2)
    with pytest.raises(StorageError, match=r"nothing was changed. The server may know only some rules"):
        apply(archive.store, made, wait=at_once)
    assert planned(archive, MONTH).change == made.change


def test_a_write_that_was_done_and_then_denied_is_taken_back(wired_place: Place, wire: Wire) -> None:
    # The server acts on the write, keeps something else than it was sent, and its answer is lost on the way.
    archive = archiver.open(wired_place.url, **wired_place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    made = planned(archive, MONTH, tier2="GLACIER:3d", min_size="1MB")
    wire.fault("lose", "PUT")
    wire.fault("answer", "PUT", status=409, code="Odd")
    with pytest.raises(StorageError, match="Odd"):
        apply(archive.store, made, wait=at_once)
    assert read(archive.store).found is None


def test_what_is_signed_is_what_is_sent(wired_place: Place, wire: Wire) -> None:
    bucket = wired_place.open().bucket_api()
    assert bucket is not None
    bucket.replace_rules(RuleSet(OTHERS, "varies_by_storage_class"))
    ((_, path, headers),) = [seen for seen in wire.seen if seen[0] == "PUT"]
    assert path.endswith("?lifecycle")
    assert headers["content-md5"] == base64.b64encode(hashlib.md5(OTHERS).digest()).decode()
    assert headers["x-amz-content-sha256"] == hashlib.sha256(OTHERS).hexdigest()
    crc = base64.b64encode(zlib.crc32(OTHERS).to_bytes(4, "big")).decode()
    assert headers.get("x-amz-checksum-crc32", crc) == crc
    assert headers["x-amz-transition-default-minimum-object-size"] == "varies_by_storage_class"


def test_a_pinned_run_stops_the_rule_until_it_is_untagged(archive: Archive, bucket: BucketApi) -> None:
    (run,) = archive.runs()
    archive.tag(run.id, "pinned")
    with pytest.raises(PolicyError, match=rf"{run.id}.*archiver bundle create"):
        planned(archive, MONTH)
    assert planned(archive, tier2="GLACIER_IR:30d").change.add
    archive.untag(run.id, "pinned")
    assert planned(archive, MONTH).change.add
    assert bucket.rules() is None


def test_a_tag_that_a_policy_on_other_universes_keeps_stops_nothing(archive: Archive) -> None:
    archive.tag(archive.runs()[0].id, "paper")
    elsewhere = Policy(keep_within="30d", keep_tags=["paper"], tiers=2, universe="v*")
    planned(archive, Policy(keep_within="30d", tiers=2, universe="u*"), elsewhere)
    here = Policy(keep_within="30d", keep_tags=["paper"], tiers=2, universe="u*")
    with pytest.raises(PolicyError, match="kept by tag"):
        planned(archive, here, elsewhere)


def test_an_unreadable_record_stops_the_plan(archive: Archive) -> None:
    (run,) = archive.runs()
    archive.store.put(f"runs/{run.id}.json.zst", b"damaged")
    fresh = Archive(archive.store)
    with pytest.raises(archiver.ArchiverError):
        planned(fresh, MONTH)


def test_versioned_buckets_get_rules_for_what_is_no_longer_current(
    archive: Archive, bucket: BucketApi
) -> None:
    bucket.call("put_bucket_versioning", "switch versions on", VersioningConfiguration={"Status": "Enabled"})
    made = planned(archive, MONTH, abort_uploads="never")
    assert [made.before.text(rule) for rule in made.change.add] == [
        "tier2/: expire after 30 days",
        *(f"{area}/: old versions go after 30 days, lone delete markers go"
          for area in ("tier2", "bundles", "catalog", "trash")),
    ]  # fmt: skip
    assert apply(archive.store, made, wait=at_once)
    assert any("old_versions" in text for text in planned(archive, MONTH, old_versions=False).warnings)


def test_warnings_say_what_a_user_would_regret(archive: Archive, bucket: BucketApi) -> None:
    bucket.replace_rules(RuleSet(OTHERS.replace(b"logs/", b"some/")))
    policies = [MONTH, Policy(keep_last=3)]
    made = planned(archive, *policies, tier2=["GLACIER_IR:1d", "DEEP_ARCHIVE:60d"], bundles="THEIRS:1d")
    said = "\n".join(made.warnings)
    for text in (
        "rule logs, which is not archiver's, removes objects of this archive",
        "policy keep-last 3 is left to `archiver prune`",
        "DEEP_ARCHIVE cannot be read before they are restored",
        "GLACIER_IR is paid for 90 days",
        "removes objects before archiver-move-tier2",
        "1 of 1 objects are too small",
        "no price of THEIRS is known",
    ):
        assert text in said, text


def test_a_move_that_never_pays_is_pointed_out(archive: Archive) -> None:
    archive.save_universe_results("u2", [small_run(1, 2, 300, 30_000)], top_n=1, code="none")
    quarter = Policy(keep_within="90d", tiers=2)
    assert any(
        "do not move them" in text for text in planned(archive, quarter, tier2="GLACIER_IR:30d").warnings
    )
    assert not any("do not move" in text for text in planned(archive, tier2="GLACIER_IR:30d").warnings)


@pytest.mark.parametrize("kind", ["file", "memory", "rclone"])
def test_stores_without_bucket_rules_say_so_and_what_helps(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    archive = archiver.open(place.url, **place.options)
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    with pytest.raises(ConfigError, match=r"takes no bucket rules .*`archiver prune --apply`"):
        planned(archive, MONTH)
    assert len(archive.runs()) == 1


@pytest.mark.parametrize("code", ["NotImplemented", "MethodNotAllowed"])
def test_a_server_that_says_it_knows_no_rules(wired_place: Place, wire: Wire, code: str) -> None:
    archive = archiver.open(wired_place.url, **wired_place.options)
    wire.fault("answer", "GET", status=501, code=code)
    with pytest.raises(ConfigError, match="takes no bucket rules"):
        read(archive.store)


# -- the commands --------------------------------------------------------------------------------------------


@pytest.fixture
def run(
    archive: Archive, moto_place: Place, command: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHIVER_URL", moto_place.url)
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", json.dumps(moto_place.options))
    return partial(command, "lifecycle")


def test_plan_apply_show_by_the_configuration(run: Cli, bucket: BucketApi, tmp_path: Path) -> None:
    bucket.replace_rules(RuleSet(OTHERS))
    (tmp_path / "archiver.toml").write_text(
        '[[policy]]\nkeep_within = "30d"\ntiers = 2\nkeep_tags = ["paper"]\n'
        '[lifecycle]\nbundles = "DEEP_ARCHIVE:1d"\nabort_uploads = "2d"\n'
        '[lifecycle.prices]\ndate = "2030-01"\nstorage = { DEEP_ARCHIVE = 0.5 }\n'
    )
    code, out, err = run("plan")
    assert code == 0
    assert "+ archiver-expire-tier2-" in out
    assert "  logs  logs/: expire after 9 days  (not archiver's: stays as it is)" in out
    assert "prices of 2030-01" in err
    assert "nothing was changed" in err
    assert ids(bucket) == ["logs", "tagged"]
    assert run("apply")[0] == 0
    assert len(ids(bucket)) == 7
    code, out, err = run("apply")
    assert (code, "as they should be" in err) == (0, True)
    document = json.loads(run("show", "--json")[1])
    assert [rule["ours"] for rule in document["rules"]].count(True) == 5
    assert run("show", "--xml")[1].startswith("<?xml")
    assert "archiver-expire-tier2" in run("show")[1]


def test_what_is_configured_for_another_archive_is_refused(
    run: Cli, bucket: BucketApi, tmp_path: Path
) -> None:
    file = tmp_path / "archiver.toml"
    for text, wanted in (("[[policy]]\nkeep_last = 3\n", 13), ('[lifecycle]\nold_versions = "9d"\n', 2)):
        file.write_text('url = "s3://other/x"\n' + text)
        code, _, err = run("plan")
        assert (code, "s3://other/x" in err, err.count("\n")) == (wanted, True, 1)
    file.write_text('url = "s3://other/x"\n[[policy]]\nkeep_last = 3\n')
    assert run("plan", "--keep-within", "30d")[0] == 0


def test_plan_as_json_holds_the_diff_and_the_estimate(run: Cli) -> None:
    code, out, _ = run(
        "plan", "--keep-within", "30d", "--universe", "u*", "--tier2", "GLACIER_IR:7d", "--json"
    )
    document = json.loads(out)
    assert code == 0
    assert [rule["does"] for rule in document["add"][:2]] == [
        "tier2/universe=u: expire after 30 days",
        "tier2/: move to GLACIER_IR after 7 days",
    ]
    assert document["estimates"][0]["small"] == 1
    assert document["estimates"][0]["prices_of"]


def test_refusals_have_their_exit_codes(run: Cli, archive: Archive, bucket: BucketApi) -> None:
    assert run("apply", "--tier2", "GLACIER:3d", "--min-size", "1MB")[0] == 14
    assert run("plan", "--keep-tag", "x")[0] == 2
    assert run("plan", "--tier2", "GLACIER")[0] == 2
    assert run("plan", "--keep-within", "soon")[0] == 13
    archive.tag(archive.runs()[0].id, "pinned")
    code, _, err = run("apply", "--keep-within", "30d")
    assert code == 13
    assert archive.runs()[0].id in err
    assert bucket.rules() is None


def test_a_pinned_run_in_a_bundle_is_safe(run: Cli, archive: Archive, bucket: BucketApi) -> None:
    (pinned,) = archive.runs()
    archive.tag(pinned.id, "pinned")
    assert run("apply", "--keep-within", "30d")[0] == 13
    archive.bundle([pinned.id], "important")
    code, _, err = run("apply", "--keep-within", "30d")
    assert code == 0
    assert (
        f"{pinned.id} is kept by its tag and loses its details here by age: they stay in bundle important"
        in err
    )
    archive.store.put("bundles/important.tar.zst", b"damaged")
    code, _, err = run("plan", "--keep-within", "60d")
    assert code == 13
    assert "bundle important cannot be read and does not count" in err


def test_a_run_that_is_pinned_after_the_rule_was_written(
    run: Cli, archive: Archive, bucket: BucketApi
) -> None:
    assert run("apply", "--keep-within", "30d")[0] == 0
    assert "remove the details" not in run("show")[2]
    (pinned,) = archive.runs()
    archive.tag(pinned.id, "pinned")
    assert f"rules in the bucket remove the details of {pinned.id}, pinned" in run("show")[2]
    code, _, err = run("plan", "--keep-within", "30d")
    assert (code, "has such a rule already" in err) == (13, True)
    assert run("apply", "--keep-within", "never")[0] == 0
    assert run("show")[2] == ""
    assert len(ids(bucket)) == 3


def test_simulate_says_which_object_meets_which_rule_on_which_day(run: Cli, bucket: BucketApi) -> None:
    code, out, err = run("simulate", "--keep-within", "30d")
    assert code == 0
    (line,) = out.splitlines()[1:]
    day, action, key, _, rule = line.split("\t")
    assert (action, key.startswith("tier2/universe=u1/")) == ("expire", True)
    assert rule.startswith("archiver-expire-tier2-")
    assert "expire: 1 object, " in err
    assert json.loads(run("simulate", "--keep-within", "30d", "--json")[1])["events"][0]["day"] == day
    assert run("simulate", "--keep-within", "30d", "--days", "29")[1] == ""
    bucket.replace_rules(RuleSet(OTHERS.replace(b"logs/", b"some/prefix/runs/")))
    assert "runs/" in run("simulate", "--current")[1]


def test_the_settings_of_the_guide_are_settings() -> None:
    import re
    import tomllib

    from archiver.retention.policy import parse_policies

    page = (Path(__file__).parent.parent / "docs" / "how-to" / "bucket-rules.md").read_text()
    blocks = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    commented = re.findall(r"^# (\w+ = .+?)(?:[ ]+#.*)?$", page, re.MULTILINE)
    assert len(blocks) == 2
    assert len(commented) == 4
    (policy,) = parse_policies(blocks[0]["policy"])
    assert texts_of(blocks[0]["lifecycle"], policy)[0] == "expire after 90 days"
    for line in commented:
        Wishes.of(tomllib.loads(line))
    prices = Wishes.of(blocks[1]["lifecycle"]).prices
    assert (prices.date, prices.storage["GLACIER_IR"]) == ("2026-11", 0.004)


def texts_of(table: dict[str, object], policy: Policy) -> list[str]:
    return [describe(one, "").partition(": ")[2] for one in build_rules("", [policy], Wishes.of(table))]
