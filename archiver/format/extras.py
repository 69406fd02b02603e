"""What a strategy has beside trades, as columns of tier 2: curves and their clocks, further tables, files.

`equity` and `drawdown` keep the columns of format 1. Of every other curve `curve.<name>`, and where needed `ints.<name>` and
`text.<name>`; of each that is on one `clock.<name>`. Of one that follows from equity `rule.<name>`, of one that follows the bars
`segments.<name>` and `bits.<name>`. Of a table `table.<name>`, `json.<name>` where its rows are too irregular for
columns, `schema.<name>` with its types; of all files `files`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from archiver.errors import ConfigError
from archiver.format.attached import File, check_name
from archiver.format.clocks import Clock, encode_clock
from archiver.format.curves import (
    DRAWDOWN,
    EQUITY,
    Closes,
    Split,
    apply_rule,
    columns_of,
    decode_curve,
    drawdown_rule,
    encode_curves,
    split,
)
from archiver.format.model import Ref
from archiver.format.rows import RowsEncoder, columns_by_key, decode_rows, encode_rows
from archiver.format.series import Series, frame_columns, series_of
from archiver.format.tapes import Tape
from archiver.format.text import dumps, loads
from archiver.format.typed import (
    from_columns,
    from_rows,
    is_frame,
    plain_rows,
    schema_text,
    stored_columns,
    to_arrow,
    written_rows,
)
from archiver.format.values import columns_to_lists, place, plain

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.format.segments import Segments

_OLD = {EQUITY: "equity_curve", DRAWDOWN: "drawdown_curve"}
_PAIRS = "pairs"
ClockOf = Callable[[str], Clock]
"""Gives a clock by its sha256."""


class Shared(NamedTuple):
    """What curves need that stands in objects of its own."""

    clock: ClockOf
    closes: Closes


class Given(Protocol):
    """What is read of a strategy that is kept."""

    strategy: str
    equity_curve: Any
    drawdown_curve: Any
    curves: Mapping[str, Any]
    tables: Mapping[str, Any]
    files: Mapping[str, File]


@dataclass(slots=True)
class Extras:
    """Encoded extras: columns, what decoding needs, clocks by sha256, files by sha256; curves by name, until they are laid
    over the bars; `plain` is what format 1 has, too."""

    columns: dict[str, pa.Array] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    clocks: dict[str, tuple[bytes, Ref]] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    plain: bool = True
    curves: dict[str, list[Split]] = field(default_factory=dict)

    def lay_curves(self, tapes: Sequence[Tape], known: Sequence[Tape]) -> list[Tape]:
        """Encode the curves, as what they differ from the bars by where they follow them.

        tapes: of the run; known: series that it may follow as well. Returns those of these that are tapes of the run now.
        """
        flat = [one.floats for curves in self.curves.values() for one in curves]
        laid: list[Segments | None] = [None] * len(flat)
        more: list[Tape] = []
        if (tapes or known) and any(flat):
            from archiver.format.segments import follow

            laid, more = follow(flat, tapes, known)
        for name, curves in self.curves.items():
            own, laid = laid[: len(curves)], laid[len(curves) :]
            self.columns |= encode_curves(curves, columns_of(name), own)
            if any(own):
                # Older archivers can't read it, though nothing was given that they do not know.
                self.facts |= {"format": 2, **({"plain": True} if self.plain else {})}
        return more


def read_curves(one: Given) -> dict[str, Series]:
    """Return a strategy's curves by name. Raises ConfigError, naming it and the curve, for what is none."""
    found: dict[str, Series] = {}
    for name, given in ((EQUITY, one.equity_curve), (DRAWDOWN, one.drawdown_curve)):
        if given is not None:
            found[name] = _under_old_name(given, place(one.strategy, _OLD[name]))
    for key, given in _named(one.curves, one.strategy, "curves"):
        name = check_name(key, place(one.strategy, "curves"))
        where = place(one.strategy, f"curves.{name}")
        series = series_of(given, where)
        if series is None:
            told = f" of columns {', '.join(map(str, frame_columns(given)))}" if is_frame(given) else ""
            raise ConfigError(
                f"{where} is a {type(given).__name__}{told} that is no curve: give a Series, (times, values), pairs or a"
                " dict of both, a table with a column `time` and one of values, or a list of numbers"
            )
        found[name] = Series(series.values, series.clock)
    return found


def _named(given: Any, strategy: str, what: str) -> Iterator[tuple[Any, Any]]:
    if not isinstance(given, Mapping):
        where = place(strategy, what)
        raise ConfigError(f"{where} is a {type(given).__name__}: give a dict of name and value")
    return ((name, value) for name, value in given.items() if value is not None)


def _under_old_name(given: Any, where: str) -> Series:
    """Return a curve; what is none stays what it is, as it always did under these names."""
    kind = type(given)
    if kind is Series:
        return given  # type: ignore[no-any-return]  # one that was read from an archive
    if issubclass(kind, str | bytes | Mapping) or (
        issubclass(kind, list) and any(type(item) is dict for item in given)
    ):
        return Series(plain(given, where))
    try:
        return series_of(given, where, plain) or Series(plain(given, where))
    except ConfigError:
        if issubclass(kind, list):
            return Series(plain(given, where))
        raise


def encode_extras(kept: Sequence[Given], curves: Sequence[Mapping[str, Series]]) -> Extras:
    """Encode what the strategies have beside trades; `curves` are those that were read of each."""
    out = Extras(plain=not any(one.curves or one.tables or one.files for one in kept))
    _encode_curves(out, curves)
    names = dict.fromkeys(name for one in kept for name, _ in _named(one.tables, one.strategy, "tables"))
    for name in names:
        check_name(name, place(kept[0].strategy if len(kept) == 1 else _who(kept, name), "tables"))
        _encode_table(out, name, kept)
    _encode_files(out, kept)
    if not out.plain:
        out.facts["format"] = 2
    return out


def _who(kept: Sequence[Given], name: Any) -> str:
    return next(one.strategy for one in kept if one.tables.get(name) is not None)


def _encode_curves(out: Extras, curves: Sequence[Mapping[str, Series]]) -> None:
    import pyarrow as pa

    shas: dict[int, str] = {}
    equity = [own[EQUITY].values if EQUITY in own else None for own in curves]
    for name in dict.fromkeys([EQUITY, DRAWDOWN, *chain.from_iterable(curves)]):
        values = [own[name].values if name in own else None for own in curves]
        if name != EQUITY:
            rules = [drawdown_rule(e, d) for e, d in zip(equity, values, strict=True)]
            values = [None if rule else value for rule, value in zip(rules, values, strict=True)]
            if any(rules):
                out.columns[columns_of(name).rule] = pa.array(rules, pa.string())
        out.curves[name] = [split(value, name) for value in values]
        clocks = [_clock(out, shas, own[name].clock) if name in own else None for own in curves]
        if any(clocks):
            out.columns[f"clock.{name}"] = pa.array(clocks, pa.string())
        out.plain = out.plain and name in _OLD and not any(clocks)
    pairs = [
        [_OLD[name] for name, one in own.items() if one.pairs and name in _OLD] or None for own in curves
    ]
    if any(pairs):
        out.columns[_PAIRS] = pa.array(pairs, pa.list_(pa.string()))


def _clock(out: Extras, shas: dict[int, str], clock: Clock | None) -> str | None:
    if clock is None:
        return None
    if id(clock) not in shas:
        data, ref = encode_clock(clock)
        out.clocks[ref.sha256] = (data, ref)
        shas[id(clock)] = ref.sha256
    return shas[id(clock)]


def columns_of_curve(name: str, there: Collection[str] = ()) -> tuple[str, ...]:
    """Return the columns that say something of a curve, and of equity where it follows from that; there: all columns."""
    own = columns_of(name)
    more = columns_of(EQUITY) if name != EQUITY and own.rule in there else ()
    return (*own, f"clock.{name}", _PAIRS, *more)


def holds_curve(name: str) -> tuple[str, ...]:
    """Return the columns of which one has something where there is the curve."""
    own = columns_of(name)
    return (own.values, own.text, own.rule, own.segments)


def decode_curves(row: pa.Table, shared: Shared, only: str | None = None) -> dict[str, Series]:
    """Return the curves in a row of tier 2 by name, with their clocks; only: this one, and what it follows from."""
    pairs = set(row[_PAIRS][0].as_py() or ()) if _PAIRS in row.column_names else set()
    found: dict[str, Series] = {}
    for name in curve_names(row.column_names):
        columns = columns_of(name)
        rule = row[columns.rule][0].as_py() if name != EQUITY and columns.rule in row.column_names else None
        values = apply_rule(rule, found[EQUITY].values) if rule else decode_curve(row, columns, shared.closes)
        if values is None:
            continue
        sha256 = row[f"clock.{name}"][0].as_py() if f"clock.{name}" in row.column_names else None
        sha256 = sha256 if only in (None, name) else None
        clock = shared.clock(sha256) if sha256 else None
        if clock is not None and (type(values) is not list or len(clock.time) != len(values)):
            raise ValueError(f"the curve {name!r} and its clock differ in length")
        found[name] = Series(values, clock, _OLD.get(name) in pairs)
    return found


def curve_names(columns: Sequence[str]) -> list[str]:
    """Return the names of the curves that columns hold, equity and drawdown first."""
    further = (name.removeprefix("curve.") for name in columns if name.startswith("curve."))
    return [*(name for name, old in _OLD.items() if old in columns), *further]


def table_names(columns: Sequence[str]) -> list[str]:
    """Return the names of the tables that columns hold."""
    prefixes = ("table.", "json.")
    return list(dict.fromkeys(name.partition(".")[2] for name in columns if name.startswith(prefixes)))


def columns_of_table(name: str) -> list[str]:
    """Return the columns that may hold a table."""
    return [f"table.{name}", f"json.{name}", f"schema.{name}"]


def _encode_table(out: Extras, name: str, kept: Sequence[Given]) -> None:
    import pyarrow as pa

    out.plain = False
    found: list[list[dict[str, Any]] | pa.Table | None] = []
    schemas: list[str | None] = []
    for one in kept:
        given, where = one.tables.get(name), place(one.strategy, f"tables.{name}")
        found.append(to_arrow(given, where) if is_frame(given) else _rows(given, where))
        schemas.append(schema_text(found[-1]) if isinstance(found[-1], pa.Table) else None)
    encoder = RowsEncoder(f"tables.{name}")
    if any(schemas):
        for one, own in zip(kept, found, strict=True):
            if isinstance(own, pa.Table) and len(own):
                encoder.add_columns(stored_columns(own, place(one.strategy, f"tables.{name}")), len(own))
            elif own:
                encoder.add(own)
    else:
        encoder.add(list(chain.from_iterable(own for own in found if own)))
    encoded = encoder.finish()
    if encoded is None:
        rows = (plain_rows(own, name) if isinstance(own, pa.Table) else own for own in found)
        out.columns[f"json.{name}"] = pa.array(
            [None if own is None else dumps(own) for own in rows], pa.string()
        )
    else:
        out.columns[f"table.{name}"] = pa.ListArray.from_arrays(
            pa.array([0, *accumulate(0 if own is None else len(own) for own in found)], pa.int32()),
            pa.StructArray.from_arrays(encoded.arrays, encoded.names),
            mask=pa.array([own is None for own in found]),
        )
        out.facts.setdefault("tables", {})[name] = encoded.layout
    if any(schemas):
        out.columns[f"schema.{name}"] = pa.array(schemas, pa.string())


def _rows(given: Any, where: str) -> list[dict[str, Any]] | None:
    """Return a table that was given as rows, or as a dict of columns."""
    if given is None:
        return None
    listed = plain(columns_to_lists(given, where) if not isinstance(given, list) else given, where) or plain(
        given, where
    )
    if type(listed) is dict:
        columns = list(listed.values())
        if columns and set(map(type, columns)) == {list} and len(set(map(len, columns))) == 1:
            return [dict(zip(listed, row, strict=True)) for row in zip(*columns, strict=True)]
        lengths = sorted({len(column) for column in columns if type(column) is list})
        why = f" with columns of {' and '.join(map(str, lengths))} rows" if len(lengths) > 1 else ""
        raise ConfigError(
            f"{where} is a dict{why}: give a table, a list of dicts, or a dict of lists of one length"
        )
    if type(listed) is not list or not set(map(type, listed)) <= {dict}:
        raise ConfigError(
            f"{where} is a {type(given).__name__} that is no table: give a frame or a list of dicts"
        )
    return listed


def decode_rows_of(
    row: pa.Table, name: str, facts: Mapping[str, Any]
) -> list[dict[str, Any]] | pa.Table | None:
    """Return a table in a row of tier 2: rows where rows were given, an Arrow table where a frame was; None for none."""
    import pyarrow as pa

    schema = row[f"schema.{name}"][0].as_py() if f"schema.{name}" in row.column_names else None
    rows: list[dict[str, Any]] | None = None
    if f"json.{name}" in row.column_names:
        text = row[f"json.{name}"][0].as_py()
        rows = None if text is None else loads(text)
    elif f"table.{name}" in row.column_names and row[f"table.{name}"][0].is_valid:
        table = pa.Table.from_struct_array(row[f"table.{name}"][0].values)
        arrays = [column.combine_chunks() for column in table.columns]
        layout = facts.get("tables", {}).get(name, {})
        if schema is not None:
            return from_columns(columns_by_key(table.column_names, arrays, layout), table.num_rows, schema)
        rows = decode_rows(table.column_names, arrays, layout)
    return rows if schema is None or rows is None else from_rows(rows, schema)


def as_table(found: list[dict[str, Any]] | pa.Table, name: str) -> pa.Table:
    """Return rows as an Arrow table, as those of trades are."""
    import pyarrow as pa

    if not isinstance(found, list):
        return found
    encoded = encode_rows(found, f"tables.{name}")
    if encoded is None:
        return (
            pa.table({"row": pa.array([dumps(one) for one in found], pa.string())}) if found else pa.table({})
        )
    names = [encoded.layout.get("keys", {}).get(own, own) for own in encoded.names]
    shape, texts = encoded.layout.get("shape"), encoded.layout.get("text", ())
    fields = [
        (pa.field(name, array.type, metadata={"archiver": "json"} if own in texts else None), array)
        for own, name, array in zip(encoded.names, names, encoded.arrays, strict=True)
        if own != shape
    ]
    return pa.Table.from_arrays([array for _, array in fields], schema=pa.schema([one for one, _ in fields]))


def as_rows(found: list[dict[str, Any]] | pa.Table) -> list[dict[str, Any]]:
    """Return a table as plain rows."""
    return found if isinstance(found, list) else written_rows(found)


def _encode_files(out: Extras, kept: Sequence[Given]) -> None:
    import pyarrow as pa

    lists = [
        [{"name": file.name, **file.told()} for file in one.files.values()] or None if one.files else None
        for one in kept
    ]
    if not any(lists):
        return
    out.plain = False
    for one in kept:
        out.files |= {file.sha256: file for file in one.files.values()}
    kind = pa.struct({"name": pa.string(), "size": pa.int64(), "sha256": pa.string(), "type": pa.string()})
    out.columns["files"] = pa.array(lists, pa.list_(kind))


def decode_files(row: pa.Table) -> dict[str, File]:
    """Return the files in a row of tier 2 by name, without their content."""
    found = row["files"][0].as_py() if "files" in row.column_names else None
    return {one["name"]: File(one["name"], one["size"], one["sha256"], one["type"]) for one in found or ()}
