"""Curves: lists of floats, one a strategy; and curves that need not be stored because they follow from equity or the bars.

A curve is typed where it holds floats, ints and None only; the places of ints stand in a second column, which most
runs do not need. Anything else is text in a third.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from archiver.format.columns import EXACT, scalars
from archiver.format.text import dumps, loads
from archiver.format.values import plain

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.format.segments import Floats, Segments

EQUITY, DRAWDOWN = "equity", "drawdown"
_PROBE = 64
_CURVE_KINDS = {float, int, type(None)}
Closes = Callable[[], "Floats"]
"""Gives the closes of a record's tapes, end to end."""


class Columns(NamedTuple):
    """The columns of a curve: its values, where ints are among them, what is no list of numbers; how it follows the bars."""

    values: str
    ints: str
    text: str
    segments: str
    bits: str
    rule: str


def columns_of(name: str) -> Columns:
    """Return the columns of a curve; `equity` and `drawdown` keep those of format 1."""
    old = f"{name}_curve" if name in (EQUITY, DRAWDOWN) else ""
    return Columns(
        old or f"curve.{name}",
        f"{old}_ints" if old else f"ints.{name}",
        f"{old}_text" if old else f"text.{name}",
        f"segments.{name}",
        f"bits.{name}",
        "drawdown_rule" if name == DRAWDOWN else f"rule.{name}",
    )


DRAWDOWN_RULES: dict[str, Callable[[float, float], float]] = {
    "(peak - equity) / peak * 100": lambda e, p: (p - e) / p * 100.0,
    "(peak - equity) / peak": lambda e, p: (p - e) / p,
    "(equity - peak) / peak * 100": lambda e, p: (e - p) / p * 100.0,
    "(equity - peak) / peak": lambda e, p: (e - p) / p,
    "1 - equity / peak": lambda e, p: 1.0 - e / p,
    "(1 - equity / peak) * 100": lambda e, p: (1.0 - e / p) * 100.0,
    "equity / peak - 1": lambda e, p: e / p - 1.0,
    "(equity / peak - 1) * 100": lambda e, p: (e / p - 1.0) * 100.0,
    "peak - equity": lambda e, p: p - e,
    "equity - peak": lambda e, p: e - p,
}
"""Formulas a drawdown curve may be stored as; `peak` is the running maximum of the equity curve, in doubles."""


def drawdown_rule(equity: Any, drawdown: Any) -> str | None:
    """Return the rule that gives the drawdown curve from the equity curve bit for bit, or None."""
    if type(equity) is not list or type(drawdown) is not list or len(equity) != len(drawdown) or not equity:
        return None
    if set(map(type, equity)) != {float} or set(map(type, drawdown)) != {float}:
        return None
    for rule in DRAWDOWN_RULES:
        probe = apply_rule(rule, equity[:_PROBE])
        if _same(probe, drawdown[:_PROBE]) and _same(apply_rule(rule, equity), drawdown):
            return rule
    return None


def apply_rule(rule: str, equity: Sequence[float]) -> list[float] | None:
    """Compute a drawdown curve, or return None where the rule divides by zero."""
    formula = DRAWDOWN_RULES[rule]
    try:
        return [formula(e, p) for e, p in zip(equity, accumulate(equity, max), strict=True)]
    except (ZeroDivisionError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Split:
    """A curve as columns take it: numbers and the places of ints among them, or text for what is no list of numbers."""

    numbers: list[float | None] | None = None
    ints: list[int] = field(default_factory=list)
    text: str | None = None

    @property
    def floats(self) -> list[float] | None:
        """The curve as doubles; None where it has none, or a gap among them."""
        numbers: Any = self.numbers
        return None if numbers is None or None in numbers else numbers


def split(value: Any, name: str) -> Split:
    """Return a curve as columns take it. Raises ConfigError, naming `name`, for a value that cannot be kept."""
    if value is None:
        return Split()
    value = plain(value, name)
    if type(value) is not list:
        return Split(text=dumps(value))
    kinds = set(map(type, value))
    if kinds <= {float}:
        return Split(value)
    if not kinds <= _CURVE_KINDS or not all(-EXACT <= v <= EXACT for v in value if type(v) is int):
        return Split(text=dumps(value))
    places = [at for at, item in enumerate(value) if type(item) is int]
    return Split([None if item is None else float(item) for item in value], places)


def encode_curves(
    curves: Sequence[Split], columns: Columns, follow: Sequence[Segments | None]
) -> dict[str, pa.Array]:
    """Encode one curve a strategy as columns: the curve, and where needed the places of its ints, and its text.

    follow: the segments of a curve that follows the bars; its numbers are not written.
    """
    import pyarrow as pa

    numbers = [None if own else one.numbers for one, own in zip(curves, follow, strict=True)]
    found = {columns.values: pa.array(numbers, pa.list_(pa.float64()))}
    if any(one.ints for one in curves):
        found[columns.ints] = pa.array([one.ints or None for one in curves], pa.list_(pa.int64()))
    if any(one.text for one in curves):
        found[columns.text] = pa.array([one.text for one in curves], pa.string())
    if any(follow):
        from archiver.format.segments import encode_segments

        found[columns.segments], found[columns.bits] = encode_segments(follow)
    return found


def decode_curve(row: pa.Table, columns: Columns, closes: Closes) -> Any:
    """Return the curve in a table of one row, exactly as it was given; closes: gives those of the run's tapes."""
    names = row.column_names
    if columns.text in names:
        text = row[columns.text][0].as_py()
        if text is not None:
            return loads(text)
    curve = _numbers(row, columns, closes)
    if curve is not None and columns.ints in names:
        for place in row[columns.ints][0].as_py() or []:
            curve[place] = int(curve[place])
    return curve


def _numbers(row: pa.Table, columns: Columns, closes: Closes) -> list[Any] | None:
    if columns.segments in row.column_names and row[columns.segments][0].is_valid:
        from archiver.format.segments import decode_segments

        return decode_segments(row[columns.segments][0], row[columns.bits][0], closes())
    scalar = row[columns.values][0]
    return scalars(scalar.values) if scalar.is_valid else None


def _same(one: Sequence[float] | None, other: Sequence[float]) -> bool:
    return one is not None and array("d", one).tobytes() == array("d", other).tobytes()
