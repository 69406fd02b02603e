"""Whatever a command can do, an archive can: exports, imports, SQL, bucket rules, the doctor, extra runs of a copy."""

from __future__ import annotations

import inspect
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import archiver
from archiver.archive import Archive
from archiver.errors import ConfigError, NotFoundError, PolicyError
from archiver.retention.policy import Policy
from tests.conftest import Cli, Place
from tests.stores import details_in_objects

ROWS = [{"strategy_name": name, "score": at, "trades": []} for at, name in enumerate(("b", "a"))]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = archiver.open(tmp_path / "archive")
    made.save_universe_results("u", ROWS, code="none")
    return made


def test_no_class_is_split_by_inheritance_and_every_method_says_what_it_does() -> None:
    assert Archive.__bases__ == (object,)
    public = {name: member for name, member in vars(Archive).items() if not name.startswith("_")}
    assert len(public) > 30
    for name, member in public.items():
        function = member.fget if isinstance(member, property) else member
        assert inspect.getdoc(function), name
        assert "self" in inspect.signature(function).parameters, name


def test_exports_go_to_files_streams_urls_and_folders(archive: Archive, tmp_path: Path, place: Place) -> None:
    done = archive.export(tmp_path / "all.parquet")
    assert (done.place, done.strategies) == (str(tmp_path / "all.parquet"), 2)
    assert pq.read_table(done.place)["strategy_name"].to_pylist() == ["a", "b"]
    stream = io.BytesIO()
    assert archive.export(stream, "csv", universe="u").strategies == 2
    assert stream.getvalue() == b"universe,strategy_name,score\nu,a,1\nu,b,0\n"
    tiered = archive.export(tmp_path / "old", "tiered-json").tiered
    assert tiered is not None
    assert json.loads((tmp_path / "old/all_strategies_metrics.json").read_text())["total_strategies"] == 2
    with pytest.raises(NotFoundError):
        archive.export(tmp_path / "none.csv", universe="nothing")
    assert not (tmp_path / "none.csv").exists()
    for output, form in (
        (tmp_path / "x.xlsx", None),
        (io.BytesIO(), "tiered-json"),
        (tmp_path / "x", "xlsx"),
    ):
        with pytest.raises(ConfigError):
            archive.export(output, form)


def test_an_export_comes_back_as_an_import_once(archive: Archive, tmp_path: Path) -> None:
    archive.export(tmp_path / "old", "tiered-json")
    other = archiver.open(tmp_path / "other")
    told: list[float] = []
    report = other.import_from(tmp_path / "old", tags="taken", step=told.append)
    assert [(one.universe, one.strategies) for one in report.of("imported")] == [("u", 2)]
    assert [run.tags for run in other.runs()] == [("taken",)]
    assert sum(told) > 0
    assert len(other.import_from(tmp_path / "old").of("present")) == 1
    assert sorted(other.load_metrics()["score"].to_pylist()) == [0, 1]


@pytest.mark.parametrize("text", ["{}", "[]", '{"a": 1}'])
def test_an_import_that_finds_nothing_is_no_success(archive: Archive, tmp_path: Path, text: str) -> None:
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(ConfigError, match=r"some\.json"):
        archive.import_from(tmp_path / "some.json")
    with pytest.raises(ConfigError):
        archive.import_from(tmp_path / "nothing")
    assert len(archive.runs()) == 1


def test_sql_is_a_method(archive: Archive) -> None:
    assert archive.sql("select max(score) best from metrics").to_pylist() == [{"best": 1}]
    assert archive.sql("select * from metrics", universe="other").num_rows == 0


def test_the_doctor_is_a_method_and_leaves_nothing(archive: Archive) -> None:
    before = {entry.key for entry in archive.store.list("")}
    steps: list[int] = []
    findings = archive.doctor(step=lambda: steps.append(1))
    assert len(steps) == len(findings) > 5
    assert all(finding.sound for finding in findings)
    assert {entry.key for entry in archive.store.list("")} == before


def test_runs_that_only_the_target_has_go_to_its_trash(archive: Archive, tmp_path: Path) -> None:
    target = archiver.open(tmp_path / "target")
    archive.copy_to(target)
    extra = target.save_universe_results("extra", ROWS, code="none").id
    plan = target.extras(archive)
    assert plan.removed == (extra,)
    with pytest.raises(PolicyError):
        target.apply_extras(archive, plan, max_remove=0.1)
    assert target.apply_extras(archive, plan) == [extra]
    assert [run.id for run in target.trash()] == [extra]
    target.undelete(extra)
    assert len(target.runs()) == 2


@details_in_objects()
def test_rules_of_a_bucket_are_planned_applied_shown_and_removed(moto_place: Place) -> None:
    archive = archiver.open(moto_place.url, **moto_place.options)
    archive.save_universe_results("u", ROWS, code="none")
    rules = archive.lifecycle
    plan = rules.plan([Policy(keep_within="90d", tiers=2)], abort_uploads="3d", old_versions="never")
    assert rules.show().document.rules == ()
    done = rules.apply(plan)
    assert done is not None
    assert (
        rules.apply(
            rules.plan([Policy(keep_within="90d", tiers=2)], abort_uploads="3d", old_versions="never")
        )
        is None
    )
    shown = rules.show()
    assert len(shown.document.rules) == len(done.change.wanted) > 1
    assert all(map(shown.ours, shown.document.rules))
    assert [event.action for event in rules.simulate()] == ["expire"]
    assert rules.simulate(days=1) == []
    assert rules.remove() is not None
    assert rules.show().document.rules == ()


def test_a_folder_has_no_bucket_rules(archive: Archive) -> None:
    for call in (archive.lifecycle.show, archive.lifecycle.plan, archive.lifecycle.simulate):
        with pytest.raises(ConfigError, match="takes no bucket rules"):
            call()


def test_commands_and_methods_agree_on_an_order(archive: Archive, command: Cli) -> None:
    for key in ("score", "-score"):
        code, out, _ = command("--url", archive.store.url, "--json", "metrics", "--sort", key)
        rows = json.loads(out)["metrics"]
        assert (code, rows) == (0, archive.load_metrics(sort=key).to_pylist())
        assert [row["score"] for row in rows] == ([1, 0] if key == "score" else [0, 1])
