"""`archiver bundle` and `archiver copy`, as a user calls them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver import cli
from tests.conftest import Cli, Place
from tests.faults import flip
from tests.runs_made import fill, opened, seen


@pytest.fixture
def url(tmp_path: Path) -> str:
    fill(opened(tmp_path / "archive"))
    return str(tmp_path / "archive")


@pytest.fixture
def run(url: str, command: Cli) -> Cli:
    return partial(command, "--url", url)


def document(answer: tuple[int, str, str]) -> Any:
    code, out, _ = answer
    assert code == 0
    return json.loads(out)


def test_create_ls_verify_restore(run: Cli, url: str, tmp_path: Path) -> None:
    runs = opened(url).run_ids()
    code, out, err = run("bundle", "create", "important_20250121", runs[0][:-2], runs[1])
    assert (code, out) == (0, f"{url}/bundles/important_20250121.tar.zst\n")
    assert "2 runs" in err
    assert run("bundle", "ls")[1] == "important_20250121\n"
    assert document(run("bundle", "ls", "--json")) == {"bundles": ["important_20250121"]}
    code, out, err = run("bundle", "ls", "important_20250121")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, lines[0][0], sorted(line[0] for line in lines[1:]), err) == (0, "run", sorted(runs[:2]), "")
    listed = document(run("bundle", "ls", "important_20250121", "--json"))["runs"]
    known = {row["id"]: row for row in document(run("ls", "--json"))["runs"]}
    assert {row["id"]: row for row in listed} == {key: known[key] for key in runs[:2]}
    assert document(run("bundle", "verify", "important_20250121", "--json"))["ok"] is True
    answer = document(
        run("bundle", "restore", "important_20250121", runs[0], "--to", f"{tmp_path}/t", "--json")
    )
    assert (answer["restored"], answer["there"]) == ([runs[0]], [])
    code, out, err = run("bundle", "restore", "important_20250121", "--to", f"{tmp_path}/t")
    assert (code, out) == (0, f"{runs[1]}\n")
    assert "1 were there already" in err
    assert seen(opened(tmp_path / "t"), runs[:2]) == seen(opened(url), runs[:2])
    code, out, _ = run("--url", f"bundle::{url}/bundles/important_20250121.tar.zst", "ls", "--json")
    assert {row["id"] for row in json.loads(out)["runs"]} == set(runs[:2])


def test_runs_are_chosen_by_filters(run: Cli, url: str) -> None:
    archive = opened(url)

    def chosen(name: str, *filters: str) -> set[str]:
        return set(document(run("bundle", "create", name, *filters, "--json"))["bundle"]["runs"])

    assert chosen("a", "--tag", "nightly") == {run.id for run in archive.runs(tag="nightly")}
    assert chosen("b", "--universe", "large") == {run.id for run in archive.runs("large")}
    assert chosen("c", "--universe", "large", "--tag", "nightly") == {
        run.id for run in archive.runs(tag="nightly")
    }
    table = archive.load_metrics(history=True, columns=["n_trades"]).to_pylist()
    many = {row["run"] for row in table if (row["n_trades"] or 0) > 15}
    assert chosen("d", "--where", "n_trades > 15") == many
    assert chosen("e", "--since", "1h") == set(archive.run_ids())
    both = chosen("f", archive.run_ids()[0], "--tag", "nightly")
    assert both == {archive.run_ids()[0], *(run.id for run in archive.runs(tag="nightly"))}


def test_a_damaged_bundle_ends_with_three(run: Cli, url: str) -> None:
    assert run("bundle", "create", "b", "--since", "1h")[0] == 0
    store = opened(url).store
    flip(store, "bundles/b.tar.zst")
    code, out, err = run("bundle", "verify", "b")
    assert (code, "damaged" in out, "is damaged" in err) == (3, True, True)
    code, out, _ = run("bundle", "verify", "b", "--json")
    assert (code, json.loads(out)["ok"]) == (3, False)
    code, _, err = run("bundle", "restore", "b", "--to", f"{url}-new")
    assert (code, err.count("\n")) == (3, 1)


def test_remove_plans_first(run: Cli, url: str) -> None:
    runs = opened(url).run_ids()
    code, out, err = run("bundle", "create", "b", *runs, "--remove")
    assert code == 0
    assert [line.split("\t")[2] for line in out.splitlines()[2:]] == ["details go"] * len(runs)
    assert "nothing was removed; add --apply" in err
    assert run("ls", "--archived")[2].startswith("no runs that match")
    answer = document(run("bundle", "create", "b", *runs, "--remove", "--apply", "--json"))["bundle"]
    assert sorted(answer["removal"]["removed"]) == runs
    assert {row["bundle"] for row in document(run("ls", "--archived", "--json"))["runs"]} == {"b"}
    assert document(run("verify", "--json"))["archived"]
    assert run("bundle", "create", "c", runs[0])[0] == 2
    assert run("bundle", "create", "b", *runs, "--apply")[0] == 2
    assert run("bundle", "restore", "b")[0] == 0
    assert (
        document(run("ls", "--archived", "--json")) == {"runs": []} or opened(url).verify(read_data=True).ok
    )


def test_usage_errors_are_one_line(run: Cli, tmp_path: Path) -> None:
    for args, expected in (
        (("bundle", "create", "b"), 2),
        (("bundle", "create", "b", "2020"), 10),
        (("bundle", "create", "b", "--universe", "typo"), 10),
        (("bundle", "create", "b", "--tag", "typo"), 10),
        (("bundle", "create", "a/b", "--since", "1h"), 2),
        (("bundle", "create", "b", "--since", "1h", "--level", "40"), 2),
        (("bundle", "create", "b", "--since", "1h", "--storage-class", "GLACIER"), 2),
        (("bundle", "ls", "none"), 10),
        (("bundle", "verify", str(tmp_path / "none.tar.zst")), 10),
        (("bundle", "restore", "none"), 10),
        (("copy", str(tmp_path / "none"), str(tmp_path / "t")), 10),
        (("copy", str(tmp_path / "archive"), str(tmp_path / "t"), "--apply"), 2),
    ):
        code, out, err = run(*args)
        assert (code, out, err.count("\n")) == (expected, "", 1), (args, err)


def test_copy_and_what_is_extra(run: Cli, url: str, tmp_path: Path) -> None:
    target = str(tmp_path / "t")
    runs = opened(url).run_ids()
    answer = document(run("copy", url, target, "--json"))
    assert (sorted(answer["copied"]), answer["there"]) == (runs, [])
    code, out, err = run("copy", url, target)
    assert (code, out) == (0, "")
    assert "0 runs copied" in err
    extra = opened(target).save_universe_results("x", [{"strategy_name": "x"}], code="none").id
    code, out, err = run("copy", url, target, "--delete-extra")
    assert (code, out.splitlines()[1].split("\t")[:2]) == (0, [extra, "goes"])
    assert "add --apply" in err
    assert extra in opened(target).run_ids()
    answer = document(run("copy", url, target, "--delete-extra", "--apply", "--json"))
    assert answer["extra"]["removed"] == [extra]
    assert opened(target).run_ids() == runs
    assert run("copy", url, target, "--delete-extra")[0] == 0
    assert run("copy", url, f"{tmp_path}/tagged", "--tag", "nightly")[0] == 0
    assert [found.tags for found in opened(tmp_path / "tagged").runs()] == [("a/b", "nightly")]


def test_copy_says_that_nothing_matches(run: Cli, url: str, tmp_path: Path) -> None:
    target = str(tmp_path / "t")
    code, out, err = run("copy", url, target, "--universe", "typo")
    assert (code, out, err) == (
        10,
        "",
        f"archiver: no universe 'typo' in {url}: `archiver ls` shows those there are\n",
    )
    assert not (tmp_path / "t").exists()
    code, out, err = run("copy", url, target, "--tag", "typo")
    assert (code, out, err) == (10, "", f"archiver: no runs that match in {url}: nothing was copied\n")
    # What only DST has goes, also where SRC had it once.
    assert run("copy", url, target)[0] == 0
    opened(target).save_universe_results("old", [{"strategy_name": "x"}], code="none")
    code, out, _ = run("copy", url, target, "--universe", "old", "--delete-extra")
    assert (code, "goes" in out) == (0, True)


def test_a_bundle_is_a_source_of_a_copy(run: Cli, url: str, tmp_path: Path) -> None:
    assert run("bundle", "create", "b", "--since", "1h")[0] == 0
    assert run("copy", f"bundle::{url}/bundles/b.tar.zst", str(tmp_path / "t"))[0] == 0
    runs = opened(url).run_ids()
    assert seen(opened(tmp_path / "t"), runs) == seen(opened(url), runs)


def test_a_frozen_bundle_is_read_back_before_it_freezes(
    moto_place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, option in (
        ("AWS_ENDPOINT_URL", "endpoint_url"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):
        monkeypatch.setenv(name, moto_place.options[option])
    archive = opened(moto_place.url)
    fill(archive)

    def call(*args: str) -> tuple[int, str]:
        code = cli.main(["--url", moto_place.url, *args])
        return code, capsys.readouterr().err

    create = ("bundle", "create", "deep", "--since", "1h", "--storage-class", "glacier", "--remove")
    code, err = call(*create)
    assert (code, "it moves to glacier once --apply has read it back" in err) == (0, True)
    assert call("bundle", "ls", "deep")[0] == 0
    assert call(*create, "--apply")[0] == 0
    assert sorted(run.id for run in opened(moto_place.url).runs() if run.archived) == archive.run_ids()
    code, err = call("bundle", "ls", "deep")
    assert (code, err.count("\n"), "cold storage" in err) == (14, 1, True)
    for again in ((*create, "--apply"), (*create[:-1], "--verify"), (*create[:3], "--since", "1h", "--json")):
        code, err = call(*again)
        assert (code, "--json" in again or "in cold storage, and has the details" in err) == (0, True)
    assert call("bundle", "restore", "deep", "--wait")[0] == 0
    assert not [run for run in opened(moto_place.url).runs() if run.archived]


def test_a_filter_leaves_out_what_lies_in_another_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = archiver.open(tmp_path / "a")
    for at in range(2):
        rows = [{"strategy_name": "s", "x": 1.0, "trades": [{"pnl": 1.0}]}]
        archive.save_universe_results(f"u{at}", rows, tags=["keep"], code="none")
        words = ["bundle", "create", f"month{at}", "--tag", "keep", "--remove", "--apply"]
        assert cli.main(["--url", str(tmp_path / "a"), *words]) == 0
    assert "1 run left out: the details are in other bundles already" in capsys.readouterr().err
    assert {run.archived for run in archiver.open(tmp_path / "a").runs()} == {"month0", "month1"}
