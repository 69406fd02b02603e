"""What ran is what is kept, also when the file has changed since, or is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.captured import run, run_all, show, write
from tests.thinned import one_in

RAN = "was edited after Python loaded it: what is kept is the source that ran"


def test_script_edited_during_the_run(tmp_path: Path) -> None:
    script = (
        "import archiver, pathlib\nWINDOW = 10\n"
        "path = pathlib.Path(__file__)\npath.write_text(path.read_text().replace('10', '99', 1))\n" + show()
    )
    write(tmp_path, {"run.py": script})
    shown = run("run.py", cwd=tmp_path)
    assert shown.files == {"run.py": script.encode()}
    assert shown.code["warnings"] == [f"run.py {RAN}"]
    assert (tmp_path / "run.py").read_text() != script


def test_script_edited_before_archiver_was_imported(tmp_path: Path) -> None:
    script = (
        "import pathlib\nWINDOW = 10\n"
        "path = pathlib.Path(__file__)\npath.write_text(path.read_text().replace('10', '99', 1))\n" + show()
    )
    write(tmp_path, {"run.py": script})
    shown = run("run.py", cwd=tmp_path)
    (warning,) = shown.code["warnings"]
    assert "what is kept is the edited file, not what ran" in warning


def test_script_whose_source_linecache_knows(tmp_path: Path) -> None:
    script = (
        "import linecache, pathlib\nWINDOW = 10\nlinecache.getlines(__file__)\n"
        "path = pathlib.Path(__file__)\npath.write_text(path.read_text().replace('10', '99', 1))\n"
        + show()
        + "\n"
    )
    write(tmp_path, {"run.py": script})
    shown = run("run.py", cwd=tmp_path)
    assert shown.files == {"run.py": script.encode()}
    assert shown.code["warnings"] == [f"run.py {RAN}"]


def test_script_deleted_during_the_run(tmp_path: Path) -> None:
    script = f"import archiver, os\nos.unlink(__file__)\n{show()}"
    write(tmp_path, {"run.py": script})
    shown = run("run.py", cwd=tmp_path)
    assert shown.files == {"run.py": script.encode()}
    assert shown.code["warnings"] == [
        "run.py was deleted after Python loaded it: what is kept is the source that ran"
    ]


def test_script_deleted_and_its_source_unknown(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": f"import os\nos.unlink(__file__)\n{show()}"})
    shown = run("run.py", cwd=tmp_path)
    assert (shown.code["how"], shown.code["files"]) == ("none", [])
    assert shown.code["reason"] == "run.py was deleted after Python loaded it, and its source is not known"


def test_script_touched_but_not_changed(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": f"import os\nos.utime(__file__)\n{show()}"})
    assert run("run.py", cwd=tmp_path).code["warnings"] == []


@pytest.mark.parametrize("mode", ["entry", "imports"])
@pytest.mark.parametrize("change", ["replace('+ 1', '+ 2')", "replace('WINDOW = 10', 'WINDOW = 99')"])
def test_module_edited_between_two_captures(tmp_path: Path, mode: str, change: str) -> None:
    module = f"WINDOW = 10\ndef go(x):\n    y = x + 1\n    {show(repr(mode))}\n"
    write(
        tmp_path,
        {
            "run.py": "import pathlib, strategy\nstrategy.go(1)\n"
            f"path = pathlib.Path(strategy.__file__)\npath.write_text(path.read_text().{change})\n"
            "strategy.go(1)\nimport importlib; importlib.reload(strategy).go(1)\n",
            "strategy.py": module,
        },
    )
    first, edited, reloaded = run_all("run.py", cwd=tmp_path)
    assert first.files["strategy.py"] == edited.files["strategy.py"] == module.encode()
    assert first.code["warnings"] == []
    assert edited.code["warnings"] == [f"strategy.py {RAN}"]
    assert reloaded.files["strategy.py"] == (tmp_path / "strategy.py").read_bytes() != module.encode()
    assert reloaded.code["warnings"] == []


def test_module_edited_before_the_first_capture(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": "import pathlib, strategy\npath = pathlib.Path(strategy.__file__)\n"
            f"path.write_text('WINDOW = 11\\n')\n{show(repr('imports'))}",
            "strategy.py": "WINDOW = 10\n",
        },
    )
    shown = run("run.py", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="")
    (warning,) = shown.code["warnings"]
    assert warning.startswith("strategy.py was edited after Python loaded it")


def test_module_written_by_the_program_itself(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": "import pathlib, sys\n"
            f"pathlib.Path('made.py').write_text({f'def go():{chr(10)}    {show()}'!r})\nimport made\nmade.go()\n"
        },
    )
    shown = run("run.py", cwd=tmp_path)
    assert list(shown.files) == ["made.py", "run.py"]
    assert shown.code["warnings"] == []


def test_function_sent_to_a_worker_before_the_edit(tmp_path: Path) -> None:
    # The worker starts after the edit, so only the code object itself can tell.
    write(
        tmp_path,
        {
            "run.py": f"def one():\n    x = 1\n    {show()}\n"
            "import sys, types\n"
            "path = __import__('pathlib').Path(__file__)\npath.write_text(path.read_text().replace('x = 1', 'x = 2', 1))\n"
            "types.FunctionType(one.__code__, {'__name__': '__main__', '__builtins__': __builtins__})()\n"
        },
    )
    shown = run("run.py", cwd=tmp_path)
    assert "was edited after Python loaded it" in shown.code["warnings"][0]


CLASS = "class S:\n    fast = 10\n"


@pytest.mark.parametrize(
    ("was", "now", "what"),
    [
        ("WINDOW = 10\n", "WINDOW = 99\n", "WINDOW"),
        ("WINDOW = 10\n", "WINDOW: int = 99\n", "WINDOW"),
        ("window = 10\n", "window = 99\n", "window"),
        (CLASS, CLASS.replace("10", "99"), "S.fast"),
        ("WINDOW = 10\n", "WINDOW = (\n", "the code"),
        ("WINDOW = 10\n", "WINDOW = 10  # days\n", None),
        ("window = 10\nif window:\n    window = 20\n", "window = 10\nif window:\n    window = 20\n\n", None),
        (
            "def count():\n    global n\n    n = 1\nn = 0\n",
            "def count():\n    global n\n    n = 1\nn = 0\n#\n",
            None,
        ),
    ],
)
@pytest.mark.parametrize("bytecode", one_in(2, ["of the edited file", "none"]))
def test_value_edited_before_the_first_capture(
    tmp_path: Path, was: str, now: str, what: str | None, bytecode: str
) -> None:
    script = (
        "import lib, pathlib, subprocess, sys, time\ngetattr(lib, 'count', str)()\ntime.sleep(0.03)\n"
        f"pathlib.Path('lib.py').write_text({now!r})\nsubprocess.run([sys.executable, '-c', 'import lib'], stderr=-3)\n"
        + show(repr("imports"))
    )
    write(tmp_path, {"run.py": script, "lib.py": was})
    env = (
        {"PYTHONDONTWRITEBYTECODE": "1"}
        if bytecode == "none"
        else {"PYTHONPYCACHEPREFIX": str(tmp_path / "pyc")}
    )
    shown = run("run.py", cwd=tmp_path, **env)
    if what is None:
        assert shown.code["warnings"] == []
    else:
        (warning,) = shown.code["warnings"]
        said = f"lib.py: {what} is not what the file says: it was edited since, or the program set it"
        functions = "lib.py was edited after Python loaded it: what is kept is the edited file, not what ran"
        assert warning in (said, functions)


def test_constant_that_the_program_replaces_is_no_edit(tmp_path: Path) -> None:
    script = f"import pathlib\npathlib.Path('lib.py').write_text('TABLE = None')\nimport lib\nlib.TABLE = [1]\n{show(repr('imports'))}"
    write(tmp_path, {"run.py": script})
    assert run("run.py", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1").code["warnings"] == []
