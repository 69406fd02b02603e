"""Pages that follow: while one shows a run that is open, it is made anew whenever the archive has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import ClientsideFunction, dcc, no_update
from dash.dependencies import Input, Output, State

_MILLISECONDS = 3_000


def parts_of_shell() -> list[Any]:
    """Return what ticks; the browser switches it on where a page has something marked `live`."""
    return [dcc.Interval(id="pulse", interval=_MILLISECONDS, disabled=True)]


def connect(app: Any, version: Callable[[], str], show: Callable[[str, str], tuple[Any, str, str]]) -> None:
    """Make the page anew when it follows; `show` gives a page's content, title and version."""

    def follow(_: int | None, seen: str | None, pathname: str | None, search: str | None) -> Any:
        now = version()
        if not now or now == seen:
            return no_update, no_update
        content, _title, made_of = show(pathname or "", search or "")
        return content, made_of

    app.callback(
        Output("page", "children", allow_duplicate=True),
        Output("version", "data", allow_duplicate=True),
        Input("pulse", "n_intervals"),
        State("version", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )(follow)
    app.clientside_callback(
        ClientsideFunction("runs", "follows"), Output("pulse", "disabled"), Input("version", "data")
    )
