"""The catalog: all records in a few objects, so that reading them takes a few requests. Derived, never trusted.

A segment, `catalog/<first run>--<last run>--<random>.jsonl.zst`, has a line for each record: the key, size and time of
change that a listing showed, and the record's bytes in base64. A line counts only for an object that a listing
shows with the same three; every other record is read itself. So the catalog may be stale, never wrong.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import orjson

from archiver.errors import FormatError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record
from archiver.format.records import compress, decompress
from archiver.runs.records import load_record, read_record
from archiver.store import Store
from archiver.store.entry import Entry

_SEGMENT = 4_096
_WORTH = 64
"""With fewer unknown records than this, reading them is as fast as reading the catalog."""


class Records:
    """Reads the records of a store, each object once; the catalog where that saves requests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[Entry, Record]] = {}

    def read(self, prefix: str = layout.RUNS) -> list[Record]:
        """Return every record below a prefix (`runs/` or `trash/`), newest first.

        Raises IntegrityError or FormatError for a record that cannot be read: it is never taken for absent.
        """
        entries = [entry for entry in self._store.list(prefix) if layout.run_of_record(entry.key)]
        missing = [entry for entry in entries if not self._has(entry)]
        if len(missing) >= _WORTH:
            self._read_catalog(missing)
            missing = [entry for entry in missing if not self._has(entry)]
        for entry, record in zip(missing, self._store.map(self._load, missing, small=True), strict=True):
            if record is not None:
                self._known[entry.key] = (entry, record)
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

    def _load(self, entry: Entry) -> Record | None:
        try:
            data = self._store.get(entry.key)
        except NotFoundError:
            # Pruned since the listing: it is no longer a run.
            return None
        return read_record(entry.key, data)

    def _read_catalog(self, missing: Sequence[Entry]) -> None:
        wanted = {entry.key: entry for entry in missing}
        for line in segment_lines(self._store):
            entry, data = line
            if wanted.get(entry.key) == entry:
                self._known[entry.key] = (entry, read_record(entry.key, data))


def segment_lines(store: Store) -> Iterator[tuple[Entry, bytes]]:
    """Yield every line of the catalog; a segment that cannot be read is passed over, for nothing depends on it."""
    keys = [entry.key for entry in _segments(store)]
    for lines in store.map(lambda key: _read_segment(store, key), keys):
        yield from lines


def stream(
    store: Store, entries: Sequence[Entry], *, catalog: bool = True
) -> Iterator[tuple[Entry, bytes | None]]:
    """Yield the bytes of records in the order of their entries, None for one that is gone since it was listed.

    Memory is that of some thousand records, however many there are. catalog: take bytes from there where it saves
    requests; what it holds is what the listing vouches for.
    """
    segments = _segments(store) if catalog and len(entries) >= _WORTH else []
    for start in range(0, len(entries), _SEGMENT):
        chunk = entries[start : start + _SEGMENT]
        known = _from_segments(store, segments, chunk)
        missing = [entry.key for entry in chunk if entry.key not in known]
        read = store.map(partial(_bytes, store), missing, small=True)
        for entry in chunk:
            yield entry, known[entry.key] if entry.key in known else next(read)


def superseded(store: Store, entries: Iterable[Entry]) -> list[Entry]:
    """Return the segments that newer ones make superfluous, or that nothing in these records matches any more."""
    current = {entry.key: entry for entry in entries}
    needless = []
    for segment in _segments(store):
        found = [
            entry.key for entry, _ in _read_segment(store, segment.key) if current.get(entry.key) == entry
        ]
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
        for entry, data in _read_segment(store, segment.key):
            if wanted.get(entry.key) == entry:
                known.setdefault(entry.key, data)
    return known


def _bytes(store: Store, key: str) -> bytes | None:
    try:
        return store.get(key)
    except NotFoundError:
        return None


def compact(store: Store) -> int:
    """Write the catalog anew over all records. Returns how many records it holds.

    What it replaces is left to gc, so that readers that have begun can end.
    """
    entries = [entry for entry in store.list(layout.RUNS) if layout.run_of_record(entry.key)]
    known = {entry.key: (entry, data) for entry, data in segment_lines(store)}
    count = 0
    for start in range(0, len(entries), _SEGMENT):
        chunk = entries[start : start + _SEGMENT]
        lines = list(_lines(store, chunk, known))
        count += len(lines)
        if lines:
            _write_segment(store, lines)
    return count


def _lines(
    store: Store, entries: Iterable[Entry], known: dict[str, tuple[Entry, bytes]]
) -> Iterator[tuple[Entry, bytes]]:
    def load(entry: Entry) -> tuple[Entry, bytes] | None:
        if entry.key in known and known[entry.key][0] == entry:
            return known[entry.key]
        try:
            data = store.get(entry.key)
        except NotFoundError:
            return None
        read_record(entry.key, data)
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


def _read_segment(store: Store, key: str) -> list[tuple[Entry, bytes]]:
    try:
        text = decompress(store.get(key), key)
        rows = [orjson.loads(line) for line in text.splitlines()]
        return [
            (Entry(name, size, datetime.fromisoformat(modified)), base64.b64decode(data))
            for name, size, modified, data in rows
        ]
    except (NotFoundError, IntegrityError, FormatError, ValueError):
        return []
