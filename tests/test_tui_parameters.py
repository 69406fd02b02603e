"""The map of parameters as a page of `archiver browse`; `top` prints parameters."""

from __future__ import annotations

import pytest

import archiver
from archiver.archive import Archive
from archiver.tui.page import Page
from tests.conftest import Cli
from tests.screens import Screens, walk


def save(archive: Archive) -> archiver.Run:
    rows = [
        {
            "strategy_name": f"s_{fast}_{slow}_{lot}",
            "sharpe_ratio": fast * 0.1 - slow * 0.01 + lot * 0.001,
            "params": {"fast": fast, "slow": slow, "lot": lot},
        }
        for fast in (5, 10, 20)
        for slow in (50, 100)
        for lot in (1, 2)
    ]
    return archive.save_universe_results("u", rows, top_n=0, code="none")


def test_a_page_of_the_terminal_maps_two_parameters(archive: Archive) -> None:
    run = save(archive)
    archive.save_universe_results("v", [{"strategy_name": "bare", "sharpe_ratio": 1.0}], code="none")
    going = archive.start("w", code="none")
    going.add({"strategy_name": "first", "sharpe_ratio": 1.0})

    async def steps(at: Screens) -> None:
        await at.press("enter", "i")
        assert f"best sharpe_ratio 1.502 of {run.strategies} trials" in at.text()
        await at.press("escape", "enter", "m")
        assert at.told.startswith("mean sharpe_ratio of 12 strategies   best 1.5")
        assert "slow up, fast across" in at.text()
        assert "importance" in at.text()
        await at.press("c")
        assert at.told.startswith("best sharpe_ratio of 12 strategies   best 1.502 at fast 20, slow 50")
        await at.press("x")
        await at.write("slow")
        assert "fast up, slow across" in at.text()
        await at.press("y")
        await at.write("lot")
        assert "lot up, slow across" in at.text()
        await at.press("escape", "escape", "escape", "down", "enter", "enter", "m")
        assert at.state.startswith("No two parameters have several values.")
        await at.press("escape", "escape", "escape", "down", "enter")
        assert at.rows()[0][-1] == "open: it still grows"

    walk(archive, steps)


def test_a_small_terminal_shows_map_importance_luck_and_what_is_open(archive: Archive) -> None:
    rows = [
        {"strategy_name": f"s_{a}_{b}", "sharpe_ratio": a * 0.1 - b * 0.01, "params": {"a": a, "b": b}}
        for a in range(8)
        for b in range(6)
    ]
    archive.save_universe_results("u", rows, top_n=0, code="none", note="n" * 60, tags=["t" * 20])
    going = archive.start("u", code="none")
    going.add({"strategy_name": "first", "sharpe_ratio": 1.0})

    async def steps(at: Screens) -> None:
        await at.press("enter")
        assert "open, now" in at.text()
        await at.press("down", "i")
        assert [line.split()[:4] for line in at.text().splitlines() if "luck" in line] == [
            ["luck", "best", "sharpe_ratio", "0.700"]
        ]
        await at.press("escape", "enter", "m")
        assert [line.split()[0] for line in at.text().splitlines() if "with others" in line] == ["a", "b"]

    walk(archive, steps, size=(80, 24))


def test_pages_follow_an_open_run(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    save(archive)
    monkeypatch.setattr(Page, "every", 0.05)
    going = archive.start("w", code="none")
    going.add({"strategy_name": "first", "sharpe_ratio": 1.0})

    async def steps(at: Screens) -> None:
        assert [row[:3] for row in at.rows()] == [["u", "1", "12"], ["w", "1", "1"]]
        await at.press("down")
        going.add({"strategy_name": "second", "sharpe_ratio": 3.0})
        await at.until(lambda: at.rows()[1][2], "2")
        await at.press("enter", "enter")
        assert [row[1] for row in at.rows()] == ["second", "first"]
        await at.press("down")
        going.add({"strategy_name": "third", "sharpe_ratio": 2.0})
        await at.until(lambda: [row[1] for row in at.rows()], ["second", "third", "first"])
        assert at.page.table.cursor_row == 2  # still on the first
        await at.press("slash")  # while something is typed nothing moves
        going.finish()
        await at.write("third")
        await at.until(at.page.source.is_open, False)
        assert at.told.startswith("1 of 3 strategies")

    walk(archive, steps)


def test_top_prints_parameters(archive: Archive, command: Cli) -> None:
    save(archive)
    header, first, *_ = command("top", "-n", "1", "--url", archive.store.url)[1].splitlines()
    row = dict(zip(header.split("\t"), first.split("\t"), strict=True))
    assert (row["params.fast"], row["params.slow"], row["params.lot"]) == ("20", "50", "2")
