"""Outlines: of all runs what it takes to decide whether they stay, as columns. A million of them fit where as many
records do not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from archiver.format import layout
from archiver.format.arrays import numpy_of, texts_of
from archiver.format.model import Record, Ref
from archiver.format.packs import Pack, microseconds, refs_of
from archiver.runs.packed.reach import reach_tables
from archiver.runs.packed.rows import PackedRows
from archiver.runs.packed.scores import greatest
from archiver.runs.packs import Packs
from archiver.runs.reach import reachable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Reach(NamedTuple):
    """What a run reaches: by its details, and else; `code` is that of the run, for runs that share it the same tuple."""

    details: tuple[Ref, ...] = ()
    tier1: tuple[Ref, ...] = ()
    code: tuple[Ref, ...] = ()


@dataclass(frozen=True, eq=False)
class Outlines:
    """Runs, universe by universe, newest run first: the order in which it is decided on them. A column has one value a run."""

    run: np.ndarray
    """Ids, as bytes."""
    universe: np.ndarray
    """Which of `universes` each is of."""
    created: np.ndarray
    """Microseconds since 1970."""
    size: np.ndarray
    """Of its record, in bytes."""
    inline: np.ndarray
    """Bytes of the details that stand in its record."""
    detailed: np.ndarray
    """Whether it has details."""
    reach: np.ndarray
    """Which of `reaches` it has."""
    scores: Mapping[str, np.ndarray]
    """Of each metric that was asked for the greatest value in each run, NaN where it has none."""
    universes: tuple[str, ...] = ()
    """The names of universes, sorted."""
    reaches: Sequence[Reach] = ()
    metrics: frozenset[str] = frozenset()
    """Every metric that one of the runs has."""

    def __len__(self) -> int:
        return len(self.run)

    def id(self, row: int) -> str:
        """Return the id of the run of a row."""
        return str(self.run[row].decode())

    def rows_of(self, runs: Iterable[str]) -> np.ndarray:
        """Return the row of each of these runs, -1 where there is none."""
        import numpy as np

        wanted = np.array([run.encode() for run in runs], dtype="S")
        if not len(self) or not len(wanted):
            return np.full(len(wanted), -1)
        places = np.searchsorted(self.run, wanted, sorter=self.by_id).clip(max=len(self) - 1)
        rows = self.by_id[places]
        return np.where(self.run[rows] == wanted, rows, -1)

    @cached_property
    def by_id(self) -> np.ndarray:
        """The rows in the order of their ids."""
        import numpy as np

        return np.argsort(self.run, kind="stable")


def outlines_of(
    records: Sequence[Record],
    metrics: Collection[str] = (),
    *,
    packs: Packs | None = None,
    packed: PackedRows | None = None,
) -> Outlines:
    """Return the outlines of records, and of packed runs without a record of any.

    metrics: of which there will be scores; packs, packed: the runs that are packed, if any. Raises IntegrityError for
    a pack that cannot be read.
    """
    made = _Columns(metrics)
    pieces = [made.of_records(records)]
    known = {name for record in records for name in record.metrics}
    if packs is not None and packed is not None:
        for pack, keep in packed.packed:
            pieces += made.of_pack(packs, pack, keep)
            known.update(pack.ranges)
    return _ordered(pieces, made, frozenset(known))


class _Columns:
    """Makes columns; what many runs share is there once. `universes` are not sorted yet."""

    def __init__(self, metrics: Collection[str]) -> None:
        self._metrics = tuple(dict.fromkeys(metrics))
        self._codes: dict[tuple[str, ...], tuple[Ref, ...]] = {}
        self._places: dict[str, int] = {}
        self._shared: dict[str | None, int] = {}
        self.reaches: list[Reach] = []

    @property
    def universes(self) -> tuple[str, ...]:
        return tuple(self._places)

    def of_records(self, records: Sequence[Record]) -> Outlines:
        """Return the columns of records, in their order."""
        import numpy as np

        inline = [record.detail_bytes if record.tier2 is None else 0 for record in records]
        nothing = (np.nan, np.nan)
        scores = {
            name: np.array([record.metrics.get(name, nothing)[1] for record in records], np.float64)
            for name in self._metrics
        }
        return Outlines(
            run=np.array([record.run.encode() for record in records], dtype="S"),
            universe=np.array([self._place(record.universe) for record in records], np.int64),
            created=np.array([microseconds(record.created) for record in records], np.int64),
            size=np.array([record.size for record in records], np.int64),
            inline=np.array(inline, np.int64),
            detailed=np.array([record.has_detail for record in records], bool),
            reach=np.array([self._of_record(record) for record in records], np.int64),
            scores=scores,
        )

    def of_pack(self, packs: Packs, pack: Pack, keep: np.ndarray) -> Iterator[Outlines]:
        """Yield the columns of these rows of a pack."""
        import numpy as np

        scores = greatest(packs, pack, self._metrics)
        for rows, table in reach_tables(packs, pack, keep, ("created",)):
            inline = numpy_of(table["inline"])
            reach, has_detail = self._reached(table)
            yield Outlines(
                run=texts_of(table["run"]),
                universe=self._universe(table["universe"]),
                created=numpy_of(table["created"]),
                size=numpy_of(table["size"]),
                inline=inline,
                detailed=has_detail | (inline > 0),
                reach=reach,
                scores={
                    name: scores[name][rows] if name in scores else np.full(len(rows), np.nan)
                    for name in self._metrics
                },
            )

    def _place(self, universe: str) -> int:
        return self._places.setdefault(universe, len(self._places))

    def _universe(self, column: pa.ChunkedArray) -> np.ndarray:
        import numpy as np

        coded = column.combine_chunks().dictionary_encode()
        places = [self._place(name) for name in coded.dictionary.to_pylist()]
        found: np.ndarray = np.array(places, np.int64)[numpy_of(coded.indices)]
        return found

    def _of_record(self, record: Record) -> int:
        every = list(reachable(record))
        own = [ref for ref in every if not ref.key.startswith(layout.CODE)]
        return self._add(own, [ref for ref in every if ref.key.startswith(layout.CODE)])

    def _reached(self, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Return which of `reaches` each row of a pack has, and whether by details."""
        import numpy as np
        import pyarrow.compute as pc

        coded = [
            pc.dictionary_encode(table[name].combine_chunks(), null_encoding="encode")
            for name in ("reaches", "code")
        ]
        own, code = (one.dictionary.to_pylist() for one in coded)
        both = numpy_of(coded[0].indices).astype(np.int64) * len(code) + numpy_of(coded[1].indices)
        pairs, which = np.unique(both, return_inverse=True)
        places = [self._of_texts(own[pair // len(code)], code[pair % len(code)]) for pair in pairs.tolist()]
        detailed = [
            any(ref.key.startswith(layout.TIER2) for ref in self.reaches[at].details) for at in places
        ]
        return np.array(places, np.int64)[which], np.array(detailed, bool)[which]

    def _of_texts(self, own: str | None, code: str | None) -> int:
        known = self._shared.get(code) if own is None else None
        if known is not None:
            return known
        added = self._add(refs_of(own) if own else [], refs_of(code) if code else [])
        if own is None:
            self._shared[code] = added
        return added

    def _add(self, refs: Iterable[Ref], code: Iterable[Ref]) -> int:
        named = tuple(code)
        shared = self._codes.setdefault(tuple(ref.key for ref in named), named)
        own = list(refs)
        tier1 = tuple(ref for ref in own if ref.key.startswith(layout.TIER1))
        self.reaches.append(Reach(tuple(ref for ref in own if ref not in tier1), tier1, shared))
        return len(self.reaches) - 1


def _ordered(pieces: Sequence[Outlines], made: _Columns, metrics: frozenset[str]) -> Outlines:
    """Join columns, and put the runs in their order."""
    import numpy as np

    universes = tuple(sorted(made.universes))
    place = {name: at for at, name in enumerate(universes)}
    sorts = np.array([place[name] for name in made.universes], np.int64)
    names = [
        one.name for one in fields(Outlines) if one.name not in ("scores", "universes", "reaches", "metrics")
    ]
    columns = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    columns["universe"] = sorts[columns["universe"]]
    newest = np.lexsort((columns["run"], columns["created"]))[::-1]
    order = newest[np.argsort(columns["universe"][newest], kind="stable")]
    scores = {
        name: np.concatenate([piece.scores[name] for piece in pieces])[order] for name in pieces[0].scores
    }
    ordered = {name: column[order] for name, column in columns.items()}
    return Outlines(**ordered, scores=scores, universes=universes, reaches=made.reaches, metrics=metrics)
