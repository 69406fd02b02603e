"""What the project says of its own code holds: floors, reasons of libraries and of ignores, sizes, tests by name."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CODE = sorted((ROOT / "archiver").rglob("*.py"))
LINES = {"archiver": 400, "docs": 400, "tests": 560}
ELSEWHERE = {
    "__main__": "test_cli",
    "checked": "test_bundle_hostile and test_copy",
    "archive": "test_facade, test_archive_retention and test_archive",
    "errors": "the reference of exit codes in test_docs",
    "export_to": "test_facade",
    "model": "frozen dataclasses, used by all",
    "run_id": "test_layout",
    "script": "test_capture_edited",
    "suggest": "test_read, test_config and whoever suggests",
    "version": "test_cli",
}


def room_names() -> set[str]:
    """Return the modules and packages that lie directly in archiver."""
    found = [*(ROOT / "archiver").glob("*.py"), *(ROOT / "archiver").glob("*/__init__.py")]
    return {path.stem if path.stem != "__init__" else path.parent.name for path in found} - {"archiver"}


def between_marks(page: Path, name: str) -> str:
    """Return what docs/generate.py wrote into a page; test_docs finds it out when it is out of date."""
    return page.read_text().partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0]


def test_the_design_shows_every_room_on_the_floor_that_the_linter_holds() -> None:
    picture = between_marks(ROOT / "docs/explanation/design.md", "floors")
    drawn = re.split(r"[├└]─.*", picture.replace("```text", "").replace("```", ""))
    stories = [rooms for story in drawn if (rooms := re.findall(r"\w+", story))]
    (layers,) = (
        contract["layers"]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["archiver"]
    )
    assert stories == [re.findall(r"\w+", layer) for layer in layers]
    assert {room for rooms in stories for room in rooms} == room_names()


def test_contributors_find_every_room_by_what_it_is_for() -> None:
    rows = re.findall(
        r"^\| \[`archiver/(\w+)(?:\.py|/)`\]\(\S+\) \| (.+) \|$",
        between_marks(ROOT / "CONTRIBUTING.md", "rooms"),
        re.MULTILINE,
    )
    assert len(rows) == len(room_names())
    assert {room for room, _ in rows} == room_names()
    assert len({what for _, what in rows}) == len(rows)


def test_one_line_tells_what_several_test_runs_came_to(tmp_path: Path) -> None:
    logs = {
        "quick": "...s\n12 passed, 3 skipped, 5 deselected in 303.45s (0:05:03)\n",
        "slow": "F.\nFAILED tests/test_x.py::y - in 1.0s\n1 failed, 2 passed, 1 error in 3.50s\n",
        "broken": "no such option\n",
        "flaky": "F.\nFAILED tests/test_x.py::y\n1 failed, 8 passed in 2.00s\n",
        "flaky.again": ".\n1 passed, 10 deselected in 1.50s\n",
    }
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
    told = [
        subprocess.run(
            [sys.executable, ROOT / ".ci/total.py", *names],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for names in (["quick"], ["quick", "slow"], ["quick", "broken"], ["quick", "flaky"])
    ]
    assert told == [
        "12 passed, 3 skipped in 303.45s\n",
        "1 failed, 14 passed, 3 skipped, 1 error in 306.95s\n",
        "12 passed, 3 skipped, 1 error in 303.45s\n",
        "21 passed, 3 skipped in 306.95s\n",
    ]


def test_every_library_has_a_reason() -> None:
    page = (ROOT / "docs/explanation/decisions/005-every-library-has-a-reason.md").read_text()
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[\[><= ]", requirement)[0] for requirement in wanted} - {"archiver"}
    table = set(re.findall(r"`([\w.-]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
    assert table - names - {"library"} == set()


def test_every_ignore_has_a_reason() -> None:
    ignored = re.findall(r'^  "[A-Z]+[0-9]*",(.*)$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert ignored
    assert all(" # " in f" {reason}" for reason in ignored)
    bare = re.compile(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\])\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{at}"
        for path in CODE
        for at, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("folder", LINES)
def test_modules_are_short_enough_to_read(folder: str) -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {str(path): size for path, size in sizes.items() if size >= LINES[folder]} == {}


def test_every_module_has_tests_of_its_name() -> None:
    """A package has `test_<package>...`, or each of its modules has `test_<module>...`."""
    tests = {path.name for path in (ROOT / "tests").iterdir()}

    def tested(name: str) -> bool:
        return name in {*ELSEWHERE, *tests} or any(
            test.startswith((f"test_{name}.", f"test_{name}_")) for test in tests
        )

    def lonely(path: Path) -> list[str]:
        if tested(path.stem) or path.stem.startswith("__") or path.name == "py.typed":
            return []
        inside = (
            [p for p in path.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
            if path.is_dir()
            else []
        )
        names = [name for p in inside for name in lonely(p)]
        return names if inside else [str(path.relative_to(ROOT))]

    assert [name for path in (ROOT / "archiver").iterdir() for name in lonely(path) if name] == []
