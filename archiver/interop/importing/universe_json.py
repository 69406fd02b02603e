"""The older layout: one JSON a universe, `universe_*_backtest.json`, with every strategy's trades inside.

An export as json has this shape too; its entries name their universes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from archiver.errors import FormatError
from archiver.interop.importing.batch import (
    UNIVERSES,
    Batch,
    Entries,
    Outcome,
    Result,
    SameValues,
    fingerprint,
    moment,
    named_universe,
)
from archiver.interop.importing.find import Found
from archiver.interop.importing.json_stream import BEGIN, elements, first_character, members
from archiver.interop.importing.source import Source
from archiver.interop.importing.spool import Spool

_RESULTS = ("results", "strategies", "all_results")
_SUFFIX = "_backtest"


def read_universe(source: Source, found: Found, spool: Spool, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield the batch of one file, or where its entries alone name universes, one for each.

    `outcomes` takes what is left out of it. Raises IntegrityError where its beginning is damaged.
    """
    entry = found.entries[0]
    facts = _header(source, entry.key)
    universe = universe_name(facts, entry.key)
    rest: dict[str, Any] = {}
    results = _Results(source, entry.key, universe, rest, outcomes)
    by_universe: dict[str, Callable[[], Iterator[Result]]] = {universe: results}
    by_file = any(isinstance(facts.get(name), str) for name in UNIVERSES)
    if not by_file and named_universe(next(results.entries(), None)) is not None:
        _sort(results, spool)
        by_universe = {name: partial(spool.values, name) for name in spool.names()}
    for name, its in by_universe.items():
        yield Batch(
            key=entry.key,
            form="universe-json",
            universe=name,
            created=moment(facts.get("backtest_timestamp"), entry.modified),
            fingerprint=fingerprint("universe-json", name, source.sha256(entry.key)),
            results=its,
            facts=rest,
        )


def _sort(results: _Results, spool: Spool) -> None:
    """Let results wait by the universe that they name; that of those that name none is the file's."""
    entries = Entries(results.key)
    for value in results.entries():
        universe = named_universe(value) or results.universe
        spool.add(universe, entries.result(value, universe))
    results.outcomes += entries.outcomes()


def universe_name(facts: dict[str, Any], key: str) -> str:
    """Return the universe that a file's facts name, else the one its name does."""
    for name in ("universe_name", "universe"):
        if isinstance(facts.get(name), str) and facts[name]:
            return str(facts[name])
    stem = key.rpartition("/")[2].rpartition(".")[0]
    return stem.removesuffix("_metadata").removesuffix(_SUFFIX) or stem


def _header(source: Source, key: str) -> dict[str, Any]:
    """Return what a file says besides its results, reading no further than needed."""
    facts: dict[str, Any] = {}
    with source.open(key) as file:
        if first_character(file) == "[":
            return facts
    with source.open(key) as file:
        for name, value in members(file, _RESULTS, key):
            if name not in _RESULTS:
                facts[name] = value
            elif {"universe_name", "backtest_timestamp"} <= facts.keys():
                break
    return facts


@dataclass(slots=True)
class _Results:
    """The results of one file, read one by one; `facts` takes what else it says."""

    source: Source
    key: str
    universe: str
    facts: dict[str, Any]
    outcomes: list[Outcome]

    def __call__(self) -> Iterator[Result]:
        same = SameValues()
        entries = Entries(self.key)
        for value in self.entries():
            yield same.of(entries.result(value, self.universe))
        self.outcomes += entries.outcomes()

    def entries(self) -> Iterator[Any]:
        """Yield the entries as they stand in the file. Raises FormatError where there is no list of them."""
        found = False
        for name, value in self._values():
            if name not in _RESULTS:
                self.facts[name] = value
                continue
            found = True
            if value is not BEGIN:
                yield _named(value)
        if not found:
            raise FormatError(f"{self.key} has no list of results: it is in no format that archiver knows")

    def _values(self) -> Iterator[tuple[str, Any]]:
        with self.source.open(self.key) as file:
            a_list = first_character(file) == "["
        with self.source.open(self.key) as file:
            if not a_list:
                yield from members(file, _RESULTS, self.key)
                return
            yield "results", BEGIN
            for value in elements(file, self.key):
                yield "results", value


def _named(value: Any) -> Any:
    """Turn a member of an object of results into an entry: its name is the strategy's."""
    if isinstance(value, tuple):
        name, entry = value
        return {"strategy_name": name, **entry} if isinstance(entry, dict) else entry
    return value
