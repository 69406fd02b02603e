"""Which run and which detail counts where several have a strategy. The one place that decides it.

- Rows: in each universe the newest run that has the strategy counts (`strategy`), or only the newest run of the
  universe does (`universe`); with `history` every run does.
- Details: that run's, and no older one's, so that metrics and curves on one screen are of one run. A run that lost its
  details (a policy, a bundle, a rule of the bucket) has none.
- Of several universes that have a strategy, the newest run that has its detail counts. So what is listed loads.

Records come newest first, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from archiver.errors import ConfigError
from archiver.format.arrays import int_array, numpy_of
from archiver.format.model import Detail, Record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

NEWEST = ("strategy", "universe")
"""Whose newest run counts."""

Names = Callable[[Record], frozenset[str]]
"""Gives the names of a run's strategies."""


@dataclass(frozen=True, slots=True)
class Part:
    """A run, and those of its strategies that no newer run of its universe has; None: all of them."""

    record: Record
    names: frozenset[str] | None = None

    @property
    def strategies(self) -> int:
        """How many strategies count."""
        return self.record.strategies if self.names is None else len(self.names)

    @property
    def details(self) -> list[Detail]:
        """The details that count and that the run still has."""
        return [detail for detail in details_of(self.record) if self.has(detail.strategy)]

    def held(self) -> list[Part]:
        """Return this, or of a run that is open its parts, whose details lie in objects of their own."""
        if not self.record.parts:
            return [self]
        own = ((one, {detail.strategy for detail in one.details}) for one in self.record.parts)
        found = [Part(one, frozenset(name for name in names if self.has(name))) for one, names in own]
        return [part for part in found if part.names]

    def groups(self) -> list[int]:
        """Return the row groups that hold the details that count."""
        return sorted({detail.group for detail in self.details})

    def has(self, strategy: str) -> bool:
        """Tell whether a strategy counts."""
        return self.names is None or strategy in self.names


def details_of(record: Record) -> Sequence[Detail]:
    """Return the details that a run has: none once they were removed, though the record still names them."""
    return record.details if record.has_detail else ()


def counting(records: Sequence[Record], *, newest: str = "strategy", history: bool = False) -> list[Record]:
    """Return the runs of which any row may count, by universe, then newest first; known without reading names.

    Raises ConfigError for a `newest` that is neither `strategy` nor `universe`.
    """
    if newest not in NEWEST:
        raise ConfigError(f"newest is {newest!r}: give 'strategy' or 'universe'")
    chosen = sorted(records, key=lambda record: record.universe)
    if history:
        return chosen
    if newest == "universe":
        return [next(own) for _, own in groupby(chosen, key=lambda record: record.universe)]
    # Of a run whose very strategies a newer one has, no row counts.
    seen: set[tuple[str, str]] = set()
    found = []
    for record in chosen:
        key = (record.universe, record.names or record.run)
        if key not in seen:
            seen.add(key)
            found.append(record)
    return found


def parts(
    records: Sequence[Record],
    names: Names,
    *,
    newest: str = "strategy",
    history: bool = False,
    only: Callable[[Record], object] = lambda _: True,
) -> Iterator[Part]:
    """Yield what counts of each run, by universe, newest run first.

    only: the runs that are asked for; the others are looked at where they hide strategies of these.
    """
    chosen = counting(records, newest=newest, history=history)
    for _, group in groupby(chosen, key=lambda record: record.universe):
        own = list(group)
        last = max((at for at, record in enumerate(own) if only(record)), default=-1)
        seen: set[str] = set()
        for number, record in enumerate(own[: last + 1]):
            if only(record):
                fresh = None if history or not number else names(record) - seen
                if fresh is None or fresh:
                    yield Part(record, fresh)
            if number < last and not history:
                seen |= names(record)


def holders(records: Sequence[Record], names: Names, strategy: str) -> Iterator[tuple[Record, Detail]]:
    """Yield the detail that counts for a strategy in each universe that has one, newest run first."""
    return _counting_with(records, names, strategy, details_of)


def without_detail(
    records: Sequence[Record], names: Names, strategy: str
) -> tuple[Record, Record | None] | None:
    """Return the run that says best why there is no detail: the newest that had one, else the newest with the strategy.

    With it comes the newest older run that has the detail, if there is one. None where no run has the strategy.
    """
    had = next(_counting_with(records, names, strategy, lambda record: record.details), None)
    last = had[0] if had else next((record for record in records if strategy in names(record)), None)
    if last is None:
        return None
    older = (
        record
        for record in records[records.index(last) + 1 :]
        if any(detail.strategy == strategy for detail in details_of(record))
    )
    return last, next(older, None)


def _counting_with(
    records: Sequence[Record], names: Names, strategy: str, details: Callable[[Record], Sequence[Detail]]
) -> Iterator[tuple[Record, Detail]]:
    """Yield, newest first, each universe's newest run with a strategy, if that is among the run's details."""
    decided: set[str] = set()
    for number, record in enumerate(records):
        if record.universe in decided:
            continue
        detail = next((one for one in details(record) if one.strategy == strategy), None)
        if detail is None:
            continue
        decided.add(record.universe)
        newer = (other for other in records[:number] if other.universe == record.universe)
        if not any(strategy in names(other) for other in newer):
            yield record, detail


def first_rows(table: pa.Table) -> pa.Table:
    """Keep the first row of each universe and strategy: rows come newest run first."""
    import numpy as np

    codes = numpy_of(table["universe"].combine_chunks().dictionary_encode().indices)
    first = first_places(table["strategy_name"], codes, np.arange(table.num_rows))
    return table if len(first) == table.num_rows else table.take(int_array(first))


def first_places(names: pa.ChunkedArray, universes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Keep the first place of each universe and strategy.

    names: of all rows; places: some of these, in their order; universes: a number for the universe of each of the places.
    """
    import numpy as np

    if not len(places):
        return places
    coded = names.combine_chunks().dictionary_encode()
    if len(coded.dictionary) == len(names):
        return places  # each name is there once
    keys = numpy_of(coded.indices)[places].astype(np.int64)
    keys *= int(universes.max()) + 1
    keys += universes
    # An array numbers its values in the order in which they come: the first of each is where the number is a new one.
    numbers = numpy_of(int_array(keys).dictionary_encode().indices)
    new = np.ones(len(numbers), bool)
    new[1:] = numbers[1:] > np.maximum.accumulate(numbers)[:-1]
    return places if new.all() else places[new]
