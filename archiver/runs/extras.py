"""Curves, tables and files of one strategy, each read alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from archiver.base.suggest import did_you_mean
from archiver.errors import NotFoundError
from archiver.format.attached import File
from archiver.format.detail import Source, decode_drawn, detail_row
from archiver.format.extras import (
    as_table,
    columns_of_curve,
    columns_of_table,
    curve_names,
    decode_curves,
    decode_files,
    decode_rows_of,
    holds_curve,
    table_names,
)
from archiver.format.model import Detail, Record
from archiver.format.parquet import decoding
from archiver.format.series import Series, on_its_clock
from archiver.runs.read import Reader, holder

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
EXTRAS = ("curves", "tables", "files")
_OF_CONTENTS = (
    *holds_curve("equity"),
    *holds_curve("drawdown"),
    "curve.",
    "text.",
    "rule.",
    "segments.",
    "table.",
    "json.",
    "files",
)


def curves_of(reader: Reader, record: Record, detail: Detail) -> tuple[dict[str, Any], dict[str, Series]]:
    """Return a strategy's metrics and its curves with their clocks."""
    shared = reader.shared(holder(record, detail))
    return _read(reader, record, detail, lambda source: decode_drawn(source, detail, shared))


def curve(reader: Reader, record: Record, detail: Detail, name: str) -> pa.Table:
    """Return one curve as a table of time and value. Raises NotFoundError for one that the strategy has not."""

    def read(source: Source) -> pa.Table | None:
        row = detail_row(source, detail, columns_of_curve(name, source.names))
        found = decode_curves(row, reader.shared(holder(record, detail)), only=name)
        return curve_table(found[name]) if name in found else None

    found = _read(reader, record, detail, read)
    return _none(reader, record, detail, "curve", name) if found is None else found


def curve_table(series: Series) -> pa.Table:
    """Return a curve as a table of time and value; time is null where there is no clock."""
    import pyarrow as pa

    series = on_its_clock(series)
    values = series.values if type(series.values) is list else [series.values]
    time = pa.nulls(len(values), pa.timestamp("us")) if series.clock is None else series.clock.time
    return pa.table({"time": time, "value": _numbers(values)})


def _numbers(values: list[Any]) -> pa.Array:
    """Return values as doubles, as whole numbers, flags or texts where all are, else as JSON text where one is no number."""
    import pyarrow as pa

    from archiver.format.columns import arrow_type, encode_values
    from archiver.format.text import dumps

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.array(values, pa.float64())
    if kinds <= {float, int} or (len(kinds) == 1 and arrow_type(kinds, values) is not None):
        return encode_values(values, kinds, "value").array
    return pa.array([None if value is None else dumps(value) for value in values], pa.string())


def table(reader: Reader, record: Record, detail: Detail, name: str) -> pa.Table:
    """Return one table with its types. Raises NotFoundError for one that the strategy has not."""
    found = _read(reader, record, detail, lambda source: table_in(source, detail, name))
    return _none(reader, record, detail, "table", name) if found is None else found


def tables_again(
    reader: Reader, record: Record, detail: Detail, rows: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return a strategy's further tables as they can be saved again: with their types, as rows where these are irregular."""
    found: dict[str, Any] = {}
    for name, own in rows.items():
        typed = table(reader, record, detail, name)
        # Rows that lack some columns would have them as None in a table.
        found[name] = typed if all(row.keys() == set(typed.column_names) for row in own) else own
    return found


def table_in(source: Source, detail: Detail, name: str) -> pa.Table | None:
    """Return a strategy's table with its types; None for one that it has not."""
    row = detail_row(source, detail, columns_of_table(name))
    found = decode_rows_of(row, name, source.facts)
    return None if found is None else as_table(found, name)


def files(reader: Reader, record: Record, detail: Detail) -> dict[str, File]:
    """Return a strategy's files by name, without their content."""
    return _read(reader, record, detail, lambda source: decode_files(detail_row(source, detail, ("files",))))


def file(reader: Reader, record: Record, detail: Detail, name: str) -> bytes:
    """Return the content of a file. Raises NotFoundError for one that the strategy has not, IntegrityError."""
    found = files(reader, record, detail)
    if name not in found:
        raise _missing(detail, "file", name, found)
    return reader.file(found[name])


def contents(reader: Reader, record: Record, detail: Detail) -> dict[str, Any]:
    """Return the names of a strategy's curves and tables, and its files with size, sha256 and type."""

    def read(source: Source) -> dict[str, Any]:
        columns = source.names
        row = detail_row(source, detail, _OF_CONTENTS)
        return {
            "curves": [
                name for name in curve_names(columns) if any(map(partial(_is_there, row), holds_curve(name)))
            ],
            "tables": [
                name
                for name in table_names(columns)
                if any(map(partial(_is_there, row), columns_of_table(name)))
            ],
            "files": {name: found.told() for name, found in decode_files(row).items()},
        }

    return _read(reader, record, detail, read)


def drawn(found: dict[str, Any], name: str) -> tuple[Any, tuple[str, str] | None]:
    """Return what a terminal draws of a loaded strategy's equity or drawdown: values, and the first and last moment."""
    curve = found.get("curves", {}).get(name)
    if type(curve) is not list or not curve or not all(type(one) is list and len(one) == 2 for one in curve):
        return found[f"{name}_curve"], None
    first, last = (str(moment) for moment in (curve[0][0], curve[-1][0]))
    return [value for _, value in curve], (first, last)


def old_form(found: dict[str, Any]) -> dict[str, Any]:
    """Return a strategy's detail as it was before there were curves by name, and beside that only what says more."""
    if "curves" not in found:
        return found
    curves = found["curves"]
    known = {name: found[old] for name, old in (("equity", "equity_curve"), ("drawdown", "drawdown_curve"))}
    more = {name: curve for name, curve in curves.items() if name not in known or curve is not known[name]}
    extras = {**{key: found[key] for key in EXTRAS}, "curves": more}
    return {
        **{key: value for key, value in found.items() if key not in extras},
        **{key: value for key, value in extras.items() if value},
    }


def _is_there(row: pa.Table, column: str) -> bool:
    return column in row.column_names and row[column][0].is_valid


def _read(reader: Reader, record: Record, detail: Detail, read: Callable[[Source], T]) -> T:
    source = reader.details(holder(record, detail))
    with decoding(source.key):
        return read(source)


def _none(reader: Reader, record: Record, detail: Detail, what: str, name: str) -> Any:
    raise _missing(detail, what, name, contents(reader, record, detail)[f"{what}s"])


def _missing(detail: Detail, what: str, name: str, there: Iterable[str]) -> NotFoundError:
    names = list(there)
    hint = did_you_mean(name, names, f": there are {', '.join(names)}" if names else ": it has none")
    return NotFoundError(f"{detail.strategy!r} has no {what} {name!r}{hint}")
