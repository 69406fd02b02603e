"""all_strategies_metrics.json: its rows as a stream, and what it says besides, which an export writes again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from archiver.errors import IntegrityError
from archiver.format.text import dumps
from archiver.interop.importing.batch import DETAIL, SKIPPED, Outcome, Result
from archiver.interop.importing.json_stream import BEGIN, members
from archiver.interop.importing.source import Source

_ROWS = "strategies"
_TOTAL = "total_strategies"
_ENTRY = frozenset({"strategy_name", "universe", "metrics"})
_DETAIL = ("trades", *DETAIL)
_MOST_FACT = 64 << 10
_NOWHERE = -1


@dataclass(slots=True)
class MetricsFile:
    """What a metrics file says besides its rows."""

    members: dict[str, Any] = field(default_factory=dict)
    """Its members in their order; of its rows the place alone."""
    universes: dict[str, set[int]] = field(default_factory=dict)
    """The universes in their order, and at which places among their metrics rows repeat their name; -1: nowhere."""
    count: int = 0
    other: dict[str, None] = field(default_factory=dict)
    """What entries have besides name, universe and metrics."""
    details: dict[str, None] = field(default_factory=dict)
    """Parts of details that stand among the metrics of entries."""
    alternating: bool = False
    """Whether the rows of a universe do not stand together."""
    renamed: bool = False
    """Whether the name among the metrics of an entry is not its name."""
    wanted: dict[str, set[str]] = field(default_factory=dict)
    """Strategies that are looked for, and the universes that have them."""
    _last: str | None = None

    def rows(self, source: Source, key: str) -> Iterator[tuple[str, Result]]:
        """Yield (universe, row) for each strategy. Raises IntegrityError, naming the file."""
        with source.open(key) as file:
            for name, value in members(file, (_ROWS,), key):
                if name != _ROWS:
                    self.members[name] = value
                elif value is BEGIN:
                    self.members[name] = None
                else:
                    strategy, universe, metrics = _parts(value, key)
                    self._look(value, strategy, universe, metrics)
                    yield universe, {**metrics, "strategy_name": strategy}
        if _ROWS not in self.members:
            raise IntegrityError(f"{key} has no list of strategies")

    def facts(self, universe: str) -> dict[str, Any]:
        """Return what a run of one universe keeps for an export."""
        if universe not in self.universes:
            return {"members": self.members} if self.members else {}
        facts = {"members": self.members, "place": list(self.universes).index(universe)}
        places = self.universes[universe]
        if len(places) == 1 and places != {_NOWHERE}:
            facts["name_in_metrics"] = next(iter(places))
        return facts

    def left(self, key: str) -> list[Outcome]:
        """Return what is not kept, and drop what is too large to be."""
        why = []
        for name in [name for name, value in self.members.items() if len(dumps(value)) > _MOST_FACT]:
            del self.members[name]
            why.append(f"its {name}: facts of a run are kept up to {_MOST_FACT} bytes")
        if self.other:
            why.append(
                f"the {', '.join(self.other)} of its entries: only strategy_name, universe and metrics are read"
            )
        if self.details:
            why.append(f"the {', '.join(self.details)} among its metrics: details are in files of their own")
        if self.alternating:
            why.append("the order in which its universes alternate: an export writes one after the other")
        if self.renamed or any(len(places) > 1 for places in self.universes.values()):
            why.append(
                "the strategy_name among some metrics: an export writes it for all of a universe or for none"
            )
        total = self.members.get(_TOTAL, self.count)
        if total != self.count:
            why.append(f"its {_TOTAL} {total!r}: it has {self.count} strategies, and an export says so")
        return [Outcome(key, SKIPPED, one) for one in why]

    def _look(self, entry: Result, strategy: str, universe: str, metrics: Result) -> None:
        self.count += 1
        if entry.keys() != _ENTRY:
            self.other |= dict.fromkeys(name for name in entry if name not in _ENTRY)
        self.details |= dict.fromkeys(name for name in _DETAIL if _is_detail(name, metrics.get(name)))
        if universe != self._last and universe in self.universes:
            self.alternating = True
        self._last = universe
        at = list(metrics).index("strategy_name") if "strategy_name" in metrics else _NOWHERE
        self.universes.setdefault(universe, set()).add(at)
        self.renamed = self.renamed or metrics.get("strategy_name", strategy) != strategy
        if strategy in self.wanted:
            self.wanted[strategy].add(universe)


def _is_detail(name: str, value: Any) -> bool:
    """Tell whether a value is part of a detail; `trades` may be their number."""
    if name != "trades" or isinstance(value, list):
        return value is not None
    return isinstance(value, dict) and all(isinstance(column, list) for column in value.values())


def _parts(value: Any, key: str) -> tuple[str, str, Result]:
    if not isinstance(value, dict):
        raise IntegrityError(f"{key} has an entry that is no strategy: {str(value)[:60]}")
    try:
        strategy, universe, metrics = value["strategy_name"], value["universe"], value["metrics"]
    except KeyError as error:
        raise IntegrityError(f"{key} has an entry without {error}: {str(value)[:60]}") from None
    if not (isinstance(strategy, str) and isinstance(universe, str) and isinstance(metrics, dict)):
        raise IntegrityError(f"{key} has an entry that is no strategy: {str(value)[:60]}")
    return strategy, universe, metrics
