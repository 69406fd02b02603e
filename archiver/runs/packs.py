"""Which packs there are and which runs they hold, read once each: a pack never changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from archiver.errors import FormatError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.packs import PLACES, Pack, decode_pack, moment_of, one_record, record_bytes
from archiver.format.parquet import ParquetObject
from archiver.store import Store
from archiver.store.entry import Entry

if TYPE_CHECKING:
    from archiver.format.model import Ref

_GROUPS_HELD = 4

Damaged = Callable[[str, IntegrityError | FormatError], object]
"""Is told of a key that cannot be read, and why."""


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


class _Rows(NamedTuple):
    """The rows of a pack, oldest run first: ids, where they stand in the pack, and what a listing shows."""

    runs: np.ndarray
    revisions: np.ndarray
    sizes: np.ndarray
    modified: np.ndarray
    nonces: list[str]


class Packs:
    """Reads packs."""

    def __init__(self, store: Store) -> None:
        """Take the store below: packs know nothing of loose records."""
        self._store = store
        self._known: dict[str, Pack] = {}
        self._live: list[Pack] = []
        self._rows: dict[str, _Rows] = {}
        self._objects: dict[str, ParquetObject] = {}
        self._groups: dict[tuple[str, int], list[bytes]] = {}
        self._lock = threading.RLock()

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
            elif found is not None:
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

    def places(self, pack: Pack, *, newest_first: bool = False) -> Iterator[Place]:
        """Yield where a pack holds each of its runs, oldest first unless asked otherwise."""
        rows = self.rows(pack)
        order = range(pack.runs - 1, -1, -1) if newest_first else range(pack.runs)
        runs, sizes, modified, revisions = (
            column.tolist() for column in (rows.runs, rows.sizes, rows.modified, rows.revisions)
        )
        for at in order:
            run = runs[at].decode()
            entry = Entry(layout.record_key(run), sizes[at], moment_of(modified[at]))
            yield Place(pack, pack.runs - 1 - at, revisions[at], rows.nonces[at], entry)

    def rows(self, pack: Pack) -> _Rows:
        """Return which runs a pack holds, oldest first."""
        with self._lock:
            found = self._rows.get(pack.stem)
            if found is None:
                table = self.records(pack).read(columns=list(PLACES))
                numbers = {name: table[name].to_numpy()[::-1] for name in ("revision", "size", "modified")}
                runs = np.array(table["run"].to_pylist()[::-1], dtype="S")
                nonces = table["nonce"].to_pylist()[::-1]
                found = _Rows(runs, numbers["revision"], numbers["size"], numbers["modified"], nonces)
                self._rows[pack.stem] = found
            return found

    def record(self, place: Place) -> bytes:
        """Return a record out of a pack, as the object that it would be by itself."""
        group, at = _group_of(place)
        with self._lock:
            held = self._groups.get((place.pack.stem, group))
        return one_record(self.records(place.pack), group, at) if held is None else held[at]

    def near(self, place: Place) -> bytes:
        """Return a record out of a pack, and keep those around it at hand: for who reads one after the other."""
        group, at = _group_of(place)
        return self._hold(place.pack, group)[at]

    def _hold(self, pack: Pack, group: int) -> list[bytes]:
        name = pack.stem, group
        with self._lock:
            held = self._groups.get(name)
            if held is None:
                held = list(record_bytes(self.records(pack), group))
                while len(self._groups) >= _GROUPS_HELD:
                    self._groups.pop(next(iter(self._groups)))
                self._groups[name] = held
            return held

    def records(self, pack: Pack) -> ParquetObject:
        """Open the records of a pack. Raises IntegrityError when they are gone or damaged."""
        return self._open(pack.records, pack.runs)

    def metrics(self, pack: Pack) -> ParquetObject | None:
        """Open the metrics of a pack, None where no record holds any. Raises IntegrityError as `records` does."""
        return None if pack.metrics is None else self._open(pack.metrics, None)

    def _open(self, ref: Ref, rows: int | None) -> ParquetObject:
        with self._lock:
            found = self._objects.get(ref.key)
            if found is None:
                try:
                    found = ParquetObject(
                        ref, lambda start, end: self._store.get(ref.key, start, end), rows=rows
                    )
                except NotFoundError:
                    raise IntegrityError(
                        f"{ref.key} is gone although a pack needs it; run `archiver verify`"
                    ) from None
                self._objects[ref.key] = found
            return found

    def _place(self, pack: Pack, run: str) -> Place | None:
        rows = self.rows(pack)
        at = int(np.searchsorted(rows.runs, run.encode()))
        if at >= pack.runs or rows.runs[at] != run.encode():
            return None
        entry = Entry(layout.record_key(run), int(rows.sizes[at]), moment_of(int(rows.modified[at])))
        return Place(pack, pack.runs - 1 - at, int(rows.revisions[at]), rows.nonces[at], entry)

    def _read(self, key: str) -> Pack | IntegrityError | FormatError | None:
        try:
            return decode_pack(self._store.get(key), key)
        except NotFoundError:
            return None  # replaced, and collected since it was listed
        except (IntegrityError, FormatError) as error:
            return error

    def _forget(self, key: str) -> None:
        pack = self._known.pop(key)
        self._rows.pop(pack.stem, None)
        for name in [name for name in self._groups if name[0] == pack.stem]:
            del self._groups[name]
        for known in pack.objects():
            self._objects.pop(known, None)


def _group_of(place: Place) -> tuple[int, int]:
    """Return the row group of a run, and which of its rows is the run's."""
    at, group = place.row, 0
    for rows, _, _ in place.pack.groups:
        if at < rows:
            break
        at, group = at - rows, group + 1
    return group, at
