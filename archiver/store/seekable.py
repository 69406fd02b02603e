"""The seekable format of zstd: frames that unpack alone, and a table of their sizes in a skippable frame at
the end.

Other programs read such a file as one stream and pass over the table. What is read here may be hostile: every
size is checked before memory is taken for it.
"""

from __future__ import annotations

import struct
import sys
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import accumulate

import zstandard

from archiver.errors import IntegrityError

_SKIPPABLE = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_SKIPPABLE_MAGIC, _SEEKABLE_MAGIC = 0x184D2A5E, 0x8F92EAB1
_ENTRY = 8
_TAIL = 16 << 10
_MOST_FRAMES = 0x8000000
MOST_FIRST = 128 << 20
"""Plain bytes of the first frame, at most."""
MOST_PLAIN = 16 << 20
"""Plain bytes of any other frame, at most."""
_MOST_RATIO, _SLACK = 256, 64 << 20
"""What is compressed already does not shrink by more: a file that claims to is a bomb."""
_CACHED = 8 << 20
_RESERVED_BITS = 0x18

_STRIDE = 8 << 20
"""Bytes that are fetched at a time where all of a file is read: far away a request costs as much as a megabyte."""

Fetch = Callable[[int, int], bytes]


def seek_table(frames: Sequence[tuple[int, int]]) -> bytes:
    """Return the skippable frame that ends a seekable file. frames: (compressed, plain) size of each."""
    entries = array("I", [size for frame in frames for size in frame])
    body = _little_endian(entries).tobytes() + _FOOTER.pack(len(frames), 0, _SEEKABLE_MAGIC)
    return _SKIPPABLE.pack(_SKIPPABLE_MAGIC, len(body)) + body


def unpack(data: bytes, plain: int, what: str) -> bytes:
    """Return the content of exactly one frame. Raises IntegrityError, naming `what`, when it is damaged."""
    try:
        found = zstandard.get_frame_parameters(data)
        if found.content_size != plain or not found.has_checksum or data[4] & _RESERVED_BITS:
            raise IntegrityError(f"{what} is damaged: a frame is not what the index says")
        content: bytes = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=plain, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{what} is damaged: {error}") from None
    return content


class Frames:
    """The plain bytes of a seekable file, read by ranges; a frame that was unpacked stays a while."""

    def __init__(self, fetch: Fetch, size: int, what: str) -> None:
        """Read the table. fetch: reads a range of the file; size: of the file in bytes; what: its name in
        errors.

        Raises IntegrityError for a file that is no such file, or was cut.
        """
        self._fetch, self._what = fetch, what
        table = self._table(size)
        self._packed = list(accumulate(table[0::2], initial=0))
        self._plain = list(accumulate(table[1::2], initial=0))
        self._cache: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self._check_sizes(table, size)

    @property
    def size(self) -> int:
        """Plain bytes of the whole file."""
        return self._plain[-1]

    @property
    def first(self) -> int:
        """Plain bytes of the first frame."""
        return self._plain[1]

    def read(self, start: int, end: int) -> bytes:
        """Return the plain bytes from start to before end, which must be there. Raises IntegrityError."""
        if not 0 <= start <= end <= self.size:
            raise IntegrityError(f"{self._what} is damaged: its index points outside of it")
        if start == end:
            return b""
        low = bisect_right(self._plain, start) - 1
        high = bisect_right(self._plain, end - 1)
        data = b"".join(self._frames(range(low, high)))
        return data[start - self._plain[low] : end - self._plain[low]]

    def __iter__(self) -> Iterator[bytes]:
        """Unpack all frames in order, in bounded memory, without keeping any."""
        at = 0
        while at < len(self._plain) - 1:
            stop = max(at + 1, bisect_right(self._packed, self._packed[at] + _STRIDE) - 1)
            while stop > at + 1 and self._plain[stop] - self._plain[at] > MOST_PLAIN:
                stop -= 1
            yield from self._load(range(at, stop))
            at = stop

    def _table(self, size: int) -> Sequence[int]:
        tail = self._fetch(max(0, size - _TAIL), size)
        if len(tail) < _FOOTER.size + _SKIPPABLE.size:
            raise self._no_bundle()
        count, descriptor, magic = _FOOTER.unpack(tail[-_FOOTER.size :])
        if magic != _SEEKABLE_MAGIC or descriptor or not 0 < count <= _MOST_FRAMES:
            raise self._no_bundle()
        length = _SKIPPABLE.size + count * _ENTRY + _FOOTER.size
        if length > size:
            raise self._no_bundle()
        if length > len(tail):
            tail = self._fetch(size - length, size)
        tail = tail[-length:]
        if _SKIPPABLE.unpack(tail[: _SKIPPABLE.size]) != (_SKIPPABLE_MAGIC, length - _SKIPPABLE.size):
            raise self._no_bundle()
        self._table_size = length
        entries = array("I")
        entries.frombytes(tail[_SKIPPABLE.size : -_FOOTER.size])
        return _little_endian(entries)

    def _check_sizes(self, table: Sequence[int], size: int) -> None:
        if self._packed[-1] != size - self._table_size or not all(table):
            raise self._no_bundle()
        if (
            table[1] > MOST_FIRST
            or max(table[3::2], default=0) > MOST_PLAIN
            or self.size > _MOST_RATIO * size + _SLACK
        ):
            raise IntegrityError(f"{self._what} claims to unpack to {self.size:,} bytes: it is not trusted")

    def _no_bundle(self) -> IntegrityError:
        return IntegrityError(f"{self._what} is no bundle, or was cut off: fetch or make it anew")

    def _frames(self, numbers: range) -> list[bytes]:
        """Return frames from the cache; those that nobody has or is fetching are fetched together."""
        mine: list[tuple[int, Future[bytes]]] = []
        wanted: list[Future[bytes]] = []
        with self._lock:
            for number in numbers:
                future = self._cache.get(number)
                if future is None:
                    future = self._cache[number] = Future()
                    mine.append((number, future))
                self._cache.move_to_end(number)
                wanted.append(future)
        try:
            for group in _runs(mine):
                loaded = self._load(range(group[0][0], group[-1][0] + 1))
                for (_, future), data in zip(group, loaded, strict=True):
                    future.set_result(data)
        except BaseException as error:
            with self._lock:
                for number, future in mine:
                    if not future.done():
                        self._cache.pop(number, None)
                        future.set_exception(error)
            raise
        self._evict()
        return [future.result() for future in wanted]

    def _load(self, numbers: range) -> Iterator[bytes]:
        begin, end = self._packed[numbers.start], self._packed[numbers.stop]
        data = memoryview(self._fetch(begin, end))
        if len(data) != end - begin:
            raise self._no_bundle()
        for number in numbers:
            frame = data[self._packed[number] - begin : self._packed[number + 1] - begin]
            yield unpack(bytes(frame), self._plain[number + 1] - self._plain[number], self._what)

    def _evict(self) -> None:
        with self._lock:
            held = sum(self._plain[number + 1] - self._plain[number] for number in self._cache)
            while held > _CACHED and len(self._cache) > 1:
                number, _ = self._cache.popitem(last=False)
                held -= self._plain[number + 1] - self._plain[number]


def _runs(items: Sequence[tuple[int, Future[bytes]]]) -> Iterator[list[tuple[int, Future[bytes]]]]:
    """Split numbered items where a number is missing."""
    group: list[tuple[int, Future[bytes]]] = []
    for item in items:
        if group and item[0] != group[-1][0] + 1:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _little_endian(entries: array[int]) -> array[int]:
    if sys.byteorder == "big":
        entries.byteswap()
    return entries
