"""Shell completion of names that are in the archive. It never fails and never talks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING

import typer

from archiver.base.humanize import printable

if TYPE_CHECKING:
    from archiver.archive import Archive

_ENOUGH = 200


def _names(ctx: typer.Context, incomplete: str, read: Callable[[Archive], Iterable[str]]) -> list[str]:
    import archiver

    try:
        names = read(archiver.open(ctx.find_root().params.get("url")))
        fit = {name for name in names if name.startswith(incomplete) and name == printable(name)}
        return sorted(fit)[:_ENOUGH]
    except Exception:  # noqa: BLE001  # a shell that waits for names has no use for an error
        return []


def _nothing(_unread: object) -> None:
    """Say nothing of what cannot be read."""


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a run id."""
    return _names(ctx, incomplete, lambda archive: [run.id for run in archive.runs(errors=_nothing)])


def universes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a universe."""
    return _names(ctx, incomplete, lambda archive: [run.universe for run in archive.runs(errors=_nothing)])


def tags(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a tag; `pinned` is always offered."""
    return _names(
        ctx,
        incomplete,
        lambda archive: ["pinned", *chain.from_iterable(run.tags for run in archive.runs(errors=_nothing))],
    )


def strategies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a strategy whose details were kept."""
    return _names(
        ctx, incomplete, lambda archive: [name for _, name in archive.detailed_strategies(errors=_nothing)]
    )
