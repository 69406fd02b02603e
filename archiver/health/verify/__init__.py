"""Verify: whether every object that a record needs is there and is what the record says.

The structure takes listings only: what records expect is kept as a set of digests, and the listing is taken off it.
Reading the data takes every object once, in a bounded number of bytes, run by run from the oldest on, so that it can
go on where it was interrupted. What looks wrong is looked at twice: runs may come and go meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archiver.errors import (
    AccessError,
    ArchiverError,
    ConfigError,
    FormatError,
    IntegrityError,
    NotFoundError,
    StorageError,
)
from archiver.format import layout
from archiver.format.layout import digest
from archiver.format.model import Record, Ref
from archiver.format.packs import Pack
from archiver.format.parquet import ParquetObject
from archiver.health.verify.progress import Progress
from archiver.health.verify.repair import repair_records
from archiver.health.verify.report import Problem, Report, Verified, last_verified, remember_report
from archiver.runs.all_records import stream
from archiver.runs.details import fault_in_record
from archiver.runs.packed.reach import reach_tables, rows_reaching, uses
from archiver.runs.reach import reachable, reached
from archiver.runs.record_view import RecordView, viewed
from archiver.runs.records import read_record, whole_record
from archiver.store import Store
from archiver.store.bundled_copy import held_members
from archiver.store.entry import Entry
from archiver.transfer.checked import plain_digest

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Problem", "Report", "Verified", "last_verified", "verify", "verify_packs"]

_READ = (*layout.DATA, layout.PACKS)
_CHUNK = 8 << 20


class _Check(NamedTuple):
    """One object to read, for one run; a table with the number of rows that the run's record promises, if it does."""

    run: str
    ref: Ref
    rows: int | None = None


def verify(
    store: Store,
    *,
    read_data: bool = False,
    sample: float | None = None,
    resume: Path | None = None,
    repair: bool = False,
    remember: bool = False,
    expires: Callable[[Record], bool] = lambda _: False,
    step: Callable[[int], object] = lambda _: None,
) -> Report:
    """Compare what records promise with what is stored.

    Arguments:
        store: where the archive is.
        read_data: read every object and compare its sha256.
        sample: read only this part of the objects, 0 to 1, chosen anew each time; implies `read_data`.
        resume: a file that holds how far reading has come; it is continued from, and removed at the end. Implies
            `read_data`.
        repair: set records aside that cannot be read, or whose metrics are gone; write down in the others which
            details are gone. Nothing is deleted.
        remember: keep what reading the data found, for `last_verified` and the pages.
        expires: tells of a record whether a rule of the bucket removes its details by now; raises StorageError
            where the rules cannot be read.
        step: is told how many objects were read, again and again.

    Returns what was found. Raises StorageError when the store fails, ConfigError for a sample that is no share, or
    a file for `resume` that cannot be written.
    """
    if sample is not None and not (isinstance(sample, int | float) and 0 < sample <= 1):
        raise ConfigError(f"sample is {sample!r}: give a share above 0 and up to 1 (0.05 for 5%)")
    store = viewed(store)
    share = sample or float(read_data or resume is not None)
    report = Report()
    expected: set[int] = set()
    promised = _promised(store, report, expected, decode=bool(share))
    if share:
        _read_data(store, report, promised, share, resume, step)
    for _ in promised:
        pass
    report.objects = len(expected)
    _structure(store, report, expected, expires)
    # What a resumed verify had found already it may have found once more.
    report.problems = list({(one.run, one.key, one.what): one for one in report.problems}.values())
    if repair:
        repair_records(store, report)
    if remember and share and not store.read_only:
        remember_report(store, report, share)
    return report


# -- structure -----------------------------------------------------------------------------------------------


def _promised(store: RecordView, report: Report, expected: set[int], *, decode: bool) -> Iterator[_Check]:
    """Yield every object that records promise once, with the first run that reaches it, from the oldest run on.

    decode: look at packed records, and at the details that stand in records, too; else what records of packs promise is taken
    from their columns, and is not among what is yielded.
    """

    def damaged(key: str, error: IntegrityError | FormatError) -> None:
        newer, what = isinstance(error, FormatError), f"pack cannot be read: {error}"
        report.problems.append(Problem(layout.pack_span(key)[1], key, what, newer))

    look = None if decode else store.look(damaged=damaged)
    listed = store.list_records("", damaged) if look is None else look.loose
    for record, ref in reached(_records(store, report, listed, decode=decode)):
        mark = _expected(ref)
        if mark not in expected:
            expected.add(mark)
            yield _Check(record.run, ref, _rows(record, ref))
    if look is not None:
        expected.update(_expected(ref) for ref in _packed(store, report, look.packs))
    for pack in store.packs.known():
        for ref in pack.data():
            expected.add(_expected(ref))
            yield _Check(pack.newest, ref, None)


def verify_packs(store: Store) -> Report:
    """Look only whether the objects of packs are there in their sizes, which takes one listing and the record of no run."""
    view, report = viewed(store), Report()

    def damaged(key: str, error: IntegrityError | FormatError) -> None:
        report.problems.append(Problem(layout.pack_span(key)[1], key, f"pack cannot be read: {error}"))

    live = view.packs.live(damaged)
    there = {(entry.key, entry.size) for entry in view.list(layout.PACKS)}
    for pack in live:
        report.runs += pack.runs
        for ref in pack.data():
            report.objects += 1
            if (ref.key, ref.size) not in there:
                _judge_pack(view, pack, ref, report)
    return report


def _packed(store: RecordView, report: Report, packed: Sequence[tuple[Pack, np.ndarray]]) -> Iterator[Ref]:
    """Yield what the columns of packs say that their records reach. A pack that cannot be read is a problem."""
    for pack, keep in packed:
        report.runs += int(keep.sum())
        try:
            for _, table in reach_tables(store.packs, pack, keep):
                in_bundle = table.filter(table["archived"].is_valid()).select(["run", "archived"])
                report.bundles |= {row["run"]: row["archived"] for row in in_bundle.to_pylist()}
                report.archived += in_bundle["run"].to_pylist()
                yield from (use.ref for use in uses(table))
        except IntegrityError as error:
            report.problems.append(Problem(pack.newest, pack.records.key, f"pack cannot be read: {error}"))
    report.archived.sort()


def _rows(record: Record, ref: Ref) -> int | None:
    if ref == record.tier1:
        return record.strategies
    return len(record.details) if ref == record.tier2 else None


def _records(store: Store, report: Report, listed: Iterable[Entry], *, decode: bool) -> Iterator[Record]:
    """Yield the records that can be read, of those listed and in the trash, by their runs; the others are problems."""
    both = chain(listed, store.list(layout.TRASH))
    entries = [entry for entry in both if layout.run_of_record(entry.key)]
    entries.sort(key=lambda entry: entry.key.rpartition("/")[2])

    def refused(entry: Entry, error: ArchiverError) -> None:
        report.runs += entry.key.startswith(layout.RUNS)
        run = layout.run_of_record(entry.key) or ""
        report.problems.append(Problem(run, entry.key, f"record cannot be read: {error}"))

    for entry, data in stream(store, entries, refused=refused):
        if data is None:
            continue
        report.runs += entry.key.startswith(layout.RUNS)
        try:
            record = whole_record(entry.key, data)
        except (IntegrityError, FormatError) as error:
            run = layout.run_of_record(entry.key) or ""
            newer = isinstance(error, FormatError)
            report.problems.append(Problem(run, entry.key, f"record cannot be read: {error}", newer))
            continue
        if record.archived:
            report.archived.append(record.run)
            report.bundles[record.run] = record.archived
        if decode and (fault := fault_in_record(record)) is not None:
            report.problems.append(Problem(record.run, entry.key, f"holds details that are damaged: {fault}"))
        yield record


def _structure(
    store: RecordView, report: Report, expected: set[int], expires: Callable[[Record], bool]
) -> None:
    """Take what is listed off what is expected, and look for what is left."""
    _bundles(store, report)
    for prefix in _READ:
        for entry in store.list(prefix):
            expected.discard(digest(f"{entry.key} {entry.size}"))
            if entry.size and prefix in layout.FRAMES:
                expected.discard(digest(entry.key))
    if not expected:
        return
    known = {problem.key for problem in report.problems}
    for pack in store.packs.known():
        for ref in pack.data():
            if _expected(ref) in expected and ref.key not in known:
                _judge_pack(store, pack, ref, report)
    for record, place in _doubtful(store, expected):
        for ref in reachable(record):
            if _expected(ref) in expected and ref.key not in known:
                _judge(store, record, place, ref, report, expires)


def _bundles(store: Store, report: Report) -> None:
    """Look for the bundles in their default home that hold archived details; those elsewhere are not ours to judge."""
    runs_of: dict[str, list[str]] = {}
    for run, name in report.bundles.items():
        if "/" not in name:
            runs_of.setdefault(layout.bundle_key(name), []).append(run)
    for key, runs in runs_of.items():
        report.problems += [Problem(run, key, what) for run, what in _judge_bundle(store, key, runs).items()]


def _judge_bundle(store: Store, key: str, runs: list[str]) -> dict[str, str]:
    """Say what is wrong with a bundle for each of the runs whose details it should hold."""
    try:
        held = held_members(store, key)
    except NotFoundError:
        return dict.fromkeys(runs, "is missing, and the run's details with it")
    except IntegrityError as error:
        return dict.fromkeys(runs, f"cannot be read, and the run's details with it: {error}")
    except FormatError:
        return {}  # of a later version
    if held is None:
        return {}  # a frozen bundle is as it should be, and cannot be looked into
    what = "holds other runs: the run's details are not in it"
    return {run: what for run in runs if layout.record_key(run) not in held}


def _doubtful(store: RecordView, missing: set[int]) -> Iterator[tuple[Record, str]]:
    """Yield the records that expect something that was not listed, and the key of each record."""
    for listed in (_listed_doubtful(store, missing), store.list(layout.TRASH)):
        entries = [entry for entry in listed if layout.run_of_record(entry.key)]
        for entry, data in stream(store, entries, refused=lambda _entry, _error: None):
            try:
                record = read_record(entry.key, data) if data is not None else None
            except (IntegrityError, FormatError):
                continue
            if record is not None and any(_expected(ref) in missing for ref in reachable(record)):
                yield record, entry.key


def _listed_doubtful(store: RecordView, missing: set[int]) -> Iterator[Entry]:
    """Yield loose records, and those packed ones whose columns name something that was not listed."""
    look = store.look(damaged=lambda _key, _error: None)
    yield from look.loose
    for pack, keep in look.packs:
        with suppress(IntegrityError):
            for _, table in reach_tables(store.packs, pack, keep):
                doubtful = rows_reaching(table, lambda ref: _expected(ref) in missing)
                places = (store.packs.find([pack], run) for run in table["run"].filter(doubtful).to_pylist())
                yield from (place.entry for place in places if place is not None)


def _judge(
    store: Store, record: Record, place: str, ref: Ref, report: Report, expires: Callable[[Record], bool]
) -> None:
    """Look once more at an object that was not listed as expected, and say what is wrong with it."""
    found = store.stat(ref.key)
    if found is not None and (found.size == ref.size or (ref.plain and found.size)):
        return
    if store.stat(place) is None:
        return  # the run was pruned, and its grace ended, while we looked
    if found is None and record.tier2 == ref:
        # What is in the trash comes back without its details.
        if place.startswith(layout.RUNS):
            _judge_details(record, ref, report, expires)
    elif found is None:
        report.problems.append(Problem(record.run, ref.key, "is missing"))
    else:
        stored = "empty" if ref.plain else f"{found.size:,} bytes, not {ref.size:,}"
        report.problems.append(Problem(record.run, ref.key, f"is {stored}"))


def _judge_pack(store: Store, pack: Pack, ref: Ref, report: Report) -> None:
    """Look once more at an object of a pack, and say what is wrong with it."""
    found = store.stat(ref.key)
    if store.stat(pack.key) is not None and (found is None or found.size != ref.size):
        what = "is missing" if found is None else f"is {found.size:,} bytes, not {ref.size:,}"
        report.problems.append(Problem(pack.newest, ref.key, what))


def _judge_details(record: Record, ref: Ref, report: Report, expires: Callable[[Record], bool]) -> None:
    """Say of details that are missing whether they expired."""
    what = "is missing"
    try:
        if expires(record):
            report.expired.append(record.run)
            return
    except StorageError as error:
        what = f"is missing; the bucket's rules could not be read, which may have removed it: {error}"
    report.problems.append(Problem(record.run, ref.key, what))


# -- data ----------------------------------------------------------------------------------------------------


def _read_data(
    store: Store,
    report: Report,
    promised: Iterator[_Check],
    share: float,
    resume: Path | None,
    step: Callable[[int], object],
) -> None:
    progress = Progress(store, report, resume)
    salt = secrets.token_hex(8)

    def check(item: _Check) -> tuple[_Check, int, str | None]:
        return item, *compare(store, item.ref, item.rows)

    wanted = (item for item in promised if item.run > progress.after and _drawn(item.ref.key, salt, share))
    try:
        # Small ones on a disk are read one by one; where large ones take longer, threads take over.
        for item, amount, wrong in store.map(check, wanted, small=True):
            progress.passed(item.run)
            report.read += 1
            report.bytes += amount
            # What is missing the structure will tell, and whether that is damage.
            if wrong is not None and store.stat(item.ref.key) is not None:
                report.problems.append(Problem(item.run, item.ref.key, wrong))
            step(1)
    except BaseException:
        progress.interrupted()
        raise
    progress.finish()


def compare(store: Store, ref: Ref, rows: int | None = None) -> tuple[int, str | None]:
    """Read an object and compare it with what its record says. Return its bytes, and what is wrong: None for nothing.

    rows: how many the record promises of a table. Whatever is stored, memory is that of a few pieces.
    """
    try:
        if ref.plain:
            data = store.get(ref.key)
            good = plain_digest(data, ref) == ref.sha256
            return len(data), None if good else "has other content than its name says"
        hashed = sha256()
        start, piece = 0, b""
        for start in range(0, ref.size, _CHUNK):
            piece = store.get(ref.key, start, min(start + _CHUNK, ref.size))
            hashed.update(piece)
        if hashed.hexdigest() != ref.sha256:
            return ref.size, "is damaged: its sha256 is not the record's"
        if ref.key.endswith(".parquet"):
            # The footer is at the end, which is at hand.
            ParquetObject(
                ref,
                lambda a, b: piece[a - start : b - start] if a >= start else store.get(ref.key, a, b),
                rows=rows,
            )
    except NotFoundError:
        return 0, "is missing"
    except AccessError as error:
        return 0, f"cannot be read: {error}"
    except (IntegrityError, FormatError) as error:
        return 0, str(error).removeprefix(f"{ref.key} ")
    return ref.size, None


def _drawn(key: str, salt: str, share: float) -> bool:
    return share >= 1 or digest(salt + key) < share * 2**64


def _expected(ref: Ref) -> int:
    # A record knows the plain size of code, not that of its frame.
    return digest(ref.key if ref.plain else f"{ref.key} {ref.size}")
