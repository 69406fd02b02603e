"""Tags as callers give them."""

from __future__ import annotations

from collections.abc import Iterable

from archiver.errors import ConfigError
from archiver.format import layout


def tags_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags sorted, each once; one text is one tag. Raises ConfigError for what is no text or too long."""
    labels = (tags,) if isinstance(tags, str) else tuple(tags)
    for label in labels:
        if not isinstance(label, str):
            raise ConfigError(f"the tag {label!r} is no text: give names")
        layout.quote(label)
    return tuple(sorted(set(labels)))
