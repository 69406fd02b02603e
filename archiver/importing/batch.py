"""What every reader of an old format gives: batches, each of which becomes a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from archiver.codec.detail import Kept
from archiver.errors import IntegrityError
from archiver.model import Code

Result = dict[str, Any]
DETAIL = ("trades_detailed", "equity_curve", "drawdown_curve")
_MOST_KNOWN = 250_000
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
    except (TypeError, ValueError):
        found = otherwise
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return min(found, datetime.now(UTC))


def load_json(data: bytes, key: str) -> Any:
    """Parse a whole JSON text as Python writes it. Raises IntegrityError, naming the file."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{key} is damaged: {error}") from None


def as_result(value: Any, universe: str, key: str) -> Result:
    """Turn an entry of a list of results into a result to save: flat, its detail under `trades_detailed`.

    Takes flat entries, and nested ones with `metrics` and `trades`. Raises IntegrityError, naming the file.
    """
    if not isinstance(value, dict):
        raise IntegrityError(f"{key} has a {type(value).__name__} among its results: an object was expected")
    flat = dict(value)
    nested = flat.get("metrics")
    if isinstance(nested, dict):
        del flat["metrics"]
        first = {"strategy_name": flat.pop("strategy_name", nested.get("strategy_name"))}
        detail = {name: flat.pop(name) for name in ("trades", *DETAIL) if name in flat}
        flat = {**first, **{k: v for k, v in nested.items() if k != "strategy_name"}, **flat, **detail}
        flat.pop("rank", None)
    for other in ("strategy", "name"):
        if not isinstance(flat.get("strategy_name"), str) and isinstance(flat.get(other), str):
            flat = {
                "strategy_name": flat.pop(other),
                **{k: v for k, v in flat.items() if k != "strategy_name"},
            }
    for other in ("universe", "universe_name"):
        if flat.get(other) == universe:
            del flat[other]
    trades = flat.get("trades")
    if isinstance(trades, list):
        # Two lists of trades cannot be told apart by their readers either: they take the detailed one.
        del flat["trades"]
        flat.setdefault("trades_detailed", trades)
    return flat
