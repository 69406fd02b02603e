"""`archiver import`: take over results in the formats that people have."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from archiver.base.humanize import counted
from archiver.cli.call import Call
from archiver.errors import IntegrityError

if TYPE_CHECKING:
    from archiver.interop.importing import Report


def import_(
    ctx: typer.Context,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH|URL",
            help="A folder, a .json, .parquet, .zip or .fthypt file, or the same at a URL.",
        ),
    ],
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", help="Tag the runs; `pinned` protects them.")
    ] = None,
    top_n: Annotated[
        int,
        typer.Option(
            "--top-n",
            min=0,
            help="Details to keep of a universe, where its file has those of all strategies; "
            "details in files of their own are all kept.",
        ),
    ] = 50,
) -> None:
    """Import results from an old format, as runs; the files stay as they are.

    Reads all_strategies_metrics.json with detailed_trades/, *_backtest.json, *_backtest.parquet with its
    _metadata.json, merged metrics as Parquet, folders YYYYMMDD_HHMMSS_mmm/{results,code,metadata}, and results of
    freqtrade (zip, .json, .fthypt) and Lean (folders of backtests). What was imported
    before is not imported again. Damaged files are named, and the exit code is 3.
    """
    call = Call.of(ctx)
    archive = call.archive()
    with call.progress("import", unit="bytes") as step:
        report = archive.import_from(path, tags=tag or (), top_n=top_n, step=step)
    if call.json:
        call.print_json({"outcomes": [asdict(outcome) for outcome in report.outcomes]})
    else:
        _print(call, report)
    _sum_up(call, report, archive.store.url)
    if not report.ok:
        raise typer.Exit(IntegrityError.exit_code)


def _print(call: Call, report: Report) -> None:
    from archiver.cli.output import print_table

    rows = [
        [one.universe, one.run, one.strategies, one.detailed, one.source] for one in report.of("imported")
    ]
    if rows:
        print_table(["universe", "run", "strategies", "detailed", "source"], rows)
    for status in ("present", "skipped", "damaged"):
        for one in report.of(status):
            where = f"{one.source} ({one.universe})" if one.universe else one.source
            call.say(f"{status}: " + (one.why if one.why.startswith(one.source) else f"{where}: {one.why}"))


def _sum_up(call: Call, report: Report, url: str) -> None:
    counts = {status: len(report.of(status)) for status in ("imported", "present", "skipped", "damaged")}
    call.say(
        f"{counted(counts['imported'], 'run')} imported into {url}, {counts['present']} there already, "
        f"{counts['skipped']} skipped, {counts['damaged']} damaged"
    )
