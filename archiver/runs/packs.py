"""Which packs there are and which runs they hold, read once each: a pack never changes."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial, wraps
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from archiver.errors import FormatError, IntegrityError, NotFoundError, StorageError
from archiver.format import layout
from archiver.format.arrays import int_array, numpy_of, texts_of
from archiver.format.packs import PLACES, SEEN, Pack, decode_pack, moment_of, record_bytes, records_table
from archiver.format.parquet import ParquetObject
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from archiver.format.model import Ref

_GROUPS_HELD = 4
_MANY = 64
_TRIES = 3

P = ParamSpec("P")
T = TypeVar("T")
Damaged = Callable[[str, IntegrityError | FormatError], object]
"""Is told of a key that cannot be read, and why."""


class PackGoneError(StorageError):
    """A pack went while it was read: its packer took it back, or another replaced it long ago. Its runs lie elsewhere: look again."""


def looking_again(look: Callable[P, T]) -> Callable[P, T]:
    """Let a look at an archive be made again where a pack went during it, for it saw what is no more.

    A packer may take back what it wrote in the last hour, and gc frees what was replaced long ago; the records that a pack
    held are elsewhere then, and whoever looks again finds them.
    """

    @wraps(look)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_TRIES - 1):
            with suppress(PackGoneError):
                return look(*args, **kwargs)
        return look(*args, **kwargs)

    return again


class Place(NamedTuple):
    """Where a pack holds a run: the pack, the row, and the version of the record that it holds."""

    pack: Pack
    row: int
    revision: int
    nonce: str
    entry: Entry
    """As a listing of loose records would show it."""

    @property
    def version(self) -> tuple[int, str]:
        """What tells which record of a run counts: the greatest."""
        return self.revision, self.nonce


class Rows(NamedTuple):
    """The rows of a pack by run id: which row each is, and what a listing shows of it."""

    runs: np.ndarray
    rows: np.ndarray
    revisions: np.ndarray
    sizes: np.ndarray
    modified: np.ndarray
    nonces: np.ndarray


class Packs:
    """Reads packs."""

    def __init__(self, store: Store) -> None:
        """Take the store below: packs know nothing of loose records."""
        self._store = store
        self._known: dict[str, Pack] = {}
        self._live: list[Pack] = []
        self._rows: dict[str, Rows] = {}
        self._columns: dict[str, pa.Table] = {}
        self._objects: dict[str, ParquetObject] = {}
        self._groups: dict[tuple[str, int], pa.Table] = {}
        self._unpacked: dict[tuple[str, int], list[bytes]] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._lock = threading.RLock()

    @looking_again
    def all(self, damaged: Damaged | None = None) -> list[Pack]:
        """Return every pack that is there, also one that another replaces.

        damaged: is told of the key of one that cannot be read, which is left out; without it that is raised.
        """
        keys = [
            entry.key
            for entry in self._store.list(layout.PACKS)
            if entry.key.endswith(layout.RECORD_SUFFIX) and layout.parse(entry.key) is not None
        ]
        missing = [key for key in keys if key not in self._known]
        for key, found in zip(missing, self._store.map(self._read, missing, small=True), strict=True):
            if isinstance(found, IntegrityError | FormatError):
                if damaged is None:
                    raise found
                damaged(key, found)
            elif found is None:
                # Replaced, by what may not have been there when they were listed.
                raise PackGoneError(f"{key} went while it was read: try again")
            else:
                self._known[key] = found
        with self._lock:
            gone = self._known.keys() - set(keys)
            for key in gone:
                self._forget(key)
        return [self._known[key] for key in keys if key in self._known]

    def live(self, damaged: Damaged | None = None) -> list[Pack]:
        """Return the packs that no other replaces, the one with the newest run first; damaged: as for `all`."""
        found = self.all(damaged)
        replaced = {stem for pack in found for stem in pack.replaces}
        live = [pack for pack in found if pack.stem not in replaced]
        self._live = sorted(live, key=lambda pack: pack.newest, reverse=True)
        return self._live

    def known(self) -> list[Pack]:
        """Return what `live` did last."""
        return self._live

    def find(self, packs: Sequence[Pack], run: str) -> Place | None:
        """Return where these packs hold a run, in the version that counts."""
        places = [self._place(pack, run) for pack in packs if pack.oldest <= run <= pack.newest]
        return max((place for place in places if place is not None), key=lambda p: p.version, default=None)

    def places(self, pack: Pack) -> Iterator[Place]:
        """Yield where a pack holds each of its runs, by run id."""
        rows = self.rows(pack)
        columns = (rows.runs, rows.rows, rows.sizes, rows.modified, rows.revisions)
        for run, at, size, modified, revision, nonce in zip(
            *(column.tolist() for column in (*columns, rows.nonces)), strict=True
        ):
            entry = Entry(layout.record_key(run.decode()), size, moment_of(modified))
            yield Place(pack, at, revision, nonce.decode(), entry)

    def entries(self, pack: Pack, keep: np.ndarray) -> Iterator[Entry]:
        """Yield those of a pack's rows that count as a listing of loose records would, by run id."""
        return (place.entry for place in self.places(pack) if keep[place.row])

    def rows(self, pack: Pack) -> Rows:
        """Return which runs a pack holds."""
        import numpy as np

        with self._lock:
            found = self._rows.get(pack.stem)
            if found is None:
                table = self.records(pack).read(columns=list(PLACES))
                runs = texts_of(table["run"])
                order = np.argsort(runs, kind="stable")
                numbers = [numpy_of(table[name])[order] for name in ("revision", "size", "modified")]
                nonces = texts_of(table["nonce"])[order]
                found = Rows(runs[order], order, numbers[0], numbers[1], numbers[2], nonces)
                self._rows[pack.stem] = found
                self.records(pack).forget()
            return found

    def columns(self, pack: Pack) -> pa.Table:
        """Return `SEEN` of each row of a pack, which stays at hand: a fraction of the object that it is read from."""
        with self._lock:
            found = self._columns.get(pack.stem)
            if found is None:
                found = self.records(pack).read(columns=list(SEEN)).select(list(SEEN)).combine_chunks()
                self._columns[pack.stem] = found
                self.records(pack).forget()
            return found

    def narrow(self, pack: Pack, names: Sequence[str]) -> pa.Table:
        """Return these columns of each row of a pack, which do not stay at hand unless all of `SEEN` does."""
        with self._lock:
            known = self._columns.get(pack.stem)
            if known is None or not set(names) <= set(known.column_names):
                source = self.records(pack)
                known = source.read(columns=list(names))
                source.forget()
            return known.select(list(names))

    def of_row(self, pack: Pack) -> np.ndarray:
        """Return, of each row of a pack's metrics, which row of its records it belongs to."""
        import numpy as np

        table = self.narrow(pack, ("tier1", "strategies"))
        counts = np.where(numpy_of(table["tier1"].is_valid()), 0, numpy_of(table["strategies"]))
        return np.repeat(np.arange(pack.runs), counts)

    def touched(self, packs: Sequence[Pack], elsewhere: Collection[str]) -> set[str]:
        """Return the stems of packs of which not every row may count: of others that is known without a look at any.

        elsewhere: the runs that count, or do not, whatever packs hold.
        """
        apart = sorted(elsewhere)
        found = {pack.stem for pack in packs if _within(apart, pack)}
        last: Pack | None = None
        for pack in sorted((pack for pack in packs if pack.runs), key=lambda pack: pack.oldest):
            if last is not None and pack.oldest <= last.newest:
                found |= {pack.stem, last.stem}
            if last is None or pack.newest > last.newest:
                last = pack
        return found

    def counting(self, packs: Sequence[Pack], elsewhere: Collection[str]) -> list[tuple[Pack, np.ndarray]]:
        """Return of each pack which rows count: those of runs that are not among these, in their greatest version.

        A pack that nothing touches counts as a whole, and is not opened.
        """
        import numpy as np

        apart = sorted(elsewhere)
        found: list[tuple[Pack, np.ndarray]] = []
        for pack in packs:
            keep = np.ones(pack.runs, bool)
            own = _within(apart, pack)
            if own:
                rows = self.rows(pack)
                keep[rows.rows[np.isin(rows.runs, np.array(own, dtype="S"))]] = False
            for other, others in found:
                if other.runs and pack.runs and other.oldest <= pack.newest and pack.oldest <= other.newest:
                    self._part(pack, keep, other, others)
            found.append((pack, keep))
        return found

    def _part(self, pack: Pack, keep: np.ndarray, other: Pack, others: np.ndarray) -> None:
        """Leave a run that two packs hold to the one with the greater version of it."""
        import numpy as np

        mine, theirs = self.rows(pack), self.rows(other)
        _, here, there = np.intersect1d(mine.runs, theirs.runs, assume_unique=True, return_indices=True)
        for a, b in zip(here.tolist(), there.tolist(), strict=True):
            newer = (mine.revisions[a], mine.nonces[a]) > (theirs.revisions[b], theirs.nonces[b])
            if newer:
                others[theirs.rows[b]] = False
            else:
                keep[mine.rows[a]] = False

    def record(self, place: Place) -> bytes:
        """Return a record out of a pack, as the object that it would be by itself."""
        group, at = _group_of(place.pack, place.row)
        name = place.pack.stem, group
        with self._lock:
            unpacked = self._unpacked.get(name)
            if unpacked is not None:
                return unpacked[at]
            table = self._group(place.pack, group)
            self._asked[name] += 1
            if self._asked[name] < _MANY:
                return next(record_bytes(table.slice(at, 1)))
            # Who asks for that many reads them all: at once takes a tenth of the time.
            unpacked = list(record_bytes(table))
            _keep(self._unpacked, name, unpacked)
            return unpacked[at]

    def some(self, pack: Pack, rows: Sequence[int]) -> Iterator[tuple[str, bytes]]:
        """Yield the records of some rows of a pack, these in ascending order, each with its key: see `record`."""
        for group, own in groupby(rows, key=lambda row: _group_of(pack, row)[0]):
            places = [_group_of(pack, row)[1] for row in own]
            with self._lock:
                table = self._group(pack, group).take(int_array(places))
            keys = map(layout.record_key, table["run"].to_pylist())
            yield from zip(keys, record_bytes(table), strict=True)

    def _group(self, pack: Pack, group: int) -> pa.Table:
        name = pack.stem, group
        table = self._groups.get(name)
        if table is None:
            table = records_table(self.records(pack), group)
            self.records(pack).forget()
            _keep(self._groups, name, table)
            self._asked[name] = 0
        return table

    def records(self, pack: Pack) -> ParquetObject:
        """Open the records of a pack. Raises IntegrityError when they are damaged or lost, PackGoneError when the pack is gone."""
        return self._open(pack.records, pack.runs)

    def metrics(self, pack: Pack) -> ParquetObject | None:
        """Open the metrics of a pack, None where no record holds any. Raises IntegrityError as `records` does."""
        return None if pack.metrics is None else self._open(pack.metrics, None)

    def _open(self, ref: Ref, rows: int | None) -> ParquetObject:
        with self._lock:
            found = self._objects.get(ref.key)
            if found is None:
                found = ParquetObject(ref, partial(self._fetch, ref.key), rows=rows)
                self._objects[ref.key] = found
            return found

    def _fetch(self, key: str, start: int, end: int) -> bytes:
        try:
            return self._store.get(key, start, end)
        except NotFoundError:
            # What commits a pack goes before its data.
            if self._store.stat(key.partition(".")[0] + layout.RECORD_SUFFIX) is None:
                raise PackGoneError(f"{key} went while it was read: try again") from None
            raise IntegrityError(f"{key} is gone although a pack needs it; run `archiver verify`") from None

    def _place(self, pack: Pack, run: str) -> Place | None:
        import numpy as np

        rows = self.rows(pack)
        at = int(np.searchsorted(rows.runs, run.encode()))
        if at >= pack.runs or rows.runs[at] != run.encode():
            return None
        entry = Entry(layout.record_key(run), int(rows.sizes[at]), moment_of(int(rows.modified[at])))
        return Place(pack, int(rows.rows[at]), int(rows.revisions[at]), rows.nonces[at].decode(), entry)

    def _read(self, key: str) -> Pack | IntegrityError | FormatError | None:
        try:
            return decode_pack(self._store.get(key), key)
        except NotFoundError:
            return None  # collected, or taken back, since it was listed
        except (IntegrityError, FormatError) as error:
            return error

    def _forget(self, key: str) -> None:
        pack = self._known.pop(key)
        self._rows.pop(pack.stem, None)
        self._columns.pop(pack.stem, None)
        for held in (self._groups, self._unpacked):
            for name in [name for name in held if name[0] == pack.stem]:
                held.pop(name)
        for known in pack.objects():
            self._objects.pop(known, None)


def _within(runs: Sequence[str], pack: Pack) -> Sequence[str]:
    """Return those of sorted run ids that a pack may hold."""
    if not pack.runs:
        return ()
    return runs[bisect_left(runs, pack.oldest) : bisect_right(runs, pack.newest)]


def _keep(held: dict[tuple[str, int], T], name: tuple[str, int], value: T) -> None:
    while len(held) >= _GROUPS_HELD:
        held.pop(next(iter(held)))
    held[name] = value


def _group_of(pack: Pack, row: int) -> tuple[int, int]:
    """Return the row group of a run, and which of its rows is the run's."""
    at, group = row, 0
    for rows in pack.groups:
        if at < rows:
            break
        at, group = at - rows, group + 1
    return group, at
