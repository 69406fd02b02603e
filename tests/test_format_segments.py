"""Curves that follow the bars: whatever a curve is, it comes back with every bit, and what is damaged never as numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.format.parquet import write_parquet
from archiver.format.segments import Bars, Segments, decode_segments, encode_segments, follow, lay
from archiver.format.tapes import Tape, tape_of
from tests import marked
from tests.marked import Floats

FX = marked.closes(3000)
SHARES = marked.closes(3000, seed=2, start=100.0, step=0.5, decimals=2)
SWITCHES = np.repeat(np.random.default_rng(3).choice([0.0, 1.0], 30), 100)
RETURNS = np.diff(SHARES, prepend=SHARES[0]) / np.concatenate([SHARES[:1], SHARES[:-1]])
FOLLOWING: dict[str, tuple[Floats, Floats]] = {
    "whole units": (marked.equity(FX, 90_000), FX),
    "fractions of units": (marked.equity(FX), FX),
    "margin": (marked.equity(FX, leverage=30.0, every=250), FX),
    "a small part of the account": (marked.equity(FX, leverage=0.01), FX),
    "shares": (marked.equity(SHARES, 900), SHARES),
    "fractions of shares": (marked.equity(SHARES), SHARES),
    "compounded returns": (marked.CASH * np.cumprod(1 + RETURNS * SWITCHES), SHARES),
    "buy and hold": (marked.CASH * SHARES / SHARES[0], SHARES),
    "the account before the first bar": (np.concatenate([[marked.CASH], marked.equity(FX, 90_000)]), FX),
    "no bars for the first and last": (marked.equity(FX, 90_000), FX[31:-7]),
    "a market that began earlier": (marked.equity(FX, 90_000)[500:], FX),
    "not a number before the first trade": (
        np.concatenate([np.full(60, np.nan), marked.equity(FX)[60:]]),
        FX,
    ),
}


def exactly(one: Floats, other: Floats) -> bool:
    return one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", FOLLOWING)
def test_a_curve_that_marks_a_position_to_the_closes_takes_a_quarter_at_most_and_keeps_every_bit(name):
    curve, closes = FOLLOWING[name]
    found = Bars(closes).follow(curve)
    assert found is not None
    assert exactly(found.values(closes), curve)
    # An object of one curve is footer for a large part.
    assert 2 * written(*encode_segments([found])) < written(pa.array([curve]))


def written(*columns: pa.Array) -> int:
    """Return how many bytes columns take as Parquet."""
    return len(write_parquet([pa.table(columns, names=list("xy"[: len(columns)]))], {}, parts="group")[0])


def test_a_tape_with_holes_is_followed_in_pieces():
    close = marked.closes(3000, seed=5)
    curve = marked.equity(close, 90_000, every=300)
    seen = np.ones(3000, bool)
    seen[40:260] = seen[650:860] = seen[1250:1460] = seen[2450:2660] = False
    found = Bars(close[seen]).follow(curve)
    assert found is not None
    assert len(np.unique(found.shift)) == 4
    assert exactly(found.values(close[seen]), curve)


@pytest.mark.parametrize(
    "curve",
    [
        np.full(3000, 1e5),
        marked.CASH + np.cumsum(np.random.default_rng(1).normal(0, 50, 3000)),
        np.round(marked.equity(FX), 2),
        marked.equity(marked.closes(3000, seed=9)),
        marked.equity(FX)[:40],
        np.full(3000, np.nan),
        np.arange(3000.0),
        np.zeros(0),
    ],
    ids=["constant", "walk", "rounded", "other bars", "short", "nan", "straight", "empty"],
)
def test_what_does_not_pay_is_kept_as_it_is(curve):
    assert Bars(FX).follow(curve) is None
    assert Bars(FX[:3]).follow(curve) is None


any_bits = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0])
any_float = st.floats(-1e6, 1e6) | st.floats() | any_bits | st.sampled_from([0.0, -0.0, 5e-324, 1.7e308])


@st.composite
def laid(draw: Any) -> tuple[Floats, Floats, Any]:
    """Draw closes, a curve of pieces that follow them or do not, and what leads from one to the other."""
    count = draw(st.integers(1, 24))
    closes = np.array(draw(st.lists(st.floats(-1e3, 1e3) | any_float, min_size=count, max_size=count)))
    pieces = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    curve, shift = [], []
    for length in pieces:
        by, base, position = draw(st.tuples(st.integers(-30, 30), any_float, any_float))
        shift += [by] * length
        at = np.clip(np.arange(len(curve), len(curve) + length) + by, 0, count - 1)
        with np.errstate(all="ignore"):
            curve += (base + position * closes[at]).tolist()
    values = np.array(curve)
    for at in draw(st.lists(st.integers(0, len(curve) - 1), max_size=6)):
        values[at] = draw(any_float)
    return closes, values, np.array(shift)


@settings(max_examples=100, deadline=None)
@given(laid())
def test_whatever_is_laid_over_whatever_bars_comes_back_with_every_bit(case):
    closes, curve, shift = case
    with np.errstate(all="ignore"):
        try:
            found = lay(curve, closes, shift)
        except ValueError:  # a line that is not finite: the curve is kept as it is
            return
    columns = encode_segments([None, found, None])
    again = decode_segments(columns[0][1], columns[1][1], closes)
    assert exactly(np.array(again), curve)
    assert not columns[0][0].is_valid
    assert not columns[1][2].is_valid


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 599), any_float), max_size=20),
    st.integers(0, 50),
    st.sampled_from([None, 1_000.0, 0.037, -3e9]),
)
def test_values_that_are_off_the_line_come_back_too(odd, gone, units):
    close = marked.closes(600, seed=4)
    curve = marked.equity(close, units)
    for at, value in odd:
        curve[at] = value
    found = Bars(close[gone:], 7).follow(curve)
    if found is None:
        assert odd or gone > 20 or units in (0.037, -3e9)
        return
    assert exactly(found.values(np.concatenate([np.zeros(7), close[gone:]])), curve)


def a_segments() -> tuple[Segments, Floats, Floats]:
    curve = marked.equity(FX, 90_000)
    found = Bars(FX).follow(curve)
    assert found is not None
    return found, FX, curve


def set_(name: str, at: int, value: Any) -> Callable[[Segments], None]:
    def damage(found: Segments) -> None:
        column = getattr(found, name).copy()
        column[at] = value
        setattr(found, name, column)

    return damage


DAMAGE: dict[str, Callable[[Segments], None]] = {
    "begins later": set_("begin", 0, 1),
    "begins before": set_("begin", 0, -1),
    "twice one place": set_("begin", 1, 0),
    "backwards": set_("begin", 2, 1),
    "behind the end": set_("begin", -1, 3000),
    "behind the tapes": set_("shift", 1, 2**40),
    "before the tapes": set_("shift", 1, -(2**40)),
    "no base": set_("base", 1, np.nan),
    "no position": set_("position", 1, np.inf),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_segments_are_no_numbers(name):
    found, closes, curve = a_segments()
    columns = encode_segments([found])
    assert exactly(np.array(decode_segments(columns[0][0], columns[1][0], closes)), curve)
    DAMAGE[name](found)
    columns = encode_segments([found])
    with pytest.raises(ValueError, match="segment"):
        decode_segments(columns[0][0], columns[1][0], closes)


def test_segments_of_other_types_or_without_a_part_are_no_numbers():
    found, closes, _ = a_segments()
    segments, bits = encode_segments([found])
    rows = segments[0].as_py()
    holes = pa.array([[{**rows[0], "base": None}, *rows[1:]]], segments.type)
    ints = pa.array([[{**row, "base": int(row["base"])} for row in rows]])
    for one, other in [
        (holes, bits),
        (pa.array([[None, *rows]], segments.type), bits),
        (ints, bits),
        (segments, pa.nulls(1, bits.type)),
        (segments, pa.array([bits[0].as_py()[:10]])),
        (segments, pa.array([[]], bits.type)),
        (pa.array([[]], segments.type), bits),
    ]:
        with pytest.raises(ValueError, match="segment"):
            decode_segments(one[0], other[0], closes)
    with pytest.raises(ValueError, match="lead out of the tapes"):
        decode_segments(segments[0], bits[0], closes[:-50])


def tape(close: Floats, name: str = "close") -> Tape:
    return tape_of({"time": list(range(len(close))), name: close.tolist()})


def test_known_bars_become_the_runs_where_a_curve_follows_them():
    run, other, third = tape(SHARES), tape(FX, "CLOSE"), tape(marked.closes(300, seed=8))
    curves = [marked.equity(FX, units).tolist() for units in (90_000.0, 50_000.0, -70_000.0)]
    own = marked.equity(SHARES).tolist()
    found, more = follow([own, None, *curves, [1.0] * 9], [run], [run, third, other])
    assert more == [other]
    assert [one is None for one in found] == [False, True, False, False, False, True]
    both = np.concatenate([SHARES, FX])
    for curve, one in zip([own, *curves], [found[0], *found[2:5]], strict=True):
        assert one is not None
        assert exactly(one.values(both), np.array(curve))
    assert follow([own], [], [other]) == ([None], [])


def test_the_first_column_named_close_counts_and_bars_without_numbers_are_none():
    assert np.isnan(tape(FX, "price").closes()).all()
    assert np.isnan(tape_of({"time": [1, 2], "close": ["a", "b"]}).closes()).all()
    assert tape_of({"time": [1, 2], "CLOSE": [1, 2.5], "close": [3.0, 4.0]}).closes().tolist() == [1.0, 2.5]


def test_no_more_curves_are_laid_than_readers_believe(monkeypatch):
    curve = marked.equity(FX, 90_000).tolist()
    monkeypatch.setattr("archiver.format.segments._MOST", 2 * len(curve))
    found, _ = follow([curve] * 3, [tape(FX)], [])
    assert [one is None for one in found] == [False, False, True]
