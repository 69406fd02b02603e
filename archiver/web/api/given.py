"""What the parameters of a request say."""

from __future__ import annotations

from flask import request

from archiver.errors import ConfigError


def yes(name: str) -> bool:
    """Tell whether a parameter says so. Raises ConfigError for what is neither yes nor no."""
    text = request.args.get(name, "").lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise ConfigError(f"{name} must be 1 or 0, not {text[:40]!r}")
    return text in ("1", "true", "yes")


def whole(name: str, default: int) -> int:
    """Return a parameter as a whole number, the default where it is not given. Raises ConfigError for anything else."""
    text = request.args.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ConfigError(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def text(name: str) -> str | None:
    """Return a parameter; None where it is not given, or empty."""
    return request.args.get(name) or None
