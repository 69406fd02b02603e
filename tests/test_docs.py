"""Every example in the documentation runs, and the references are what the program says of itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver import Archive

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {"cli.md", "api.md", "errors.md"}
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)?(#[^)\s]+)?\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, text, and the line it starts at."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page; one that follows `<!-- not run: reason -->` is left out."""
    text = page.read_text()
    return [
        Block(match[2], match[3], text.count("\n", 0, match.start(3)) + 1)
        for match in BLOCK.finditer(text)
        if not match[1]
    ]


def script(page: Path) -> str:
    """Return a page's examples, python and commands in their order, as one Python program."""
    parts = ["import os, subprocess, sys, archiver"]
    for block in blocks(page):
        if block.language == "python":
            text = block.text.replace("s3://bucket/backtests", "my-archive")
            parts.append(f"exec(compile({text!r}, {f'{page.name} from line {block.line}'!r}, 'exec'))")
        elif block.language == "console":
            lines = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
            parts.append(f"commands = {chr(10).join(lines)!r}")
            parts.append(
                "if ' RUN' in commands: commands = commands.replace(' RUN', ' ' + archive.runs()[0].id)\n"
                "subprocess.run(['bash', '-euc', commands], check=True)"
            )
    return "\n".join(parts)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which `archiver` is this project's, and its archive a folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ARCHIVER_", "AWS_"))}
    return {**clean, "PATH": path, "HOME": str(folder), "ARCHIVER_URL": str(folder / "my-archive")}


def runnable(page: Path) -> bool:
    return page.name not in GENERATED and any(b.language in ("python", "console") for b in blocks(page))


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script(page)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def readme_line(word: str) -> str:
    """Return the one line of README's bash blocks that holds a word."""
    lines = [line for b in blocks(ROOT / "README.md") if b.language == "bash" for line in b.text.splitlines()]
    (line,) = (line for line in lines if word in line)
    return line


def test_readme_has_one_line_for_the_demo_and_one_for_the_tests() -> None:
    assert readme_line("archiver demo").startswith("python3 -m venv .venv && ")
    assert readme_line("pytest").startswith("python3 -m venv .venv-test && ")
    prose = (ROOT / "README.md").read_text()
    assert len(re.findall(r"^(?!\$).*archiver demo", prose, re.MULTILINE)) == 1


def test_readme_demo_line_does_what_it_says(tmp_path: Path) -> None:
    # The environment is the one at hand: what installs it is tried by .ci/run and by whoever clones.
    install, _, demo = readme_line("archiver demo").rpartition(" && ")
    assert install.endswith("pip install -q '.[demo]'")
    command = demo.replace(".venv/bin/", "")
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "every value is the same" in done.stderr
    assert "Warning" not in done.stderr


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
