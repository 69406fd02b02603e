"""What the project says of its own code holds: floors, reasons of libraries and of ignores, sizes, tests by name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CODE = sorted((ROOT / "archiver").rglob("*.py"))
LINES = {"archiver": 400, "docs": 400, "tests": 500}
ELSEWHERE = {
    "__main__": "test_cli",
    "errors": "the reference of exit codes in test_docs",
    "model": "frozen dataclasses, used by all",
    "started": "test_capture_edited",
    "transfer": "test_copy and test_bundle",
    "verified": "test_bundle_hostile and test_copy",
}


def test_the_design_shows_the_floors_that_the_linter_holds() -> None:
    (layers,) = (
        contract["layers"]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["archiver"]
    )
    page = (ROOT / "docs/explanation/design.md").read_text()
    block = re.search(r"## Floors.*?```text\n(.*?)```", page, re.DOTALL)
    assert block is not None
    shown = [line.split("   ")[0] for line in block[1].splitlines() if line[0] != " "]
    assert shown == layers


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
    modules = {
        path.stem
        for path in (ROOT / "archiver").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    tests = {path.name for path in (ROOT / "tests").iterdir()}
    lonely = {
        name
        for name in modules - {"__init__", *ELSEWHERE}
        if name not in tests
        and not any(test.startswith((f"test_{name}.", f"test_{name}_")) for test in tests)
    }
    assert lonely == set()
