"""The trash: how a run, or its details, go and come back. Whoever removes anything does it here; gc alone deletes.

A run goes by its record: a copy is put into `trash/`, then the record goes, or a lesser one takes its place. Data is not
touched. What makes that safe without locks is looking twice, each time after one's own write:

- a removal looks whether its copies are still there (somebody may have brought the run back), and whether somebody
  pinned the run;
- a pin looks whether the run is still there, as it was (`hold`);
- whoever moves a run, either way, writes a claim first: an object that names the runs, and goes last. gc spares what is
  pinned or claimed, and having deleted what was not, it looks again and puts back what is by then. A claimed run that it
  cannot find is on its way.

A copy is always put anew, so that its grace begins when the run goes, whatever lay in the trash before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from archiver.base.run_id import common_beginning, is_run_id
from archiver.errors import ArchiverError, IntegrityError, NotFoundError, RunNotFoundError, StorageError
from archiver.format import layout
from archiver.format.model import Record
from archiver.runs.details import encode_unlike, without_details
from archiver.runs.packed.unpacking import Loosened, loosened
from archiver.runs.reach import reachable
from archiver.runs.record_puts import put_records
from archiver.runs.record_view import RecordView, viewed
from archiver.runs.records import load_record, read_record
from archiver.runs.removal import remove
from archiver.runs.tags import pinned
from archiver.store import Store

_BATCH = 500
_FEW = 16
"""So few records are looked at one by one rather than by a listing."""
_ELSEWHERE = "something else than archiver, such as a rule of the bucket"


class Move(NamedTuple):
    """What is to go to the trash: a run, or what `less` leaves out of its record; only while its record has this sha256, if any."""

    run: str
    less: Callable[[Record], Record] | None = None
    sha256: str | None = None


@dataclass
class Removed:
    """What a removal did: runs that went to the trash, runs that lost their details, and what failed, by run."""

    removed: list[str] = field(default_factory=list)
    reduced: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    """Runs that were pinned meanwhile, and are back."""
    failed: dict[str, StorageError] = field(default_factory=dict)

    def forget(self, runs: Iterable[str]) -> None:
        """Take runs off what was removed: they are back."""
        back = set(runs)
        self.removed = [run for run in self.removed if run not in back]
        self.reduced = [run for run in self.reduced if run not in back]

    def check(self) -> None:
        """Raise the first failure, if there is one."""
        for error in self.failed.values():
            raise error


class _Copy(NamedTuple):
    """A record as it was, and as it lies in the trash now."""

    data: bytes
    whole: bytes


def put_away(
    store: Store,
    moves: Sequence[Move],
    *,
    spare: bool = True,
    step: Callable[[int], object] = lambda _: None,
) -> Removed:
    """Move runs, or their details, to the trash, from where `bring_back` has them until gc frees them.

    Arguments:
        store: where the archive is.
        moves: what is to go. Runs that are gone already, or changed, are passed over.
        spare: bring back what is pinned.
        step: is told how many of them were dealt with, again and again.

    Returns what was done; what failed for single runs is in it. Raises IntegrityError for a record that cannot be read,
    StorageError when the store fails as a whole.
    """
    store = viewed(store)
    done = Removed()
    for start in range(0, len(moves), _BATCH):
        batch = moves[start : start + _BATCH]
        with _claim(store, [one.run for one in batch]):
            _move(store, batch, done)
        if spare:
            _spare_pinned(store, {one.run for one in batch}, done)
        step(len(batch))
    return done


def bring_back(store: Store, run: str) -> tuple[Record, bool]:
    """Make a run again what it was before it, or its details, went to the trash.

    Returns its record, and whether its details came with it: where nothing but these is gone meanwhile, the run comes
    back without them. Raises RunNotFoundError when it is not in the trash (any more), IntegrityError when its record is
    damaged or other data that it needs is gone; nothing changes then.
    """
    store = viewed(store)
    missing = RunNotFoundError(f"run {run} is not in the trash: `archiver undelete` lists what is")
    if store.stat(layout.trash_key(run)) is None:
        raise missing
    claim = layout.claim_key(run)
    store.put(claim, run.encode())
    try:
        return _bring_back(store, run, claim)
    except ArchiverError as error:
        _remove_claim(store, claim)
        if isinstance(error, NotFoundError):
            raise missing from None
        raise


def hold(store: Store, before: Record, *, back: bool) -> None:
    """Make sure, right after a tag was written, that its run is there: it may have gone at this very moment.

    before: the record, as it was before the tag. back: bring the run, and its details, back, as a pin does. Raises
    RunNotFoundError when it is gone.
    """
    store, run = viewed(store), before.run
    try:
        record = load_record(store, run)
    except RunNotFoundError:
        if not back:
            raise
    else:
        if not back or not before.has_detail or record.has_detail:
            return
    _spare(store, run)
    load_record(store, run)


def bring_pinned_back(store: Store, runs: Iterable[str]) -> None:
    """Bring back those of these runs that are pinned and have no record but that in the trash.

    A removal died before it looked for pins, or when it looked, gc had just deleted what it now puts back.
    """
    for run in sorted(pinned(store).intersection(runs)):
        if store.stat(layout.record_key(run)) is None:
            _spare(store, run)


def held(store: Store, dead: datetime) -> set[str]:
    """Return the runs whose records in the trash nobody may delete: pinned ones, and those that somebody is at (see `claimed`)."""
    return claimed(store, dead) | pinned(store)


def claimed(store: Store, dead: datetime) -> set[str]:
    """Return the runs that somebody moves just now, to the trash or back.

    dead: claims of this moment or before it are of movers that died; they count for nothing.
    """
    alive = (entry.key for entry in store.list(layout.TRASH) if entry.modified > dead)
    runs: set[str] = set()
    for claim in [key for key in alive if (known := layout.parse(key)) is not None and known.name == "claim"]:
        with suppress(NotFoundError):
            runs.update(filter(is_run_id, store.get(claim).decode("ascii", "replace").splitlines()))
    return runs


def set_aside(store: Store, key: str, data: bytes, less: Record | None = None) -> bool:
    """Keep a record that is of no use as it is in `quarantine/`, which gc does not empty.

    key, data: of the record in `runs/` or `trash/`; less: a record to take its place. Returns False, and leaves it
    where it is, when it has changed meanwhile.
    """
    store.put(layout.quarantine_key(key), data)
    try:
        if store.get(key) != data:
            return False
    except NotFoundError:
        return False
    if less is not None:
        store.put(key, encode_unlike(less, len(data)))
    else:
        for error in remove(store, [key]).values():
            raise error
    return True


# -- going ---------------------------------------------------------------------------------------------------


def _move(store: RecordView, batch: Sequence[Move], done: Removed) -> None:
    """Copy records first, then have them go or change, then look whether the copies are there."""
    leaving = {one.run for one in batch if one.less is None}
    with loosened(store, [one.run for one in batch], leaving) as found:
        made = zip(batch, store.map(partial(_copy, store, found, done), batch), strict=True)
        copies = {one.run: copy for one, copy in made if copy is not None}
    going = [one.run for one in batch if one.run in copies and one.less is None]
    kept = [one for one in batch if one.run in copies and one.less is not None]
    failed = remove(store, [layout.record_key(run) for run in going]) if going else {}
    for run in going:
        error = failed.get(layout.record_key(run))
        if error is None:
            done.removed.append(run)
        else:
            done.failed[run] = error
    _reduce(store, copies, kept, done)
    _look_again(store, {run: copy.whole for run, copy in copies.items() if run not in done.failed}, done)


def _copy(store: RecordView, found: Loosened, done: Removed, one: Move) -> _Copy | None:
    """Copy a record to the trash. Return None where there is nothing to move; found: where the records are."""
    key = layout.record_key(one.run)
    try:
        data = found.read(store, one.run)
    except NotFoundError:
        return None  # somebody was quicker
    if one.sha256 is not None and hashlib.sha256(data).hexdigest() != one.sha256:
        return None
    record = read_record(key, data)
    lesser = record.detail_removed is not None or record.archived is not None
    try:
        whole = _whole(store, one.run, data) if lesser else data
        store.put(layout.trash_key(one.run), whole)
    except StorageError as error:
        done.failed[one.run] = error
        return None
    return _Copy(data, whole)


def _whole(store: Store, run: str, data: bytes) -> bytes:
    """Return what the trash is to hold of a run whose details went before: the record that still has them."""
    key = layout.trash_key(run)
    try:
        whole = store.get(key)
        read_record(key, whole)
    except (NotFoundError, IntegrityError):
        return data
    return whole


def _reduce(store: RecordView, copies: Mapping[str, _Copy], moves: Sequence[Move], done: Removed) -> None:
    """Put lesser records in the place of those that were copied."""
    texts = {}
    for one in moves:
        if one.less is not None:
            data = copies[one.run].data
            texts[one.run] = encode_unlike(one.less(read_record(layout.record_key(one.run), data)), len(data))
    with suppress(StorageError):
        put_records(store, texts, store)
        done.reduced += texts
        return
    # Once more, one by one: which of them cannot be written?
    for run, text in texts.items():
        try:
            store.put(layout.record_key(run), text)
        except StorageError as error:
            done.failed[run] = error
        else:
            done.reduced.append(run)


def _look_again(store: Store, records: Mapping[str, bytes], done: Removed) -> None:
    """Put back records whose copies are gone: someone brought the run back while we moved it."""
    if not records:
        return
    there = _in_trash(store, list(records))
    for run, data in records.items():
        if run not in there:
            store.put(layout.record_key(run), data)
            done.forget([run])


def _in_trash(store: Store, runs: Sequence[str]) -> set[str | None]:
    if len(runs) > _FEW:
        return {
            layout.run_of_record(entry.key) for entry in store.list(layout.TRASH + common_beginning(runs))
        }
    found = zip(runs, store.map(store.stat, map(layout.trash_key, runs)), strict=True)
    return {run for run, entry in found if entry is not None}


def _spare_pinned(store: Store, runs: set[str], done: Removed) -> None:
    """Bring back what was pinned while it went."""
    taken = runs.intersection([*done.removed, *done.reduced])
    for run in sorted(taken & pinned(store)) if taken else ():
        try:
            _spare(store, run)
        except (IntegrityError, StorageError) as error:
            done.failed[run] = StorageError(f"it was pinned meanwhile and is in the trash still: {error}")
        else:
            done.spared.append(run)
            done.forget([run])


# -- coming back ---------------------------------------------------------------------------------------------


def _spare(store: Store, run: str) -> None:
    """Bring a pinned run back, whatever it lacks."""
    try:
        bring_back(store, run)
    except RunNotFoundError:
        pass  # somebody else was quicker
    except IntegrityError:
        if store.stat(layout.record_key(run)) is None:
            # What it lacks it lacked before: nobody may free the rest of a pinned run.
            key = layout.trash_key(run)
            data = store.get(key)
            read_record(key, data)
            store.put(layout.record_key(run), data)


def _bring_back(store: Store, run: str, claim: str) -> tuple[Record, bool]:
    key, place = layout.trash_key(run), layout.record_key(run)
    data = store.get(key)
    record = read_record(key, data)
    left = _what_is_left(store, record)
    if left is not record:
        if store.stat(place) is not None:
            raise IntegrityError(
                f"the details of run {run} are gone from the store: only its metrics are left"
            )
        data = encode_unlike(left, len(data))
    store.put(place, data)
    for error in remove(store, [key, claim]).values():
        raise error
    if store.stat(place) is None:
        # A removal that began before us took the record away once more.
        store.put(place, data)
    return left, left is record


def _what_is_left(store: Store, record: Record) -> Record:
    """Return a record of what is still there. Raises IntegrityError when that is not worth bringing back."""
    refs = list({ref.key: ref for ref in reachable(record)}.values())
    found = zip(refs, store.map(lambda ref: store.stat(ref.key), refs), strict=True)
    gone = {ref.key for ref, entry in found if entry is None}
    for key in sorted(gone):
        # Rules of buckets remove details, and those alone. A tape is worth nothing without them.
        if not key.startswith((layout.TIER2, layout.TAPES, layout.CLOCKS, layout.FILES)):
            raise IntegrityError(
                f"run {record.run} cannot be brought back whole: {key} is gone; `archiver verify` tells more"
            )
    if record.tier2 is not None and record.tier2.key in gone:
        return without_details(record, _ELSEWHERE)
    return record


@contextmanager
def _claim(store: Store, runs: Sequence[str]) -> Iterator[None]:
    """Claim runs while they move."""
    key = layout.claim_key()
    store.put(key, "\n".join(runs).encode())
    try:
        yield
    finally:
        _remove_claim(store, key)


def _remove_claim(store: Store, key: str) -> None:
    """Remove a claim; one that stays holds up gc until it is as old as one of a mover that died."""
    with suppress(ArchiverError):
        remove(store, [key])
