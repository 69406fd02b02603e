"""Local modules: those that are loaded, and those that the source names; nothing else, and nothing is run."""

from __future__ import annotations

import ast
import py_compile
from pathlib import Path

import pytest

from archiver.capture import imports
from tests.captured import run, run_all, show, write

ALL = show(repr("imports"))


def test_loaded_and_named_modules(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "",
            "run.py": f"import importlib, numpy\nimport pkg.a\nimportlib.import_module('plugin')\n{ALL}\n"
            "def later():\n    import lazy, json\n    from pkg import c, missing\n    import not_there\n",
            "pkg/__init__.py": "", "pkg/a.py": "from . import b\nfrom .sub.deep import thing\n", "pkg/b.py": "",
            "pkg/sub/__init__.py": "", "pkg/sub/deep.py": "thing = 1\n",
            "pkg/c.py": "try:\n    from ..outside import x\nexcept ImportError:\n    from .d import *\n", "pkg/d.py": "",
            "plugin.py": "", "lazy.py": "if False:\n    import lazier\n", "lazier.py": "match 1:\n    case 1:\n        import laziest\n",
            "laziest.py": "", "unrelated.py": "", "json.txt": "",
        },
    )  # fmt: skip
    shown = run("run.py", cwd=tmp_path)
    assert list(shown.files) == [
        "lazier.py", "laziest.py", "lazy.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py", "pkg/c.py", "pkg/d.py",
        "pkg/sub/__init__.py", "pkg/sub/deep.py", "plugin.py", "run.py",
    ]  # fmt: skip
    assert (shown.code["how"], shown.code["warnings"]) == ("imports", [])


def test_namespace_package_and_src_layout(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "setup.cfg": "", "scripts/run.py": f"import space.one\n{ALL}\ndef later():\n    import space.two, other.three\n",
            "src/space/one.py": "", "src/space/two.py": "", "src/other/three.py": "from .four import x\n", "src/other/four.py": "",
        },
    )  # fmt: skip
    shown = run("scripts/run.py", cwd=tmp_path, PYTHONPATH=str(tmp_path / "src"))
    assert list(shown.files) == [
        "scripts/run.py", "src/other/four.py", "src/other/three.py", "src/space/one.py", "src/space/two.py"
    ]  # fmt: skip


def test_editable_install_that_maps_a_package_to_a_folder(tmp_path: Path) -> None:
    # What setuptools writes for an editable install: a finder that knows where the package lies.
    finder = (
        "import importlib.util, sys\n"
        "class Finder:\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        folder = {str(tmp_path / 'proj/python/impl')!r}\n"
        "        if name == 'mypkg':\n"
        "            return importlib.util.spec_from_file_location(name, folder + '/mypkg/__init__.py',\n"
        "                submodule_search_locations=[folder + '/mypkg'])\n"
        "sys.meta_path.append(Finder)\n"
    )
    write(
        tmp_path,
        {
            "site-packages/__editable___finder.py": finder,
            "proj/pyproject.toml": "",
            "proj/run.py": f"import __editable___finder, mypkg.a\n{ALL}\ndef later():\n    import mypkg.b\n",
            "proj/python/impl/mypkg/__init__.py": "", "proj/python/impl/mypkg/a.py": "", "proj/python/impl/mypkg/b.py": "",
        },
    )  # fmt: skip
    shown = run("run.py", cwd=tmp_path / "proj", PYTHONPATH=str(tmp_path / "site-packages"))
    below = "python/impl/mypkg"
    assert list(shown.files) == [f"{below}/__init__.py", f"{below}/a.py", f"{below}/b.py", "run.py"]


def test_environment_inside_the_project_is_no_code(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "", "run.py": f"import library\n{ALL}",
            ".venv/lib/python3/site-packages/library.py": "import helper_of_library\n",
            ".venv/lib/python3/site-packages/helper_of_library.py": "",
        },
    )  # fmt: skip
    shown = run("run.py", cwd=tmp_path, PYTHONPATH=str(tmp_path / ".venv/lib/python3/site-packages"))
    assert list(shown.files) == ["run.py"]


def test_modules_whose_attributes_run_code(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": "import lazy, sys, types\n"
            "class Odd(types.ModuleType):\n    def __getattribute__(self, name):\n        raise RuntimeError('touched')\n"
            f"sys.modules['odd'] = Odd('odd')\nsys.modules['none'] = None\nsys.modules['text'] = 'no module'\n{ALL}",
            "lazy.py": "def __getattr__(name):\n    raise RuntimeError('touched')\n",
        },
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["lazy.py", "run.py"]


def test_sources_that_do_not_parse(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": f"{ALL}\ndef later():\n    import python2\n",
            "python2.py": "print 'import lazy'\n",
            "lazy.py": "",
        },
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["python2.py", "run.py"]


def test_pytest_with_imports(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "", "test_it.py": f"import strategy\ndef test_run():\n    {ALL}\n",
            "strategy.py": "", "unrelated.py": "",
        },
    )  # fmt: skip
    assert list(run("-m", "pytest", "-sqp", "no:cacheprovider", ".", cwd=tmp_path).files) == [
        "strategy.py",
        "test_it.py",
    ]


def test_compiled_modules_are_told_of(tmp_path: Path) -> None:
    write(tmp_path, {"run.py": f"import fast\n{ALL}", "fast.py": "x = 1\n"})
    py_compile.compile(str(tmp_path / "fast.py"), str(tmp_path / "fast.pyc"))
    (tmp_path / "fast.py").unlink()
    shown = run("run.py", cwd=tmp_path)
    assert list(shown.files) == ["run.py"]
    assert shown.code["warnings"] == ["fast.pyc is compiled: its source is not known"]


def test_module_name_that_is_loaded_twice(tmp_path: Path) -> None:
    load = (
        "import importlib.util, sys\n"
        "def load(path):\n"
        "    spec = importlib.util.spec_from_file_location('strategy', path)\n"
        "    sys.modules['strategy'] = module = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(module)\n"
    )
    write(
        tmp_path,
        {
            "strats/a.py": "A = 1\n", "strats/b.py": "B = 1\n",
            "run.py": f"{load}def go(path):\n    load(path)\n    {ALL}\ngo('strats/a.py')\ngo('strats/b.py')\n",
        },
    )  # fmt: skip
    found = [list(shown.files) for shown in run_all("run.py", cwd=tmp_path)]
    assert found == [["run.py", "strats/a.py"], ["run.py", "strats/b.py"]]


def test_loaded_module_outside_of_the_project_is_told(tmp_path: Path) -> None:
    write(tmp_path / "lib", {"shared.py": ""})
    write(tmp_path / "proj", {"pyproject.toml": "", "run.py": f"import shared\n{ALL}\n"})
    shown = run("run.py", cwd=tmp_path / "proj", PYTHONPATH=str(tmp_path / "lib"))
    assert list(shown.files) == ["run.py"]
    (warning,) = shown.code["warnings"]
    assert warning.startswith(f"{tmp_path / 'lib' / 'shared.py'}: loaded, but outside of the project")


def test_module_that_hides_one_of_pythons_own(tmp_path: Path) -> None:
    files = {"mailbox.py": "", "wave.py": "", "lib/sched.py": "", "lib/wave.py": ""}
    script = (
        f"import sys\nsys.path.append('lib')\n{ALL}\ndef later():\n    import mailbox, wave, sys, sched\n"
    )
    write(tmp_path, {"pyproject.toml": "", "run.py": script, **files})
    assert list(run("run.py", cwd=tmp_path).files) == ["mailbox.py", "run.py", "wave.py"]


@pytest.mark.parametrize(
    "source",
    [
        b'"""\nimport ghost\n"""\nimport real\n',
        b"text = '''\nfrom ghost import x\n'''\n    \nimport real\n",
        b"from a import (  # ghost (\n    b,\n    c,\n)\n",
        b"from a import (\n    b, c,\n)\nimport d as e, f.g  # import h\n",
        b"x = 1; import a\nif x: import b\n",
        b"import a; import b\nfrom .. import c\nfrom .d import *\n",
        b"import a, \\\n    b\n\tx = 'import c'\n",
        b"try:\n    import a\nexcept ImportError:\n\timport b\r\n",
        b"def f():\n    # import a\n    import b\n",
        b"import \n",
    ],
)
def test_statements_are_found_as_a_parser_finds_them(source: bytes) -> None:
    def parsed(data: bytes) -> list[str]:
        return sorted(map(repr, imports._statements(ast.parse(data))))

    try:
        expected = parsed(source)
    except SyntaxError:
        expected = []
    assert sorted(map(repr, imports.imports_of(source, str(source)))) == expected


def test_statements_of_pythons_own_library() -> None:
    files = sorted(Path(ast.__file__).parent.glob("*.py"))[::4]
    assert len(files) > 30
    for file in files:
        data = file.read_bytes()
        expected = sorted(map(repr, imports._statements(ast.parse(data))))
        assert sorted(map(repr, imports.imports_of(data, str(file)))) == expected, file
