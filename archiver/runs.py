"""Runs: the order in which a run is written, how records are read, and what a record reaches.

Order of a save: shared objects (tapes, code), the run's own objects and its tag markers, in any order; then the
record, which is the commit; then a look whether the shared objects are still there. Whatever happens before the
record leaves orphans, which `gc` removes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from archiver import layout
from archiver.codec.detail import Details, Kept, encode_details
from archiver.codec.metrics import MetricsEncoder
from archiver.codec.records import compress, decode_record, encode_record
from archiver.codec.tapes import Tape, tape_of
from archiver.codec.text import dumps, loads, plain
from archiver.errors import (
    AccessError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    RunNotFoundError,
    StorageError,
)
from archiver.model import Code, Record, Ref, Run
from archiver.pause import collector_paused
from archiver.ranking import Ranking, results_of
from archiver.store import Store

_REUSE_SECONDS = 3_600.0
_CODE_LEVEL = 9
_MOST_SERIES = 4
_REMOVABLE = (
    layout.RUNS,
    layout.TRASH,
    layout.TIER1,
    layout.TIER2,
    layout.TAPES,
    layout.CODE,
    layout.TAGS,
    layout.CATALOG,
)
_FEW, _FEW_LOCAL = 2, 20
"""Fewer calls than this are made one after the other: threads would cost more than they save."""


@dataclass(slots=True)
class Draft:
    """A run that is encoded and not yet written: its record, its own objects, tapes, and code as plain bytes, by key."""

    record: Record
    own: dict[str, bytes] = field(default_factory=dict)
    tapes: dict[str, bytes] = field(default_factory=dict)
    code: dict[str, bytes] = field(default_factory=dict)
    series: list[Tape] = field(default_factory=list)
    """The bar series behind `tapes`, for the next run to be cut from."""

    @property
    def bytes(self) -> int:
        """Size of the objects in bytes, code not yet compressed."""
        return sum(len(data) for objects in (self.own, self.tapes, self.code) for data in objects.values())


def draft_run(
    universe: str,
    results: Any,
    *,
    top_n: int,
    rank_by: str | None = None,
    params: Mapping[str, Any] | None = None,
    note: str | None = None,
    bars: Sequence[Tape] = (),
    kept: Sequence[Kept] | None = None,
    created: datetime | None = None,
    run: str | None = None,
) -> Draft:
    """Consume results and encode them as a run. Nothing is written.

    `kept` are details that were ranked elsewhere, best first; results are then metrics only. `created` and `run` are
    those of a run that was made elsewhere. Raises ConfigError, naming the place, for results that cannot be kept.
    """
    layout.universe_part(universe)
    if params is not None and not hasattr(params, "keys"):
        raise ConfigError(f"params is a {type(params).__name__}: give a dict")
    params_text = None if params is None else dumps(plain(dict(params), "params"))
    ranking = Ranking(top_n, rank_by)
    tier1 = MetricsEncoder()
    for result in results_of(results):
        tier1.add(ranking.add(result))
    with collector_paused():
        ranked_by, best = ranking.finish()
        best = best if kept is None else list(kept)
        inline, parquet, metrics = tier1.finish()
        details = encode_details(best, bars) if best else None
    created = created or datetime.now(UTC)
    run = run or layout.new_run_id(created)
    draft = Draft(
        Record(
            run=run,
            universe=universe,
            created=created,
            strategies=len(ranking.names),
            top_n=ranking.top_n,
            rank_by=ranked_by,
            inline=inline,
            metrics=metrics,
            names=tier1.names_digest(),
            params=params_text,
            note=None if note is None else str(note),
        )
    )
    if parquet is not None:
        data, ref = parquet
        key = layout.tier1_key(universe, run)
        draft.own[key] = data
        draft.record = replace(draft.record, tier1=replace(ref, key=key))
    if details is not None:
        _add_details(draft, details)
    return draft


def add_code(draft: Draft, code: Code, blobs: Mapping[str, bytes]) -> None:
    """Put captured code into the draft; `blobs` are plain bytes by their sha256."""
    draft.record = replace(draft.record, code=code)
    for sha256, data in blobs.items():
        draft.code[layout.code_key(sha256)] = data


class Writer:
    """Writes drafts to one store, and remembers which shared objects it wrote a short while ago."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[str, float] = {}

    def commit(self, draft: Draft, tags: Iterable[str] = ()) -> Record:
        """Write the draft's objects, then its record. Returns the record as it was written."""
        store, record = self._store, draft.record
        shared = [*draft.tapes, *draft.code]
        stale = [key for key in shared if not self._fresh(key)]
        markers = [layout.tag_key(tag, record.run) for tag in tags]
        self._each(lambda key: store.put(key, _bytes(draft, key)), [*stale, *draft.own, *markers])
        data = encode_record(record)
        store.put(layout.record_key(record.run), data, create=True)
        self._written.update(dict.fromkeys(stale, time.monotonic()))
        self._each(lambda key: store.stat(key) or store.put(key, _bytes(draft, key)), shared)
        return replace(record, size=len(data))

    def _fresh(self, key: str) -> bool:
        # Never "it exists": an old object may be one that gc is about to delete. And what gc deletes between our put
        # and our commit, the look after the commit finds; what it deletes later, gc finds, which looks once more too.
        written = self._written.get(key)
        return written is not None and time.monotonic() - written < _REUSE_SECONDS

    def _each(self, act: Callable[[str], object], keys: Sequence[str]) -> None:
        if len(keys) < _FEW or (self._store.local and len(keys) < _FEW_LOCAL):
            for key in keys:
                act(key)
        else:
            for _ in self._store.map(act, keys):
                pass


class KnownSeries:
    """Remembers the bar series of the latest saves, so that the next run of a universe shares its tapes."""

    def __init__(self) -> None:
        self._of: dict[str, list[Tape]] = {}

    def of(self, universe: str, bars: Any = None) -> list[Tape]:
        """Return the series that windows may be cut from: the user's, then those of the universe's last save.

        Raises ConfigError for bars that are no series.
        """
        return [*([] if bars is None else [tape_of(bars)]), *self._of.get(universe, ())]

    def keep(self, universe: str, series: Sequence[Tape]) -> None:
        """Remember the series of a save; the oldest are forgotten."""
        if series:
            self._of.pop(universe, None)
            self._of[universe] = list(series[:_MOST_SERIES])
        while len(self._of) > 1 and sum(map(len, self._of.values())) > _MOST_SERIES:
            self._of.pop(next(iter(self._of)))


def _bytes(draft: Draft, key: str) -> bytes:
    if key in draft.code:
        return compress(draft.code[key], _CODE_LEVEL)
    return draft.own.get(key) or draft.tapes.get(key, b"")


def load_record(store: Store, run: str) -> Record:
    """Read one run's record. Raises RunNotFoundError when there is none, with the way back for a pruned one."""
    key = layout.record_key(run)
    try:
        return read_record(key, store.get(key))
    except NotFoundError:
        if store.stat(layout.trash_key(run)) is not None:
            raise RunNotFoundError(
                f"run {run} was pruned and is in the trash: `archiver undelete {run}` brings it back"
            ) from None
        raise RunNotFoundError(f"no run {run}: `archiver ls` shows the runs there are") from None


def read_record(key: str, data: bytes) -> Record:
    """Decode a record, and make sure that it is the one its key says. Raises IntegrityError."""
    record = decode_record(data, key)
    if record.run != layout.run_of_record(key):
        raise IntegrityError(
            f"{key} holds the record of {record.run}; `archiver verify --repair` sets it aside"
        )
    return record


def origin(record: Record) -> dict[str, Any] | None:
    """Return what a record says of the old format it was imported from: `format`, `source`, `fingerprint` and more."""
    if record.params is None or '"imported"' not in record.params:
        return None
    facts = loads(record.params).get("imported")
    return facts if isinstance(facts, dict) and isinstance(facts.get("fingerprint"), str) else None


def reachable(record: Record, *, code: bool = True) -> Iterator[Ref]:
    """Yield every object that a record reaches, the record itself not among them. The one graph function.

    code: among them its captured code.
    """
    if record.tier1 is not None:
        yield record.tier1
    if record.tier2 is not None:
        yield record.tier2
    yield from record.tapes
    if code and record.code is not None:
        for file in (*record.code.files, *record.code.texts):
            yield Ref(layout.code_key(file.sha256), file.size, file.sha256, plain=True)


def run_of(record: Record, tags: Iterable[str] = ()) -> Run:
    """Return what a user sees of a record."""
    refs = [*record.tapes, *(ref for ref in (record.tier1, record.tier2) if ref is not None)]
    return Run(
        id=record.run,
        universe=record.universe,
        created=record.created,
        strategies=record.strategies,
        detailed=len(record.details) if record.tier2 is not None else 0,
        bytes=record.size + sum(ref.size for ref in refs),
        tags=tuple(tags),
        top_n=record.top_n,
        rank_by=record.rank_by,
        note=record.note,
        archived=record.archived,
    )


def reached(records: Iterable[Record]) -> Iterator[tuple[Record, Ref]]:
    """Yield what each record reaches; code that many runs share only with the first of them."""
    seen: set[bytes] = set()
    for record in records:
        code = False
        if record.code is not None:
            texts = "".join(file.sha256 for file in (*record.code.files, *record.code.texts))
            digest = blake2b(texts.encode(), digest_size=16).digest()
            code = digest not in seen
            seen.add(digest)
        for ref in reachable(record, code=code):
            yield record, ref


def look_at_clock(store: Store) -> datetime:
    """Read the store's clock, or this machine's where reading the store's takes a right that only changes need."""
    try:
        return store.now()
    except AccessError:
        return datetime.now(UTC)


def remove(store: Store, keys: Sequence[str], *, leftovers: bool = False) -> dict[str, StorageError]:
    """Delete objects: the one place where records and data of an archive are deleted. Return what failed, and why.

    leftovers: the keys are those of `Store.leftovers`. Raises ConfigError for a key that is no record, data, tag or
    catalog: whatever else lies in the archive is not ours to delete.
    """
    for key in keys:
        if not leftovers and not key.startswith(_REMOVABLE):
            raise ConfigError(f"{key} is not the archive's to delete")
    return store.delete(keys)


def _add_details(draft: Draft, details: Details) -> None:
    record = draft.record
    key = layout.tier2_key(record.universe, record.run)
    draft.own[key] = details.data
    tapes = []
    draft.series = details.tapes
    for tape in details.tapes:
        data, ref = tape.encoded()
        tapes.append(replace(ref, key=layout.tape_key(ref.sha256)))
        draft.tapes[tapes[-1].key] = data
    draft.record = replace(
        record, tier2=replace(details.ref, key=key), details=details.details, tapes=tuple(tapes)
    )
