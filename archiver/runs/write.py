"""How a run is written: a draft of its objects, and the order in which they are committed.

Order of a save: shared objects (tapes, code), the run's own objects and its tag markers, in any order; then the
record, which is the commit; then a look whether all these objects are still there. Whatever happens before the
record leaves orphans, which `gc` removes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from archiver.base.collector import collector_paused
from archiver.base.humanize import counted
from archiver.errors import (
    ConfigError,
)
from archiver.format import layout
from archiver.format.detail import Details, Kept, encode_details
from archiver.format.metrics import MetricsEncoder, names_digest
from archiver.format.model import Code, Record, Ref
from archiver.format.records import compress, encode_record
from archiver.format.tapes import Tape, tape_of
from archiver.format.text import dumps
from archiver.format.values import Default, plain, saving
from archiver.runs.format_number import raise_number
from archiver.runs.ranking import Ranking, results_of
from archiver.runs.record_view import below
from archiver.runs.tags import with_tags
from archiver.store import Store

_REUSE_SECONDS = 3_600.0


_CODE_LEVEL = 9


MOST_INLINE = 64 << 10
"""Bytes of details, compressed, that stand in the record: a small run is one object."""


_MOST_SERIES = 4


_FEW, _FEW_LOCAL = 2, 20


"""Fewer calls than this are made one after the other: threads would cost more than they save."""


@dataclass(slots=True)
class Draft:
    """A run that is encoded and not yet written: its record, its own objects, tapes and clocks, and as plain bytes code
    and files, by key."""

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
    default: Default | None = None,
    made_of: str = "",
) -> Draft:
    """Consume results and encode them as a run. Nothing is written.

    `kept` are details that were ranked elsewhere, best first; results are then metrics only. `created` and `run` are
    those of a run that was made elsewhere, `made_of` tells two makers of it apart; `default` makes plain data of values
    of other kinds. Raises ConfigError,
    naming universe, strategy and place, for results that cannot be kept, and whatever an iterator of results raises.
    """
    layout.universe_part(universe)
    with saving(default) as seen:
        try:
            draft = _draft(universe, results, top_n, rank_by, params, note, bars, kept, created, run, made_of)
        except ConfigError as error:
            raise ConfigError(f"universe {universe!r}: {error}") from error.__cause__
    if seen.lost:
        more = f" and {len(seen.lost) - 1:,} more" if len(seen.lost) > 1 else ""
        warnings.warn(
            f"universe {universe!r}: an index is not kept: {next(iter(seen.lost))}{more}; give it as values of"
            " its own beside them, or drop it with reset_index(drop=True)",
            stacklevel=3,
        )
    return draft


def _draft(
    universe: str,
    results: Any,
    top_n: int,
    rank_by: str | None,
    params: Mapping[str, Any] | None,
    note: str | None,
    bars: Sequence[Tape],
    kept: Sequence[Kept] | None,
    created: datetime | None,
    run: str | None,
    made_of: str,
) -> Draft:
    if params is not None and not hasattr(type(params), "keys"):
        raise ConfigError(f"params is a {type(params).__name__}: give a dict")
    params_text = None if params is None else dumps(plain(dict(params), "params"))
    results = results_of(results)
    ranking = Ranking(top_n, rank_by, at_hand=type(results) in (list, tuple))
    tier1 = MetricsEncoder()
    for result in _each(results):
        tier1.add(ranking.add(result))
    with collector_paused():
        ranked_by, best = ranking.finish()
        best = best if kept is None else list(kept)
        strategies, names = len(ranking.names), names_digest(ranking.names)
        ranking.names.clear()  # a million of them take as much as a fourth of the columns
        inline, parquet, metrics = tier1.finish()
        details = encode_details(best, bars) if best else None
    created = created or datetime.now(UTC)
    run = run or layout.new_run_id(created)
    draft = Draft(
        Record(
            run=run,
            universe=universe,
            created=created,
            strategies=strategies,
            top_n=ranking.top_n,
            rank_by=ranked_by,
            inline=inline,
            metrics=metrics,
            names=names,
            params=params_text,
            note=None if note is None else str(note),
        )
    )
    if parquet is not None:
        data, ref = parquet
        key = layout.tier1_key(universe, run, made_of)
        draft.own[key] = data
        draft.record = replace(draft.record, tier1=replace(ref, key=key))
    if details is not None:
        add_details(draft, details, made_of)
    return draft


def _each(results: Iterable[Any]) -> Iterator[Any]:
    """Yield the results; what their iterator raises says how far it came, and that no run was written."""
    count = 0
    iterator = iter(results)
    while True:
        try:
            result = next(iterator)
        except StopIteration:
            return
        except BaseException as error:
            error.add_note(
                f"{counted(count, 'result')} came before this; no run was written, none of them is kept"
            )
            raise
        count += 1
        yield result


def add_code(draft: Draft, code: Code, blobs: Mapping[str, bytes]) -> None:
    """Put captured code into the draft; `blobs` are plain bytes by their sha256."""
    draft.record = replace(draft.record, code=code)
    for sha256, data in blobs.items():
        draft.code[layout.code_key(sha256)] = data


class Writer:
    """Writes drafts to one store, and remembers which shared objects it wrote a short while ago."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._format = 1
        self._written: dict[str, float] = {}
        self._reached_by: dict[str, tuple[str, int]] = {}
        """Key and size of the last record of ours that reaches a shared object, which was there after it."""

    def commit(self, draft: Draft, tags: Iterable[str] = (), *, at: str | None = None) -> Record:
        """Write the draft's objects, then its record. Returns the record as it was written.

        tags: labels for the run; at: the key of the record, where it is none of a run but of an open one.
        """
        store = self._store
        record, markers = with_tags(draft.record, tags)
        shared = [*draft.tapes, *draft.code]
        stale = [key for key in shared if not self._fresh(key)]

        def write(key: str) -> None:
            own = store.details if record.tier2 is not None and key == record.tier2.key else store
            own.put(key, _bytes(draft, key))

        self._each(write, [*stale, *draft.own, *markers])
        data = encode_record(record)
        if record.format > self._format:  # a number is never lowered, so once is enough
            raise_number(store, record.format)
            self._format = record.format
        place = at or layout.record_key(record.run)
        store.put(place, data, create=True)
        self._written.update(dict.fromkeys(stale, time.monotonic()))
        # Whatever a gc with a short grace deleted until now; what it deletes later it puts back itself.
        unsure = shared if at else self._unsure(shared)
        self._each(lambda key: None if store.stat(key) else write(key), [*unsure, *draft.own, *markers])
        if at is None:
            self._reached_by.update(dict.fromkeys(shared, (place, len(data))))
        return replace(record, size=len(data))

    def _unsure(self, shared: Sequence[str]) -> Sequence[str]:
        """Return the shared objects that gc may have deleted before our record was there.

        Not among them is what an earlier record of ours reaches, if that is still as it was: it has been there all the
        time, so a gc that did not see it read records before it came, and puts back what it reaches.
        """
        records = {self._reached_by[key] for key in shared if key in self._reached_by}
        if len(records) >= len(shared):
            return shared
        found = {(key, size): below(self._store).stat(key) for key, size in records}
        there = {one for one, entry in found.items() if entry is not None and entry.size == one[1]}
        return [key for key in shared if self._reached_by.get(key) not in there]

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
        known = self._of.get(universe, [])
        if bars is None:
            return list(known)
        given = tape_of(bars)
        for tape in known:
            if (tape.clock, tape.columns) == (given.clock, given.columns):
                # The same bars again, of which all is known by now.
                given = replace(tape, given=True)
        return [given, *(tape for tape in known if tape.columns is not given.columns)]

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


def add_details(draft: Draft, details: Details, made_of: str = "", *, inline: bool = False) -> None:
    """Put details into the draft: small ones, or with `inline` all, as part of the record, others as an object."""
    record = draft.record
    within = details.inline(None if inline else MOST_INLINE)
    if within is not None:
        draft.record = replace(record, inline_detail=within, details=details.details)
    else:
        key = layout.tier2_key(record.universe, record.run, made_of)
        draft.own[key], ref = details.parquet()
        draft.record = replace(record, tier2=replace(ref, key=key), details=details.details)
    tapes = []
    extras = details.extras
    draft.series = details.tapes
    for tape in details.tapes:
        data, ref = tape.encoded()
        tapes.append(replace(ref, key=layout.tape_key(ref.sha256)))
        draft.tapes[tapes[-1].key] = data
    clocks = [(replace(ref, key=layout.clock_key(ref.sha256)), data) for data, ref in extras.clocks.values()]
    draft.tapes |= {ref.key: data for ref, data in clocks}
    files = [
        Ref(layout.file_key(file.sha256), file.size, file.sha256, plain=True)
        for file in extras.files.values()
    ]
    draft.code |= {ref.key: file.data or b"" for ref, file in zip(files, extras.files.values(), strict=True)}
    draft.record = replace(
        draft.record,
        tapes=tuple(tapes),
        clocks=tuple(ref for ref, _ in clocks),
        files=tuple(files),
        format=details.facts.get("format", 1) if within is None else 2,
    )
