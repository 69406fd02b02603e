"""What goes into a bundle: the objects that runs reach, each once, in order, with size and sha256; and the front.

Order in the tar: manifest.json, README.txt, SHA256SUMS; archive.json; shared objects; each run's own; tags; records.
So a copy that was cut while it was unpacked holds no record without its data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import orjson

from archiver.base.version import __version__
from archiver.errors import ConfigError, IntegrityError, NotFoundError, RunNotFoundError
from archiver.format import layout
from archiver.format.model import Record, Ref, Run, run_document
from archiver.runs.reach import reachable
from archiver.runs.records import read_record, run_of
from archiver.runs.tags import markers_by_run, read_tags
from archiver.store import Store
from archiver.store.bundled import FORMAT, MANIFEST
from archiver.store.seekable import MOST_FIRST
from archiver.transfer.bundle.tar import header, header_size, padding
from archiver.transfer.checked import is_shared, stored_bytes

README = "README.txt"
SUMS = "SHA256SUMS"
_KEPT = 32 << 20
_TEXT = """\
This is a bundle of archiver: results of trading-strategy backtests, complete and verifiable.
Everything in it is plain: tar, zstd, JSON, Parquet. No program of ours is needed to read it.

    tar --zstd -xf NAME.tar.zst        unpack (or: zstd -dc NAME.tar.zst | tar -xf -)
    sha256sum -c SHA256SUMS            check every file

manifest.json    the runs, and each file's size and sha256, in the order of the tar
runs/            one record a run: JSON in one zstd frame (zstd -dc). `tier1`, `tier2` and `tapes` say which files
                 belong to it, `rows` holds the metrics of a small run as JSON text, `detail` its details: base64 of a zstd
                 frame of an Arrow stream
tier1/           metrics of all strategies of larger runs: Parquet, one row a strategy
tier2/           details of the best strategies: Parquet; `details` in the record says which row group is whose.
                 Its columns: metrics, trades, equity_curve, drawdown_curve; curve.NAME, table.NAME, files
tapes/           bar series: Parquet; a trade's price window is (begin, length) in one of them
clocks/          moments that curves are on: Parquet; `clock.NAME` in tier2 names the one of a curve
files/           files of strategies, each one zstd frame, named by the sha256 of the plain file
code/            captured source files, each one zstd frame, named by the sha256 of the plain file; the record's
                 `code` maps paths to these names
tags/            empty files: tags/TAG/RUN; also `tags` in the record, but for those that untagged/TAG/RUN takes off

What was unpacked is an archive: `archiver --url FOLDER ls` lists its runs.
With archiver the bundle need not be unpacked: `archiver --url bundle::NAME.tar.zst ls`.

The file is a series of zstd frames, each holding a slice of the tar, and ends with the seek table of zstd's
seekable format, so that any slice can be read alone. Programs that do not know the table pass over it.
"""


class Item(NamedTuple):
    """One member to be: its key, size and sha256 as stored, and what its record says of it, if it is not tiny."""

    key: str
    size: int
    sha256: str
    ref: Ref | None = None


@dataclass(slots=True)
class Survey:
    """The members of a bundle in order, what is shown of its runs, and the small objects that were read already."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    """sha256 of each run's record."""
    format: int = 1
    """The greatest of its records."""

    @property
    def modified(self) -> datetime:
        """The time that all members show: when the newest run was made, so that the same runs give the same bytes."""
        newest = max(run["created"] for run in self.runs)
        return datetime.fromtimestamp(int(newest.timestamp()), UTC)

    @property
    def bytes(self) -> int:
        """Size of all members."""
        return sum(item.size for item in self.items)


class _Keeper:
    """Keeps what was read once, up to a limit, so that small objects are not read twice."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self._left = _KEPT

    def item(self, key: str, data: bytes, ref: Ref | None = None) -> Item:
        if len(data) <= self._left:
            self._left -= len(data)
            self.held[key] = data
        return Item(key, len(data), hashlib.sha256(data).hexdigest(), ref)


def survey(store: Store, runs: Sequence[str]) -> Survey:
    """Read the records of some runs, and list what they reach.

    Raises RunNotFoundError; ConfigError for no runs at all, or one whose details are in another bundle;
    IntegrityError for damage in records or code.
    """
    wanted = sorted(set(runs))
    if not wanted:
        raise ConfigError("a bundle needs at least one run: `archiver ls` shows those there are")
    keeper = _Keeper()
    found = Survey(kept=keeper.held)
    shared: dict[str, Ref] = {}
    own: list[Item] = []
    records: list[Item] = []
    told: list[Run] = []
    for data, record in store.map(partial(_read, store), wanted, small=True):
        run = record.run
        found.format = max(found.format, record.format)
        records.append(keeper.item(layout.record_key(run), data))
        found.records[run] = records[-1].sha256
        told.append(run_of(record, record.tags))
        for ref in reachable(record):
            if is_shared(ref.key):
                shared[ref.key] = ref
            else:
                own.append(Item(ref.key, ref.size, ref.sha256, ref))
    labels = read_tags(store, {run.id: run.tags for run in told})
    found.runs += [run_document(replace(run, tags=tuple(labels.get(run.id, ())))) for run in told]
    marks = [key for keys in markers_by_run(store, wanted).values() for key in keys]
    facts = _facts(found)
    found.kept[layout.ARCHIVE] = facts  # whatever the limit: no store has it
    found.items = [
        Item(layout.ARCHIVE, len(facts), hashlib.sha256(facts).hexdigest()),
        *_shared_items(store, shared, keeper),
        *own,
        *(keeper.item(key, b"") for key in sorted(marks)),
        *records,
    ]
    return found


def _facts(found: Survey) -> bytes:
    """Return what makes the unpacked files an archive, of an identity that follows from the runs.

    The archive's own would give the same runs other bytes where they have been copied to another archive.
    """
    identity = hashlib.sha256("".join(found.records.values()).encode()).hexdigest()[:32]
    return orjson.dumps({"format": found.format, "id": identity, "created": found.modified})


def front(found: Survey) -> bytes:
    """Return the tar's beginning: manifest.json, README.txt and SHA256SUMS. Raises ConfigError when it is too long."""
    modified = found.modified
    at = 0
    rows = []
    for item in found.items:
        at += header_size(item.key, item.size, modified)
        rows.append(orjson.dumps({"key": item.key, "at": at, "size": item.size, "sha256": item.sha256}))
        at += item.size + len(padding(item.size))
    facts = {
        "bundle": FORMAT,
        "archiver": __version__,
        "modified": int(modified.timestamp()),
    }
    runs = b",\n".join(orjson.dumps(run, option=orjson.OPT_UTC_Z) for run in found.runs)
    manifest = b'%b,"runs":[\n%b\n],"members":[\n%b\n]}\n' % (
        orjson.dumps(facts)[:-1],
        runs,
        b",\n".join(rows),
    )
    readme = _TEXT.encode()
    sums = [(MANIFEST, hashlib.sha256(manifest).hexdigest()), (README, hashlib.sha256(readme).hexdigest())]
    sums += [(item.key, item.sha256) for item in found.items]
    text = "".join(f"{sha256}  {key}\n" for key, sha256 in sums).encode()
    data = b"".join(
        header(name, len(part), modified) + part + padding(len(part))
        for name, part in ((MANIFEST, manifest), (README, readme), (SUMS, text))
    )
    if len(data) > MOST_FIRST:
        raise ConfigError(f"{len(found.items):,} objects are too many for one bundle: make several")
    return data


def load_bytes(store: Store, run: str) -> bytes:
    """Read a run's record as it is stored. Raises RunNotFoundError."""
    try:
        return store.get(layout.record_key(run))
    except NotFoundError:
        raise RunNotFoundError(f"no run {run}: `archiver ls` shows the runs there are") from None


def _read(store: Store, run: str) -> tuple[bytes, Record]:
    data = load_bytes(store, run)
    record = read_record(layout.record_key(run), data)
    if record.archived:
        raise ConfigError(
            f"the details of {run} are in a bundle already: `archiver bundle restore {record.archived}` first"
        )
    return data, record


def _shared_items(store: Store, shared: Mapping[str, Ref], keeper: _Keeper) -> Iterator[Item]:
    """Describe shared objects; records know code only by its plain bytes, so that is read."""
    keys = sorted(shared)
    plain = [shared[key] for key in keys if shared[key].plain]
    items = {
        ref.key: keeper.item(ref.key, data, ref)
        for ref, data in zip(plain, store.map(partial(stored_bytes, store), plain, small=True), strict=True)
    }
    for key in keys:
        ref = shared[key]
        yield items.get(key) or Item(key, ref.size, ref.sha256, ref)


def lost(key: str, store: Store) -> IntegrityError:
    """Return the error for an object that changed or vanished while it was bundled."""
    return IntegrityError(
        f"{key} in {store.url} is gone or changed; run `archiver verify`, then bundle again"
    )
