"""Curves that follow the bars: a curve that marks a position to the closes is, between trades, a straight line over them.

Such a curve is kept as segments (where they begin, base, position) and, value for value, the difference of its float bits from
`base + position * close`, which is nearly always nothing. What is kept was decoded and compared when it was saved. How the
segments are found is nobody's promise: whatever they are, the bits make up for it; where that takes too much, the curve is kept as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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

_LEAST = 64
"""A shorter curve takes few bytes in any form."""
_PAYS = 4
_ROUNDING = 64
"""By how many units in the last place of its greatest value a curve may be off a line: engines add in their own order."""
_SAMPLE = 512
_VOTES = 4
_SHARED = 8
"""A step that so many places of a tape have says nothing of where it is."""
_LIKELY = 4
_PROPORTION = 1e-8
_WHOLE, _SOME = 0.9, 0.3
"""The share of a curve's steps that lie on lines over the bars: where it is laid over them in one piece, and where at all."""
_LINE = 4
"""Bars of the shortest line that is looked for."""
_DECIMALS = 13


@dataclass(slots=True, eq=False)
class Segments:
    """A curve that follows the bars. `begin` counts its values, `shift` leads from there to the bar of the tapes."""

    begin: Ints
    shift: Ints
    base: Floats
    position: Floats
    bits: Ints

    def values(self, closes: Floats) -> Floats:
        """Return the curve, given the closes of the record's tapes, end to end.

        Raises ValueError for segments that are none, or that lead out of the tapes.
        """
        count, first = len(self.bits), self.begin
        if not len(first) or first[0] != 0 or (np.diff(first) <= 0).any() or first[-1] >= count:
            raise ValueError("segments that do not follow each other")
        number = np.repeat(np.arange(len(first)), np.diff(np.append(first, count)))
        line = self.base[number]
        held = np.flatnonzero(self.position[number] != 0.0)
        bar = held + self.shift[number[held]]
        if len(bar) and not (bar.min() >= 0 and bar.max() < len(closes)):
            raise ValueError("segments that lead out of the tapes")
        # Two roundings, no fused step; what is not finite has no bits that all machines agree on.
        with np.errstate(all="ignore"):
            line[held] += self.position[number[held]] * closes[bar]
        if not np.isfinite(line[held]).all():
            raise ValueError("segments with a line that is not finite")
        found: Floats = (line.view(np.int64) + self.bits).view(np.float64)
        return found

    def size(self) -> int:
        """Return about how many bytes they take in the archive."""
        # Small numbers of either sign: as those of one sign, which is about what a dictionary of them takes.
        bits = (self.bits << 1) ^ (self.bits >> 63)
        return _packed(self.begin, self.shift, self.base, self.position, bits)

    def last_bar(self) -> int:
        """Return the last bar of the tapes that the curve looks at; -1 where it looks at none."""
        held = np.flatnonzero(self.position != 0.0)
        ends = np.append(self.begin[1:], len(self.bits)) - 1
        return int((ends + self.shift)[held].max()) if len(held) else -1


@dataclass(slots=True, eq=False)
class Bars:
    """The closes of tapes, end to end, as curves are laid over them; `first` is the place of the first bar in the record's."""

    closes: Floats
    first: int = 0
    _steps: tuple[Floats, Ints] | None = field(default=None, repr=False)

    def follow(self, curve: Floats) -> Segments | None:
        """Return a curve as segments, where that is exact and takes at most a quarter of the bytes."""
        if len(curve) < _LEAST or len(self.closes) < _LINE:
            return None
        with np.errstate(all="ignore"):
            shift = self._shift(curve)
            if shift is None:
                return None
            found = _segments(curve, _over(self.closes, shift), shift)
        found.shift += self.first
        if found.size() * _PAYS > _packed(curve):
            return None
        try:
            again = found.values(np.concatenate([np.zeros(self.first), self.closes]))
        except ValueError:
            return None
        return found if again.tobytes() == curve.tobytes() else None

    def _shift(self, curve: Floats) -> Ints | None:
        """Return for each value what leads from its place to its bar; None where the curve does not follow the bars."""
        step = np.diff(curve)
        places = np.flatnonzero((step[1:] != 0) & (step[:-1] != 0))
        sample = places[:: max(1, len(places) // _SAMPLE)]
        if len(sample) < _LINE:
            return None
        at, shifts = self._votes(curve, sample)
        likely, count = np.unique(shifts, return_counts=True)
        likely = likely[np.argsort(-count, kind="stable")[:_LIKELY]]
        one, share = 0, 0.0
        for shift in {0, len(self.closes) - len(curve), *likely.tolist()}:
            lines = float(_on_line(curve, sample, self.closes, sample + shift).mean())
            if lines > share:
                one, share = shift, lines
        if share < _WHOLE and max(share, _share(at, len(sample))) >= _SOME:
            # Bars that no trade shows are missing in the tape: the curve follows it in pieces.
            at, shifts = self._votes(curve, places)
            if _share(at, len(places)) > share:
                latest = np.zeros(len(curve), np.int64)
                latest[at] = np.arange(len(at))
                found: Ints = shifts[np.maximum.accumulate(latest)]
                return found
        return np.full(len(curve), one) if share >= _SOME else None

    def _votes(self, curve: Floats, places: Ints) -> tuple[Ints, Ints]:
        """Return places in the curve where it steps in the proportion of the closes, and what leads from each to its bar.

        Only shifts that several places agree on, at each place the one that most agree on.
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
        rare = high - low <= _SHARED
        own = [np.flatnonzero(rare & (low + more < high)) for more in range(_SHARED)]
        at = np.concatenate([places[one] for one in own])
        shifts = np.concatenate([order[low[one] + more] for more, one in enumerate(own)]) - at
        _, which, count = np.unique(shifts, return_inverse=True, return_counts=True)
        votes = count[which]
        best = np.lexsort((-votes, at))
        best = best[votes[best] >= _VOTES]
        best = best[np.concatenate([[True], np.diff(at[best]) > 0])] if len(best) else best
        return at[best], shifts[best]


def follow(
    curves: Sequence[Sequence[float] | None], tapes: Sequence[Tape], known: Sequence[Tape]
) -> tuple[list[Segments | None], list[Tape]]:
    """Return each curve as segments where it follows the bars, and the tapes that this needs beside those of the run.

    curves: finite or not, None for what is not to be looked at; known: series that the run may follow, each used only where
    it saves more than it takes.
    """
    arrays = [
        None if curve is None or len(curve) < _LEAST else np.array(curve, np.float64) for curve in curves
    ]
    found: list[Segments | None] = [None] * len(arrays)
    if all(array is None for array in arrays):
        return found, []
    more: list[Tape] = []
    first = sum(tape.bars for tape in tapes)
    if tapes:
        _follow(Bars(np.concatenate([tape.closes() for tape in tapes])), arrays, found)
    for tape in known:
        if any(tape is one for one in tapes) or all(array is None for array in arrays):
            continue
        tried: list[Segments | None] = [None] * len(arrays)
        saved = _follow(Bars(tape.closes(), first), arrays, tried)
        if saved > len(tape.encoded()[0]):
            found = [one or other for one, other in zip(found, tried, strict=True)]
            more.append(tape)
            first += tape.bars
    return found, more


def _follow(bars: Bars, arrays: list[Floats | None], found: list[Segments | None]) -> int:
    """Try each curve that follows nothing yet; returns how many bytes that saves."""
    saved = 0
    for at, array in enumerate(arrays):
        if array is not None and (segments := bars.follow(array)) is not None:
            found[at] = segments
            saved += _packed(array) - segments.size()
    for at, segments in enumerate(found):
        if segments is not None:
            arrays[at] = None
    return saved


def encode_segments(found: Sequence[Segments | None]) -> tuple[pa.Array, pa.Array]:
    """Return the columns of curves that follow the bars: their segments, and the difference of the bits."""
    import pyarrow as pa

    there = [one for one in found if one is not None]
    mask = pa.array([one is None for one in found])
    structs = pa.StructArray.from_arrays(
        [pa.array(np.concatenate([getattr(one, name) for one in there])) for name in _FIELDS], _FIELDS
    )
    return (
        pa.ListArray.from_arrays(
            _offsets([0 if one is None else len(one.begin) for one in found]), structs, mask=mask
        ),
        pa.ListArray.from_arrays(
            _offsets([0 if one is None else len(one.bits) for one in found]),
            pa.array(np.concatenate([one.bits for one in there])),
            mask=mask,
        ),
    )


_FIELDS = ["begin", "shift", "base", "position"]


def decode_segments(segments: pa.Scalar, bits: pa.Scalar, closes: Floats) -> list[float]:
    """Return a curve from its two columns. Raises ValueError where they are none that a save writes."""
    if not segments.is_valid or not bits.is_valid:
        raise ValueError("segments without bits")
    parts: list[Any] = [segments.values.field(name) for name in _FIELDS]
    if any(part.null_count for part in [*parts, bits.values]):
        raise ValueError("segments with nulls")
    begin, shift, base, position = (part.to_numpy(zero_copy_only=False) for part in parts)
    kept = Segments(begin, shift, base, position, bits.values.to_numpy(zero_copy_only=False))
    values: list[float] = kept.values(closes).tolist()
    return values


def _offsets(counts: Sequence[int]) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())


def _packed(*columns: npt.NDArray[Any]) -> int:
    """Return about how many bytes numbers of eight bytes take in Parquet: each byte with its like."""
    planes = b"".join(column.view(np.uint8).reshape(-1, 8).T.tobytes() for column in columns)
    return len(zstandard.ZstdCompressor(level=1).compress(planes))


def _proportions(values: Floats) -> Floats:
    """Return each step in proportion to the one before it; NaN where that says nothing."""
    step = np.diff(values)
    ratio: Floats = step[1:] / step[:-1]
    ratio[(ratio == 0) | (np.abs(ratio) == 1) | ~np.isfinite(ratio)] = np.nan
    return ratio


def _tolerance(curve: Floats) -> float:
    finite = np.abs(curve[np.isfinite(curve)])
    return float(_ROUNDING * np.spacing(finite.max())) if len(finite) else 0.0


def _on_line(curve: Floats, places: Ints, closes: Floats, bars: Ints) -> Bools:
    """Tell for each place whether the curve's next two steps are in the proportion of those of the closes."""
    inside = (bars >= 0) & (bars + 2 < len(closes))
    bar = np.where(inside, bars, 0)
    steps = curve[places + 1] - curve[places], curve[places + 2] - curve[places + 1]
    moves = closes[bar + 1] - closes[bar], closes[bar + 2] - closes[bar + 1]
    found: Bools = inside & _proportional(*steps, *moves, _tolerance(curve))
    return found


def _share(at: Ints, count: int) -> float:
    return len(at) / count


def _over(closes: Floats, shift: Ints) -> Floats:
    """Return for each value of a curve the close that it is over; NaN where there is none."""
    bar = np.arange(len(shift)) + shift
    inside = (bar >= 0) & (bar < len(closes))
    return np.where(inside, closes[np.where(inside, bar, 0)], np.nan)


def _lines(curve: Floats, close: Floats, shift: Ints) -> tuple[Ints, Ints]:
    """Return where the curve is a straight line over the closes: the first and the last value of each line."""
    step, move = np.diff(curve), np.diff(close)
    off = _tolerance(curve)
    usable = np.isfinite(step) & np.isfinite(move) & (np.diff(shift) == 0)
    told = np.flatnonzero(usable & ((move != 0) | (np.abs(step) > off)))
    before, after = told[:-1], told[1:]
    breaks = np.cumsum(~usable)
    straight = _proportional(step[before], step[after], move[before], move[after], off)
    straight &= breaks[before] == breaks[after]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], straight, [False]])))
    first, last = told[edges[::2]], told[edges[1::2]] + 1
    long = last - first + 1 >= _LINE
    return first[long], last[long]


def _proportional(one: Floats, two: Floats, over: Floats, next_: Floats, off: float) -> Bools:
    """Tell where two steps of a curve are in the proportion of those of the closes."""
    found: Bools = np.abs(one * next_ - two * over) <= off * (np.abs(over) + np.abs(next_))
    return found


def _covered(count: int, first: Ints, last: Ints) -> Bools:
    """Tell which of so many values are on a line."""
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, last + 1, -1)
    found: Bools = np.cumsum(change)[:-1] > 0
    return found


def _segments(curve: Floats, close: Floats, shift: Ints) -> Segments:
    """Return a curve as segments: its lines, and what is on none of them."""
    first, last = _lines(curve, close, shift)
    base, position = _fitted(curve, close, first, last)
    # Neighbours share a value: it is the earlier one's.
    first = np.maximum(first, np.concatenate([[0], last[:-1] + 1])[: len(first)])
    free = ~_covered(len(curve), first, last)
    bits = curve.view(np.int64)
    alone = free & np.concatenate([[True], ~free[:-1] | (bits[1:] != bits[:-1])])
    begin = np.concatenate([first, np.flatnonzero(alone)])
    order = np.argsort(begin, kind="stable")
    begin = begin[order]
    base = np.concatenate([base, curve[alone]])[order]
    position = np.concatenate([position, np.zeros(int(alone.sum()))])[order]
    number = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(curve))))
    line = base[number]
    held = position[number] != 0.0
    line[held] += position[number][held] * close[held]
    return Segments(begin, shift[begin], base, position, bits - line.view(np.int64))


def _fitted(curve: Floats, close: Floats, first: Ints, last: Ints) -> tuple[Floats, Floats]:
    """Return base and position of each line: the position in as few decimals as the greatest and least close allow."""
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
    rest -= rest[first][number]
    base = curve[first] - position * close[first] + each(np.add, rest) / (last - first + 1)
    return base, position
