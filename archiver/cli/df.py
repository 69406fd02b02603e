"""`archiver df`: what is left on the disk, or of the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from archiver.cli.call import Call

if TYPE_CHECKING:
    from archiver.health.usage import Space


def df(
    ctx: typer.Context,
    warn: Annotated[
        str | None, typer.Option("--warn", metavar="PERCENT", help="Exit with 4 from this on.")
    ] = None,
    fail: Annotated[
        str | None,
        typer.Option("--fail", metavar="PERCENT", help="Exit with 4 and say CRITICAL from this on."),
    ] = None,
) -> None:
    """Show how full the disk of the archive is, and how much of its budget is used: a line for each.

    For a bucket, write `budget = "500GB"` into archiver.toml. Made for cron: exit code 4 when a threshold is
    crossed.
    """
    from archiver.base.humanize import size
    from archiver.cli.percent import percentage
    from archiver.health.usage import level

    call = Call.of(ctx)
    warning = None if warn is None else percentage(warn, "--warn")
    critical = None if fail is None else percentage(fail, "--fail")
    archive = call.archive()
    spaces = archive.df()
    if not spaces:
        _no_space_known(call, archive.store.url, needed=warn is not None or fail is not None)
        return
    levels = [level(space, warning, critical) for space in spaces]
    if call.json:
        documents = [_document(space, found) for space, found in zip(spaces, levels, strict=True)]
        call.print_json({"url": archive.store.url, "spaces": documents})
    else:
        for space, found in zip(spaces, levels, strict=True):
            call.print(
                f"{found.upper()} {archive.store.url}: {space.percent:.1f}% of the {space.kind} used, "
                f"{size(space.free)} of {size(space.total)} free"
            )
    if set(levels) != {"ok"}:
        raise typer.Exit(4)


def _no_space_known(call: Call, url: str, *, needed: bool) -> None:
    from archiver.errors import ConfigError

    text = f'the size of {url} is not known, and it has no budget: write budget = "500GB" into archiver.toml'
    if needed:
        raise ConfigError(text)
    if call.json:
        call.print_json({"url": url, "spaces": []})
    call.say(text)


def _document(space: Space, found: str) -> dict[str, object]:
    return {
        "kind": space.kind,
        "total": space.total,
        "used": space.used,
        "free": space.free,
        "percent": space.percent,
        "level": found,
    }
