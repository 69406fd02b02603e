"""Every way to start Python: the row of docs/reference/code.md that each test proves is its name."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipapp
from pathlib import Path

import pytest

from tests.captured import environment, parse, run, run_all, show, write


def test_script(tmp_path: Path) -> None:
    script = f"import sys\n{show()}\n"
    write(tmp_path, {"run.py": script, "other.py": "x = 1\n"})
    shown = run("run.py", "--window", "7", cwd=tmp_path)
    assert shown.files == {"run.py": script.encode()}
    assert (shown.code["how"], shown.context, shown.entry) == ("entry", "script", "run.py")
    assert shown.code["provenance"]["argv"] == ["run.py", "--window", "7"]
    assert shown.code["warnings"] == []
    assert shown.said == ""
    assert shown.root == str(tmp_path)


@pytest.mark.parametrize(
    "folder", ["code", "test", "a path with spaces", "archiver", "capture", "lib", "größe"]
)
def test_script_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder, {"my run.py": show()})
    shown = run(tmp_path / folder / "my run.py", cwd=Path("/"))
    assert list(shown.files) == ["my run.py"]


def test_script_started_by_a_relative_path_that_changes_folder(tmp_path: Path) -> None:
    write(tmp_path / "proj", {"run.py": f"import os; os.chdir('/')\n{show()}"})
    assert list(run("proj/run.py", cwd=tmp_path).files) == ["run.py"]


def test_wrapper_module_of_the_users_and_the_script(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": "import strategy\nstrategy.go()\n",
            "strategy.py": "from saving import keep\ndef go():\n    keep()\n",
            "saving.py": f"def keep():\n    {show()}\n",
            "unrelated.py": "x = 1\n",
        },
    )
    shown = run("run.py", cwd=tmp_path)
    assert list(shown.files) == ["run.py", "saving.py", "strategy.py"]
    assert shown.entry == "run.py"


def test_module(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/sub/mod.py": show()})
    shown = run("-m", "pkg.sub.mod", cwd=tmp_path)
    assert (list(shown.files), shown.context) == (["pkg/sub/mod.py"], "-m pkg.sub.mod")


def test_module_in_a_namespace_package(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/sub/mod.py": show()})
    assert list(run("-m", "pkg.sub.mod", cwd=tmp_path).files) == ["pkg/sub/mod.py"]


def test_module_that_is_a_package(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/__init__.py": "", "pkg/__main__.py": show()})
    shown = run("-m", "pkg", cwd=tmp_path)
    assert (list(shown.files), shown.context) == (["pkg/__main__.py"], "-m pkg")


def test_console_script(tmp_path: Path) -> None:
    project = write(
        tmp_path / "proj", {"pyproject.toml": "", "src/tool/__init__.py": f"def main():\n    {show()}\n"}
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    packages = next((project / ".venv").glob("lib/python*/site-packages"))
    ours = sysconfig.get_path("purelib")
    (packages / "tool.pth").write_text(f"import site; site.addsitedir({ours!r})\n{project / 'src'}\n")
    command = project / ".venv/bin/tool"
    command.write_text(
        f"#!{project / '.venv/bin/python'}\nimport sys\nfrom tool import main\nsys.exit(main())\n"
    )
    shown = run(command, cwd=tmp_path, python=str(project / ".venv/bin/python"))
    assert (list(shown.files), shown.context) == (["src/tool/__init__.py"], "console script")


@pytest.mark.parametrize("start", [["-m", "pytest"], [str(Path(sysconfig.get_path("scripts"), "pytest"))]])
def test_pytest(tmp_path: Path, start: list[str]) -> None:
    write(
        tmp_path,
        {
            "tests/test_it.py": "import strategy\ndef test_run():\n    strategy.go()\n",
            "strategy.py": f"def go():\n    {show()}\n",
            "conftest.py": "import sys, pathlib; sys.path.insert(0, str(pathlib.Path(__file__).parent))\n",
        },
    )
    shown = run(*start, "-s", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path)
    assert (list(shown.files), shown.context) == (["strategy.py", "tests/test_it.py"], "pytest")
    assert shown.code["warnings"] == []


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_worker_of_multiprocessing(tmp_path: Path, method: str) -> None:
    write(
        tmp_path,
        {
            "run.py": "import multiprocessing as mp, work\n"
            f"if __name__ == '__main__':\n    mp.set_start_method({method!r})\n"
            "    with mp.Pool(1) as pool:\n        pool.map(work.one, [1])\n",
            "work.py": f"def one(_):\n    {show()}\n",
        },
    )
    shown = run("run.py", cwd=tmp_path)
    assert (list(shown.files), shown.context, shown.entry) == (
        ["run.py", "work.py"],
        "worker process",
        "run.py",
    )


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_worker_that_runs_a_function_of_the_script(tmp_path: Path, method: str) -> None:
    write(
        tmp_path,
        {
            "run.py": "import multiprocessing as mp\nfrom concurrent.futures import ProcessPoolExecutor\n"
            f"def one(_):\n    {show()}\n"
            "if __name__ == '__main__':\n"
            f"    with ProcessPoolExecutor(1, mp_context=mp.get_context({method!r})) as pool:\n"
            "        list(pool.map(one, [1]))\n"
        },
    )
    shown = run("run.py", cwd=tmp_path)
    assert (list(shown.files), shown.context) == (["run.py"], "worker process")


def test_worker_that_gets_its_function_by_value(tmp_path: Path) -> None:
    # As joblib and Dask send functions of the started script: the code object itself, which knows its file.
    worker = (
        "import marshal, sys, types\n"
        "code = marshal.loads(bytes.fromhex(sys.stdin.read()))\n"
        "types.FunctionType(code, {'__name__': '__main__', '__builtins__': __builtins__})()\n"
    )
    write(tmp_path / "lib/site-packages", {"worker.py": worker})
    write(
        tmp_path / "proj",
        {
            "run.py": "import marshal, subprocess, sys\n"
            f"def one():\n    {show()}\n"
            f"subprocess.run([sys.executable, {str(tmp_path / 'lib/site-packages/worker.py')!r}], text=True, "
            "input=marshal.dumps(one.__code__).hex(), check=True)\n"
        },
    )
    assert list(run("run.py", cwd=tmp_path / "proj").files) == ["run.py"]


def test_worker_of_dask(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    write(
        tmp_path,
        {
            "run.py": "from distributed import Client\n"
            f"def one(_):\n    {show()}\n"
            "if __name__ == '__main__':\n"
            "    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:\n"
            "        client.gather(client.map(one, [1]))\n"
        },
    )
    shown = run("run.py", cwd=tmp_path)
    assert (list(shown.files), shown.context) == (["run.py"], "worker process")


def test_worker_of_joblib(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    write(
        tmp_path,
        {
            "run.py": "from joblib import Parallel, delayed\n"
            f"def one(_):\n    {show()}\n"
            "if __name__ == '__main__':\n    Parallel(2)(delayed(one)(i) for i in [1])\n"
        },
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["run.py"]


def test_thread(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": "from concurrent.futures import ThreadPoolExecutor\nimport work\n"
            "with ThreadPoolExecutor(1) as pool:\n    pool.submit(work.one).result()\n",
            "work.py": f"def one():\n    {show()}\n",
        },
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["run.py", "work.py"]


def test_command_text_is_not_captured(tmp_path: Path) -> None:
    shown = run("-c", show(), cwd=tmp_path)
    assert (shown.code["how"], shown.code["files"]) == ("none", [])
    assert shown.code["reason"] == "the program text given by -c is in no file"
    assert "not captured (the program text given by -c is in no file)" in shown.said
    assert shown.said.count("Warning") == 1


def test_command_text_that_calls_a_module(tmp_path: Path) -> None:
    write(tmp_path, {"strategy.py": f"def go():\n    {show()}\n"})
    shown = run("-c", "import strategy; strategy.go()", cwd=tmp_path)
    assert (shown.code["how"], list(shown.files)) == ("entry", ["strategy.py"])
    assert shown.code["warnings"] == ["the program text given by -c is in no file"]


def test_standard_input_is_not_captured(tmp_path: Path) -> None:
    shown = run("-", cwd=tmp_path, stdin=show())
    assert (shown.code["how"], shown.code["reason"]) == (
        "none",
        "the program text given by standard input is in no file",
    )


def test_frozen_application_is_not_captured(tmp_path: Path) -> None:
    # PyInstaller, cx_Freeze and py2exe all set this one attribute before the program's first line.
    write(tmp_path, {"run.py": f"import sys; sys.frozen = True\n{show()}"})
    shown = run("run.py", cwd=tmp_path)
    assert (shown.code["how"], shown.code["reason"]) == (
        "none",
        "a frozen application does not hold its sources",
    )


def test_zip_application_gives_its_source(tmp_path: Path) -> None:
    write(tmp_path / "app", {"__main__.py": show()})
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")
    shown = run("app.pyz", cwd=tmp_path)
    assert shown.files == {"__main__.py": show().encode()}
    assert "lies in an archive" in shown.code["warnings"][0]


def test_script_under_a_debugger_or_profiler(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": show()})
    profiled = run("-m", "cProfile", "run.py", cwd=tmp_path)
    assert (list(profiled.files), profiled.context) == (["run.py"], "script")
    debugged = run("-m", "pdb", "-c", "continue", "run.py", cwd=tmp_path, stdin="q\n")
    assert (list(debugged.files), debugged.context) == (["run.py"], "script")


def test_folder_that_is_run(tmp_path: Path) -> None:
    write(tmp_path, {"app/__main__.py": show()})
    shown = run("app", cwd=tmp_path)
    assert (list(shown.files), shown.context) == (["__main__.py"], "script")


def _at_a_prompt(words: list[str], lines: list[str], prompt: str, cwd: Path, **env: str) -> str:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable, words, cwd=str(cwd), env=environment(**env), encoding="utf-8", timeout=60
    )
    child.setwinsize(50, 4000)
    seen = ""
    for line in lines:
        child.expect(prompt)
        seen += child.before
        child.sendline(line)
    child.expect(pexpect.EOF)
    child.close()
    return seen + child.before


def test_prompt_of_python(tmp_path: Path) -> None:
    write(tmp_path, {".python_history": "earlier = 'session'\nsecond = 2\n"})
    out = _at_a_prompt(
        [], ["window = 5", show(), "exit()"], ">>> ", tmp_path, HOME=str(tmp_path), TERM="dumb"
    )
    (shown,) = parse(out)
    assert (shown.code["how"], shown.context) == ("lines", "prompt")
    assert shown.files == {"lines.py": f"window = 5\n{show()}\n".encode()}


def test_prompt_after_a_script(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": "window = 5\n"})
    out = _at_a_prompt(
        ["-i", "run.py"], [show(), "exit()"], ">>> ", tmp_path, HOME=str(tmp_path), TERM="dumb"
    )
    (shown,) = parse(out)
    assert list(shown.files) == ["run.py", "lines.py"]


def test_prompt_of_ipython(tmp_path: Path) -> None:
    words = [
        "-m",
        "IPython",
        "--no-banner",
        "--simple-prompt",
        "--no-confirm-exit",
        "--HistoryManager.enabled=False",
    ]
    env = {"IPYTHONDIR": str(tmp_path / "ipython"), "TERM": "dumb"}
    stdin = f"window = 5\n%cd .\n{show()}\n"
    (shown,) = run_all(*words, cwd=tmp_path, stdin=stdin, **env)
    assert (shown.code["how"], shown.context) == ("lines", "IPython")
    text = shown.files["lines.py"].decode()
    assert text.startswith("# %%\nwindow = 5\n\n# %%\nget_ipython()")
    assert text.endswith(show() + "\n")


def test_script_run_by_ipython(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": show()})
    words = ["-m", "IPython", "--no-banner", "--simple-prompt", "--HistoryManager.enabled=False", "run.py"]
    shown = run(*words, cwd=tmp_path, IPYTHONDIR=str(tmp_path / "ipython"))
    assert shown.files["run.py"] == show().encode()


def test_symlinked_project(tmp_path: Path) -> None:
    write(
        tmp_path / "real",
        {"run.py": "import lib.wrap; lib.wrap.go()", "lib/wrap.py": f"def go():\n    {show()}"},
    )
    (tmp_path / "link").symlink_to(tmp_path / "real")
    shown = run(tmp_path / "link/run.py", cwd=tmp_path)
    assert list(shown.files) == ["lib/wrap.py", "run.py"]


def test_unmarked_project_started_from_its_top(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"scripts/run.py": "import lib.wrap; lib.wrap.go()", "lib/wrap.py": f"def go():\n    {show()}"},
    )
    shown = run("scripts/run.py", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert list(shown.files) == ["lib/wrap.py", "scripts/run.py"]


def test_library_outside_of_the_project_is_left_out_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"wrap.py": f"def go():\n    {show()}"})
    write(tmp_path / "proj", {"run.py": "import wrap; wrap.go()"})
    shown = run("run.py", cwd=tmp_path / "proj", PYTHONPATH=str(tmp_path / "elsewhere"))
    assert list(shown.files) == ["run.py"]
    assert "wrap.py is outside of the project" in shown.code["warnings"][0]
    assert "outside of the project" in shown.said


def test_warnings_as_errors_do_not_stop_a_backtest(tmp_path: Path) -> None:
    shown = run("-W", "error", "-c", show(), cwd=tmp_path)
    assert shown.code["how"] == "none"
    assert shown.said == ""


@pytest.mark.parametrize("home", [True, False])
def test_a_marker_in_the_home_folder_is_no_project(tmp_path: Path, home: bool) -> None:
    write(tmp_path, {"pyproject.toml": "", "proj/run.py": show()})
    shown = run("proj/run.py", cwd=tmp_path, HOME=str(tmp_path) if home else os.devnull)
    assert list(shown.files) == ["run.py" if home else "proj/run.py"]


def test_every_row_of_the_reference_is_backed_by_a_test() -> None:
    here = Path(__file__).parent
    tests = "".join(path.read_text() for path in here.glob("test_capture_*.py"))
    page = (here.parent / "docs/reference/code.md").read_text()
    table = page.split("## Contexts")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        names = [word for word in row.split("`") if word.startswith("test_")]
        assert names, row
        for name in names:
            assert f"def {name}(" in tests, name


@pytest.mark.parametrize("name", ["pydev", "debugpy", "_jb_strategies"])
def test_project_in_a_folder_called_as_a_debugger(tmp_path: Path, name: str) -> None:
    folder = write(
        tmp_path / name, {"run.py": "import lib\nlib.go()\n", "lib.py": f"def go():\n    {show()}\n"}
    )
    assert list(run("run.py", cwd=folder).files) == ["lib.py", "run.py"]


@pytest.mark.parametrize(
    "launcher", ["debugpy/server/cli.py", "pydev/pydevd.py", "helpers/pycharm/_jb_runner.py"]
)
def test_script_started_by_an_editors_launcher(tmp_path: Path, launcher: str) -> None:
    starts = "import runpy, sys\nrunpy.run_path(sys.argv[1], run_name='__main__')\n"
    write(tmp_path / "editor", {launcher: starts, "debugpy/_vendored/pydevd.py": ""})
    write(tmp_path / "mine", {"run.py": show()})
    shown = run(tmp_path / "editor" / launcher, tmp_path / "mine" / "run.py", cwd=tmp_path / "mine")
    assert list(shown.files) == ["run.py"]


def test_text_given_to_exec_by_a_script(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": f"exec({show()!r})\n"})
    shown = run("run.py", cwd=tmp_path)
    assert (shown.context, list(shown.files), shown.code["warnings"]) == ("script", ["run.py"], [])


def test_namespace_whose_name_is_no_text(tmp_path: Path) -> None:
    called = f"exec(compile({show()!r}, 'rule.txt', 'exec'), {{'__name__': 7}})\n"
    write(tmp_path, {"run.py": called, "rule.txt": "rule"})
    assert list(run("run.py", cwd=tmp_path).files) == ["rule.txt", "run.py"]


def test_working_folder_that_was_deleted(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": f"import os, shutil\nshutil.rmtree(os.getcwd())\n{show()}\n"})
    (tmp_path / "scratch").mkdir()
    shown = run(tmp_path / "run.py", cwd=tmp_path / "scratch")
    assert (list(shown.files), shown.code["warnings"]) == (["run.py"], [])


def test_script_beside_installed_commands(tmp_path: Path) -> None:
    folder = write(tmp_path / ".local/bin", {"mine.py": show()})
    shown = run(folder / "mine.py", cwd=tmp_path, HOME=str(tmp_path))
    assert (list(shown.files), shown.context) == (["mine.py"], "script")
