"""Outlines: of each run what it takes to decide whether it stays. A million of them fit where as many records do not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import orjson

from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.format.packs import Pack, moment_of, refs_of
from archiver.format.records import to_ranges
from archiver.runs.graph import reachable
from archiver.runs.packed_reach import reach_tables
from archiver.runs.packs import Packs

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Metrics = Mapping[str, tuple[float, float]]
_NONE: Metrics = {}


class Reach(NamedTuple):
    """What a run reaches: by its details, and else; `code` is that of the run, for runs that share it the same tuple."""

    details: tuple[Ref, ...] = ()
    tier1: tuple[Ref, ...] = ()
    code: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A run: `metrics` as those of its record, all or those that were asked for; `size` of its record in bytes, of which
    `inline` are details."""

    run: str
    universe: str
    created: datetime
    size: int
    inline: int
    has_detail: bool
    reach: Reach
    metrics: Metrics = field(repr=False)


class Outlines:
    """Makes outlines; what many runs share is there once."""

    def __init__(self, metrics: Collection[str]) -> None:
        """metrics: those that will be asked for; packed runs have no others."""
        self._metrics = tuple(metrics)
        self._codes: dict[tuple[str, ...], tuple[Ref, ...]] = {}
        self._universes: dict[str, str] = {}

    def of_record(self, record: Record) -> Outline:
        """Return the outline of a record."""
        every = list(reachable(record))
        own = [ref for ref in every if not ref.key.startswith(layout.CODE)]
        code = [ref for ref in every if ref.key.startswith(layout.CODE)]
        inline = record.detail_bytes if record.tier2 is None else 0
        about = record.run, record.universe, record.created, record.size, inline, record.has_detail
        return Outline(*about, self._reach(own, code), record.metrics)

    def of_pack(self, packs: Packs, pack: Pack, keep: np.ndarray) -> Iterator[Outline]:
        """Yield the outlines of these rows of a pack. Raises IntegrityError for one that cannot be read."""
        more = ("created", "record") if self._metrics else ("created",)
        for _, table in reach_tables(packs, pack, keep, more):
            yield from self._of_table(table)

    def _of_table(self, table: pa.Table) -> Iterator[Outline]:
        columns = [table[name].to_pylist() for name in ("run", "universe", "created", "size", "inline")]
        reached = self._reached(table)
        ranges = self._ranges(table["record"].to_pylist()) if self._metrics else repeat(_NONE)
        for (run, universe, created, size, inline), reach, metrics in zip(
            zip(*columns, strict=True), reached, ranges, strict=False
        ):
            held = inline > 0 or any(ref.key.startswith(layout.TIER2) for ref in reach.details)
            # One text for the name of a universe, not one a run.
            name = self._universes.setdefault(universe, universe)
            yield Outline(run, name, moment_of(created), size, inline, held, reach, metrics)

    def _reached(self, table: pa.Table) -> Iterator[Reach]:
        known: dict[tuple[str | None, str | None], Reach] = {}
        for texts in zip(table["reaches"].to_pylist(), table["code"].to_pylist(), strict=True):
            reach = known.get(texts)
            if reach is None:
                own, code = (refs_of(text) if text else [] for text in texts)
                reach = known[texts] = self._reach(own, code)
            yield reach

    def _reach(self, refs: Iterable[Ref], code: Iterable[Ref]) -> Reach:
        named = tuple(code)
        shared = self._codes.setdefault(tuple(ref.key for ref in named), named)
        own = list(refs)
        tier1 = tuple(ref for ref in own if ref.key.startswith(layout.TIER1))
        return Reach(tuple(ref for ref in own if ref not in tier1), tier1, shared)

    def _ranges(self, texts: Iterable[str]) -> Iterator[Metrics]:
        for text in texts:
            every = orjson.loads(text).get("metrics", {})
            yield to_ranges({name: every[name] for name in self._metrics if name in every})
