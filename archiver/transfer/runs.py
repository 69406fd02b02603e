"""Runs from one store to another: data first, records last, every byte verified on the way.

Whatever interrupts a transfer leaves a sound archive: runs that have their record, and orphans of the others,
which the next transfer uses and `gc` removes. Copying an archive and restoring a bundle are both this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import NamedTuple

from archiver.errors import IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.runs.graph import reachable
from archiver.runs.number import raise_number
from archiver.runs.record_puts import put_records
from archiver.runs.record_view import viewed
from archiver.runs.records import read_record
from archiver.runs.tags import markers_by_run
from archiver.store import Store
from archiver.store.entry import Entry
from archiver.store.whole import copy_bundle
from archiver.transfer.checked import PIECE, is_shared, pieces, stored_bytes
from archiver.transfer.lacking import judge_run, lacking, record_bytes

_LARGE_BYTES, _LEAST_AT_ONCE = 32 << 20, 2
"""Of streamed objects so many bytes move at a time, for a store may hold all of one before it sends it."""
_BATCH = 512
_MANY, _SHARE = 64, 8
"""With more runs than this, or than this part of the source's, listing the target costs less than asking for each object."""
_PAGE = 1_000
"""Objects that a listing tells of for the price of one request."""

_RECENT = timedelta(hours=1)
_NAMED = 5
"""So many damaged objects are named at most."""

Step = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a transfer did: ids of runs that were written, and of those that were there; objects and bytes put."""

    runs: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0


class _Item(NamedTuple):
    """One object to put. compare: the target has one, which must be the same; fresh: and which need not be put anew."""

    ref: Ref
    compare: bool = False
    fresh: bool = False


class _Put(NamedTuple):
    """What became of one object: bytes written, if it was, or the damage that was found."""

    key: str
    bytes: int = 0
    written: bool = False
    damage: str | None = None


def transfer(
    source: Store,
    target: Store,
    runs: Sequence[str],
    *,
    restore: bool = False,
    step: Step = lambda _bytes: None,
) -> Moved:
    """Copy runs that the target lacks, with their tags, and objects that its runs lack; what is there is not moved.

    Arguments:
        source, target: the stores; the target already holds an archive, if an empty one.
        runs: ids of runs that are in the source.
        restore: compare with bytes what the target has, and give back the details of a run that lost them.
        step: told the bytes of each object that is done.

    Raises IntegrityError where the target holds another run of the same id (then nothing is written), and for
    damage in the source, after all sound runs were copied.
    """
    return _Transfer(source, target, restore, step).run(sorted(runs))


class _Transfer:
    """One transfer: what is to be done, and what was done so far."""

    def __init__(self, source: Store, target: Store, restore: bool, step: Step) -> None:
        self.source, self.target, self.restore, self.step = source, target, restore, step
        self.pool = max(source, target, key=lambda store: (store.executor is not None, store.workers))
        self.damage: list[str] = []
        self.done: list[str] = []
        self.gone: set[str] = set()
        self.objects = 0
        self.bytes = 0
        self._shared: set[str] = set()
        self._incomplete: dict[str, tuple[Ref, ...]] = {}
        """Runs that the target has, and the objects that they lack there."""
        self._recent: datetime | None = None

    def run(self, runs: Sequence[str]) -> Moved:
        missing = self._missing(runs)
        markers = markers_by_run(self.source, missing)
        own = self._listed() if len(missing) > _MANY else None
        for at in range(0, len(missing), _BATCH):
            self._move(missing[at : at + _BATCH], markers, own)
        self._complete()
        if self.damage:
            named = list(dict.fromkeys(self.damage))
            more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            raise IntegrityError(
                f"{'; '.join(named[:_NAMED])}{more}; {len(self.done)} of {len(missing) + len(self._incomplete)} runs were copied, the damaged ones were not"
            )
        others = self.gone.union(self.done)
        there = tuple(run for run in runs if run not in others)
        return Moved(tuple(self.done), there, self.objects, self.bytes)

    # -- what is to be done ----------------------------------------------------------------------------------

    def _missing(self, runs: Sequence[str]) -> list[str]:
        """Return the runs to move. Where target records differ, both are read and must be of the same run."""
        here = {entry.key: entry.size for entry in self.source.list(layout.RUNS)}
        # Most of an archive is compared by listings, a few runs of it one by one.
        most = len(runs) > _MANY or len(runs) * _SHARE > len(here)
        there = {entry.key: entry.size for entry in self._records(runs, most=most)}
        missing = []
        doubtful = []
        alike = []
        for run in runs:
            key = layout.record_key(run)
            if key not in here:
                if self.source.stat(layout.trash_key(run)) is None:
                    raise NotFoundError(f"no run {run} in {self.source.url}: list the runs it has")
                self.gone.add(run)
            elif key not in there:
                missing.append(run)
            elif self.restore or here[key] != there[key]:
                doubtful.append(run)
            else:
                alike.append(run)
        closely = {*doubtful, *alike}
        if most and not self.restore:
            # Runs that were reduced lack details for good.
            closely = lacking(self.source, self.target, layout.TIER2).intersection(alike)
            closely |= lacking(self.source, self.target, layout.TIER1)
        doubtful += [run for run in alike if run in closely]
        judge = partial(judge_run, self.source, self.target, self.restore, closely)
        for run, lacks in zip(doubtful, self.pool.map(judge, doubtful), strict=True):
            if lacks.damage:
                self.damage.append(lacks.damage)
            elif lacks.refs:
                self._incomplete[run] = lacks.refs
            elif lacks.again:
                missing.append(run)
        return sorted(missing)

    def _records(self, runs: Sequence[str], *, most: bool) -> Iterable[Entry]:
        if most:
            return self.target.list(layout.RUNS)
        return self._stat(map(layout.record_key, runs)).values()

    def _stat(self, keys: Iterable[str]) -> dict[str, Entry]:
        return {entry.key: entry for entry in self.pool.map(self.target.stat, keys) if entry is not None}

    def _listed(self) -> dict[str, Entry]:
        return {
            entry.key: entry for prefix in (layout.TIER1, layout.TIER2) for entry in self.target.list(prefix)
        }

    def _item(self, ref: Ref, there: Mapping[str, Entry]) -> _Item:
        entry = there.get(ref.key)
        if entry is None or is_shared(ref.key):
            return _Item(ref)
        return _Item(ref, compare=True, fresh=self._is_recent(entry))

    def _is_recent(self, entry: Entry) -> bool:
        """Tell whether gc leaves an object alone for now, although no record reaches it yet.

        An older one, which an interrupted transfer left, is put anew: gc may be about to delete it.
        """
        if self._recent is None:
            self._recent = self.target.now() - _RECENT
        return entry.modified >= self._recent

    # -- doing it --------------------------------------------------------------------------------------------

    def _move(
        self, runs: Sequence[str], markers: Mapping[str, list[str]], own: Mapping[str, Entry] | None
    ) -> None:
        """Move some runs: their objects, then tags, then records, then a look whether all objects stayed."""
        texts, records = self._load(runs)
        refs = {ref.key: ref for record in records.values() for ref in reachable(record)}
        lone = [key for key in refs if not is_shared(key)]
        there = self._stat(lone) if own is None else own
        items = [self._item(ref, there) for key, ref in refs.items() if key not in self._shared]
        damaged = self._put_all(items)
        sound = [run for run in records if not any(ref.key in damaged for ref in reachable(records[run]))]
        lost = self._move_bundles([records[run] for run in sound])
        sound = [run for run in sound if records[run].archived not in lost]
        put = partial(_put_item, self.target)
        raise_number(self.target, max((records[run].format for run in sound), default=1))
        for _ in self.pool.map(put, ((key, b"") for run in sound for key in markers.get(run, ()))):
            pass
        put_records(viewed(self.target), {run: texts[run] for run in sound}, self.pool)
        self._look_again([ref for key, ref in refs.items() if key not in damaged], own)
        labels = [key for run in sound for key in markers.get(run, ())]
        there = self._stat(labels)
        for _ in self.pool.map(put, ((key, b"") for key in labels if key not in there)):
            pass
        self._shared.update(key for key in refs if is_shared(key) and key not in damaged)
        self.done += sound
        size = sum(len(texts[run]) for run in sound)
        self.objects += len(sound)
        self.bytes += size
        self.step(size)

    def _complete(self) -> None:
        """Put what runs lack that are there. Their records reach it, so gc leaves it alone."""
        refs = {ref.key: ref for refs in self._incomplete.values() for ref in refs}
        damaged = self._put_all([_Item(ref) for ref in refs.values()])
        self.done += [
            run for run, refs in self._incomplete.items() if not any(ref.key in damaged for ref in refs)
        ]

    def _look_again(self, refs: Sequence[Ref], own: Mapping[str, Entry] | None) -> None:
        """Put what is gone: as in a save, gc may have removed an object between our put and our record."""
        lone = [ref.key for ref in refs if not is_shared(ref.key)]
        shared = [ref.key for ref in refs if is_shared(ref.key)]
        if own is not None and len(own) + self.objects < _PAGE * len(lone):
            kept = self._listed() | self._stat(shared)
        else:
            kept = self._stat([*lone, *shared])
        self._put_all([_Item(ref) for ref in refs if ref.key not in kept])

    def _move_bundles(self, records: Sequence[Record]) -> set[str | None]:
        """Move the bundles that hold archived details: a record without its bundle would point nowhere.

        Those at a path or URL of their own stay where they are. Returns the names of those that cannot be had.
        """
        runs: dict[str, list[str]] = {}
        for record in records:
            if record.archived and "/" not in record.archived:
                runs.setdefault(record.archived, []).append(layout.record_key(record.run))
        lost: set[str | None] = set()
        for name in sorted(runs):
            try:
                size = copy_bundle(self.source, self.target, layout.bundle_key(name), runs[name])
            except IntegrityError as error:
                lost.add(name)
                self.damage.append(str(error))
                continue
            self.objects += bool(size)
            self.bytes += size
            self.step(size)
        return lost

    def _load(self, runs: Sequence[str]) -> tuple[dict[str, bytes], dict[str, Record]]:
        """Read records; those that cannot be true are damage, and those that were pruned meanwhile are left out."""
        read = self.pool.map(partial(record_bytes, self.source), runs)
        texts = {run: text for run, text in zip(runs, read, strict=True) if text is not None}
        self.gone.update(run for run in runs if run not in texts)
        records = {}
        for run, text in texts.items():
            try:
                records[run] = read_record(layout.record_key(run), text)
            except IntegrityError as error:
                records.pop(run, None)
                self.damage.append(str(error))
        return texts, records

    def _put_all(self, items: Sequence[_Item]) -> set[str]:
        """Put objects, a few large ones at a time; return the keys of the damaged ones."""
        put = partial(_put, self.source, self.target, self.restore)
        small = [item for item in items if _is_small(item.ref)]
        large = [item for item in items if not _is_small(item.ref)]
        damaged = set()
        largest = max((item.ref.size for item in large), default=1)
        few = max(_LEAST_AT_ONCE, _LARGE_BYTES // largest)
        for done in chain(self.pool.map(put, small), self.pool.map(put, large, at_once=few)):
            if done.damage:
                damaged.add(done.key)
                self.damage.append(done.damage)
            self.objects += done.written
            self.bytes += done.bytes
            self.step(done.bytes)
        return damaged


def _is_small(ref: Ref) -> bool:
    return ref.size <= PIECE


# What follows may run in other threads or on other machines: functions of values that pickle.


def _put_item(target: Store, item: tuple[str, bytes]) -> None:
    target.put(*item)


def _put(source: Store, target: Store, restore: bool, item: _Item) -> _Put:
    """Copy one object, verified; what a run alone may have is never replaced by something else."""
    ref = item.ref
    try:
        if item.compare and _is_there(target, ref, read=restore) and item.fresh:
            return _Put(ref.key)
        if ref.plain or _is_small(ref):
            data = stored_bytes(source, ref)
            target.put(ref.key, data)
            return _Put(ref.key, len(data), True)
        digest = hashlib.sha256()
        with target.write(ref.key) as stream:
            for piece in pieces(source, ref.key, ref.size):
                digest.update(piece)
                stream.write(piece)
            if digest.hexdigest() != ref.sha256:
                raise IntegrityError(f"{ref.key} in {source.url} is damaged: its sha256 is not its record's")
        return _Put(ref.key, ref.size, True)
    except IntegrityError as error:
        return _Put(ref.key, damage=str(error))


def _is_there(target: Store, ref: Ref, *, read: bool) -> bool:
    """Tell whether the target has an object. Raises IntegrityError when other bytes are in its place."""
    entry = target.stat(ref.key)
    if entry is None:
        return False
    digest = hashlib.sha256()
    try:
        for piece in pieces(target, ref.key, ref.size) if entry.size == ref.size and read else ():
            digest.update(piece)
    except IntegrityError:
        if target.stat(ref.key) is None:
            return False  # gc took it at this very moment: no record reaches it yet
        raise
    if entry.size == ref.size and (not read or digest.hexdigest() == ref.sha256):
        return True
    raise IntegrityError(
        f"{target.url} holds other bytes as {ref.key}: they are not replaced; remove them if you know they are wrong"
    )
