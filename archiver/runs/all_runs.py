"""All runs of an archive as one look saw them: loose ones as records, packed ones as columns, none of these decoded unasked."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from archiver.base.unread import Tell
from archiver.format.arrays import int_array, numpy_of
from archiver.format.model import Record
from archiver.format.packs import SEEN, microseconds
from archiver.runs.packed.metrics import all_metrics
from archiver.runs.packed.rows import PackedRows
from archiver.runs.reach import reachable
from archiver.runs.read import Reader
from archiver.runs.records import records_of, run_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_AT_ONCE = 20
_NUMBERS = ("created", "strategies", "detailed", "bytes", "size", "tier1")


class AllRuns:
    """What is asked of many runs is answered from columns, what is asked of a few from their records."""

    def __init__(self, records: Sequence[Record], packed: PackedRows) -> None:
        """Take loose records, newest first, and what is packed."""
        self.loose, self.packed = records, packed

    def __len__(self) -> int:
        """Return how many runs there are."""
        return len(self.loose) + len(self.packed)

    @cached_property
    def version(self) -> str:
        """A text that changes when runs appear, change or go."""
        digest = hashlib.sha256()
        digest.update("\n".join(f"{record.run} {record.size}" for record in self.loose).encode())
        for pack, keep in self.packed.packed:
            digest.update(pack.stem.encode() + keep.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def heads(self) -> list[Record]:
        """Enough records, newest first, to say what there is: of each pack one, with the metrics of all its runs."""
        return _sorted([*self.loose, *self.packed.heads()]) if self.packed else list(self.loose)

    @cached_property
    def larger(self) -> list[Record]:
        """The records, newest first, whose rows no pack holds."""
        larger = self.packed.larger()
        return _sorted([*self.loose, *larger]) if larger else list(self.loose)

    def having(self, strategy: str, universe: str | None = None) -> list[Record]:
        """Return the records that may have a strategy of this name, newest first: of packs only those that do."""
        found = [*self.larger, *self.packed.having(strategy)] if self.packed else self.loose
        return list(records_of(_sorted(found), universe=universe))

    def whole(self, runs: Collection[str]) -> dict[str, Record]:
        """Read the records of some runs, by their ids."""
        wanted = set(runs)
        found = {record.run: record for record in self.loose if record.run in wanted}
        return found | {record.run: record for record in self.packed.of(wanted - found.keys())}

    def newest_records(self, most: int, universe: str | None = None) -> list[Record]:
        """Read the records of at most so many runs, of a universe or all, newest first."""
        if not self.packed:
            return list(records_of(self.loose, universe=universe))[:most]
        ids = self.of(universe)["run"].slice(0, most).to_pylist()
        found = self.whole(ids)
        return [found[run] for run in ids if run in found]

    def created(self, runs: Collection[str]) -> dict[str, datetime]:
        """Return when those of these runs were made that there are."""
        wanted = set(runs)
        return self.packed.created(wanted) | {one.run: one.created for one in self.loose if one.run in wanted}

    def metrics(
        self,
        reader: Reader,
        columns: Sequence[str] | None,
        *,
        universe: str | None = None,
        history: bool = False,
        newest: str = "strategy",
    ) -> pa.Table:
        """Return the rows that count as one table: see `all_metrics`."""
        records = list(records_of(self.larger, universe=universe))
        return all_metrics(
            reader, records, self.packed, columns, universe=universe, newest=newest, history=history
        )

    @cached_property
    def table(self) -> pa.Table:
        """All runs, newest first, as a table of `SEEN`: `created` in microseconds since 1970, `tags` of the save as JSON or null."""
        import numpy as np
        import pyarrow as pa

        own = _table_of(self.loose)
        packed = self.packed.table()
        if packed is None:
            return own
        both = pa.concat_tables([own, packed])
        if np.any(np.diff(numpy_of(both["created"])) > 0):
            both = both.take(_newest_first(both))
        return both

    def of(self, universe: str | None) -> pa.Table:
        """Return the rows of `table` of a universe; None: all."""
        import pyarrow.compute as pc

        return (
            self.table if universe is None else self.table.filter(pc.equal(self.table["universe"], universe))
        )

    def count(self, universe: str) -> int:
        """Return how many runs a universe has."""
        return len(self.of(universe))

    @cached_property
    def by_universe(self) -> pa.Table:
        """A row for each universe, by name: `universe`, `runs`, `detailed`, `bytes`, and of its newest run `first`, the row in `table`."""
        import numpy as np

        columns = self.table.select(["universe", "detailed", "bytes"])
        columns = columns.append_column("first", int_array(np.arange(len(columns))))
        group = columns.group_by("universe", use_threads=False).aggregate(
            [("first", "count"), ("detailed", "sum"), ("bytes", "sum"), ("first", "min")]
        )
        names = {
            "first_count": "runs",
            "detailed_sum": "detailed",
            "bytes_sum": "bytes",
            "first_min": "first",
        }
        found = group.rename_columns([names.get(name, name) for name in group.column_names])
        return found.sort_by("universe")

    @property
    def universes(self) -> list[str]:
        """The names of all universes, sorted."""
        if not self.packed:
            return sorted({record.universe for record in self.loose})
        names: list[str] = self.by_universe["universe"].to_pylist()
        return names

    @cached_property
    def newest(self) -> dict[str, str]:
        """The newest run of each universe."""
        if not self.packed:
            return {record.universe: record.run for record in reversed(self.loose)}
        first = self.table["run"].take(self.by_universe["first"])
        return dict(zip(self.universes, first.to_pylist(), strict=True))

    def newest_detailed(self, least: int) -> dict[str, str]:
        """Return the newest run of each universe that had the details of so many strategies; of packed ones, that has them."""
        import pyarrow.compute as pc

        found: dict[str, tuple[int, str]] = {
            one.universe: (microseconds(one.created), one.run)
            for one in reversed(self.loose)
            if len(one.details) >= least
        }
        if self.packed:
            rows = self.table.filter(pc.greater_equal(self.table["detailed"], least))
            for row in first_of_universe(rows).select(["created", "run", "universe"]).to_pylist():
                found[row["universe"]] = max(
                    (row["created"], row["run"]), found.get(row["universe"], (-(2**63), ""))
                )
        return {universe: run for universe, (_, run) in found.items()}

    def newest_with(self, details: int, universe: str | None = None) -> Record | None:
        """Read the newest record, of a universe or all, that has the details of so many strategies; None: there is none."""
        import pyarrow.compute as pc

        table = self.of(universe)
        ids = table["run"].filter(pc.greater_equal(table["detailed"], details))
        for start in range(0, len(ids), _AT_ONCE):
            near = ids.slice(start, _AT_ONCE).to_pylist()
            found = self.whole(near)
            for run in near:
                if run in found and len(found[run].details) >= details:
                    return found[run]
        return None

    def brought(self, most: int, *, apart: bool = False) -> tuple[np.ndarray, bool]:
        """Return the bytes that each run of `table` brought along, and whether what several share counts once.

        most: so many records of packed runs that point to other objects are read; where there are more, what they share
        counts with each. apart: what several universes share counts once with each of these.
        """
        import numpy as np

        taken = numpy_of(self.table["bytes"]).copy()
        tier1 = numpy_of(self.table["tier1"].fill_null(0))
        points = taken - numpy_of(self.table["size"]) - tier1 > 0
        if np.count_nonzero(points) > most + len(self.loose):
            return taken, False
        ids = self.table["run"].filter(points).to_pylist()
        records = self.whole(ids)
        known = [
            (at, records[run]) for at, run in zip(np.flatnonzero(points), ids, strict=True) if run in records
        ]
        taken[[at for at, _ in known]] = growth([record for _, record in known], apart=apart)
        return taken, True

    def telling(self, tell: Tell) -> AllRuns:
        """Return the same runs; another is told of what cannot be read."""
        return AllRuns(self.loose, self.packed.telling(tell))


def has_text(table: pa.Table, text: str, columns: Sequence[str]) -> pa.ChunkedArray:
    """Tell of each row whether a text is a part of its columns, joined by blanks, whatever its case."""
    import pyarrow.compute as pc

    joined = pc.binary_join_element_wise(*(pc.fill_null(table[name], "") for name in columns), " ")
    return pc.match_substring(joined, text, ignore_case=True)


def first_of_universe(table: pa.Table) -> pa.Table:
    """Return the first row of each universe."""
    import numpy as np
    import pyarrow as pa

    columns = pa.table({"universe": table["universe"], "at": int_array(np.arange(len(table)))})
    group = columns.group_by("universe", use_threads=False).aggregate([("at", "min")])
    return table.take(group["at_min"])


def growth(records: Sequence[Record], *, apart: bool = False) -> list[int]:
    """Return the bytes that each record brought along, code aside; what several share counts with the first saved.

    records: newest first, as the result is. apart: each universe by itself.
    """
    seen: set[tuple[str, str]] = set()
    brought = []
    for record in reversed(records):
        own = record.universe if apart else ""
        fresh = {
            (own, ref.key): ref.size for ref in reachable(record, code=False) if (own, ref.key) not in seen
        }
        seen.update(fresh)
        brought.append(record.size + sum(fresh.values()))
    return brought[::-1]


def _sorted(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.created, record.run), reverse=True)


def _table_of(records: Sequence[Record]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in SEEN}
    for record in records:
        run = run_of(record)
        values = (
            run.id,
            run.universe,
            microseconds(run.created),
            run.strategies,
            run.detailed,
            run.bytes,
            record.size,
            None if record.tier1 is None else record.tier1.size,
            run.note,
            orjson.dumps(record.tags).decode() if record.tags else None,
        )
        for name, value in zip(SEEN, values, strict=True):
            columns[name].append(value)
    kinds = {name: pa.int64() if name in _NUMBERS else pa.string() for name in SEEN}
    return pa.table({name: pa.array(columns[name], kinds[name]) for name in SEEN})


def _newest_first(table: pa.Table) -> pa.Array:
    import pyarrow.compute as pc

    return pc.sort_indices(
        table.select(["created", "run"]), sort_keys=[("created", "descending"), ("run", "descending")]
    )
