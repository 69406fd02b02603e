"""Pages on a phone, a desk and a wide screen: names part between their words, labels stay apart, tables take the room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from math import sin
from typing import Any, NamedTuple

import pytest
from werkzeug.test import Client

import archiver
from archiver.web.elements import parts
from archiver.web.words import links
from tests.web.conftest import Served, callback, guarded, until
from tests.web.test_browser import _NOT_OURS, CELL, DESK, PHONE, opened

WORDS_ARE_WHOLE = (
    "(() => {{ const walk = document.createTreeWalker(document.querySelector('{0}'), NodeFilter.SHOW_TEXT), broken = [];"
    "while (walk.nextNode()) {{ if (!walk.currentNode.parentElement.closest('a')) continue;"
    "const range = document.createRange(); range.selectNodeContents(walk.currentNode);"
    "if (range.getClientRects().length > 1) broken.push(walk.currentNode.data); }} return broken; }})()"
)
"""An expression for the words of links that are broken, in what a selector finds."""
APART = (
    "(() => {{ const boxes = [...document.querySelectorAll('{0} .xaxislayer-above text')].map(n => n.getBoundingClientRect())"
    ".sort((a, b) => a.left - b.left); return boxes.length > 2 && boxes.every((box, at) => !at || boxes[at - 1].right < box.left); }})()"
)
"""An expression that tells whether the labels below a plot stand apart."""

TITLE_IS_WHOLE = (
    "(() => { const title = document.querySelector('#samples-ranks .xtitle').getBoundingClientRect();"
    "const plot = document.querySelector('#samples-ranks').getBoundingClientRect();"
    "return plot.left <= title.left && title.right <= plot.right; })()"
)


class Searched(NamedTuple):
    """Where an archive of a search is served, its address, and the run of it."""

    address: str
    url: str
    run: archiver.Run


def _result(fast: int, slow: int, shift: float) -> dict[str, Any]:
    days = [date(2017, 4, 19) + timedelta(3 * at) for at in range(100)]
    equity = [
        [f"{day}", 100_000 + 900 * sin(at / 9 + fast + shift) + 10 * at * shift]
        for at, day in enumerate(days)
    ]
    return {
        "strategy_name": f"SmaCross_fast={fast}_slow={slow}",
        "sharpe_ratio": sin(fast * shift) + slow / 100,
        "max_drawdown": fast / 100,
        "total_return": shift,
        "profit_factor": 1 + fast / 100,
        "win_rate": slow / 400,
        "n_trades": slow,
        "params": {"fast": fast, "slow": slow},
        "equity_curve": equity,
    }


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    """Serve a search of 20 combinations and its second half, out of sample."""
    url = str(tmp_path_factory.mktemp("widths") / "backtests")
    archive = archiver.open(url)
    grid = [(fast, slow) for fast in (5, 10, 15, 20) for slow in (50, 75, 100, 150, 200)]
    other = {"strategy_name": "BandFade_length=10", "sharpe_ratio": -9.0, "params": {"length": 10}}
    runs = [
        archive.save_universe_results(
            universe, [*(_result(*one, shift) for one in grid), other], top_n=8, code="none"
        )
        for universe, shift in (("goog_daily_oos", 0.7), ("goog_daily", 1.3))
    ]
    server = Served(url)
    yield Searched(server.address, url, runs[1])
    server.close()


def test_a_name_may_be_wrapped_between_its_words_alone():
    pieces = parts.spaced("SmaCross_fast=10_slow=75")
    assert [one for one in pieces if isinstance(one, str)] == ["SmaCross", "_fast=10", "_slow=75"]
    assert [type(one).__name__ for one in pieces if not isinstance(one, str)] == ["Wbr", "Wbr"]
    assert parts.spaced("plain") == ["plain"]


def test_a_phone_breaks_no_word_and_shows_every_tab_and_month(chromium, searched: Searched):
    phone = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    with opened(chromium, searched.address, links.run(searched.run.id), **phone) as page:
        page.wait_for_selector(".tall table")
        until(page, WORDS_ARE_WHOLE.format(".tall"), [])
        until(
            page, "document.querySelector('.tabs').scrollWidth <= document.querySelector('.tabs').clientWidth"
        )
        page.goto(f"{searched.address}/portfolio?run={searched.run.id}&top=5")
        page.wait_for_selector("#held .main-svg")
        until(page, WORDS_ARE_WHOLE.format(".grid"), [])
        until(page, APART.format("#held"))
        until(
            page,
            "[...document.querySelectorAll('#held .xaxislayer-above text')].some(n => n.textContent === 'Jul')",
        )


@pytest.mark.parametrize("given_one", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_wide_screen_is_filled_but_by_columns_that_were_given_a_width(
    chromium, searched: Searched, given_one
):
    with opened(chromium, searched.address, "/strategies", viewport={"width": 2560, "height": 1300}) as page:
        page.wait_for_selector(CELL)
        right = "document.querySelector('{}').getBoundingClientRect().right"
        room = f"{right.format('.ag-body-viewport')} - {right.format('.ag-header-cell[col-id=n_trades]')}"
        until(page, room, lambda left: 0 <= left < 40)
        if not given_one:
            return
        width = "document.querySelector('.ag-header-cell[col-id=universe]').getBoundingClientRect().width"
        edge = page.locator(".ag-header-cell[col-id=universe] .ag-header-cell-resize").bounding_box()
        page.mouse.move(edge["x"] + edge["width"] / 2, edge["y"] + 5)
        page.mouse.down()
        page.mouse.move(edge["x"] - 80, edge["y"] + 5, steps=4)
        page.mouse.up()
        until(page, "(localStorage['archiver-columns'] || '').includes('universe')")
        given = page.evaluate(width)
        page.reload()
        page.wait_for_selector(CELL)
        until(page, room, lambda left: 0 <= left < 40)
        assert abs(page.evaluate(width) - given) <= 1


@pytest.mark.slow
def test_titles_of_axes_and_small_tables_are_whole_at_a_desk(chromium, searched: Searched):
    other = archiver.open(searched.url, read_only=True).runs()[-1]
    with opened(chromium, searched.address, "/samples") as page:
        page.wait_for_selector("#samples-ranks .xtitle")
        until(page, TITLE_IS_WHOLE)
        page.goto(f"{searched.address}/{links.href('/compare', run=[searched.run.id, other.id])}")
        page.wait_for_selector(".common table")
        beyond = "[...document.querySelectorAll('.common .scroll')].map(n => n.scrollWidth - n.clientWidth)"
        until(page, beyond, [0, 0])
        page.goto(f"{searched.address}/portfolio?run={searched.run.id}")
        page.wait_for_selector(".side-by-side th")
        assert page.locator(".side-by-side th").all_inner_texts()[2].split() == ["Inverse", "vol."]


def test_what_has_no_detail_shows_its_own_parameters_first(searched: Searched):
    text = callback(
        Client(guarded(searched.url)), "/strategy", "?universe=goog_daily&name=BandFade_length=10"
    )
    shown = str(text)
    assert shown.index("'params.length'") < shown.index("'sharpe_ratio'", shown.index("All metrics"))
    assert "params.fast" not in shown
    assert "thirds" in shown


# Those of parameters and of portfolios are looked at in their own files.
@pytest.mark.parametrize("window", ["phone", pytest.param("desk", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("path", "ready"),
    [
        ("/samples", "#samples-ranks .main-svg"),
        pytest.param("/strategies?scatter=large", "#cloud .points path", marks=pytest.mark.slow),
        pytest.param("luck", ".main-svg", marks=pytest.mark.slow),
    ],
)
def test_further_pages_are_for_everyone(chromium, searched: Searched, window, path, ready):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    place = links.run(searched.run.id, view="luck") if path == "luck" else path
    options = (
        {"viewport": DESK} if window == "desk" else {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    )
    with opened(chromium, searched.address, place, color_scheme="dark", **options) as page:
        page.wait_for_selector(ready)
        until(page, "document.documentElement.scrollWidth <= window.innerWidth")
        asked = {"runOnly": ["wcag2a", "wcag2aa"], "rules": _NOT_OURS}
        found = axe.run(page, context={"exclude": [[".dash-dropdown-focus-target"]]}, options=asked)
        assert found.violations_count == 0, found.generate_report()
        if path == "/samples":
            until(page, TITLE_IS_WHOLE)
