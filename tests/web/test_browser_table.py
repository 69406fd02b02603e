"""The table of strategies in a real browser: what it remembers, what its filters say, how a phone shows it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

import archiver
from archiver.web.words import format as fmt
from archiver.web.words import links
from tests.web.conftest import DESK, NASTY, Made, Served, texts, until
from tests.web.test_browser import CELL, PHONE, opened

VIEW = ".ag-body-viewport"


def heads(page: Any) -> dict[str, int]:
    """Return the columns in view from left to right, with their widths."""
    found = page.evaluate(
        "[...document.querySelectorAll('.ag-header-cell')]"
        ".map(n => [n.getBoundingClientRect().left, n.getAttribute('col-id'), n.offsetWidth]).sort((a, b) => a[0] - b[0])"
    )
    return {name: width for _, name, width in found if not name.startswith("ag-Grid-")}


def test_parameters_are_columns_and_an_address_sorts_as_a_command_does(chromium, tmp_path):
    made = archiver.open(tmp_path / "archive")
    rows = [{"strategy_name": f"s{at}", "score": 1.0, "params": {"fast": at * 1.5}} for at in (2, 3, 1)]
    made.save_universe_results("u", rows, code="none")
    server = Served(made.store.url)
    for sort, expected in (
        ("params.fast", ["4.500", "3.000", "1.500"]),
        ("-params.fast", ["1.500", "3.000", "4.500"]),
    ):
        with opened(chromium, server.address, f"/strategies?columns=params.fast&sort={sort}") as page:
            until(page, texts(".ag-center-cols-container .ag-row [col-id='params.fast']"), expected)
    with opened(chromium, server.address, "/strategies?columns=params.fast&sort=params.fast") as page:
        page.wait_for_selector(CELL)
        page.locator(".ag-header-cell[col-id='params.fast']").click()
        page.wait_for_url("**sort=-params.fast**")
    server.close()


def test_order_and_width_of_columns_survive_and_are_reset(chromium, served):
    with opened(chromium, served, "/strategies") as page:
        page.wait_for_selector(CELL)
        before = heads(page)
        assert list(before)[:3] == ["strategy_name", "universe", "run"]
        first, third = list(before)[3], list(before)[5]
        page.drag_and_drop(
            f".ag-header-cell[col-id={third}] .ag-header-cell-text",
            f".ag-header-cell[col-id={first}] .ag-header-cell-text",
        )
        page.wait_for_url(f"**columns={third}%2C{first}**")
        edge = page.locator(".ag-header-cell[col-id=universe] .ag-header-cell-resize").bounding_box()
        page.mouse.move(edge["x"] + edge["width"] / 2, edge["y"] + 5)
        page.mouse.down()
        page.mouse.move(edge["x"] + 60, edge["y"] + 5, steps=4)
        page.mouse.up()
        until(page, "(localStorage['archiver-columns'] || '').includes('widths')")
        until(page, lambda: list(heads(page))[3:5], [third, first])
        changed = heads(page)
        assert changed["universe"] > before["universe"] + 30
        page.goto(served + "/")
        page.locator("#nav a", has_text="Strategies").click()
        page.wait_for_selector(CELL)
        until(page, lambda: list(heads(page).items())[:5], list(changed.items())[:5])
        page.click("#columns-menu summary")
        page.click("#columns-reset")
        page.wait_for_url(lambda address: "columns=" not in address)
        page.wait_for_selector(CELL)
        until(page, lambda: list(heads(page).items()), list(before.items()))


# Holds back what finds the table, as a slow machine does, until `release` is called.
_HELD = """
let table;
const released = new Promise((go) => { window.release = go; });
Object.defineProperty(window, "dash_ag_grid", {
  set(own) {
    const late = (id) => released.then(() => own.getApiAsync(id));
    table = Object.create(own, { getApiAsync: { value: late } });
  },
  get() { return table; },
});
"""


@pytest.mark.slow
def test_rows_that_are_ticked_at_once_count(chromium, served):
    window = chromium.new_context(viewport=DESK)
    page = window.new_page()
    page.add_init_script(_HELD)
    page.goto(served + "/strategies")
    page.wait_for_selector(CELL)
    boxes = page.locator(".ag-pinned-left-cols-container input[type=checkbox]")
    boxes.nth(0).click()
    boxes.nth(1).click()
    page.wait_for_selector(".ag-pinned-left-cols-container .ag-row-selected[row-index='1']")
    assert page.inner_text("#compare-selected") == "Compare"
    page.evaluate("release()")
    page.wait_for_selector("#compare-selected:has-text('Compare 2')")
    window.close()


def test_back_leads_to_the_same_place_with_the_same_rows_ticked(chromium, served):
    with opened(chromium, served, "/strategies?where=n_trades+%3E+1") as page:
        page.wait_for_selector(CELL)
        boxes = page.locator(".ag-pinned-left-cols-container input[type=checkbox]")
        boxes.nth(0).click()
        boxes.nth(1).click()
        page.wait_for_selector("#compare-selected:has-text('Compare 2')")
        page.evaluate(f"document.querySelector('{VIEW}').scrollTop = 36 * 90")
        until(page, "(history.state.table || {}).row === 90")
        page.locator(".ag-pinned-left-cols-container [row-index='95'] a").click()
        page.wait_for_url("**/strategy?**")
        page.wait_for_selector("h1:has-text('_')")
        page.go_back()
        page.wait_for_selector(CELL)
        until(page, f"document.querySelector('{VIEW}').scrollTop === 36 * 90")
        until(page, "document.querySelector('#filter-where').value", "n_trades > 1")
        until(page, texts("#compare-selected"), ["Compare 2"])
        page.evaluate(f"document.querySelector('{VIEW}').scrollTop = 0")
        page.wait_for_selector(".ag-pinned-left-cols-container .ag-row-selected[row-index='1']")


def test_filters_are_cleared_at_once(chromium, served):
    with opened(chromium, served, "/strategies?where=n_trades+%3E+1&search=L") as page:
        page.wait_for_selector(CELL)
        page.click("#filter-clear")
        page.wait_for_url(lambda address: "where=" not in address and "search=" not in address)
        page.wait_for_selector("#strategies-status:text-is('150 strategies')")
        page.wait_for_selector("#filter-clear", state="hidden")


def draw(page: Any, inset: int) -> str:
    """Draw a box on the plot, so far from its upper left corner; returns the filter that it makes."""
    where = page.locator("#filter-where").input_value()
    area = page.locator("#cloud .nsewdrag").first.bounding_box()
    page.mouse.move(area["x"] + inset, area["y"] + inset)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 10, area["y"] + area["height"] - 10, steps=5)
    page.mouse.up()
    until(page, f"document.querySelector('#filter-where').value !== {json.dumps(where)}")
    page.wait_for_selector("#strategies-status:has-text(' of 150')")
    page.wait_for_selector("#cloud-note:has-text('The box is part of the filter')")
    return str(page.locator("#filter-where").input_value())


@pytest.mark.slow
def test_a_box_on_the_plot_filters_the_table_and_can_be_widened(chromium, served):
    with opened(chromium, served, "/strategies?scatter=1&where=n_trades+%3E+1") as page:
        page.wait_for_selector("#cloud .points path")
        until(page, "document.querySelector('.ag-header-cell[col-id=universe]') === null")
        points = "document.querySelectorAll('#cloud .points path').length"
        all_points = page.evaluate(points)
        narrow, wide = draw(page, 90), draw(page, 20)
        assert all(text.startswith("(n_trades > 1) and ") for text in (narrow, wide))
        assert [text.count("<=") for text in (narrow, wide)] == [4, 4]
        ends = [[float(text.split(" <= ")[at].split()[-1]) for at in (0, 2)] for text in (narrow, wide)]
        assert ends[1][0] < ends[0][0]
        until(page, points, all_points)
        page.reload()
        page.wait_for_selector("#cloud .selectionlayer path")
        page.wait_for_selector("#cloud-note:has-text('The box is part of the filter')")
        until(page, points, all_points)
        until(page, "document.querySelector('#filter-where').value", wide)
        page.click("#cloud-unbox")
        until(page, "document.querySelector('#filter-where').value === 'n_trades > 1'")
        page.wait_for_selector("#cloud-note:has-text('Drag a box')")
        page.wait_for_selector("#cloud .selectionlayer path", state="detached")


@pytest.mark.slow
def test_a_box_over_other_metrics_stays_when_another_is_drawn(chromium, served):
    box = "0 <= win_rate <= 100 and -1e3 <= sharpe_ratio <= 1e3"
    with opened(chromium, served, "/strategies?" + urlencode({"scatter": "1", "where": box})) as page:
        page.wait_for_selector("#cloud .points path")
        assert draw(page, 40).startswith(f"({box}) and ")


@pytest.mark.slow
def test_a_double_click_near_a_point_takes_the_box_away_and_opens_nothing(chromium, served):
    with opened(chromium, served, "/strategies?scatter=1") as page:
        page.wait_for_selector("#cloud .points path")
        draw(page, 20)
        middle = page.evaluate(
            "(() => { const box = document.querySelector('#cloud .nsewdrag').getBoundingClientRect();"
            "const inner = [...document.querySelectorAll('#cloud .points path')].map(n => n.getBoundingClientRect())"
            ".find(r => r.left > box.left + 30 && r.right < box.right - 20 && r.top > box.top + 60 && r.bottom < box.bottom - 20);"
            "return [inner.left + inner.width / 2, inner.top + inner.height / 2]; })()"
        )
        page.mouse.dblclick(*middle)
        until(page, "document.querySelector('#filter-where').value === ''")
        page.wait_for_selector("#cloud-note:has-text('Drag a box')")
        page.wait_for_timeout(1_000)
        assert page.evaluate("location.pathname") == "/strategies"
        page.mouse.click(*middle)
        page.wait_for_url("**/strategy?**")


@pytest.mark.slow
def test_the_universe_waits_behind_the_metrics_beside_the_plot(chromium, served):
    with opened(chromium, served, "/strategies", viewport={"width": 1280, "height": 860}) as page:
        page.wait_for_selector(CELL)
        before = heads(page)
        page.click("#scatter-toggle")
        page.wait_for_selector("#cloud .points path")
        until(page, "document.querySelector('.ag-header-cell[col-id=universe]') === null")
        room = "document.querySelector('#strategies-grid').getBoundingClientRect().width"
        until(page, lambda: sum(list(heads(page).values())[:3]) + 38 <= page.evaluate(room))
        page.click("#scatter-toggle")
        until(page, "document.querySelector('.ag-header-cell[col-id=universe]') !== null")
        until(page, lambda: list(heads(page))[:4], list(before)[:4])


def test_a_phone_shows_name_and_score_first(chromium, served):
    with opened(chromium, served, "/strategies", viewport=PHONE, is_mobile=True, has_touch=True) as page:
        page.wait_for_selector(CELL)
        until(page, "document.querySelector('.ag-header-cell[col-id=universe]') === null")
        sorted_by = "document.querySelector('.ag-header-cell[aria-sort=descending]')"
        page.wait_for_selector(".ag-header-cell[aria-sort=descending]")
        until(page, lambda: list(heads(page))[1], page.evaluate(f"{sorted_by}.getAttribute('col-id')"))
        until(page, f"{sorted_by}.getBoundingClientRect().right <= {PHONE['width']}")


@pytest.mark.slow
def test_a_phone_shows_names_and_scores_of_the_best_whole(chromium, served):
    with opened(chromium, served, "/", viewport=PHONE, is_mobile=True, has_touch=True) as page:
        page.wait_for_selector("#best table")
        bar = page.locator("#best tbody tr").first.locator(".bar").bounding_box()
        assert bar["x"] + bar["width"] <= PHONE["width"] - 12
        name = page.locator("#best tbody .named .line").first
        assert name.evaluate("node => node.scrollWidth <= node.clientWidth")


@pytest.mark.parametrize("column", ["universe", pytest.param("n_trades", marks=pytest.mark.slow)])
def test_enter_opens_the_row_from_any_of_its_cells(chromium, served, column):
    with opened(chromium, served, "/strategies?columns=n_trades") as page:
        page.wait_for_selector(CELL)
        cell = page.locator(f".ag-row[row-index='1'] .ag-cell[col-id={column}]")
        name = page.locator(".ag-row[row-index='1'] .ag-cell[col-id=strategy_name]").inner_text()
        cell.click()
        cell.press("Enter")
        page.wait_for_url("**/strategy?**")
        page.wait_for_selector(f"h1:has-text('{name}')")


def test_a_server_that_is_gone_is_told(chromium, plain: Made):
    server = Served(plain.url)
    with chromium.page(server.address) as page:
        page.goto(server.address + "/strategies")
        page.wait_for_selector(CELL)
        assert not page.locator("#unreachable").is_visible()
        server.close()
        page.click("#nav a[href='runs']")
        page.wait_for_selector("#unreachable:has-text('The server does not answer')")
        page.wait_for_selector("#unreachable a")


def test_a_token_that_no_longer_counts_is_told(chromium, served):
    with chromium.page(served) as page:
        page.goto(served + "/strategies")
        page.wait_for_selector(CELL)
        page.route("**/_dash-update-component**", lambda route: route.fulfill(status=401, body="no"))
        page.click("#nav a[href='runs']")
        page.wait_for_selector("#unreachable:has-text('token')")
        page.unroute("**/_dash-update-component**")
        page.click("#nav a[href='bucket']")
        page.wait_for_selector("#unreachable", state="hidden")


def test_words_are_whole_beside_long_values(chromium, nasty_served):
    chosen = links.compare([links.Choice("a/b <u>", name) for name in NASTY])
    with opened(chromium, nasty_served, chosen) as page:
        name = page.locator(".first-stays td:first-child .metric", has_text="Trades").first
        name.wait_for()
        # One line: the word is not broken letter by letter.
        assert name.evaluate("node => node.getClientRects().length") == 1


def test_folders_keep_their_names_on_a_phone(chromium, served):
    with opened(chromium, served, "/bucket", viewport=PHONE) as page:
        page.wait_for_selector(".entry a")
        until(page, "Math.max(...[...document.querySelectorAll('.entry a')].map(a => a.offsetHeight)) < 30")


def test_names_in_the_overview_are_wrapped_before_they_are_cut(chromium, plain: Made, served):
    for window in ({}, {"viewport": PHONE}):
        with opened(chromium, served, "/", **window) as page:
            page.wait_for_selector("#best .named")
            cut = page.evaluate(
                "[...document.querySelectorAll('#best .named .line:first-child')]"
                ".filter(n => n.scrollWidth > n.clientWidth + 1 || n.scrollHeight > n.clientHeight + 1).length"
            )
            assert cut == 0
            if window:
                bar = page.locator("#best tbody tr").first.locator(".bar").bounding_box()
                assert bar["x"] + bar["width"] <= PHONE["width"] - 12
            else:
                beyond = "document.querySelector('#best .scroll')"
                assert page.evaluate(f"{beyond}.scrollWidth - {beyond}.clientWidth") <= 0


def test_a_long_tag_stays_within_the_page(chromium, tmp_path):
    archive = archiver.open(str(tmp_path / "backtests"))
    archive.save_universe_results("one", [{"strategy_name": "s"}], code="none", tags=["t" * 100])
    server = Served(str(tmp_path / "backtests"))
    with opened(chromium, server.address, "/runs", viewport=PHONE) as page:
        page.wait_for_selector(".chip")
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    server.close()


def test_numbers_of_the_table_are_written_as_elsewhere(chromium, served):
    with opened(chromium, served, "/strategies") as page:
        page.wait_for_selector(CELL)
        written = page.evaluate(
            "[186, 193.09, 1.08612, -0.5, 4689.2, 27189.9].map(dashAgGridFunctions.priceText)"
            ".concat([-1e-12, 1e300, 40, -1, 0].map(value => dashAgGridFunctions.metricText(value, false)))"
            ".concat([40, 67.5, -9007199254740991].map(value => dashAgGridFunctions.metricText(value, true)))"
            ".concat([dashAgGridFunctions.metricText('9007199254740993', true)])"
        )
    assert written == [
        "186.000", "193.090", "1.08612", "−0.50000", "4,689.2", "27,190",
        *(fmt.number(value) for value in (-1e-12, 1e300, 40.0, -1.0, 0.0)),
        fmt.number(40), fmt.number(67.5), fmt.number(-9007199254740991), fmt.number(9007199254740993),
    ]  # fmt: skip


@pytest.mark.slow
def test_only_what_is_counted_stands_without_digits_behind_the_point(chromium, tmp_path):
    archive = archiver.open(str(tmp_path / "backtests"))
    rows = [
        {"strategy_name": "a", "sharpe_ratio": 2.0, "win_rate_pct": 40.0, "n_trades": 67.0, "parameter": 5},
        {"strategy_name": "b", "sharpe_ratio": float("-inf"), "win_rate_pct": 40.74, "n_trades": None, "parameter": 7},
    ]  # fmt: skip
    archive.save_universe_results("one", rows, code="none")
    server = Served(str(tmp_path / "backtests"))
    address = "/strategies?columns=sharpe_ratio,win_rate_pct,n_trades,parameter"
    with opened(chromium, server.address, address) as page:
        written = sorted(["2.000", "40.00", "67", "5", "−∞", "40.74", "–", "7"])
        until(page, lambda: sorted(page.evaluate(texts(CELL))), written)
    server.close()


def test_an_id_is_shown_in_full_and_counts_without_digits_behind_the_point(chromium, tmp_path):
    archive = archiver.open(str(tmp_path / "backtests"))
    results = [
        {"strategy_name": f"s{at}", "order_id": 9007199254740993 + at, "win_rate_pct": 40.0, "n_trades": 67.0}
        for at in range(2)
    ]
    archive.save_universe_results("one", results, code="none")
    server = Served(str(tmp_path / "backtests"))
    with opened(chromium, server.address, "/strategies?columns=order_id,win_rate_pct,n_trades") as page:
        written = ["40.00", "40.00", "67", "67", "9007199254740993", "9007199254740994"]
        until(page, lambda: sorted(page.evaluate(texts(CELL))), written)
    server.close()
