"""strategy.yaml: what it lists, what it may not, and what is said when it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from archiver.capture.strategy_yaml import WrongYamlError, read
from tests.captured import environment, run, show, write

CATCH = (
    "from archiver.capture import capture\nfrom archiver.errors import CaptureError\n"
    "try:\n    print('CODE', capture(ARGUMENTS).code)\nexcept CaptureError as error:\n    print('ERROR', error)\n"
)


def output(cwd: Path, arguments: str = "") -> str:
    write(cwd, {"run.py": CATCH.replace("ARGUMENTS", arguments)})
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=cwd, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_list_wins_over_entry(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": show(),
            "strategy.yaml": "files:\n  - lib/signals.py\n  - 'lib/**/*.sql'\n  - deep\n",
            "lib/signals.py": "x = 1\n", "lib/a.sql": "", "lib/sub/b.sql": "", "lib/c.py": "", "deep/d/e.txt": "e",
        },
    )  # fmt: skip
    shown = run("run.py", cwd=tmp_path)
    assert sorted(shown.files) == [
        "deep/d/e.txt",
        "lib/a.sql",
        "lib/signals.py",
        "lib/sub/b.sql",
        "strategy.yaml",
    ]
    assert (shown.code["how"], shown.code["warnings"], shown.said) == ("listed", [], "")


def test_explicit_argument_wins_over_the_list(tmp_path: Path) -> None:
    write(tmp_path, {"strategy.yaml": "files: [a.py]\n", "a.py": "", "b.py": ""})
    write(tmp_path, {"run.py": show("'entry'")})
    assert list(run("run.py", cwd=tmp_path).files) == ["run.py"]
    write(tmp_path, {"run.py": show("'b.py'")})
    assert list(run("run.py", cwd=tmp_path).files) == ["b.py"]


@pytest.mark.parametrize(("configured", "files"), [("imports", ["a.py", "strategy.yaml"]), ("none", [])])
def test_list_wins_over_what_is_configured_but_for_none(
    tmp_path: Path, configured: str, files: list[str]
) -> None:
    write(
        tmp_path,
        {"strategy.yaml": "files: [a.py]\n", "a.py": "", "run.py": show(f"configured={configured!r}")},
    )
    assert list(run("run.py", cwd=tmp_path).files) == files


def test_configured_imports_without_a_list(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "", "run.py": "import a\n" + show("configured='imports'")})
    assert list(run("run.py", cwd=tmp_path).files) == ["a.py", "run.py"]


def test_beside_the_entry_before_the_project_root(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "", "strategy.yaml": "files: [root.py]\n", "root.py": "",
            "trend/strategy.yaml": "files: [near.py, ../shared.py]\n", "trend/near.py": "", "shared.py": "",
            "trend/run.py": show(), "flat/run.py": show(),
        },
    )  # fmt: skip
    assert sorted(run("trend/run.py", cwd=tmp_path).files) == [
        "shared.py",
        "trend/near.py",
        "trend/strategy.yaml",
    ]
    assert sorted(run("flat/run.py", cwd=tmp_path).files) == ["root.py", "strategy.yaml"]


def test_exclude(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": show(), "strategy.yaml": "files: ['**/*.py']\nexclude: ['**/old_*', attic]\n",
            "old_a.py": "", "lib/old_b.py": "", "lib/c.py": "", "attic/x/d.py": "",
        },
    )  # fmt: skip
    assert sorted(run("run.py", cwd=tmp_path).files) == ["lib/c.py", "run.py", "strategy.yaml"]


def test_exclude_without_files_narrows_what_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": f"import a, b\n{show(repr('auto') + ', configured=' + repr('imports'))}",
            "a.py": "",
            "b.py": "",
        },
    )
    write(tmp_path, {"strategy.yaml": "name: another tool's key\nexclude: [run.py]\n"})
    shown = run("run.py", cwd=tmp_path)
    assert (shown.code["how"], shown.code["reason"]) == ("none", "nothing to capture")


def test_missing_file_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": show(), "strategy.yaml": "files:\n- run.py\n- gone.py\n- 'no/*.py'\n"})
    shown = run("run.py", cwd=tmp_path)
    assert sorted(shown.files) == ["run.py", "strategy.yaml"]
    assert sorted(shown.code["warnings"]) == ["gone.py does not exist", "no/*.py matches no file"]
    assert "gone.py does not exist" in shown.said or "no/*.py matches no file" in shown.said


@pytest.mark.parametrize("missing", ["gone.py", "'no/*.py'", "../outside.py", "/etc/hostname"])
def test_missing_file_is_an_error_when_strict(tmp_path: Path, missing: str) -> None:
    project = write(tmp_path / "proj", {"strategy.yaml": f"files: [run.py, {missing}]\nstrict: true\n"})
    write(tmp_path, {"outside.py": ""})
    out = output(project)
    assert out.startswith("ERROR code is not captured as strict asks: ")
    assert out.count("\n") == 1


def test_parent_folders_do_not_leave_the_project(tmp_path: Path) -> None:
    write(tmp_path, {"outside.py": "outside = 1", "another.py": ""})
    write(
        tmp_path / "proj", {"run.py": show(), "strategy.yaml": "files: [run.py, ../outside.py, '../*.py']\n"}
    )
    shown = run("run.py", cwd=tmp_path / "proj")
    assert sorted(shown.files) == ["run.py", "strategy.yaml"]
    assert sum("is outside of the project" in text for text in shown.code["warnings"]) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("files:\n  - a.py\n  b.py\n", "3:3: could not find expected ':'"),
        ("files: run.py\n", "1:8: files must be a list of paths"),
        ("files:\n- {a: b}\n", "2:3: each item of files must be a path"),
        ("files: []\nstrict: perhaps\n", "2:9: strict must be true or false"),
        ("- a.py\n", "1:1: expected keys such as files:"),
        ("files: [a.py\n", "2:1: expected ',' or ']', but got '<stream end>'"),
        ("files:\n\t- a.py\n", "2:1: found character '\\t' that cannot start any token"),
        ("files: [*gone]\n", "1:9: found undefined alias 'gone'"),
    ],
)
def test_wrong_yaml_says_where(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, {"strategy.yaml": text})
    with pytest.raises(WrongYamlError) as error:
        read(tmp_path / "strategy.yaml")
    assert str(error.value) == f"{tmp_path / 'strategy.yaml'}:{said}"


def test_wrong_yaml_never_stops_a_backtest(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": show(), "strategy.yaml": "files: run.py\n"})
    shown = run("run.py", cwd=tmp_path)
    assert shown.code["how"] == "none"
    assert shown.code["reason"].endswith("strategy.yaml:1:8: files must be a list of paths")
    assert shown.said.count("Warning") == 1


@pytest.mark.parametrize(
    ("yaml", "arguments"), [("strict: true\nfiles: a.py\n", ""), ("files: a.py\n", "strict=True")]
)
def test_wrong_yaml_stops_when_strict(tmp_path: Path, yaml: str, arguments: str) -> None:
    write(tmp_path, {"strategy.yaml": yaml})
    assert "files must be a list of paths" in output(tmp_path, arguments)
    assert output(tmp_path, arguments).startswith("ERROR ")


def test_binary_or_hostile_yaml(tmp_path: Path) -> None:
    (tmp_path / "strategy.yaml").write_bytes(b"files: [\xff\xfe]\n")
    with pytest.raises(WrongYamlError):
        read(tmp_path / "strategy.yaml")
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    write(tmp_path, {"strategy.yaml": f"{bomb}files: [run.py]\n"})
    assert read(tmp_path / "strategy.yaml").files == ("run.py",)
    write(tmp_path, {"strategy.yaml": "files: !!python/object/apply:os.system [run.py]\n"})
    assert read(tmp_path / "strategy.yaml").files == ("run.py",)


def test_changed_yaml_is_read_again(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "strategy.yaml": "files: [a.py]\n", "a.py": "", "b.py": "",
            "run.py": f"from pathlib import Path\ndef go():\n    {show()}\n"
            "go()\nPath('strategy.yaml').write_text('files: [b.py]\\n')\ngo()\n"
            "Path('strategy.yaml').unlink()\ngo()\n",
        },
    )  # fmt: skip
    from tests.captured import run_all

    found = [sorted(shown.files) for shown in run_all("run.py", cwd=tmp_path)]
    assert found == [["a.py", "strategy.yaml"], ["b.py", "strategy.yaml"], ["run.py"]]


def test_new_files_match_a_pattern_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "strategy.yaml": "files: ['**/*.sql']\n", "q/a.sql": "",
            "run.py": f"from pathlib import Path\ndef go():\n    {show()}\n"
            "go()\nPath('q/b.sql').write_text('')\ngo()\nPath('q/a.sql').unlink()\ngo()\n",
        },
    )  # fmt: skip
    from tests.captured import run_all

    found = [sorted(shown.files)[:-1] for shown in run_all("run.py", cwd=tmp_path)]
    assert found == [["q/a.sql"], ["q/a.sql", "q/b.sql"], ["q/b.sql"]]


def test_list_wins_over_configured_paths(tmp_path: Path) -> None:
    files = {
        "strategy.yaml": "files: [a.py]\n",
        "a.py": "",
        "b.py": "",
        "run.py": show("configured=['b.py']"),
    }
    write(tmp_path, files)
    assert list(run("run.py", cwd=tmp_path).files) == ["a.py", "strategy.yaml"]


def test_exclusions_apply_to_configured_paths(tmp_path: Path) -> None:
    files = {"strategy.yaml": "exclude: [lib/old*]\n", "lib/a.py": "", "lib/old.py": ""}
    write(tmp_path, {**files, "run.py": show("configured='lib'")})
    assert list(run("run.py", cwd=tmp_path).files) == ["lib/a.py", "strategy.yaml"]


def test_file_without_a_list_is_captured_too(tmp_path: Path) -> None:
    write(tmp_path, {"strategy.yaml": "strict: true\n", "run.py": show()})
    assert list(run("run.py", cwd=tmp_path).files) == ["run.py", "strategy.yaml"]


def test_list_of_a_helper_does_not_count(tmp_path: Path) -> None:
    helper = f"def save():\n    {show()}\n"
    write(
        tmp_path,
        {
            "pyproject.toml": "",
            "strategy.yaml": "files: [run.py, lib/a.py]\n",
            "run.py": "from lib import a\na.save()\n",
        },
    )
    write(
        tmp_path,
        {
            "lib/__init__.py": "",
            "lib/a.py": helper,
            "lib/strategy.yaml": "files: [demo.py]\n",
            "lib/demo.py": "",
        },
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["lib/a.py", "run.py", "strategy.yaml"]


def test_list_outside_of_the_project_does_not_count(tmp_path: Path) -> None:
    write(tmp_path / "p", {"pyproject.toml": "", "run.py": "import a\na.save()\n"})
    write(tmp_path / "other", {"a.py": f"def save():\n    {show()}\n", "strategy.yaml": "files: [a.py]\n"})
    assert list(run("run.py", cwd=tmp_path / "p", PYTHONPATH=str(tmp_path / "other")).files) == ["run.py"]


def test_list_beside_a_strategy_that_a_runner_of_the_project_calls(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "run.py": "from trend import main\nmain.save()\n"})
    write(
        tmp_path,
        {"trend/main.py": f"def save():\n    {show()}\n", "trend/strategy.yaml": "files: [main.py]\n"},
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["trend/main.py", "trend/strategy.yaml"]


def test_archives_in_the_project_are_no_code(tmp_path: Path) -> None:
    script = (
        "import archiver\narchive = archiver.open('my-archive')\nfor at in range(3):\n"
        "    run = archive.save_universe_results('u', [{'strategy_name': 's', 'x': 1.0 + at}], code='.')\n"
        "    print([file.path for file in archive.code(run.id).files])\n"
    )
    write(tmp_path, {"pyproject.toml": "", "run.py": script, "data/archive.json": "{}"})
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['data/archive.json', 'pyproject.toml', 'run.py']\n" * 3


def test_credential_in_a_file_that_a_pattern_lists_stops_a_strict_save(tmp_path: Path) -> None:
    files = {
        "strategy.yaml": "files: ['*.py']\nstrict: true\n",
        "params.py": "K = 'AKIA" + "ABCDEFGHIJKLMNOP'\n",
    }
    write(tmp_path, files)
    assert "ERROR code is not captured as strict asks: params.py may hold a credential" in output(tmp_path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"# x\nfiles: [caf\xe9.py]\n", ":2:12: "),
        (b"files:\n- a\n- b\0c\n", ":3:4: "),
        ("# é\nfiles: [a\0]".encode(), ":2:10: "),
    ],
)
def test_characters_that_are_none_have_a_place(tmp_path: Path, text: bytes, place: str) -> None:
    (tmp_path / "strategy.yaml").write_bytes(text)
    with pytest.raises(WrongYamlError) as caught:
        read(tmp_path / "strategy.yaml")
    assert f"strategy.yaml{place}" in str(caught.value)


def test_list_of_nothing_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"strategy.yaml": "files:\n#  - run.py\n", "run.py": show()})
    assert run("run.py", cwd=tmp_path).code["warnings"] == ["strategy.yaml lists no file under files:"]


def test_strict_in_a_text_that_cannot_be_parsed(tmp_path: Path) -> None:
    (tmp_path / "strategy.yaml").write_text("{strict: true, files: [run.py}\n")
    with pytest.raises(WrongYamlError) as caught:
        read(tmp_path / "strategy.yaml")
    assert caught.value.strict
