"""Compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.web import links, parts
from archiver.web.parts import Page

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/compare"


def page(site: Site, query: links.Query) -> Page:
    """Show it."""
    return Page("Compare", parts.heading("Compare"))


def connect(app: Any, site: Site) -> None:
    """Nothing moves here."""
