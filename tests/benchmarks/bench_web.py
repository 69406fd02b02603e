"""Time the pages over 25 universes of 10,000 strategies: `python -m tests.benchmarks.bench_web [FOLDER]`.

The archive is made in FOLDER unless it is there. Times of answers are seen by an HTTP client, those of pages by
Chromium, from the start of the server's process.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import archiver
from tests.benchmarks import workload

UNIVERSES, STRATEGIES = 25, 10_000
COMMAND = "from archiver.cli import main; raise SystemExit(main())"


def build(url: str) -> None:
    archive = archiver.open(url)
    for at in range(UNIVERSES):
        detail = {"top": 50, "trades": 1404} if at == 0 else {"top": 3, "trades": 200}
        results = workload.universe(at, STRATEGIES, **detail)
        archive.save_universe_results(f"universe_{at + 1:03d}_5min_5lb", results, code="none")


class Running:
    """A server process over an archive."""

    def __init__(self, url: str) -> None:
        self.began = time.perf_counter()
        command = [sys.executable, "-c", COMMAND, "--url", url, "--json", "serve", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        text = ""
        assert self.process.stdout is not None
        while "}" not in text:
            text += self.process.stdout.readline()
        self.address = json.loads(text)["url"].rstrip("/")

    def memory(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000

    def rows(self, sort: list[tuple[str, str]], **ask: Any) -> float:
        """Ask for a block of the table as the page does; returns milliseconds."""
        columns = ["composite_score", "sharpe_ratio", "total_return", "max_drawdown", "n_trades"]
        request = {"startRow": 0, "endRow": 100, "sortModel": [{"colId": c, "sort": s} for c, s in sort]}
        body = {
            "output": "strategies-grid.getRowsResponse",
            "outputs": {"id": "strategies-grid", "property": "getRowsResponse"},
            "inputs": [{"id": "strategies-grid", "property": "getRowsRequest", "value": request}],
            "state": [{"id": "ask", "property": "data", "value": {"columns": columns, **ask}}],
            "changedPropIds": ["strategies-grid.getRowsRequest"],
        }
        return self._timed("/_dash-update-component", json.dumps(body).encode())

    def page(self, path: str, query: str = "") -> float:
        """Ask for a page's content as the browser does; returns milliseconds."""
        names = (("page", "children"), ("title", "data"), ("version", "data"))
        body = {
            "output": "..page.children...title.data...version.data..",
            "outputs": [{"id": name, "property": prop} for name, prop in names],
            "inputs": [
                {"id": "url", "property": "pathname", "value": path},
                {"id": "url", "property": "search", "value": query},
            ],
            "changedPropIds": ["url.pathname"],
        }
        return self._timed("/_dash-update-component", json.dumps(body).encode())

    def get(self, path: str) -> float:
        return self._timed(path, None)

    def _timed(self, path: str, body: bytes | None) -> float:
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/json"})
        began = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            answer.read()
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def seen(url: str, path: str, ready: str) -> tuple[float, float]:
    """Return the seconds from the start of the server to its address, and to a useful page in the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto("about:blank")
        server = Running(url)
        up = time.perf_counter() - server.began
        page.goto(server.address + path)
        page.wait_for_selector(ready)
        shown = time.perf_counter() - server.began
        server.close()
        browser.close()
    return up, shown


def scrolled(server: Running) -> float:
    """Return the milliseconds from a click on a header to sorted rows in the browser, over all rows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(server.address + "/strategies?columns=sharpe_ratio,n_trades&sort=sharpe_ratio")
        cell = ".ag-center-cols-container [row-index='0'] [col-id=n_trades]"
        page.wait_for_selector(cell)
        page.wait_for_timeout(1500)
        before = page.locator(cell).inner_text()
        began = time.perf_counter()
        page.locator(".ag-header-cell[col-id=n_trades]").click()
        while page.locator(cell).inner_text() in (before, ""):
            time.sleep(0.002)
        took = (time.perf_counter() - began) * 1000
        browser.close()
    return took


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    url = str(folder)
    if not (folder / "archive.json").exists():
        build(url)
    best = archiver.open(url, read_only=True).detailed_strategies("universe_001_5min_5lb")[0]
    query = "?" + urlencode({"universe": best[0], "name": best[1]})

    firsts = [seen(url, "/", "#best td") for _ in range(3)]
    print(f"start to address            {statistics.median(up for up, _ in firsts):6.2f} s")
    print(f"start to overview with best {statistics.median(shown for _, shown in firsts):6.2f} s")
    rows = [seen(url, "/strategies", ".ag-center-cols-container .ag-cell.figure")[1] for _ in range(3)]
    print(f"start to strategies' rows   {statistics.median(rows):6.2f} s")

    server = Running(url)
    server.page("/strategies")
    print(f"memory, one page            {server.memory():6.0f} MB")
    metrics = ["sharpe_ratio", "max_drawdown", "total_return", "n_trades", "regime", "tail_ratio", "skew"]
    sorts = [server.rows([(name, "desc")]) for name in metrics]
    several = [server.rows([("regime", "asc"), (name, "desc")]) for name in metrics if name != "regime"]
    filters = [server.rows([], where=f"sharpe_ratio > {at / 10} and n_trades >= 30") for at in range(7)]
    both = [
        server.rows([("total_return", "desc")], search=f"L{n}", where="n_trades > 99")
        for n in (5, 8, 13, 21, 34)
    ]
    paged = [server.rows([("sharpe_ratio", "desc")]) for _ in range(7)]
    for name, found in (
        ("sort 250,000 rows", sorts), ("sort by two columns", several), ("filter", filters),
        ("search, filter, sort", both), ("next page of the same", paged),
    ):  # fmt: skip
        print(f"{name:<27} {statistics.median(found):6.0f} ms (worst {max(found):.0f})")
    print(f"sort as seen in the browser {scrolled(server):6.0f} ms")
    first = server.page("/strategy", query)
    print(f"strategy page, first        {first:6.0f} ms")
    print(f"strategy page, again        {server.page('/strategy', query):6.0f} ms")
    print(f"overview page               {server.page('/'):6.0f} ms")
    print(f"metrics as Arrow, all       {server.get('/api/metrics?format=arrow'):6.0f} ms")
    path = f"/api/trades/{quote(best[0])}/{quote(best[1])}?format=json"
    print(f"trades as JSON              {server.get(path):6.0f} ms")
    print(f"memory, after all of this   {server.memory():6.0f} MB")
    server.close()


if __name__ == "__main__":
    main()
