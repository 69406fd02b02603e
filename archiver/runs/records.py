"""Records of runs: read one, tell what a user sees of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from archiver.errors import (
    AccessError,
    IntegrityError,
    NotFoundError,
    RunNotFoundError,
)
from archiver.format import layout
from archiver.format.model import Record, Run
from archiver.format.records import ASIDE, decode_both, params_of, rows_of
from archiver.runs.details import state_of
from archiver.store import Store


def load_record(store: Store, run: str) -> Record:
    """Read one run's record. Raises RunNotFoundError when there is none, with the way back for a pruned one."""
    key = layout.record_key(run)
    try:
        return read_record(key, store.get(key))
    except NotFoundError:
        if store.stat(layout.trash_key(run)) is not None:
            raise RunNotFoundError(
                f"run {run} was pruned and is in the trash: `archiver undelete {run}` brings it back"
            ) from None
        raise RunNotFoundError(f"no run {run}: `archiver ls` shows the runs there are") from None


def read_record(key: str, data: bytes) -> Record:
    """Decode a record, and make sure that it is the one its key says. Raises IntegrityError."""
    return read_both(key, data)[0]


def read_both(key: str, data: bytes) -> tuple[Record, dict[str, Any]]:
    """Read a record as `read_record` does, and its JSON."""
    record, fields = decode_both(data, key)
    if record.run != layout.run_of_record(key):
        raise IntegrityError(f"{key} holds the record of {record.run}; {ASIDE}")
    _check_keys(record, key)
    return record, fields


def whole_record(key: str, data: bytes) -> Record:
    """Decode a record with the texts in it, which readers decode when they need them. Raises IntegrityError."""
    record = read_record(key, data)
    rows_of(record)
    params_of(record)
    return record


def _check_keys(record: Record, key: str) -> None:
    """Make sure that a record points only to keys that are its own, or named by content.

    One that lies could have another run's objects read, copied over or taken for its own.
    """
    expected = [(ref, layout.tape_key(ref.sha256)) for ref in record.tapes]
    expected += [(ref, layout.clock_key(ref.sha256)) for ref in record.clocks]
    expected += [(ref, layout.file_key(ref.sha256)) for ref in record.files]
    if record.tier1 is not None:
        expected.append((record.tier1, layout.tier1_key(record.universe, record.run)))
    if record.tier2 is not None:
        expected.append((record.tier2, layout.tier2_key(record.universe, record.run)))
    for ref, own in expected:
        if layout.parse(ref.key) != layout.parse(own):
            raise IntegrityError(f"{key} is damaged: it points to {ref.key!r}, which is not its own; {ASIDE}")


def origin(record: Record) -> dict[str, Any] | None:
    """Return what a record says of the old format it was imported from: `format`, `source`, `fingerprint` and more."""
    if record.params is None or '"imported"' not in record.params:
        return None
    facts = (params_of(record) or {}).get("imported")
    return facts if isinstance(facts, dict) and isinstance(facts.get("fingerprint"), str) else None


def run_of(record: Record, tags: Iterable[str] = ()) -> Run:
    """Return what a user sees of a record."""
    refs = [
        *record.tapes,
        *record.clocks,
        *record.files,
        *(ref for ref in (record.tier1, record.tier2) if ref is not None),
    ]
    return Run(
        id=record.run,
        universe=record.universe,
        created=record.created,
        strategies=record.strategies,
        detailed=len(record.details) if record.has_detail else 0,
        bytes=record.size + sum(ref.size for ref in refs),
        tags=tuple(tags),
        top_n=record.top_n,
        rank_by=record.rank_by,
        note=record.note,
        archived=record.archived,
        details=state_of(record).words,
        open=record.open,
    )


def look_at_clock(store: Store) -> datetime:
    """Read the store's clock, or this machine's where reading the store's takes a right that only changes need."""
    try:
        return store.now()
    except AccessError:
        return datetime.now(UTC)


def records_of(records: Sequence[Record], *, universe: str | None) -> Iterator[Record]:
    """Yield the records of one universe; None: all."""
    for record in records:
        if universe is None or record.universe == universe:
            yield record


def one_run(record: Record, universe: str | None) -> list[Record]:
    """Return the record alone. Raises NotFoundError where another universe than its own is asked for."""
    if universe not in (None, record.universe):
        raise NotFoundError(f"run {record.run} is of universe {record.universe!r}, not of {universe!r}")
    return [record]
