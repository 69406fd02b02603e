"""`archiver export`: write results for other tools, or in the old layout."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from archiver.base.humanize import counted
from archiver.cli.call import Call
from archiver.cli.options import History, Newest, Run, SafeCsv, Universe

if TYPE_CHECKING:
    from archiver.interop.export import Tiered


def export(
    ctx: typer.Context,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="json, csv, jsonl, parquet or tiered-json; else what the file's suffix says, json without one.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER|URL",
            help="Where to: a file or its URL, for tiered-json a folder or its URL.",
        ),
    ] = None,
    universe: Universe = None,
    run: Run = None,
    history: History = False,
    newest: Newest = "strategy",
    safe_csv: SafeCsv = False,
) -> None:
    """Write the metrics of all strategies, or everything in the old tiered layout.

    The same archive gives the same bytes: rows are in order of universe and strategy; `json` has one metric a line, made
    for `git diff`. `tiered-json` writes all_strategies_metrics.json and one file a strategy in detailed_trades/.
    What cannot be read is named and left out; the exit code is then 3 (damaged) or 14 (refused).
    """
    from archiver.cli.output import data_out
    from archiver.errors import ConfigError
    from archiver.interop.export_to import format_of

    call = Call.of(ctx)
    chosen = format_of(form, output)
    if output is None and call.json and chosen not in ("json", "tiered-json"):
        raise ConfigError(f"--json prints one JSON document, not {chosen}: leave out --json or -f {chosen}")
    if output is None and chosen == "tiered-json":
        raise ConfigError("tiered-json needs a folder or URL: give -o")
    if output is None and chosen == "parquet" and sys.stdout.isatty():
        raise ConfigError("Parquet is not text: name a file with -o, or pipe the output")
    archive = call.archive()
    if run is None:
        call.require_universe(archive, universe)
    out = data_out(text=chosen == "csv")
    with call.progress("export") as step:
        done = archive.export(
            output or out,
            chosen,
            universe=universe,
            run=run,
            history=history,
            safe_csv=safe_csv,
            newest=newest,
            errors=call.unread,
            step=step,
        )
    if done.tiered is not None:
        _tell(call, done.tiered)
    if output is None:
        out.flush()
        return
    details = "" if done.tiered is None else f" and {counted(done.tiered.details, 'detail')}"
    call.say(f"{counted(done.strategies, 'strategy', 'strategies')}{details} -> {done.place}")


def _tell(call: Call, done: Tiered) -> None:
    """Say what became of the details."""
    if call.json:
        call.print_json(dataclasses.asdict(done))
    if done.renamed:
        call.say(
            f"{len(done.renamed)} details could not have their strategy's plain name, such as {done.renamed[0]}.json: "
            "another universe has the name, or no file can have it"
        )
    if done.archived:
        call.say(
            f"details in bundles are not written: `archiver bundle restore {done.archived[0]}` first"
            + (f" (and {len(done.archived) - 1} more bundles)" if len(done.archived) > 1 else "")
        )
    if done.removed:
        call.say(f"{done.removed:,} details are not written: a policy or a rule has removed them")
    if done.left:
        call.say(
            f"{counted(len(done.left), 'file')} there before and not of this archive, such as {done.left[0]}: remove them"
        )
