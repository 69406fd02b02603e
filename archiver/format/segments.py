"""Curves that follow the bars: what marks a position to the closes is, between trades, a straight line over them.

Such a curve is kept as segments (where they begin, base, position) and, value for value, the difference of its float bits from
`base + position * close`, which is nearly always nothing. How segments are found is nobody's promise: whatever they are, the
bits make up for it, and where that takes too much, the curve is kept as it is.

The bars under a curve are found from the data: its steps are in the proportion of the steps of the closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from archiver.format.tapes import Tape

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

_FIELDS = ["begin", "shift", "base", "position"]
_TYPES = ["int64", "int64", "double", "double", "int64"]
_MOST = 1 << 25
"""Values of all curves: more of them in next to no bytes would seem a bomb to readers."""
_PAYS = 4
"""How many times fewer bytes segments must take than the curve itself."""
_LEAST = 64
"""A shorter curve takes few bytes in any form."""
_LINE = 4
"""Values of the shortest line that is looked for, and places that must agree on where the bars are."""
_ROUNDING = 64
"""By how many units in the last place of its greatest value a curve may be off a line: engines add in their own order."""
_SAMPLE = 256
"""Places in a curve that decide whether it follows the bars at all."""
_PROPORTION = 1e-8
"""How far two proportions may differ, in parts of one, and still be the same."""
_SHARED = 8
"""A proportion that more places of the bars have says nothing of where a curve is."""
_LIKELY = 4
_IN_VAIN = 8
"""After so many curves in a row that follow nothing, no other is looked for among all bars."""
_WHOLE, _SOME = 0.9, 0.3
"""Share of a curve's steps on lines over the bars: from here it is laid over them in one piece, and below that not at all."""
_DECIMALS = 13


@dataclass(slots=True, eq=False)
class Segments:
    """A curve that follows the bars. `begin` counts its values, `shift` leads from there to the bar in the run's tapes."""

    begin: Ints
    shift: Ints
    base: Floats
    position: Floats
    bits: Ints

    def values(self, closes: Floats) -> Floats:
        """Return the curve, given the closes of the run's tapes, end to end.

        Raises ValueError for segments that no save writes.
        """
        count, first = len(self.bits), self.begin
        if not len(first) or first[0] != 0 or (np.diff(first) <= 0).any() or first[-1] >= count:
            raise ValueError("segments do not follow each other")
        number = np.repeat(np.arange(len(first)), np.diff(np.append(first, count)))
        line = self.base[number]
        held = np.flatnonzero(self.position[number] != 0.0)
        own = number[held]
        bar = held + self.shift[own]
        if ((bar < 0) | (bar >= len(closes))).any():
            raise ValueError("segments lead out of the tapes")
        with np.errstate(all="ignore"):
            # Two roundings, no fused step: so all machines agree on the bits.
            line[held] += self.position[own] * closes[bar]
        if not np.isfinite(line[held]).all():
            raise ValueError("a segment is no line of finite numbers")
        found: Floats = (line.view(np.int64) + self.bits).view(np.float64)
        return found

    def size(self) -> int:
        """Return about how many bytes they take in the archive."""
        # Small numbers of either sign as those of one sign: about what a dictionary of them takes.
        bits = (self.bits << 1) ^ (self.bits >> 63)
        return _packed(self.begin, self.shift, self.base, self.position, bits)


@dataclass(slots=True, eq=False)
class Bars:
    """The closes that curves are laid over; `first` is the place of the first of them in the run's tapes."""

    closes: Floats
    first: int = 0
    _steps: tuple[Floats, Ints] | None = field(default=None, repr=False)
    _latest: int = 0
    _vain: int = 0

    def follow(self, curve: Floats) -> Segments | None:
        """Return a curve as segments, where that is exact and takes at most a quarter of the bytes; else None."""
        if len(curve) < _LEAST or len(self.closes) < _LINE:
            return None
        try:
            with np.errstate(all="ignore"):
                shift = self._shift(curve)
                found = None if shift is None else lay(curve, self.closes, shift)
        except ValueError:  # a line that no machine is sure of
            return None
        if found is None or found.size() * _PAYS > _packed(curve):
            return None
        if found.values(self.closes).tobytes() != curve.tobytes():
            return None
        found.shift += self.first
        return found

    def _shift(self, curve: Floats) -> Ints | None:
        """Return what leads from each value to its bar; None where the curve does not follow the bars."""
        step = np.diff(curve)
        places = np.flatnonzero((step[1:] != 0) & (step[:-1] != 0))
        sample = places[:: max(1, len(places) // _SAMPLE)]
        if len(sample) < _LINE:
            return None
        # Bars and curve begin or end together, or as the last curve did; else it takes a look at all bars.
        one, share = self._best(curve, sample, (0, len(self.closes) - len(curve), self._latest))
        if share < _WHOLE and self._vain < _IN_VAIN:
            at, shifts = self._agreed(curve, sample)
            agreed, count = np.unique(shifts, return_counts=True)
            likely = agreed[np.argsort(-count, kind="stable")[:_LIKELY]].tolist()
            one, share = max((one, share), self._best(curve, sample, likely), key=lambda best: best[1])
            if share < _WHOLE and max(share, len(at) / len(sample)) >= _SOME:
                # Bars that no trade shows are missing in the tape: the curve follows it in pieces.
                at, shifts = self._agreed(curve, places)
                if len(at) / len(places) > share:
                    latest = np.zeros(len(curve), np.int64)
                    latest[at] = np.arange(len(at))
                    self._vain = 0
                    found: Ints = shifts[np.maximum.accumulate(latest)]
                    return found
        if share < _SOME:
            self._vain += 1
            return None
        self._vain, self._latest = 0, one
        return np.full(len(curve), one)

    def _best(self, curve: Floats, places: Ints, shifts: Sequence[int]) -> tuple[int, float]:
        """Return what puts most of these places on lines over the bars, and the share of these."""
        shares = [float(_on_line(curve, places, self.closes, places + shift).mean()) for shift in shifts]
        return max(zip(shifts, shares, strict=True), key=lambda best: best[1], default=(0, 0.0))

    def _agreed(self, curve: Floats, places: Ints) -> tuple[Ints, Ints]:
        """Return places where the curve steps in the proportion of some closes, ascending, and what leads to these.

        What leads there is the same at several places; where these disagree, most count.
        """
        if self._steps is None:
            ratio = _proportions(self.closes)
            order = np.argsort(ratio, kind="stable")
            self._steps = ratio[order][: int(np.isfinite(ratio).sum())], order
        told, order = self._steps
        wanted = _proportions(curve)[places]
        places, wanted = places[np.isfinite(wanted)], wanted[np.isfinite(wanted)]
        off = np.abs(wanted) * _PROPORTION
        low, high = np.searchsorted(told, wanted - off), np.searchsorted(told, wanted + off, "right")
        own = [np.flatnonzero((high - low <= _SHARED) & (low + more < high)) for more in range(_SHARED)]
        at = np.concatenate([places[one] for one in own])
        if not len(at):
            return at, at
        shifts = np.concatenate([order[low[one] + more] for more, one in enumerate(own)]) - at
        _, which, count = np.unique(shifts, return_inverse=True, return_counts=True)
        votes = count[which]
        best = np.lexsort((-votes, at))
        best = best[votes[best] >= _LINE]
        best = best[np.diff(at[best], prepend=-1) > 0]
        return at[best], shifts[best]


def follow(
    curves: Sequence[Sequence[float] | None], tapes: Sequence[Tape], known: Sequence[Tape]
) -> tuple[list[Segments | None], list[Tape]]:
    """Return as segments each curve that follows the bars, and the tapes that this needs beside those of the run.

    Arguments:
        curves: None for one that is not to be looked at.
        tapes: the run's, in their order.
        known: bar series that the run may follow, too: the user gave them, or an earlier run has them.
    """
    found: list[Segments | None] = [None] * len(curves)
    long = {at: curve for at, curve in enumerate(curves) if curve and len(curve) >= _LEAST}
    held = accumulate(map(len, long.values()))
    rest = {
        at: np.array(curve) for (at, curve), upto in zip(long.items(), held, strict=True) if upto <= _MOST
    }
    more: list[Tape] = []
    first = sum(tape.bars for tape in tapes)
    for own in [tapes, *([tape] for tape in known if all(tape is not one for one in tapes))]:
        if not own or not rest:
            continue
        bars = Bars(np.concatenate([tape.closes() for tape in own]), 0 if own is tapes else first)
        there = {at: laid for at, curve in rest.items() if (laid := bars.follow(curve)) is not None}
        rest = {at: curve for at, curve in rest.items() if at not in there}
        for at, laid in there.items():
            found[at] = laid
        if there and own is not tapes:
            more += own
            first += own[0].bars
    return found, more


def encode_segments(found: Sequence[Segments | None]) -> tuple[pa.Array, pa.Array]:
    """Return the two columns of curves of which at least one follows the bars: segments, and the differences of the bits."""
    import pyarrow as pa

    there = [one for one in found if one is not None]
    mask = pa.array([one is None for one in found])
    fields = [pa.array(np.concatenate([getattr(one, name) for one in there])) for name in _FIELDS]
    bits = pa.array(np.concatenate([one.bits for one in there]))
    ends = [
        pa.array(
            np.cumsum([0, *(0 if one is None else len(getattr(one, name)) for one in found)]), pa.int32()
        )
        for name in ("begin", "bits")
    ]
    return (
        pa.ListArray.from_arrays(ends[0], pa.StructArray.from_arrays(fields, _FIELDS), mask=mask),
        pa.ListArray.from_arrays(ends[1], bits, mask=mask),
    )


def decode_segments(segments: pa.Scalar, bits: pa.Scalar, closes: Floats) -> list[float]:
    """Return a curve from its two columns. Raises ValueError for what no save writes."""
    if not bits.is_valid:
        raise ValueError("segments without bits")
    columns: list[Any] = [*(segments.values.field(name) for name in _FIELDS), bits.values]
    if any(column.null_count for column in (segments.values, *columns)):
        raise ValueError("segments with nulls")
    if [str(column.type) for column in columns] != _TYPES:
        raise ValueError("segments of other types")
    values: list[float] = Segments(*(column.to_numpy() for column in columns)).values(closes).tolist()
    return values


def lay(curve: Floats, closes: Floats, shift: Ints) -> Segments:
    """Return a curve as segments: its lines over the closes, and each value on none as a segment with all that equal it.

    shift: what leads from each value to its bar.
    """
    close = _under(closes, shift)
    first, last = _lines(curve, close, shift)
    base, position = _fitted(curve, close, first, last)
    # Neighbours share a value: it is the earlier one's.
    first = np.maximum(first, np.concatenate([[0], last + 1])[: len(first)])
    place = np.arange(len(curve))
    # The line that began last; before the first one that is none, which ends before all.
    latest = np.searchsorted(first, place, "right") - 1
    free = place > np.append(last, -1)[latest]
    same = np.concatenate([[False], np.diff(curve.view(np.int64)) == 0])
    alone = free & ~(same & np.concatenate([[False], free[:-1]]))
    begin = np.concatenate([first, np.flatnonzero(alone)])
    order = np.argsort(begin, kind="stable")
    begin = begin[order]
    found = Segments(
        begin,
        shift[begin],
        np.concatenate([base, curve[alone]])[order],
        np.concatenate([position, np.zeros(int(alone.sum()))])[order],
        np.zeros(len(curve), np.int64),
    )
    found.bits = curve.view(np.int64) - found.values(closes).view(np.int64)
    return found


def _lines(curve: Floats, close: Floats, shift: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last value of each straight line over the closes."""
    step, move = np.diff(curve), np.diff(close)
    off = _tolerance(curve)
    usable = np.isfinite(step) & np.isfinite(move) & (np.diff(shift) == 0)
    told = np.flatnonzero(usable & ((move != 0) | (np.abs(step) > off)))
    one, two = told[:-1], told[1:]
    breaks = np.cumsum(~usable)
    straight = _proportional(step[one], step[two], move[one], move[two], off)
    straight &= breaks[one] == breaks[two]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], straight, [False]])))
    first, last = told[edges[::2]], told[edges[1::2]] + 1
    long = last - first + 1 >= _LINE
    return first[long], last[long]


def _fitted(curve: Floats, close: Floats, first: Ints, last: Ints) -> tuple[Floats, Floats]:
    """Return base and position of each line: the position in as few decimals as its greatest and least close allow."""
    if not len(first):
        return np.zeros(0), np.zeros(0)
    pieces = np.stack([first, last + 1], axis=1).ravel()

    def each(what: np.ufunc, values: Floats) -> Floats:
        found: Floats = what.reduceat(np.append(values, 0.0), pieces)[::2]
        return found

    span = each(np.maximum, close) - each(np.minimum, close)
    rise = each(np.maximum, curve) - each(np.minimum, curve)
    falls = (curve[first + 1] - curve[first]) * (close[first + 1] - close[first]) < 0
    exact = np.where(falls, -rise, rise) / span
    off = 2 * np.spacing(np.abs(curve[first]) + np.abs(exact * close[first])) / span
    position = exact
    for decimals in range(_DECIMALS, -1, -1):
        short = np.round(exact, decimals)
        position = np.where(np.abs(short - exact) <= off, short, position)
    number = np.clip(np.searchsorted(first, np.arange(len(curve)), "right") - 1, 0, None)
    rest = curve - position[number] * close
    start = rest[first]
    base = start + each(np.add, rest - start[number]) / (last - first + 1)
    return base, position


def _on_line(curve: Floats, places: Ints, closes: Floats, bars: Ints) -> Bools:
    """Tell for each place whether the curve's next two steps are in the proportion of those of the closes."""
    inside = (bars >= 0) & (bars + 2 < len(closes))
    bar = np.where(inside, bars, 0)
    steps = curve[places + 1] - curve[places], curve[places + 2] - curve[places + 1]
    moves = closes[bar + 1] - closes[bar], closes[bar + 2] - closes[bar + 1]
    found: Bools = inside & _proportional(*steps, *moves, _tolerance(curve))
    return found


def _proportional(one: Floats, two: Floats, move: Floats, next_: Floats, off: float) -> Bools:
    """Tell where two steps of a curve are in the proportion of two of the closes."""
    found: Bools = np.abs(one * next_ - two * move) <= off * (np.abs(move) + np.abs(next_))
    return found


def _proportions(values: Floats) -> Floats:
    """Return each step but the first in parts of the one before it; NaN where that says nothing."""
    step = np.diff(values)
    ratio: Floats = step[1:] / step[:-1]
    ratio[(ratio == 0) | (np.abs(ratio) == 1) | ~np.isfinite(ratio)] = np.nan
    return ratio


def _tolerance(curve: Floats) -> float:
    finite = np.abs(curve[np.isfinite(curve)])
    return float(_ROUNDING * np.spacing(finite.max())) if len(finite) else 0.0


def _under(closes: Floats, shift: Ints) -> Floats:
    """Return the close of each value's bar; NaN where there is none."""
    bar = np.arange(len(shift)) + shift
    inside = (bar >= 0) & (bar < len(closes))
    return np.where(inside, closes[np.where(inside, bar, 0)], np.nan)


def _packed(*columns: npt.NDArray[Any]) -> int:
    """Return about how many bytes numbers of eight bytes take in Parquet: each byte beside its like."""
    planes = b"".join(column.view(np.uint8).reshape(-1, 8).T.tobytes() for column in columns)
    return len(zstandard.ZstdCompressor(level=1).compress(planes))
