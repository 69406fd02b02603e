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
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.format.packs import LISTED, Pack, moment_of, pack_created, pack_metrics
from archiver.runs.record_view import RecordView
from archiver.runs.records import read_record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

T = TypeVar("T")

Packed = Sequence[tuple[Pack, "np.ndarray"]]
"""Packs, newest first, and of each which rows count."""


class PackedRows:
    """The rows of packs that count in one look at an archive."""

    def __init__(self, view: RecordView, packed: Packed, tell: Tell = raise_it) -> None:
        """Take what `RecordView.look` saw; tell: is told of a pack that cannot be read, which is left out then."""
        self._packs, self.packed, self._tell = view.packs, packed, tell
        self._heads: list[Record] | None = None

    def __bool__(self) -> bool:
        return any(keep.any() for _, keep in self.packed)

    def __len__(self) -> int:
        """Return how many runs count."""
        import numpy as np

        return sum(int(np.count_nonzero(keep)) for _, keep in self.packed)

    def telling(self, tell: Tell) -> PackedRows:
        """Return the same rows; another is told of a pack that cannot be read."""
        found = copy(self)
        found._tell = tell
        return found

    @property
    def universes(self) -> set[str]:
        """The universes of the packs; of the runs that count, these or fewer."""
        return {name for pack, _ in self.packed for name in pack.universes}

    def has(self, run: str) -> bool:
        """Tell whether a run is packed, and counts."""
        place = self._packs.find([pack for pack, _ in self.packed], run)
        return place is not None and any(pack is place.pack and keep[place.row] for pack, keep in self.packed)

    def heads(self) -> list[Record]:
        """Return the newest record of each pack, with the range of each metric in the whole pack."""
        import numpy as np

        if self._heads is None:
            first = [(pack, int(np.flatnonzero(keep)[0])) for pack, keep in self.packed if keep.any()]
            self._heads = [
                replace(record, metrics=pack.ranges)
                for pack, row in first
                for record in self._records(pack, [row])
            ]
        return self._heads

    def of(self, runs: Collection[str]) -> list[Record]:
        """Read the records of those of these runs that are packed and count, in the order in which they lie."""
        packs = [pack for pack, _ in self.packed]
        places = [place for run in runs if (place := self._packs.find(packs, run)) is not None]
        found: list[Record] = []
        for pack, keep in self.packed:
            rows = sorted(place.row for place in places if place.pack is pack and keep[place.row])
            found += self._records(pack, rows)
        return found

    def runs(self, universe: str | None = None, *, limit: int | None = None) -> Iterator[Run]:
        """Yield the runs, of a universe or all, with the tags of their saves.

        limit: at least so many of the newest, if there are, and no others are read that need not be.
        """
        found = 0
        oldest = ""
        for pack, keep in self.packed:
            if limit is not None and found >= limit and pack.newest < oldest:
                return
            for table in self._listed(pack, keep, limit):
                rows = table if universe is None else table.filter(_is(table, universe))
                oldest = min(filter(None, (oldest, *rows["run"].to_pylist()[-1:])), default="")
                found += rows.num_rows
                yield from map(_run_of, rows.to_pylist())

    def _listed(self, pack: Pack, keep: np.ndarray, limit: int | None) -> Iterator[pa.Table]:
        """Yield the columns that listings show, a row group at a time, of as many rows as are wanted."""
        import numpy as np

        start = found = 0
        for group, rows in enumerate(pack.groups):
            own = np.flatnonzero(keep[start : start + rows])
            start += rows
            if len(own):
                table = self._packs.records(pack).read(groups=[group], columns=list(LISTED))
                yield table.take(own)
            found += len(own)
            if limit is not None and found >= limit:
                return

    def table(self) -> pa.Table | None:
        """Return `SEEN` of every run; None where there are none."""
        import pyarrow as pa

        found = [
            self._packs.columns(pack) if keep.all() else self._packs.columns(pack).filter(keep)
            for pack, keep in self.packed
        ]
        return pa.concat_tables(found) if found else None

    def ids(self, universe: str | None = None) -> list[str]:
        """Return the ids of the runs, of a universe or all."""
        found: list[str] = []
        for pack, keep in self.packed:
            table = self._packs.columns(pack).filter(keep)
            own = table if universe is None else table.filter(_is(table, universe))
            found += own["run"].to_pylist()
        return found

    def tags(self) -> dict[str, tuple[str, ...]]:
        """Return the tags of those runs whose save gave some."""
        found: dict[str, tuple[str, ...]] = {}
        for pack, keep in self.packed:
            table = self._packs.records(pack).read(columns=["run", "tags"]).filter(keep)
            for row in table.filter(table["tags"].is_valid()).to_pylist():
                found[row["run"]] = tuple(orjson.loads(row["tags"]))
        return found

    def created(self, runs: Collection[str]) -> dict[str, datetime]:
        """Return when those of these runs were made that are packed."""
        packs = [pack for pack, _ in self.packed]
        places = [place for run in runs if (place := self._packs.find(packs, run)) is not None]
        found: dict[str, datetime] = {}
        for pack in packs:
            own = [place for place in places if place.pack is pack]
            if own:
                moments = self._packs.columns(pack)["created"]
                for place in own:
                    found[layout.run_of_record(place.entry.key) or ""] = moment_of(moments[place.row].as_py())
        return found

    def larger(self) -> list[Record]:
        """Return the records whose metrics are not in the pack, but in an object of their own."""
        import numpy as np

        found: list[Record] = []
        for pack, keep in self.packed:
            own = self._packs.columns(pack)["tier1"]
            if own.null_count < len(own):
                has = own.is_valid().to_numpy() & keep
                found += self._records(pack, np.flatnonzero(has).tolist())
        return found

    def having(self, strategy: str) -> list[Record]:
        """Return the records of which one row is a strategy's of this name."""
        import numpy as np
        import pyarrow.compute as pc

        found: list[Record] = []
        for pack, keep in self.packed:
            names = self._try(pack, partial(self._names, pack))
            if names is None:
                continue
            places = pc.indices_nonzero(pc.equal(names, strategy)).to_numpy()
            if len(places):
                rows = np.unique(self._of_row(pack)[places])
                found += self._records(pack, [row for row in rows.tolist() if keep[row]])
        return found

    def metrics(
        self, universe: str | None, columns: Sequence[str] | None, *, params: bool
    ) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """Yield of each pack the rows that count as a table, and when the run of each was made, in microseconds."""
        import pyarrow.compute as pc

        for pack, keep in self.packed:
            if universe is not None and universe not in pack.universes:
                continue
            found = self._try(pack, partial(self._metrics, pack, columns, params=params))
            if found is None:
                continue
            table, created = found
            mask = keep[self._of_row(pack)] if not keep.all() else None
            if universe is not None and len(pack.universes) > 1:
                own = pc.equal(table["universe"], universe).to_numpy()
                mask = own if mask is None else mask & own
            if mask is not None:
                table, created = table.filter(mask), created.filter(mask)
            if table.num_rows:
                yield table, created.to_numpy()

    def newest(self) -> dict[str, int]:
        """Return when the newest run of each universe was made, in microseconds since 1970."""
        found: dict[str, int] = {}
        for pack, keep in self.packed:
            table = self._packs.columns(pack).filter(keep)
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
        self, pack: Pack, columns: Sequence[str] | None, *, params: bool
    ) -> tuple[pa.Table, pa.ChunkedArray] | None:
        source = self._packs.metrics(pack)
        return (
            None if source is None else (pack_metrics(source, columns, params=params), pack_created(source))
        )

    def _try(self, pack: Pack, read: Callable[[], T]) -> T | None:
        """Return what `read` does, or None for a pack that cannot be read, once that was told."""
        try:
            return read()
        except ONE_OBJECT as error:
            for universe in pack.universes:
                self._tell(Unread(pack.newest, universe, error))
            return None

    def _of_row(self, pack: Pack) -> np.ndarray:
        """Return, of each row of a pack's metrics, which row of its records it belongs to."""
        import numpy as np

        table = self._packs.columns(pack)
        counts = np.where(table["tier1"].is_valid().to_numpy(), 0, table["strategies"].to_numpy())
        return np.repeat(np.arange(pack.runs), counts)

    def _records(self, pack: Pack, rows: Sequence[int]) -> list[Record]:
        """Read the records of some rows, these in ascending order."""
        return [read_record(key, data) for key, data in self._packs.some(pack, rows)]


def _is(table: pa.Table, universe: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.equal(table["universe"], universe)


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
