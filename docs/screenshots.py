"""Take the pictures in docs/images, with chromium on the PATH.

The archive in them is the demo's search over real prices, saved in three runs a universe as it grew.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import archiver
from archiver.demo import SOURCE, UNIVERSES, jobs, search

IMAGES = Path(__file__).resolve().with_name("images")
ARCHIVE = "backtests"
LIGHT = ("overview", "strategies", "trade", "compare", "run", "code", "parameters", "luck", "bucket")
POLICY = """
[[policy]]
name = "nightly"
keep_last = 2
keep_tags = ["release"]
"""


def build() -> None:
    """Search, and save what was found as three runs a universe; the oldest is what a policy would remove."""
    archive = archiver.open(ARCHIVE)
    found: dict[str, list[dict[str, Any]]] = {universe: [] for universe in UNIVERSES}
    tasks = jobs()
    for (universe, _, _), result in zip(tasks, search(tasks), strict=True):
        found[universe].append(result)
    for share, tags, line in (
        (0.5, ["nightly"], "0.95"),
        (0.8, ["nightly"], "0.9"),
        (1.0, ["nightly", "pinned"], "0.95"),
    ):
        code = Path("code", "strategies.py")
        code.parent.mkdir(parents=True, exist_ok=True)
        code.write_text(SOURCE.read_text().replace("size=0.95", f"size={line}"))
        for universe, results in found.items():
            count = int(len(results) * share)
            archive.save_universe_results(
                universe,
                results[:count],
                top_n=25,
                code=code,
                tags=tags,
                params={"grid": "fast x slow, length x width", "share": share},
                note=f"{share:.0%} of the grid",
            )


@contextmanager
def served() -> Iterator[str]:
    """Serve the archive on a free port, under a name that tells nothing of this machine."""
    from archiver.web.reading.data import Data
    from archiver.web.server import make_server

    # A store knows its folder by the whole path, which is nobody's business in a picture.
    Data.url = property(lambda _: ARCHIVE)  # type: ignore[method-assign, assignment]
    Path("archiver.toml").write_text(f'url = "{ARCHIVE}"\n{POLICY}')
    server = make_server(archiver.open(read_only=True), port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def pages(archive: archiver.Archive) -> Iterator[tuple[str, str, str]]:
    """Yield (name, address, what to wait for)."""
    from archiver.web.words import links

    newest, middle = (archive.runs(universe="goog_daily")[at] for at in (0, 1))
    best = [name for _, name in archive.detailed_strategies("goog_daily")][:3]
    choices = [links.Choice("goog_daily", name, newest.id) for name in best[:2]]
    choices.append(links.Choice("goog_daily", best[0], middle.id))
    rows = ".ag-center-cols-container .ag-cell.figure"
    yield "overview", "/", "#prune .state, #prune table"
    yield "strategies", links.href("/strategies", scatter="1", x="max_drawdown_pct", y="sharpe_ratio"), rows
    yield "strategy", links.strategy("goog_daily", best[0]), ".calendar"
    yield (
        "trade",
        links.href("/strategy", universe="goog_daily", name=best[0], trade="4"),
        "#trade-chart .main-svg",
    )
    yield "compare", links.compare(choices), "#compare-curves .main-svg"
    yield "run", links.run(newest.id), "table"
    yield "code", links.run(newest.id, view="code"), ".source"
    yield "parameters", links.href("/parameters", universe="goog_daily"), "#robust-place table"
    yield "luck", links.run(newest.id, view="luck"), "#luck-ranks .main-svg"
    yield "bucket", "/bucket", "table"


def shoot(address: str, archive: archiver.Archive) -> None:
    """Take every page light, some dark, some as a phone shows them."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("chromium is not on the PATH: install it first")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width, height, wanted in (
            ("light", 1280, 860, set(LIGHT)),
            ("dark", 1280, 860, {"strategy"}),
            ("light", 390, 844, {"overview"}),
        ):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            for name, path, ready in pages(archive):
                if name not in wanted:
                    continue
                page = context.new_page()
                page.goto(f"{address}/{path.lstrip('/')}")
                page.wait_for_selector(ready, timeout=30_000)
                page.wait_for_selector(".js-plotly-plot .main-svg, #page:not(:has(.chart))", timeout=30_000)
                if name == "trade":
                    page.locator("#trade-view").scroll_into_view_if_needed()
                    page.locator("#trade-view").evaluate("node => window.scrollTo(0, node.offsetTop - 60)")
                page.wait_for_timeout(1_500)
                suffix = ("-dark" if scheme == "dark" else "") + ("-phone" if width < 600 else "")
                page.screenshot(path=IMAGES / f"{name}{suffix}.png")
                page.close()
            context.close()
        browser.close()


def main() -> None:
    """Make the archive and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="where the archive is, or is made; without one it is made in a folder that is removed afterwards",
    )
    given: Path | None = parser.parse_args().folder
    folder = given.resolve() if given else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with chdir(folder):
            if not Path(ARCHIVE).exists():
                build()
            with served() as address:
                shoot(address, archiver.open(ARCHIVE, read_only=True))
    finally:
        if given is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
