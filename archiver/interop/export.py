"""Results written for other tools: metrics as json, csv, jsonl or Parquet, and everything in the old tiered layout.

The same archive gives the same bytes: universes and strategies are in order, floats are the shortest text that gives
the same bits back, and what differs between two exports is what differs between the results.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, BinaryIO

from archiver.errors import ConfigError
from archiver.format.model import Detail, Record
from archiver.format.rows import free_name
from archiver.interop.csv_text import safe_cell
from archiver.runs.extras import EXTRAS, old_form
from archiver.runs.newest import Part
from archiver.runs.read import Reader
from archiver.runs.records import origin
from archiver.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("json", "csv", "jsonl", "parquet", "tiered-json")
METRICS = "all_strategies_metrics.json"
DETAILS = "detailed_trades/"
_ROWS, _TOTAL = "strategies", "total_strategies"
_FIRST = ("universe", "strategy_name", "run")
_LONGEST = 200
_LINES = 1_000
_MARK = b"archiver.metric"
_NESTED = frozenset({dict, list})

Row = dict[str, Any]


@dataclass(slots=True)
class Tiered:
    """What was written in the tiered layout.

    `renamed` are details whose file could not have the plain name of their strategy; `left` are files in
    `detailed_trades/` that were there before and are not of this archive.
    """

    strategies: int = 0
    details: int = 0
    renamed: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    """Bundles that hold details which were therefore not written."""
    removed: int = 0
    """How many details a policy or a rule has removed."""
    left: list[str] = field(default_factory=list)


def export_metrics(
    reader: Reader,
    records: Sequence[Record],
    form: str,
    out: BinaryIO,
    *,
    newest: str = "strategy",
    history: bool = False,
    safe_csv: bool = False,
) -> int:
    """Write the metrics of all strategies, one each, the newest run's. Returns how many.

    Arguments:
        reader: was told what to do about what cannot be read.
        records: newest first.
        form: json (one metric a line), csv, jsonl (one strategy a line) or parquet.
        out: where the bytes go.
        newest: whose newest run counts, see `archiver.runs.newest`.
        history: every run's, with a column `run`.
        safe_csv: in csv, no text is a formula to a spreadsheet.

    NaN and infinities are null in json and jsonl, `nan` and `inf` in csv; Parquet keeps every value.
    """
    if form == "parquet":
        return _write_parquet(reader, records, out, newest=newest, history=history)
    parts = reader.parts(records, newest=newest, history=history)
    rows = _sorted_rows(reader, parts, history=history)
    if form == "csv":
        names = sorted(reader.metric_names(part.record for part in parts))
        return _write_csv(rows, names, out, history=history, safe=safe_csv)
    if form == "jsonl":
        return _write_lines(rows, out)
    if form == "json":
        return _write_json(rows, out)
    raise ConfigError(f"format {form!r} is not known: use one of {', '.join(FORMATS)}")


def export_tiered(
    reader: Reader, records: Sequence[Record], target: Store, step: Callable[[], None] = lambda: None
) -> Tiered:
    """Write all_strategies_metrics.json and detailed_trades/<strategy>.json, the newest of each strategy.

    Where several universes have a detail of one name, the one saved last has the plain file name, as if it had
    overwritten the others; these are in `<strategy>@<universe>.json`. `records`: newest first; `step` is called after
    each file. Nothing is removed from the target.
    """
    told = {record.run: reader.take(record, partial(_origin, record)) or {} for record in records}
    parts = _in_order(reader.parts(records), told)
    there = {part.record.run for part in reader.detailed_parts(records)}
    done = Tiered(strategies=_total(parts, told))
    before = {entry.key for entry in target.list(DETAILS)}
    written = set()
    done.archived = sorted({part.record.archived for part in parts if part.record.archived})
    done.removed = sum(
        part.has(detail.strategy)
        for part in parts
        if part.record.run not in there and not part.record.archived
        for detail in part.record.details
    )
    for part, detail, name in _details([part for part in parts if part.record.run in there]):
        whole = reader.take(part.record, partial(reader.strategy, part.record, detail))
        if whole is None:
            step()
            continue
        if name != detail.strategy:
            done.renamed.append(name)
        key = f"{DETAILS}{name}.json"
        found = _as_it_was(old_form(whole), told[part.record.run])
        target.put(key, indented(found).encode())
        written.add(key)
        step()
    with target.write(METRICS) as out:
        _write_tiered(reader, parts, told, out)
    step()
    done.details = len(written)
    done.left = sorted(before - written)
    return done


def _origin(record: Record) -> Row:
    return origin(record) or {}


def _details(parts: Sequence[Part]) -> list[tuple[Part, Detail, str]]:
    """Return every detail that counts, with the name of its file."""
    found = [(part, detail) for part in parts for detail in part.details]
    latest: dict[str, Record] = {}
    for part, detail in found:
        other = latest.get(detail.strategy)
        if other is None or (part.record.created, part.record.run) > (other.created, other.run):
            latest[detail.strategy] = part.record
    taken = {_file_name(strategy) for strategy in latest}
    named = []
    for part, detail in found:
        name = _file_name(detail.strategy)
        if latest[detail.strategy] is not part.record:
            other_name = f"{detail.strategy}@{part.record.universe}"
            name = _file_name(other_name)
            if name in taken:  # a strategy is called so
                name = _file_name(f"/{other_name}")
            taken.add(name)
        named.append((part, detail, name))
    return named


def _file_name(name: str) -> str:
    """Return the name itself where a file can have it, else a quoted one."""
    try:
        plain = not set(name) & set("/\\\0") and not name.startswith(".") and len(name.encode()) <= _LONGEST
    except UnicodeEncodeError:
        plain = False
    if plain:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "_-.") else "_" for char in name)
    return f"{safe.lstrip('.')[: _LONGEST - 20]}~{digest[:12]}"


def _in_order(parts: Sequence[Part], told: Mapping[str, Row]) -> list[Part]:
    """Return parts in the order in which an old file had their universes, the others after them by name."""
    places: dict[str, int] = {}
    for part in parts:
        place = told[part.record.run].get("place")
        if isinstance(place, int):
            places.setdefault(part.record.universe, place)
    return sorted(
        parts, key=lambda part: (places.get(part.record.universe, len(parts)), part.record.universe)
    )


def _as_it_was(found: Row, told: Row) -> Row:
    """Return a detail with the members that its old file had."""
    name = found["strategy_name"]
    if name in told.get("ranks", ()):
        found = {**found, "rank": told["ranks"][name]}
    keys = told.get("detail_keys_of", {}).get(name, told.get("detail_keys", found))
    return {key: found[key] for key in dict.fromkeys([*keys, *EXTRAS]) if key in found}


def _write_tiered(reader: Reader, parts: Sequence[Part], told: Mapping[str, Row], out: BinaryIO) -> None:
    out.write(b"{")
    for at, (name, value) in enumerate(_members(parts, told).items()):
        out.write(f"{',' if at else ''}\n  {json.dumps(name)}: ".encode())
        if name == _ROWS:
            _write_rows(reader, parts, told, out)
        else:
            out.write(indented(value, 1).encode())
    out.write(b"\n}")


def _members(parts: Sequence[Part], told: Mapping[str, Row]) -> Row:
    """Return what the metrics file has: what that of the newest run had, where it was imported."""
    newest = max(
        (part.record for part in parts), key=lambda record: (record.created, record.run), default=None
    )
    total = _total(parts, told)
    known = None if newest is None else told[newest.run].get("members")
    if isinstance(known, dict) and _ROWS in known:
        return {name: total if name == _TOTAL else value for name, value in known.items()}
    updated = None if newest is None else newest.created.replace(tzinfo=None).isoformat()
    return {_TOTAL: total, "last_updated": updated, _ROWS: None}


def _total(parts: Sequence[Part], told: Mapping[str, Row]) -> int:
    alone = sum(part.has(name) for part in parts for name in told[part.record.run].get("only_detailed", ()))
    return sum(part.strategies for part in parts) - alone


def _write_rows(reader: Reader, parts: Sequence[Part], told: Mapping[str, Row], out: BinaryIO) -> None:
    out.write(b"[")
    first = True
    for part in parts:
        place = told[part.record.run].get("name_in_metrics")
        alone = told[part.record.run].get("only_detailed", ())
        for row in reader.rows(part.record):
            if not part.has(row["strategy_name"]) or row["strategy_name"] in alone:
                continue
            keys = {"strategy_name": row["strategy_name"], "universe": part.record.universe}
            text = indented({**keys, "metrics": _metrics(row, place)}, 2)
            out.write(f"{'' if first else ','}\n    {text}".encode())
            first = False
    out.write(b"]" if first else b"\n  ]")


def indented(value: Any, depth: int = 0) -> str:
    """Return what `json.dumps(value, indent=2)` gives, `depth` levels further in, in a fifth of the time.

    With `indent`, Python's encoder is not the compiled one. Without, its separator can do the indenting of what holds
    no other lists or dicts, which is most.
    """
    kind = type(value)
    if kind not in (dict, list) or not value:
        return _flat(0)(value)
    pad = "  " * (depth + 1)
    end = f"\n{pad[2:]}"
    items = value.values() if kind is dict else value
    if _NESTED.isdisjoint(map(type, items)):
        text = _flat(depth + 1)(value)
        return f"{text[0]}\n{pad}{text[1:-1]}{end}{text[-1]}"
    if kind is dict:
        parts = [f"{_flat(0)(key)}: {indented(item, depth + 1)}" for key, item in value.items()]
    else:
        parts = [indented(item, depth + 1) for item in value]
    opening, closing = "{}" if kind is dict else "[]"
    return f"{opening}\n{pad}" + f",\n{pad}".join(parts) + f"{end}{closing}"


@cache
def _flat(depth: int) -> Callable[[Any], str]:
    return json.JSONEncoder(separators=(",\n" + "  " * depth, ": "), check_circular=False).encode


def _metrics(row: Row, place: int | None = None) -> Row:
    """Return a row's metrics; where the old layout repeated the name among them, with the name at that place."""
    items = [(key, value) for key, value in row.items() if key != "strategy_name"]
    if place is not None:
        items.insert(place, ("strategy_name", row["strategy_name"]))
    return dict(items)


def _sorted_rows(reader: Reader, parts: Sequence[Part], *, history: bool) -> Iterator[tuple[Row, Row]]:
    """Yield (keys, metrics) of each strategy by universe and name; metrics are in order of their names."""
    universes = list(dict.fromkeys(part.record.universe for part in parts))
    for universe in universes:
        rows = [
            (row["strategy_name"], part.record.run, row)
            for part in parts
            if part.record.universe == universe
            for row in reader.rows(part.record)
            if part.has(row["strategy_name"])
        ]
        rows.sort(key=lambda item: item[:2])
        for name, run, row in rows:
            keys = {"universe": universe, "strategy_name": name} | ({"run": run} if history else {})
            yield keys, dict(sorted(_metrics(row).items()))


def _write_json(rows: Iterator[tuple[Row, Row]], out: BinaryIO) -> int:
    count = 0
    out.write(b'{\n  "strategies": [')
    for keys, metrics in rows:
        text = indented({**keys, "metrics": _finite(metrics)}, 2)
        out.write(f"{',' if count else ''}\n    {text}".encode())
        count += 1
    out.write(b"\n  ]\n}\n" if count else b"]\n}\n")
    return count


def _write_lines(rows: Iterator[tuple[Row, Row]], out: BinaryIO) -> int:
    count = 0
    for keys, metrics in rows:
        out.write(json.dumps({**keys, "metrics": _finite(metrics)}).encode() + b"\n")
        count += 1
    return count


def _write_csv(
    rows: Iterator[tuple[Row, Row]], names: Sequence[str], out: BinaryIO, *, history: bool, safe: bool
) -> int:
    # No wrapper over the file: it would close standard output when a reader leaves early.
    text = io.StringIO(newline="")
    writer = csv.writer(_Lines(text), lineterminator="\r\n")
    first = list(_FIRST if history else _FIRST[:2])
    fit: Callable[[Any], Any] = safe_cell if safe else lambda cell: cell
    writer.writerow([*first, *(fit(_column(name, names)) for name in names)])
    count = 0
    for keys, metrics in rows:
        values = (metrics.get(name) for name in names)
        writer.writerow([_cell(value, fit) for value in (*keys.values(), *values)])
        count += 1
        if count % _LINES == 0:
            _pour(text, out)
    _pour(text, out)
    return count


def _column(name: str, names: Collection[str]) -> str:
    """Return the name of a metric's column: one called `universe` or `run` steps aside."""
    return free_name(f"metrics.{name}", names) if name in _FIRST else name


class _Lines:
    """Ends lines as Unix does; a writer that did so itself would not quote a lone carriage return."""

    def __init__(self, text: io.StringIO) -> None:  # the class says it
        self._text = text

    def write(self, row: str) -> None:
        self._text.write(f"{row[:-2]}\n")


def _pour(text: io.StringIO, out: BinaryIO) -> None:
    out.write(text.getvalue().encode("utf-8", "surrogatepass"))
    text.seek(text.truncate(0))


def _cell(value: Any, fit: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(_finite(value))
    return repr(value) if isinstance(value, float) else fit(value)


def _finite(value: Any) -> Any:
    """Return plain data with null where JSON has no number."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _write_parquet(
    reader: Reader, records: Sequence[Record], out: BinaryIO, *, newest: str, history: bool
) -> int:
    from pyarrow import parquet

    table = reader.metrics(records, None, newest=newest, history=history, params=False)
    first = list(_FIRST if history else _FIRST[:2])
    names = sorted(name for name in table.column_names if name not in _FIRST)
    table = table.sort_by([(name, "ascending") for name in first]).select([*first, *names])
    table = _with_marks(table, reader, records)
    parquet.write_table(table, out, compression="zstd")
    return int(table.num_rows)


def _with_marks(table: pa.Table, reader: Reader, records: Sequence[Record]) -> pa.Table:
    """Mark columns that stepped aside with the metric that they hold, for an import."""
    aside = [name for name in table.column_names if name.startswith("metrics.")]
    names = reader.metric_names(records) if aside else ()
    for metric in set(_FIRST) & set(names):
        column = _column(metric, names)
        for at, item in enumerate(table.schema):
            if item.name in (column, f"{column}.text"):
                held = metric + item.name.removeprefix(column)
                field = item.with_metadata({**(item.metadata or {}), _MARK: held.encode()})
                table = table.set_column(at, field, table.column(at))
    return table
