"""How pages look, measured in a real browser: nothing is cut, boxes can be read, the plot grows, paper has no frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import archiver
from archiver.web.words import links
from tests.web.conftest import UNIVERSE, Made, Served, until
from tests.web.test_browser import PHONE, boxes_hide_what_is_behind, opened

WIDE = {"width": 1920, "height": 1080}
OVERFLOWING = (
    "[...document.querySelectorAll('.card')].flatMap(card => [...card.querySelectorAll('td, th, dd, a, .note')]"
    ".filter(n => n.offsetParent && !n.closest('.unseen, .scroll .scroll, .grid-frame'))"
    ".filter(n => n.getBoundingClientRect().right > card.getBoundingClientRect().right - 8)"
    ".map(n => n.textContent.slice(0, 60)))"
)


def best_of(plain: Made) -> list[str]:
    return [name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)]


# In every run they are looked at on pages that are open for something else, each in the other scheme.
@pytest.mark.slow
def test_hover_boxes_hide_what_is_behind_them(chromium, served, plain: Made):
    names = best_of(plain)
    with opened(chromium, served, links.strategy(UNIVERSE, names[0]), color_scheme="light") as page:
        page.wait_for_selector("#equity .main-svg")
        boxes_hide_what_is_behind(page, "#equity .nsewdrag", 0.4, "light")
    with opened(chromium, served, "/strategies?scatter=1", color_scheme="dark") as page:
        page.wait_for_selector("#cloud .points path")
        boxes_hide_what_is_behind(page, "#cloud .points path", 0.5, "dark")


RING = "#cloud .scatterlayer .trace:last-child .points path"
IS_LOG = "document.querySelector('#cloud .js-plotly-plot')._fullLayout.xaxis.type === 'log'"
AREA = "document.querySelector('#cloud .nsewdrag').getBoundingClientRect()"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve 6,000 strategies, one of them far from all others."""
    made = np.random.default_rng(1)
    scores, falls = made.normal(0, 1, 6_000), made.normal(20, 2, 6_000)
    scores[7], falls[7] = 30.0, 180.0
    rows = [
        {
            "strategy_name": f"s{at}",
            "sharpe_ratio": float(score),
            "max_drawdown_pct": float(fall),
            "n_trades": 1 + at,
        }
        for at, (score, fall) in enumerate(zip(scores, falls, strict=True))
    ]
    url = str(tmp_path_factory.mktemp("cloud") / "a")
    archiver.open(url).save_universe_results("u", rows, top_n=0, code="none")
    server = Served(url)
    yield server.address
    server.close()


def test_the_plot_shows_the_best_and_grows_to_the_page(chromium, cloud):
    with opened(chromium, cloud, "/strategies?scatter=1", viewport=WIDE) as page:
        page.wait_for_selector(RING)
        until(page, f"document.querySelectorAll('{RING}').length", 25)
        page.wait_for_selector("#cloud-note:has-text('ringed: the best 25 by Sharpe ratio')")
        until(
            page,
            f"(() => {{ const area = {AREA}, first = document.querySelector('{RING}').getBoundingClientRect();"
            "return area.width > 500 && area.left < first.left + 4 && first.left + 4 < area.right"
            "&& area.top < first.top + 4 && first.top + 4 < area.bottom; })()",
        )
        page.click("#scatter-size")
        page.wait_for_url("**scatter=large**")
        until(page, f"{AREA}.width > 1300")
        page.wait_for_selector("#scatter-size:has-text('Beside the table')")
        page.click("#cloud-log-x")
        page.wait_for_url("**log=x**")
        until(page, IS_LOG)
        page.click("#scatter-size")
        page.wait_for_url("**scatter=1**")


@pytest.mark.slow
def test_the_plot_keeps_its_size_its_axes_and_its_box(chromium, cloud):
    with opened(chromium, cloud, "/strategies?scatter=large", viewport=WIDE) as page:
        page.wait_for_selector(RING)
        until(page, f"{AREA}.width > 1300")
        page.goto(f"{cloud}/strategies?scatter=1&x=n_trades&y=sharpe_ratio&color=max_drawdown_pct")
        page.wait_for_selector(RING)
        page.wait_for_selector("#cloud .infolayer .colorbar")
        page.click("#cloud-log-x")
        page.wait_for_url("**color=max_drawdown_pct&log=x")
        until(page, IS_LOG)
        assert page.locator(RING).count() == 25
        area = page.locator("#cloud .nsewdrag").first.bounding_box()
        page.mouse.move(area["x"] + area["width"] * 0.5, area["y"] + area["height"] * 0.2)
        page.mouse.down()
        page.mouse.move(area["x"] + area["width"] * 0.8, area["y"] + area["height"] * 0.8, steps=5)
        page.mouse.up()
        page.wait_for_selector("#cloud-note:has-text('The box is part of the filter')")
        least, most = page.locator("#filter-where").input_value().split(" <= n_trades <= ")
        assert 10 < float(least) < float(most.split(" ")[0]) < 6_000
        until(  # the box lies where the filter says, on the axis as it is drawn now
            page,
            "(() => { const plot = document.querySelector('#cloud .js-plotly-plot'), axis = plot._fullLayout.xaxis;"
            "const box = document.querySelector('#cloud .selectionlayer path').getBoundingClientRect();"
            f"return Math.abs(box.x - plot.getBoundingClientRect().x - axis._offset - axis.d2p({least})) < 3; }})()",
        )
        page.reload()
        page.wait_for_selector(RING)
        until(page, IS_LOG)


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(PHONE, marks=pytest.mark.slow),
        {"width": 1280, "height": 860},
        pytest.param(WIDE, marks=pytest.mark.slow),
    ],
)
def test_names_and_numbers_of_a_run_stay_within_their_cards(chromium, tmp_path, window):
    long = "MeanReversionWithVolatilityFilter_lookback=144_threshold=1.25_stop=25_target=120"
    rows = [
        {
            "strategy_name": f"{long}_{at}",
            "sharpe_ratio": 1e9 - at,
            "average_holding_period_of_winning_trades_in_minutes": -1234567.25,
            "equity_curve": [1.0, 2.0],
        }
        for at in range(3)
    ]
    run = archiver.open(str(tmp_path / "a")).save_universe_results("u" * 60, rows, code="none")
    server = Served(str(tmp_path / "a"))
    with opened(chromium, server.address, links.run(run.id), viewport=window) as page:
        page.wait_for_selector(".thirds table")
        assert page.locator(".card", has_text="Best strategies").locator("tbody tr").count() == 3
        assert "1,000,000,000" in page.locator(".card", has_text="Best strategies").inner_text()
        if window is not PHONE:  # there a table scrolls within its card
            until(page, OVERFLOWING, [])
    server.close()


# Its short form is in test_newest: what the table asks for and is told, without a browser.
@pytest.mark.slow
def test_rows_of_a_table_are_switched_and_say_their_run(chromium, tmp_path):
    archive = archiver.open(str(tmp_path / "a"))
    old = archive.save_universe_results("u", [{"strategy_name": "a", "sharpe_ratio": 5.0}], code="none")
    archive.save_universe_results("u", [{"strategy_name": "b", "sharpe_ratio": 1.0}], code="none")
    server = Served(str(tmp_path / "a"))
    with opened(chromium, server.address, "/strategies") as page:
        page.wait_for_selector("#strategies-status:text-is('2 strategies')")
        page.wait_for_selector(".ag-row.older[row-index='0'] >> nth=0")
        page.wait_for_selector(".ag-row:not(.older)[row-index='1'] >> nth=0")
        page.click("#filter-newest")
        page.locator(".dash-options-list-option", has_text="Newest run of each universe").click()
        page.wait_for_url("**newest=universe**")
        page.wait_for_selector("#strategies-status:text-is('1 strategy')")
        page.wait_for_selector("#export-csv[href*='newest=universe']", state="attached")
        page.goto(f"{server.address}/strategies?newest=all")
        page.locator(f".ag-cell[col-id=run] a[href='run?id={old.id}']").click()
        page.wait_for_selector(f"h1:has-text('{old.id}')")
    server.close()


def curve_archive(folder: Any) -> tuple[str, list[links.Choice]]:
    archive = archiver.open(str(folder))
    days = [f"2024-01-{day:02d}" for day in range(1, 21)]
    later = [f"2025-06-{day:02d}" for day in range(1, 11)]
    rows = [
        {"strategy_name": "pairs", "sharpe_ratio": 3.0, "equity_curve": [[day, 100.0 + at] for at, day in enumerate(days)]},
        {"strategy_name": "frame", "sharpe_ratio": 2.0, "equity_curve": [{"time": day, "equity": 50.0 + at} for at, day in enumerate(later)]},
        {"strategy_name": "numbers", "sharpe_ratio": 1.0, "equity_curve": [1.0, 2.0, 3.0]},
        {"strategy_name": "strange", "sharpe_ratio": 0.5, "equity_curve": [["a", "b"], ["c", "d"]]},
    ]  # fmt: skip
    archive.save_universe_results("u", rows, code="none")
    return str(folder), [links.Choice("u", row["strategy_name"]) for row in rows]


@pytest.mark.slow
def test_curves_of_different_dates_lie_where_they_were(chromium, tmp_path):
    url, choices = curve_archive(tmp_path / "a")
    server = Served(url)
    axis = "document.querySelector('#compare-curves .js-plotly-plot')._fullLayout.xaxis"
    with opened(chromium, server.address, links.compare(choices[:2])) as page:
        page.wait_for_selector("#compare-curves .main-svg")
        until(page, f"{axis}.type", "date")
        begins, ends = page.evaluate(f"{axis}.range")
        assert begins < "2024-01-02"
        assert ends > "2025-06-09"
    with opened(chromium, server.address, links.compare(choices)) as page:
        page.wait_for_selector("#compare-curves .main-svg")
        until(page, f"{axis}.type", "linear")
        said = page.locator(".card", has_text="Equity").first.inner_text()
        assert "No dates are known of numbers" in said
        assert "strange: its curve was saved in a form that is not drawn" in said
        assert "need not be the same day" in said
    for name, drawn in (("pairs", True), ("strange", False)):
        with opened(chromium, server.address, links.strategy("u", name)) as page:
            page.wait_for_selector("#history table")
            assert (page.locator("#equity").count() == 1) is drawn
            assert ("A curve that is not understood" in page.locator("#page").inner_text()) is not drawn
            if drawn:
                page.wait_for_selector("#equity .main-svg")
                kind = "document.querySelector('#equity .js-plotly-plot')._fullLayout.xaxis.type"
                until(page, kind, "date")
    server.close()
