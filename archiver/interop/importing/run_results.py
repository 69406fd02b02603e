"""What the files below `results/` of an optimiser's run mean: lists of results, one strategy's parts, facts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

from archiver.format.text import dumps
from archiver.interop.importing.batch import (
    NAMES,
    PARAMS,
    SKIPPED,
    Entries,
    Outcome,
    Result,
    SameValues,
    load_json,
    named_universe,
    without_universe,
)
from archiver.interop.importing.cells import table_rows
from archiver.interop.importing.json_stream import BEGIN, elements, first_character, members
from archiver.interop.importing.source import Source
from archiver.interop.importing.spool import Spool

_LISTS = ("results", "all_results", "strategies")
_ROLES = (
    (re.compile("equity", re.IGNORECASE), "equity_curve"),
    (re.compile("drawdown", re.IGNORECASE), "drawdown_curve"),
    (re.compile("trade", re.IGNORECASE), "trades_detailed"),
)
_CURVES = {
    "drawdown_curve": ("drawdown",),
    "equity_curve": ("equity", "balance", "capital", "portfolio"),
}
_OF_RESULTS = re.compile(
    r"((all|best|top(_?\d+)?|optimi[sz]ation|optimi[sz]er|sweep|grid(_search)?)_)*"
    "(results|trials|combinations|ranking)",
    re.IGNORECASE,
)
"""Names of files whose rows are results although they say neither a name nor parameters."""
_OF_FACTS = re.compile("param|config|setting", re.IGNORECASE)
_MOST_FACT = 64 << 10
_MOST_LISTED = 1_000
_UNKNOWN = "neither results, metrics, trades nor a curve"


@dataclass(slots=True)
class RunResults:
    """The results of one run, on disk until they are asked for: of long lists memory holds one entry."""

    source: Source
    spool: Spool
    outcomes: list[Outcome]
    facts: dict[str, Any] = field(default_factory=dict)
    """What files say besides results, by name."""
    _waiting: dict[str, dict[str | None, str]] = field(default_factory=dict)
    """Where the entries of each list wait, by the universe that they name."""
    _lists: list[tuple[str, str]] = field(default_factory=list)
    _named: dict[tuple[str | None, str], None] = field(default_factory=dict)
    _parts: Result = field(default_factory=dict)
    """What files of single parts (metrics, trades, a curve) say of the one strategy that such a folder is of."""

    def read(self, key: str, name: str) -> None:
        """Take what one file holds; `name` is its name below `results/`. Raises IntegrityError for a damaged file."""
        stem, _, suffix = name.rpartition(".")
        if suffix == "json":
            why = self._json(key, stem)
        elif suffix in ("csv", "parquet"):
            why = self._rows(table_rows(self.source, key, suffix), stem, key)
        else:
            why = "not in a format that archiver knows"
        if why:
            self._left(key, why)

    @property
    def empty(self) -> bool:
        """Whether no file held a result."""
        return not (self._lists or self._named or self._parts)

    @property
    def universes(self) -> list[str | None]:
        """The universes that results name, and None for those that name none."""
        lists = [universe for waiting, _ in self._lists for universe in self._waiting[waiting]]
        parts = [self._parts_of("")[0]] if self._parts else []
        return list(dict.fromkeys([*lists, *(universe for universe, _ in self._named), *parts]))

    @property
    def name(self) -> str | None:
        """The name that the parts give their strategy."""
        return next((self._parts[key] for key in NAMES if isinstance(self._parts.get(key), str)), None)

    def joined(self, universe: str, otherwise: str, name: str) -> Iterator[Result]:
        """Yield the results of a universe.

        Arguments:
            universe: which.
            otherwise: the universe of results that name none.
            name: that of a strategy of which there are only parts.

        A strategy that is in a list, and has a file with its trades, is one strategy.
        """
        own = [*self._named, *([self._parts_of(name)] if self._parts else ())]
        alone = {one[1]: one for one in own if (one[0] or otherwise) == universe}
        same = SameValues()
        for waiting, key in self._lists:
            entries = Entries(key, numbered=True)
            for named, spooled in self._waiting[waiting].items():
                if (named or otherwise) != universe:
                    continue
                for value in self.spool.values(spooled):
                    one = entries.result(value, universe)
                    found = one.get("strategy_name", "")
                    if found in alone:
                        one |= self._of(alone.pop(found), name)
                    yield same.of(without_universe(one, universe))
            self.outcomes += entries.outcomes()
        for found, its in alone.items():
            one = {"strategy_name": found, **self._of(its, name)}
            yield same.of(without_universe(one, universe))

    def _parts_of(self, name: str) -> tuple[str | None, str]:
        """Return the universe and name of the strategy that the parts are of; `name` is for one that is not named."""
        if not self._lists and len(self._named) == 1:
            return next(iter(self._named))
        found = self.name or name
        universe = named_universe(self._parts)
        return next((one for one in self._named if one[1] == found), (universe, found))

    def _of(self, strategy: tuple[str | None, str], name: str) -> Result:
        found: Result = {}
        if strategy in self._named:
            for value in self.spool.values(_spooled("its own", *strategy)):
                found |= value
        return {**found, **self._parts} if strategy == self._parts_of(name) else found

    def _left(self, key: str, why: str) -> None:
        self.outcomes.append(Outcome(key, SKIPPED, why))

    def _json(self, key: str, stem: str) -> str:
        """Take a JSON file; return why it was not."""
        with self.source.open(key) as file:
            first = first_character(file)
        with self.source.open(key) as file:
            if first == "[":
                return self._rows(elements(file, key), stem, key)
            if first == "{":
                return self._members(file, stem, key)
        load_json(self.source.read(key), key)
        return _UNKNOWN

    def _members(self, file: BinaryIO, stem: str, key: str) -> str:
        """Take an object, whose lists of results wait on disk; return why it was not."""
        whole: dict[str, Any] = {}
        lists: dict[str, str] = {}
        for name, value in members(file, _LISTS, key):
            if value is BEGIN:
                lists[name] = f"{key} {name}"
            elif name not in lists:
                whole[name] = value
            elif isinstance(value, tuple):
                whole.setdefault(name, {})[value[0]] = value[1]
            else:
                self._wait(lists[name], value)
        filled = [name for name in _LISTS if lists.get(name) in self._waiting]
        chosen = next((name for name in filled if self._holds_results(lists[name])), None)
        for name in filled:
            count = sum(self.spool.counts[spooled] for spooled in self._waiting[lists[name]].values())
            if name != chosen and count > _MOST_LISTED:
                why = "which holds no results" if chosen is None else f"as {chosen} is read"
                self._left(key, f"its {name}, {why}")
            elif name != chosen:
                spools = self._waiting[lists[name]].values()
                whole[name] = [value for spooled in spools for value in self.spool.values(spooled)]
        if chosen is None:
            return "it is empty" if lists and not whole else self._object(whole, stem, key)
        self._lists.append((lists[chosen], key))
        self._keep_facts(whole, stem, key)
        return ""

    def _wait(self, waiting: str, value: Any) -> None:
        universe = named_universe(value)
        spooled = self._waiting.setdefault(waiting, {}).setdefault(universe, _spooled(waiting, universe))
        self.spool.add(spooled, value)

    def _holds_results(self, waiting: str) -> bool:
        first = next(iter(self._waiting[waiting].values()))
        return isinstance(next(self.spool.values(first)), dict)

    def _object(self, whole: dict[str, Any], stem: str, key: str) -> str:
        """Take an object without a list of results; return why it was not."""
        role = _role(stem)
        if isinstance(whole.get("strategy_name"), str):
            self._own(key, whole)
        elif role is None and _OF_FACTS.search(stem):
            self._keep_facts(whole, stem, key)
        elif role is not None and isinstance(whole.get(role), list):
            values = whole.pop(role)
            self._keep_facts(whole, stem, key)
            return self._rows(values, stem, key)
        else:
            entries = Entries(key)
            flat = entries.result({**whole, "strategy_name": ""})
            self.outcomes += entries.outcomes()
            del flat["strategy_name"]
            self._part(flat, key)
        return ""

    def _rows(self, values: Iterable[Any], stem: str, key: str) -> str:
        """Take a list, which may be long; return why it was not."""
        rows = iter(values)
        first_two = [row for _, row in zip(range(2), rows, strict=False)]
        rest = chain(first_two, rows)
        role = _role(stem)
        first = first_two[0] if first_two else None
        if not isinstance(first, dict):
            return self._values(role, list(rest), key)
        named = "strategy_name" in first
        if role == "trades_detailed" and not named:
            self._part({role: list(rest)}, key)
        elif role == "trades_detailed" and not {"trades", "metrics", role} & first.keys():
            self._trades_of_many(rest, key)
        elif role is not None and not named:
            return self._curve(role, list(rest), key)
        elif named or _is_result(first) or (len(first_two) > 1 and _OF_RESULTS.fullmatch(stem)):
            for value in rest:
                self._wait(key, value)
            self._lists.append((key, key))
        elif len(first_two) == 1:
            self._part(first, key)
        else:
            return _UNKNOWN
        return ""

    def _values(self, role: str | None, values: list[Any], key: str) -> str:
        """Take a list that does not begin with an object."""
        if role in _CURVES or (role is not None and not values):
            self._part({role: values}, key)
            return ""
        return _UNKNOWN if values else "it is empty"

    def _curve(self, role: str, rows: list[Any], key: str) -> str:
        curves = _curves(role, rows)
        self._part(curves, key)
        return "" if curves else "which of its columns is the curve cannot be told"

    def _trades_of_many(self, rows: Iterable[Any], key: str) -> None:
        trades: dict[str, list[Any]] = {}
        for row in rows:
            trades.setdefault(str(row["strategy_name"]), []).append(row)
        for name, own in trades.items():
            self._own(key, {"strategy_name": name, "trades_detailed": own})

    def _own(self, key: str, value: Result) -> None:
        """Keep what a file says of a strategy that it names."""
        entries = Entries(key)
        flat = entries.result(value)
        self.outcomes += entries.outcomes()
        strategy = (named_universe(flat), flat["strategy_name"])
        self._named[strategy] = None
        self.spool.add(_spooled("its own", *strategy), flat)

    def _part(self, values: Result, key: str) -> None:
        """Keep parts of the folder's strategy; a part that an earlier file has otherwise is left out."""
        other = [
            name for name in values if name in self._parts and dumps(self._parts[name]) != dumps(values[name])
        ]
        if other:
            self._left(key, f"its {', '.join(other)}: another file of the run says otherwise")
        self._parts |= {name: value for name, value in values.items() if name not in self._parts}

    def _keep_facts(self, whole: dict[str, Any], stem: str, key: str) -> None:
        for name, value in whole.items():
            if len(dumps(value)) > _MOST_FACT:
                self._left(key, f"its {name}: facts of a run are kept up to {_MOST_FACT} bytes")
            else:
                self.facts.setdefault(f"{stem}.json", {})[name] = value


def _spooled(*parts: str | None) -> str:
    return dumps(parts)


def _role(stem: str) -> str | None:
    return next((role for pattern, role in _ROLES if pattern.search(stem)), None)


def _is_result(row: Result) -> bool:
    return any(isinstance(row.get(name), dict) for name in PARAMS)


def _curves(role: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the curves that a table holds, told by the names of its columns; of one column of numbers alone the role."""
    numbers = [name for name in rows[0] if _all_numbers([row.get(name) for row in rows])]
    curves: dict[str, list[Any]] = {}
    for curve, words in _CURVES.items():
        for name in numbers:
            if curve not in curves and any(word in name.lower() for word in words):
                curves[curve] = _without_gaps(rows, name)
    if not curves and len(numbers) == 1:
        curves[role] = _without_gaps(rows, numbers[0])
    return curves


def _all_numbers(cells: list[Any]) -> bool:
    """Tell whether a column holds numbers, gaps among them."""
    there = [cell for cell in cells if cell is not None]
    return bool(there) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in there)


def _without_gaps(rows: list[dict[str, Any]], name: str) -> list[Any]:
    """Return a column as a curve: it goes on over a gap, which is NaN."""
    return [math.nan if row.get(name) is None else row[name] for row in rows]
