"""The web application: one Dash app whose pages are made from the URL, and the API beside them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import dash
from dash import ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State
from flask import Flask

from archiver.health.verify import Report
from archiver.query.tree import Objects
from archiver.web import api, links, parts
from archiver.web.asked import look_first
from archiver.web.data import Data, Recent
from archiver.web.detail import Details
from archiver.web.pages import bucket, compare, overview, run, runs, strategies, strategy
from archiver.web.rows import Views

PAGES: tuple[ModuleType, ...] = (overview, strategies, strategy, compare, runs, run, bucket)
"""A page module has PATH, `page(site, query) -> Page`, and `connect(app, site)` for what moves on it."""
NAVIGATION = (
    ("/", "Overview", "overview"),
    ("/strategies", "Strategies", "strategies"),
    ("/compare", "Compare", "compare"),
    ("/runs", "Runs", "runs"),
    ("/bucket", "Bucket", "bucket"),
)

_INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <meta name="color-scheme" content="light dark">
    <link rel="icon" type="image/svg+xml" href="/assets/icon.svg">
    {%css%}
    <script src="/assets/early.js"></script>
  </head>
  <body>
    {%app_entry%}
    <noscript>These pages need JavaScript; the API at /api does not.</noscript>
    <footer>
      {%config%}
      {%scripts%}
      {%renderer%}
    </footer>
  </body>
</html>
"""


@dataclass(frozen=True)
class Site:
    """What all pages share: the archive as they see it, and the answers that are kept."""

    data: Data
    views: Views = field(default_factory=Views)
    details: Details = field(init=False)
    objects: Objects = field(init=False)
    _checks: Recent[tuple[Report, datetime]] = field(default_factory=lambda: Recent(1))

    def __post_init__(self) -> None:
        """Let everything read from the same archive."""
        object.__setattr__(self, "details", Details(self.data))
        object.__setattr__(self, "objects", Objects(self.data.store))

    def checked(self) -> tuple[Report, datetime]:
        """Return what a look at the structure found, without reading data, and when that was: at most an hour ago."""
        hour = int(time.time() // 3600)
        return self._checks.get(
            (self.data.version(), hour), lambda: (self.data.archive.verify(), datetime.now(UTC))
        )


def make_app(data: Data) -> tuple[Flask, Site, tuple[str, ...]]:
    """Build the application over an archive.

    Returns the WSGI application, what its pages share, and the hashes of its inline scripts for the CSP.
    """
    site = Site(data)
    server = Flask("archiver.web", static_folder=None)
    app = dash.Dash(
        "archiver.web",
        server=server,
        title="archiver",
        update_title=None,
        index_string=_INDEX,
        assets_folder="assets",
        assets_ignore=r"early\.js",
        serve_locally=True,
        suppress_callback_exceptions=True,
        compress=False,
        include_pages_meta=False,
        enable_mcp=False,
        add_log_handler=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = _shell(site.data.url)
    _connect(app, site)
    for module in PAGES:
        module.connect(app, site)
    server.register_blueprint(api.blueprint(site))
    look_first(server, app, {module.PATH for module in PAGES})
    hashes = tuple(f"'{part}'" if not part.startswith("'") else part for part in app.csp_hashes())
    return server, site, hashes


def _shell(url: str) -> Any:
    """Return what stands around every page."""
    unreachable = html.Div(
        [html.Span(), html.A("Reload", href="", className="button", **{"data-reload": "true"})],
        id="unreachable",
        className="banner",
        role="alert",
        hidden=True,
    )
    page = dcc.Loading(
        html.Main(parts.waiting(lines=6), id="page", tabIndex="-1"),
        delay_show=400,
        custom_spinner=html.Div(
            html.P("No answer yet: a store that is slow or away is asked again for a while."),
            className="spinner",
        ),
        overlay_style={"visibility": "visible", "opacity": 0.6},
        target_components={"page": "children"},
    )
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="title"),
            dcc.Store(id="version"),
            dcc.Interval(id="tick", interval=20_000),
            html.A("Skip to content", href="#page", className="skip"),
            _side(url),
            html.Div(
                [unreachable, html.Div(id="changed", className="banner", role="status"), page],
                className="body",
            ),
        ],
        className="shell",
    )


def _side(url: str) -> Any:
    """Return the ways to the pages, which archive this is, and the switch between light and dark."""
    items = [
        html.A([html.Span(className=f"glyph glyph-{icon}"), html.Span(text)], href=path, className="nav-item")
        for path, text, icon in NAVIGATION
    ]
    theme = html.Button(
        [html.Span(className="glyph glyph-theme"), html.Span("Theme", id="theme-name")],
        id="theme",
        type="button",
        className="nav-item",
        title="Light, dark, or as the system has it",
    )
    where = html.P(["Archive", html.Code(url, title=url)], className="where")
    return html.Aside(
        [
            html.A([html.Span(className="mark"), html.Span("archiver")], href="/", className="brand"),
            html.Nav(items, id="nav", **{"aria-label": "Pages"}),
            html.Div([where, theme], className="side-foot"),
        ],
        className="side",
    )


def _connect(app: Any, site: Site) -> None:
    by_path: dict[str, ModuleType] = {module.PATH: module for module in PAGES}

    def show(pathname: str | None, search: str | None) -> tuple[Any, str, str]:
        module = by_path.get((pathname or "/").rstrip("/") or "/")
        try:
            if module is None:
                return parts.no_page(pathname or "/"), "Not found · archiver", ""
            page: parts.Page = module.page(site, links.read(search))
        except Exception as error:  # noqa: BLE001 - a page shows a state, never a traceback
            page = parts.failed_page(error)
        return page.content, f"{page.title} · archiver", _version(site)

    app.callback(
        Output("page", "children"),
        Output("title", "data"),
        Output("version", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
    )(show)

    def changed(_: int | None, shown: str | None) -> Any:
        if not shown or _version(site) in ("", shown):
            return None
        return [
            "The archive has changed since this page was loaded. ",
            html.A("Reload", href="", className="button", **{"data-reload": "true"}),
        ]

    app.callback(Output("changed", "children"), Input("tick", "n_intervals"), State("version", "data"))(
        changed
    )
    script: Callable[..., Any] = ClientsideFunction
    app.clientside_callback(
        script("archiver", "arrived"),
        Output("nav", "data-at"),
        Input("title", "data"),
        State("url", "pathname"),
    )


def _version(site: Site) -> str:
    try:
        return site.data.version()
    except Exception:  # noqa: BLE001 - the page itself says what is wrong
        return ""
