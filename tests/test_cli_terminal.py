"""What the commands show where a terminal watches: colour, bars and curves, and a pager for what is too long."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import archiver
from tests.stores import details_in_objects
from tests.warm import CODE, Terminal

NAME = "a universe whose name is rather long " + "x" * 100


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("archive") / "here")
    archive = archiver.open(folder)
    rows: list[dict[str, Any]] = [
        {
            "strategy_name": f"s{at:02}",
            "sharpe_ratio": 2.0 - at,
            "n_trades": 3,
            "trades_detailed": [{"entry_price": 1.08612, "pnl_usd": -4.0}] * 60,
            "equity_curve": [1.0, 2.0, float("nan"), 9.0],
        }
        for at in range(4)
    ]
    with details_in_objects():
        archive.save_universe_results("alpha", rows, top_n=2, tags=["nightly"], code="none")
        archive.save_universe_results(NAME, rows[:1], code="none")
    return folder


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_colour_where_a_terminal_is_unless_told_otherwise(url: str, terminal: Terminal) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]")
    assert colour.search(terminal("--url", url, "top"))
    assert not colour.search(terminal("--url", url, "top", NO_COLOR="1"))
    piped = subprocess.run(
        [sys.executable, "-c", CODE, "--url", url, "top"], check=True, capture_output=True, text=True
    )
    assert "\x1b" not in piped.stdout + piped.stderr


def test_top_draws_bars_and_show_draws_curves(url: str, terminal: Terminal) -> None:
    run = archiver.open(url).runs("alpha")[0].id
    lines = plain(terminal("--url", url, "top", "-u", "alpha")).splitlines()
    assert lines[2].split() == ["1", "s00", "2.000", "█" * 12, "3", run, "now"]
    assert lines[3].split()[:5] == ["2", "s01", "1.000", "█" * 6, "3"]
    shown = plain(terminal("--url", url, "show", run))
    assert re.search(r"s00 +▁▂█ +2\.000", shown)
    assert re.search(r"s02 +0\.000", shown)  # its detail was not kept


def test_trades_begin_with_the_curve_and_show_prices_to_the_pip(url: str, terminal: Terminal) -> None:
    shown = plain(terminal("--url", url, "trades", "s00", "-u", "alpha", "-n", "2"))
    assert "▁▂█\n" in shown
    assert re.search(r"1\.08612 +-4\.000", shown)


def test_a_long_name_is_cut_and_the_run_id_is_not(url: str, terminal: Terminal) -> None:
    run = archiver.open(url).runs()[0].id
    shown = plain(terminal("--url", url, "ls"))
    assert max(map(len, shown.splitlines())) <= 100
    assert run in shown
    assert re.search(r"a universe whose .*…", shown)
    assert "nightly" in shown


def test_very_long_names_leave_room_for_what_is_measured(
    url: str, tmp_path: Path, terminal: Terminal
) -> None:
    archive = archiver.open(tmp_path / "long")
    archive.save_universe_results(
        "u" * 200, [{"strategy_name": "[red]" + "s" * 300, "sharpe_ratio": 1.5}], code="none"
    )
    shown = plain(terminal("--url", str(tmp_path / "long"), "top"))
    assert re.search(r"1 +\[red\]s+… +1\.500", shown)
    assert max(map(len, shown.splitlines())) <= 100


def test_the_tree_is_drawn(url: str, terminal: Terminal) -> None:
    shown = plain(terminal("--url", url, "tree", "-d", "1"))
    assert f"\n{url} " in shown
    assert re.search(r"\n├── runs/ +[\d.]+ kB +2 ", shown)
    assert re.search(r"\n└── tier2/ ", shown)


def test_what_is_longer_than_the_screen_goes_to_the_pager(
    url: str, tmp_path: Path, terminal: Terminal
) -> None:
    into = tmp_path / "paged"
    pager = tmp_path / "my pager"
    pager.write_text(f"#!/bin/sh\ncat > '{into}'\n")
    pager.chmod(0o755)
    shown = terminal("--url", url, "trades", "s00", "-u", "alpha", "-n", "60", PAGER=f"'{pager}' -x")
    assert plain(shown) == "60 of 60 trades\n"
    assert plain(into.read_text()).count("1.08612") == 60
    assert "\x1b[" in into.read_text()
    into.unlink()
    assert plain(terminal("--url", url, "ls", PAGER=f"'{pager}'")).count("alpha") == 1
    assert not into.exists()


def test_a_pager_that_ends_early_is_no_error(url: str, terminal: Terminal) -> None:
    assert "60 of 60 trades\n" in terminal(
        "--url", url, "trades", "s00", "-u", "alpha", "-n", "60", PAGER="true"
    )


@pytest.mark.parametrize("pager", ["cat", "", "no-such-pager"])
def test_without_a_pager_it_is_printed(url: str, pager: str, terminal: Terminal) -> None:
    shown = plain(terminal("--url", url, "trades", "s00", "-u", "alpha", "-n", "60", PAGER=pager))
    assert shown.count("1.08612") == 60


def test_where_there_is_little_room_columns_go_before_names_are_cut(
    tmp_path: Path, terminal: Terminal
) -> None:
    archive = archiver.open(tmp_path / "narrow")
    rows = [{"strategy_name": "MeanReverter_L5_T0.5", "sharpe_ratio": 1.0}]
    for number in (1, 2):
        archive.save_universe_results(
            f"universe_00{number}_5min_5lb", rows, tags=["nightly", "pinned"], code="none"
        )
    for columns, told in (("80", "strategies"), ("110", "detailed")):
        shown = plain(terminal("--url", str(tmp_path / "narrow"), "ls", COLUMNS=columns))
        assert max(map(len, shown.splitlines())) <= int(columns)
        assert "universe_001_5min_5lb" in shown
        assert "…" not in shown
        assert told in shown


def test_top_shows_leading_metrics_beside_the_one_asked_for(tmp_path: Path, terminal: Terminal) -> None:
    archive = archiver.open(tmp_path / "top")
    rows = [
        {"strategy_name": "SmaCross_fast=5_slow=50", "sharpe_ratio": 0.4, "return_pct": 171.9,
         "max_drawdown_pct": -45.1, "profit_factor": 1.8, "win_rate_pct": 40.0, "n_trades": 54}
    ]  # fmt: skip
    archive.save_universe_results("u", rows, code="none")
    for columns, names in (
        ("80", ""),
        ("110", "sharpe_ratio"),
    ):
        shown = plain(terminal("--url", str(tmp_path / "top"), "top", "--by", "return_pct", COLUMNS=columns))
        lines = shown.splitlines()
        assert lines[0].split() == ["#", "strategy_name", "return_pct", *names.split(), "run", "age"]
        assert max(map(len, lines)) <= int(columns)


def test_the_metric_asked_for_stays_however_long_the_names_are(tmp_path: Path, terminal: Terminal) -> None:
    archive = archiver.open(tmp_path / "long")
    for universe in ("universe_001_5min_5lb", "universe_002_5min_5lb"):
        rows = [{"strategy_name": "s" * 70, "sharpe_ratio": 1.25, "n_trades": 3}]
        archive.save_universe_results(universe, rows, code="none")
    shown = plain(terminal("--url", str(tmp_path / "long"), "top", COLUMNS="80"))
    assert "1.250" in shown
    assert max(map(len, shown.splitlines())) <= 80
