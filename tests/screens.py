"""Driving the terminal app as a user does: keys go in, what is on the screen comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from archiver.archive import Archive
from archiver.tui import Browse
from archiver.tui.page import Page
from archiver.tui.table import Table

_LOOK = 0.002
"""Seconds after which it is looked again whether the app has done what it was told."""


class Screens:
    """A running app."""

    def __init__(self, app: Browse, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys one by one, each when the page has read what it shows."""
        for key in keys:
            await self._pilot.press(key)
            await self.settle()

    async def write(self, text: str) -> None:
        """Type a text into the line that waits for it."""
        await self._pilot.press(*(_NAMES.get(char, char) for char in text), "enter")
        await self.settle()

    async def settle(self) -> None:
        """Wait until the page in front has read."""
        for _ in range(10_000):
            await self._pilot.pause()
            page = self.app.screen
            # A page that was just put in front has no turn yet, and seems to have nothing to read.
            if not isinstance(page, Page) or (page._turn and not self.state.startswith("reading ")):
                await self._pilot.pause()
                return
            await asyncio.sleep(_LOOK)
        raise AssertionError(f"still {self.state}")

    async def until(self, read: Callable[[], object], wanted: object) -> None:
        """Wait for what a page that follows is to show."""
        for _ in range(5_000):
            await self._pilot.pause()
            if read() == wanted:
                return
            await asyncio.sleep(_LOOK)
        raise AssertionError(f"it stays {read()!r}, wanted {wanted!r}")

    @property
    def page(self) -> Page[object]:
        assert isinstance(self.app.screen, Page)
        return self.app.screen

    @property
    def state(self) -> str:
        """What stands in place of the body; empty where the body is there."""
        return _text(self.page.query_one("#state", Static)).strip()

    @property
    def told(self) -> str:
        """The line below the body."""
        return _text(self.page.query_one("#seen", Static))

    def rows(self, table: str = "table") -> list[list[str]]:
        """Return the rows of a table as far as they are made."""
        widget = self.page.query_one(f"#{table}", Table)
        return [[cell.plain for cell in widget.get_row_at(at)] for at in range(widget.row_count)]

    def text(self) -> str:
        """All that is on the screen."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())


_NAMES = {" ": "space", ">": "greater_than_sign", "<": "less_than_sign", "_": "underscore", ".": "full_stop"}


def _text(static: Static) -> str:
    return str(static.render())


def walk(
    archive: Archive, steps: Callable[[Screens], Awaitable[None]], *, size: tuple[int, int] = (120, 36)
) -> None:
    """Start the app on an archive and take some steps in it."""

    async def run() -> None:
        app = Browse(archive)
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            screens = Screens(app, pilot)
            await screens.settle()
            await steps(screens)

    with pytest.MonkeyPatch.context() as patch:
        # Else each key waits four times for a fiftieth of a second in which the app does nothing.
        patch.setattr("textual._wait.SLEEP_GRANULARITY", _LOOK)
        patch.setattr("textual._wait.SLEEP_IDLE", _LOOK / 20)
        asyncio.run(run())
