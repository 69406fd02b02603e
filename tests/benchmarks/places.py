"""See what places of all kinds do: the life of an archive by commands, and the suite that a store must pass.

    python -m tests.benchmarks.places [--write] [NAME ...]

Servers are started here, where they are installed (tests/servers.py says how). What cannot be started is said. --write puts
the table into docs/reference/stores.md: of the places that are named, or of all.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.conftest import Place
from tests.servers import KINDS, AbsentError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "stores.md"
BEGIN, END = "<!-- places:begin -->", "<!-- places:end -->"
_STEP_SECONDS, _SUITE_SECONDS = 300, 900
_SUITE = """
import json, os, pytest, secrets
from archiver.store import open_store
from archiver.testing import StoreTests

class TestPlace(StoreTests):
    @pytest.fixture
    def opened(self):
        url = os.environ["PLACE"] + "/" + secrets.token_hex(6)
        options = json.loads(os.environ["PLACE_OPTIONS"])
        return lambda **how: open_store(url, storage_options=options, **how)
"""
_SAVE = """
import archiver, sys
archive = archiver.open()
for at in range(int(sys.argv[1])):
    rows = [{"strategy_name": f"S{n}", "sharpe_ratio": n + at, "trades": [{"pnl": 1.5 * n, "side": "long"}],
             "equity_curve": [0.0, 1.5, float(n)]} for n in range(4)]
    archive.save_universe_results(sys.argv[2], rows, code="none", tags=["first"] if not at else [])
for universe, name in archive.detailed_strategies():
    assert archive.load_strategy(name, universe)["trades"]
assert archive.load_many(what="curves").num_rows
with archive.start("open", code="none") as run:
    run.add(rows[0])
"""


class Done(NamedTuple):
    """What became of a step."""

    code: int
    out: str
    said: str


Step = Callable[..., Done]
"""Runs Python with such arguments: a module, `-m archiver ls`, or a text, `-c ...`."""


def life(url: str, folder: Path, run: str) -> list[list[str]]:
    """Return the life of an archive as commands; `run` is one of its runs, `folder` a place for what comes out."""
    out = str(folder)
    return [
        ["doctor"], ["ls"], ["ls", "--json"], ["top"], ["metrics"], ["metrics", "--where", "sharpe_ratio > 1"],
        ["show", run], ["show", "S3"], ["trades", "S3"], ["sql", "select count(*) from trades"], ["tag", run, "x"],
        ["untag", run, "x"], ["du"], ["df"], ["tree"], ["compact"], ["verify"], ["verify", "--read-data"],
        ["export", "-o", f"{out}/metrics.csv"], ["bundle", "create", "kept", run], ["bundle", "ls", "kept"],
        ["bundle", "verify", "kept"], ["bundle", "create", "kept", run, "--remove", "--apply"],
        ["bundle", "restore", "kept"], ["copy", url, f"{out}/copy"], ["--url", f"{out}/copy", "verify", "--read-data"],
        ["prune", "--keep-last", "1"], ["prune", "--keep-last", "1", "--apply", "--max-remove", "100%"], ["undelete", run],
        ["gc", "--grace", "0s"], ["gc", "--grace", "0s", "--apply"], ["report", "S3", "-o", f"{out}/page.html"],
        ["verify", "--read-data"], ["config"],
    ]  # fmt: skip


def lived(place: Place, folder: Path) -> str:
    """Live through it, and say which steps failed."""
    url = f"{place.url}/{secrets.token_hex(6)}"
    own = {"ARCHIVER_URL": url, "ARCHIVER_STORAGE_OPTIONS": json.dumps(place.options)}
    step = _here(own) if place.kind == "memory" else _apart(own, folder)
    failed = []
    saves = [["-c", _SAVE, "3", "eurusd"], ["-c", _SAVE, "2", "gold/1h: odd"]]
    for number, save in enumerate(saves, 1):
        done = step(*save)
        if done.code:
            return f"save {number}: {(done.said.strip().splitlines() or ['?'])[-1][:90]}"
    run = json.loads(step("-m", "archiver", "--json", "ls").out)["runs"][-1]["id"]
    commands = life(url, folder, run)
    for command in commands:
        done = step("-m", "archiver", *command)
        if done.code or "Traceback" in done.said:
            words = (done.said.strip().splitlines() or [f"code {done.code}"])[-1]
            failed.append(f"`{' '.join(command[:2])}`: {words[:80]}")
    steps = len(commands) + len(saves)
    return (
        f"all {steps} steps"
        if not failed
        else f"{steps - len(failed)} of {steps} steps; " + "; ".join(failed)
    )


def _apart(own: dict[str, str], folder: Path) -> Step:
    """Run steps as processes of their own."""
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), str(ROOT)) if part)

    def step(*command: str) -> Done:
        done = subprocess.run(
            [sys.executable, *command],
            check=False,
            env={**os.environ, **own, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_STEP_SECONDS,
            cwd=folder,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return step


def _here(own: dict[str, str]) -> Step:
    """Run steps in this process, whose memory the archive is in."""
    from archiver import cli

    def step(kind: str, what: str, *arguments: str) -> Done:
        os.environ.update(own)
        out, said = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            code = 0
            if kind == "-m":
                code = cli.main([*arguments])
            else:
                sys.argv = [what, *arguments]
                exec(what, {"__name__": "__main__"})
        out.flush()
        return Done(code, out.buffer.getvalue().decode(), said.getvalue())

    return step


def suited(place: Place, folder: Path) -> str:
    """Run `archiver.testing.StoreTests`, and say what came of it."""
    test = folder / "test_place.py"
    test.write_text(_SUITE)
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), str(ROOT)) if part)
    own = {"PLACE": place.url, "PLACE_OPTIONS": json.dumps(place.options), "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(test)]
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=_SUITE_SECONDS,
        cwd=folder,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE)
    last = (done.stdout.strip().splitlines() or ["nothing"])[-1]
    counts = ", ".join(re.findall(r"\d+ (?:passed|failed|skipped|error)", last)) or last
    return counts + (f": {', '.join(f'`{name}`' for name in failed)}" if failed else "")


def seen(name: str) -> tuple[str, str, str]:
    """Try one place; return its name with the version of what it was reached with, and what was seen."""
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "work").mkdir()
        try:
            with kind.start(folder) as place:
                named = ("" if name.endswith(kind.package) else f", {kind.package}") if kind.package else ""
                version = f"{named} {importlib.metadata.version(kind.package)}" if kind.package else ""
                return name + version, lived(place, folder / "work"), suited(place, folder / "work")
        except AbsentError as error:
            return name, f"could not be started: {error}", ""
        except subprocess.TimeoutExpired as error:
            return name, f"no end of `{' '.join(map(str, error.cmd))[-40:]}`", ""


def main() -> None:
    """Print the table, and put it into the page on request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(KINDS)}; default: all")
    given = parser.parse_args()
    rows = {}
    for name in given.names or KINDS:
        cells = (*seen(name), f"{datetime.now(UTC):%Y-%m-%d}")
        rows[name] = f"| {' | '.join(text.replace('|', '/') for text in cells)} |"
        print(rows[name], flush=True)
    if given.write:
        text = PAGE.read_text()
        before, rest = text.split(BEGIN, 1)
        old, after = rest.split(END, 1)
        for line in old.strip().splitlines()[2:]:
            name = next((name for name in KINDS if line.startswith(f"| {name}")), None)
            if name is not None:
                rows.setdefault(name, line)
        lines = ["| place | life of an archive | `archiver.testing` | seen |", "|---|---|---|---|"]
        lines += [rows[name] for name in KINDS if name in rows]
        PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()
