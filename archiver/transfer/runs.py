"""Runs from one store to another: data first, records last, every byte verified on the way.

Whatever interrupts a transfer leaves a sound archive: runs that have their record, and orphans of the others,
which the next transfer uses and `gc` removes. Copying an archive and restoring a bundle are both this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import NamedTuple

from archiver.errors import IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.format.packs import decode_pack
from archiver.runs.format_number import raise_number
from archiver.runs.packs import PackGoneError
from archiver.runs.reach import reachable
from archiver.runs.record_puts import put_item, put_records
from archiver.runs.record_view import viewed
from archiver.runs.records import read_record
from archiver.runs.tags import markers_by_run
from archiver.store import Store
from archiver.store.bundled_copy import copy_bundle
from archiver.store.entry import Entry
from archiver.transfer.checked import Item, is_shared, is_small, put_object
from archiver.transfer.copy_packs import WholePack, movable
from archiver.transfer.lacking import judge_run, lacking, record_bytes

_LARGE_BYTES, _LEAST_AT_ONCE = 32 << 20, 2
"""Of streamed objects so many bytes move at a time, for a store may hold all of one before it sends it."""
_BATCH = 1_024
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


class _Loaded(NamedTuple):
    """Records that were read: as they are stored, and what they say; runs that are gone, and the damage found."""

    texts: dict[str, bytes]
    records: dict[str, Record]
    gone: list[str]
    damage: list[str]


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
        packed = self._move_packs(runs)
        missing = self._missing([run for run in runs if run not in packed])
        markers = markers_by_run(self.source, missing)
        own = self._listed() if len(missing) > _MANY else None
        for loaded in self._ahead(missing):
            self._move(loaded, markers, own)
        self._complete()
        if self.damage:
            named = list(dict.fromkeys(self.damage))
            more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            raise IntegrityError(
                f"{'; '.join(named[:_NAMED])}{more}; {len(self.done)} of {len(packed) + len(missing) + len(self._incomplete)} runs were copied, the damaged ones were not"
            )
        others = self.gone.union(self.done)
        there = tuple(run for run in runs if run not in others)
        return Moved(tuple(self.done), there, self.objects, self.bytes)

    # -- what is to be done ----------------------------------------------------------------------------------

    def _missing(self, runs: Sequence[str]) -> list[str]:
        """Return the runs to move. Where target records differ, both are read and must be of the same run."""
        if not runs:
            return []
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

    def _item(self, ref: Ref, there: Mapping[str, Entry]) -> Item:
        entry = there.get(ref.key)
        if entry is None or is_shared(ref.key):
            return Item(ref)
        return Item(ref, compare=True, fresh=self._is_recent(entry))

    def _is_recent(self, entry: Entry) -> bool:
        """Tell whether gc leaves an object alone for now, although no record reaches it yet.

        An older one, which an interrupted transfer left, is put anew: gc may be about to delete it.
        """
        if self._recent is None:
            self._recent = self.target.now() - _RECENT
        return entry.modified >= self._recent

    # -- doing it --------------------------------------------------------------------------------------------

    def _ahead(self, runs: Sequence[str]) -> Iterator[_Loaded]:
        """Read records some at a time, the next while the last are written: neither store waits for the other."""
        with ThreadPoolExecutor(1, thread_name_prefix="archiver-transfer") as reader:
            loading: Future[_Loaded] | None = None
            for at in range(0, len(runs), _BATCH):
                following = reader.submit(self._load, runs[at : at + _BATCH])
                if loading is not None:
                    yield loading.result()
                loading = following
            if loading is not None:
                yield loading.result()

    def _move(
        self, loaded: _Loaded, markers: Mapping[str, list[str]], own: Mapping[str, Entry] | None
    ) -> None:
        """Move some runs: their objects, then tags, then records, then a look whether all objects stayed."""
        texts, records = loaded.texts, loaded.records
        self.gone.update(loaded.gone)
        self.damage += loaded.damage
        refs = {ref.key: ref for record in records.values() for ref in reachable(record)}
        damaged = self._put_reached(refs, own)
        sound = [run for run in records if not any(ref.key in damaged for ref in reachable(records[run]))]
        lost = self._move_bundles([records[run] for run in sound])
        sound = [run for run in sound if records[run].archived not in lost]
        raise_number(self.target, max((records[run].format for run in sound), default=1))
        labels = [key for run in sound for key in markers.get(run, ())]
        self._put_labels(labels)
        put_records(viewed(self.target), {run: texts[run] for run in sound}, self.pool)
        self._look_again([ref for key, ref in refs.items() if key not in damaged], own)
        self._look_again_at_labels(labels)
        self._shared.update(key for key in refs if is_shared(key) and key not in damaged)
        self.done += sound
        self._count(len(sound), sum(len(texts[run]) for run in sound))

    def _put_reached(self, refs: Mapping[str, Ref], own: Mapping[str, Entry] | None) -> set[str]:
        """Put what records reach, but what is there; return the keys of the damaged ones."""
        there = self._stat(key for key in refs if not is_shared(key)) if own is None else own
        return self._put_all([self._item(ref, there) for key, ref in refs.items() if key not in self._shared])

    def _put_labels(self, keys: Iterable[str]) -> None:
        for _ in self.pool.map(partial(put_item, self.target), ((key, b"") for key in keys)):
            pass

    def _move_packs(self, runs: Collection[str]) -> set[str]:
        """Move the packs that can move as they are; return their runs. What is wrong with one is told where its runs move."""
        packs = movable(self.source, self.target, runs)
        markers = markers_by_run(self.source, runs) if packs else {}
        own = self._listed() if packs else None
        found: set[str] = set()
        for whole in packs:
            damage = [*self.damage]
            members = whole.runs()
            if self._move_pack(whole, [key for run in members for key in markers.get(run, ())], own):
                self.done += members
                found.update(members)
            self.damage = damage
        return found

    def _move_pack(self, whole: WholePack, labels: Sequence[str], own: Mapping[str, Entry] | None) -> bool:
        """Move a pack as a run moves: what it reaches, tags, its data, what commits it, then a look. False: it is damaged."""
        pack = whole.pack
        try:
            records = [*whole.records(lambda ref: ref.key not in self._shared)]
            commit = self.source.get(pack.key)
            if decode_pack(commit, pack.key) != pack:
                return False
        except (IntegrityError, NotFoundError, PackGoneError):
            return False
        refs = {ref.key: ref for record in records for ref in reachable(record)}
        if self._put_reached(refs, own) or self._move_bundles(records):
            return False
        self._put_labels(labels)
        raise_number(self.target, 2)
        if self._put_all([Item(ref) for ref in pack.data()]):
            return False
        self.target.put(pack.key, commit)
        self._look_again([*refs.values()], own)
        self._look_again(pack.data(), None)
        self._look_again_at_labels(labels)
        self._shared.update(filter(is_shared, refs))
        self._count(1, len(commit))
        return True

    def _complete(self) -> None:
        """Put what runs lack that are there. Their records reach it, so gc leaves it alone."""
        refs = {ref.key: ref for refs in self._incomplete.values() for ref in refs}
        damaged = self._put_all([Item(ref) for ref in refs.values()])
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
        self._put_all([Item(ref) for ref in refs if ref.key not in kept])

    def _look_again_at_labels(self, keys: Sequence[str]) -> None:
        there = self._stat(keys)
        self._put_labels(key for key in keys if key not in there)

    def _count(self, objects: int, size: int) -> None:
        self.objects += objects
        self.bytes += size
        self.step(size)

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
            self._count(bool(size), size)
        return lost

    def _load(self, runs: Sequence[str]) -> _Loaded:
        """Read records; those that cannot be true are damage, and those that were pruned meanwhile are left out."""
        read = self.pool.map(partial(record_bytes, self.source), runs)
        texts = {run: text for run, text in zip(runs, read, strict=True) if text is not None}
        records = {}
        damage = []
        for run, text in texts.items():
            try:
                records[run] = read_record(layout.record_key(run), text)
            except IntegrityError as error:
                damage.append(str(error))
        return _Loaded(texts, records, [run for run in runs if run not in texts], damage)

    def _put_all(self, items: Sequence[Item]) -> set[str]:
        """Put objects, a few large ones at a time; return the keys of the damaged ones."""
        put = partial(put_object, self.source, self.target, self.restore)
        small = [item for item in items if is_small(item.ref)]
        large = [item for item in items if not is_small(item.ref)]
        damaged = set()
        largest = max((item.ref.size for item in large), default=1)
        few = max(_LEAST_AT_ONCE, _LARGE_BYTES // largest)
        for done in chain(self.pool.map(put, small), self.pool.map(put, large, at_once=few)):
            if done.damage:
                damaged.add(done.key)
                self.damage.append(done.damage)
            self._count(done.written, done.bytes)
        return damaged
