"""Packed runs as columns: what is asked of many runs at once is answered without a record of any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from archiver.base.unread import ONE_OBJECT, Tell, Unread, raise_it
from archiver.errors import ArchiverError, ConfigError
from archiver.format import layout
from archiver.format.arrays import bool_array, numpy_of, text_array
from archiver.format.model import Record, Run
from archiver.format.packs import LISTED, Pack, moment_of, pack_created, pack_metrics
from archiver.runs.packs import PackGoneError, Place
from archiver.runs.record_view import RecordView
from archiver.runs.records import read_record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

T = TypeVar("T")

Packed = Sequence[tuple[Pack, "np.ndarray"]]
"""Packs, newest first, and of each which rows count."""


class PackedRows:
    """The rows of packs that count in one look at an archive.

    A pack that cannot be read is left out of all that is asked from then on.
    """

    def __init__(self, view: RecordView, packed: Packed, tell: Tell = raise_it) -> None:
        """Take what `RecordView.look` saw; tell: is told of a pack that cannot be read, which is left out then."""
        self._packs, self.packed, self._tell = view.packs, packed, tell
        self._store = view.below
        self._heads: list[Record] | None = None
        self._broken: dict[str, ArchiverError] = {}
        self.gone: set[str] = set()
        """Packs that went since the look: what is read from now on may lack their runs. Look again."""
        self._told: set[str] = set()

    def __bool__(self) -> bool:
        return any(keep.any() for _, keep in self.packed)

    def __len__(self) -> int:
        """Return how many runs count, as far as it is known which packs can be read."""
        return sum(int(keep.sum()) for pack, keep in self.packed if pack.stem not in self._broken)

    def telling(self, tell: Tell) -> PackedRows:
        """Return the same rows; another is told of a pack that cannot be read."""
        found = copy(self)
        found._tell, found._told = tell, set()
        return found

    def check(self) -> None:
        """Read what `table` does, so that what cannot be read is told of now."""
        for pack, _ in self.packed:
            self._columns(pack)

    @property
    def universes(self) -> set[str]:
        """The universes of the packs; of the runs that count, these or fewer."""
        return {name for pack, _ in self.packed for name in pack.universes}

    def has(self, run: str) -> bool:
        """Tell whether a run is packed, and counts."""
        return any(keep[place.row] for _, keep, place in self._places([run]))

    def count(self, universe: str) -> int:
        """Return how many runs of a universe count."""
        found = 0
        for pack, keep in self.packed:
            if pack.universes == (universe,):
                found += int(keep.sum())
            elif universe in pack.universes:
                table = self._narrow(pack, "universe")
                if table is not None:
                    found += int((numpy_of(_is(table, universe)) & keep).sum())
        return found

    def heads(self) -> list[Record]:
        """Return the newest record of each pack, with the range of each metric in the whole pack."""
        if self._heads is None:
            first = [(pack, int(keep.argmax())) for pack, keep in self.packed if keep.any()]
            self._heads = [
                replace(record, metrics=pack.ranges)
                for pack, row in first
                for record in self._records(pack, [row])
            ]
        return self._heads

    def of(self, runs: Collection[str]) -> list[Record]:
        """Read the records of those of these runs that are packed and count, in the order in which they lie."""
        rows: dict[str, list[int]] = {}
        for pack, keep, place in self._places(runs):
            if keep[place.row]:
                rows.setdefault(pack.stem, []).append(place.row)
        return [
            record
            for pack, _ in self.packed
            for record in self._records(pack, sorted(rows.get(pack.stem, ())))
        ]

    def runs(
        self, universe: str | None = None, *, tag: str | None = None, limit: int | None = None
    ) -> Iterator[Run]:
        """Yield the runs, of a universe or all, with the tags of their saves.

        tag: only those that their save gave it, or that have a marker of it; limit: at least so many of the newest, if
        there are, and no others are read that need not be.
        """
        found = 0
        oldest = ""
        marked = None if tag is None else self._marked(tag)
        for pack, keep in self.packed:
            # Ids tell seconds; of runs of one second the moment decides which is newer.
            if limit is not None and found >= limit and _second(pack.newest) < _second(oldest):
                return
            if universe is not None and universe not in pack.universes:
                continue
            own = 0
            for group, rows in self._groups(pack, keep):
                table = self._read(pack, partial(self._listed, pack, group, rows))
                if table is None:
                    break
                if universe is not None:
                    table = table.filter(_is(table, universe))
                if tag is not None and marked is not None:
                    table = table.filter(_has_tag(table, tag, marked))
                oldest = min(
                    filter(None, (oldest, *table["run"].slice(max(0, len(table) - 1)).to_pylist())),
                    default="",
                )
                own += table.num_rows
                yield from map(_run_of, table.to_pylist())
                if limit is not None and own >= limit:
                    break
            found += own

    def _groups(self, pack: Pack, keep: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the row groups of which something counts, and which of their rows do."""
        start = 0
        for group, rows in enumerate(pack.groups):
            own = keep[start : start + rows]
            start += rows
            if own.any():
                yield group, own

    def _listed(self, pack: Pack, group: int, keep: np.ndarray) -> pa.Table:
        """Return the columns that listings show of a row group."""
        table = self._packs.records(pack).read(groups=[group], columns=list(LISTED))
        return table if keep.all() else table.filter(bool_array(keep))

    def _marked(self, tag: str) -> pa.Array:
        """Return the runs that have a marker of a tag."""

        try:
            keys = [layout.parse(entry.key) for entry in self._store.list(layout.tag_key(tag, ""))]
        except ConfigError:  # it can be nobody's
            keys = []
        return text_array([key.run for key in keys if key is not None])

    def table(self) -> pa.Table | None:
        """Return `SEEN` of every run; None where there are none."""
        import pyarrow as pa

        found = list(self._counting(self._columns))
        return pa.concat_tables(found) if found else None

    def _counting(self, columns: Callable[[Pack], pa.Table | None]) -> Iterator[pa.Table]:
        """Yield of each pack such columns of the rows that count."""
        for pack, keep in self.packed:
            table = columns(pack)
            if table is not None:
                yield table if keep.all() else table.filter(bool_array(keep))

    def ids(self, universe: str | None = None) -> list[str]:
        """Return the ids of the runs, of a universe or all."""
        found: list[str] = []
        names = ("run",) if universe is None else ("run", "universe")
        for table in self._counting(lambda pack: self._narrow(pack, *names)):
            own = table if universe is None else table.filter(_is(table, universe))
            found += own["run"].to_pylist()
        return found

    def tags(self) -> dict[str, tuple[str, ...]]:
        """Return the tags of those runs whose save gave some."""
        found: dict[str, tuple[str, ...]] = {}
        for table in self._counting(lambda pack: self._narrow(pack, "run", "tags")):
            for row in table.filter(table["tags"].is_valid()).to_pylist():
                found[row["run"]] = tuple(orjson.loads(row["tags"]))
        return found

    def created(self, runs: Collection[str]) -> dict[str, datetime]:
        """Return when those of these runs were made that are packed."""
        import pyarrow.compute as pc

        found: dict[str, datetime] = {}
        for pack, keep in self.packed:
            own = [run for run in runs if pack.oldest <= run <= pack.newest]
            table = self._narrow(pack, "run", "created") if own else None
            if table is not None:
                wanted = numpy_of(pc.is_in(table["run"], value_set=text_array(own)))
                table = table.filter(bool_array(wanted & keep))
                moments = map(moment_of, table["created"].to_pylist())
                found.update(zip(table["run"].to_pylist(), moments, strict=True))
        return found

    def larger(self) -> list[Record]:
        """Return the records whose metrics are not in the pack, but in an object of their own."""
        import numpy as np

        found: list[Record] = []
        for pack, keep in self.packed:
            table = self._narrow(pack, "tier1")
            if table is not None and table["tier1"].null_count < len(table):
                has = numpy_of(table["tier1"].is_valid()) & keep
                found += self._records(pack, np.flatnonzero(has).tolist())
        return found

    def having(self, strategy: str) -> list[Record]:
        """Return the records of which one row is a strategy's of this name."""
        import numpy as np
        import pyarrow.compute as pc

        found: list[Record] = []
        for pack, keep in self.packed:
            names = self._read(pack, partial(self._names, pack))
            if names is None:
                continue
            places = numpy_of(pc.indices_nonzero(pc.equal(names, strategy)))
            of_row = self._of_row(pack) if len(places) else None
            if of_row is not None:
                rows = np.unique(of_row[places])
                found += self._records(pack, [row for row in rows.tolist() if keep[row]])
        return found

    def metrics(
        self, universe: str | None, columns: Sequence[str] | None, *, params: bool, again: bool = False
    ) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """Yield of each pack the rows that count as a table, and when the run of each was made, in microseconds.

        again: more will be asked of the same packs, so that what was read stays at hand.
        """
        for pack, keep in self.packed:
            if universe is not None and universe not in pack.universes:
                continue
            of_row = None if keep.all() else self._of_row(pack)
            if of_row is None and not keep.all():
                continue
            found = self._read(pack, partial(self._metrics, pack, columns, params=params, again=again))
            if found is None:
                continue
            table, created = found
            mask = None if of_row is None else keep[of_row]
            if universe is not None and len(pack.universes) > 1:
                own = numpy_of(_is(table, universe))
                mask = own if mask is None else mask & own
            if mask is not None:
                table, created = table.filter(bool_array(mask)), created.filter(bool_array(mask))
            if table.num_rows:
                yield table, numpy_of(created)

    def newest(self) -> dict[str, int]:
        """Return when the newest run of each universe was made, in microseconds since 1970."""
        found: dict[str, int] = {}
        for table in self._counting(lambda pack: self._narrow(pack, "universe", "created")):
            group = table.group_by("universe", use_threads=False).aggregate([("created", "max")])
            for universe, created in zip(
                *(group[name].to_pylist() for name in group.column_names), strict=True
            ):
                found[universe] = max(created, found.get(universe, created))
        return found

    def _names(self, pack: Pack) -> pa.ChunkedArray | None:
        source = self._packs.metrics(pack)
        return None if source is None else source.read(columns=["strategy_name"])["strategy_name"]

    def _metrics(
        self, pack: Pack, columns: Sequence[str] | None, *, params: bool, again: bool
    ) -> tuple[pa.Table, pa.ChunkedArray] | None:
        source = self._packs.metrics(pack)
        if source is None:
            return None
        found = pack_metrics(source, columns, params=params), pack_created(source)
        if not again:
            source.forget()
        return found

    def _read(self, pack: Pack, read: Callable[[], T]) -> T | None:
        """Return what `read` does, or None for a pack that cannot be read, once that was told."""
        error = self._broken.get(pack.stem)
        if error is None:
            try:
                return read()
            except PackGoneError:
                self.gone.add(pack.stem)
                raise
            except ONE_OBJECT as broken:
                error = self._broken[pack.stem] = broken
        if pack.stem not in self._told:
            for universe in pack.universes:
                self._tell(Unread(pack.newest, universe, error))
            self._told.add(pack.stem)
        return None

    def _columns(self, pack: Pack) -> pa.Table | None:
        """Return `SEEN` of each row of a pack."""
        return self._read(pack, partial(self._packs.columns, pack))

    def _narrow(self, pack: Pack, *names: str) -> pa.Table | None:
        """Return some columns of a pack, which do not stay at hand."""
        return self._read(pack, partial(self._packs.narrow, pack, names))

    def _places(self, runs: Collection[str]) -> Iterator[tuple[Pack, np.ndarray, Place]]:
        """Yield where those of these runs lie that are packed, in the version that counts among the packs."""
        for run in runs:
            near = [one for one, _ in self.packed if one.oldest <= run <= one.newest]
            near = [one for one in near if self._read(one, partial(self._packs.rows, one)) is not None]
            place = self._packs.find(near, run)
            if place is not None:
                yield from ((pack, keep, place) for pack, keep in self.packed if pack is place.pack)

    def _of_row(self, pack: Pack) -> np.ndarray | None:
        """Return, of each row of a pack's metrics, which row of its records it belongs to."""
        return self._read(pack, partial(self._packs.of_row, pack))

    def _records(self, pack: Pack, rows: Sequence[int]) -> list[Record]:
        """Read the records of some rows, these in ascending order; none where the pack cannot be read."""
        found = self._read(
            pack, lambda: [read_record(key, data) for key, data in self._packs.some(pack, rows)]
        )
        return found or []


def _is(table: pa.Table, universe: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.equal(table["universe"], universe)


def _has_tag(table: pa.Table, tag: str, marked: pa.Array) -> pa.ChunkedArray:
    """Tell which rows may have a tag: by their save, or by a marker."""
    import pyarrow.compute as pc

    given = pc.match_substring(table["tags"], orjson.dumps(tag).decode()).fill_null(False)
    return pc.or_(given, pc.is_in(table["run"], value_set=marked))


def _second(run: str) -> str:
    """Return the part of an id that tells when the run was made."""
    return run.partition("-")[0]


def _run_of(row: dict[str, Any]) -> Run:
    return Run(
        id=row["run"],
        universe=row["universe"],
        created=moment_of(row["created"]),
        strategies=row["strategies"],
        detailed=row["detailed"],
        bytes=row["bytes"],
        tags=tuple(orjson.loads(row["tags"])) if row["tags"] else (),
        top_n=row["top_n"] or 0,
        rank_by=row["rank_by"],
        note=row["note"],
        archived=row["archived"],
        details=row["details"],
    )
