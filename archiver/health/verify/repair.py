"""Repair: records that point to nothing are set aside, and what is gone for good is written down. Nothing is deleted."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

from archiver.errors import AccessError, FormatError, IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record
from archiver.health.verify.report import Report
from archiver.retention.trash import Move, put_away, set_aside
from archiver.runs.details import BUCKET_RULE, LOST, fault_in_record, without_details
from archiver.runs.records import whole_record
from archiver.store import Store

RECORDS = (layout.RUNS, layout.TRASH)


def repair_records(store: Store, report: Report) -> None:
    """Move records that cannot be read, or whose metrics are gone, to `quarantine/`; reduce those without details."""
    for run in dict.fromkeys([*(problem.run for problem in report.problems), *report.expired]):
        for prefix in RECORDS:
            _repair(store, report, f"{prefix}{run}{layout.RECORD_SUFFIX}", expired=run in report.expired)


def _repair(store: Store, report: Report, key: str, *, expired: bool) -> None:
    try:
        data = store.get(key)
    except (NotFoundError, AccessError):
        return  # what may not be read may be as good as any
    record: Record | None = None
    try:
        record = whole_record(key, data)
    except FormatError:
        return  # a newer archiver reads it
    except IntegrityError:
        pass
    if record is None or _points_to_nothing(store, record):
        if set_aside(store, key, data):
            report.quarantined.append(key)
    elif key.startswith(layout.RUNS) and _lacks_details(store, record):
        # As a prune does, for a rule is a policy too. Lost details may turn up in a backup: for these the whole
        # record, and so the tapes, are kept for as long as it takes.
        if expired:
            less = partial(without_details, why=BUCKET_RULE)
            done = put_away(store, [Move(record.run, less, sha256(data).hexdigest())], spare=False)
            done.check()
            report.reduced += done.reduced
        elif set_aside(store, key, data, without_details(record, LOST)):
            report.reduced.append(record.run)


def _lacks_details(store: Store, record: Record) -> bool:
    if record.tier2 is None:
        return fault_in_record(record) is not None
    return store.stat(record.tier2.key) is None


def _points_to_nothing(store: Store, record: Record) -> bool:
    return record.tier1 is not None and store.stat(record.tier1.key) is None
