"""The tiered JSON layout: all_strategies_metrics.json for everything, detailed_trades/<strategy>.json for the best."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from archiver.base.collector import collector_paused
from archiver.errors import IntegrityError
from archiver.format.detail import Kept
from archiver.interop.importing.batch import (
    DAMAGED,
    SKIPPED,
    Batch,
    Outcome,
    Result,
    SameValues,
    fingerprint,
    load_json,
    moment,
)
from archiver.interop.importing.find import METRICS, Found
from archiver.interop.importing.json_stream import members
from archiver.interop.importing.metrics_json import MetricsFile
from archiver.interop.importing.source import Source
from archiver.interop.importing.spool import Spool
from archiver.store.entry import Entry

_HEAD = 64 << 10
_LARGE = ("trades", "equity_curve", "drawdown_curve", "metrics")
_KNOWN = ("strategy_name", "universe", "rank", "metrics", "trades", "equity_curve", "drawdown_curve")


@dataclass(slots=True)
class Head:
    """What the beginning of a detail file says: whose it is."""

    key: str
    strategy: str
    universe: str | None


def read_tiered(source: Source, found: Found, spool: Spool, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield a batch for each universe. `outcomes` takes what is wrong with detail files, and what is not kept.

    Raises IntegrityError when the metrics file is damaged.
    """
    metrics = next((entry for entry in found.entries if entry.key.rpartition("/")[2] == METRICS), None)
    heads = _heads(source, [entry for entry in found.entries if entry is not metrics], outcomes)
    file = MetricsFile(wanted={head.strategy: set() for head in heads if head.universe is None})
    if metrics is not None:
        for universe, row in file.rows(source, metrics.key):
            spool.add(universe, row)
        outcomes += file.left(metrics.key)
    owned = _by_universe(heads, file.wanted, outcomes)
    latest = max(entry.modified for entry in found.entries)
    created = moment(file.members.get("last_updated"), latest if metrics is None else metrics.modified)
    later = _places_in_time(owned)
    for universe in dict.fromkeys([*spool.names(), *owned]):
        own = owned.get(universe, [])
        facts = file.facts(universe)
        details = _Details(source, universe, own, outcomes, facts)
        rows = spool.digest(universe) if universe in spool.counts else ""
        yield Batch(
            key=found.key or source.name,
            form="tiered-json",
            universe=universe,
            created=created + timedelta(microseconds=later.get(universe, 0)),
            fingerprint=_fingerprint(source, universe, rows, own),
            results=_Results(spool, universe, details),
            kept=details,
            metrics_fingerprint=_fingerprint(source, universe, rows, []) if rows and own else "",
            facts=facts,
        )


def head_of(source: Source, entry: Entry) -> Head:
    """Tell whose detail a file is, from its beginning where that says it. Raises IntegrityError."""
    key = entry.key
    head = source.read(key, _HEAD)
    facts: dict[str, Any] = {}
    try:
        for name, value in members(io.BytesIO(head), _LARGE, key):
            if name not in _LARGE:
                facts[name] = value
            if "strategy_name" in facts and "universe" in facts:
                break
    except IntegrityError:
        if len(head) >= entry.size:
            raise
        facts = _whole(source, key)
    stem = key.rpartition("/")[2].removesuffix(".json")
    strategy, universe = facts.get("strategy_name", stem), facts.get("universe")
    if not isinstance(strategy, str) or not (universe is None or isinstance(universe, str)):
        raise IntegrityError(f"{key} does not say whose detail it is")
    return Head(key, strategy, universe)


def detail_of(source: Source, key: str) -> dict[str, Any]:
    """Return a detail file's content. Raises IntegrityError, naming it."""
    return _whole(source, key)


def _whole(source: Source, key: str) -> dict[str, Any]:
    found = load_json(source.read(key), key)
    if not isinstance(found, dict):
        raise IntegrityError(f"{key} is no strategy's detail: an object was expected")
    return found


def _heads(source: Source, entries: list[Entry], outcomes: list[Outcome]) -> list[Head]:
    heads: list[Head] = []
    for entry in entries:
        try:
            heads.append(head_of(source, entry))
        except IntegrityError as error:
            outcomes.append(Outcome(entry.key, DAMAGED, str(error)))
    return heads


def _by_universe(
    heads: list[Head], wanted: dict[str, set[str]], outcomes: list[Outcome]
) -> dict[str, list[Head]]:
    """Sort details by universe; one that names none is that universe's which alone has its strategy."""
    owned: dict[str, list[Head]] = {}
    for head in heads:
        if head.universe is not None:
            owned.setdefault(head.universe, []).append(head)
    for head in (head for head in heads if head.universe is None):
        universes = sorted(wanted[head.strategy])
        if len(universes) == 1:
            owned.setdefault(universes[0], []).append(head)
            continue
        which = (
            f"{len(universes)} universes have {head.strategy!r}"
            if universes
            else "no universe has its strategy"
        )
        outcomes.append(Outcome(head.key, SKIPPED, f"it names no universe, and {which}"))
    return owned


def _places_in_time(owned: dict[str, list[Head]]) -> dict[str, int]:
    """Tell which universes were saved after which: of one name, the detail saved last has the shortest file name."""
    names: dict[str, list[tuple[int, str]]] = {}
    for universe, heads in owned.items():
        for head in heads:
            names.setdefault(head.strategy, []).append((len(head.key), universe))
    before = {(one[1], min(its)[1]) for its in names.values() for one in its}
    places = dict.fromkeys(owned, 0)
    for _ in places:  # as often as it can matter; a circle is no order
        for earlier, last in before:
            if earlier != last:
                places[last] = max(places[last], places[earlier] + 1)
    return places


def _fingerprint(source: Source, universe: str, rows: str, heads: list[Head]) -> str:
    details = [text for head in heads for text in (head.strategy, source.sha256(head.key))]
    return fingerprint("tiered-json", universe, rows, *details)


@dataclass(slots=True)
class _Results:
    """The rows of a universe: those of the metrics file, then those that only a detail has."""

    spool: Spool
    universe: str
    details: _Details

    def __call__(self) -> Iterator[Result]:
        alone = dict(self.details.found)
        if self.universe in self.spool.counts:
            for row in self.spool.values(self.universe):
                alone.pop(row["strategy_name"], None)
                yield row
        if alone and "members" in self.details.facts:
            self.details.facts["only_detailed"] = list(alone)
        for name, one in alone.items():
            yield {**one.metrics, "strategy_name": name}


@dataclass(slots=True)
class _Details:
    """The details of a universe, best first, with the ranks they have. Called before the results."""

    source: Source
    universe: str
    heads: list[Head]
    outcomes: list[Outcome]
    facts: dict[str, Any]
    found: dict[str, Kept] = field(default_factory=dict)

    def __call__(self) -> list[Kept]:
        found = self.found
        same = SameValues()
        shapes: dict[str, list[str]] = {}
        for head in self.heads:
            try:
                with collector_paused():
                    detail = _whole(self.source, head.key)
                    one = self._kept(head, same.of(detail))
            except IntegrityError as error:
                self.outcomes.append(Outcome(head.key, DAMAGED, str(error)))
                continue
            if one.strategy in found:
                why = f"a second detail of {one.strategy!r} in {self.universe!r}"
                self.outcomes.append(Outcome(head.key, SKIPPED, why))
                continue
            found[one.strategy] = one
            shapes[one.strategy] = [key for key in detail if key in _KNOWN]
            if "rank" in detail and detail["rank"] != one.rank:
                self.facts.setdefault("ranks", {})[one.strategy] = detail["rank"]
        self._keep_shapes(shapes)
        return sorted(found.values(), key=lambda one: one.rank)

    def _keep_shapes(self, shapes: dict[str, list[str]]) -> None:
        """Keep which members details have, where these are others than the usual: an export writes the same."""
        if not shapes:
            return
        usual = list(Counter(map(tuple, shapes.values())).most_common(1)[0][0])
        if usual != list(_KNOWN):
            self.facts["detail_keys"] = usual
        others = {name: keys for name, keys in shapes.items() if keys != usual}
        if others:
            self.facts["detail_keys_of"] = others

    def _kept(self, head: Head, detail: dict[str, Any]) -> Kept:
        rank, metrics = detail.get("rank"), detail.get("metrics")
        if not isinstance(metrics, dict):
            raise IntegrityError(f"{head.key} has no metrics")
        if detail.get("trades") is None and "trades_detailed" in detail:
            detail["trades"] = detail["trades_detailed"]
        if detail.get("trades_detailed") == detail.get("trades"):
            detail.pop("trades_detailed", None)
        other = sorted(set(detail) - {*_KNOWN, "curves", "tables"})
        if other:
            why = f"only its {', '.join(other)}: a detail has no such part"
            if "trades_detailed" in other:
                why += ", and its trades are there"
            self.outcomes.append(Outcome(head.key, SKIPPED, why))
        curves, tables = detail.get("curves"), detail.get("tables")
        curves = curves if isinstance(curves, dict) else {}
        return Kept(
            strategy=head.strategy,
            rank=rank if type(rank) is int and rank > 0 else len(self.heads) + 1,
            metrics=metrics,
            trades=detail.get("trades"),
            equity_curve=None if "equity" in curves else detail.get("equity_curve"),
            drawdown_curve=None if "drawdown" in curves else detail.get("drawdown_curve"),
            curves=curves,
            tables=tables if isinstance(tables, dict) else {},
        )
