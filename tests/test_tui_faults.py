"""Whatever goes wrong while one looks is a state on the page: the app goes on, and nothing is a traceback."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import archiver
from archiver import cli
from archiver.archive import Archive
from archiver.errors import AccessError
from archiver.format import layout
from archiver.store import open_store
from tests.conftest import ACCESS, SECRET
from tests.screens import Screens, walk
from tests.stores import details_in_objects

DETAIL: dict[str, Any] = {
    "strategy_name": "good",
    "sharpe_ratio": 2.5,
    "trades_detailed": [{"entry_time": "2025-01-06 09:35:00", "pnl_usd": 12.5}] * 50,
    "equity_curve": [100.0 + at for at in range(300)],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = archiver.open(tmp_path / "archive")
    with details_in_objects():
        made.save_universe_results("alpha", [DETAIL], code="none")
    made.save_universe_results("beta", [{**DETAIL, "strategy_name": "other"}], code="none")
    return tmp_path / "archive"


def reading(folder: Path) -> Archive:
    return archiver.open(folder, read_only=True)


def test_no_archive_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    async def none(at: Screens) -> None:
        assert at.state.startswith(f"no archive at {tmp_path / 'none'}: check the URL")
        await at.press("enter", "a")
        assert at.state.startswith("no archive at ")
        await at.press("escape", "d")
        assert at.state.startswith("no archive at ")
        await at.press("escape", "r", "i", "slash", "enter")
        assert at.state.startswith("no archive at ")

    async def empty(at: Screens) -> None:
        assert at.state.startswith("No runs yet.")
        await at.press("a")
        assert at.state.startswith("No strategies here.")
        await at.press("s", "o", "i", "f", "escape", "slash", "enter", "escape", "d")
        assert [row[-1] for row in at.rows()] == ["archive.json"]

    walk(reading(tmp_path / "none"), none)
    archiver.open(tmp_path / "empty").create()
    walk(reading(tmp_path / "empty"), empty)


def test_runs_appear_after_a_reload(tmp_path: Path) -> None:
    made = archiver.open(tmp_path / "archive")
    made.create()

    async def steps(at: Screens) -> None:
        assert at.state.startswith("No runs yet.")
        made.save_universe_results("alpha", [DETAIL], code="none")
        await at.press("r")
        assert (at.state, [row[0] for row in at.rows()]) == ("", ["alpha"])

    walk(reading(tmp_path / "archive"), steps)


def test_a_bucket_that_does_not_answer_is_a_state_that_can_be_tried_again() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        options = {"endpoint_url": endpoint, "key": ACCESS, "secret": SECRET}
        store = open_store("s3://bucket/prefix", storage_options=options, read_only=True, deadline=0.5)

        async def steps(at: Screens) -> None:
            assert "s3://bucket/prefix" in at.state
            assert "Press r to try again" in at.state
            assert SECRET not in at.text()
            await at.press("r", "d")
            assert "Press r to try again" in at.state

        walk(Archive(store), steps)


def test_access_that_ends_while_one_looks_is_a_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = reading(folder)

    def refuse(*_: Any) -> Any:
        raise AccessError("the credentials have expired: renew them")

    async def steps(at: Screens) -> None:
        with monkeypatch.context() as expired:
            expired.setattr(archive.store, "list", refuse)
            expired.setattr(archive.store, "get", refuse)
            await at.press("enter")
            assert at.state.startswith("the credentials have expired: renew them")
        await at.press("r")
        assert (at.state, len(at.rows())) == ("", 1)

    walk(archive, steps)


def test_a_run_that_is_pruned_meanwhile_is_said_to_be_gone(folder: Path) -> None:
    writer = archiver.open(folder)
    run = writer.runs("alpha")[0].id

    async def steps(at: Screens) -> None:
        await at.press("enter")
        assert at.rows()[0][0] == run
        data = writer.store.get(layout.record_key(run))
        writer.store.put(layout.trash_key(run), data)
        writer.store.delete([layout.record_key(run)])
        await at.press("enter")
        assert run in at.state
        await at.press("escape", "i")
        assert run in at.state
        await at.press("escape", "r")
        assert at.state.startswith("No run of 'alpha' is there any more.")
        await at.press("escape", "r")
        assert [row[0] for row in at.rows()] == ["beta"]

    walk(reading(folder), steps)


def test_damaged_details_are_told_and_the_metrics_stay_readable(folder: Path) -> None:
    detail = next(entry.key for entry in reading(folder).store.list("tier2/universe=alpha/"))
    data = bytearray((folder / detail).read_bytes())
    data[len(data) // 3] ^= 1
    (folder / detail).write_bytes(data)

    async def steps(at: Screens) -> None:
        await at.press("enter", "enter", "enter")
        assert at.state == ""
        assert "is damaged" in " ".join(at.text().split())
        assert ["sharpe_ratio", "2.500"] in at.rows("metrics")
        assert at.told == "metrics only: curves and trades are not there"
        await at.press("e", "tab", "escape", "escape", "escape", "down", "enter", "enter", "enter")
        assert (at.state, len(at.rows())) == ("", 50)

    walk(reading(folder), steps)


def test_a_damaged_record_hides_only_itself_and_the_objects_stay_visible(folder: Path) -> None:
    record = next(entry.key for entry in reading(folder).store.list("runs/"))
    (folder / record).write_bytes(b"no record")

    async def steps(at: Screens) -> None:
        assert "left out: " in at.told
        assert record in at.told
        assert at.rows()
        await at.press("d", "slash")
        await at.write("runs")
        await at.press("enter", "n", "enter")
        assert at.state

    walk(reading(folder), steps)


def test_an_object_that_goes_between_the_listing_and_enter_is_said_to_be_gone(folder: Path) -> None:
    async def steps(at: Screens) -> None:
        await at.press("d", "n")
        (folder / "archive.json").unlink()
        await at.press("enter")
        assert at.state.startswith("there is no object 'archive.json'")

    walk(reading(folder), steps)


def test_a_page_that_is_left_while_it_reads_does_no_harm(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = reading(folder)
    runs = archive.runs

    def slow(*args: Any, **named: Any) -> Any:
        time.sleep(0.3)
        return runs(*args, **named)

    monkeypatch.setattr(archive, "runs", slow)

    async def steps(at: Screens) -> None:
        await at._pilot.press("enter", "escape", "down", "enter", "r", "r")
        await at.settle()
        assert len(at.rows()) == 1
        assert " > beta" in at.text()

    walk(archive, steps)


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['textual'] = None\n"
        "from archiver import cli; sys.exit(cli.main(['--url', sys.argv[1], 'browse']))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "archiver: browse needs textual: pip install 'archiver[tui]'\n"


def test_piped_or_asked_for_json_it_names_what_else_there_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--url", str(folder), "browse"]) == 2
    assert "needs a terminal" in capsys.readouterr().err
    assert cli.main(["--url", str(folder), "browse", "--json"]) == 2
    assert "browse has no JSON" in capsys.readouterr().err


def test_the_command_runs_in_a_terminal_until_q(folder: Path) -> None:
    ours, theirs = pty.openpty()
    code = "import sys; from archiver.cli import main; sys.exit(main(['--url', sys.argv[1], 'browse']))"
    command = [sys.executable, "-c", code, str(folder)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = _read_until(ours, b"alpha")
        os.write(ours, b"q")
        seen += _read_until(ours, b"\x1b[?1049l")  # back to the ordinary screen
        assert process.wait(30) == 0
    os.close(ours)
    assert b"alpha" in seen
    assert b"Traceback" not in seen


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + 30
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
    return seen
