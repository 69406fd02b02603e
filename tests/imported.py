"""Imports of old results, and what an archive then holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from archiver.archive import Archive
from archiver.interop.importing import Report, import_results, known_imports, open_source
from archiver.runs.read import Reader
from tests import old_formats as old


def take(archive: Archive, path: Any, **options: Any) -> Report:
    """Import what is at a path or URL."""
    source = open_source(path, options.pop("storage_options", None))
    return import_results(source, archive.add, known_imports(archive.store), **options)


def statuses(report: Report) -> list[str]:
    """Return what became of each thing that was found."""
    return [outcome.status for outcome in report.outcomes]


def rows(archive: Archive, universe: str) -> list[dict[str, Any]]:
    """Return a universe's rows exactly, its newest run's first."""
    reader = Reader(archive.store)
    parts = reader.parts([record for record in archive.records() if record.universe == universe])
    return [row for part in parts for row in reader.rows(part.record) if part.has(row["strategy_name"])]


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the content and time of every file."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def named(result: dict[str, Any]) -> dict[str, Any]:
    """Return the row that a result becomes."""
    return {"strategy_name": result["strategy_name"], **old.metrics_of(result)}


def write_large(path: Path, beginning: str) -> int:
    """Write 250 results with wordy trades behind the beginning of a JSON object; return the bytes, over 30 MB."""
    trades = [{"pnl_usd": float(n), "note": f"trade {n} " + "of many " * 150} for n in range(100)]
    with path.open("w") as file:
        file.write(f"{beginning}[\n")
        for at in range(250):
            result = {"strategy_name": f"s{at}", "sharpe_ratio": at / 7, "trades_detailed": trades}
            file.write(("," if at else "") + json.dumps(result, indent=2))
        file.write("]}")
    size = path.stat().st_size
    assert size > 30_000_000
    return size
