"""Every page in a real browser: nothing on the console, nothing from elsewhere, reachable for everyone."""

from __future__ import annotations

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


def addresses(plain: Made) -> dict[str, tuple[str, str]]:
    """Return every page's address and what shows that it is done."""
    names = [name for _, name in archiver.open(plain.url).detailed_strategies(UNIVERSE)][:2]
    choices = [links.Choice(UNIVERSE, names[0]), links.Choice(UNIVERSE, names[1], plain.runs[1].id)]
    kept = set(names)
    other = next(
        r["strategy_name"]
        for r in plain.results[::-1]
        if r["strategy_name"] not in kept and "composite_score" not in r
    )
    return {
        "overview": ("/", "#health dl, #health .state"),
        "strategies": ("/strategies", CELL),
        "scatter": ("/strategies?scatter=1", "#cloud .points path"),
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


PAGES = [
    "overview", "strategies", "scatter", "strategy", "trade", "without detail", "compare", "compare runs",
    "nothing to compare", "runs", "run", "code", "provenance", "objects", "bucket", "object", "nowhere",
]  # fmt: skip


WINDOWS = {
    "desk": {"viewport": DESK, "color_scheme": "light"},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "dark"},
}


# Each page in each window; in every run, every page in one of them.
@pytest.mark.parametrize(
    ("name", "window"),
    [
        pytest.param(name, window, marks=[pytest.mark.slow] if (at + number) % 2 else [])
        for at, name in enumerate(PAGES)
        for number, window in enumerate(WINDOWS)
    ],
)
def test_pages_come_up_clean_and_for_everyone(chromium, served, plain: Made, name, window):
    path, ready = addresses(plain)[name]
    with opened(chromium, served, path, **WINDOWS[window]) as page:
        page.wait_for_selector(ready)
        until(page, "document.documentElement.scrollWidth <= window.innerWidth")
        assert page.locator("#nav").is_visible()
        assert barriers(page) == []


def test_sort_filter_and_search_stand_in_the_address(chromium, served, plain: Made):
    with opened(chromium, served, "/strategies?columns=n_trades,sharpe_ratio") as page:
        page.wait_for_selector(CELL)
        page.fill("#filter-search", "L")
        page.fill("#filter-where", "n_trades > 200")
        page.press("#filter-where", "Enter")
        page.wait_for_url("**where=n_trades**")
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


def test_a_wrong_filter_is_told_beside_it_and_mended(chromium, served):
    with opened(chromium, served, "/strategies?where=sharp_ratio+%3E+1") as page:
        page.wait_for_selector("#strategies-error .state:has-text('did you mean')")
        page.fill("#filter-where", "sharpe_ratio > 0")
        page.press("#filter-where", "Enter")
        page.wait_for_selector("#strategies-error .state", state="detached")
        page.wait_for_selector(CELL)


def test_columns_are_chosen_and_remembered(chromium, served):
    # A size that no other test has: a window of its own, in which nothing was ever remembered.
    with opened(chromium, served, "/strategies", viewport={"width": 1290, "height": 860}) as page:
        page.wait_for_selector(CELL)
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
        page.goto(served + "/strategies")
        page.wait_for_selector(CELL)
        page.wait_for_url("**kurtosis**")


def test_chosen_rows_go_to_the_comparison(chromium, served):
    with opened(chromium, served, "/strategies") as page:
        page.wait_for_selector(CELL)
        boxes = page.locator(".ag-pinned-left-cols-container input[type=checkbox]")
        boxes.nth(0).click()
        boxes.nth(1).click()
        page.locator("#compare-selected", has_text="Compare 2").click()
        page.wait_for_selector("#compare-curves .main-svg")
        assert page.url.count("strategy=") == 2


def test_the_keyboard_is_enough(chromium, served):
    with opened(chromium, served, "/strategies") as page:
        page.wait_for_selector(CELL)
        page.keyboard.press("/")
        until(page, "document.activeElement.id", "filter-search")
        page.locator(".ag-pinned-left-cols-container [row-index='0'] [col-id=strategy_name]").press(
            "ArrowDown"
        )
        until(page, "document.activeElement.closest('[row-index=\"1\"]') !== null")
        page.keyboard.press("Enter")
        page.wait_for_url("**/strategy?**")
        page.wait_for_selector("#equity .main-svg")
        page.go_back()
        page.wait_for_selector(CELL)
        page.keyboard.press("Tab")


def test_a_click_on_a_trade_draws_its_bars(chromium, served, plain: Made):
    path, _ = addresses(plain)["strategy"]
    with opened(chromium, served, path) as page:
        page.locator("#trades-grid " + CELL).first.click()
        page.wait_for_selector("#trade-chart .main-svg")
        page.wait_for_url("**trade=0**")
        page.wait_for_selector("#trade-chart:has-text('Entry')")
        page.reload()
        page.wait_for_selector("#trade-chart .main-svg")


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


def test_links_lead_on_without_loading_everything_anew(chromium, served):
    with opened(chromium, served, "/") as page:
        page.wait_for_selector("#best table")
        page.evaluate("window.stayed = true")
        page.locator("#nav a", has_text="Runs").click()
        page.wait_for_selector("h1:has-text('Runs')")
        until(page, page.title, "Runs · archiver")
        page.go_back()
        page.wait_for_selector("h1:has-text('Overview')")
        assert page.evaluate("window.stayed") is True


def test_a_changed_archive_is_told(chromium, plain: Made, tmp_path):
    url = str(tmp_path / "growing")
    archive = archiver.open(url)
    archive.save_universe_results("u", [{"strategy_name": "one", "sharpe_ratio": 1.0}], code="none")
    server = Served(url)
    try:
        with opened(chromium, server.address, "/runs") as page:
            archive.save_universe_results("u", [{"strategy_name": "two", "sharpe_ratio": 2.0}], code="none")
            page.evaluate("dash_clientside.set_props('tick', {n_intervals: 1})")
            page.wait_for_selector("#changed a")
            page.click("#changed a")
            page.wait_for_selector("text=2 runs")
    finally:
        server.close()


@pytest.mark.parametrize(
    "name", [*NASTY[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in NASTY[2:])]
)
def test_nasty_names_do_nothing(chromium, nasty_served, name):
    with opened(chromium, nasty_served, links.strategy("a/b <u>", name)) as page:
        until(page, texts("h1"), [name])
        until(page, page.title, f"{name} · archiver")
        assert page.locator("#page script, #page img, #page u").count() == 0


def test_nasty_rows_do_nothing(chromium, nasty_served):
    with opened(chromium, nasty_served, "/strategies?scatter=1") as page:
        until(page, texts(".ag-pinned-left-cols-container a"), set(NASTY).issubset)
        page.locator(".ag-pinned-left-cols-container a", has_text="slash/").click()
        page.wait_for_selector("h1:has-text('slash/')")


@pytest.mark.parametrize(
    "paths",
    [
        ["/strategies", links.strategy("a/b <u>", NASTY[3])],
        pytest.param(["/", "/bucket"], marks=pytest.mark.slow),
    ],
    ids=["strategies", "others"],
)
def test_pages_over_a_bucket_in_the_browser(chromium, moto_place: Place, paths):
    archive = archiver.open(moto_place.url, **moto_place.options)
    archive.save_universe_results("a/b <u>", nasty_results(), top_n=6, code="none")
    server = Served(moto_place.url, **moto_place.options)
    try:
        for path in paths:
            with opened(chromium, server.address, path) as page:
                page.wait_for_selector("h1")
    finally:
        server.close()


def test_a_token_opens_the_pages_once(chromium, plain: Made):
    import threading

    from archiver.web.server import make_server

    token = "opens-" + "sesame"
    server = make_server(archiver.open(plain.url, read_only=True), port=0, token=token)
    threading.Thread(target=server.run, daemon=True).start()
    address = f"http://127.0.0.1:{server.port}"
    try:
        with opened(chromium, address, f"/runs?token={token}") as page:
            page.wait_for_selector("table")
            assert token not in page.url
            page.goto(address + "/bucket")
            page.wait_for_selector("table")
    finally:
        server.close()


def test_the_calendar_fits_a_phone_with_every_month_named(chromium, served, plain: Made):
    name = archiver.open(plain.url).detailed_strategies(UNIVERSE)[0][1]
    with opened(
        chromium, served, links.strategy(UNIVERSE, name), viewport=PHONE, is_mobile=True, has_touch=True
    ) as page:
        page.wait_for_selector(".calendar")
        until(page, "document.querySelector('.calendar').scrollWidth <= innerWidth")
        box = "document.querySelector('.calendar').parentNode"
        until(page, f"{box}.scrollWidth <= {box}.clientWidth")
        cells = "[...document.querySelector('.calendar tbody tr').querySelectorAll('td[data-month]')]"
        said = page.evaluate(f"{cells}.map(one => getComputedStyle(one, '::before').content)")
        assert (len(said), said[0]) == (12, '"Jan"')
