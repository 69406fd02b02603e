"""Programs that make code of a file of the user's: what they run belongs to that file."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.captured import Shown, environment, run, show, write

# What marimo 0.25 does with a notebook: each cell is compiled alone, as the file (run as a script) or as one of its own.
CELLS = """
import ast, linecache, sys
def run(path, names, cells):
    for at, text in enumerate(cells):
        tree = ast.parse(text)
        filename = path
        if names:
            filename = f"/tmp/marimo_1/__marimo__cell_{at}_.py"
            linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        execute(compile(tree, filename, "exec"))
def execute(code):
    exec(code, sys.modules["__main__"].__dict__)
"""


def _notebook(tmp_path: Path, *, names: bool, saved: str = "", cells: tuple[str, ...] = ()) -> Shown:
    cell = f"def go():\n    {show('strict=True')}\n\ngo()"
    body = cell.replace("\n", "\n    ")
    write(tmp_path / "site-packages/marimo", {"__init__.py": CELLS})
    write(
        tmp_path,
        {
            "pyproject.toml": "",
            "run.py": f"import sys\nsys.path.append('site-packages')\nimport marimo, pathlib\npathlib.Path(__file__).touch()\n"
            f"def _():\n    {saved or body}\n    return\n"
            f"marimo.run(__file__, {names}, {[cell, *cells]!r})\n",
        },
    )
    return run("run.py", cwd=tmp_path)


@pytest.mark.parametrize("names", [False, True])
def test_generated_code_belongs_to_its_notebook(tmp_path: Path, names: bool) -> None:
    shown = _notebook(tmp_path, names=names)
    assert list(shown.files) == ["run.py"]
    assert (shown.code["warnings"], shown.code["how"], shown.context) == ([], "entry", "notebook")
    assert shown.entry == "run.py"


def test_generated_code_that_its_notebook_lacks_is_kept_beside_it(tmp_path: Path) -> None:
    shown = _notebook(tmp_path, names=True, saved="pass")
    assert sorted(shown.files) == ["run.executed.py", "run.py"]
    assert "go()" in shown.files["run.executed.py"].decode()
    assert shown.code["warnings"] == [
        "run.py as saved lacks cells that ran: the executed cells are kept beside it"
    ]


def test_generated_code_belongs_to_its_app(tmp_path: Path) -> None:
    write(
        tmp_path / "site-packages/streamlit",
        {"__init__.py": "def execute(code, space):\n    exec(code, space)\n"},
    )
    write(
        tmp_path,
        {
            "pyproject.toml": "",
            "app.py": f"x = 1\nx\n{show('strict=True')}",
            "start.py": "import pathlib, sys\nsys.path.append('site-packages')\nimport streamlit\n"
            "path = pathlib.Path('app.py').absolute()\npath.touch()\n"
            "text = 'import sys\\n' + path.read_text()\n"
            "streamlit.execute(compile(text, str(path), 'exec'), {'__name__': '__main__', '__file__': str(path)})\n",
        },
    )
    shown = run("start.py", cwd=tmp_path)
    assert sorted(shown.files) == ["app.py", "start.py"]
    assert (shown.code["warnings"], shown.context) == ([], "app")


@pytest.mark.skipif(find_spec("marimo") is None, reason="marimo is not installed")
@pytest.mark.parametrize(
    "words", [["run.py"], ["-m", "marimo", "export", "html", "run.py", "-o", "out.html"]]
)
def test_marimo_itself(tmp_path: Path, words: list[str]) -> None:
    body = "import helper\n    print(helper.go(), file=sys.__stdout__, flush=True)"
    text = f"import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n    import sys\n    {body}\n    return\n\n\n"
    write(tmp_path, {"pyproject.toml": "", "run.py": f'{text}if __name__ == "__main__":\n    app.run()\n'})
    write(
        tmp_path,
        {
            "helper.py": "from archiver.capture import capture\ndef go():\n    code = capture(strict=True).code\n"
            "    return [one.path for one in code.files], code.warnings\n"
        },
    )
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert "(['helper.py', 'run.py'], ())" in done.stdout
