"""Packs that move between archives as they are, instead of a record a run.

A pack of the source does where all of it counts there, all of it is wanted, and the target knows none of its runs, be it
in the trash: then it says in the target what it says in the source, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.format.packs import Pack, refs_of
from archiver.runs.packed.reach import reach_tables
from archiver.runs.packs import Packs
from archiver.runs.record_view import RecordView
from archiver.runs.records import read_record
from archiver.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class WholePack(NamedTuple):
    """A pack of the source that moves as it is, and what reads it."""

    reader: Packs
    pack: Pack

    def runs(self) -> list[str]:
        """Return the ids of its runs."""
        return [run.decode() for run in self.reader.rows(self.pack).runs.tolist()]

    def records(self, wanted: Callable[[Ref], bool]) -> Iterator[Record]:
        """Yield some of its records: together they reach all that is wanted of what the pack reaches, and all bundles."""
        import numpy as np

        seen: set[str] = set()
        for rows, table in reach_tables(self.reader, self.pack, np.ones(self.pack.runs, bool)):
            own = {*np.flatnonzero(table["archived"].is_valid()).tolist()}
            for text, first in _first_rows(table):
                keys = {ref.key for ref in refs_of(text) if wanted(ref)} - seen
                if keys:
                    own.add(first)
                    seen |= keys
            for key, data in self.reader.some(self.pack, rows[sorted(own)].tolist()):
                yield read_record(key, data)


def _first_rows(table: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield each text that says what rows reach, and the first row that has it."""
    import numpy as np

    for name in ("reaches", "code"):
        column = table[name].combine_chunks().dictionary_encode()
        there = np.flatnonzero(column.is_valid())
        codes = column.indices.drop_null().to_numpy()
        for code, at in zip(*np.unique(codes, return_index=True), strict=True):
            yield column.dictionary[int(code)].as_py(), int(there[at])


def movable(source: Store, target: Store, runs: Collection[str]) -> list[WholePack]:
    """Return the packs of the source that move as they are where these runs are copied."""
    import numpy as np

    if not isinstance(source, RecordView) or not isinstance(target, RecordView):
        return []
    reader = source.packs
    if all(pack.runs > len(runs) for pack in reader.live()):
        return []
    wanted = np.array(sorted(runs), dtype="S")
    whole = [
        pack
        for pack, keep in source.look().packs
        if keep.all() and _among(wanted, reader.rows(pack).runs).all()
    ]
    if not whole:
        return []
    there = {pack.stem for pack in target.packs.all()}
    known = _known(target)
    return [
        WholePack(reader, pack)
        for pack in whole
        if there.isdisjoint((pack.stem, *pack.replaces)) and not _among(known, reader.rows(pack).runs).any()
    ]


def _known(target: RecordView) -> np.ndarray:
    """Return every run that the target has or had, as far as anything there still tells, sorted."""
    import numpy as np

    look = target.look()
    loose = {run for entry in look.loose if (run := layout.run_of_record(entry.key)) is not None}
    others = np.array(sorted(loose | target.masked()), dtype="S")
    return np.sort(np.concatenate([others, *(target.packs.rows(pack).runs for pack, _ in look.packs)]))


def _among(known: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Tell which runs are among the known ones, which are sorted: `isin` hashes texts, which takes a hundred times as long."""
    import numpy as np

    if not len(known):
        return np.zeros(len(runs), bool)
    at = np.searchsorted(known, runs)
    found: np.ndarray = known[np.minimum(at, len(known) - 1)] == runs
    return found
