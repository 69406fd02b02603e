"""prune, undelete, gc, verify, du and df, as a user calls them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from archiver import cli
from archiver.archive import Archive
from archiver.format import layout
from archiver.store import Store, open_store
from tests.conftest import Cli
from tests.faults import flip
from tests.stores import StubbornStore, of_format_3, save, snapshot

pytestmark = pytest.mark.usefixtures("details_apart")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return open_store(tmp_path / "archive")


@pytest.fixture
def runs(store: Store) -> list[str]:
    return [save(store, "u", days=days, score=float(days), bars=50).run for days in (90, 60, 1, 0)]


@pytest.fixture
def run(store: Store, command: Cli) -> Cli:
    return partial(command, "--url", store.url)


def test_prune_prints_the_plan_and_does_nothing(run: Cli, store: Store, runs: list[str]) -> None:
    before = snapshot(store)
    code, out, err = run("prune", "--keep-within", "30d", "--keep-best", "sharpe_ratio:1")
    assert code == 0
    head, *rows = [line.split("\t") for line in out.splitlines()]
    assert head == ["what", "run", "universe", "age", "frees", "why"]
    assert [(row[0], row[1], row[5]) for row in rows] == [
        ("remove", runs[1], "older than 30d; not among the best 1 by sharpe_ratio (60)")
    ]
    assert "universe u: of 4 runs 3 stay whole, 1 go" in err
    assert "1 shared object" in err
    assert "nothing was removed: --apply does it" in err
    assert snapshot(store) == before
    _, out, _ = run("prune", "--keep-within", "30d", "--kept")
    assert [line.split("\t")[0] for line in out.splitlines()[1:]] == ["keep", "keep", "remove", "remove"]


def test_a_run_is_pruned_brought_back_pruned_and_freed(run: Cli, store: Store, runs: list[str]) -> None:
    before = snapshot(store)
    code, out, err = run("prune", "--keep-within", "30d", "--apply")
    assert (code, "2 runs are in the trash" in err) == (0, True)
    code, out, _ = run("undelete")
    assert {line.split("\t")[0] for line in out.splitlines()[1:]} == set(runs[:2])
    for name in runs[:2]:
        assert run("undelete", name) == (0, "", f"{name} of u is back\n")
    assert snapshot(store) == before
    assert run("undelete", "2099")[0] == 10
    code, out, err = run("undelete")
    assert (code, out, "is empty" in err) == (0, "", True)

    run("prune", "--keep-within", "30d", "--apply")
    assert run("gc")[1:] == ("", "to free: 0 objects, 0 B, all older than 7d\n")
    code, out, err = run("gc", "--grace", "0d")
    assert (code, "--apply does it" in err) == (0, True)
    assert [line.split("\t")[:2] for line in out.splitlines()[1:]] == [["trash", "2"], ["tier2", "2"]]
    code, out, err = run("gc", "--grace", "0d", "--apply")
    assert (code, "freed: 4 objects" in err) == (0, True)
    assert run("undelete", runs[0])[0] == 10
    assert run("verify", "--read-data")[0] == 0


def test_json_is_one_document(run: Cli, runs: list[str]) -> None:
    code, out, _ = run("prune", "--keep-within", "30d", "--json")
    plan = json.loads(out)
    assert code == 0
    assert not plan["applied"]
    assert [one["reasons"] for one in plan["removals"]] == [["older than 30d"]] * 2
    assert len(plan["keeps"]) == 2
    assert plan["freed"] > 0
    done = json.loads(run("prune", "--keep-within", "30d", "--json", "--apply")[1])
    assert (done["applied"], sorted(done["removed"]), done["failed"]) == (True, sorted(runs[:2]), {})
    assert {one["id"] for one in json.loads(run("--json", "undelete")[1])["runs"]} == set(runs[:2])
    found = json.loads(run("gc", "--grace", "0d", "--json")[1])
    assert (found["applied"], found["kinds"]["trash"]["objects"], found["failed"]) == (False, 2, {})
    assert json.loads(run("--json", "undelete", runs[0])[1])["run"]["id"] == runs[0]
    report = json.loads(run("verify", "--json")[1])
    assert (report["ok"], report["problems"]) == (True, [])
    usage = json.loads(run("du", "--json", "--runs")[1])
    assert usage["total"]["bytes"] == sum(part["bytes"] for part in usage["parts"].values())
    assert len(usage["runs"]) == 3
    (space,) = json.loads(run("df", "--json")[1])["spaces"]
    assert (space["kind"], space["level"]) == ("disk", "ok")


def test_prune_refuses_what_may_be_a_mistake(run: Cli, store: Store, runs: list[str]) -> None:
    before = snapshot(store)
    for code, text, *args in (
        (13, "no policy", "prune"),
        (13, "--allow-empty", "prune", "--keep-last", "0"),
        (13, "--max-remove 76%", "prune", "--keep-last", "1", "--apply"),
        (13, "did you mean 'sharpe_ratio'", "prune", "--keep-best", "sharp_ratio:1"),
        (13, "METRIC:COUNT", "prune", "--keep-best", "sharpe_ratio"),
        (13, "no duration", "prune", "--keep-within", "soon"),
        (2, "all, or 2", "prune", "--tiers", "3"),
        (2, "need a rule", "prune", "--tiers", "2"),
        (2, "share such as", "prune", "--max-remove", "many"),
        (2, "share such as", "verify", "--sample", "200%"),
        (13, "no duration", "gc", "--grace", "x"),
        (2, "percentage", "df", "--warn", "120"),
        (2, "percentage", "df", "--fail", "many"),
        (2, "warn below", "df", "--warn", "90%", "--fail", "1"),
        (10, "`archiver undelete` shows", "undelete", "zzz"),
    ):
        found, _, err = run(*args)  # type: ignore[misc]
        assert (found, text in err) == (code, True), err
        assert err.strip().splitlines()[-1].startswith("archiver: ")
    assert "--apply would refuse" in run("prune", "--keep-last", "1")[2]
    assert snapshot(store) == before
    assert "no universe matches 'x*'" in run("prune", "--keep-last", "1", "--universe", "x*")[2]
    # No rule means the configured policies, whatever else is allowed.
    code, _, err = run("prune", "--allow-empty")
    assert (code, "no policy" in err) == (13, True)
    assert run("prune", "--keep-last", "1", "--apply", "--max-remove", "75%")[0] == 0
    assert run("prune", "--keep-last", "0", "--allow-empty", "--apply", "--max-remove", "1")[0] == 0
    assert run("ls", "--json")[1] == '{\n  "runs": []\n}\n'


def test_details_go_by_the_configured_policy(run: Cli, store: Store, runs: list[str]) -> None:
    Path("archiver.toml").write_text('[[policy]]\nname = "slim"\nkeep_within = "30d"\ntiers = 2\n')
    code, out, _ = run("prune")
    assert (code, [line.split("\t")[0] for line in out.splitlines()[1:]]) == (0, ["remove details"] * 2)
    assert "2 lost their details" in run("prune", "--apply")[2]
    code, _, err = run("trades", "s0", "--run", runs[0])
    assert (code, "removed by slim" in err) == (10, True)
    assert run("metrics", "--run", runs[0])[0] == 0
    Path("archiver.toml").write_text("[[policy]]\nkeep_lsat = 3\n")
    code, _, err = run("prune")
    assert (code, "did you mean 'keep_last'" in err) == (13, True)


def test_policies_are_not_for_another_archive_than_the_one_beside_them(
    run: Cli, store: Store, runs: list[str]
) -> None:
    before = snapshot(store)
    Path("archiver.toml").write_text('url = "other"\n[[policy]]\nkeep_last = 2\n')
    code, _, err = run("prune", "--apply")
    assert (code, "policies of ./archiver.toml are for" in err, err.count("\n")) == (13, True, 1)
    assert snapshot(store) == before
    Path("archiver.toml").write_text('url = "archive"\n[[policy]]\nkeep_last = 2\n')
    code, _, err = run("prune")
    assert (code, err.splitlines()[0]) == (0, "policies of ./archiver.toml")
    assert "policies of" not in run("prune", "--keep-last", "2")[2]


def test_verify_names_damage_and_repair_sets_aside(run: Cli, store: Store, runs: list[str]) -> None:
    assert run("verify") == (0, "", "4 runs, 5 objects: all is well\n")
    assert ", 0 of them read (0 B): all is well" in run("verify", "--sample", "0.000001%")[2]
    assert "5 of them read" in run("verify", "--read-data")[2]
    assert run("verify", "--sample", "100%", "--resume", "state")[0] == 0
    assert not Path("state").exists()
    key = layout.tier2_key("u", runs[0])
    flip(store, key)
    assert run("verify")[0] == 0
    code, out, err = run("verify", "--read-data")
    assert (code, "1 problem" in err) == (3, True)
    assert out.splitlines()[1].split("\t")[:2] == [runs[0], key]
    flip(store, layout.record_key(runs[1]))
    code, out, err = run("verify", "--repair")
    assert (code, f"runs/{runs[1]}.json.zst was set aside" in err) == (3, True)
    assert run("verify")[0] == 0
    assert len(json.loads(run("ls", "--json")[1])["runs"]) == 3


def test_what_is_only_newer_is_no_damage_but_needs_an_upgrade(
    run: Cli, store: Store, runs: list[str]
) -> None:
    key = layout.record_key(runs[0])
    store.put(key, of_format_3(store.get(key)))
    code, out, _ = run("verify")
    assert (code, "upgrade archiver" in out) == (11, True)
    flip(store, layout.record_key(runs[1]))
    assert run("verify")[0] == 3


def test_a_damaged_record_in_the_trash_does_not_stop_gc_for_good(
    run: Cli, store: Store, runs: list[str]
) -> None:
    run("prune", "--keep-within", "30d", "--apply")
    flip(store, layout.trash_key(runs[0]))
    for command in ("gc", "undelete"):
        code, _, err = run(command)
        assert (code, "`archiver verify --repair` sets it aside" in err) == (3, True)
    assert run("verify", "--repair")[0] == 3
    assert run("gc")[0] == 0
    assert run("undelete")[0] == 0


def test_a_damaged_record_ends_gc_and_prune_with_its_name(run: Cli, store: Store, runs: list[str]) -> None:
    flip(store, layout.record_key(runs[1]))
    for command in (("gc", "--apply"), ("prune", "--keep-last", "3", "--apply")):
        code, _, err = run(*command)
        assert (code, layout.record_key(runs[1]) in err, err.count("\n")) == (3, True, 1)
    code, _, err = run("du")
    assert (code, "cannot be read" in err) == (0, True)


def test_what_the_store_refuses_is_named_and_the_exit_code_is_14(
    run: Cli, store: Store, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {layout.record_key(runs[0]), layout.tier2_key("u", runs[1])}
    stubborn = Archive(StubbornStore(store, lambda key: key in refused))
    monkeypatch.setattr("archiver.open", lambda _url: stubborn)
    code, _, err = run("prune", "--keep-within", "30d", "--apply")
    assert (code, f"run {runs[0]} stays: cannot delete" in err, "1 run is in the trash" in err) == (
        14,
        True,
        True,
    )
    code, out, _ = run("gc", "--grace", "0d", "--apply", "--json")
    assert (code, list(json.loads(out)["failed"])) == (14, [layout.tier2_key("u", runs[1])])
    code, _, err = run("gc", "--grace", "0d", "--apply")
    assert (code, "stays: cannot delete" in err) == (14, True)


def test_df_is_one_line_for_cron(run: Cli, store: Store, runs: list[str]) -> None:
    code, out, _ = run("df")
    assert (code, out.count("\n"), out.startswith(f"OK {store.url}: ")) == (0, 1, True)
    assert run("df", "--warn", "0", "--fail", "100")[::2] == (4, "")
    assert run("df", "--warn", "0")[1].startswith("WARNING ")
    assert run("df", "--fail", "0")[1].startswith("CRITICAL ")
    code, out, err = run("--url", "typo", "df", "--warn", "80")
    assert (code, out, "no archive at" in err) == (10, "", True)
    Path("archiver.toml").write_text('budget = "1GB"\n')
    code, out, _ = run("df", "--warn", "100%", "--fail", "100")
    assert (code, "of the budget used" in out.splitlines()[0], out.count("\n")) == (0, True, 2)


def test_df_of_a_bucket_needs_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"memory://{tmp_path.name}/df"
    save(open_store(url))
    assert cli.main(["--url", url, "df"]) == 0
    assert 'budget = "500GB"' in capsys.readouterr().err
    assert cli.main(["--url", url, "df", "--warn", "80"]) == 2
    Path("archiver.toml").write_text('budget = "2kB"\n')
    assert cli.main(["--url", url, "df", "--warn", "80", "--fail", "95"]) == 4
    assert "% of the budget used" in capsys.readouterr().out


def test_du_shows_universes_runs_and_parts(run: Cli, runs: list[str]) -> None:
    code, out, err = run("du")
    assert code == 0
    assert out.splitlines()[0].split("\t") == ["universe", "runs", "records", "tier 1", "tier 2", "own"]
    assert out.splitlines()[1].split("\t")[:2] == ["u", "4"]
    assert out.splitlines()[-1].split("\t")[0] == "total"
    assert "sharing bar series" in err
    _, out, _ = run("du", "--runs")
    assert {line.split("\t")[0] for line in out.splitlines()} > set(runs)
