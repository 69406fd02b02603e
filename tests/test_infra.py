"""What stands in infra/ works: the template deploys, the rights are enough and no more, the nightly commands run."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import archiver
from archiver import cli
from archiver.archive import Archive
from archiver.errors import AccessError
from archiver.format import layout
from archiver.health.doctor import SCRATCH, Finding, Role, examine
from archiver.retention.bucket_rules import Wishes, dangers, parse
from archiver.retention.bucket_rules.document import Rule, Xml, element, rule
from archiver.retention.bucket_rules.lifecycle import apply, plan, read
from archiver.retention.policy import Policy
from archiver.store import Store, open_store
from tests.benchmarks.workload import small_run
from tests.conftest import _BIN, ACCESS, SECRET, _serve, s3_options

INFRA = Path(__file__).parent.parent / "infra"
TEMPLATE = INFRA / "cloudformation" / "bucket.yaml"
BUCKET, PREFIX = "archive-of-tests", "team/backtests/"


# -- the bucket's template -----------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Reads the short forms of CloudFormation's functions as {name: argument}."""


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.ScalarNode)
    return {suffix: loader.construct_scalar(node)}


_Loader.add_multi_constructor("!", _function)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)
    return loaded


def resolved(value: Any, given: dict[str, Any]) -> Any:
    """Put parameters in the place of references, as the service does."""
    if isinstance(value, list):
        return [item for item in (resolved(item, given) for item in value) if item is not None]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return given.get(value["Ref"])
    if "Sub" in value:
        return re.sub(r"\$\{([\w:]+)\}", lambda name: str(given[name[1]]), value["Sub"])
    if "If" in value:
        name, yes, no = value["If"]
        return resolved(yes if given[name] else no, given)
    return {key: resolved(item, given) for key, item in value.items()}


def bucket_rules(template: dict[str, Any], **given: Any) -> list[Rule]:
    """Return the template's rules as the bucket would hold them."""
    values = {"Prefix": PREFIX, "OldVersionDays": 30, "UploadDays": 7, "BundleClass": "GLACIER_IR", **given}
    values |= {"ExpireDetails": values.get("DetailDays", 0), "MoveBundles": values.get("BundleDays", 0)}
    configuration = template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]
    return [_rule(item) for item in resolved(configuration, values)["Rules"]]


def _rule(item: dict[str, Any]) -> Rule:
    actions: list[Xml] = []
    if "ExpirationInDays" in item:
        actions.append(element("Expiration", element("Days", item["ExpirationInDays"])))
    if item.get("ExpiredObjectDeleteMarker"):
        actions.append(element("Expiration", element("ExpiredObjectDeleteMarker", "true")))
    for move in item.get("Transitions", ()):
        days, name = move["TransitionInDays"], move["StorageClass"]
        actions.append(element("Transition", element("Days", days), element("StorageClass", name)))
    actions.extend(
        element(name, *(element(key, value) for key, value in item[name].items()))
        for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
        if name in item
    )
    scope = element("Filter", element("Prefix", item.get("Prefix", "")))
    return rule(
        element("Rule", element("ID", item["Id"]), scope, element("Status", item["Status"]), *actions)
    )


def test_cfn_lint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [str(_BIN / "cfn-lint"), "--include-checks", "I", "--", str(TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_bucket_is_closed_encrypted_versioned_and_tls_only(template: dict[str, Any]) -> None:
    bucket = template["Resources"]["Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "ServerSideEncryptionConfiguration" in properties["BucketEncryption"]
    (deny,) = template["Resources"]["TlsOnly"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(deny["Resource"]) == 2


@pytest.mark.parametrize("given", [{}, {"DetailDays": 30, "BundleDays": 1}, {"Prefix": ""}])
def test_the_rules_touch_nothing_that_a_run_needs(template: dict[str, Any], given: dict[str, Any]) -> None:
    root = given.get("Prefix", PREFIX)
    rules = bucket_rules(template, **given)
    assert {one.id for one in rules} >= {"old-versions", "incomplete-uploads"}
    for one in rules:
        # Without a place of its own a rule may only touch what is no longer, or not yet, an object.
        touches = one.removes or one.moves
        assert not touches or one.prefix in (root + layout.TIER2, root + layout.BUNDLES), one.id
        assert not one.removes or one.prefix == root + layout.TIER2
        assert one.id.startswith("archiver-") == bool(one.prefix)
    assert len([one for one in rules if one.removes or one.moves]) == (2 if "DetailDays" in given else 0)
    assert dangers((one for one in rules if not one.id.startswith("archiver-")), root) == []


# -- deployed, with rights that are enforced -------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint(_isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a moto server of our own: from some moment on it asks for rights."""
    log = tmp_path_factory.mktemp("moto") / "log"
    yield from _serve(lambda port: [str(_BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], log)


@pytest.fixture(scope="module")
def users(endpoint: str) -> dict[str, dict[str, Any]]:
    """Deploy the template, make a user for each of its policies, and switch the rights on."""
    import botocore.session

    session = botocore.session.Session()
    session.set_credentials(ACCESS, SECRET)
    stacks, iam = (
        session.create_client(name, region_name="us-east-1", endpoint_url=endpoint)
        for name in ("cloudformation", "iam")
    )
    given = {"BucketName": BUCKET, "Prefix": PREFIX, "DetailDays": "90", "BundleDays": "1"}
    stacks.create_stack(
        StackName="archive",
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    (stack,) = stacks.describe_stacks(StackName="archive")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    assert outputs["Url"] == f"s3://{BUCKET}/{PREFIX}"
    open_store(f"s3://{BUCKET}/team/other", storage_options=s3_options(endpoint)).put("secret", b"x")
    users = {}
    for role in ("Writer", "Reader", "Pruner"):
        iam.create_user(UserName=role)
        iam.attach_user_policy(UserName=role, PolicyArn=outputs[f"{role}Policy"])
        key = iam.create_access_key(UserName=role)["AccessKey"]
        users[role] = {**s3_options(endpoint), "key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    # moto checks a request that deletes many objects against the bucket itself, not against each key as AWS does:
    # for it alone the pruner gets that right. What it may delete is tried object by object below.
    bulk = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{BUCKET}"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [bulk]})
    iam.put_user_policy(UserName="Pruner", PolicyName="bulk", PolicyDocument=document)
    ask_for_rights_after(endpoint, 0)
    return users


def ask_for_rights_after(endpoint: str, requests: int) -> None:
    request = urllib.request.Request(
        f"{endpoint}/moto-api/reset-auth",
        data=str(requests).encode(),
        method="POST",
        headers={"Content-Type": "text/plain"},
    )
    assert urllib.request.urlopen(request).status == 200


@contextmanager
def rights_off(endpoint: str) -> Iterator[None]:
    ask_for_rights_after(endpoint, 1000)
    try:
        yield
    finally:
        ask_for_rights_after(endpoint, 0)


@pytest.fixture(scope="module")
def url(users: dict[str, dict[str, Any]]) -> str:
    """Give an archive that the writer has saved two runs to."""
    url = f"s3://{BUCKET}/{PREFIX.rstrip('/')}"
    writer = archiver.open(url, **users["Writer"])
    for at in range(2):
        run = writer.save_universe_results("u1", [small_run(1, at)], top_n=1, code="none", tags=["nightly"])
    writer.tag(run.id, "paper")
    archiver.open(url, **users["Pruner"]).compact()
    return url


Opened = Callable[[str], Archive]


@pytest.fixture
def opened(users: dict[str, dict[str, Any]], url: str) -> Opened:
    return lambda role: archiver.open(url, **users[role])


def delete(store: Store, key: str) -> None:
    """Delete one object in a request of its own, which moto checks by its key."""
    api = store.bucket_api()
    assert api is not None
    api.call("delete_object", f"delete {key}", Key=api.root + key)


def test_the_writer_saves_reads_and_deletes_nothing(opened: Opened) -> None:
    writer = opened("Writer")
    run = writer.save_universe_results("u2", [small_run(2, 1)], top_n=1, code="none")
    assert writer.load_metrics("u2").num_rows == 1
    assert writer.run(run.id).detailed == 1
    for key in (layout.record_key(run.id), layout.tier2_key("u2", run.id), layout.ARCHIVE):
        with pytest.raises(AccessError, match="cannot delete"):
            delete(writer.store, key)
    for key in ("trash/x", "quarantine/x", "other"):
        with pytest.raises(AccessError, match="cannot write"):
            writer.store.put(key, b"")
    with pytest.raises(AccessError, match="lifecycle"):
        read(writer.store)
    with pytest.raises(AccessError):
        writer.compact()
    assert writer.bundle([run.id], "kept").runs == (run.id,)
    with writer.store.write("bundles/large.tar.zst") as stream:
        stream.write(bytes(40 << 20))


def test_the_reader_reads_and_writes_nothing(opened: Opened) -> None:
    reader = opened("Reader")
    runs = reader.runs("u1")
    assert len(runs) == 2
    ((_, strategy), *_) = reader.detailed_strategies("u1")
    assert reader.load_strategy(strategy, "u1")["trades"]
    with pytest.raises(AccessError):
        reader.save_universe_results("u1", [small_run(1, 5)], code="none")
    with pytest.raises(AccessError):
        reader.tag(runs[0].id, "pinned")
    with pytest.raises(AccessError, match="cannot delete"):
        delete(reader.store, layout.record_key(runs[0].id))
    with pytest.raises(AccessError, match="cannot remove the lifecycle rules"):
        reader.store.bucket_api().replace_rules(None)  # type: ignore[union-attr]
    assert len(reader.runs("u1")) == 2
    assert reader.verify(read_data=True).ok


def test_nobody_sees_what_is_beside_the_archive(opened: Opened, users: dict[str, dict[str, Any]]) -> None:
    for role in users:
        beside = open_store(f"s3://{BUCKET}/team/other", storage_options=users[role])
        with pytest.raises(AccessError):
            beside.get("secret")
        with pytest.raises(AccessError):
            beside.put("runs/x", b"")


def test_the_pruner_deletes_what_is_pruned_and_nothing_else(opened: Opened) -> None:
    store = opened("Pruner").store
    for area in (
        "runs",
        "revised",
        "packs",
        "masks",
        "trash",
        "tier1",
        "tier2",
        "tapes",
        "code",
        "tags",
        "catalog",
    ):
        delete(store, f"{area}/nothing")
    for key in ("bundles/large.tar.zst", layout.ARCHIVE, "other"):
        with pytest.raises(AccessError, match="cannot delete"):
            delete(store, key)
    for area in ("tier1", "tier2", "bundles"):
        with pytest.raises(AccessError, match="cannot write"):
            store.put(f"{area}/x", b"")


def test_the_pruner_prunes_frees_and_verifies(opened: Opened) -> None:
    pruner = opened("Pruner")
    newest = pruner.runs("u1")[0].id
    pruner.apply(pruner.plan_prune(Policy(keep_last=1, universe="u1")))
    assert [run.id for run in pruner.runs("u1")] == [newest]
    pruner.untag(newest, "nightly")
    assert "nightly" not in pruner.run(newest).tags
    assert pruner.verify(read_data=True).ok


def left(store: Store) -> list[str]:
    return [entry.key for entry in store.list(SCRATCH)]


@pytest.mark.slow
def test_the_doctor_judges_each_role_by_its_own_work(opened: Opened) -> None:
    found: dict[str, dict[str, Finding]] = {}
    for role in ("Reader", "Writer", "Pruner"):
        store = opened(role).store
        for _ in range(3):
            findings = list(examine(store))
            found[role] = {one.probe: one for one in findings}
            assert all(one.sound for one in findings), role
            assert not [one for one in findings if one.state == "failed"], role
        assert list(store.leftovers()) == [], role
        assert len(left(store)) == {"Reader": 0, "Writer": 9, "Pruner": 9}[role]
    assert found["Reader"]["rights"].detail == "may list, read, read bucket rules; may not write"
    assert found["Writer"]["rights"].detail == "may list, read, write; may not delete, read bucket rules"
    assert found["Pruner"]["rights"].detail == "may list, read, write, delete, read bucket rules"
    assert found["Writer"]["multipart"].state == found["Writer"]["abort"].state == "ok"
    assert found["Writer"]["cleaned up"].detail.startswith("9 objects of at most 1 kB stay below")
    assert found["Pruner"]["cleaned up"].state == "ok"


def test_the_doctor_tells_a_role_what_its_work_lacks(opened: Opened) -> None:
    def unsound(user: str, role: Role) -> list[str]:
        return [one.probe for one in examine(opened(user).store, role) if not one.sound]

    assert unsound("Reader", "reader") == unsound("Writer", "writer") == unsound("Pruner", "pruner") == []
    assert unsound("Reader", "writer") == ["write"]
    assert unsound("Writer", "pruner") == ["delete"]


def test_the_doctor_of_who_may_not_abort_says_exactly_that(
    opened: Opened, users: dict[str, dict[str, Any]], endpoint: str
) -> None:
    import botocore.session

    session = botocore.session.Session()
    session.set_credentials(ACCESS, SECRET)
    deny = {"Effect": "Deny", "Action": "s3:AbortMultipartUpload", "Resource": "*"}
    with rights_off(endpoint):
        iam = session.create_client("iam", region_name="us-east-1", endpoint_url=endpoint)
        document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
        iam.put_user_policy(UserName="Writer", PolicyName="no-abort", PolicyDocument=document)
    try:
        store = opened("Writer").store
        found = {one.probe: one for one in examine(store)}
        assert (found["multipart"].state, found["abort"].state) == ("ok", "no")
        assert "uploads in parts work, but one cannot be aborted" in found["abort"].detail
        assert all(one.sound for one in found.values())
        assert list(opened("Pruner").store.leftovers()) == [], "none was begun that cannot be ended"
    finally:
        with rights_off(endpoint):
            iam.delete_user_policy(UserName="Writer", PolicyName="no-abort")


def test_the_pruner_keeps_the_rules_of_the_bucket(opened: Opened) -> None:
    pruner = opened("Pruner")
    tags = {run.id: run.tags for run in pruner.runs()}
    policies = [Policy(keep_within="30d", tiers=2)]
    made = plan(pruner.store, pruner.records(), tags, policies, Wishes())
    assert apply(pruner.store, made, wait=lambda _: None)
    found = read(pruner.store)
    assert "tier2/: expire after 30 days" in [found.text(one) for one in parse(found.found.xml).rules]  # type: ignore[union-attr]


# -- a local server ------------------------------------------------------------------------------------------


def test_the_server_of_the_compose_file_holds_an_archive(tmp_path: Path) -> None:
    service = yaml.safe_load((INFRA / "compose" / "compose.yaml").read_text())["services"]["s3"]
    (port,) = service["ports"]
    assert port.startswith("127.0.0.1:"), "only this machine"
    (volume,) = service["volumes"]
    bucket = volume.partition(":/data/")[2]
    (tmp_path / "data" / bucket).mkdir(parents=True)
    values = {"ARCHIVER_S3_KEY": ACCESS, "ARCHIVER_S3_SECRET": SECRET}
    words = [
        re.sub(r"\$\{(\w+):\?[^}]*\}", lambda name: values[name[1]], word) for word in service["command"]
    ]

    def command(at: int) -> list[str]:
        moved = {"/data": str(tmp_path / "data"), "--addr=:8333": f"--addr=127.0.0.1:{at}"}
        return [str(_BIN / "rclone"), *(moved.get(word, word) for word in words)]

    server = _serve(command, tmp_path / "log")
    archive = archiver.open(f"s3://{bucket}/backtests", **s3_options(next(server)))
    archive.save_universe_results("u1", [small_run(1, 1)], top_n=1, code="none")
    assert archive.load_metrics().num_rows == 1
    assert (tmp_path / "data" / bucket / "backtests" / "archive.json").exists()
    server.close()  # type: ignore[attr-defined]


# -- every night ---------------------------------------------------------------------------------------------


def service_commands() -> list[list[str]]:
    text = (INFRA / "systemd" / "archiver-nightly.service").read_text()
    lines = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    return [shlex.split(line.replace("%%", "%")) for line in lines]


def cron_documents() -> dict[str, Any]:
    text = (INFRA / "kubernetes" / "nightly.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_both_schedules_do_the_same() -> None:
    container = cron_documents()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][
        0
    ]
    shell = [shlex.split(part) for part in container["command"][-1].split("&&")]
    assert [words[1:] for words in service_commands()] == shell
    assert [words[1] for words in shell] == ["prune", "gc", "verify"]


def test_the_nightly_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = cron_documents()["ConfigMap"]["data"]["archiver.toml"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archiver.toml").write_text(configuration.replace("s3://bucket/backtests", "here"))
    archive = archiver.open()
    assert archive.store.local == tmp_path / "here"
    for at in range(3):
        archive.save_universe_results("u1", [small_run(1, at)], top_n=1, code="none")
    for words in service_commands():
        assert cli.main(words[2:]) == 0, (words, capsys.readouterr().err)
    assert len(archiver.open().runs()) == 3


def test_units_are_well_formed(tmp_path: Path) -> None:
    folder = INFRA / "systemd"
    timer = configparser.ConfigParser(interpolation=None)
    timer.read(folder / "archiver-nightly.timer")
    assert timer["Timer"]["OnCalendar"]
    assert timer["Install"]["WantedBy"] == "timers.target"
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        return
    done = subprocess.run(
        [systemd, "verify", "--user", "--man=no", *map(str, sorted(folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_cron_job_is_small_and_runs_alone() -> None:
    documents = cron_documents()
    spec = documents["CronJob"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert pod["restartPolicy"] == "Never"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_no_credentials_and_no_registry_hosts() -> None:
    for path in INFRA.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not re.search(
                r"AKIA|BEGIN [A-Z ]*PRIVATE|(secret|password)[\"']?\s*[:=]\s*[\"']?\w", text
            ), path
            for image in re.findall(r"(?:image:|FROM)\s+(\S+)", text):
                assert "." not in image.partition("/")[0].partition(":")[0], image
