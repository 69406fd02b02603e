"""Usage: what takes the space in an archive, what is left where it lies, and whether a save will fit."""

from __future__ import annotations

import shutil
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.base.humanize import size
from archiver.errors import AccessError, ArchiverError, ConfigError, IntegrityError, StorageFullError
from archiver.format import layout
from archiver.format.layout import digest
from archiver.format.model import Record, Ref
from archiver.format.packs import Pack
from archiver.runs.all_records import stream
from archiver.runs.packed.reach import reach_tables, uses
from archiver.runs.reach import reached
from archiver.runs.record_view import RecordView, below, viewed
from archiver.runs.records import read_record
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    import numpy as np

_OWN = (layout.TIER1, layout.TIER2)
_PARTS = {
    layout.RUNS: "records",
    layout.REVISED: "records",
    layout.QUARANTINE: "trash",
    layout.UNTAGGED: "tags",
}
"""Parts that do not have their area's name."""
_SCARCE = 5
"""A save warns when less than so many more of its size would fit."""
_NEARLY = 0.9
"""A save warns when the archive has taken more than this part of its budget."""
_LISTED_SECONDS = 900.0


@dataclass
class Amount:
    """Objects and their bytes."""

    objects: int = 0
    bytes: int = 0

    def add(self, amount: int) -> None:
        """Count one object."""
        self.objects += 1
        self.bytes += amount


@dataclass
class UniverseUsage:
    """What the runs of a universe take, what they share with others not among it."""

    runs: int = 0
    records: int = 0
    tier1: int = 0
    tier2: int = 0

    @property
    def bytes(self) -> int:
        """All of it, in bytes."""
        return self.records + self.tier1 + self.tier2


@dataclass
class RunUsage:
    """What one run takes: bytes of its own objects, and of the shared ones that it uses (of code, the plain bytes)."""

    run: str
    universe: str
    records: int
    tier1: int
    tier2: int
    shared: int


@dataclass
class Usage:
    """What takes the space. `parts` adds up to `total`: every object counts once, and every old version of one."""

    universes: dict[str, UniverseUsage] = field(default_factory=dict)
    runs: list[RunUsage] = field(default_factory=list)
    parts: dict[str, Amount] = field(default_factory=dict)
    shared_saves: int = 0
    """Bytes that the tapes and clocks would take more if every run had its own."""
    unreadable: list[str] = field(default_factory=list)
    """Records that cannot be read: what they reach counts as orphans."""

    @property
    def total(self) -> Amount:
        """Everything in the store."""
        amounts = self.parts.values()
        return Amount(sum(one.objects for one in amounts), sum(one.bytes for one in amounts))

    def part(self, name: str) -> Amount:
        """Return one part, empty where there is nothing of it."""
        return self.parts.setdefault(name, Amount())


@dataclass(frozen=True)
class Space:
    """How full a place is: of what (`disk` or `budget`), bytes in all, used and free, and the archive's own."""

    kind: str
    total: int
    used: int
    free: int
    archive: int | None = None

    @property
    def percent(self) -> float:
        """How much of it is used."""
        return 100 * self.used / self.total if self.total else 100.0


def du(store: Store, *, runs: bool = False) -> Usage:
    """Measure what takes the space: by universe, tier, what is shared, trash, orphans and the rest.

    runs: measure each run as well. Totals are those of one listing of the whole store.
    """
    store = viewed(store)
    usage = Usage()
    by_run: set[int] = set()
    look = store.look(damaged=lambda key, _: usage.unreadable.append(key))
    packed = [] if runs else look.packs
    listed = store.entries(look) if runs else look.loose
    by_records = ((ref, 1) for _, ref in reached(_records(store, listed, usage, count=True, runs=runs)))
    for ref, rows in chain(by_records, _packed(store, packed, usage)):
        mark = digest(ref.key)
        if ref.key.startswith((layout.TAPES, layout.CLOCKS)):
            usage.shared_saves += ref.size * (rows - (mark not in by_run))
        by_run.add(mark)
    by_trash = {digest(ref.key) for _, ref in reached(_records(store, store.list(layout.TRASH), usage))}
    by_trash |= {digest(ref.key) for _, ref in reached(_records(store, store.list(layout.QUARANTINE), usage))}
    names = {layout.universe_part(name): name for name in usage.universes}
    for entry in store.list():
        _count(entry.key, entry.size, usage, (by_run, by_trash), names)
    for entry in store.leftovers():
        # What an unfinished upload takes a bucket does not tell.
        if entry.size:
            usage.part("unfinished writes").add(entry.size)
    for amount in _old_versions(store):
        usage.part("old versions").add(amount)
    return usage


def listed(store: Store) -> Usage:
    """Measure what each kind of object takes by one listing, without a look at any record: orphans count with their kind."""
    usage = Usage()
    for entry in below(store).list():
        prefix = entry.key[: entry.key.find("/") + 1]
        if prefix in layout.DATA:
            usage.part(prefix[:-1]).add(entry.size)
        else:
            _count(entry.key, entry.size, usage, (set(), set()), {})
    return usage


def df(store: Store, budget: int | None) -> list[Space]:
    """Tell how full the disk of a local archive is, and how much of a budget is used.

    budget: bytes that the archive may take, or None.
    """
    spaces = []
    used = None
    if budget is not None:
        used = _stored(store)
        spaces.append(Space("budget", budget, used, max(0, budget - used), used))
    if store.local is not None:
        disk = _disk(store.local)
        if disk is not None:
            # What root keeps for itself is neither used nor free.
            spaces.append(Space("disk", disk.used + disk.free, disk.used, disk.free, used))
    return spaces


class Guard:
    """Looks before a save whether it will fit; lists a bucket every quarter of an hour, and before it refuses."""

    def __init__(self, store: Store, min_free: int, budget: int | None) -> None:
        self._store, self._min_free, self._budget = store, min_free, budget
        self._used = 0
        self._listed: float | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Guard, (self._store, self._min_free, self._budget)

    def check(self, needed: int) -> None:
        """Warn when space gets scarce. Raises StorageFullError when a save of so many bytes must not begin."""
        if self._store.local is not None:
            self._check_disk(self._store.local, needed)
        if self._budget is not None:
            self._check_budget(self._budget, needed)

    def _check_disk(self, folder: Path, needed: int) -> None:
        disk = _disk(folder)
        if disk is None:
            return  # the write itself will tell
        free = disk.free
        left = free - needed - self._min_free
        where = f"{size(free)} are free for {self._store.url}"
        if left < 0:
            raise StorageFullError(
                f"{where}, the save needs {size(needed)} and {size(self._min_free)} must stay (min_free): nothing was"
                " written; free some space, or `archiver prune` and `archiver gc`"
            )
        if left < max(_SCARCE * needed, self._min_free):
            warnings.warn(
                f"{where}, the save takes {size(needed)}: free some, or `archiver prune` and `archiver gc`",
                stacklevel=4,
            )

    def _check_budget(self, budget: int, needed: int) -> None:
        with self._lock:
            listed = self._listed is None or time.monotonic() - self._listed > _LISTED_SECONDS
            if listed:
                self._list()
            after = self._used + needed
            if after > budget and not listed:
                # Somebody may have made room: that ends the refusals at once.
                self._list()
                after = self._used + needed
            if after <= budget:
                self._used = after
        text = f"{self._store.url} would take {size(after)} of its budget of {size(budget)}"
        if after > budget:
            raise StorageFullError(
                f"{text}: nothing was written; `archiver prune` and `archiver gc`, or raise the budget"
            )
        if after > _NEARLY * budget:
            warnings.warn(f"{text}: `archiver prune` and `archiver gc`, or raise the budget", stacklevel=4)

    def _list(self) -> None:
        self._used, self._listed = _stored(self._store), time.monotonic()


def level(space: Space, warn: float | None, fail: float | None) -> str:
    """Return `ok`, `warning` or `critical` for thresholds in percent. Raises ConfigError for impossible ones."""
    for name, value in (("--warn", warn), ("--fail", fail)):
        if value is not None and not 0 <= value <= 100:
            raise ConfigError(f"{name} is {value:g}: give a percentage, 0 to 100")
    if warn is not None and fail is not None and warn > fail:
        raise ConfigError(f"--warn is {warn:g} and --fail {fail:g}: warn below what fails")
    if fail is not None and space.percent >= fail:
        return "critical"
    return "warning" if warn is not None and space.percent >= warn else "ok"


def _packed(
    store: RecordView, packed: Sequence[tuple[Pack, np.ndarray]], usage: Usage
) -> Iterator[tuple[Ref, int]]:
    """Count the runs of packs; yield what they reach, and how many of them do."""
    for pack, keep in packed:
        try:
            for _, table in reach_tables(store.packs, pack, keep):
                group = table.group_by("universe", use_threads=False)
                sums = group.aggregate([("size", "sum"), ("inline", "sum"), ("size", "count")])
                for row in sums.to_pylist():
                    own = usage.universes.setdefault(row["universe"], UniverseUsage())
                    own.runs += row["size_count"]
                    own.records += row["size_sum"] - row["inline_sum"]
                    own.tier2 += row["inline_sum"]
                yield from uses(table)
        except IntegrityError:
            usage.unreadable.append(pack.records.key)


def _records(
    store: Store, listed: Iterable[Entry], usage: Usage, *, count: bool = False, runs: bool = False
) -> Iterator[Record]:
    """Yield the records that were listed. count: they are of runs that count; runs: and each is measured."""
    entries = [entry for entry in listed if layout.run_of_record(entry.key)]

    def refused(entry: Entry, _error: ArchiverError) -> None:
        usage.unreadable.append(entry.key)

    for entry, data in stream(store, entries, refused=refused):
        if data is None:
            continue
        try:
            record = read_record(entry.key, data)
        except IntegrityError:
            usage.unreadable.append(entry.key)
            continue
        if count:
            own = usage.universes.setdefault(record.universe, UniverseUsage())
            own.runs += 1
            own.records += entry.size - _inline_bytes(record)
            own.tier2 += _inline_bytes(record)
            if runs:
                usage.runs.append(_run_usage(record, entry.size))
        yield record


def _run_usage(record: Record, own: int) -> RunUsage:
    code = [] if record.code is None else [*record.code.files, *record.code.texts]
    return RunUsage(
        run=record.run,
        universe=record.universe,
        records=own - _inline_bytes(record),
        tier1=record.tier1.size if record.tier1 else 0,
        tier2=record.detail_bytes,
        shared=sum(ref.size for ref in (*record.tapes, *record.clocks, *record.files))
        + sum({file.sha256: file.size for file in code}.values()),
    )


def _inline_bytes(record: Record) -> int:
    """Return the bytes of details that stand in the record: they count as details."""
    return record.detail_bytes if record.tier2 is None else 0


def _count(
    key: str, amount: int, usage: Usage, marks: tuple[set[int], set[int]], names: Mapping[str, str]
) -> None:
    by_run, by_trash = marks
    prefix = key[: key.find("/") + 1]
    if prefix in layout.DATA:
        mark = digest(key)
        if mark in by_run:
            usage.part(prefix[:-1]).add(amount)
            if prefix in _OWN:
                own = usage.universes.setdefault(names.get(key.split("/")[1], ""), UniverseUsage())
                if prefix == layout.TIER1:
                    own.tier1 += amount
                else:
                    own.tier2 += amount
        else:
            usage.part("trash" if mark in by_trash else "orphans").add(amount)
    elif prefix in layout.AREAS:
        usage.part(_PARTS.get(prefix, prefix[:-1])).add(amount)
    else:
        usage.part("archive.json" if key == layout.ARCHIVE else "not archiver's").add(amount)


def _stored(store: Store) -> int:
    return sum(entry.size for entry in store.list()) + sum(_old_versions(store))


def _old_versions(store: Store) -> Iterator[int]:
    """Yield the bytes of each old version that a bucket keeps, where it may be asked for them."""
    with suppress(AccessError):
        for version in store.versions():
            if version.marker or not version.latest:
                yield version.size


def _disk(folder: Path) -> shutil._ntuple_diskusage | None:
    """Ask how full a disk is; None where its file system does not tell, or says that it has no size at all."""
    try:
        found = shutil.disk_usage(_existing(folder))
    except OSError:
        return None
    return found if found.total else None


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())
