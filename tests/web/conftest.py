"""Archives that pages are tested on: a plain one, a nasty one, and pages over them."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import pytest
from werkzeug.test import Client

import archiver
from archiver.errors import ConfigError
from archiver.web.guard.security import Guard, rules_for
from archiver.web.server import make_server, make_wsgi
from tests.benchmarks import workload
from tests.stores import details_in_objects

NASTY = (
    "<script>alert(1)</script>",
    "quote\"and'apostrophe",
    "slash/../and\\backslash",
    "emoji 🚀 and ünïcode",
    "x" * 300,
    "=cmd()|' /C calc'!A0",
)
UNIVERSE = "universe_001_5min_5lb"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}


class Made(NamedTuple):
    """An archive on disk and its results."""

    url: str
    results: list[dict[str, Any]]
    runs: tuple[archiver.Run, ...]


def nasty_results() -> list[dict[str, Any]]:
    rows = []
    for at, name in enumerate(NASTY):
        rows.append(
            {
                "strategy_name": name,
                "sharpe_ratio": [float("nan"), float("inf"), -float("inf"), 1.5, 0.5, -1.0][at],
                "<b>metric</b>": f"<img src=x onerror=alert({at})>",
                "n_trades": 0 if at == 0 else 3,
                "equity_curve": [] if at == 0 else [1.0, float("nan"), 3.0, float("inf"), 2.0],
                "drawdown_curve": [] if at == 0 else [0.0, 0.0, -1.0],
                "trades_detailed": []
                if at == 0
                else [
                    {"entry_time": "<i>never</i>", "pnl": float("nan"), "note": "</script><script>alert(2)"}
                ]
                * 3,
            }
        )
    rows.append({"strategy_name": "not kept", "sharpe_ratio": -9.0, "<b>metric</b>": None, "n_trades": 1})
    return rows


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two universes, one saved twice; one strategy of each has detail with bars."""
    folder = tmp_path_factory.mktemp("plain")
    code = folder / "strategy.py"
    url = str(folder / "backtests")
    archive = archiver.open(url)
    results = workload.universe(1, 120, top=8, trades=60, bars=4_000)
    runs = []
    for size, tags in ((80, ["nightly"]), (120, ["nightly", "pinned"])):
        code.write_text(f"SIZE = {size}\n\n\ndef trade():\n    return 'text'  # a comment\n")
        with details_in_objects():
            run = archive.save_universe_results(
                UNIVERSE,
                results[:size],
                top_n=5,
                tags=tags,
                code=code,
                params={"size": size},
                note=f"{size} strategies",
            )
        runs.append(run)
    runs.append(archive.save_universe_results("other", workload.universe(2, 30, top=0), code=code))
    return Made(url, results, tuple(runs))


@pytest.fixture(scope="session")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Names, values and metrics that would break a careless page."""
    url = str(tmp_path_factory.mktemp("nasty") / "backtests")
    archive = archiver.open(url)
    run = archive.save_universe_results(
        "a/b <u>", nasty_results(), top_n=6, tags=["<tag>"], note="<b>note</b>", code="none"
    )
    return Made(url, nasty_results(), (run,))


def guarded(url: str, token: str | None = None, host: str = "127.0.0.1", **options: Any) -> Guard:
    return make_wsgi(archiver.open(url, read_only=True, **options), rules_for(host, token))


@pytest.fixture(scope="session")
def client(plain: Made) -> Client:
    """Give a client of the pages over the plain archive."""
    return Client(guarded(plain.url))


@pytest.fixture(scope="session")
def nasty_client(nasty: Made) -> Client:
    """Give a client of the pages over the nasty archive."""
    return Client(guarded(nasty.url))


# Ends what a page does by itself.
_BE_STILL = "stop(); for (let id = setTimeout(() => 0); id; id--) clearTimeout(id)"
# Of the pages' own site: to go to about:blank ends a page's process, and the next one compiles 8 MB of scripts again.
# No server is asked, not for an icon either: one that wants a token refuses, and the browser may complain of it later.
_BLANK = "/assets/blank"


def _nothing(route: Any) -> None:
    route.fulfill(body='<link rel="icon" href="data:,">', content_type="text/html")


class Windows:
    """A browser with one page for each kind of window: a desk's, and a phone's that is touched.

    A page that is opened anew starts a process, and reads and compiles all scripts again.
    """

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self._pages: dict[str, Any] = {}

    @contextmanager
    def page(
        self, address: str, viewport: Any = DESK, color_scheme: str | None = None, **options: Any
    ) -> Iterator[Any]:
        """Give the page of this kind of window at a server; what another test left in it is forgotten.

        What the page before was still loading is nobody's complaint: its end is over when this one is given.
        """
        kind = repr(sorted(options.items()))
        page = self._pages.pop(kind, None)
        if page is None:
            # A bar that slides for as long as a slow machine takes makes it slower.
            page = self.browser.new_context(reduced_motion="reduce", **options).new_page()
            page.set_default_timeout(30_000)
        try:
            page.route(address + _BLANK, _nothing)
            page.goto(address + _BLANK)
            page.unroute_all()  # while any address is watched, nothing is kept in the browser's cache
            page.context.clear_cookies()
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
            page.set_viewport_size(viewport)
            page.emulate_media(color_scheme=color_scheme or "light", media="null")
            yield page
            page.evaluate(_BE_STILL)
            page.unroute_all()
        except BaseException:
            page.context.close()  # who knows what state it is in
            raise
        self._pages[kind] = page

    def new_context(self, **options: Any) -> Any:
        """Return a window that shares nothing with others."""
        return self.browser.new_context(**options)


# Scripts run for a second or two a page: to optimize them takes longer than it saves, to forget what was compiled too.
_CHEAP = [
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",
    "--js-flags=--no-opt --no-maglev --no-flush-bytecode",
]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Windows]:
    """Give the system's browser, one for all files: it keeps their scripts, as a visitor's does.

    Not longer than for these: Playwright has a loop of asyncio run meanwhile, and no other can.
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("chromium is not installed")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHEAP)
        yield Windows(browser)
        browser.close()


class Served:
    """A server in a thread of its own, where one that was closed has been: a browser compiles scripts for each port."""

    _left: ClassVar[list[int]] = []

    def __init__(self, url: str, pages: dict[str, Any] | None = None, **options: Any) -> None:
        """Open the archive with some options, and serve it with those for `pages`."""
        archive = archiver.open(url, read_only=True, **options)
        try:
            self.server = make_server(archive, port=self._left.pop() if self._left else 0, **(pages or {}))
        except ConfigError:  # someone else has taken it meanwhile
            self.server = make_server(archive, port=0, **(pages or {}))
        self.address = f"http://127.0.0.1:{self.server.port}"
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.close()
        self._thread.join(10)
        self._left.append(self.server.port)


@pytest.fixture(scope="module")
def served(plain: Made) -> Iterator[str]:
    """Serve the plain archive."""
    server = Served(plain.url)
    yield server.address
    server.close()


@pytest.fixture(scope="module")
def nasty_served(nasty: Made) -> Iterator[str]:
    """Serve the nasty archive."""
    server = Served(nasty.url)
    yield server.address
    server.close()


def until(page: Any, read: str | Callable[[], Any], wanted: Any = True) -> None:
    """Wait for an expression, or what a function returns, to be as wanted: a value, or a function that accepts it.

    A page that draws again takes elements away between two questions, so what belongs together is read by one
    expression; one that fails, as what it looks into is not there, is tried again. Playwright's own way to wait for one needs what the pages' policy forbids.
    """
    tried = (
        f"(() => {{ try {{ return [true, {read}]; }} catch (error) {{ return [false, String(error)]; }} }})()"
    )
    for _ in range(300):
        is_there, seen = page.evaluate(tried) if isinstance(read, str) else (True, read())
        if is_there and (wanted(seen) if callable(wanted) else seen == wanted):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"it stays {seen!r}, wanted {wanted!r}: {read}")


def texts(selector: str) -> str:
    """Return an expression for the texts of what a selector finds, from top to bottom."""
    return (
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".map(n => [n.getBoundingClientRect().top, n.innerText]).sort((a, b) => a[0] - b[0]).map(one => one[1])"
    )


def asking(path: str, query: str = "") -> dict[str, Any]:
    """Return what the browser sends to ask for a page."""
    return {
        "output": "..page.children...title.data...version.data..",
        "outputs": [
            {"id": "page", "property": "children"},
            {"id": "title", "property": "data"},
            {"id": "version", "property": "data"},
        ],
        "inputs": [
            {"id": "url", "property": "pathname", "value": path},
            {"id": "url", "property": "search", "value": query},
        ],
        "changedPropIds": ["url.pathname"],
    }


def callback(client: Client, path: str, query: str = "") -> Any:
    """Ask for a page as the browser does; returns its content as JSON text."""
    answer = client.post("/_dash-update-component", json=asking(path, query))
    assert answer.status_code == 200, answer.text
    return answer.json["response"]
