"""Take the pictures of `archiver browse` in docs/images: `python docs/terminal_pictures.py ARCHIVE`."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import archiver
from archiver.tui import Browse
from archiver.tui.page import Page

IMAGES = Path(__file__).with_name("images")
WAYS = {
    "browse-strategies": ["down", "enter", "enter"],
    "browse-strategy": ["enter"],
    "browse-space": ["escape", "escape", "escape", "d"],
}


async def take(url: str) -> None:
    """Walk through the archive and keep what is seen."""
    # Under another name: where the archive lies on this machine is nobody's business.
    shown = archiver.open("memory://backtests")
    archiver.open(url, read_only=True).copy_to(shown)
    app = Browse(archiver.open("memory://backtests", read_only=True))
    async with app.run_test(size=(120, 34)) as pilot:
        for name, keys in WAYS.items():
            for key in keys:
                await pilot.press(key)
                await _settle(app)
            svg = app.export_screenshot(title="archiver browse")
            # The fonts would be fetched from elsewhere: whoever looks has a monospace one.
            svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
            (IMAGES / f"{name}.svg").write_text(svg.replace("Fira Code", "monospace"))


async def _settle(app: Browse) -> None:
    for _ in range(500):
        await asyncio.sleep(0.02)
        page = app.screen
        if isinstance(page, Page) and page.query_one("#body").display:
            await asyncio.sleep(0.3)
            return
    raise SystemExit("the page does not come: is there an archive with runs?")


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1]))
