"""Packing: the records of many runs become a pack, while others save, read, prune, bring back and pack.

1. Look at loose records, packs, and what is in the trash: a run there is left alone.
2. Write the data of a pack, read it back; then what commits it, and read that back.
3. Look at the loose records again. One that is gone and neither masked nor replaced was pruned and freed meanwhile, or
   packed by another: the pack is taken back. Nothing was deleted yet, and nobody relies on a pack that is so young.
4. Delete the loose records that were packed, each by its exact key, superseded ones first.

Packs that are small, or of which more than half is dead, are packed again once they are older than a packer works; `gc`
deletes what was replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import orjson

from archiver.base.collector import collector_paused
from archiver.errors import IntegrityError, NotFoundError, StorageError
from archiver.format import layout
from archiver.format.packs import MOST_RUNS, Pack, Packed, PackEncoder, stored_size
from archiver.format.records import decompress, rows_of
from archiver.runs.format_number import raise_number
from archiver.runs.packed.reach import reached_columns
from archiver.runs.packs import PackGoneError, Packs, Place
from archiver.runs.record_view import RecordView
from archiver.runs.records import read_both, run_of
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    import numpy as np

MANY = 2_000
"""Whoever has read so many loose records, and may write and delete, packs them."""
SETTLED = timedelta(hours=1)
"""Age after which nobody is at work on a pack, or on a run that was finished."""
_MOST_SECONDS = 1_800.0
"""How long a packer may take from its look to its last deletion."""
_MOST_RECORD, _MOST_BYTES = 1 << 20, 256 << 20
"""Bytes of a record that is packed, and of all in a pack."""

_CHUNK = 2_048
_FEW = 1_024
"""A pack of so few runs is packed again with whatever comes."""
_TRIES = 3


@dataclass
class Packing:
    """What a packer did: runs that are packed now and were not, packs written, objects that are no longer needed."""

    runs: int = 0
    packs: int = 0
    deleted: int = 0
    failed: dict[str, StorageError] = field(default_factory=dict)


class _Loose(NamedTuple):
    """The loose record of a run that counts, and the keys of those that it superseded."""

    entry: Entry
    superseded: tuple[str, ...] = ()


class _Retracted(Exception):  # noqa: N818 - it is no error of anybody's
    """A pack was taken back: what it was made of has changed."""


def pack(view: RecordView, *, loose: bool = True, step: Callable[[int], object] = lambda _: None) -> Packing:
    """Pack the loose records of settled runs, and again what packs are small or half dead.

    loose: False: only the latter. step: is told how many runs were dealt with, again and again. Raises StorageError when the store fails; what was packed
    by then stays packed, and who packs again goes on.
    """
    done = Packing()
    for _ in range(_TRIES):
        try:
            with collector_paused():
                _Packer(view, done, step).run(pack_loose=loose)
        except (_Retracted, PackGoneError):
            continue
        break
    return done


class _Packer:
    """One look at an archive, and the packs that come of it."""

    def __init__(self, view: RecordView, done: Packing, step: Callable[[int], object]) -> None:
        self._store: Store = view.below
        self._packs: Packs = view.packs
        self._view, self._done, self._step = view, done, step
        self._began = time.monotonic()

    def run(self, *, pack_loose: bool) -> None:
        loose = self._loose()
        young = self._store.now() - SETTLED
        committed = {entry.key: entry.modified for entry in self._store.list(layout.PACKS)}
        live = self._packs.live()
        settled = [one for one in live if one.key in committed and committed[one.key] <= young]
        masked = self._view.masked()
        left = masked | self._being_finished(young)
        wanted = {
            run: one for run, one in loose.items() if run not in left and one.entry.size <= _MOST_RECORD
        }
        for run in self._drop_packed(wanted, live, settled):
            del loose[run]
        # Only what is settled is relied on: a younger pack may be taken back.
        newer = {
            run
            for run, one in loose.items()
            if (place := self._packs.find(settled, run)) is not None
            and place.version < layout.version_of(one.entry.key)
        }
        wanted = wanted if pack_loose else {}
        again = self._again(self._packs.counting(settled, masked | newer), len(wanted))
        if not wanted and not again:
            return
        raise_number(self._store, 2)
        kept = [place for one, keep in again for place in self._packs.places(one) if keep[place.row]]
        sources: list[tuple[str, _Loose | Place]] = sorted(
            [*wanted.items(), *((_run(place), place) for place in kept)], reverse=True, key=_by_run
        )
        encoder = PackEncoder()
        taken: list[tuple[str, _Loose]] = []
        for run, source, item in _by_moment(self._items(sources)):
            if len(encoder) and (len(encoder) >= MOST_RUNS or encoder.bytes + item.size > _MOST_BYTES):
                self._write(encoder, taken)
                encoder, taken = PackEncoder(), []
            encoder.add(item)
            if isinstance(source, _Loose):
                taken.append((run, source))
        if len(encoder) or again:
            self._write(encoder, taken, [one.stem for one, _ in again])

    def _loose(self) -> dict[str, _Loose]:
        found: dict[str, _Loose] = {}
        for prefix in (layout.RUNS, layout.REVISED):
            for entry in self._store.list(prefix):
                key = layout.parse(entry.key)
                if key is not None:
                    older = found.get(key.run)
                    keys = () if older is None else (*older.superseded, older.entry.key)
                    found[key.run] = _Loose(entry, keys)
        return found

    def _being_finished(self, young: datetime) -> set[str]:
        """Return the runs that somebody may still write out of their parts."""
        found = ((entry, layout.parse(entry.key)) for entry in self._store.list(layout.OPEN))
        return {
            key.run
            for entry, key in found
            if key is not None and key.name == "closed" and entry.modified > young
        }

    def _drop_packed(
        self, wanted: dict[str, _Loose], live: Sequence[Pack], settled: Sequence[Pack]
    ) -> list[str]:
        """Delete what a packer that died had packed already; leave alone what another may be about to delete.

        Returns the runs whose loose records are gone.
        """
        gone: list[tuple[str, _Loose]] = []
        for run, one in [*wanted.items()]:
            place = self._packs.find(live, run)
            if place is None or place.version < layout.version_of(one.entry.key):
                continue
            del wanted[run]
            same = (
                place.version == layout.version_of(one.entry.key)
                and self._packs.find(settled, run) is not None
            )
            with suppress(NotFoundError):  # whoever packed it is just deleting it
                if same and _says_the_same(self._store.get(one.entry.key), self._packs.record(place), run):
                    gone.append((run, one))
        self._delete(gone)
        return [run for run, _ in gone]

    def _again(self, packed: Sequence[tuple[Pack, np.ndarray]], new: int) -> list[tuple[Pack, np.ndarray]]:
        """Choose the packs to write anew: those that are half dead, and small ones, never much larger than what joins them.

        packed: packs, and which of their rows count; new: how many loose records join them.
        """
        chosen: list[tuple[Pack, np.ndarray]] = []
        total, needed = new, new > 0
        for one, keep in sorted(packed, key=lambda item: item[0].runs):
            alive = int(keep.sum())
            small = one.runs < MOST_RUNS // 2 and one.records.size < _MOST_BYTES // 2
            small = small and (one.runs <= _FEW or one.runs <= 2 * total)
            if 2 * alive < one.runs or small:
                chosen.append((one, keep))
                total += alive
                needed = needed or 2 * alive < one.runs
        return chosen if needed else []

    def _items(
        self, sources: Sequence[tuple[str, _Loose | Place]]
    ) -> Iterator[tuple[str, _Loose | Place, Packed]]:
        """Read the records, and leave out what is gone meanwhile or cannot be read: that stays where it is."""
        for at in range(0, len(sources), _CHUNK):
            chunk = sources[at : at + _CHUNK]
            read = self._store.map(self._read, (source for _, source in chunk), small=True)
            for (run, source), item in zip(chunk, read, strict=True):
                if item is not None:
                    yield run, source, item
            self._step(len(chunk))

    def _read(self, source: _Loose | Place) -> Packed | None:
        if isinstance(source, Place):
            return packed(source.entry, source.version, self._packs.record(source))
        try:
            return packed(
                source.entry, layout.version_of(source.entry.key), self._store.get(source.entry.key)
            )
        except (NotFoundError, IntegrityError):
            return None

    def _write(
        self, encoder: PackEncoder, taken: Sequence[tuple[str, _Loose]], replaces: Sequence[str] = ()
    ) -> None:
        """Write a pack, look whether it may stay, and delete what it holds."""
        made, objects = encoder.finish(replaces)
        try:
            for key, data in objects.items():
                self._store.put(key, data, create=True)
                if self._store.get(key) != data:
                    raise StorageError(f"{key} does not read back as it was written: run `archiver doctor`")
            if time.monotonic() - self._began > _MOST_SECONDS or self._has_lost(taken):
                raise _Retracted
        except BaseException:
            for key in made.objects():  # what commits it first: data must not go from under it
                for error in self._store.delete([key]).values():
                    raise error from None
            raise
        self._done.packs += 1
        self._done.runs += len(taken)
        self._delete(taken)

    def _has_lost(self, taken: Sequence[tuple[str, _Loose]]) -> bool:
        """Tell whether a record that was packed has changed where it lies, or is gone and nothing masks it."""
        now = self._loose()
        gone = {run for run, _ in taken if run not in now}
        changed = any(
            now[run].entry != one.entry and now[run].entry.key == one.entry.key
            for run, one in taken
            if run in now
        )
        return changed or (bool(gone) and not gone <= self._view.masked())

    def _delete(self, taken: Sequence[tuple[str, _Loose]]) -> None:
        """Delete loose records, what they superseded first: it must never count again."""
        older = [key for _, one in taken for key in one.superseded]
        failed = self._store.delete(older) if older else {}
        keys = [one.entry.key for _, one in taken if not failed.keys() & set(one.superseded)]
        failed |= self._store.delete(keys) if keys else {}
        self._done.deleted += len(older) + len(keys) - len(failed)
        self._done.failed |= failed


def _by_moment(
    items: Iterable[tuple[str, _Loose | Place, Packed]],
) -> Iterator[tuple[str, _Loose | Place, Packed]]:
    """Order what comes by run ids, whose moments are whole seconds, as records are everywhere: the newest first."""
    for _, some in groupby(items, key=lambda item: item[0].partition("-")[0]):
        yield from sorted(some, key=lambda item: (item[2].created, item[0]), reverse=True)


def _run(place: Place) -> str:
    return layout.run_of_record(place.entry.key) or ""


def _says_the_same(one: bytes, other: bytes, run: str) -> bool:
    """Tell whether two records of a run hold the same."""
    key = layout.record_key(run)
    return bool(orjson.loads(decompress(one, key)) == orjson.loads(decompress(other, key)))


def _by_run(item: tuple[str, object]) -> str:
    return item[0]


def packed(entry: Entry, version: tuple[int, str], data: bytes) -> Packed:
    """Make a row of a pack out of a record. Raises IntegrityError for one that cannot be read."""
    run = layout.parse(entry.key)
    assert run is not None  # noqa: S101 - only keys of records come here
    record, fields = read_both(layout.record_key(run.run), data)
    size = stored_size(fields)
    shown = run_of(record)
    seen = {
        "detailed": shown.detailed,
        "bytes": shown.bytes - record.size + size,
        "archived": shown.archived,
        "details": shown.details,
        "tier1": None if record.tier1 is None else record.tier1.size,
        "tags": orjson.dumps(fields["tags"]).decode() if fields.get("tags") else None,
        **reached_columns(record),
    }
    return Packed(run.run, *version, size, entry.modified, fields, seen, rows_of(record), record.metrics)
