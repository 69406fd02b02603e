"""The table of strategies in a real browser: what it remembers, what its filters say, how a phone shows it."""

from __future__ import annotations

from typing import Any

import pytest

import archiver
from archiver.archive import Archive
from archiver.web.words import format as fmt
from archiver.web.words import links
from tests.web.conftest import DESK, NASTY, Made, Served, texts, until
from tests.web.test_browser import CELL, draw, heads, opened

VIEW = ".ag-body-viewport"


def test_parameters_are_columns_that_an_address_sorts_and_numbers_are_written_as_elsewhere(
    chromium, archive: Archive
):
    rows = [
        {
            "strategy_name": f"s{at}",
            "score": 1.0,
            "order_id": 9007199254740993 + at,
            "win_rate_pct": 40.0,
            "n_trades": 67.0,
            "params": {"fast": at * 1.5},
        }
        for at in (2, 3, 1)
    ]
    archive.save_universe_results("u", rows, code="none")
    server = Served(archive.store.url)
    columns = "params.fast,order_id,win_rate_pct,n_trades"
    with opened(chromium, server.address, f"/strategies?columns={columns}&sort=params.fast") as page:
        fast = texts(".ag-center-cols-container .ag-row [col-id='params.fast']")
        until(page, fast, ["4.500", "3.000", "1.500"])
        written = [
            *("1.500", "3.000", "4.500"), *["40.00"] * 3, *["67"] * 3,
            *(f"{9007199254740993 + at}" for at in (1, 2, 3)),
        ]  # fmt: skip
        until(page, lambda: sorted(page.evaluate(texts(CELL))), sorted(written))
        page.locator(".ag-header-cell[col-id='params.fast']").click()
        page.wait_for_url("**sort=-params.fast**")
        page.reload()
        until(page, fast, ["1.500", "3.000", "4.500"])
        written = page.evaluate(
            "[186, 193.09, 1.08612, -0.5, 4689.2, 27189.9].map(dashAgGridFunctions.priceText)"
            ".concat([-1e-12, 1e300, 40, -1, 0].map(value => dashAgGridFunctions.metricText(value, false)))"
            ".concat([40, 67.5, -9007199254740991].map(value => dashAgGridFunctions.metricText(value, true)))"
            ".concat([dashAgGridFunctions.metricText('9007199254740993', true)])"
        )
    server.close()
    assert written == [
        "186.000", "193.090", "1.08612", "−0.50000", "4,689.2", "27,190",
        *(fmt.number(value) for value in (-1e-12, 1e300, 40.0, -1.0, 0.0)),
        fmt.number(40), fmt.number(67.5), fmt.number(-9007199254740991), fmt.number(9007199254740993),
    ]  # fmt: skip


def test_columns_their_order_and_width_are_chosen_remembered_and_reset(chromium, served):
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
        page.click("#columns-menu summary")
        held: list[Any] = []
        page.route("**/_dash-update-component**", lambda route: held.append(route))  # noqa: PLW0108 - as in test_sheet
        page.locator("#chooser label", has_text="Kurtosis").click()
        page.wait_for_timeout(1_000)  # a slow server
        while held:
            held.pop().continue_()
        page.unroute_all()
        page.wait_for_selector(".ag-header-cell[col-id=kurtosis]", state="attached")
        page.wait_for_url("**kurtosis**")
        page.goto(served + "/runs")
        page.locator("#nav a", has_text="Strategies").click()
        page.wait_for_selector(CELL)
        page.wait_for_url("**kurtosis**")
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


def test_the_keyboard_is_enough_and_back_leads_to_the_same_place_with_the_same_rows_ticked(chromium, served):
    with opened(chromium, served, "/strategies?where=n_trades+%3E+1") as page:
        page.wait_for_selector(CELL)
        page.keyboard.press("/")
        until(page, "document.activeElement.id", "filter-search")
        boxes = page.locator(".ag-pinned-left-cols-container input[type=checkbox]")
        boxes.nth(0).click()
        boxes.nth(1).click()
        page.wait_for_selector("#compare-selected:has-text('Compare 2')")
        page.evaluate(f"document.querySelector('{VIEW}').scrollTop = 36 * 90")
        until(page, "(history.state.table || {}).row === 90")
        row = ".ag-pinned-left-cols-container [row-index='{}'] [col-id=strategy_name]"
        name = page.locator(row.format(96)).inner_text()
        page.locator(row.format(95)).press("ArrowDown")
        until(page, "document.activeElement.closest('[row-index=\"96\"]') !== null")
        page.keyboard.press("ArrowRight")
        until(page, "document.activeElement.getAttribute('col-id')", "universe")
        page.keyboard.press("Enter")
        page.wait_for_url("**/strategy?**")
        until(page, texts("h1"), [name])
        page.go_back()
        page.wait_for_selector(CELL)
        until(page, f"document.querySelector('{VIEW}').scrollTop === 36 * 90")
        until(page, "document.querySelector('#filter-where').value", "n_trades > 1")
        until(page, texts("#compare-selected"), ["Compare 2"])
        page.evaluate(f"document.querySelector('{VIEW}').scrollTop = 0")
        page.wait_for_selector(".ag-pinned-left-cols-container .ag-row-selected[row-index='1']")
        page.click("#compare-selected")
        page.wait_for_selector("#compare-curves .main-svg")
        assert page.url.count("strategy=") == 2


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


@pytest.mark.slow
def test_enter_opens_the_row_from_any_of_its_cells(chromium, served):
    with opened(chromium, served, "/strategies?columns=n_trades") as page:
        for column in ("strategy_name", "n_trades"):
            page.wait_for_selector(CELL)
            name = page.locator(".ag-row[row-index='1'] .ag-cell[col-id=strategy_name]").inner_text()
            page.locator(f".ag-row[row-index='1'] .ag-cell[col-id={column}]").press("Enter")
            page.wait_for_url("**/strategy?**")
            page.wait_for_selector(f"h1:has-text('{name}')")
            page.go_back()


def test_a_token_that_no_longer_counts_and_a_server_that_is_gone_are_told(chromium, plain: Made):
    server = Served(plain.url)
    with chromium.page(server.address) as page:
        page.goto(server.address + "/runs")
        page.wait_for_selector("table")
        assert not page.locator("#unreachable").is_visible()
        page.route("**/_dash-update-component**", lambda route: route.fulfill(status=401, body="no"))
        page.click("#nav a[href='bucket']")
        page.wait_for_selector("#unreachable:has-text('token')")
        page.unroute_all()
        page.click("#nav a[href='runs']")
        page.wait_for_selector("#unreachable", state="hidden")
        page.wait_for_selector("h1:has-text('Runs')")
        server.close()
        page.click("#nav a[href='bucket']")
        page.wait_for_selector("#unreachable:has-text('The server does not answer')")
        page.wait_for_selector("#unreachable a")


def test_words_are_whole_beside_long_values(chromium, nasty_served):
    chosen = links.compare([links.Choice("a/b <u>", name) for name in NASTY])
    with opened(chromium, nasty_served, chosen) as page:
        name = page.locator(".first-stays td:first-child .metric", has_text="Trades").first
        name.wait_for()
        # One line: the word is not broken letter by letter.
        assert name.evaluate("node => node.getClientRects().length") == 1


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
