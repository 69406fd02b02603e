"""`archiver doctor`: can an archive live here?"""

from __future__ import annotations

import dataclasses

import typer

from archiver.cli.call import Call


def doctor(ctx: typer.Context) -> None:
    """Try the store with objects of its own, clean up, and say what archiver does without what is missing.

    Ends with 14 when something that an archive needs is missing. Nothing but the scratch prefix doctor/ is touched.
    """
    from archiver.cli.output import print_table
    from archiver.health.doctor import SCRATCH

    call = Call.of(ctx)
    archive = call.archive()
    if not call.json:
        call.say(f"trying {archive.store.url} with objects below {SCRATCH}")
    with call.progress("probes") as step:
        findings = archive.doctor(step=step)
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
        missing = [finding.probe for finding in findings if not finding.sound]
        call.say(
            f"an archive cannot live here: {', '.join(missing)}" if missing else "an archive can live here"
        )
    if not sound:
        raise typer.Exit(14)
