"""Curves: lists of floats, one a strategy; and drawdown curves that need not be stored because they are known.

A curve is typed where it holds floats, ints and None only; the places of ints stand in a second column, which most
runs do not need. Anything else is text in a third.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from archiver.format.columns import EXACT, scalars
from archiver.format.text import dumps, loads
from archiver.format.values import plain

if TYPE_CHECKING:
    import pyarrow as pa

_PROBE = 64
_CURVE_KINDS = {float, int, type(None)}

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


def encode_curves(values: Sequence[Any], name: str, ints_name: str, text_name: str) -> dict[str, pa.Array]:
    """Encode one curve a strategy as columns: the curve, and where needed the places of its ints, and its text."""
    import pyarrow as pa

    curves: list[list[float | None] | None] = []
    ints: list[list[int] | None] = []
    texts: list[str | None] = []
    for value in values:
        curve, places, text = _split(value, name)
        curves.append(curve)
        ints.append(places or None)
        texts.append(text)
    columns = {name: pa.array(curves, pa.list_(pa.float64()))}
    if any(ints):
        columns[ints_name] = pa.array(ints, pa.list_(pa.int64()))
    if any(texts):
        columns[text_name] = pa.array(texts, pa.string())
    return columns


def decode_curve(row: pa.Table, name: str, ints_name: str, text_name: str) -> Any:
    """Return the curve in a table of one row, exactly as it was given."""
    names = row.column_names
    if text_name in names:
        text = row[text_name][0].as_py()
        if text is not None:
            return loads(text)
    scalar = row[name][0]
    if not scalar.is_valid:
        return None
    curve = scalars(scalar.values)
    for place in (row[ints_name][0].as_py() or []) if ints_name in names else []:
        curve[place] = int(curve[place])
    return curve


def _split(value: Any, name: str) -> tuple[list[float | None] | None, list[int], str | None]:
    if value is None:
        return None, [], None
    value = plain(value, name)
    if type(value) is not list:
        return None, [], dumps(value)
    kinds = set(map(type, value))
    if kinds <= {float}:
        return value, [], None
    if not kinds <= _CURVE_KINDS or not all(-EXACT <= v <= EXACT for v in value if type(v) is int):
        return None, [], dumps(value)
    places = [at for at, item in enumerate(value) if type(item) is int]
    return [None if item is None else float(item) for item in value], places, None


def _same(one: Sequence[float] | None, other: Sequence[float]) -> bool:
    return one is not None and array("d", one).tobytes() == array("d", other).tobytes()
