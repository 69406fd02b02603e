"""What commands end with when there is nothing to do, as the table in the reference of errors says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import archiver
from archiver.cli import COMMANDS
from tests.conftest import Cli

PAGE = Path(__file__).parent.parent / "docs/reference/errors.md"


@pytest.fixture
def run(tmp_path: Path, command: Cli) -> Callable[..., tuple[int, str]]:
    url = str(tmp_path / "archive")
    archiver.open(url).save_universe_results(
        "u", [{"strategy_name": "s", "score": 1.0}], tags=["t"], code="none"
    )
    (tmp_path / "unknown.json").write_text('{"a": 1}')
    (tmp_path / "unknown.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    archiver.open(tmp_path / "bare").create()

    def call(*args: str) -> tuple[int, str]:
        places = {
            name: str(tmp_path / name) for name in ("unknown.json", "unknown.txt", "empty", "bare", "new")
        }
        code, out, err = command(
            "--url", url, *(places.get(arg, url if arg == "HERE" else arg) for arg in args)
        )
        return code, out + err

    return call


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ("ls -u nope", 10, "no universe"),
        ("metrics -u nope", 10, "no universe"),
        ("metrics -u U", 10, "; did you mean 'u'?"),
        ("top -u nope", 10, "no universe"),
        ("trades s -u nope", 10, "no universe"),
        ("sql -u nope from+metrics", 10, "no universe"),
        ("ls -t nope", 0, "no runs that match"),
        ("metrics -w score>9", 0, "0 of 0 rows"),
        ("show nope", 10, "no run"),
        ("tree nope", 10, "nothing lies below"),
        ("untag 2 nope", 10, "it has t"),
        ("tag 2 t", 0, "was tagged already"),
        ("prune --keep-last 5 -u nope*", 10, "no universe matches 'nope*'"),
        ("prune --keep-last 5 --apply", 0, "nothing to remove"),
        ("undelete nope", 10, "in the trash"),
        ("undelete", 0, "is empty"),
        ("gc --apply", 0, "0 objects"),
        ("copy HERE new -t nope", 10, "nothing was copied"),
        ("copy HERE new --since 2999-01-01", 10, "nothing was copied"),
        ("copy HERE new -u nope", 10, "no universe"),
        ("copy bare new", 10, "no runs in"),
        ("bundle create b", 2, "at least one run"),
        ("bundle create b -t nope", 10, "no bundle was made"),
        ("bundle create b -w score>9", 10, "no bundle was made"),
        ("bundle restore nope", 10, "no bundle"),
        ("bundle verify nope", 10, "no bundle"),
        ("import nope", 2, "nothing to import"),
        ("import unknown.json", 2, "nothing to import"),
        ("import unknown.txt", 2, "holds no results"),
        ("import empty", 2, "nothing to import"),
        ("export -u nope", 10, "no universe"),
        ("export -r nope", 10, "no run"),
        ("--url bare export", 10, "no run to export"),
    ],
)
def test_nothing_done_is_told(run: Callable[..., tuple[int, str]], args: str, code: int, says: str) -> None:
    found, text = run(*(arg.replace("+", " ") for arg in args.split()))
    assert (found, says in text) == (code, True), text


def test_a_repeated_copy_finds_all_there(run: Callable[..., tuple[int, str]]) -> None:
    assert run("copy", "HERE", "new")[0] == 0
    assert run("copy", "HERE", "new") == (0, run("copy", "HERE", "new")[1])
    assert "1 were there already" in run("copy", "HERE", "new")[1]


def test_the_table_has_every_command() -> None:
    rows = re.findall(
        r"^\| ([a-z, _]+) \| ", PAGE.read_text().split("## When there is nothing")[1], re.MULTILINE
    )
    named = {name for row in rows for name in row.split(", ")} - {"command"}
    assert named == set(COMMANDS)
