"""`archiver export`: write results for other tools, or in the old layout."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from archiver.base.address import is_local, shown_url
from archiver.base.humanize import counted
from archiver.cli import complete
from archiver.cli.call import Call
from archiver.cli.rows import Newest
from archiver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archiver.archive import Archive
    from archiver.format.model import Record


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
    universe: Annotated[
        str | None,
        typer.Option("--universe", "-u", help="Only this universe.", autocompletion=complete.universes),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", "-r", help="Only this run (or its beginning).", autocompletion=complete.runs),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every run's rows, not only the newest; not for tiered-json.")
    ] = False,
    newest: Newest = "strategy",
) -> None:
    """Write the metrics of all strategies, or everything in the old tiered layout.

    The same archive gives the same bytes: rows are in order of universe and strategy; `json` has one metric a line, made
    for `git diff`. `tiered-json` writes all_strategies_metrics.json and one file a strategy in detailed_trades/.
    What cannot be read is named and left out; the exit code is then 3 (damaged) or 14 (refused).
    """
    from archiver.interop.export import export_metrics
    from archiver.runs.read import Reader, one_run, records_of

    call = Call.of(ctx)
    form = _format_of(form, output, as_json=call.json)
    archive = call.archive()
    if run:
        chosen = one_run(archive.record(run), universe)
    else:
        chosen = list(records_of(archive.records(call.unread), universe=universe))
    if not chosen:
        call.require_universe(archive, universe)
    if form == "tiered-json":
        if output is None or history or newest != "strategy":
            raise ConfigError("tiered-json needs a folder or URL: give -o, and no --history or --newest")
        _tiered(call, archive, chosen, output)
    else:
        reader = Reader(archive.store, call.unread)
        _metrics(
            call, partial(export_metrics, reader, chosen, form, newest=newest, history=history), form, output
        )


def _format_of(wanted: str | None, output: str | None, *, as_json: bool) -> str:
    from archiver.interop.export import FORMATS

    chosen = wanted or PurePosixPath(output or "").suffix.removeprefix(".").lower() or "json"
    if chosen not in FORMATS:
        what = f"format {wanted!r}" if wanted else f"the format of {shown_url(output or '')}"
        raise ConfigError(f"{what} is not known: use one of {', '.join(FORMATS)}, as in -f json")
    if as_json and output is None and chosen not in ("json", "tiered-json"):
        raise ConfigError(f"--json prints one JSON document, not {chosen}: leave out --json or -f {chosen}")
    return chosen


def _tiered(call: Call, archive: Archive, records: Sequence[Record], output: str) -> None:
    from archiver.config.settings import load_settings
    from archiver.interop.export import export_tiered, target_of
    from archiver.runs.read import Reader
    from archiver.store import open_store

    target = target_of(open_store(output, storage_options=load_settings(url=output).storage_options))
    total = sum(len(record.details) for record in records) + 1
    with call.progress("export", total) as step:
        done = export_tiered(Reader(archive.store, call.unread), records, target, step)
    if call.json:
        call.print_json(
            {
                "strategies": done.strategies,
                "details": done.details,
                "renamed": done.renamed,
                "left": done.left,
                "archived": done.archived,
                "removed": done.removed,
            }
        )
    call.say(f"{_strategies(done.strategies)} and {counted(done.details, 'detail')} -> {target.url}")
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
            f"{len(done.left)} files were there before and are not of this archive, such as {done.left[0]}: remove them"
        )


def _metrics(call: Call, write: Callable[[BinaryIO], int], form: str, output: str | None) -> None:
    """Let `write` write the metrics to where they go."""
    from archiver.store import local_path

    if output is None:
        if form == "parquet" and sys.stdout.isatty():
            raise ConfigError("Parquet is not text: name a file with -o, or pipe the output")
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if not is_local(output):
        _metrics_to_url(call, write, form, output)
        return
    path = Path(local_path(output))
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            count = write(file)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):  # what could not be written cannot be removed either
            part.unlink()
    call.say(f"{_strategies(count)} -> {path}")


def _metrics_to_url(call: Call, write: Callable[[BinaryIO], int], form: str, output: str) -> None:
    from archiver.config.settings import load_settings
    from archiver.store import open_store

    folder, _, name = output.rpartition("/")
    if not name or folder.endswith(("/", ":")):
        raise ConfigError(f"{shown_url(output)} names no file: end it with one, such as metrics.{form}")
    if "?" in output or "#" in output:  # an error would show it as part of the file's name
        raise ConfigError(f"{shown_url(output)}: leave the query out of the URL")
    target = open_store(folder, storage_options=load_settings(url=folder).storage_options)
    with target.write(name) as file:
        count = write(file)
    call.say(f"{_strategies(count)} -> {target.url}/{name}")


def _strategies(count: int) -> str:
    return counted(count, "strategy", "strategies")
