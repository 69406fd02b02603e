"""Rows of a CSV or Parquet file of a stranger, each value what it is: 007 is text, 7 is a number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from archiver.codec.text import plain
from archiver.errors import IntegrityError
from archiver.importing.batch import NAMES

_KINDS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"-?(0|[1-9]\d*)"), int),
    (
        re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|[+-]?inf(inity)?", re.IGNORECASE),
        float,
    ),
    (re.compile(r"true|false", re.IGNORECASE), lambda cell: cell.lower() == "true"),
)
"""What a column of CSV holds where every cell is of one kind; 007 and dates are text."""


def table_rows(data: bytes, suffix: str, key: str) -> list[Any]:
    """Return the rows of a CSV or Parquet file. Raises IntegrityError, naming it."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        if suffix == "parquet":
            rows = parquet.read_table(io.BytesIO(data)).to_pylist()
            return [plain(row, key) for row in rows]
        return _csv_rows(data.decode("utf-8-sig"))
    except (pa.ArrowException, ValueError, csv.Error) as error:
        raise IntegrityError(f"{key} is damaged: {str(error).splitlines()[0]}") from None


def _csv_rows(text: str) -> list[dict[str, Any]]:
    """Read rows; a column is numbers or truth values where every cell is one, and a name is always text."""
    head, *lines = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
    lines = [line for line in lines if line]
    if any(len(line) != len(head) for line in lines):
        raise ValueError("a line has more or fewer cells than the first one")
    columns = [
        list(cells) if name in NAMES else _cells(cells)
        for name, cells in zip(head, zip(*lines, strict=True), strict=False)
    ]
    return [dict(zip(head, row, strict=True)) for row in zip(*columns, strict=True)]


def _cells(cells: Sequence[str]) -> list[Any]:
    filled = [cell for cell in cells if cell]
    for pattern, convert in _KINDS:
        if filled and all(map(pattern.fullmatch, filled)):
            return [convert(cell) if cell else None for cell in cells]
    return list(cells)
