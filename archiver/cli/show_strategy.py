"""`archiver show STRATEGY`: what one strategy has, and a file of it written out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import counted
from archiver.cli.call import Call

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.format.model import Run

_OF_EACH_POINT = ("points", "underwater", "rolling_sharpe", "rolling_volatility")


def show_strategy(call: Call, archive: Archive, name: str, universe: str | None, run: str | None) -> None:
    """Show a strategy's rank and metrics, what its equity curve says, and the names of its curves, tables and files."""
    from dataclasses import asdict

    from archiver.base.humanize import size
    from archiver.cli.output import print_pairs

    contents = archive.contents(name, universe, run, errors=call.unread)
    detail = archive.load_outline(name, universe, run, errors=call.unread)
    known = {key: detail[key] for key in ("strategy_name", "universe", "rank", "metrics")}
    sheet = archive.tear_sheet(name, universe, run, errors=call.unread)
    if call.json:
        told = {key: value for key, value in asdict(sheet).items() if key not in _OF_EACH_POINT}
        call.print_json({**known, **contents, "tear_sheet": told})
        return
    files = [f"{file} ({size(facts['size'])})" for file, facts in contents["files"].items()]
    pairs: list[tuple[str, Any]] = [
        ("strategy", name),
        ("universe", detail["universe"]),
        ("rank", detail["rank"]),
        *detail["metrics"].items(),
        ("equity", str(sheet) or None),
        ("deepest drawdown", str(sheet.drawdowns[0]) if sheet.drawdowns else None),
        ("curves", ", ".join(contents["curves"]) or None),
        ("tables", ", ".join(contents["tables"]) or None),
        ("files", ", ".join(files) or None),
    ]
    print_pairs(pair for pair in pairs if pair[1] is not None)


def give_file(
    call: Call, archive: Archive, name: str, universe: str | None, run: str | None, file: str, to: Path | None
) -> None:
    """Write a file of a strategy to a path, a folder, or standard output. Nothing of it is run or opened."""
    from archiver.cli.output import data_out
    from archiver.errors import ConfigError

    if call.json and to is None:
        raise ConfigError("--json needs a place for the file: give -o PATH")
    data = archive.load_file(name, file, universe=universe, run=run, errors=call.unread)
    if to is None:
        if sys.stdout.isatty() and not _is_text(data):
            raise ConfigError(f"{file} is no text: give -o PATH, or redirect the output to a file")
        data_out(text=False).write(data)
        return
    path = to / file if to.is_dir() else to
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    if call.json:
        call.print_json({"strategy_name": name, "file": file, "size": len(data), "path": str(path)})
    else:
        call.say(f"{file}: {counted(len(data), 'byte')} -> {path}")


def whose_file(archive: Archive, run: Run, file: str) -> str:
    """Return the one strategy of a run that has the file. Raises NotFoundError for none, ConfigError for several."""
    from archiver.errors import ConfigError, NotFoundError
    from archiver.runs.extras import files

    record = archive.record(run.id)
    details = record.details if record.has_detail else ()
    names = [one.strategy for one in details if file in files(archive.reader, record, one)]
    if not names:
        raise NotFoundError(f"no strategy of run {run.id} has a file {file!r}")
    if len(names) > 1:
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        raise ConfigError(
            f"{len(names)} strategies of the run have a file {file!r}: name one in place of the run, with"
            f" --run {run.id}: {shown}"
        )
    return names[0]


def _is_text(data: bytes) -> bool:
    try:
        return data.decode().replace("\n", "").replace("\t", "").replace("\r", "").isprintable()
    except UnicodeDecodeError:
        return False
