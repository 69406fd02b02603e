"""Answers made small: compressed where the browser takes that; scripts and styles are sent once and then kept there."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.http import generate_etag

from archiver.web.reading.data import Recent

_FILES = ("/assets/", "/_dash-component-suites/")
_YEAR = 365 * 86400
_LEAST, _MOST = 1_000, 32_000_000
"""Shorter answers gain nothing by compression; longer ones would hold up all others."""
_LEVEL = 4
"""Half the time of the usual 6 for 4 % more bytes: the first page waits for two megabytes of scripts."""
_PLAIN = ("text/", "application/json", "application/javascript", "image/svg")
_HERE = Path(__file__).parent


@lru_cache(maxsize=64)
def named(path: str) -> str:
    """Return the address of one of our own files by its content: `assets/page.js?v=...`."""
    return f"{path}?v={hashlib.sha256((_HERE / path).read_bytes()).hexdigest()[:16]}"


def answers(server: Flask) -> None:
    """Compress what a server answers, and let browsers keep the files that do not change."""
    kept: Recent[bytes] = Recent(64)

    def smaller(answer: Response) -> Response:
        if request.path.startswith(_FILES) and answer.status_code == 200:
            return _file(answer, kept)
        if not answer.is_streamed and not answer.direct_passthrough and _can_shrink(answer):
            # What is made for one visitor is not looked at for long.
            _set(answer, gzip.compress(answer.get_data(), _LEVEL))
        return answer

    server.after_request(smaller)


def _file(answer: Response, kept: Recent[bytes]) -> Response:
    """Answer with a file: compressed once for all, for a year where its name tells its content, else asked for again."""
    answer.direct_passthrough = False
    data = answer.get_data()
    tag = generate_etag(data)
    for_ever = "v" in request.args or answer.cache_control.max_age
    answer.headers["Cache-Control"] = f"max-age={_YEAR}, immutable" if for_ever else "no-cache"
    if _can_shrink(answer):
        _set(answer, kept.get(tag, lambda: gzip.compress(data, _LEVEL)))
    # Weak: the same file compressed and as it is are two answers.
    answer.set_etag(tag, weak=True)
    return answer.make_conditional(request)


def _can_shrink(answer: Response) -> bool:
    if answer.headers.get("Content-Encoding") or not (answer.mimetype or "").startswith(_PLAIN):
        return False
    answer.vary.add("Accept-Encoding")
    return "gzip" in request.accept_encodings and _LEAST <= len(answer.get_data()) <= _MOST


def _set(answer: Response, data: bytes) -> None:
    answer.set_data(data)
    answer.headers["Content-Encoding"] = "gzip"
