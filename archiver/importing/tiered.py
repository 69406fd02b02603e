"""The tiered JSON layout: all_strategies_metrics.json for everything, detailed_trades/<strategy>.json for the best."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from archiver.codec.detail import Kept
from archiver.errors import IntegrityError
from archiver.importing.batch import (
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
from archiver.importing.find import METRICS, Found
from archiver.importing.json_stream import BEGIN, members
from archiver.importing.source import Source
from archiver.importing.spool import Spool
from archiver.model import Entry
from archiver.pause import collector_paused

_HEAD = 64 << 10
_LARGE = ("trades", "equity_curve", "drawdown_curve", "metrics")
_KNOWN = {"strategy_name", "universe", "rank", "metrics", "trades", "equity_curve", "drawdown_curve"}


@dataclass(slots=True)
class Head:
    """What the beginning of a detail file says: whose it is."""

    key: str
    strategy: str
    universe: str | None


@dataclass(slots=True)
class _Rows:
    """What the metrics file says besides its rows, and where in the metrics the name is repeated, if it is."""

    facts: dict[str, Any] = field(default_factory=dict)
    name_at: dict[str, set[int]] = field(default_factory=dict)
    spool: Spool = field(default_factory=Spool)


def read_tiered(source: Source, found: Found, spool: Spool, outcomes: list[Outcome]) -> Iterator[Batch]:
    """Yield a batch for each universe. `outcomes` takes what is wrong with detail files.

    Raises IntegrityError when the metrics file is damaged.
    """
    rows = _Rows(spool=spool)
    metrics = next((entry for entry in found.entries if entry.key.rpartition("/")[2] == METRICS), None)
    if metrics is not None:
        for universe, row in metrics_rows(source, metrics.key, rows.facts, rows.name_at):
            spool.add(universe, row)
    heads = _heads(source, [entry for entry in found.entries if entry is not metrics], outcomes)
    latest = max(entry.modified for entry in found.entries)
    created = moment(rows.facts.get("last_updated"), latest if metrics is None else metrics.modified)
    for universe in dict.fromkeys([*spool.names(), *(name for name in heads)]):
        own = heads.get(universe, [])
        details = _Details(source, universe, own, outcomes)
        yield Batch(
            key=found.key or source.name,
            form="tiered-json",
            universe=universe,
            created=created,
            fingerprint=_fingerprint(source, universe, spool, own),
            results=_Results(spool, universe, details),
            kept=details,
            facts=_facts(rows, universe),
        )


def metrics_rows(
    source: Source, key: str, facts: dict[str, Any], name_at: dict[str, set[int]] | None = None
) -> Iterator[tuple[str, Result]]:
    """Yield (universe, row) of a metrics file; `facts` takes its other members.

    `name_at` takes, by universe, at which places rows repeat their name among their metrics; -1: nowhere.
    Raises IntegrityError, naming the file.
    """
    found = False
    with source.open(key) as file:
        for name, value in members(file, ("strategies",), key):
            if name != "strategies":
                facts[name] = value
                continue
            found = True
            if value is BEGIN:
                continue
            strategy, universe, metrics = _row(value, key)
            if name_at is not None:
                at = list(metrics).index("strategy_name") if "strategy_name" in metrics else -1
                name_at.setdefault(universe, set()).add(at)
            yield universe, {**metrics, "strategy_name": strategy}
    if not found:
        raise IntegrityError(f"{key} has no list of strategies")


def _row(value: Any, key: str) -> tuple[str, str, Result]:
    try:
        strategy, universe, metrics = value["strategy_name"], value["universe"], value["metrics"]
    except (TypeError, KeyError) as error:
        raise IntegrityError(f"{key} has an entry without {error}: {str(value)[:60]}") from None
    if not (isinstance(strategy, str) and isinstance(universe, str) and isinstance(metrics, dict)):
        raise IntegrityError(f"{key} has an entry that is no strategy: {str(value)[:60]}")
    return strategy, universe, metrics


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


def _heads(source: Source, entries: list[Entry], outcomes: list[Outcome]) -> dict[str, list[Head]]:
    heads: dict[str, list[Head]] = {}
    for entry in entries:
        try:
            head = head_of(source, entry)
        except IntegrityError as error:
            outcomes.append(Outcome(entry.key, DAMAGED, str(error)))
            continue
        if head.universe is None:
            outcomes.append(Outcome(entry.key, SKIPPED, "it names no universe"))
            continue
        heads.setdefault(head.universe, []).append(head)
    return heads


def _fingerprint(source: Source, universe: str, spool: Spool, heads: list[Head]) -> str:
    rows = spool.digest(universe) if universe in spool.counts else ""
    details = [text for head in heads for text in (head.strategy, source.sha256(head.key))]
    return fingerprint("tiered-json", universe, rows, *details)


def _facts(rows: _Rows, universe: str) -> dict[str, Any]:
    facts = {key: value for key, value in rows.facts.items() if key != "total_strategies"}
    places = rows.name_at.get(universe, {-1})
    if places != {-1} and len(places) == 1:
        facts["name_in_metrics"] = next(iter(places))
    return facts


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
        for name, one in alone.items():
            yield {**one.metrics, "strategy_name": name}


@dataclass(slots=True)
class _Details:
    """The details of a universe, best first, with the ranks they have. Called before the results."""

    source: Source
    universe: str
    heads: list[Head]
    outcomes: list[Outcome]
    found: dict[str, Kept] = field(default_factory=dict)

    def __call__(self) -> list[Kept]:
        found = self.found
        same = SameValues()
        for head in self.heads:
            try:
                with collector_paused():
                    one = self._kept(head, same.of(_whole(self.source, head.key)))
            except IntegrityError as error:
                self.outcomes.append(Outcome(head.key, DAMAGED, str(error)))
                continue
            if one.strategy in found:
                why = f"a second detail of {one.strategy!r} in {self.universe!r}"
                self.outcomes.append(Outcome(head.key, SKIPPED, why))
                continue
            found[one.strategy] = one
        return sorted(found.values(), key=lambda one: one.rank)

    def _kept(self, head: Head, detail: dict[str, Any]) -> Kept:
        rank, metrics = detail.get("rank"), detail.get("metrics")
        if not isinstance(metrics, dict):
            raise IntegrityError(f"{head.key} has no metrics")
        other = sorted(set(detail) - _KNOWN)
        if other:
            why = f"only its {', '.join(other)}: a detail has no such part"
            self.outcomes.append(Outcome(head.key, SKIPPED, why))
        return Kept(
            strategy=head.strategy,
            rank=rank if type(rank) is int else len(self.heads) + 1,
            metrics=metrics,
            trades=detail.get("trades"),
            equity_curve=detail.get("equity_curve"),
            drawdown_curve=detail.get("drawdown_curve"),
        )
