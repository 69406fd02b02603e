"""Addresses of pages: everything a page shows stands in its URL, so that it can be shared and survives reload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlencode

from archiver.errors import ConfigError

Query = dict[str, list[str]]


class Choice(NamedTuple):
    """A strategy that a comparison is made of; without a run, the newest."""

    universe: str
    strategy: str
    run: str = ""


def href(path: str, **parameters: str | int | Iterable[str] | None) -> str:
    """Return the address of a page or of the API, given from the root; empty parameters are left out, lists are repeated.

    It is relative, and every page is one step deep: so it holds below any path that a proxy may serve the pages at.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        values = [value] if isinstance(value, str | int) else list(value or ())
        pairs += [(name.rstrip("_"), str(item)) for item in values if item != ""]
    return (path.lstrip("/") or "./") + (f"?{urlencode(pairs)}" if pairs else "")


def read(search: str | None) -> Query:
    """Read the part of an address that begins with `?`."""
    try:
        return parse_qs((search or "").lstrip("?"), max_num_fields=200, errors="replace")
    except ValueError:
        raise ConfigError("the address has more than 200 parameters: shorten it") from None


def first(query: Query, name: str, default: str = "") -> str:
    """Return the first value of a parameter."""
    return query.get(name, [default])[0]


def whole(query: Query, name: str, default: int) -> int:
    """Return a parameter as a whole number. Raises ConfigError for anything else."""
    text = first(query, name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ConfigError(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def strategy(universe: str, name: str, run: str | None = None) -> str:
    """Return the address of a strategy's page."""
    return href("/strategy", universe=universe, name=name, run=run)


def run(run: str, **more: str | None) -> str:
    """Return the address of a run's page."""
    return href("/run", id=run, **more)


def compare(choices: Iterable[Choice]) -> str:
    """Return the address of a comparison."""
    return href("/compare", strategy=[choice_text(choice) for choice in choices])


def choice_text(choice: Choice) -> str:
    """Write a choice as one text: names percent-quoted, parts between `/`."""
    return "/".join(quote(part, safe="", errors="surrogatepass") for part in choice if part)


def read_choice(text: str) -> Choice:
    """Read what `choice_text` wrote. Raises ConfigError for anything else."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ConfigError(
            f"{text[:80]!r} names no strategy: write universe/strategy or universe/strategy/run"
        )
    try:
        return Choice(*(unquote(part, errors="strict") for part in parts))
    except UnicodeDecodeError:
        raise ConfigError(f"{text[:80]!r} names no strategy: it is not valid Unicode") from None
