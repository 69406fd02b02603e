"""Rows of a CSV or Parquet file of a stranger, each value what it is: 007 is text, 7 is a number."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from archiver.errors import IntegrityError
from archiver.format.values import plain
from archiver.interop.importing.batch import NAMES
from archiver.interop.importing.source import Source

_ROWS = 1_000
_Kind = tuple[re.Pattern[str], Callable[[str], Any]]
_KINDS: tuple[_Kind, ...] = (
    (re.compile(r"-?(0|[1-9]\d*)"), int),
    (
        re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|[+-]?inf(inity)?", re.IGNORECASE),
        float,
    ),
    (re.compile(r"true|false", re.IGNORECASE), lambda cell: cell.lower() == "true"),
)
"""What a column of CSV holds where every cell is of one kind; 007 and dates are text."""


def table_rows(source: Source, key: str, suffix: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV or Parquet file, read piece by piece. Raises IntegrityError, naming it."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        if suffix == "csv":
            yield from _csv_rows(source, key)
            return
        with source.open(key) as file:
            for batch in parquet.ParquetFile(file).iter_batches(_ROWS):
                for row in batch.to_pylist():
                    yield plain(row, key)
    except (pa.ArrowException, ValueError, csv.Error) as error:
        raise IntegrityError(f"{key} is damaged: {str(error).splitlines()[0]}") from None


def _csv_rows(source: Source, key: str) -> Iterator[dict[str, Any]]:
    """Yield rows; a column is numbers or truth values where every cell is one, and a name is always text."""
    with _text(source, key) as file:
        kinds = _kinds(csv.reader(file, strict=True))
    with _text(source, key) as file:
        lines = csv.reader(file, strict=True)
        head = _apart(next(lines, []))
        for line in filter(None, lines):
            yield {
                name: cell if kind is None else kind(cell) if cell else None
                for name, cell, kind in zip(head, line, kinds, strict=True)
            }


def _apart(head: list[str]) -> list[str]:
    """Tell columns of one name apart, as pandas does: x, x.1."""
    seen: Counter[str] = Counter()
    names = []
    for name in head:
        names.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def _text(source: Source, key: str) -> TextIO:
    return io.TextIOWrapper(source.open(key), encoding="utf-8-sig", newline="")


def _kinds(lines: Iterator[list[str]]) -> list[Callable[[str], Any] | None]:
    """Return what makes the cells of each column values; None for text."""
    head = next(lines, [])
    possible: list[tuple[_Kind, ...] | None] = [() if name in NAMES else None for name in head]
    for line in filter(None, lines):
        if len(line) != len(head):
            raise ValueError("a line has more or fewer cells than the first one")
        for at, cell in enumerate(line):
            kinds = possible[at]
            if not cell or kinds == ():
                continue
            # Every int is a float too: while the first kind fits, so do those after it.
            if kinds is None or not kinds[0][0].fullmatch(cell):
                possible[at] = tuple(kind for kind in kinds or _KINDS if kind[0].fullmatch(cell))
    return [kinds[0][1] if kinds else None for kinds in possible]
