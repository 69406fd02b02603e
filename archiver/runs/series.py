"""The series that many runs share, tapes and clocks, each read once and kept while it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

from archiver.errors import IntegrityError
from archiver.format.clocks import Clock, decode_clock
from archiver.format.extras import Shared
from archiver.format.model import Record, Ref
from archiver.format.parquet import ParquetObject, decoding
from archiver.format.tapes import Tape, decode_tape

if TYPE_CHECKING:
    from archiver.format.segments import Floats

_MOST_TAPES = 4
_MOST_CLOCKS = 8


class SharedSeries:
    """Reads the tapes and clocks that records name."""

    def __init__(self, parquet: Callable[[Ref], ParquetObject]) -> None:
        """Take what opens an object."""
        self._parquet = parquet
        self._tapes: dict[str, Tape] = {}
        self._clocks: dict[str, Clock] = {}

    def of(self, record: Record) -> Shared:
        """Return what the curves of a run need: each is read when it is asked for."""
        return Shared(partial(self.clock, record), cache(partial(self._closes, record)))

    def tapes(self, record: Record) -> list[Tape]:
        """Return the bar series of a run, in the order of its record."""
        tapes: dict[str, Tape] = {}
        for ref in record.tapes:
            known = self._tapes.pop(ref.sha256, None)
            tapes[ref.sha256] = decode_tape(self._parquet(ref)) if known is None else known
        # What was used last stays longest.
        self._tapes.update(tapes)
        for sha256 in list(self._tapes)[: max(0, len(self._tapes) - max(_MOST_TAPES, len(tapes)))]:
            del self._tapes[sha256]
        return [tapes[ref.sha256] for ref in record.tapes]

    def clock(self, record: Record, sha256: str) -> Clock:
        """Return a clock of a run. Raises IntegrityError for one that its record does not name."""
        if sha256 not in self._clocks:
            ref = next((ref for ref in record.clocks if ref.sha256 == sha256), None)
            if ref is None:
                raise IntegrityError(
                    f"the record of {record.run} is damaged: it names no clock {sha256[:12]}"
                )
            while len(self._clocks) >= _MOST_CLOCKS:
                self._clocks.pop(next(iter(self._clocks)))
            with decoding(ref.key):
                self._clocks[sha256] = decode_clock(self._parquet(ref))
        return self._clocks[sha256]

    def _closes(self, record: Record) -> Floats:
        """Return the closes of a run's tapes, end to end."""
        import numpy as np

        return np.concatenate([np.zeros(0), *(tape.closes() for tape in self.tapes(record))])
