"""The line of keys at the foot of a page."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen
from textual.widgets import Footer


class Keys(Footer):
    """Textual's footer, made anew only where the keys have changed: else every move makes a dozen widgets anew."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Any] | None = None

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Show the keys that can be used now."""
        keys = [
            (active.binding, active.enabled)
            for active in screen.active_bindings.values()
            if active.binding.show
        ]
        if keys != self._shown and screen.app.app_focus:
            self._shown = keys
            super().bindings_changed(screen)
