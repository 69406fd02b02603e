"""What was probably meant: the end of an error about a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LEAST = 0.6
"""How alike two names must be at least, as difflib counts it."""


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "") -> str:
    """Return `; did you mean 'x'?` for the known name that is most like the one given; `otherwise` where none is."""
    lower = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), lower, 1, _LEAST) if isinstance(name, str) else []
    found = [lower[text] for text in near if lower[text] != name]
    return f"; did you mean {found[0]!r}?" if found else otherwise
