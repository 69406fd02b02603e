"""Pages that follow: while one shows a run that is open, it is made anew whenever the archive has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import ClientsideFunction, dcc
from dash.dependencies import Input, Output, State

_MILLISECONDS = 3_000


def parts_of_shell() -> list[Any]:
    """Return what ticks; the browser switches it on where a page has something marked `live`."""
    return [
        dcc.Interval(id="pulse", interval=_MILLISECONDS, disabled=True),
        dcc.Store(id="pulsed"),
        dcc.Store(id="followed"),
    ]


def connect(app: Any, version: Callable[[], str], show: Callable[[str, str], tuple[Any, str, str]]) -> None:
    """Make the page anew when it follows; `show` gives a page's content, title and version.

    The browser asks again only after an answer, for of two questions Dash drops the first one's: a page that takes longer
    than a tick would never come. And it shows an answer only where the page is still the one that it was asked for.
    """

    def follow(asked: Any) -> Any:
        asked = asked if isinstance(asked, dict) else {}
        now, at = version(), asked.get("at")
        if not now or now == asked.get("version"):
            return {"at": at}
        content, _title, made_of = show(str(asked.get("path") or ""), str(asked.get("search") or ""))
        return {"at": at, "content": content, "version": made_of}

    def script(name: str) -> Any:
        return ClientsideFunction("runs", name)

    app.clientside_callback(
        script("pulse"),
        Output("pulsed", "data"),
        Input("pulse", "n_intervals"),
        State("version", "data"),
        prevent_initial_call=True,
    )
    app.callback(Output("followed", "data"), Input("pulsed", "data"), prevent_initial_call=True)(follow)
    app.clientside_callback(
        script("followed"),
        Output("page", "children", allow_duplicate=True),
        Output("version", "data", allow_duplicate=True),
        Input("followed", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(script("follows"), Output("pulse", "disabled"), Input("version", "data"))
