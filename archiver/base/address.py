"""URLs as text: which kind they are, and what of them may be shown."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\-]*)(?=://|::)")
_LOCAL = {"", "file", "local"}
_CONTAINERS = {"abfs", "abfss", "az", "wasb", "wasbs"}
"""Schemes that write a container, not a user, before the `@`."""


def scheme_of(url: str) -> str:
    """Return a URL's scheme (the outermost of a chained one), or an empty text for a plain path.

    Blanks before it, which a line of a file or a variable may have, make a URL no path: it would be a folder here.
    """
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def is_local(url: str) -> bool:
    """Tell whether a URL names a folder that this machine mounts."""
    return scheme_of(url) in _LOCAL


def shown_url(url: str) -> str:
    """Return a URL, chained or not, without user, password, query and fragment."""
    return "::".join(_without_secrets(part) for part in url.split("::"))


def _without_secrets(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    known = scheme_of(url)
    if not (mark and known) or (known in _LOCAL and rest.startswith(("/", "localhost/"))):
        return url
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    user, _, place = rest.rpartition("@")
    # A password may hold a slash; a container has no colon; a path may hold an @.
    if ":" in user or ("/" not in user and scheme.lower() not in _CONTAINERS):
        rest = place
    scheme = scheme.lstrip()
    return f"{scheme}://{rest.rstrip('/')}" if rest.strip("/") else f"{scheme}://{rest}"
