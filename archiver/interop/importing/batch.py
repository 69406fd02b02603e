"""What every reader of an old format gives: batches, each of which becomes a run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archiver.errors import IntegrityError
from archiver.format.detail import Kept
from archiver.format.model import Code
from archiver.format.text import dumps, parse

Result = dict[str, Any]
DETAIL = ("trades_detailed", "equity_curve", "drawdown_curve")
NAMES = ("strategy_name", "strategy", "name")
UNIVERSES = ("universe_name", "universe")
PARAMS = ("params", "parameters")
_MOST_KNOWN = 250_000
_LONGEST_NAME = 150
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Programs write the zero of a clock, such as 0001-01-01, where they know no time."""
NO_CODE = Code("none", reason="imported from an old format, which has no code")


IMPORTED, PRESENT, SKIPPED, DAMAGED = "imported", "present", "skipped", "damaged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one thing that was found.

    `status` is imported, present (a run of an earlier import has it), skipped or damaged; `why` says so for all but
    the first. `strategies` and `detailed` are counts.
    """

    source: str
    status: str
    why: str = ""
    universe: str | None = None
    run: str | None = None
    strategies: int = 0
    detailed: int = 0


@dataclass(slots=True)
class Batch:
    """Results of one universe that become one run.

    `results` gives results in the shape that is saved. Where there is `kept`, it is called first and gives the
    details, best first, with the ranks they had; results are then metrics only. `facts` is what else the source
    says; readers may add to it while results are read.
    """

    key: str
    form: str
    universe: str
    created: datetime
    fingerprint: str
    results: Callable[[], Iterator[Result]]
    kept: Callable[[], list[Kept]] | None = None
    metrics_fingerprint: str = ""
    """What the fingerprint would be without the details, where there are some."""
    facts: dict[str, Any] = field(default_factory=dict)
    code: Code = NO_CODE
    blobs: Mapping[str, bytes] = field(default_factory=dict)


class SameValues:
    """Makes equal floats and texts in lists one object: price windows of trades overlap, and JSON copies each value.

    A universe's details then take a third of the memory, most of it pointers. Zeros and NaN are left alone: equal
    ones may differ in their bits.
    """

    def __init__(self) -> None:
        self._floats: dict[float, float] = {}
        self._texts: dict[str, str] = {}

    def of(self, value: Any) -> Any:
        """Return the value, its lists changed in place."""
        for known in (self._floats, self._texts):
            if len(known) > _MOST_KNOWN:
                known.clear()
        self._share(value)
        return value

    def _share(self, value: Any) -> None:
        if type(value) is dict:
            for item in value.values():
                self._share(item)
        elif type(value) is list:
            kinds = set(map(type, value))
            if kinds == {float}:
                same = self._floats.setdefault
                value[:] = [same(v, v) if v and v == v else v for v in value]
            elif kinds == {str}:
                known = self._texts.setdefault
                value[:] = [known(v, v) for v in value]
            elif dict in kinds or list in kinds:
                for item in value:
                    self._share(item)


def fingerprint(*parts: str) -> str:
    """Return one sha256 for several texts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def moment(text: Any, otherwise: datetime) -> datetime:
    """Read an ISO 8601 time, UTC where it says no zone; `otherwise` for anything else. Never in the future."""
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        found = otherwise
    if found < _EARLIEST:
        found = otherwise
    return min(found, datetime.now(UTC))


def load_json(data: bytes, key: str) -> Any:
    """Parse a whole JSON text as Python writes it. Raises IntegrityError, naming the file."""
    try:
        return parse(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{key} is damaged: {error}") from None


class Entries:
    """Turns the entries of a file into results to save: flat, with a name, their detail under `trades_detailed`.

    Takes flat entries, and nested ones with `metrics` and `trades`. One without a name is called by its parameters,
    or with `numbered` by its place.
    """

    def __init__(self, key: str, *, numbered: bool = False) -> None:  # the class says it
        self._key = key
        self._numbered = numbered
        self._count = 0
        self._made: Counter[str] = Counter()
        self._twice: list[str] = []

    def result(self, value: Any, universe: str = "") -> Result:
        """Return an entry's result, without a `universe` that is this one. Raises IntegrityError, naming the file."""
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise IntegrityError(f"{self._key} has a {kind} among its results: an object was expected")
        self._count += 1
        flat = self._with_name(_flat(without_universe(value, universe)))
        if _named_in(value) is None:
            flat = without_universe(flat, universe)
        trades = flat.get("trades")
        if isinstance(trades, list):
            del flat["trades"]
            if flat.get("trades_detailed") is None:
                flat["trades_detailed"] = trades
            elif flat["trades_detailed"] != trades:
                self._twice.append(str(flat.get("strategy_name")))
        return flat

    def outcomes(self) -> list[Outcome]:
        """Return what was left out of the entries so far."""
        if not self._twice:
            return []
        why = f"the trades of {_such_as(self._twice)}: trades_detailed is there as well, and is taken"
        return [Outcome(self._key, SKIPPED, why)]

    def _with_name(self, flat: Result) -> Result:
        name = next((flat[key] for key in NAMES if isinstance(flat.get(key), str)), None)
        if name is None and flat.get("strategy_name") is None:
            name = self._made_name(flat)
        if name is None or flat.get("strategy_name") == name:
            return flat
        given = next((key for key in NAMES if flat.get(key) is name), "strategy_name")
        return {"strategy_name": name, **{k: v for k, v in flat.items() if k not in ("strategy_name", given)}}

    def _made_name(self, flat: Result) -> str | None:
        """Name a result by its parameters; one that has those of another is told apart by a number."""
        params = next((flat[key] for key in PARAMS if isinstance(flat.get(key), dict) and flat[key]), None)
        if params is None:
            return f"row {self._count}" if self._numbered else None
        text = ",".join(
            f"{key}={value if isinstance(value, str) else dumps(value)}" for key, value in params.items()
        )
        if len(text) > _LONGEST_NAME:
            text = f"row {self._count}"
        self._made[text] += 1
        return text if self._made[text] == 1 else f"{text} #{self._made[text]}"


def named_universe(value: Any) -> str | None:
    """Return the universe that an entry names, beside its metrics or else among them."""
    if not isinstance(value, dict):
        return None
    return _named_in(value) or _named_in(value.get("metrics"))


def _named_in(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in UNIVERSES if isinstance(value.get(name), str) and value[name]), None)


def without_universe(result: Result, universe: str) -> Result:
    """Leave out what names the universe that the result is saved under."""
    return {key: value for key, value in result.items() if key not in UNIVERSES or value != universe}


def _flat(value: dict[str, Any]) -> Result:
    flat = dict(value)
    nested = flat.get("metrics")
    if isinstance(nested, dict):
        del flat["metrics"]
        flat.pop("rank", None)
        name = flat.pop("strategy_name", nested.get("strategy_name"))
        first = {} if name is None else {"strategy_name": name}
        detail = {name: flat.pop(name) for name in ("trades", *DETAIL) if name in flat}
        flat = {**first, **{k: v for k, v in nested.items() if k != "strategy_name"}, **flat, **detail}
    return flat


def _such_as(names: Sequence[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{len(names)} strategies, such as {names[0]!r}"
