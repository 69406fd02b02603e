"""How the archive is composed: a method of a part is one of the archive's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from archiver.runs.packs import looking_again

if TYPE_CHECKING:
    from archiver.archive import Archive

P = ParamSpec("P")
R = TypeVar("R")
Part = TypeVar("Part")


def by(
    part: Callable[[Archive], Part], method: Callable[Concatenate[Part, P], R]
) -> Callable[Concatenate[Archive, P], R]:
    """Return a part's method as one of the archive: one signature, one text, one room for what it does."""

    def call(archive: Archive, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(part(archive), *args, **kwargs)

    update_wrapper(call, method)
    call.__qualname__ = f"Archive.{method.__name__}"
    return call


def reading(
    part: Callable[[Archive], Part], method: Callable[Concatenate[Part, P], R]
) -> Callable[Concatenate[Archive, P], R]:
    """Return what `by` does, of a method that changes nothing: it looks again where a pack went while it read."""
    return looking_again(by(part, method))
