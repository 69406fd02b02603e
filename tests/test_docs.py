"""Every example in the documentation runs, and the references are what the program says of itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from archiver import Archive
from tests.documented import ROOT, blocks, environment, readme_line, script
from tests.warm import Warm

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {"cli.md", "api.md", "errors.md"}
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)?(#[^)\s]+)?\)")


def runnable(page: Path) -> bool:
    return page.name not in GENERATED and any(b.language in ("python", "console") for b in blocks(page))


def needed(page: Path) -> list[str]:
    """Return the engines that a page's examples need."""
    return re.findall(r"^<!-- needs: (\w+) -->$", page.read_text(), re.MULTILINE)


RUN = [
    pytest.param(page, marks=[pytest.mark.engines] if needed(page) else [], id=page.name)
    for page in PAGES
    if runnable(page)
]


@pytest.mark.parametrize("page", RUN)
def test_examples_of_a_page_run(page: Path, tmp_path: Path, warm: Warm) -> None:
    for engine in needed(page):
        if find_spec(engine) is None:
            pytest.skip(f"{engine} is not installed")
    with TemporaryFile() as said, open(os.devnull) as nothing:
        streams = [nothing.fileno(), said.fileno(), said.fileno()]
        warm.start(script(page), folder=tmp_path, environment=environment(tmp_path), streams=streams)
        code = warm.wait()
        said.seek(0)
        assert code == 0, said.read().decode()


def test_readme_has_one_line_for_the_demo_and_one_for_the_tests() -> None:
    assert readme_line("archiver demo").startswith("python3 -m venv .venv && ")
    assert readme_line("pytest").startswith("python3 -m venv .venv-test && ")
    prose = (ROOT / "README.md").read_text()
    assert len(re.findall(r"^(?!\$).*archiver demo", prose, re.MULTILINE)) == 1


def test_references_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_reference_has_every_method_of_an_archive() -> None:
    page = (ROOT / "docs/reference/api.md").read_text()
    missing = [name for name in dir(Archive) if name[0] != "_" and f"\n### Archive.{name}\n" not in page]
    assert missing == []
    assert " at 0x" not in page


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in LINK.findall(text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(other), f"{page.name} links to {target}{anchor}"


def test_decisions_are_numbered_and_dated() -> None:
    pages = sorted((ROOT / "docs/explanation/decisions").glob("*.md"))
    for page in pages:
        number = page.name[:3]
        assert re.match(rf"# {number} .+\n\n\d{{4}}-\d\d-\d\d\n", page.read_text()), page.name
    assert len({page.name[:3] for page in pages}) == len(pages)


def test_every_picture_is_shown_on_a_page() -> None:
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    pictures = sorted((ROOT / "docs/images").iterdir())
    assert [path.name for path in pictures if f"images/{path.name})" not in pages] == []


def test_screenshots_explain_themselves(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "docs" / "screenshots.py"
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "folder" in done.stdout
    assert list(tmp_path.iterdir()) == []
