"""`archiver verify`: is everything there, and is it what it was?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archiver.cli.call import Call
from archiver.errors import FormatError, IntegrityError

if TYPE_CHECKING:
    from archiver.health.verify import Report


def verify(
    ctx: typer.Context,
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read every object and compare its sha256.")
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="SHARE", help="Read only so many of the objects, by chance: 5%."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FILE",
            help="Read all data, keep in FILE how far reading came, and go on from there.",
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Set broken records aside, and write down in the others which details are gone."
        ),
    ] = False,
) -> None:
    """Check that every object a run needs is there in its right size; with --read-data, that no bit has changed.

    Exit code 3 means damage, 11 that all would be well for a later version of archiver. Details that a rule of the
    bucket removed (expired) or that are in a bundle (archived) are not damage. --repair deletes nothing: records that
    cannot be read or whose metrics are gone are set aside in quarantine/; where only details are gone, the run's record
    says so from then on, and copies and bundles of the run go on without them. What reading data found is kept in the archive, where it may be written, for the pages of `archiver serve`.
    """
    from archiver.cli.percent import share

    call = Call.of(ctx)
    part = None if sample is None else share(sample, "--sample")
    archive = call.archive()
    reading = bool(read_data or sample or resume)
    with call.progress("reading" if reading else "looking") as step:
        report = archive.verify(
            read_data, sample=part, resume=resume, repair=repair, remember=True, step=step
        )
    if call.json:
        call.print_json(_document(report))
    else:
        _show(call, report, reading=reading)
    if not report.ok:
        raise typer.Exit((FormatError if report.newer else IntegrityError).exit_code)


def _show(call: Call, report: Report, *, reading: bool) -> None:
    from archiver.base.humanize import counted, size
    from archiver.cli.output import print_table

    if report.problems:
        rows = [[problem.run, problem.key, problem.what] for problem in report.problems]
        print_table(["run", "object", "what"], rows)
    for run in report.expired:
        call.say(f"{run}: details expired by a rule of the bucket")
    for run in report.archived:
        call.say(f"{run}: details archived in the bundle {report.bundles[run]}")
    for key in report.quarantined:
        call.say(f"{key} was set aside in quarantine/")
    for run in report.reduced:
        call.say(f"{run}: its record says now that its details are gone")
    read = f", {report.read:,} of them read ({size(report.bytes)})" if reading else ""
    verdict = "all is well" if report.ok else counted(len(report.problems), "problem")
    call.say(f"{counted(report.runs, 'run')}, {counted(report.objects, 'object')}{read}: {verdict}")


def _document(report: Report) -> dict[str, object]:
    return {
        "ok": report.ok,
        "runs": report.runs,
        "objects": report.objects,
        "read": report.read,
        "bytes": report.bytes,
        "problems": [{"run": one.run, "object": one.key, "what": one.what} for one in report.problems],
        "expired": report.expired,
        "archived": report.archived,
        "quarantined": report.quarantined,
        "reduced": report.reduced,
    }
