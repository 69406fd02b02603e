"""Packs: the records of many runs as one table, a row a run, and their metrics as another, a row a strategy.

A pack is three objects: `<stem>.records.parquet` and `<stem>.metrics.parquet`, then `<stem>.json.zst`, which describes and so
commits them. A record's text is cut into the columns that listings read and what is left; put together again, it says
the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from archiver.errors import FormatError, IntegrityError
from archiver.format import fields as check
from archiver.format import layout
from archiver.format.metrics import metrics_table, with_keys
from archiver.format.model import Ref
from archiver.format.parquet import ParquetObject, write_parquet
from archiver.format.records import FORMAT, compress, decompress, ref_fields, to_ranges, to_ref
from archiver.format.rows import RowsEncoder, free_name
from archiver.format.text import loads

if TYPE_CHECKING:
    import pyarrow as pa

MOST_RUNS = 65_536
"""How many runs a pack holds at most; so many rows a group."""
GROUP, _GROUP_BYTES = 4_096, 32 << 20
_METRICS_GROUP = 65_536
_MOST_METRICS = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TEXTS = ("run", "nonce", "universe", "rank_by", "note", "names", "archived", "details", "tags")
_NUMBERS = ("revision", "size", "modified", "created", "strategies", "detailed", "bytes", "top_n", "tier1")
_CUT = ("run", "universe", "strategies", "top_n", "rank_by", "note", "names", "rows", "detail")
"""Fields of a record that stand in columns of their own."""
LISTED = (*_TEXTS, *_NUMBERS)
"""The columns that listings show."""
SEEN = ("run", "universe", "created", "strategies", "detailed", "bytes", "size", "tier1", "note", "tags")
"""The columns from which many runs are told at once."""
REACHED = ("reaches", "code", "inline")
"""The columns that say what a record reaches, and how many bytes of details stand in it; older packs have none of them."""
PLACES = ("run", "revision", "nonce", "size", "modified")
"""The columns that say which runs a pack holds."""
_WHOLE = ("record", *_CUT, "created")
Ranges = dict[str, tuple[float, float]]


class Packed(NamedTuple):
    """A record on its way into a pack: its version, what a listing showed of it, its text, and what a user sees of it."""

    run: str
    revision: int
    nonce: str
    size: int
    modified: datetime
    fields: dict[str, Any]
    seen: dict[str, Any]
    """Values of the columns of `LISTED` and `REACHED` that the text does not say."""
    rows: list[dict[str, Any]]
    metrics: Ranges

    @property
    def created(self) -> datetime:
        """When the run was made."""
        return datetime.fromisoformat(self.fields["created"]).astimezone(UTC)

    @property
    def version(self) -> tuple[int, str]:
        """What tells which record of a run counts: the greatest."""
        return self.revision, self.nonce


@dataclass(frozen=True, slots=True)
class Pack:
    """What commits a pack: its objects, which runs they hold (newest first) and which packs it replaces, by stem."""

    stem: str
    runs: int
    records: Ref
    metrics: Ref | None = None
    replaces: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    """How many runs each row group of the records has."""
    universes: tuple[str, ...] = ()
    ranges: Ranges = field(default_factory=dict, repr=False)
    """The least and the greatest value of each metric of its runs."""

    @property
    def key(self) -> str:
        """The key of the object that commits it."""
        return self.stem + layout.RECORD_SUFFIX

    @property
    def newest(self) -> str:
        """The newest run."""
        return layout.pack_span(self.stem)[1]

    @property
    def oldest(self) -> str:
        """The oldest run."""
        return layout.pack_span(self.stem)[0]

    def data(self) -> list[Ref]:
        """Return the objects that it describes."""
        return [self.records, *([self.metrics] if self.metrics is not None else ())]

    def objects(self) -> list[str]:
        """Return the keys of all its objects, that which commits it first."""
        return [self.key, *(ref.key for ref in self.data())]


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(microseconds: int) -> datetime:
    """Return the moment that `microseconds` made a number of."""
    return _EPOCH + timedelta(microseconds=microseconds)


class PackEncoder:
    """Takes records, newest run first, and holds them as columns."""

    def __init__(self) -> None:
        """Begin an empty pack."""
        self._columns: dict[str, list[Any]] = {
            name: [] for name in (*LISTED, *REACHED, "rows", "detail", "record")
        }
        self._metrics = RowsEncoder("results", _MOST_METRICS)
        self._rows: list[dict[str, Any]] = []
        self._keys: tuple[list[str], list[str], list[int]] = ([], [], [])
        self._ranges: Ranges = {}
        self._starts = [0]
        self._held = 0
        self.bytes = 0
        """Of all records so far, in bytes."""

    def __len__(self) -> int:
        """Return how many records it took."""
        return len(self._columns["run"])

    def add(self, item: Packed) -> None:
        """Take a record."""
        own = len(self) - self._starts[-1]
        if own and (own >= GROUP or self._held + item.size > _GROUP_BYTES):
            self._starts.append(len(self))
            self._held = 0
            self._spill()
        for name, value in _row(item).items():
            self._columns[name].append(value)
        self._rows += item.rows
        count, created = len(item.rows), self._columns["created"][-1]
        self._keys[0].extend([str(item.fields["universe"])] * count)
        self._keys[1].extend([item.run] * count)
        self._keys[2].extend([created] * count)
        for name, (least, greatest) in item.metrics.items():
            known = self._ranges.get(name, (least, greatest))
            self._ranges[name] = min(known[0], least), max(known[1], greatest)
        self._held += item.size
        self.bytes += item.size

    def finish(self, replaces: Sequence[str] = ()) -> tuple[Pack, dict[str, bytes]]:
        """Return the pack, and the bytes of its objects by key, in the order to write them.

        replaces: the stems of packs whose records that count are in this one, or in those before it. A pack without
        records is for packs of which nothing counts any more.
        """
        runs, universes = self._columns["run"], self._columns["universe"]
        span = (min(runs), max(runs)) if runs else layout.pack_span(replaces[0])
        stem = layout.new_pack_stem(*span)
        places = list(pairwise([*self._starts, len(runs)]))
        groups = tuple(end - start for start, end in places if end > start)
        data, ref = write_parquet(self._slices(places), {"pack": "records"}, parts="column")
        records = replace(ref, key=f"{stem}.records.parquet")
        objects = {records.key: data}
        metrics = None
        encoded = self._finish_metrics()
        if encoded is not None:
            metrics = replace(encoded[1], key=f"{stem}.metrics.parquet")
            objects[metrics.key] = encoded[0]
        names = tuple(sorted(set(universes)))
        pack = Pack(stem, len(runs), records, metrics, tuple(replaces), groups, names, self._ranges)
        objects[pack.key] = _commit(pack)
        return pack, objects

    def _slices(self, places: Sequence[tuple[int, int]]) -> Iterator[pa.Table]:
        import pyarrow as pa

        numbers = (*_NUMBERS, "inline")
        kinds = {name: pa.int64() if name in numbers else pa.string() for name in self._columns}
        for start, end in places:
            yield pa.table(
                {name: pa.array(column[start:end], kinds[name]) for name, column in self._columns.items()}
            )

    def _spill(self) -> None:
        if self._rows:
            self._metrics.add(self._rows)
            self._rows = []

    def _finish_metrics(self) -> tuple[bytes, Ref] | None:
        """Encode the rows that stand in the records as one table, with universe and run of each."""
        import pyarrow as pa

        self._spill()
        encoded = self._metrics.finish() if self._keys[1] else None
        if encoded is None:
            return None
        names = [free_name(name, encoded.names) for name in ("universe", "run", "created")]
        kinds = (pa.string(), pa.string(), pa.int64())
        arrays = [pa.array(values, kind) for values, kind in zip(self._keys, kinds, strict=True)]
        table = pa.Table.from_arrays([*arrays, *encoded.arrays], [*names, *encoded.names])
        slices = [table.slice(at, _METRICS_GROUP) for at in range(0, table.num_rows, _METRICS_GROUP)]
        return write_parquet(
            slices, {"pack": "metrics", "keys": names, "rows": encoded.layout}, parts="column"
        )


def _row(item: Packed) -> dict[str, Any]:
    fields = dict(item.fields)
    created = datetime.fromisoformat(fields["created"]).astimezone(UTC)
    if created.isoformat() == fields["created"]:
        del fields["created"]
    cut = {name: fields.pop(name, None) for name in _CUT}
    own = {"revision": item.revision, "nonce": item.nonce, "size": item.size, "run": item.run}
    times = {"modified": microseconds(item.modified), "created": microseconds(created)}
    return {**cut, **item.seen, **own, **times, "record": orjson.dumps(fields).decode()}


def _commit(pack: Pack) -> bytes:
    facts = {
        "format": FORMAT,
        "runs": pack.runs,
        "replaces": list(pack.replaces),
        "records": ref_fields(pack.records),
        "metrics": ref_fields(pack.metrics),
        "groups": pack.groups,
        "universes": list(pack.universes),
        "ranges": pack.ranges,
    }
    return compress(orjson.dumps(facts))


def decode_pack(data: bytes, key: str) -> Pack:
    """Read what commits a pack. Raises IntegrityError when it is damaged, FormatError when it is of a newer format."""
    plain = decompress(data, key)
    try:
        facts = check.members(orjson.loads(plain), "pack")
        version = facts.get("format")
        if type(version) is int and version > FORMAT:
            raise FormatError(f"{key} is of format {version}: upgrade archiver to read it")
        return _pack(facts, key.removesuffix(layout.RECORD_SUFFIX))
    except ValueError as error:
        why = error if isinstance(error, check.FieldError) else "it is not JSON"
        raise IntegrityError(
            f"{key} is damaged: it describes no pack ({why}); run `archiver verify`"
        ) from None


def _pack(facts: dict[str, Any], stem: str) -> Pack:
    records = to_ref(facts.get("records"), "records")
    if records is None:
        raise check.FieldError("records", "an object", None)
    metrics = to_ref(facts.get("metrics"), "metrics")
    for ref, name in ((records, "records"), (metrics, "metrics")):
        if ref is not None and ref.key != f"{stem}.{name}.parquet":
            raise check.FieldError(f"{name}.key", "its own", ref.key)
    groups = check.each(check.items(facts.get("groups"), "groups"), "groups", check.count)
    runs = check.count(facts.get("runs"), "runs")
    if sum(groups) != runs:
        raise check.FieldError("groups", "groups of its runs", facts.get("groups"))
    replaces, universes = (
        tuple(check.all_of(str, check.items(facts.get(name), name), name))
        for name in ("replaces", "universes")
    )
    ranges = to_ranges(check.members(facts.get("ranges"), "ranges"))
    return Pack(stem, runs, records, metrics, replaces, groups, universes, ranges)


def records_table(source: ParquetObject, group: int) -> pa.Table:
    """Read the records of a row group, for `record_bytes`."""
    return source.read(groups=[group], columns=list(_WHOLE))


def record_bytes(table: pa.Table) -> Iterator[bytes]:
    """Yield the records of such a table, each as the object that it would be by itself."""
    for row in table.to_pylist():
        yield compress(_text(row), 1)


def reached_text(refs: Iterable[Ref]) -> str | None:
    """Write what a record reaches as it stands in a column of a pack: the key and size of each, None for nothing."""
    pairs = [(ref.key, ref.size) for ref in refs]
    return orjson.dumps(pairs).decode() if pairs else None


def refs_of(text: str) -> list[Ref]:
    """Read what `reached_text` wrote; what has no sha256 there is named by it, or a run's own."""
    return [Ref(key, size, "", plain=key.startswith(layout.FRAMES)) for key, size in loads(text)]


def has_reached(source: ParquetObject) -> bool:
    """Tell whether the records of a pack say in columns what they reach."""
    return set(REACHED) <= set(source.file.schema_arrow.names)


def pack_metrics(source: ParquetObject, columns: Sequence[str] | None, *, params: bool) -> pa.Table:
    """Return universe, strategy_name, run, and the metrics (all, or those of `columns` that it has) of a pack's rows.

    params: show parameters as columns; else they are the dicts that they were saved as.
    """
    universe, run, created = source.facts["keys"]
    table = metrics_table(source, columns, params=params, keys=(universe, run, created))
    keys = source.read(columns=[universe, run])
    return with_keys(table, keys[universe], keys[run])


def pack_created(source: ParquetObject) -> pa.ChunkedArray:
    """Return when the run of each of a pack's rows was made, in microseconds since 1970."""
    name = source.facts["keys"][2]
    return source.read(columns=[name])[name]


def _text(row: dict[str, Any]) -> bytes:
    left = loads(row["record"])
    moment = {"created": moment_of(row["created"]).isoformat()}
    cut = {name: row[name] for name in _CUT if row[name] is not None}
    return orjson.dumps({**cut, **moment, **left})


def stored_size(fields: dict[str, Any]) -> int:
    """Return how many bytes a record takes when a pack gives it back."""
    created = datetime.fromisoformat(fields["created"]).astimezone(UTC).isoformat()
    cut = {name: fields[name] for name in _CUT if fields.get(name) is not None}
    left = {name: value for name, value in fields.items() if name not in _CUT}
    if left["created"] == created:
        del left["created"]
    return len(compress(orjson.dumps({**cut, "created": created, **left}), 1))
