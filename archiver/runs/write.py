"""Runs: the order in which a run is written, how records are read, and what a record reaches.

Order of a save: shared objects (tapes, code), the run's own objects and its tag markers, in any order; then the
record, which is the commit; then a look whether all these objects are still there. Whatever happens before the
record leaves orphans, which `gc` removes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from archiver.base.collector import collector_paused
from archiver.errors import (
    ConfigError,
)
from archiver.format import layout
from archiver.format.detail import Details, Kept, encode_details
from archiver.format.metrics import MetricsEncoder
from archiver.format.model import Code, Record
from archiver.format.records import compress, encode_record
from archiver.format.tapes import Tape, tape_of
from archiver.format.text import dumps, plain
from archiver.runs.ranking import Ranking, results_of
from archiver.store import Store

_REUSE_SECONDS = 3_600.0


_CODE_LEVEL = 9


_MOST_SERIES = 4


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
        # Whatever a gc with a short grace deleted until now; what it deletes later it puts back itself.
        self._each(
            lambda key: store.stat(key) or store.put(key, _bytes(draft, key)), [*shared, *draft.own, *markers]
        )
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
