"""Shares and percentages in options: both may be written with a percent sign."""

from __future__ import annotations

from archiver.errors import ConfigError


def share(text: str, option: str) -> float:
    """Read `5%` or `0.05` as a share, 0 to 1. Raises ConfigError, naming the option."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{option} is {text!r}: give a share such as 5% or 0.05")
    return value


def percentage(text: str, option: str) -> float:
    """Read `80` or `80%` as a percentage, 0 to 100. Raises ConfigError, naming the option."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ConfigError(f"{option} is {text!r}: give a percentage, 0 to 100, such as 80%")
    return value
