"""The examples of the documentation, and how they are run."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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


PREAMBLE = """
import os, shlex, subprocess, sys, archiver
from archiver import cli

def command_line(text):
    words = shlex.split(text, comments=True)
    if words[0] == "archiver" and not {"|", ">"} & {*words}:
        assert cli.main(words[1:]) == 0, text
    elif words[0] == "export" and len(words) == 2:
        os.environ.update([words[1].split("=")])
    else:
        subprocess.run(["bash", "-o", "pipefail", "-euc", text], check=True)
"""


def script(page: Path) -> str:
    """Return a page's examples, python and commands in their order, as one Python program.

    Its commands run in its own process as far as no shell is needed: test_cli starts each as a process.
    """
    parts = [PREAMBLE]
    for block in blocks(page):
        if block.language == "python":
            text = block.text.replace("s3://bucket/backtests", "my-archive")
            parts.append(f"exec(compile({text!r}, {f'{page.name} from line {block.line}'!r}, 'exec'))")
        elif block.language == "console":
            for line in (line[2:] for line in block.text.splitlines() if line.startswith("$ ")):
                run_id = " + archive.runs()[0].id + ".join(map(repr, re.split(r"(?<= )RUN\b", line)))
                parts.append(f"command_line({run_id})")
    return "\n".join(parts)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which `archiver` is this project's, and its archive a folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ARCHIVER_", "AWS_"))}
    # What vectorbt compiles takes longer than all that a page does.
    clean["NUMBA_DISABLE_JIT"] = "1"
    return {**clean, "PATH": path, "HOME": str(folder), "ARCHIVER_URL": str(folder / "my-archive")}


def readme_line(word: str) -> str:
    """Return the one line of README's bash blocks that holds a word."""
    lines = [line for b in blocks(ROOT / "README.md") if b.language == "bash" for line in b.text.splitlines()]
    (line,) = (line for line in lines if word in line)
    return line
