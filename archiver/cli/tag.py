"""`archiver tag RUN TAG` and `archiver untag RUN TAG`."""

from __future__ import annotations

from typing import Annotated

import typer

from archiver.cli import complete
from archiver.cli.call import Call

_Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Run id, or its beginning.", autocompletion=complete.runs)
]
_Tag = Annotated[str, typer.Argument(metavar="TAG", help="The tag.", autocompletion=complete.tags)]


def tag(ctx: typer.Context, run: _Run, tag: _Tag) -> None:
    """Label a run; the tag `pinned` protects it from every policy."""
    call = Call.of(ctx)
    archive = call.archive()
    found = archive.run(run)
    archive.tag(found.id, tag)
    _report(call, found.id, tag, added=True, before=tag in found.tags)


def untag(ctx: typer.Context, run: _Run, tag: _Tag) -> None:
    """Take a label off a run."""
    from archiver.errors import NotFoundError

    call = Call.of(ctx)
    archive = call.archive()
    found = archive.run(run)
    if tag not in found.tags:
        has = f"it has {', '.join(found.tags)}" if found.tags else "it has none"
        raise NotFoundError(f"{found.id} has no tag {tag!r}: {has}")
    archive.untag(found.id, tag)
    _report(call, found.id, tag, added=False)


def _report(call: Call, run: str, tag: str, *, added: bool, before: bool = False) -> None:
    if call.json:
        call.print_json({"run": run, "tag": tag, "tagged": added})
    else:
        done = ("was tagged already" if before else "tagged") if added else "no longer tagged"
        call.say(f"{run}: {done} {tag}")
