"""What Dash is asked, looked at before it answers: it fails at a forged callback, and takes any path for a page."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, abort, redirect, request

from archiver.web.guard.security import CALLBACKS
from archiver.web.words import links

_OF_DASH = ("/_dash-component-suites/", "/_dash-layout", "/_dash-dependencies", CALLBACKS)
"""All that the pages ask of Dash; its other addresses are for those who develop with it."""
_ANY_PAGE = "/<path:path>"
_OF_VALUES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_NOWHERE = """<!DOCTYPE html>
<html lang="en">
  <head><title>Not found · archiver</title><link rel="stylesheet" href="{up}assets/style.css"></head>
  <body class="body"><h1>There is no such page</h1><p><a href="{up}./">Overview</a></p></body>
</html>
"""
log = logging.getLogger("archiver.web")


def look_first(server: Flask, app: Any, pages: Collection[str]) -> None:
    """Answer 404 where there is no page of these, 400 to callbacks that no page of ours makes."""

    def refuse() -> None:
        path = request.path
        if path.startswith("/_") and not path.startswith(_OF_DASH):
            abort(404)
        if path == CALLBACKS and not _is_known(app.callback_map, request.get_json(silent=True)):
            abort(400, "no page asks for that")

    def shallow() -> Any:
        """Lead from `/runs/` to `/runs`: addresses in our pages are relative, for pages that are one step deep."""
        if request.endpoint != _ANY_PAGE or "/" not in request.path[1:]:
            return None
        name = request.path.strip("/")
        if "/" not in name:
            return redirect(links.href(f"../{quote(name)}", **request.args.to_dict(flat=False)))
        up = "../" * request.path[1:].count("/")
        return Response(_NOWHERE.format(up=up), 404, mimetype="text/html")

    def tell(answer: Response) -> Response:
        # The page itself says so in words; its status tells programs.
        if request.endpoint == _ANY_PAGE and request.path.rstrip("/") not in pages:
            answer.status_code = 404
        return answer

    server.before_request(refuse)
    server.before_request(shallow)
    server.after_request(tell)
    server.register_error_handler(Exception, _failed)


def _failed(error: Exception) -> Any:
    """Pass answers on that are errors already. What a callback cannot take is the visitor's fault, else it is ours."""
    from dash.exceptions import DependencyException
    from werkzeug.exceptions import HTTPException, NotFound

    if isinstance(error, HTTPException):
        return error
    if isinstance(error, DependencyException):  # a file that no package of ours has
        return NotFound()
    forged = request.path == CALLBACKS and isinstance(error, _OF_VALUES)
    log.log(
        logging.WARNING if forged else logging.ERROR, "unexpected error at %s", request.path, exc_info=error
    )
    text = (
        "these values cannot be taken" if forged else "something went wrong: the server's log has the reason"
    )
    return Response(f"{text}\n", 400 if forged else 500, mimetype="text/plain")


def _is_known(callbacks: dict[str, Any], body: Any) -> bool:
    """Tell whether a request has the shape of one of our callbacks: its output, and every input by its name."""
    if not isinstance(body, dict) or not isinstance(body.get("output"), str):
        return False
    known = callbacks.get(body["output"])
    changed = body.get("changedPropIds", [])
    if known is None or "callback" not in known:
        return False
    if not isinstance(changed, list) or not all(isinstance(name, str) for name in changed):
        return False
    several = body["output"].startswith("..")
    outputs = body.get("outputs")
    if _names(outputs if several else [outputs]) != body["output"].strip(".").split("..."):
        return False
    return all(_names(body.get(kind, [])) == _names(known[kind]) for kind in ("inputs", "state"))


def _names(parts: Any) -> list[str] | None:
    """Return `id.property` of each part, None for what is none."""
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return None
    return [f"{part.get('id')}.{part.get('property')}" for part in parts]
