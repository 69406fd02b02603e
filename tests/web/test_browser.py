"""Every page in a real browser: nothing on the console, nothing from elsewhere, reachable for everyone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import archiver
from archiver.web.words import links
from tests.conftest import Place
from tests.web.conftest import DESK, NASTY, PHONE, UNIVERSE, Made, Served, nasty_results, texts, until

CELL = ".ag-center-cols-container .ag-cell.figure"
FIRST = ".ag-center-cols-container [row-index='0'] [col-id=n_trades]"


class Watch:
    """What went wrong on a page while it was looked at."""

    def __init__(self, page: Any, address: str) -> None:
        self.complaints: list[str] = []
        self.address = address
        self.nowhere = False
        self._page = page
        self._heard = {
            "console": self._console,
            "pageerror": self._error,
            "request": self._request,
            "response": self._response,
            "dialog": self._dialog,
        }
        for event, hear in self._heard.items():
            page.on(event, hear)

    def end(self) -> None:
        """Look no longer: the page goes on to another test."""
        for event, hear in self._heard.items():
            self._page.remove_listener(event, hear)

    def _error(self, error: Any) -> None:
        self.complaints.append(f"error: {error}")

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not (self.nowhere and "status of 404" in message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"asked elsewhere: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status == 404 and response.url == f"{self.address}/nowhere":
            self.nowhere = True  # a page that is not there says so in words, and by its status
        elif response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")


@contextmanager
def opened(chromium: Any, address: str, path: str, **options: Any) -> Iterator[Any]:
    """Open a page of a server; at the end nothing may have gone wrong."""
    with chromium.page(address, **options) as page:
        watch = Watch(page, address)
        page.goto(f"{address}/{path.removeprefix('./').lstrip('/')}")
        page.wait_for_selector("h1, .state")
        yield page
        page.wait_for_selector(".waiting", state="detached")
        watch.end()
        assert watch.complaints == []


# AG Grid draws rows only while they can be seen, and its own roles for them.
_NOT_OURS = {"aria-required-children": {"enabled": False}, "scrollable-region-focusable": {"enabled": False}}
# Dash puts an input that it hides behind each of its menus; rows of a table are alike, and axe takes long for each.
_NOT_LOOKED_AT = {
    "exclude": [[".dash-dropdown-focus-target"], [".ag-row:not([row-index='0']):not([row-index='1'])"]]
}


def barriers(page: Any) -> list[str]:
    """Return what axe finds on a page that keeps someone from reading or using it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # All that passes is as much work to tell of as to find.
    options = {"runOnly": ["wcag2a", "wcag2aa"], "rules": _NOT_OURS, "resultTypes": ["violations"]}
    found = axe.run(page, context=_NOT_LOOKED_AT, options=options).response["violations"]
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found]


def heads(page: Any) -> dict[str, int]:
    """Return the columns in view from left to right, with their widths."""
    found = page.evaluate(
        "[...document.querySelectorAll('.ag-header-cell')]"
        ".map(n => [n.getBoundingClientRect().left, n.getAttribute('col-id'), n.offsetWidth]).sort((a, b) => a[0] - b[0])"
    )
    return {name: width for _, name, width in found if not name.startswith("ag-Grid-")}


OPAQUE = (
    "[...document.querySelectorAll('.hoverlayer .hovertext path, .hoverlayer .legend .bg')]"
    ".map(n => getComputedStyle(n)).map(s => [s.fill, s.fillOpacity, s.opacity])"
)
PANELS = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 27, 35)"}


def boxes_hide_what_is_behind(page: Any, place: str, at: float, scheme: str) -> None:
    """Point into something, so far from left to right, until a box is shown: what is drawn anew meanwhile forgets the mouse."""

    def point() -> int:
        box = page.evaluate(f"document.querySelector('{place}').getBoundingClientRect().toJSON()")
        for part in (at - 0.01, at):
            page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] * 0.5)
        page.wait_for_timeout(100)  # plotly looks at the mouse so often
        return int(page.locator(".hoverlayer text").count())

    until(page, point, lambda boxes: boxes > 0)
    until(page, OPAQUE, [[PANELS[scheme], "1", "1"]])


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


BOX = "0 <= win_rate <= 100 and -1e3 <= sharpe_ratio <= 1e3"


def addresses(plain: Made) -> dict[str, tuple[str, str]]:
    """Return every page's address and what shows that it is done."""
    names = [name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)][:5]
    choices = [
        links.Choice(UNIVERSE, name, plain.runs[1].id if at == 1 else None) for at, name in enumerate(names)
    ]
    kept = set(names)
    other = next(
        r["strategy_name"]
        for r in plain.results[::-1]
        if r["strategy_name"] not in kept and "composite_score" not in r
    )
    return {
        "overview": ("/", "#health dl, #health .state"),
        "strategies": ("/strategies", CELL),
        "scatter": (links.href("/strategies", scatter="1", where=BOX), "#cloud .points path"),
        "strategy": (links.strategy(UNIVERSE, names[0]), "#history table"),
        "trade": (
            links.href("/strategy", universe=UNIVERSE, name=names[0], trade="3"),
            "#trade-chart .main-svg",
        ),
        "without detail": (links.strategy(UNIVERSE, other), "#history table"),
        "compare": (links.compare(choices), "#compare-curves .main-svg"),
        "compare runs": (links.href("/compare", run=[run.id for run in plain.runs[:2]]), ".source.diff"),
        "nothing to compare": ("/compare", ".state"),
        "runs": ("/runs", "table"),
        "run": (links.run(plain.runs[1].id), "table"),
        "code": (links.run(plain.runs[1].id, view="code"), ".source .k"),
        "provenance": (links.run(plain.runs[1].id, view="provenance"), ".source"),
        "objects": (links.run(plain.runs[1].id, view="objects"), "table"),
        "bucket": ("/bucket", "table"),
        "object": ("/bucket?key=archive.json", ".source"),
        "nowhere": ("/nowhere", "h1"),
    }


WINDOWS = {
    "desk": {"viewport": DESK, "color_scheme": "light"},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "dark"},
}
# The window in which a page is looked at in every run; in the other one it is when there is time.
PAGES = {
    "overview": "desk", "strategies": "phone", "scatter": "desk", "strategy": "phone",
    "without detail": "phone", "compare": "phone", "compare runs": "desk", "nothing to compare": "desk", "runs": "phone",
    "run": "desk", "code": "phone", "provenance": "desk", "objects": "phone", "bucket": "phone", "object": "desk",
    "nowhere": "desk",
}  # fmt: skip


def names_are_wrapped_before_they_are_cut(page: Any) -> None:
    page.wait_for_selector("#best .named")
    cut = (
        "[...document.querySelectorAll('#best .named .line:first-child')]"
        ".filter(n => n.scrollWidth > n.clientWidth + 1 || n.scrollHeight > n.clientHeight + 1).length"
    )
    assert page.evaluate(cut) == 0


def scores_of_the_best_are_whole(page: Any) -> None:
    names_are_wrapped_before_they_are_cut(page)
    bar = page.locator("#best tbody tr").first.locator(".bar").bounding_box()
    assert bar["x"] + bar["width"] <= PHONE["width"] - 12
    name = page.locator("#best tbody .named .line").first
    assert name.evaluate("node => node.scrollWidth <= node.clientWidth")


def paper_has_the_page_alone_and_is_light(page: Any) -> None:
    page.wait_for_selector(".card")
    page.emulate_media(media="print", color_scheme="dark")
    until(page, "getComputedStyle(document.body).backgroundColor", "rgb(255, 255, 255)")
    for gone in (".side", "#nav", ".actions", ".filters"):
        assert page.locator(gone).locator("visible=true").count() == 0
    until(page, "document.querySelector('#page').getBoundingClientRect().x < 10")
    until(page, "[...document.querySelectorAll('.tall')].every(n => n.scrollHeight <= n.clientHeight + 1)")
    page.emulate_media(media="null", color_scheme="light")


def cards_need_no_scroll_bar_and_links_load_nothing_anew(page: Any) -> None:
    names_are_wrapped_before_they_are_cut(page)
    beyond = "document.querySelector('{0}').scrollWidth - document.querySelector('{0}').clientWidth"
    assert page.evaluate(beyond.format("#best .scroll")) <= 0
    page.wait_for_selector("#storage table")
    # As large as numbers get.
    page.evaluate(
        "document.querySelectorAll('#storage tbody tr').forEach(row => {"
        "row.cells[1].querySelector('.bar span').textContent = '999.9 GB'; row.cells[2].textContent = '12,345,678'; })"
    )
    assert page.evaluate(beyond.format("#storage .scroll")) <= 0
    paper_has_the_page_alone_and_is_light(page)
    page.evaluate("window.stayed = true")
    page.locator("#nav a", has_text="Runs").click()
    page.wait_for_selector("h1:has-text('Runs')")
    until(page, page.title, "Runs · archiver")
    page.go_back()
    page.wait_for_selector("h1:has-text('Overview')")
    assert page.evaluate("window.stayed") is True


def name_and_score_come_first(page: Any) -> None:
    until(page, "document.querySelector('.ag-header-cell[col-id=universe]') === null")
    sorted_by = "document.querySelector('.ag-header-cell[aria-sort=descending]')"
    page.wait_for_selector(".ag-header-cell[aria-sort=descending]")
    until(page, lambda: list(heads(page))[1], page.evaluate(f"{sorted_by}.getAttribute('col-id')"))
    until(page, f"{sorted_by}.getBoundingClientRect().right <= {PHONE['width']}")


def points_tell_and_a_box_over_other_metrics_stays(page: Any) -> None:
    boxes_hide_what_is_behind(page, "#cloud .points path", 0.5, "light")
    assert draw(page, 40).startswith(f"({BOX}) and ")


def the_calendar_fits_with_every_month_named(page: Any) -> None:
    page.wait_for_selector(".calendar")
    until(page, "document.querySelector('.calendar').scrollWidth <= innerWidth")
    box = "document.querySelector('.calendar').parentNode"
    until(page, f"{box}.scrollWidth <= {box}.clientWidth")
    cells = "[...document.querySelector('.calendar tbody tr').querySelectorAll('td[data-month]')]"
    said = page.evaluate(f"{cells}.map(one => getComputedStyle(one, '::before').content)")
    assert (len(said), said[0]) == (12, '"Jan"')


def names_of_metrics_stay_while_many_sides_scroll(page: Any) -> None:
    table = page.locator(".first-stays .scroll")
    cell = "document.querySelector('.first-stays tbody tr td').getBoundingClientRect().x"
    before = page.evaluate(cell)
    table.evaluate("node => { node.scrollLeft = 300; }")
    assert table.evaluate("node => node.scrollLeft") > 50
    until(page, cell, lambda x: abs(x - before) <= 5)


def tables_of_what_runs_have_in_common_are_whole(page: Any) -> None:
    page.wait_for_selector(".common table")
    beyond = "[...document.querySelectorAll('.common .scroll')].map(n => n.scrollWidth - n.clientWidth)"
    until(page, beyond, [0, 0])


def several_strategies_that_match_are_seen_at_once(page: Any) -> None:
    page.click("#compare-add")
    page.locator(".dash-dropdown-search").fill("TrendRider")
    page.locator(".dash-options-list-option").nth(7).wait_for()
    until(
        page,
        "(() => { const end = document.querySelector('.dash-dropdown-content').getBoundingClientRect().bottom;"
        "return [...document.querySelectorAll('.dash-options-list-option')]"
        ".filter(n => n.getBoundingClientRect().bottom <= end).length; })()",
        lambda inside: inside >= 6,
    )


def folders_keep_their_names(page: Any) -> None:
    page.wait_for_selector(".entry a")
    until(page, "Math.max(...[...document.querySelectorAll('.entry a')].map(a => a.offsetHeight)) < 30")


# What else is to be seen on a page in a window, while it is open: to load one takes a second or two.
SEEN = {
    ("overview", "desk"): cards_need_no_scroll_bar_and_links_load_nothing_anew,
    ("overview", "phone"): scores_of_the_best_are_whole,
    ("strategies", "phone"): name_and_score_come_first,
    ("scatter", "desk"): points_tell_and_a_box_over_other_metrics_stays,
    ("strategy", "desk"): paper_has_the_page_alone_and_is_light,
    ("strategy", "phone"): the_calendar_fits_with_every_month_named,
    ("compare", "desk"): paper_has_the_page_alone_and_is_light,
    ("compare", "phone"): names_of_metrics_stay_while_many_sides_scroll,
    ("compare runs", "desk"): tables_of_what_runs_have_in_common_are_whole,
    ("nothing to compare", "desk"): several_strategies_that_match_are_seen_at_once,
    ("bucket", "phone"): folders_keep_their_names,
}


@pytest.mark.parametrize(
    ("name", "window"),
    [
        pytest.param(name, window, marks=[] if window == often else [pytest.mark.slow])
        for window in WINDOWS
        for name, often in PAGES.items()
    ],
)
def test_pages_come_up_clean_and_for_everyone(chromium, served, plain: Made, name, window):
    path, ready = addresses(plain)[name]
    with opened(chromium, served, path, **WINDOWS[window]) as page:
        page.wait_for_selector(ready)
        until(page, "document.documentElement.scrollWidth <= window.innerWidth")
        assert page.locator("#nav").is_visible()
        assert barriers(page) == []
        SEEN.get((name, window), lambda _: None)(page)


def test_sort_filter_and_search_stand_in_the_address_and_a_wrong_filter_is_told(
    chromium, served, plain: Made
):
    with opened(
        chromium, served, "/strategies?columns=n_trades,sharpe_ratio&where=sharp_ratio+%3E+1"
    ) as page:
        page.wait_for_selector("#strategies-error .state:has-text('did you mean')")
        page.fill("#filter-search", "L")
        page.fill("#filter-where", "n_trades > 200")
        page.press("#filter-where", "Enter")
        page.wait_for_url("**where=n_trades**")
        page.wait_for_selector("#strategies-error .state", state="detached")
        page.wait_for_selector(CELL)
        page.locator(".ag-header-cell[col-id=n_trades]").click()
        page.wait_for_url("**sort=n_trades**")
        archive = archiver.open(plain.url)
        rows = [row for run in plain.runs[1:] for row in archive.load_metrics(run=run.id).to_pylist()]
        counts = [row["n_trades"] for row in rows if "l" in row["strategy_name"].lower()]
        shown = f"[{texts(FIRST)}, {texts('#strategies-status')}]"
        wanted = [[f"{max(counts):,}"], [f"{sum(one > 200 for one in counts)} of 150 strategies"]]
        until(page, shown, wanted)
        page.reload()
        until(page, shown, wanted)
        assert page.locator("#filter-where").input_value() == "n_trades > 200"
        assert page.locator("#filter-search").input_value() == "L"
        page.wait_for_selector("#export-csv[href*='where=n_trades'][href*='sort=n_trades']", state="attached")
        page.click("#filter-clear")
        page.wait_for_url(lambda address: "where=" not in address and "search=" not in address)
        page.wait_for_selector("#strategies-status:text-is('150 strategies')")
        page.wait_for_selector("#filter-clear", state="hidden")


@pytest.mark.parametrize("window", ["desk", pytest.param("phone", marks=pytest.mark.slow)])
def test_a_trade_of_the_address_and_one_that_is_clicked_are_drawn_with_their_bars(
    chromium, served, plain: Made, window
):
    path, ready = addresses(plain)["trade"]
    with opened(chromium, served, path, **{**WINDOWS[window], "color_scheme": "dark"}) as page:
        page.wait_for_selector(ready)
        until(page, "document.documentElement.scrollWidth <= window.innerWidth")
        assert page.locator("#nav").is_visible()
        assert barriers(page) == []
        page.wait_for_selector("#equity .main-svg")
        if window == "desk":
            boxes_hide_what_is_behind(page, "#equity .nsewdrag", 0.4, "dark")
            page.wait_for_selector("#equity .hoverlayer:has-text('Equity'):has-text('Drawdown')")
        page.locator("#trades-grid " + CELL).first.click()
        page.wait_for_url("**trade=0**")
        page.wait_for_selector("[aria-label='Bars around trade 1'] .main-svg")
        page.wait_for_selector("#trade-chart:has-text('Entry')")


def test_the_theme_is_chosen_and_kept(chromium, served):
    with opened(chromium, served, "/runs", color_scheme="light") as page:
        theme = "document.documentElement.dataset.theme"
        until(page, theme, "light")
        page.click("#theme")
        page.click("#theme")
        until(page, theme, "dark")
        page.reload()
        page.wait_for_selector("h1")
        until(page, theme, "dark")
        until(page, texts("#theme-name"), ["Dark theme"])


def test_a_changed_archive_is_told_and_a_long_tag_stays_within_the_page(chromium, tmp_path):
    url = str(tmp_path / "growing")
    archive = archiver.open(url)
    rows = [{"strategy_name": "one", "sharpe_ratio": 1.0}]
    archive.save_universe_results("u", rows, code="none", tags=["t" * 100])
    server = Served(url)
    try:
        with opened(chromium, server.address, "/runs", viewport=PHONE) as page:
            page.wait_for_selector(".chip")
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
            page.evaluate("dash_clientside.set_props('tick', {interval: 100})")
            page.wait_for_timeout(300)
            assert page.locator("#changed a").count() == 0
            archive.save_universe_results("u", rows, code="none")
            page.wait_for_selector("#changed a")
            page.click("#changed a")
            page.wait_for_selector("text=2 runs")
    finally:
        server.close()


def nothing_ran(page: Any, name: str) -> None:
    """Hold a strategy's page to its name as text, and to nothing made of it."""
    until(page, texts("h1"), [name])
    until(page, page.title, f"{name} · archiver")
    assert page.locator("#page script, #page img, #page u").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NASTY)
def test_nasty_names_do_nothing(chromium, nasty_served, name):
    with opened(chromium, nasty_served, links.strategy("a/b <u>", name)) as page:
        nothing_ran(page, name)


def test_nasty_rows_do_nothing(chromium, nasty_served):
    with opened(chromium, nasty_served, "/strategies?scatter=1") as page:
        until(page, texts(".ag-pinned-left-cols-container a"), set(NASTY).issubset)
        page.locator(".ag-pinned-left-cols-container a", has_text="slash/").click()
        nothing_ran(page, NASTY[2])
        page.go_back()
        page.locator(".ag-pinned-left-cols-container a", has_text="<script>").click()
        nothing_ran(page, NASTY[0])


# Its short form is in test_pages: all pages over a bucket, without a browser.
@pytest.mark.slow
def test_pages_over_a_bucket_in_the_browser(chromium, moto_place: Place):
    archive = archiver.open(moto_place.url, **moto_place.options)
    archive.save_universe_results("a/b <u>", nasty_results(), top_n=6, code="none")
    server = Served(moto_place.url, **moto_place.options)
    try:
        with opened(chromium, server.address, "/bucket") as page:
            page.wait_for_selector(".entry a")
            for name in ("Overview", "Strategies"):
                page.locator("#nav a", has_text=name).click()
                page.wait_for_selector(f"h1:has-text('{name}')")
            page.locator(".ag-pinned-left-cols-container a", has_text=NASTY[3]).click()
            page.wait_for_selector(f"h1:has-text('{NASTY[3]}')")
    finally:
        server.close()


def test_a_token_opens_the_pages_once(chromium, plain: Made):
    token = "opens-" + "sesame"
    server = Served(plain.url, {"token": token})
    try:
        with opened(chromium, server.address, f"/runs?token={token}") as page:
            page.wait_for_selector("table")
            assert token not in page.url
            page.goto(server.address + "/bucket")
            page.wait_for_selector("table")
    finally:
        server.close()
