from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import archiver
from archiver.cli import main
from tests.captured import environment, write

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Save three runs: two of a project whose one file changed between them, one without code."""
    project = write(
        tmp_path / "proj", {"run.py": "import signals\n", "signals.py": "WINDOW = 5\n", "logo.png": "x"}
    )
    (project / "run.py").chmod(0o755)
    (project / "logo.png").write_bytes(b"\x89PNG\xff")
    archive = archiver.open(str(tmp_path / "archive"))
    rows = [{"strategy_name": "a", "sharpe_ratio": 1.0}]
    paths = sorted(project.iterdir())
    first = archive.save_universe_results("u", rows, code=paths, params={"window": 5}, seed=7)
    (project / "signals.py").write_text("WINDOW = 6\n")
    second = archive.save_universe_results("u", rows, code=paths, params={"window": 6}, seed=7)
    third = archive.save_universe_results("u", rows, code="none")
    return [first.id, second.id, third.id]


@pytest.fixture
def run(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["--url", str(tmp_path / "archive"), *words])
        out, err = capfdbinary.readouterr()
        return code, out.decode("latin-1"), err.decode()

    return call


def test_tree_and_provenance(runs: list[str], run: Run) -> None:
    code, out, err = run("code", runs[0])
    assert (code, err) == (0, "")
    lines = dict(line.split("\t", 1) for line in out.splitlines())
    assert lines["how"] == "listed"
    assert lines["seed"] == "7"
    assert lines["signals.py"].startswith("11 B\t")
    assert len(lines["run.py*"].split("\t")[1]) == 64
    code, out, _ = run("code", runs[0], "--json")
    document = json.loads(out)
    assert document["run"] == runs[0]
    assert [file["path"] for file in document["files"]] == ["logo.png", "run.py", "signals.py"]
    assert [file["executable"] for file in document["files"]] == [False, True, False]


def test_one_file(runs: list[str], run: Run) -> None:
    assert run("code", runs[0], "signals.py") == (0, "WINDOW = 5\n", "")
    assert run("code", runs[0], "logo.png") == (0, "\x89PNG\xff", "")
    assert json.loads(run("--json", "code", runs[0], "signals.py")[1])["text"] == "WINDOW = 5\n"
    assert json.loads(run("--json", "code", runs[0], "logo.png")[1])["text"] is None
    code, out, err = run("code", runs[0], "other.py")
    assert (code, out) == (10, "")
    assert "other.py is not among the captured files" in err


def test_restore(runs: list[str], run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out"
    code, out, err = run("code", runs[0], "--to", str(target))
    assert (code, out.split()) == (0, [str(target / name) for name in ("logo.png", "run.py", "signals.py")])
    assert "3 files restored" in err
    assert os.access(target / "run.py", os.X_OK)
    assert (target / "logo.png").read_bytes() == b"\x89PNG\xff"
    code, out, err = run("code", runs[0], "--to", str(target))
    assert (code, out) == (2, "")
    assert "is not empty" in err
    assert json.loads(run("--json", "code", runs[0], "--to", str(tmp_path / "other"))[1])["restored"]


def test_diff(runs: list[str], run: Run) -> None:
    code, out, _ = run("code", runs[0], "--diff", runs[1])
    assert code == 0
    assert "--- a/signals.py\n+++ b/signals.py\n@@ -1 +1 @@\n-WINDOW = 5\n+WINDOW = 6\n" in out
    assert '-  "window": 5\n+  "window": 6\n' in out
    assert json.loads(run("--json", "code", runs[0], "--diff", runs[1])[1]) == {"diff": out}
    assert run("code", runs[0], "--diff", runs[0]) == (0, "", "nothing differs\n")


def test_packages(runs: list[str], run: Run) -> None:
    code, out, _ = run("code", runs[0], "--env")
    assert code == 0
    assert any(line.startswith("pytest==") for line in out.splitlines())
    assert all(" installed from file:" in line for line in out.splitlines() if line.startswith("#"))


def test_run_without_code(runs: list[str], run: Run, tmp_path: Path) -> None:
    code, out, _ = run("code", runs[2])
    assert code == 0
    assert "reason\tswitched off" in out
    code, _, err = run("code", runs[2], "--to", str(tmp_path / "out"))
    assert code == 10
    assert "not captured (switched off)" in err


def test_one_thing_at_a_time(runs: list[str], run: Run) -> None:
    code, _, err = run("code", runs[0], "signals.py", "--env")
    assert code == 2
    assert "give one of" in err
    assert run("code", "20200101T000000Z-00000000")[0] == 10


def test_highlighted_on_a_terminal_and_harmless(tmp_path: Path) -> None:
    write(tmp_path / "proj", {"run.py": "import os  # \x1b]0;stolen\x07\n"})
    archive = archiver.open(str(tmp_path / "archive"))
    rows = [{"strategy_name": "a", "sharpe_ratio": 1.0}]
    saved = archive.save_universe_results("u", rows, code=tmp_path / "proj/run.py")
    ours, theirs = pty.openpty()
    command = "import sys; from archiver.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", command, "--url", str(tmp_path / "archive"), "code", saved.id, "run.py"]
    subprocess.run(words, stdout=theirs, env=environment(TERM="xterm-256color"), check=True, timeout=60)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert b"\x1b[" in seen
    assert b"import" in seen
    assert b"\x1b]0" not in seen
    assert b"\\x1b]0;stolen\\x07" in seen
