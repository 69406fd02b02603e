"""Runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.web import links, parts
from archiver.web.parts import Page

if TYPE_CHECKING:
    from archiver.web.site import Site

PATH = "/runs"


def page(site: Site, query: links.Query) -> Page:
    """Show it."""
    return Page("Runs", parts.heading("Runs"))


def connect(app: Any, site: Site) -> None:
    """Nothing moves here."""
