from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

import archiver
from archiver import cli, errors
from archiver.cli.call import Call
from tests.thinned import one_in

ROOT = Path(__file__).parent.parent


def error_classes(
    parent: type[errors.ArchiverError] = errors.ArchiverError,
) -> list[type[errors.ArchiverError]]:
    return [parent, *(kind for child in parent.__subclasses__() for kind in error_classes(child))]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Register a function as the command `probe`."""

    def register(function: Callable[..., None]) -> None:
        monkeypatch.setattr("archiver.cli.tag.probe", function, raising=False)
        monkeypatch.setitem(cli.COMMANDS, "probe", "tag:probe")

    return register


def shell(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from archiver.cli import main; sys.exit(main())", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"archiver {archiver.__version__}\n"


def test_short_commands_import_nothing_heavy(tmp_path: Path) -> None:
    heavy = [
        "asyncio",
        "multiprocessing",
        "pyarrow",
        "fsspec",
        "s3fs",
        "pandas",
        "numpy",
        "duckdb",
        "pydantic",
        "aiobotocore",
        "dash",
        "textual",
        "decimal",
        "fractions",
        # Not what deletes, copies or judges, where runs are listed.
        "archiver.analysis",
        "archiver.query.many",
        "archiver.retention.gc",
        "archiver.retention.plan",
        "archiver.retention.trash",
        "archiver.transfer",
    ]
    archive = str(tmp_path / "archive")
    archiver.open(archive).save_universe_results(
        "u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], code="none"
    )
    code = (
        "import sys, json; from archiver.cli import main; main(json.loads(sys.argv[1])); "
        "own = sum(name.partition('.')[0] == 'archiver' for name in sys.modules); "
        "sys.stderr.write(' '.join(sorted(set(sys.argv[2:]) & set(sys.modules))) + own // 100 * 'archiver')"
    )
    for args in (
        ["--version"],
        ["--help"],
        ["ls", "--url", archive],
        ["ls", "--url", archive, "--limit", "3", "-u", "u", "--json"],
        ["config", "--url", archive],
    ):
        # Help is drawn by rich.
        drawn = ("asyncio", "multiprocessing", "decimal", "fractions") if args == ["--help"] else ()
        light = [name for name in heavy if name not in drawn]
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(args), *light], capture_output=True, text=True, check=True
        )
        assert done.stderr == "", args
    # Their options have numbers where nothing is given; `pyarrow.array` would load pandas.
    for words in (["show", archiver.open(archive).run_ids()[0]], ["top"], ["metrics", "-f", "csv"]):
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps([*words, "--url", archive]), "pydantic", "pandas"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert not {"pydantic", "pandas"} & {*done.stderr.split()}, words


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ([], (None, None, 7, [], False)),
        (["--text", "5", "--number", "5"], ("5", 5, 7, [], False)),
        (["--number", "+5", "--most", "0"], (None, 5, 0, [], False)),
        (["--most", "-1"], None),
        (["--most", "11"], None),
        (["--number", "5.0"], (None, 5, 7, [], False)),
        (["--number", "five"], None),
        (["--number", ""], None),
        (["--number", "1" * 30], (None, int("1" * 30), 7, [], False)),
        (["--many", "a", "--many", "", "--flag"], (None, None, 7, ["a", ""], True)),
        (["--text", ""], ("", None, 7, [], False)),
    ],
)
def test_values_are_what_typer_makes_of_them(
    command: Any, monkeypatch: pytest.MonkeyPatch, args: list[str], given: tuple[Any, ...] | None
) -> None:
    seen: list[Any] = []

    def probe(
        text: Annotated[str | None, typer.Option("--text")] = None,
        number: Annotated[int | None, typer.Option("--number")] = None,
        most: Annotated[int, typer.Option("--most", min=0, max=10)] = 7,
        many: Annotated[list[str] | None, typer.Option("--many")] = None,
        flag: Annotated[bool, typer.Option("--flag")] = False,
    ) -> None:
        seen.append((text, number, most, list(many or []), flag))

    command(probe)
    codes = [cli.main(["probe", *args])]
    monkeypatch.setattr(cli, "spare_converters", lambda _command: None)
    codes.append(cli.main(["probe", *args]))
    assert codes == ([0, 0] if given else [2, 2])
    assert seen == ([given, given] if given else [])


def test_without_arguments_it_helps_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f" {name} " in text


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"archiver {name}" in capsys.readouterr().out


def test_brackets_in_help_are_printed(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def probe() -> None:
        """Needs pip install 'archiver[web]'."""

    command(probe)
    assert cli.main(["probe", "--help"]) == 0
    assert "'archiver[web]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["lss"], "archiver: No such command 'lss'. Did you mean 'ls'? (see archiver --help)\n"),
        (["tag", "a"], "archiver: Missing argument 'TAG' (see archiver tag --help)\n"),
        (["ls", "--limit", "many"], "archiver: Invalid value for '--limit'"),
        (["ls", "--nonsense"], "archiver: No such option: --nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    args: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(text)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("kind", error_classes())
def test_expected_error_is_one_line_with_its_exit_code(
    kind: type[errors.ArchiverError], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> None:
        raise kind("this went wrong:\n do that")

    command(probe)
    assert cli.main(["probe"]) == kind.exit_code
    assert capsys.readouterr() == ("", "archiver: this went wrong: do that\n")


def test_command_chooses_its_exit_code(command: Any) -> None:
    def probe() -> None:
        raise typer.Exit(4)

    command(probe)
    assert cli.main(["probe"]) == 4


def test_interrupt_is_one_line_and_130(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def probe() -> None:
        raise KeyboardInterrupt

    command(probe)
    assert cli.main(["probe"]) == 130
    assert capsys.readouterr().err == "archiver: interrupted\n"


def test_unexpected_error_keeps_its_traceback() -> None:
    code = (
        "import sys; from archiver import cli; from archiver.cli import tag\n"
        "def probe(): raise RuntimeError('a bug')\n"
        "tag.probe = probe; cli.COMMANDS['probe'] = 'tag:probe'; sys.exit(cli.main(['probe']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last)")
    assert done.stderr.endswith("RuntimeError: a bug\n")


def test_reader_that_leaves_early_is_no_error() -> None:
    code = (
        "import sys; from archiver import cli; from archiver.cli import tag\n"
        "def probe():\n  for i in range(100_000): print('line', i)\n"
        "tag.probe = probe; cli.COMMANDS['probe'] = 'tag:probe'; sys.exit(cli.main(['probe']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_only_warnings_for_users_are_shown(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def probe() -> None:
        warnings.simplefilter("always")
        warnings.warn("the disk is\nnearly full", UserWarning, stacklevel=1)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)

    command(probe)
    with warnings.catch_warnings():
        assert cli.main(["probe"]) == 0
    assert capsys.readouterr().err == "archiver: warning: the disk is nearly full\n"


@pytest.mark.parametrize(
    ("args", "call", "rest"),
    [
        (["probe", "a"], Call(None, json=False), "a"),
        (["--url", "memory://x", "--json", "probe", "a"], Call("memory://x", json=True), "a"),
        (["probe", "a", "--url", "memory://x", "--json"], Call("memory://x", json=True), "a"),
        (["probe", "--url=memory://x", "a"], Call("memory://x", json=False), "a"),
        (["--url", "one", "probe", "a", "--url", "two"], Call("two", json=False), "a"),
        (["probe", "--", "--json"], Call(None, json=False), "--json"),
    ],
)
def test_global_options_may_stand_anywhere(args: list[str], call: Call, rest: str, command: Any) -> None:
    seen: list[tuple[Call, str]] = []

    def probe(ctx: typer.Context, word: str) -> None:
        seen.append((Call.of(ctx), word))

    probe.__annotations__ = {"ctx": typer.Context, "word": str}
    command(probe)
    assert cli.main(args) == 0
    assert seen == [(call, rest)]


def test_shell_completes_commands_and_options() -> None:
    done = shell(_ARCHIVER_COMPLETE="complete_bash", COMP_WORDS="archiver t", COMP_CWORD="1")
    assert done.stdout.split() == [name for name in cli.COMMANDS if name.startswith("t")]
    done = shell(_ARCHIVER_COMPLETE="complete_bash", COMP_WORDS="archiver ls --un", COMP_CWORD="2")
    assert done.stdout.split() == ["--universe"]
    assert shell("--show-completion", "bash").returncode == 0


@pytest.mark.parametrize(
    "words", one_in(3, [["metrics", "--format", "csv"], ["metrics", "--format", "jsonl"], ["--json", "ls"]])
)
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path, words: list[str]) -> None:
    archive = archiver.open(str(tmp_path))
    rows = [{"strategy_name": f"s{at}", "x": float(at)} for at in range(20_000)]
    archive.save_universe_results("u", rows, code="none")
    command = [sys.executable, "-c", "from archiver.cli import main; raise SystemExit(main())"]
    with subprocess.Popen(
        [*command, "--url", str(tmp_path), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.read(1)
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk_is_one_line(tmp_path: Path) -> None:
    archive = archiver.open(str(tmp_path))
    archive.save_universe_results("u", [{"strategy_name": "s", "x": 1.0}], code="none")
    command = [sys.executable, "-c", "from archiver.cli import main; raise SystemExit(main())"]
    for words in (["ls"], ["metrics", "--format", "csv"], ["--json", "du"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*command, "--url", str(tmp_path), *words],
                check=False,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == 14
        assert done.stderr.splitlines()[-1].startswith(
            "archiver: the output cannot be written (No space left"
        )
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", one_in(3, [["ls"], ["--json", "metrics"], ["du"], ["top"], ["show", "2"]]))
def test_names_are_utf_8_on_a_pipe_whatever_the_locale(tmp_path: Path, words: list[str]) -> None:
    archive = archiver.open(str(tmp_path))
    archive.save_universe_results("日本", [{"strategy_name": "üñ", "sharpe_ratio": 1.0}], code="none")
    command = [sys.executable, "-c", "from archiver.cli import main; raise SystemExit(main())"]
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*command, "--url", str(tmp_path), *words],
        check=True,
        capture_output=True,
        env={**os.environ, **locale},
    )
    assert "日本" in done.stdout.decode()


@pytest.mark.parametrize(
    "words", one_in(2, ["ls", "--json ls", "metrics --format csv", "export", "metrics --format parquet"])
)
def test_output_that_is_closed_is_nobody_s_loss(tmp_path: Path, words: str) -> None:
    archive = archiver.open(str(tmp_path))
    archive.save_universe_results("u", [{"strategy_name": "s", "x": 1.0}], code="none")
    command = (
        f"{sys.executable} -c 'from archiver.cli import main; raise SystemExit(main())' --url {tmp_path}"
    )
    done = subprocess.run(
        f"{command} {words} <&- >&-", shell=True, check=False, stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert subprocess.run(f"{command} {words} <&- >&- 2>&-", shell=True, check=False).returncode == 0


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "archiver", "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"archiver {archiver.__version__}\n"
