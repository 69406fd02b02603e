"""Tables and pairs as commands print them."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import archiver
from archiver import cli
from archiver.archive import Archive
from archiver.cli import complete, output
from tests.conftest import Cli
from tests.thinned import one_in
from tests.warm import Terminal

HOSTILE = "a\x1b]0;owned\x07\u202eb\x9b31m\nc\x7f"
STEERS = ("\x1b]", "\x07", "\u202e", "\x9b", "\x7f")


def test_piped_tables_are_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["run", "age"], [["a\tb", 3], [None, 4.25]])
    output.print_pairs([("universe", "u"), ("size", 5)])
    assert capsys.readouterr().out == "run\tage\na\\tb\t3\n-\t4.250\nuniverse\tu\nsize\t5\n"


@pytest.fixture
def hostile(tmp_path: Path) -> Archive:
    archive = archiver.open(tmp_path / "archive")
    trade = {"note": HOSTILE, HOSTILE: 1, "listed": [HOSTILE]}
    row = {"strategy_name": HOSTILE, HOSTILE: 2.0, "score": 1.0, "listed": [HOSTILE], "trades": [trade]}
    archive.save_universe_results(
        HOSTILE, [row], rank_by="score", tags=[HOSTILE], note=HOSTILE, params={HOSTILE: HOSTILE}, code="none"
    )
    archive.bundle(archive.run_ids(), "b" + HOSTILE[:3])
    return archive


CALLS = (
    ("ls",),
    ("show", "2"),
    ("metrics",),
    ("metrics", "-f", "csv"),
    ("metrics", "--sort", HOSTILE),
    ("top", "--by", HOSTILE),
    ("trades", HOSTILE),
    ("trades", "nope" + HOSTILE),
    ("sql", f'select 1 as "{HOSTILE}"'),
    ("sql", f"select {HOSTILE}"),
    ("show", "nope" + HOSTILE),
    ("tree",),
    ("du",),
    ("bundle", "ls"),
    ("prune", "--keep-last", "1", "-u", HOSTILE),
    ("untag", "2", "no" + HOSTILE),
    ("export", "-f", "xlsx" + HOSTILE),
    ("export", "-f", "csv"),
    (HOSTILE,),
    ("show", HOSTILE),
)


@pytest.mark.parametrize("args", one_in(2, CALLS))
def test_nothing_in_an_archive_or_an_error_steers_a_terminal(
    hostile: Archive, args: tuple[str, ...], terminal: Terminal
) -> None:
    known = dict.fromkeys(CALLS, 0) | {
        CALLS[7]: 10, CALLS[9]: 2, CALLS[10]: 10, CALLS[15]: 10, CALLS[16]: 2, CALLS[18]: 2,
    }  # fmt: skip
    shown = terminal("--url", hostile.store.url, *args, code=known[args], PAGER="cat")
    assert [sign for sign in STEERS if sign in shown] == []
    assert "a\\x1b]0;owned" in shown or args[0] in ("du", "bundle", "tree")


def test_piped_lines_stay_lines_and_json_stays_as_it_is(hostile: Archive, command: Cli) -> None:
    code, out, err = command("--url", hostile.store.url, "metrics", "--sort", "score")
    assert (code, out.count("\n"), err.count("\n")) == (0, 2, 1)
    assert not any(sign in out + err for sign in STEERS)
    code, out, _ = command("--url", hostile.store.url, "--json", "metrics")
    assert json.loads(out)["metrics"][0]["strategy_name"] == HOSTILE


def test_a_shell_is_offered_no_name_that_steers_it(hostile: Archive) -> None:
    hostile.save_universe_results("plain", [{"strategy_name": "s"}], code="none")
    ctx = cli.typer.main.get_command(cli.app).make_context("archiver", ["--url", hostile.store.url, "ls"])
    assert complete.universes(ctx, "") == ["plain"]


def test_only_one_module_writes_to_the_streams() -> None:
    """Commands hand what they print to `output`; what is left of the streams elsewhere is no writing."""
    writers = []
    for path in sorted(Path(output.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            text = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if text == "print" or text.endswith(
                (".stdout.write", ".stderr.write", ".buffer.write", "typer.echo")
            ):
                writers.append(path.name)
    assert set(writers) == {"output.py"}
