"""A long listing in parts, asked for at once: a page tells where the next one begins, so that pages come one after the other.

Any key will do to cut a listing: the parts are (after, until], the first begins after what is known, the last has no
end. So no key is lost wherever cuts lie; how well they lie decides how many requests it takes. They are put where keys as
dense as those of the page before fill one page each; a part that holds more is cut again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from archiver.store.entry import Entry

_FURTHER = 8
"""Where nobody knows how much is to come: a cut so many pages on, the next one so many times as far, and so on."""
_FULL = 0.9
"""How much of a page a part is to fill: what is a little more than a page takes two requests."""
_MOST = 8
"""Into so many parts one is cut: where the keys end before the part does, most of them would be empty."""
_EMPTY = 8
"""Where more parts than these and a quarter of all were empty, keys lie in clumps: no cut would lie well."""
_AT_ONCE = 8
_SLOWER = 3
"""A server that takes so many times as long for a page as when it was asked for one at a time gains nothing by more."""


class Line(NamedTuple):
    """Where keys lie between others, as numbers: what is written in the order of time lies there by its time."""

    place: Callable[[str], float | None]
    """Tells where a key lies, None where that cannot be said."""
    key: Callable[[float], str]
    """Gives a key that lies, or would lie, at a place."""
    end: float
    """Beyond it few keys are expected, if any."""


class Piece(NamedTuple):
    """A page of a listing: its objects, the first and the last name in it, and whether more follow."""

    entries: Sequence[Entry]
    first: str
    last: str
    more: bool


class NoStartError(Exception):
    """The server does not begin a page where it is asked to."""


Part = tuple[Sequence[Entry], "Sequence[Future[Part]]"]


class Spread:
    """Lists what lies behind a key."""

    def __init__(self, read: Callable[[str], Piece], line: Line, seconds: float) -> None:
        """Take what reads the page behind a key, and how long it took so far to read one."""
        self._read, self._line, self._most = read, line, _SLOWER * seconds
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="archiver-list")
        self._ended = self._crowded = False
        self._asked = self._empty = 0

    def entries(self, first: str, last: str, pages: int) -> Iterator[Entry]:
        """Yield everything behind a key, sorted. Raises what `read` does.

        first, last: what was listed so far, in so many pages.
        """
        try:
            parts = self._cut(last, None, self._span(first, last) / pages)[::-1]
            while parts:
                entries, more = parts.pop().result()
                yield from entries
                parts.extend(reversed(more))
        finally:
            self._ended = True
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _part(self, after: str, until: str | None) -> Part:
        if self._ended:
            return (), ()
        begun = time.monotonic()
        piece = self._read(after)
        self._crowded = self._crowded or time.monotonic() - begun > self._most
        own = [entry for entry in piece.entries if until is None or entry.key <= until]
        self._asked, self._empty = self._asked + 1, self._empty + (not own)
        if piece.more and (until is None or piece.last < until):
            return own, self._cut(piece.last, until, self._span(piece.first, piece.last))
        return own, ()

    def _span(self, first: str, last: str) -> float:
        begin, end = self._line.place(first), self._line.place(last)
        return 0.0 if begin is None or end is None else end - begin

    def _cut(self, after: str, until: str | None, page: float) -> list[Future[Part]]:
        """Ask for what lies behind a key, in parts; page: how far the keys of a page lie apart."""
        ends = [after, *self._cuts(after, until, page), until]
        return [self._pool.submit(self._part, begin or "", end) for begin, end in pairwise(ends)]

    def _cuts(self, after: str, until: str | None, page: float) -> list[str]:
        begin, end = self._line.place(after), None if until is None else self._line.place(until)
        if self._crowded or self._empty > _EMPTY + self._asked // 4:
            return []
        if begin is None or page <= 0 or (until is not None and end is None):
            return []
        if end is None:
            steps = [page * _FURTHER**power for power in range(1, _MOST + 1)]
            places = [begin + step for step in steps if begin + step < self._line.end]
        else:
            parts = min(_MOST, ceil((end - begin) / page / _FULL))
            places = [begin + (end - begin) * at / parts for at in range(1, parts)]
        cuts: list[str] = []
        for key in map(self._line.key, places):
            if key > (cuts[-1] if cuts else after) and (until is None or key < until):
                cuts.append(key)
        return cuts
