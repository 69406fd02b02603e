"""The pages of `archiver browse`, walked with its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets._footer import FooterKey

import archiver
from archiver.archive import Archive
from archiver.base.humanize import size
from archiver.tui.table import Table
from tests.benchmarks import workload
from tests.conftest import Place
from tests.screens import Screens, walk

HOSTILE = "[red]a/b[/red] <script>alert(1)</script> 'q\" 📈"
LONG = "x" * 300
NAN, INF = float("nan"), float("inf")
TRADES = [
    {"entry_time": "2025-01-06 09:35:00", "entry_price": 1.08612, "pnl_usd": 12.5, "context": {"hour": 9}},
    {"entry_time": "2025-01-06T00:00:00", "entry_price": 1.0, "pnl_usd": -4.0, "context": {"hour": 11}},
]


def result(name: str, sharpe: Any, **more: Any) -> dict[str, Any]:
    return {"strategy_name": name, "sharpe_ratio": sharpe, "n_trades": 2, "profit_factor": INF, **more}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("browse")
    code = folder / "code"
    code.mkdir()
    (code / "[bold]run.py").write_text("print('[bold]not bold[/bold] \x1b[31m')\n")
    made = archiver.open(folder / "archive")
    made.save_universe_results("alpha", [result("older", 0.5)], code="none")
    made.save_universe_results(
        "alpha",
        [
            result(
                "good",
                2.5,
                trades_detailed=TRADES,
                equity_curve=[100.0, 112.5, 108.5],
                drawdown_curve=[0.0, 0, -4.0],
            ),
            result("[red]odd[/red]", 2.0, trades_detailed=[], equity_curve=[NAN, INF, None, 3.0]),
            result("blank", 1.5, trades_detailed=[], equity_curve=[NAN, NAN]),
            result("fair", 1.0),
            result("idle", NAN),
        ],
        top_n=3,
        tags=["nightly"],
        note="[b]note[/b]",
        code=[code],
    )
    made.save_universe_results(HOSTILE, [result(LONG, 1.0), result(HOSTILE, INF)], code="none")
    made.save_universe_results("many", workload.universe(3, 1_000, 2, 25, 3000), top_n=2, code="none")
    return archiver.open(folder / "archive", read_only=True)


def test_universes_lead_to_runs_to_strategies_to_one(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        assert [row[:3] for row in at.rows()] == [
            [HOSTILE[:43] + "…", "1", "2"],
            ["alpha", "2", "5"],
            ["many", "1", "1,000"],
        ]
        assert at.rows()[1][3:5] == ["2.500", "sharpe_ratio"]
        await at.press("down", "enter")
        assert [row[2:4] for row in at.rows()] == [["5", "3"], ["1", "0"]]
        assert at.rows()[0][5:] == ["nightly", "[b]note[/b]"]
        await at.press("enter")
        names = [row[:2] for row in at.rows()]
        assert names == [["●", "good"], ["●", "[red]odd[/red]"], ["●", "blank"], [" ", "fair"], [" ", "idle"]]
        await at.press("enter")
        assert "equity  100.000 → 108.500" in at.text()
        assert [row[:4] for row in at.rows()] == [
            ["1", "2025-01-06 09:35", "12.500", "1.08612"],
            ["2", "2025-01-06", "-4.000", "1.00000"],
        ]
        assert ["profit_factor", "inf"] in at.rows("metrics")
        await at.press("e")
        assert "drawdown  0.000 → -4.000" in at.text()
        await at.press("escape", "escape", "escape", "escape", "escape")
        assert at.told == "3 universes, 4 runs; strategies and best are of the newest run of each"

    walk(archive, steps)


def test_no_name_is_markup_and_no_number_breaks_a_page(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("enter", "enter")
        assert [row[1:3] for row in at.rows()] == [[HOSTILE[:43] + "…", "inf"], ["x" * 43 + "…", "1.000"]]
        await at.press("down", "enter")
        assert "no detail was kept" in at.text()
        assert ["sharpe_ratio", "1.000"] in at.rows("metrics")
        await at.press("escape", "escape", "escape", "down", "enter", "enter", "down", "enter")
        assert "[red]odd[/red]" in at.text()
        assert "equity  3.000 → 3.000   least 3.000   greatest 3.000   3 not finite" in at.text()
        assert (at.told, at.rows()) == ("no trades", [])
        await at.press("e")
        assert "drawdown: none was saved" in at.text()
        await at.press("escape", "down", "enter")
        assert "equity: none of its 2 values is a finite number" in at.text()

    walk(archive, steps)


def test_enter_on_a_trade_opens_it_with_its_prices(tmp_path: Path) -> None:
    bars = {"open": [1.0, 2.0], "close": [1.5, 2.5]}
    trades = [
        {"entry_price": 1.0, "note": "\x1b[31mfirst", "price_data": bars},
        {"entry_price": 7.0, "pnl": -2.0},
    ]
    made = archiver.open(tmp_path / "archive")
    made.save_universe_results("u", [result("s", 1.0, trades_detailed=trades)], code="none")

    async def steps(at: Screens) -> None:
        await at.press("enter", "enter", "enter", "enter")
        assert at.told == "trade 1 of 2"
        assert "close  1.500 → 2.500" in at.text()
        assert dict(at.rows())["note"] == "\\x1b[31mfirst"
        await at.press("n", "n")
        assert at.told == "trade 2 of 2"
        assert dict(at.rows())["pnl"] == "-2.000"
        assert not at.page.query_one("#plot").display
        await at.press("p", "escape")
        assert at.told == "2 trades"

    walk(made, steps)


def test_a_strategy_without_detail_says_its_rank(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("down", "enter", "enter", "down", "down", "down", "enter")
        assert "it ranks 4 of 5 by sharpe_ratio" in " ".join(at.text().split())
        assert ["sharpe_ratio", "1.000"] in at.rows("metrics")

    walk(archive, steps)


def test_strategies_are_sorted_searched_and_filtered(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("a")
        assert at.told.startswith("1,008 of 1,008 strategies, composite_score greatest first")
        await at.press("end")
        assert at.page.table.scroll_y > 100
        await at.press("s")
        await at.write("n_tra")
        assert at.page.table.scroll_y == 0
        counts = [int(row[3].replace(",", "")) for row in at.rows()]
        assert counts == sorted(counts, reverse=True)
        assert len(counts) >= 200
        await at.press("o", "f")
        await at.write("n_trades > 2000")
        assert " of 1,008 strategies, n_trades least first   filter: n_trades > 2000" in at.told
        counts = [int(row[3].replace(",", "")) for row in at.rows()]
        assert counts == sorted(counts)
        assert counts[0] > 2000
        before = at.rows()
        await at.press("f")
        await at.write("x > 1")
        assert at.told.startswith("no column 'x'")
        assert at.rows() == before
        await at.press("f", "backspace", "enter", "slash")
        await at.write("no such name")
        assert at.told.startswith("0 of 1,008 strategies")
        assert at.rows() == []
        await at.press("enter", "i", "o", "slash", "backspace", "enter")
        assert at.told.startswith("1,008 of 1,008 strategies")

    walk(archive, steps)


@pytest.mark.slow
def test_strategies_are_sorted_and_left_from_far_below(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("a", *["pagedown"] * 12)
        assert at.page.table.scroll_y > 200
        await at.press("s")
        await at.write("n_tra")
        assert at.rows()[0][3] == max(
            (row[3] for row in at.rows()), key=lambda text: int(text.replace(",", ""))
        )
        assert at.page.table.scroll_y == 0
        await at.press("end", "slash")
        await at.write("good")
        assert [row[1] for row in at.rows()] == ["good"]
        await at.press("r")
        assert at.rows()[0][1] == "good"

    walk(archive, steps)


def test_a_search_narrows_universes_and_runs(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("slash")
        await at.write("ALP")
        assert [row[0] for row in at.rows()] == ["alpha"]
        assert at.told.startswith("1 of 3 universes")
        await at.press("enter", "slash")
        await at.write("nightly")
        assert len(at.rows()) == 1
        await at.press("slash", "escape", "escape")
        assert at.told.startswith("1 of 3 universes")

    walk(archive, steps)


def test_space_rolls_up_folders_and_previews_objects(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("d")
        entries = list(archive.store.list())
        assert f"{len(entries):,} objects" in at.told
        sizes = {row[-1]: int(row[2].replace(",", "") or 1) for row in at.rows()}
        assert sizes["runs/"] == 4
        assert sum(sizes.values()) == len(entries)
        await at.press("n")
        names = [row[-1] for row in at.rows()]
        assert names == sorted(names)
        await at.press("enter")
        assert '"format": 2' in at.text()
        await at.press("escape", "slash")
        await at.write("run")
        assert [row[-1] for row in at.rows()] == ["runs/"]
        await at.press("enter")
        assert len(at.rows()) == 4
        assert " > space > runs" in at.text()
        await at.press("enter")
        assert '"universe"' in at.text()
        await at.press("escape", "backspace")
        assert len(at.rows()) == len(names)
        await at.press("backspace")
        assert at.told.startswith("3 universes")

    walk(archive, steps)


def test_a_parquet_object_is_shown_as_a_table(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("d", "slash")
        await at.write("tier1")
        await at.press("enter", "enter", "enter")
        assert len(at.rows()) == 50
        assert "Rows 1,000" in at.told

    walk(archive, steps)


def test_about_a_run_shows_its_record_and_its_code(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("down", "enter", "i")
        assert "note        [b]note[/b]" in at.text()
        assert [row[0] for row in at.rows()] == ["[bold]run.py"]
        await at.press("enter")
        assert "print('[bold]not bold[/bold] \\x1b[31m')" in at.text()

    walk(archive, steps)


def test_a_table_of_a_million_rows_makes_few_of_them(archive: Archive) -> None:
    from rich.text import Text

    async def steps(at: Screens) -> None:
        table = at.page.table
        table.fill(["n"], 1_000_000, lambda a, b: [[Text(str(n))] for n in range(a, b)])
        assert table.row_count == 200
        await at.press("end")
        assert 4_000 < table.row_count < 10_000
        assert at.rows()[-1] == [str(table.row_count - 1)]

    walk(archive, steps)


def test_keys_are_explained_and_shown(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        assert "/ Search" in at.text()
        keys = [*at.page.query(FooterKey)]
        await at.press("enter")
        await at.press("escape")
        assert keys
        assert [*at.page.query(FooterKey)] == keys, "who comes back finds them as they were"
        await at.press("slash")
        assert [key.description for key in at.page.query(FooterKey)] != [key.description for key in keys]
        await at.press("escape")
        await at.press("question_mark")
        assert "filter strategies" in at.text()
        await at.press("escape")
        assert at.told.startswith("3 universes")

    walk(archive, steps)


def test_looking_changes_nothing(archive: Archive) -> None:
    before = [(entry, archive.store.get(entry.key)) for entry in archive.store.list()]

    async def steps(at: Screens) -> None:
        await at.press(
            "down", "enter", "enter", "enter", "escape", "i", "escape", "escape", "d", "enter", "r"
        )

    walk(archive, steps)
    assert archive.store.read_only
    assert [(entry, archive.store.get(entry.key)) for entry in archive.store.list()] == before


def test_a_small_terminal_is_enough(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("down", "enter", "enter", "enter", "e", "escape", "s", "escape")
        assert at.rows()[0][1] == "good"

    walk(archive, steps, size=(30, 10))


@pytest.mark.slow
def test_the_archive_may_lie_in_a_bucket(moto_place: Place) -> None:
    made = archiver.open(moto_place.url, **moto_place.options)
    detail = {"trades_detailed": TRADES, "equity_curve": [1.0, 2.0]}
    made.save_universe_results("one", [result("s", 1.0, **detail)], code="none")

    async def steps(at: Screens) -> None:
        assert [row[0] for row in at.rows()] == ["one"]
        await at.press("enter", "enter", "enter")
        assert len(at.rows()) == 2
        await at.press("escape", "escape", "escape", "d")
        assert {row[-1] for row in at.rows()} == {"archive.json", "runs/"}

    walk(archiver.open(moto_place.url, read_only=True, **moto_place.options), steps)


def test_numbers_and_what_is_missing_stand_at_the_right_below_their_heads(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("down", "enter", "enter")
        table = at.page.query_one("#table", Table)
        names = [column.label.plain for column in table.ordered_columns]
        sharpe = next(place for place, name in enumerate(names) if name.startswith("sharpe_ratio"))
        assert table.ordered_columns[sharpe].label.justify == "right"
        assert {table.get_row_at(row)[sharpe].justify for row in range(table.row_count)} == {"right"}
        assert at.rows()[-1][sharpe] == "nan"
        await at.press("enter")
        trades = at.page.query_one("#table", Table)
        heads = {column.label.plain: column.label.justify for column in trades.ordered_columns}
        assert (heads["pnl_usd"], heads["entry_time"], heads["#"]) == ("right", "left", "right")
        metrics = at.page.query_one("#metrics", Table)
        assert {metrics.get_row_at(row)[1].justify for row in range(metrics.row_count)} == {"right"}

    walk(archive, steps)


def test_in_a_narrow_terminal_metrics_and_trades_take_turns(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("down", "enter", "enter", "enter")
        assert "pnl_usd" in at.text()
        assert "profit_factor" not in at.text()
        await at.press("tab")
        assert "pnl_usd" not in at.text()
        assert "profit_factor" in at.text()
        await at.press("tab")
        assert "pnl_usd" in at.text()

    walk(archive, steps, size=(80, 24))


def test_where_there_is_room_metrics_and_trades_stand_side_by_side(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("down", "enter", "enter", "enter")
        assert "pnl_usd" in at.text()
        assert "profit_factor" in at.text()
        assert at.app.focused is at.page.query_one("#table")
        await at.press("tab")
        assert at.app.focused is at.page.query_one("#metrics")

    walk(archive, steps)


def test_all_keys_and_what_they_do_are_on_a_small_screen(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        for line in ("q Quit", "? Keys"):
            assert line in at.text()
        await at.press("question_mark")
        said = " ".join(at.text().split())
        for words in ("one strategy", "n_trades >= 30", "order round", "of the archive", "quit"):
            assert words.split()[-1] in said
        await at.press("escape", "down", "enter", "enter")
        assert "q Quit" in at.text()
        assert "has curves and trades" in at.text()

    walk(archive, steps, size=(80, 24))


def test_counts_have_their_nouns(archive: Archive) -> None:
    async def steps(at: Screens) -> None:
        await at.press("enter")
        assert at.told == "1 run"

    walk(archive, steps)


def test_bars_that_runs_share_count_once(tmp_path: Path) -> None:
    archive = archiver.open(tmp_path / "archive")
    results = workload.universe(3, 20, top=2, trades=40, bars=3_000)
    runs = [archive.save_universe_results("one", results, top_n=2, code="none") for _ in range(2)]
    shared = sum(ref.size for ref in archive.record(runs[0].id).tapes)
    assert shared

    async def steps(at: Screens) -> None:
        assert size(sum(run.bytes for run in runs) - shared) in at.rows()[0]

    walk(archive, steps)
