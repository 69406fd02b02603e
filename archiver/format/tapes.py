"""Tapes: the bar series that trades' price windows are cut from, found again from the overlapping cuts.

A window is a dict of lists of one length, one of which (the clock) increases strictly: `{"timestamps": [...],
"open": [...], ...}`. Windows are laid over each other in clock order; each must agree with the tape, bit for bit,
wherever they overlap, and what it has beyond that extends the tape. A window that disagrees opens the next tape
(another symbol, say). What fits no tape is not a window and is stored in full.

A window is then a pair (begin, length). `begin` counts bars in the concatenation of the run's tapes, in the order
of the record.
"""

from __future__ import annotations

import marshal
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from operator import lt
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.columns import Column, encode_text, scalars
from archiver.format.model import Ref
from archiver.format.parquet import ParquetObject, write_parquet
from archiver.format.rows import encode_column
from archiver.format.values import columns_to_lists, plain

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Window = dict[str, list[Any]]
_LOOK = 100
_MOST_TAPES = 64
_TOO_LARGE = 2**63


@dataclass(slots=True)
class Tape:
    """A bar series: key -> list of values, all of one length, with the key that orders them."""

    clock: str
    columns: dict[str, list[Any]]
    given: bool = False
    """The user says that this is the series: it is used even if few windows are cut from it."""
    _series: _Series | None = field(default=None, repr=False, compare=False)
    _encoded: tuple[bytes, Ref] | None = field(default=None, repr=False, compare=False)
    _closes: Floats | None = field(default=None, repr=False, compare=False)

    @property
    def bars(self) -> int:
        """Number of bars."""
        return len(self.columns[self.clock])

    def series(self) -> _Series | None:
        """Return the bars as they are compared, made once; None where they cannot be compared."""
        if self._series is None:
            self._series = _Series.of(self)
        return self._series

    def encoded(self) -> tuple[bytes, Ref]:
        """Return the bytes as Parquet, one row a bar, and a Ref without its key; made once."""
        if self._encoded is None:
            self._encoded = _encode(self)
        return self._encoded

    def closes(self) -> Floats:
        """Return the first column that is named `close`, in whatever case, as doubles; NaN where there are no such numbers."""
        import numpy as np

        if self._closes is None:
            name = next((name for name in self.columns if name.lower() == "close"), "")
            values = self.columns.get(name, [])
            numbers = bool(values) and set(map(type, values)) <= {float, int}
            self._closes = np.array(values, np.float64) if numbers else np.full(self.bars, np.nan)
        return self._closes


@dataclass(slots=True)
class Cuts:
    """Where each window begins and how long it is, or None for a value that fits no tape; and the tapes."""

    tapes: list[Tape] = field(default_factory=list)
    places: list[tuple[int, int] | None] = field(default_factory=list)


def find_tapes(values: Sequence[Any], known: Sequence[Tape] = ()) -> Cuts:
    """Find the tapes that these values are cut from.

    Every place that is returned has been proven: cutting the tape there gives the value back, types and float bits
    included. `known` are series that are tried first, as they are; one is used that was given by the user, or that
    most windows are cut from.
    """
    cuts = Cuts(places=[None] * len(values))
    rest = _windows(values)
    alone = len(rest) == 1 and not known
    offset = 0
    tried = list(known)
    for _ in range(_MOST_TAPES + len(known)):
        if not rest:
            break
        tape = tried.pop(0) if tried else None
        series = tape.series() if tape is not None else None
        if tape is not None and series is None:
            continue
        growing = series is None
        if series is None:
            series = _Series(rest[0].clock, list(values[rest[0].at]))
        placed: list[tuple[int, int, int]] = []
        missed = []
        for window in rest:
            begin = series.place(values[window.at], window, grow=growing)
            if begin is None:
                missed.append(window)
            else:
                placed.append((window.at, begin, window.length))
        if _used(tape, len(placed), len(rest), alone=alone):
            for at, begin, length in placed:
                cuts.places[at] = (offset + begin, length)
            cuts.tapes.append(tape or Tape(series.clock, series.columns(), _series=series))
            offset += len(series.ticks)
        else:
            missed = rest if tape is not None else (missed if placed else rest[1:])
        rest = missed
    return cuts


def _used(tape: Tape | None, placed: int, windows: int, *, alone: bool) -> bool:
    if tape is not None:
        return placed > 0 and (tape.given or placed * 2 >= windows)
    # One window that agrees with no other is no cut of a series, unless there is no other.
    return placed > 1 or (placed == 1 and alone)


@dataclass(slots=True)
class _Candidate:
    at: int
    clock: str
    first: Any
    length: int


def _windows(values: Sequence[Any]) -> list[_Candidate]:
    """Return the values that look like windows of the commonest layout, in clock order."""
    clocks: dict[tuple[str, ...], str | None] = {}
    found = []
    for at, value in enumerate(values):
        if type(value) is not dict or not value:
            continue
        keys = tuple(value)
        if keys not in clocks:
            clocks[keys] = _clock(value) if all(map(_is_column_name, keys)) else None
        clock = clocks[keys]
        if clock is None or type(value[clock]) is not list or not value[clock]:
            continue
        found.append(_Candidate(at, clock, value[clock][0], len(value[clock])))
    if not found:
        return []
    kind = type(found[0].first)
    found = [window for window in found if type(window.first) is kind and window.clock == found[0].clock]
    found.sort(key=lambda window: window.first)
    return found


def _is_column_name(key: Any) -> bool:
    return isinstance(key, str) and key.isprintable() and key != ""


def _clock(value: Window) -> str | None:
    """Return the first key whose list increases strictly and is of text or numbers."""
    lists = [column for column in value.values() if type(column) is list]
    if len(lists) != len(value) or len(set(map(len, lists))) != 1:
        return None
    for key, column in value.items():
        kinds = set(map(type, column))
        if kinds in ({str}, {int}, {float}) and _increases(column):
            return key
    return None


class _Series:
    """A tape while it grows. Each column is also kept as the bytes of its values: comparing is comparing bytes.

    `marshal` writes a value's type and bits, and no value's bytes begin another's: equal bytes are equal values.
    ASCII texts of one length without NUL, joined by NUL, are as unambiguous, and joining is faster.
    """

    def __init__(self, clock: str, keys: list[str]) -> None:
        self.clock = clock
        self.keys = keys
        self.ticks: list[Any] = []
        self._position: dict[Any, int] = {}
        self._pieces: dict[str, list[list[Any]]] = {key: [] for key in keys}
        self._data: dict[str, bytearray] = {}
        self._bytes: dict[str, Callable[[list[Any]], bytes]] = {}
        self._width: dict[str, int] = {}

    @classmethod
    def of(cls, tape: Tape) -> _Series | None:
        """Return the series of a whole tape, or None where it cannot be compared."""
        series = cls(tape.clock, list(tape.columns))
        return series if series._extend(tape.columns, 0) else None

    def columns(self) -> dict[str, list[Any]]:
        """Return the bars so far."""
        return {key: list(chain.from_iterable(pieces)) for key, pieces in self._pieces.items()}

    def place(self, value: Window, window: _Candidate, *, grow: bool) -> int | None:
        """Return where the window begins, after growing the tape by what is new in it; None if it disagrees."""
        if list(value) != self.keys:
            return None
        begin = self._position.get(window.first)
        if begin is None:
            if not grow or (self.ticks and not self.ticks[-1] < window.first):
                return None
            begin = len(self.ticks)
        shared = min(window.length, len(self.ticks) - begin)
        if shared and not self._agrees(value, begin, window.length, shared):
            return None
        if shared < window.length and not (grow and self._extend(value, shared)):
            return None
        return begin

    def _agrees(self, value: Window, begin: int, length: int, shared: int) -> bool:
        for key, column in value.items():
            if type(column) is not list or len(column) != length:
                return False
            width = self._width[key]
            part = column if shared == length else column[:shared]
            try:
                data = self._bytes[key](part)
            except (TypeError, ValueError):
                return False
            if self._data[key][begin * width : (begin + shared) * width] != data:
                return False
        return True

    def _extend(self, value: Window, start: int) -> bool:
        """Append the window's bars from `start` on, unless its columns are not ones that can be compared fast."""
        fresh: dict[str, list[Any]] = {}
        length = len(value[self.clock])
        for key, column in value.items():
            if type(column) is not list or len(column) != length:
                return False
            fresh[key] = column[start:]
        ticks = fresh[self.clock]
        joined = self.ticks[-1:] + ticks
        if len(set(map(type, joined))) != 1 or not _increases(joined):
            return False
        widths = {key: _width(column) for key, column in fresh.items()}
        forms = {key: _joined if type(column[0]) is str else _marshalled for key, column in fresh.items()}
        if None in widths.values() or (self._width and (widths != self._width or forms != self._bytes)):
            return False
        for key, column in fresh.items():
            self._width[key] = widths[key] or 0
            self._bytes[key] = forms[key]
            self._data.setdefault(key, bytearray()).extend(forms[key](column))
            self._pieces[key].append(column)
        self._position.update(zip(ticks, range(len(self.ticks), len(self.ticks) + len(ticks)), strict=True))
        self.ticks += ticks
        return True


def _increases(column: Sequence[Any]) -> bool:
    return all(map(lt, column, column[1:]))


def _joined(column: list[Any]) -> bytes:
    return ("\0".join(column) + "\0").encode()


def _marshalled(column: list[Any]) -> bytes:
    # Version 2 has no references: equal values give equal bytes, whatever objects they are.
    return marshal.dumps(column, 2)[5:]


def _width(column: list[Any]) -> int | None:
    """Return what each value takes in a series' data, or None where values differ in it."""
    kinds = set(map(type, column))
    if kinds == {float}:
        return 9
    if kinds == {str}:
        text = "".join(column)
        if "\0" in text or not text.isascii():
            return None
        widths = {length + 1 for length in map(len, column)}
    elif kinds == {int} and not -_TOO_LARGE <= min(column) <= max(column) < _TOO_LARGE:
        return None  # a tape's columns are Arrow's, which would make text of it
    else:
        widths = {len(marshal.dumps(value, 2)) for value in column} if kinds <= {int, bool} else set()
    return widths.pop() if len(widths) == 1 else None


def window_keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the keys under which rows seem to hold windows."""
    for row in rows[:_LOOK]:
        found = [key for key, value in row.items() if type(value) is dict and value and _clock(value)]
        if found:
            return found
    return []


def window_column(
    values: Sequence[Any], offset: int, known: Sequence[Tape]
) -> tuple[Column | None, list[Tape]]:
    """Encode windows as places in tapes that begin at bar `offset`; None where no tape pays."""
    import pyarrow as pa

    cuts = find_tapes(values, known)
    if not cuts.tapes:
        return None, []
    full = mask = None
    places = cuts.places
    if None in places:
        mask = pa.array([place is None for place in places])
        rest = [value if place is None else None for value, place in zip(values, places, strict=True)]
        if any(value is not None for value in rest):
            full = encode_text(rest, "trades").array
    begins = [None if place is None else place[0] + offset for place in places]
    lengths = [None if place is None else place[1] for place in places]
    array = pa.StructArray.from_arrays(
        [pa.array(begins, pa.int64()), pa.array(lengths, pa.int64())], ["begin", "length"], mask=mask
    )
    return Column(array, window=True, full=full), cuts.tapes


def _encode(tape: Tape) -> tuple[bytes, Ref]:
    import pyarrow as pa

    columns = {key: encode_column(values, key) for key, values in tape.columns.items()}
    table = pa.table({key: column.array for key, column in columns.items()})
    return write_parquet([table], {"tape": tape.clock}, parts="group")


def decode_tape(source: ParquetObject) -> Tape:
    """Read a tape back."""
    table = source.read()
    columns = {name: scalars(table[name].combine_chunks()) for name in table.column_names}
    return Tape(source.facts["tape"], columns)


def cut_windows(tapes: Sequence[Tape], places: Sequence[tuple[int, int] | None]) -> list[Window | None]:
    """Cut each window out of the concatenated tapes; None stays None."""
    ends = list(accumulate(tape.bars for tape in tapes))
    windows: list[Window | None] = []
    for place in places:
        if place is None:
            windows.append(None)
            continue
        begin, length = place
        number = bisect_right(ends, begin)
        begin -= ends[number - 1] if number else 0
        columns = tapes[number].columns
        windows.append({key: column[begin : begin + length] for key, column in columns.items()})
    return windows


def tape_of(bars: Any) -> Tape:
    """Return a bar series that was given as a dict of lists or as a table. Raises ConfigError for anything else."""
    listed = columns_to_lists(bars, "bars")
    if listed is not None and listed and type(listed[0]) is dict:
        bars = {key: [row[key] for row in listed] for key in listed[0]}
    columns = plain(bars, "bars")
    clock = _clock(columns) if type(columns) is dict and columns else None
    if clock is None:
        raise ConfigError("bars: give a dict of lists of one length, one of which increases strictly")
    return Tape(clock, columns, given=True)
