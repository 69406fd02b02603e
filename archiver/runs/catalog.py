"""The catalog: all records in a few objects, so that reading them takes a few requests. Derived, never trusted.

A segment, `catalog/<first run>--<last run>--<random>.jsonl.zst`, has a line for each record: the key, size and time of
change that a listing showed, and the record's bytes in base64. A line counts only for an object that a listing
shows with the same three; every other record is read itself. So the catalog may be stale, never wrong.
"""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

import orjson

from archiver.base.unread import ONE_OBJECT, Errors, Unread, teller
from archiver.errors import AccessError, ArchiverError, FormatError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record
from archiver.format.records import MOST_STORED, compress, decompress, most_plain
from archiver.runs.records import load_record, read_record
from archiver.store import Store
from archiver.store.entry import Entry

_SEGMENT = 4_096
_SEGMENT_BYTES, _LINE_BYTES = 32 << 20, 1 << 20
"""Bytes of the records in a segment, and of one of them; a larger one is read itself, as if there were no catalog."""
_MOST_SEGMENT, _FEW_PLAIN, _RATIO = 64 << 20, 1 << 20, 16
"""What a segment may take: what it holds is compressed already. One that claims more is passed over."""
_WORTH = 64
"""With fewer unknown records than this, reading them is as fast as reading the catalog."""


class Records:
    """Reads the records of a store, each object once; the catalog where that saves requests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[Entry, Record]] = {}

    def known(self) -> dict[str, tuple[Entry, Record]]:
        """Return the records that were read, by key, with what a listing said of each."""
        return dict(self._known)

    def know(self, known: Mapping[str, tuple[Entry, Record]]) -> None:
        """Take records that were read elsewhere; each counts while a listing says the same of it."""
        self._known.update(known)

    def read(
        self, prefix: str = layout.RUNS, errors: Errors = "raise", *, newest: int | None = None
    ) -> list[Record]:
        """Return every record below a prefix (`runs/` or `trash/`), newest first.

        newest: only so many at least, by their ids, and no other is read; errors: what to do about one that cannot be read (`archiver.base.unread`): it is never taken for absent unasked.
        Raises IntegrityError or FormatError for it, AccessError where the store refuses it.
        """
        tell = teller(errors)
        entries = [entry for entry in self._store.list(prefix) if layout.run_of_record(entry.key)]
        if newest is not None:
            entries = _newest(entries, newest)
        missing = [entry for entry in entries if not self._has(entry)]
        if len(missing) >= _WORTH:
            self._read_catalog(missing)
            missing = [entry for entry in missing if not self._has(entry)]
        for entry, found in zip(missing, self._store.map(self._load, missing, small=True), strict=True):
            if isinstance(found, ArchiverError):
                tell(Unread(layout.run_of_record(entry.key) or "", None, found))
            elif found is not None:
                self._known[entry.key] = (entry, found)
        records = [self._known[entry.key][1] for entry in entries if self._has(entry)]
        return sorted(records, key=lambda record: (record.created, record.run), reverse=True)

    def one(self, run: str) -> Record:
        """Return one run's record. Raises RunNotFoundError when there is none."""
        for entry, record in [*self._known.values()]:
            if (
                record.run == run
                and entry.key == layout.record_key(run)
                and self._store.stat(entry.key) == entry
            ):
                return record
        return load_record(self._store, run)

    def _has(self, entry: Entry) -> bool:
        known = self._known.get(entry.key)
        return known is not None and known[0] == entry

    def _load(self, entry: Entry) -> Record | ArchiverError | None:
        try:
            return read_record(entry.key, _bytes_of(self._store, entry))
        except NotFoundError:
            # Pruned since the listing: it is no longer a run.
            return None
        except ONE_OBJECT as error:
            return error

    def _read_catalog(self, missing: Sequence[Entry]) -> None:
        wanted = {entry.key: entry for entry in missing}
        for entry, data in segment_lines(self._store):
            if wanted.get(entry.key) == entry:
                try:
                    self._known[entry.key] = (entry, read_record(entry.key, data))
                except (IntegrityError, FormatError):
                    continue  # the record itself is read, and says what is wrong


def _newest(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Return the entries of the newest runs: all of the second that the last of them is of, for ids tell no more."""
    by_second = sorted(entries, key=lambda entry: entry.key, reverse=True)
    if count >= len(by_second):
        return by_second
    last = by_second[count - 1].key.partition("-")[0] if count else ""
    return [entry for entry in by_second if count and entry.key.partition("-")[0] >= last]


def segment_lines(store: Store) -> Iterator[tuple[Entry, bytes]]:
    """Yield every line of the catalog; a segment that cannot be read is passed over, for nothing depends on it."""
    for lines in store.map(partial(_read_segment, store), _segments(store)):
        yield from lines


def stream(
    store: Store,
    entries: Sequence[Entry],
    *,
    catalog: bool = True,
    refused: Callable[[Entry, AccessError], object] | None = None,
) -> Iterator[tuple[Entry, bytes | None]]:
    """Yield the bytes of records in the order of their entries, None for one that is gone since it was listed.

    Memory is that of some thousand records, however many there are. catalog: take bytes from there where it saves
    requests; what it holds is what the listing vouches for. refused: is told of a record that may not be read, which
    is left out; without it that is raised.
    """
    segments = _segments(store) if catalog and len(entries) >= _WORTH else []
    for start in range(0, len(entries), _SEGMENT):
        chunk = entries[start : start + _SEGMENT]
        known = _from_segments(store, segments, chunk)
        missing = [entry for entry in chunk if entry.key not in known]
        read = store.map(partial(_bytes, store), missing, small=True)
        for entry in chunk:
            data = known[entry.key] if entry.key in known else next(read)
            if not isinstance(data, AccessError):
                yield entry, data
            elif refused is None:
                raise data
            else:
                refused(entry, data)


def superseded(store: Store, entries: Iterable[Entry]) -> list[Entry]:
    """Return the segments that newer ones make superfluous, or that nothing in these records matches any more."""
    current = {entry.key: entry for entry in entries}
    needless = []
    for segment in _segments(store):
        found = [entry.key for entry, _ in _read_segment(store, segment) if current.get(entry.key) == entry]
        for key in found:
            del current[key]
        if not found:
            needless.append(segment)
    return needless


def _segments(store: Store) -> list[Entry]:
    """List the segments, newest first."""
    found = ((entry, layout.parse(entry.key)) for entry in store.list(layout.CATALOG))
    segments = [entry for entry, key in found if key is not None and key.area == layout.CATALOG]
    return sorted(segments, key=lambda entry: (entry.modified, entry.key), reverse=True)


def _from_segments(store: Store, segments: Sequence[Entry], entries: Sequence[Entry]) -> dict[str, bytes]:
    wanted = {entry.key: entry for entry in entries}
    first, last = (layout.run_of_record(entries[at].key) or "" for at in (0, -1))
    known: dict[str, bytes] = {}
    for segment in segments:
        begin, _, rest = segment.key.removeprefix(layout.CATALOG).partition("--")
        if len(known) == len(wanted) or rest.partition("--")[0] < first or begin > last:
            continue
        for entry, data in _read_segment(store, segment):
            if wanted.get(entry.key) == entry:
                known.setdefault(entry.key, data)
    return known


def _bytes(store: Store, entry: Entry) -> bytes | AccessError | None:
    try:
        return _bytes_of(store, entry)
    except NotFoundError:
        return None
    except AccessError as error:
        return error


def _bytes_of(store: Store, entry: Entry) -> bytes:
    """Read a record, of one that is too large only as much as shows it."""
    return store.get(entry.key) if entry.size <= MOST_STORED else store.get(entry.key, 0, MOST_STORED + 1)


def compact(store: Store) -> int:
    """Write the catalog anew over all records that can be read. Returns how many records it holds.

    What it replaces is left to gc, so that readers that have begun can end.
    """
    entries = [entry for entry in store.list(layout.RUNS) if layout.run_of_record(entry.key)]
    known = {entry.key: (entry, data) for entry, data in segment_lines(store)}
    count = 0
    for start in range(0, len(entries), _SEGMENT):
        chunk = entries[start : start + _SEGMENT]
        lines = list(_lines(store, chunk, known))
        count += len(lines)
        for some in _by_size(lines):
            _write_segment(store, some)
    return count


def _by_size(lines: Iterable[tuple[Entry, bytes]]) -> Iterator[list[tuple[Entry, bytes]]]:
    """Split lines so that a reader need not hold too much of them at once."""
    some: list[tuple[Entry, bytes]] = []
    for line in lines:
        some.append(line)
        if sum(len(data) for _, data in some) >= _SEGMENT_BYTES:
            yield some
            some = []
    if some:
        yield some


def _lines(
    store: Store, entries: Iterable[Entry], known: dict[str, tuple[Entry, bytes]]
) -> Iterator[tuple[Entry, bytes]]:
    def load(entry: Entry) -> tuple[Entry, bytes] | None:
        if entry.key in known and known[entry.key][0] == entry:
            return known[entry.key]
        if entry.size > _LINE_BYTES:
            return None
        try:
            data = store.get(entry.key)
            read_record(entry.key, data)
        except (NotFoundError, *ONE_OBJECT):
            return None  # readers look at it themselves, and say what is wrong with it
        # Changed since the listing: what was read may be newer than what the line would vouch for.
        return (entry, data) if store.stat(entry.key) == entry else None

    return (line for line in store.map(load, entries, small=True) if line is not None)


def _write_segment(store: Store, lines: Sequence[tuple[Entry, bytes]]) -> None:
    text = b"\n".join(
        orjson.dumps([entry.key, entry.size, entry.modified.isoformat(), base64.b64encode(data).decode()])
        for entry, data in lines
    )
    first, last = (layout.run_of_record(lines[at][0].key) for at in (0, -1))
    key = f"{layout.CATALOG}{first}--{last}--{secrets.token_hex(4)}{layout.SEGMENT_SUFFIX}"
    store.put(key, compress(text, 3))


def _read_segment(store: Store, segment: Entry) -> list[tuple[Entry, bytes]]:
    """Read a segment; one that cannot be read, or is larger than any that is written, has no lines."""
    if segment.size > _MOST_SEGMENT:
        return []
    try:
        most = most_plain(segment.size, few=_FEW_PLAIN, ratio=_RATIO)
        text = io.BytesIO(decompress(store.get(segment.key), segment.key, most=most))
        return [_line(line) for line in text]
    except (NotFoundError, IntegrityError, FormatError, ValueError, TypeError):
        return []


def _line(text: bytes) -> tuple[Entry, bytes]:
    name, size, modified, data = orjson.loads(text)
    if type(name) is not str or type(size) is not int:
        raise TypeError("no line of a catalog")
    return Entry(name, size, datetime.fromisoformat(modified)), base64.b64decode(data)
