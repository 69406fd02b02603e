"""All records of an archive: each decoded once, or as a stream of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from archiver.base.unread import ONE_OBJECT, Errors, Unread, teller
from archiver.errors import AccessError, ArchiverError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record
from archiver.format.records import MOST_STORED
from archiver.runs.record_view import RecordView
from archiver.runs.records import load_record, read_record
from archiver.store import Store
from archiver.store.entry import Entry

_CHUNK = 4_096


class Records:
    """Reads the records of a store, each once."""

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
        entries = [entry for entry in self._list(prefix, tell) if layout.run_of_record(entry.key)]
        if newest is not None:
            entries = newest_entries(entries, newest)
        return self.load(entries, tell)

    def load(self, entries: Sequence[Entry], tell: Callable[[Unread], object]) -> list[Record]:
        """Return the records that were listed so, newest first; tell: is told of each that cannot be read."""
        missing = [entry for entry in entries if not self._has(entry)]
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

    def _list(self, prefix: str, tell: Callable[[Unread], object]) -> Iterator[Entry]:
        if prefix == layout.RUNS and isinstance(self._store, RecordView):
            return self._store.list_records(
                "", lambda key, error: tell(Unread(layout.pack_span(key)[1], None, error))
            )
        return self._store.list(prefix)

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


def newest_entries(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Return the entries of the newest runs: all of the second that the last of them is of, for ids tell no more."""
    by_second = sorted(entries, key=lambda entry: entry.key, reverse=True)
    if count >= len(by_second):
        return by_second
    last = by_second[count - 1].key.partition("-")[0] if count else ""
    return [entry for entry in by_second if count and entry.key.partition("-")[0] >= last]


def stream(
    store: Store,
    entries: Sequence[Entry],
    *,
    refused: Callable[[Entry, ArchiverError], object] | None = None,
) -> Iterator[tuple[Entry, bytes | None]]:
    """Yield the bytes of records in the order of their entries, None for one that is gone since it was listed.

    Memory is that of some thousand records, however many there are. refused: is told of a record that may not be read,
    or that a damaged pack holds, which is left out; without it that is raised.
    """
    for start in range(0, len(entries), _CHUNK):
        chunk = entries[start : start + _CHUNK]
        for entry, data in zip(chunk, store.map(partial(_bytes, store), chunk, small=True), strict=True):
            if not isinstance(data, ArchiverError):
                yield entry, data
            elif refused is None:
                raise data
            else:
                refused(entry, data)


def _bytes(store: Store, entry: Entry) -> bytes | ArchiverError | None:
    try:
        return _bytes_of(store, entry)
    except NotFoundError:
        return None
    except (AccessError, IntegrityError) as error:
        return error


def _bytes_of(store: Store, entry: Entry) -> bytes:
    """Read a record, of one that is too large only as much as shows it."""
    if isinstance(store, RecordView):
        return store.get_listed(entry.key, MOST_STORED + 1)
    return store.get(entry.key) if entry.size <= MOST_STORED else store.get(entry.key, 0, MOST_STORED + 1)
