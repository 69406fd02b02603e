"""Rows as commands give them: a document of --json, or csv, json, jsonl or Parquet, to a file or standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from archiver.base.humanize import counted, json_bytes
from archiver.cli.call import Call
from archiver.cli.output import data_out
from archiver.interop.csv_text import safe_cell

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.archive import Archive

FORMATS = ("table", "csv", "json", "jsonl", "parquet")


def whose(newest: str, *, history: bool = False, run: str | None = None) -> str:
    """Say which runs' rows are counted."""
    if run:
        return "of one run"
    if history:
        return "of every run"
    return (
        "of the newest run of each universe" if newest == "universe" else "each of the newest run that has it"
    )


def ages(archive: Archive, call: Call, runs: Collection[str]) -> list[str]:
    """Return the age of each row's run, as tables show it."""
    from archiver.base.humanize import age

    created = archive.created(runs, call.unread)
    return [age(created[run]) if run in created else "-" for run in runs]


def give_rows(
    call: Call,
    table: pa.Table,
    form: str,
    output: Path | None,
    document: Callable[[], dict[str, Any]],
    *,
    safe_csv: bool = False,
) -> None:
    """Give rows as what `format_of` chose, but for a table: with --json the document, else the rows alone."""
    if call.json and output is None and form == "json":
        call.print_json(document())
        return
    write_rows(table, form, output, safe_csv=safe_csv)
    if output is not None:
        call.say(f"{counted(len(table), 'row')} -> {output}")


def format_of(wanted: str | None, output: Path | None, *, as_json: bool) -> str:
    """Choose a format: the one asked for, else the output file's suffix, else json or a table.

    Raises ConfigError for a format that is not known, for a table or Parquet where it can't go, and for one that
    contradicts --json.
    """
    from archiver.errors import ConfigError

    if output and ":/" in str(output) and not output.parent.is_dir():
        raise ConfigError("-o takes a file here, no URL; `archiver export` writes metrics to one")
    known = [form for form in FORMATS if form != "table" or output is None]
    suffix = output.suffix.removeprefix(".").lower() if output else ""
    chosen = wanted or suffix or ("json" if as_json else "csv" if output else "table")
    if chosen not in known:
        place = f" in the file {output}" if output else ""
        raise ConfigError(
            f"format {chosen!r} is not known{place}: use one of {', '.join(known)}, as in -f csv"
        )
    if as_json and output is None and chosen != "json":
        raise ConfigError(f"--json prints one JSON document, not {chosen}: leave out --json or -f {chosen}")
    if chosen == "parquet" and output is None and sys.stdout.isatty():
        raise ConfigError("Parquet is not text: name a file with -o, or pipe the output")
    return chosen


def write_rows(table: pa.Table, form: str, output: Path | None, *, safe_csv: bool = False) -> None:
    """Write an Arrow table as csv, json (one array), jsonl or parquet to a file, or to standard output.

    A file appears whole or not at all. In csv a missing value is empty, NaN is `nan`, an infinity `inf`,
    and a nested value JSON; in json and jsonl NaN and infinities are null. Parquet keeps every value.
    """
    if safe_csv and form != "csv":
        from archiver.errors import ConfigError

        raise ConfigError(f"--safe-csv is for csv, not for {form}: add -f csv, or leave it out")
    if output is None:
        out = data_out(text=form == "csv")
        _write(table, form, out, safe_csv=safe_csv)
        out.flush()
        return
    from archiver.interop.export_to import to_place

    to_place(str(output), form, partial(_write, table, form, safe_csv=safe_csv))


def _write(table: pa.Table, form: str, file: BinaryIO, *, safe_csv: bool) -> int:
    """Return the number of rows."""
    if form == "parquet":
        from pyarrow import ArrowNotImplementedError, parquet

        from archiver.errors import ConfigError

        try:
            parquet.write_table(table, file, compression="zstd")
        except ArrowNotImplementedError as error:
            raise ConfigError(f"Parquet cannot hold these rows ({error}): use -f json or -f csv") from None
    elif form == "csv":
        _write_csv(table, file, safe_cell if safe_csv else lambda cell: cell)
    elif form == "jsonl":
        for batch in table.to_batches(max_chunksize=10_000):
            file.write(b"".join(json_bytes(row, indent=False) for row in batch.to_pylist()))
    else:
        file.write(json_bytes(table.to_pylist()))
    return len(table)


def _write_csv(table: pa.Table, file: BinaryIO, fit: Callable[[Any], Any]) -> None:
    import csv
    import io

    # No wrapper over the file: it would close standard output when a reader leaves early.
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(fit, table.column_names))
    for batch in table.to_batches(max_chunksize=10_000):
        columns = [[_csv_value(value, fit) for value in column.to_pylist()] for column in batch.columns]
        writer.writerows(zip(*columns, strict=True))
        file.write(text.getvalue().encode())
        text.seek(text.truncate(0))
    file.write(text.getvalue().encode())


def _csv_value(value: Any, fit: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict | list):
        return json_bytes(value, indent=False).decode().strip()
    return repr(value) if isinstance(value, float) else fit(value)
