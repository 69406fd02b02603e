"""The web application: one Dash app whose pages are made from the URL, and the API beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import dash
from dash import ClientsideFunction, dcc, html
from dash.dependencies import Input, Output, State
from flask import Flask, redirect

from archiver.web import compression, following
from archiver.web.api import routes
from archiver.web.elements import parts
from archiver.web.guard.asked import look_first
from archiver.web.pages import (
    bucket,
    compare,
    overview,
    parameters,
    portfolio,
    run,
    runs,
    samples,
    strategies,
    strategy,
)
from archiver.web.reading.data import Data
from archiver.web.reading.site import Site
from archiver.web.words import links

PAGES: tuple[ModuleType, ...] = (
    overview,
    strategies,
    strategy,
    parameters,
    samples,
    compare,
    portfolio,
    runs,
    run,
    bucket,
)
"""A page module has PATH, `page(site, query) -> Page`, and `connect(app, site)` for what moves on it."""
NAVIGATION = (
    ("/", "Overview", "overview"),
    ("/strategies", "Strategies", "strategies"),
    ("/parameters", "Parameters", "parameters"),
    ("/samples", "Samples", "samples"),
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
    <link rel="icon" type="image/svg+xml" href="assets/icon.svg">
    {%css%}
    <script src="assets/early.js"></script>
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


class _App(dash.Dash):  # type: ignore[misc]  # Dash has no types
    """Dash, with addresses in its page that hold below any path a proxy may serve it at: every page is one step deep."""

    def interpolate_index(self, **given: str) -> str:
        """Return the page with relative addresses; our own files by names that change as they do."""
        page = re.sub(r'(src|href)="/', r'\1="', super().interpolate_index(**given))
        page = re.sub(r'("requests_pathname_prefix":)"[^"]*"', r'\1"./"', page)
        return re.sub(r'="(assets/[^"?]+)[^"]*"', lambda found: f'="{compression.named(found[1])}"', page)


def make_app(data: Data) -> tuple[Flask, Site, tuple[str, ...]]:
    """Build the application over an archive.

    Returns the WSGI application, what its pages share, and the hashes of its inline scripts for the CSP.
    """
    site = Site(data)
    server = Flask("archiver.web", static_folder=None)
    # Else it would lead to an address that does not hold behind a proxy.
    server.url_map.merge_slashes = False
    app = _App(
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
    server.register_blueprint(routes.blueprint(site))
    # Browsers ask for it where no page names an icon, such as around a file that they show.
    server.add_url_rule("/favicon.ico", "icon", lambda: redirect("assets/icon.svg"))
    look_first(server, app, {module.PATH for module in PAGES})
    compression.answers(server)
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
            *following.parts_of_shell(),
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
        html.A(
            [html.Span(className=f"glyph glyph-{icon}"), html.Span(text)],
            href=links.href(path),
            className="nav-item",
        )
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
            html.A(
                [html.Span(className="mark"), html.Span("archiver")], href=links.href("/"), className="brand"
            ),
            html.Nav(items, id="nav", **{"aria-label": "Pages"}),
            html.Div([where, theme], className="side-foot"),
        ],
        className="side",
    )


def _connect(app: Any, site: Site) -> None:
    by_path: dict[str, ModuleType] = {module.PATH: module for module in PAGES}

    def show(pathname: str | None, search: str | None) -> tuple[Any, str, str]:
        module = by_path.get("/" + (pathname or "").rsplit("/", 1)[-1])
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

    following.connect(app, lambda: _version(site), show)

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
    )


def _version(site: Site) -> str:
    try:
        return site.data.version()
    except Exception:  # noqa: BLE001 - the page itself says what is wrong
        return ""
