"""`archiver doctor`: can an archive live here?"""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Annotated

import typer

from archiver.cli.call import Call
from archiver.errors import StorageError


class _Role(StrEnum):
    READER = "reader"
    WRITER = "writer"
    PRUNER = "pruner"


def doctor(
    ctx: typer.Context,
    role: Annotated[
        _Role | None,
        typer.Option("--role", help="Whose work these credentials are for. Default: whatever they may do."),
    ] = None,
) -> None:
    """Try the store with objects of its own, clean up, and say what archiver does without what is missing.

    Ends with 14 when something that an archive needs is missing. Nothing but the scratch prefix code/doctor/ is
    touched; with --role reader nothing is written. Who may write and not delete leaves a few small objects there, used
    again the next time.
    """
    from archiver.cli.output import print_table
    from archiver.health.doctor import SCRATCH, verdict

    call = Call.of(ctx)
    archive = call.archive()
    if not call.json:
        call.say(f"trying {archive.store.url} with objects below {SCRATCH}")
    with call.progress("probes") as step:
        findings = archive.doctor(None if role is None else role.value, step=step)
    sound = all(finding.sound for finding in findings)
    if call.json:
        call.print_json(
            {
                "url": archive.store.url,
                "ok": sound,
                "findings": [dataclasses.asdict(finding) for finding in findings],
            }
        )
    else:
        rows = [
            [
                finding.probe,
                finding.state,
                finding.detail,
                "" if finding.state in ("ok", "none") else finding.without,
            ]
            for finding in findings
        ]
        print_table(["probe", "", "what was found", "without it"], rows)
        call.say(verdict(findings))
    if not sound:
        raise typer.Exit(StorageError.exit_code)
