"""What packed runs reach, as columns: who asks it of all runs needs no record of any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from archiver.format import layout
from archiver.format.arrays import int_array, numpy_of
from archiver.format.layout import digest
from archiver.format.model import Record, Ref
from archiver.format.packs import (
    REACHED,
    Pack,
    has_reached,
    reached_text,
    record_bytes,
    records_table,
    refs_of,
)
from archiver.runs.packs import Packs, Rows
from archiver.runs.reach import reachable
from archiver.runs.record_view import Look, RecordView
from archiver.runs.records import read_record
from archiver.store.entry import Entry

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_SHOWN = ("run", "universe", "size", "archived")


class Uses(NamedTuple):
    """An object, and how many of some rows reach it: of what they share one of these for each way to share it."""

    ref: Ref
    rows: int


def reached_columns(record: Record) -> dict[str, Any]:
    """Return the columns of a pack that say what a record reaches."""
    every = list(reachable(record))
    code = [ref for ref in every if ref.key.startswith(layout.CODE)]
    return {
        "reaches": reached_text(ref for ref in every if not ref.key.startswith(layout.CODE)),
        "code": reached_text(code),
        "inline": record.detail_bytes if record.tier2 is None else 0,
    }


def reach_tables(
    packs: Packs, pack: Pack, keep: np.ndarray, more: Sequence[str] = ()
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """Yield of a pack, a row group at a time, which rows are kept, and a table of these: run, universe, size, archived,
    and the columns of `REACHED`.

    more: further columns of the pack. Raises IntegrityError for a pack that cannot be read.
    """
    import numpy as np

    source = packs.records(pack)
    shown = [*_SHOWN, *more]
    start = 0
    for group, rows in enumerate(pack.groups):
        own = np.flatnonzero(keep[start : start + rows])
        if len(own):
            if has_reached(source):
                table = source.read(groups=[group], columns=[*shown, *REACHED])
            else:
                table = _made(source.read(groups=[group], columns=shown), records_table(source, group))
            yield own + start, table if len(own) == rows else table.take(int_array(own))
        start += rows


def _made(shown: pa.Table, texts: pa.Table) -> pa.Table:
    """Add the columns of `REACHED` to a row group of a pack that was written without."""
    import pyarrow as pa

    keys = map(layout.record_key, texts["run"].to_pylist())
    rows = [
        reached_columns(read_record(key, data)) for key, data in zip(keys, record_bytes(texts), strict=True)
    ]
    for name in REACHED:
        kind = pa.int64() if name == "inline" else pa.string()
        shown = shown.append_column(name, pa.array([row[name] for row in rows], kind))
    return shown


def uses(table: pa.Table) -> Iterator[Uses]:
    """Yield what the rows of such a table reach."""
    import pyarrow.compute as pc

    for name in ("reaches", "code"):
        for one in pc.value_counts(table[name].drop_null()).to_pylist():
            for ref in refs_of(one["values"]):
                yield Uses(ref, one["counts"])


def rows_reaching(table: pa.Table, wanted: Callable[[Ref], bool]) -> np.ndarray:
    """Return which rows of such a table reach something that is wanted."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = np.zeros(table.num_rows, bool)
    for name in ("reaches", "code"):
        texts = table[name].unique().drop_null().to_pylist()
        own = [text for text in texts if any(map(wanted, refs_of(text)))]
        found |= numpy_of(pc.is_in(table[name], pa.array(own, pa.string())))
    return found


class RunSet:
    """A set of runs: of packed ones as the columns of their packs, of others as digests."""

    def __init__(self) -> None:
        """Begin an empty set."""
        self._others: set[int] = set()
        self._packed: dict[str, tuple[Pack, Rows, np.ndarray]] = {}

    def __contains__(self, run: object) -> bool:
        import numpy as np

        if not isinstance(run, str):
            return False
        if digest(run) in self._others:
            return True
        name = run.encode()
        for pack, rows, keep in self._packed.values():
            if pack.oldest <= run <= pack.newest:
                at = int(np.searchsorted(rows.runs, name))
                if at < len(rows.runs) and rows.runs[at] == name and keep[rows.rows[at]]:
                    return True
        return False

    def __len__(self) -> int:
        """Return how many; a run that was packed, or taken out of a pack, between two looks counts twice."""
        return len(self._others) + sum(int(keep.sum()) for _, _, keep in self._packed.values())

    def update(self, entries: Iterable[Entry]) -> None:
        """Take the runs of these records."""
        runs = (layout.run_of_record(entry.key) for entry in entries)
        self.update_ids(run for run in runs if run is not None)

    def update_ids(self, runs: Iterable[str]) -> None:
        """Take these runs."""
        self._others.update(map(digest, runs))

    def look(self, view: RecordView) -> Look:
        """Take the runs that there are, and return what there is."""
        found = view.look()
        self.update(found.loose)
        for pack, keep in found.packs:
            self.add_packed(view.packs, pack, keep)
        return found

    def add_packed(self, packs: Packs, pack: Pack, keep: np.ndarray) -> np.ndarray:
        """Take these rows of a pack. Return which of them were not in the set."""
        known = self._packed.get(pack.stem)
        if known is None:
            self._packed[pack.stem] = pack, packs.rows(pack), keep.copy()
            return keep
        new: np.ndarray = keep & ~known[2]
        known[2][:] |= keep
        return new


def recorded(view: RecordView) -> RunSet:
    """Return the runs that have a record, be it in the trash or set aside."""
    found = RunSet()
    found.look(view)
    for area in (layout.TRASH, layout.QUARANTINE):
        found.update(view.list(area))
    return found
