"""Verify: whether every object that a record needs is there and is what the record says.

The structure takes listings only: what records expect is kept as a set of digests, and the listing is taken off it.
Reading the data takes every object once, in a bounded number of bytes, run by run from the oldest on, so that it can
go on where it was interrupted. What looks wrong is looked at twice: runs may come and go meanwhile.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from archiver import layout
from archiver.catalog import stream
from archiver.codec.records import decompress
from archiver.errors import ConfigError, FormatError, IntegrityError, NotFoundError, StorageError
from archiver.layout import digest
from archiver.model import Record, Ref
from archiver.runs import reachable, reached, read_record, remove
from archiver.store import Store

_DATA = (layout.TIER1, layout.TIER2, layout.TAPES, layout.CODE)
_RECORDS = (layout.RUNS, layout.TRASH)
_CHUNK = 8 << 20
_SAVE_EVERY = 2_000
_AT_ONCE_LOCAL = 16
"""On a disk one thread reads so many objects at a time: handing over each costs more than reading a small one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong: the run, the object, and what is wrong with it."""

    run: str
    key: str
    what: str


@dataclass
class Report:
    """What verify found. `ok` says whether nothing is damaged."""

    runs: int = 0
    objects: int = 0
    read: int = 0
    """Objects whose bytes were read."""
    bytes: int = 0
    """Bytes that were read."""
    problems: list[Problem] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    """Runs whose details a rule of the bucket removed."""
    archived: list[str] = field(default_factory=list)
    """Runs whose details are in a bundle instead."""
    quarantined: list[str] = field(default_factory=list)
    """Records that `repair` set aside."""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged; expired and archived details are not damage."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Verified:
    """What the last verify that read data found.

    `moment` is aware UTC; `share` says which part of the objects it was to read, 0 to 1; the others are counts.
    """

    moment: datetime
    share: float
    runs: int
    read: int
    bytes: int
    problems: int


class _Check(NamedTuple):
    """One object to read, for one run."""

    run: str
    ref: Ref


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
        resume: a file that holds how far reading has come; it is continued from, and removed at the end.
        repair: set records aside that cannot be read, or whose metrics are gone. Nothing is deleted.
        remember: keep what reading the data found, for `last_verified` and the pages.
        expires: tells of a record whether a rule of the bucket removes its details by now.
        step: is told how many objects were read, again and again.

    Returns what was found. Raises StorageError when the store fails, ConfigError for a sample that is no share.
    """
    if sample is not None and not 0 < sample <= 1:
        raise ConfigError(f"sample is {sample!r}: give a share above 0 and up to 1 (such as 5%)")
    share = sample or float(read_data)
    report = Report()
    expected: set[int] = set()
    promised = _promised(store, report, expected)
    if share:
        _read_data(store, report, promised, share, resume, step)
    for _ in promised:
        pass
    report.objects = len(expected)
    _structure(store, report, expected, expires)
    if repair:
        _set_aside(store, report)
    if remember and share and not store.read_only:
        _remember(store, report, share)
    return report


def last_verified(store: Store) -> Verified | None:
    """Return what the last remembered verify that read data found, or None where none is known."""
    with suppress(NotFoundError, ValueError, TypeError, KeyError):
        fields = json.loads(store.get(layout.VERIFIED))
        return Verified(**fields | {"moment": datetime.fromisoformat(fields["moment"])})
    return None


def _remember(store: Store, report: Report, share: float) -> None:
    found = Verified(datetime.now(UTC), share, report.runs, report.read, report.bytes, len(report.problems))
    fields = asdict(found) | {"moment": found.moment.isoformat()}
    # Who may only read verifies all the same.
    with suppress(StorageError):
        store.put(layout.VERIFIED, json.dumps(fields).encode())


# -- structure -----------------------------------------------------------------------------------------------


def _promised(store: Store, report: Report, expected: set[int]) -> Iterator[_Check]:
    """Yield every object that records promise once, with the first run that reaches it, from the oldest run on."""
    for record, ref in reached(_records(store, report)):
        mark = _expected(ref)
        if mark not in expected:
            expected.add(mark)
            yield _Check(record.run, ref)


def _records(store: Store, report: Report) -> Iterator[Record]:
    """Yield the records that can be read, by their runs; the others are problems."""
    entries = [
        entry for prefix in _RECORDS for entry in store.list(prefix) if layout.run_of_record(entry.key)
    ]
    entries.sort(key=lambda entry: entry.key.rpartition("/")[2])
    for entry, data in stream(store, entries, catalog=False):
        if data is None:
            continue
        report.runs += entry.key.startswith(layout.RUNS)
        try:
            record = read_record(entry.key, data)
        except (IntegrityError, FormatError) as error:
            run = layout.run_of_record(entry.key) or ""
            report.problems.append(Problem(run, entry.key, f"record cannot be read: {error}"))
            continue
        if record.archived:
            report.archived.append(record.run)
        yield record


def _structure(store: Store, report: Report, expected: set[int], expires: Callable[[Record], bool]) -> None:
    """Take what is listed off what is expected, and look for what is left."""
    for prefix in _DATA:
        for entry in store.list(prefix):
            expected.discard(digest(f"{entry.key} {entry.size}"))
            if entry.size and prefix == layout.CODE:
                expected.discard(digest(entry.key))
    if not expected:
        return
    known = {problem.key for problem in report.problems}
    for record, place in _doubtful(store, expected):
        for ref in reachable(record):
            if _expected(ref) in expected and ref.key not in known:
                _judge(store, record, place, ref, report, expires)


def _doubtful(store: Store, missing: set[int]) -> Iterator[tuple[Record, str]]:
    """Yield the records that expect something that was not listed, and the key of each record."""
    for prefix in _RECORDS:
        entries = [entry for entry in store.list(prefix) if layout.run_of_record(entry.key)]
        for entry, data in stream(store, entries):
            try:
                record = read_record(entry.key, data) if data is not None else None
            except (IntegrityError, FormatError):
                continue
            if record is not None and any(_expected(ref) in missing for ref in reachable(record)):
                yield record, entry.key


def _judge(
    store: Store, record: Record, place: str, ref: Ref, report: Report, expires: Callable[[Record], bool]
) -> None:
    """Look once more at an object that was not listed as expected, and say what is wrong with it."""
    found = store.stat(ref.key)
    if found is not None and (found.size == ref.size or (ref.plain and found.size)):
        return
    if store.stat(place) is None:
        return  # the run was pruned, and its grace ended, while we looked
    if found is None and record.tier2 == ref and expires(record):
        report.expired.append(record.run)
    elif found is None:
        report.problems.append(Problem(record.run, ref.key, "is missing"))
    else:
        stored = "empty" if ref.plain else f"{found.size:,} bytes, not {ref.size:,}"
        report.problems.append(Problem(record.run, ref.key, f"is {stored}"))


# -- data ----------------------------------------------------------------------------------------------------


def _read_data(
    store: Store,
    report: Report,
    promised: Iterator[_Check],
    share: float,
    resume: Path | None,
    step: Callable[[int], object],
) -> None:
    progress = _Progress(store, report, resume)
    salt = secrets.token_hex(8)

    def check(items: Sequence[_Check]) -> list[tuple[_Check, int, str | None]]:
        return [(item, *_compare(store, item.ref)) for item in items]

    wanted = (item for item in promised if item.run > progress.after and _drawn(item.ref.key, salt, share))
    many = _batches(wanted, _AT_ONCE_LOCAL if store.local else 1)
    for item, amount, wrong in chain.from_iterable(store.map(check, many)):
        progress.passed(item.run)
        report.read += 1
        report.bytes += amount
        # What is missing the structure will tell, and whether that is damage.
        if wrong is not None and store.stat(item.ref.key) is not None:
            report.problems.append(Problem(item.run, item.ref.key, wrong))
        step(1)
    progress.finish()


def _batches(items: Iterable[_Check], size: int) -> Iterator[list[_Check]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _compare(store: Store, ref: Ref) -> tuple[int, str | None]:
    """Read an object and compare it with what its record says. Return its bytes, and what is wrong if anything."""
    try:
        if ref.plain:
            data = store.get(ref.key)
            plain = decompress(data, ref.key)
            good = len(plain) == ref.size and sha256(plain).hexdigest() == ref.sha256
            return len(data), None if good else "has other content than its name says"
        hashed = sha256()
        for start in range(0, ref.size, _CHUNK):
            hashed.update(store.get(ref.key, start, min(start + _CHUNK, ref.size)))
    except NotFoundError:
        return 0, "is missing"
    except IntegrityError:
        return 0, "is damaged: it cannot be decompressed"
    return (
        ref.size,
        None if hashed.hexdigest() == ref.sha256 else "is damaged: its sha256 is not the record's",
    )


def _drawn(key: str, salt: str, share: float) -> bool:
    return share >= 1 or digest(salt + key) < share * 2**64


class _Progress:
    """How far reading has come, in a file that outlives the process."""

    def __init__(self, store: Store, report: Report, path: Path | None) -> None:
        self.after = ""
        self._store, self._report, self._path = store, report, path
        self._run = ""
        self._count = 0
        if path is not None and path.is_file():
            self._continue(path)

    def _continue(self, path: Path) -> None:
        try:
            state = json.loads(path.read_bytes())
            url = state["url"]
            self.after = str(state["after"])
            self._report.read, self._report.bytes = int(state["read"]), int(state["bytes"])
            found = [Problem(*item) for item in state["problems"]]
        except (ValueError, KeyError, TypeError, OSError):
            raise ConfigError(f"{path} does not tell how far a verify came: name another file") from None
        if url != self._store.url:
            raise ConfigError(f"{path} is of {url}: name another file, or remove it")
        named = {problem.key for problem in self._report.problems}
        self._report.problems += [problem for problem in found if problem.key not in named]

    def passed(self, run: str) -> None:
        """Take note that reading has come to an object of a run: all objects of earlier runs were read."""
        self._count += 1
        if run != self._run and self._count >= _SAVE_EVERY:
            self._save(self._run)
        self._run = run

    def finish(self) -> None:
        """Forget the progress: everything was read."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _save(self, run: str) -> None:
        self._count = 0
        if self._path is None or not run:
            return
        state: dict[str, Any] = {
            "url": self._store.url,
            "after": run,
            "read": self._report.read,
            "bytes": self._report.bytes,
            "problems": [[problem.run, problem.key, problem.what] for problem in self._report.problems],
        }
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(json.dumps(state))
        part.replace(self._path)


# -- repair --------------------------------------------------------------------------------------------------


def _set_aside(store: Store, report: Report) -> None:
    """Move records that cannot be read, or whose metrics are gone, to `quarantine/`."""
    for run in dict.fromkeys(problem.run for problem in report.problems):
        for prefix in _RECORDS:
            key = f"{prefix}{run}{layout.RECORD_SUFFIX}"
            try:
                data = store.get(key)
            except NotFoundError:
                continue
            if _points_to_nothing(store, key, data):
                store.put(f"{layout.QUARANTINE}{key}", data)
                for error in remove(store, [key]).values():
                    raise error
                report.quarantined.append(key)


def _points_to_nothing(store: Store, key: str, data: bytes) -> bool:
    try:
        record = read_record(key, data)
    except IntegrityError:
        return True
    except FormatError:
        return False  # a newer archiver reads it
    return record.tier1 is not None and store.stat(record.tier1.key) is None


def _expected(ref: Ref) -> int:
    # A record knows the plain size of code, not that of its frame.
    return digest(ref.key if ref.plain else f"{ref.key} {ref.size}")
