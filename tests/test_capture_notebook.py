"""Notebooks in a real kernel: the notebook's own file where it is known, else the cells that ran."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.captured import Shown, run, run_all, show, write

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

DRIVER = """
import json, sys
import nbformat
from nbclient import NotebookClient
from jupyter_client.manager import KernelManager
cells = json.load(sys.stdin)
nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
client = NotebookClient(nb, timeout=60, kernel_name="python3", shutdown_kernel="immediate")
client.execute()
for cell in nb.cells:
    for output in cell.outputs:
        print(output.get("text", ""), end="")
"""
CELLS = ["WINDOW = 10", "%cd .\nprint(WINDOW)", "'''a cell of\n\ntwo parts'''", show()]


def execute(cwd: Path, cells: list[str], **env: str) -> list[Shown]:
    return run_all("-c", DRIVER, cwd=cwd, stdin=json.dumps(cells), IPYTHONDIR=str(cwd / ".ipython"), **env)


def save(path: Path, cells: list[str]) -> bytes:
    written = [{"cell_type": "markdown", "metadata": {}, "source": "# notes"}]
    written += [
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": text.splitlines(True),
        }
        for text in cells
    ]
    path.write_text(json.dumps({"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path.read_bytes()


@pytest.mark.slow
def test_cells_where_the_file_is_not_known(tmp_path: Path) -> None:
    save(tmp_path / "newest.ipynb", ["not_this = 1"])
    (shown,) = execute(tmp_path, CELLS)
    assert (shown.code["how"], shown.context, list(shown.files)) == ("cells", "notebook", ["cells.py"])
    text = shown.files["cells.py"].decode()
    assert text.startswith("# %%\nWINDOW = 10\n\n# %%\nget_ipython()")
    assert text.count("# %%\n") == 4
    assert CELLS[3] in text
    compile(text, "cells.py", "exec")


@pytest.mark.slow
def test_file_as_vs_code_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "my research.ipynb"
    data = save(path, CELLS)
    (shown,) = execute(
        tmp_path, [*CELLS[:2], "# hidden", CELLS[2], f"__vsc_ipynb_file__ = {str(path)!r}", CELLS[3]]
    )
    # The cell that VS Code runs to set the variable is none of the notebook's, nor is the comment.
    assert shown.code["how"] == "notebook"
    assert shown.files["my research.ipynb"] == data


def test_file_as_jupyter_tells_it(tmp_path: Path) -> None:
    data = save(tmp_path / "research.ipynb", CELLS)
    (shown,) = execute(tmp_path, CELLS, JPY_SESSION_NAME=str(tmp_path / "research.ipynb"))
    assert (shown.code["how"], shown.files) == ("notebook", {"research.ipynb": data})
    assert shown.entry == "research.ipynb"
    assert shown.code["warnings"] == []
    lab = f"{tmp_path / 'research.ipynb'}-0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
    (again,) = execute(tmp_path, CELLS, JPY_SESSION_NAME=lab)
    assert again.files == {"research.ipynb": data}


def test_cells_that_were_not_saved_are_kept_beside_the_file(tmp_path: Path) -> None:
    data = save(tmp_path / "research.ipynb", CELLS[:2])
    (shown,) = execute(tmp_path, CELLS, JPY_SESSION_NAME=str(tmp_path / "research.ipynb"))
    assert sorted(shown.files) == ["research.executed.py", "research.ipynb"]
    assert shown.files["research.ipynb"] == data
    assert CELLS[3] in shown.files["research.executed.py"].decode()
    assert "lacks cells that ran" in shown.code["warnings"][0]


@pytest.mark.slow
def test_another_notebooks_name_that_was_inherited(tmp_path: Path) -> None:
    # A kernel started from within a notebook inherits the outer notebook's variable.
    save(tmp_path / "outer.ipynb", ["outer = 1"])
    (shown,) = execute(tmp_path, CELLS, JPY_SESSION_NAME=str(tmp_path / "outer.ipynb"))
    assert (shown.code["how"], list(shown.files)) == ("cells", ["outer.executed.py"])


@contextmanager
def _jupyter_server(folder: Path, root: Path, kernel: str, token: str) -> Iterator[list[str]]:
    asked: list[str] = []

    class Sessions(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization')}")
            other: dict[str, Any] = {"path": "other.ipynb", "kernel": {"id": "another"}}
            body = json.dumps([other, {"path": "sub/research.ipynb", "kernel": {"id": kernel}}]).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sessions) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        facts = {"url": f"http://127.0.0.1:{server.server_port}/base/", "token": token, "root_dir": str(root)}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "jpserver-1.json").write_text(json.dumps(facts))
        (folder / "jpserver-2.json").write_text("{broken")
        (folder / "nbserver-3.json").write_text(json.dumps({"url": "http://127.0.0.1:9/", "token": ""}))
        yield asked
        server.shutdown()


def test_file_as_the_server_tells_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    data = save(tmp_path / "sub/research.ipynb", CELLS)
    named = DRIVER.replace(
        "client = NotebookClient(nb,",
        "client = NotebookClient(nb, km=KernelManager(connection_file='kernel-the-id.json', kernel_name='python3'),",
    )
    with _jupyter_server(tmp_path / "runtime", tmp_path, "the-id", "to" + "ken1") as asked:
        env = {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "IPYTHONDIR": str(tmp_path / ".ipython")}
        (shown,) = run_all("-c", named, cwd=tmp_path, stdin=json.dumps(CELLS), **env)
    assert (shown.code["how"], shown.files) == ("notebook", {"research.ipynb": data})
    assert asked == ["/base/api/sessions token to" + "ken1"]


@pytest.mark.slow
def test_modules_of_the_notebook(tmp_path: Path) -> None:
    write(tmp_path, {"wrap.py": f"def go():\n    {show()}\n", "lazy.py": "", "pyproject.toml": ""})
    (shown,) = execute(tmp_path, ["import wrap", "def f():\n    import lazy", "wrap.go()"])
    assert sorted(shown.files) == ["cells.py", "wrap.py"]
    write(tmp_path, {"wrap.py": f"def go():\n    {show(repr('imports'))}\n"})
    (shown,) = execute(tmp_path, ["import wrap", "def f():\n    import lazy", "wrap.go()"])
    assert sorted(shown.files) == ["cells.py", "lazy.py", "wrap.py"]


@pytest.mark.slow
def test_strategy_yaml_beside_the_notebook(tmp_path: Path) -> None:
    write(tmp_path, {"strategy.yaml": "files: [a.py]\n", "a.py": ""})
    (shown,) = execute(tmp_path, CELLS)
    assert (shown.code["how"], sorted(shown.files)) == ("listed", ["a.py", "strategy.yaml"])


def test_credential_in_a_cell(tmp_path: Path) -> None:
    key = "AKIA" + "IOSFODNN7" + "EXAMPLE"
    (shown,) = execute(tmp_path, [f"key = {key!r}", show()])
    assert shown.code["how"] == "none"
    assert key not in json.dumps(shown.code)


def test_notebook_as_a_script(tmp_path: Path) -> None:
    # What nbconvert and jupytext make of a notebook is a script like any other.
    write(tmp_path, {"research.py": f"# %%\nx = 1\n# %%\n{show()}"})
    assert list(run("research.py", cwd=tmp_path).files) == ["research.py"]
