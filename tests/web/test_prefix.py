"""The pages below a path, as a notebook's proxy serves them: links, files, callbacks and cookies hold there."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from werkzeug.test import Client

import archiver
from archiver.errors import ConfigError
from archiver.web.guard.security import Guard, Rules, rules_for
from archiver.web.server import make_server
from tests.web.conftest import Made, Served
from tests.web.test_browser import CELL, opened

PREFIX = "/user/ann/proxy/8050"


@contextmanager
def proxy(port: int, *, strips: bool, keeps_host: bool) -> Iterator[str]:
    """Serve a server's answers below PREFIX, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            if not self.path.startswith(PREFIX + "/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if keeps_host or name != "Host"}
            path = self.path.removeprefix(PREFIX) if strips else self.path
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as behind:
                try:
                    behind.request(self.command, path, body or None, headers)
                    found = behind.getresponse()
                    data = found.read()
                # A page that is left asks on while its server ends.
                except (OSError, http.client.HTTPException):
                    self.send_error(502)
                    return
            self.send_response(found.status)
            for name, value in found.getheaders():
                if name not in ("Content-Length", "Transfer-Encoding", "Connection"):
                    self.send_header(name, value)
            if found.status != 304:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815 - as http.server names them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}{PREFIX}"
    server.shutdown()
    thread.join()
    server.server_close()


def _go_on(page, address):
    """Go from the overview to a strategy, a trade, a comparison, back, and save its trades."""
    page.locator("#best a", has_text="All strategies").click()
    page.wait_for_selector(CELL)
    page.locator(".ag-pinned-left-cols-container a").first.click()
    page.wait_for_selector("#equity .main-svg")
    page.locator("#trades-grid " + CELL).first.click()
    page.wait_for_selector("#trade-chart .main-svg")
    page.reload()
    page.wait_for_selector("#trade-chart .main-svg")
    assert page.url.startswith(f"{address}/strategy?")
    page.locator(".actions a", has_text="Compare").click()
    page.wait_for_selector("#compare-add")
    page.go_back()
    page.wait_for_selector("#history table")
    with page.expect_download() as waited:
        page.locator(".menu summary").click()
        page.locator(".menu-item", has_text="Trades as CSV").click()
    assert waited.value.suggested_filename.endswith("-trades.csv")


TOLD = {"names": ["localhost"], "prefix": PREFIX + "/", "token": "some" * 4}


@pytest.mark.parametrize(
    ("strips", "keeps_host", "options", "far"),
    [
        pytest.param(True, True, {}, True, marks=pytest.mark.slow),
        (True, False, TOLD, False),
        pytest.param(True, False, TOLD, True, marks=pytest.mark.slow),
        pytest.param(False, True, {"prefix": PREFIX}, True, marks=pytest.mark.slow),
    ],
)
def test_every_way_through_the_pages_holds_below_a_path(
    chromium, plain: Made, strips, keeps_host, options, far
):
    server = Served(plain.url, pages=options)
    with proxy(server.server.port, strips=strips, keeps_host=keeps_host) as address:
        entry = f"?token={options['token']}" if "token" in options else ""
        with opened(chromium, address, f"/runs{entry}") as page:
            page.wait_for_selector("table")
            page.locator("#nav a", has_text="Overview").click()
            page.wait_for_selector("#best table")
            page.wait_for_selector("#nav a[aria-current]:has-text('Overview')")
            assert page.url == f"{address}/"
            cookies = page.context.cookies()
            assert [cookie["path"] for cookie in cookies] == ([f"{PREFIX}/"] if entry else [])
            if far:
                _go_on(page, address)
            page.wait_for_load_state("networkidle")
    server.close()


def passed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


@pytest.mark.parametrize("given", [PREFIX, PREFIX + "/"])
def test_a_prefix_is_taken_off_where_a_proxy_leaves_it(given):
    client = Client(Guard(passed, rules_for("127.0.0.1", None, prefix=given)))
    for asked, seen in (
        (f"{PREFIX}/", "/"),
        (f"{PREFIX}/api/runs", "/api/runs"),
        ("/api/runs", "/api/runs"),
        (f"{PREFIX}0/x", f"{PREFIX}0/x"),
    ):
        assert client.get(asked, headers={"Host": "localhost"}).text == seen
    moved = client.get(f"{PREFIX}?a=b", headers={"Host": "localhost"})
    assert (moved.status_code, moved.headers["Location"]) == (308, f"{PREFIX}/?a=b")
    assert client.post(f"{PREFIX}/api/runs", headers={"Host": "localhost"}).status_code == 405


def test_a_page_of_a_named_host_may_ask_and_no_other():
    rules = rules_for("127.0.0.1", None, ["hub.example"])
    client = Client(Guard(passed, rules))
    for origin, status in (
        ("https://hub.example", 200),
        ("https://hub.example.evil.example", 403),
        ("https://evil.example", 403),
        ("http://[::1", 403),
        ("http://localhost:9999", 403),
    ):
        assert client.get("/", headers={"Host": "127.0.0.1:8050", "Origin": origin}).status_code == status
    there = {"Host": "127.0.0.1:8050", "Origin": "https://hub.example", "Sec-Fetch-Site": "same-site"}
    assert client.get("/api", headers=there).status_code == 403
    assert Client(Guard(passed, Rules())).get("/", headers=there).status_code == 403


@pytest.mark.parametrize("prefix", ["user", "//evil.example", "/a b", "/a;x", "/a\n", "/a?b", "/é"])
def test_a_prefix_that_is_no_path_is_refused(prefix, plain: Made):
    with pytest.raises(ConfigError, match="prefix"):
        rules_for("127.0.0.1", None, prefix=prefix)
    with pytest.raises(ConfigError, match="prefix"):
        make_server(archiver.open(plain.url, read_only=True), port=0, prefix=prefix)
