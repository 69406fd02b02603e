"""`archiver tree`: objects as folders, in a terminal and as JSON."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver import cli
from tests.conftest import Cli


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("archive") / "here"
    archive = archiver.open(place)
    for universe in ("alpha", "a/b <script> [red]"):
        archive.save_universe_results(
            universe, [{"strategy_name": "s", "sharpe_ratio": 1.0}], tags=["x"], code="none"
        )
    for at in range(120):
        archive.store.put(f"tapes/aa/{at:03}.parquet", b"x" * at)
    return str(place)


@pytest.fixture
def run(url: str, command: Cli) -> Cli:
    return partial(command, "--url", url)


def document(run: Cli, *args: str) -> dict[str, Any]:
    code, out, _ = run("tree", "--json", *args)
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_every_folder_is_the_sum_of_what_lies_in_it(run: Cli, url: str) -> None:
    entries = list(archiver.open(url).store.list())
    root = document(run, "-d", "9", "-n", "1000")
    assert (root["key"], root["bytes"], root["objects"]) == ("", sum(e.size for e in entries), len(entries))

    def check(node: dict[str, Any]) -> None:
        below = [entry for entry in entries if entry.key.startswith(node["key"])]
        assert (node["bytes"], node["objects"]) == (sum(e.size for e in below), len(below))
        assert "not_shown" not in node
        for entry in node.get("entries", []):
            check(entry)

    check(root)
    assert [entry["key"] for entry in root["entries"]] == ["archive.json", "runs/", "tapes/"]


def test_a_long_folder_is_cut_and_goes_on_behind_a_key(run: Cli) -> None:
    first = document(run, "tapes/aa", "-n", "50")
    assert first["not_shown"] == {"entries": 70, "objects": 70, "bytes": sum(range(50, 120))}
    keys = [entry["key"] for entry in first["entries"]]
    while "not_shown" in first:
        first = document(run, "tapes/aa/", "-n", "50", "--after", keys[-1])
        keys += [entry["key"] for entry in first["entries"]]
    assert keys == [f"tapes/aa/{at:03}.parquet" for at in range(120)]
    _, out, err = run("tree", "tapes/aa", "-n", "2")
    assert [line.split("\t")[0] for line in out.splitlines()] == [
        "object",
        "tapes/aa/000.parquet",
        "tapes/aa/001.parquet",
    ]
    again = "archiver tree tapes/aa/ --after tapes/aa/001.parquet"
    assert err == f"118 entries are not shown: raise --limit, or go on with `{again}`\n"


def test_the_largest_come_first_where_they_are_asked_for(run: Cli) -> None:
    found = document(run, "tapes/aa", "--sort", "size", "-n", "2")
    assert [entry["bytes"] for entry in found["entries"]] == [119, 118]
    assert document(run, "--sort", "objects", "-d", "1")["entries"][0]["key"] == "tapes/"


def test_one_object_is_shown_alone(run: Cli) -> None:
    code, out, _ = run("tree", "archive.json")
    assert (code, [line.split("\t")[0] for line in out.splitlines()]) == (0, ["object", "archive.json"])


def test_what_is_not_there_and_what_cannot_be_meant_is_said(run: Cli, tmp_path: Path, capsys: Any) -> None:
    assert run("tree", "nothing/") == (
        10,
        "",
        "archiver: nothing lies below 'nothing/': `archiver tree` shows what there is\n",
    )
    assert run("tree", "--sort", "colour")[0] == 2
    assert run("tree", "--sort", "size", "--after", "runs/")[0] == 2
    assert run("tree", "../elsewhere")[0] == 2
    for prefix in ([], ["runs/"]):
        assert cli.main(["--url", str(tmp_path / "none"), "tree", *prefix]) == 10
        assert capsys.readouterr().err.startswith("archiver: no archive at ")
