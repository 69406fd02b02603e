"""Runs from one store to another: data first, records last, every byte verified on the way.

Whatever interrupts a transfer leaves a sound archive: runs that have their record, and orphans of the others,
which the next transfer uses and `gc` removes. Copying an archive and restoring a bundle are both this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import NamedTuple

import zstandard

from archiver import layout
from archiver.codec.parquet import check
from archiver.errors import IntegrityError, NotFoundError
from archiver.model import Entry, Record, Ref
from archiver.runs import reachable, read_record
from archiver.store import Store

PIECE = 1 << 20
"""Bytes that are held of one object; a larger one is streamed."""
_LARGE_AT_ONCE = 4
_BATCH = 512
_MANY = 64
"""With more runs than this, listing what the target has costs less than asking for each object."""

Step = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a transfer did: ids of runs that were written, and of those that were there; objects and bytes put."""

    runs: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0


class _Put(NamedTuple):
    """What became of one object: bytes written (0: it was there), or the damage that was found."""

    key: str
    bytes: int = 0
    written: bool = False
    damage: str | None = None


@dataclass(slots=True)
class _Totals:
    objects: int = 0
    bytes: int = 0
    runs: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)


def transfer(
    source: Store,
    target: Store,
    runs: Sequence[str],
    *,
    restore: bool = False,
    step: Step = lambda _bytes: None,
) -> Moved:
    """Copy runs that the target lacks, with their tags; what is there already is not moved.

    Arguments:
        source, target: the stores; the target already holds an archive, if an empty one.
        runs: ids of runs that are in the source.
        restore: compare with bytes what the target has, and give back the details of a run that lost them.
        step: told the bytes of each object that is done.

    Raises IntegrityError where the target holds another run of the same id (then nothing is written), and for
    damage in the source, after all sound runs were copied.
    """
    missing = _missing(source, target, sorted(runs), restore=restore)
    totals = _Totals()
    markers = _markers(source, missing)
    own = _listed(target) if len(missing) > _MANY else None
    for at in range(0, len(missing), _BATCH):
        batch = missing[at : at + _BATCH]
        _move(source, target, batch, markers, own, totals, restore=restore, step=step)
    if totals.damage:
        more = f" and {len(totals.damage) - 1} more" if len(totals.damage) > 1 else ""
        raise IntegrityError(
            f"{totals.damage[0]}{more}; {len(totals.runs)} of {len(missing)} runs were copied, the damaged ones were not"
        )
    written = set(totals.runs)
    there = tuple(run for run in sorted(runs) if run not in written)
    return Moved(tuple(totals.runs), there, totals.objects, totals.bytes)


def check_refs(record: Record) -> None:
    """Make sure that a record points only to keys that are its own, or named by content.

    Records from elsewhere may lie; without this, one could write over another run's objects. Raises IntegrityError.
    """
    expected: list[tuple[Ref, str]] = [(ref, layout.tape_key(ref.sha256)) for ref in record.tapes]
    if record.tier1 is not None:
        expected.append((record.tier1, layout.tier1_key(record.universe, record.run)))
    if record.tier2 is not None:
        expected.append((record.tier2, layout.tier2_key(record.universe, record.run)))
    for ref, key in expected:
        if ref.key != key:
            raise IntegrityError(f"the record of {record.run} points to {ref.key!r}, which is not its own")
    for ref in reachable(record):
        if len(ref.sha256) != 64 or not set(ref.sha256) <= set("0123456789abcdef") or ref.size < 0:
            raise IntegrityError(f"the record of {record.run} names no sha256 for {ref.key!r}")


def stored_bytes(store: Store, ref: Ref) -> bytes:
    """Read an object as it is stored, verified against its record. Raises IntegrityError, also when it is gone."""
    try:
        data = store.get(ref.key)
    except NotFoundError:
        raise IntegrityError(
            f"{ref.key} is gone from {store.url} although a record needs it; run `archiver verify`"
        ) from None
    if not ref.plain:
        return check(ref, data)
    if _plain_digest(data, ref) != ref.sha256:
        raise IntegrityError(f"{ref.key} in {store.url} is damaged: its content is not what its name says")
    return data


def _plain_digest(data: bytes, ref: Ref) -> str:
    """Hash the content of a frame, piece by piece: what claims to be small may unpack to anything."""
    digest = hashlib.sha256()
    left = ref.size
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            while piece := reader.read(min(PIECE, left + 1)):
                left -= len(piece)
                digest.update(piece)
                if left < 0:
                    break
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{ref.key} is damaged: {error}") from None
    return digest.hexdigest() if left == 0 else ""


def pieces(store: Store, key: str, size: int) -> Iterator[bytes]:
    """Read a large object piece by piece. Raises IntegrityError when it is gone or shorter than that."""
    for start in range(0, size, PIECE):
        end = min(start + PIECE, size)
        try:
            data = store.get(key, start, end)
        except NotFoundError:
            data = b""
        if len(data) != end - start:
            raise IntegrityError(f"{key} in {store.url} is gone or cut; run `archiver verify`")
        yield data


def _missing(source: Store, target: Store, runs: Sequence[str], *, restore: bool) -> list[str]:
    """Return the runs to move. Where target records differ, both are read and must be of the same run."""
    here = {entry.key: entry.size for entry in source.list(layout.RUNS)}
    there = {entry.key: entry.size for entry in _records_in(target, runs)}
    missing = []
    doubtful = []
    for run in runs:
        key = layout.record_key(run)
        if key not in here:
            raise NotFoundError(f"no run {run} in {source.url}: list the runs it has")
        if key not in there:
            missing.append(run)
        elif restore or here[key] != there[key]:
            doubtful.append(run)
    lacking = target.map(partial(_lacks, source, target, restore=restore), doubtful)
    return sorted(missing + [run for run, lacks in zip(doubtful, lacking, strict=True) if lacks])


def _records_in(target: Store, runs: Sequence[str]) -> Iterable[Entry]:
    if len(runs) > _MANY:
        return target.list(layout.RUNS)
    return [entry for entry in target.map(target.stat, map(layout.record_key, runs)) if entry is not None]


def _lacks(source: Store, target: Store, run: str, *, restore: bool) -> bool:
    """Tell whether a run that the target has is to be completed. Raises IntegrityError for another run of that id."""
    key = layout.record_key(run)
    ours, theirs = source.get(key), target.get(key)
    record, other = read_record(key, ours), read_record(key, theirs)
    if ours != theirs and _identity(record) != _identity(other):
        raise IntegrityError(f"{target.url} has another run {run}: nothing is replaced")
    if not restore:
        return False
    if ours != theirs:
        return other.archived is not None or (other.tier2 is None and record.tier2 is not None)
    return any(target.stat(ref.key) is None for ref in reachable(record))


def _identity(record: Record) -> tuple[object, ...]:
    return record.universe, record.created, record.strategies, record.names, record.inline, record.tier1


def _markers(source: Store, runs: Sequence[str]) -> Mapping[str, list[str]]:
    wanted = set(runs)
    found: dict[str, list[str]] = {}
    for entry in source.list(layout.TAGS) if wanted else ():
        run = entry.key.rpartition("/")[2]
        if run in wanted:
            found.setdefault(run, []).append(entry.key)
    return found


def _listed(target: Store) -> Mapping[str, int]:
    return {entry.key: entry.size for prefix in (layout.TIER1, layout.TIER2) for entry in target.list(prefix)}


def _move(
    source: Store,
    target: Store,
    runs: Sequence[str],
    markers: Mapping[str, list[str]],
    own: Mapping[str, int] | None,
    totals: _Totals,
    *,
    restore: bool,
    step: Step,
) -> None:
    """Move some runs: their objects, then tags, then records, then a look whether the shared objects stayed."""
    pool = max(source, target, key=lambda store: store.workers)
    keys = [layout.record_key(run) for run in runs]
    texts = dict(zip(runs, pool.map(source.get, keys), strict=True))
    records = {run: read_record(layout.record_key(run), text) for run, text in texts.items()}
    refs: dict[str, Ref] = {}
    for record in records.values():
        check_refs(record)
        refs.update((ref.key, ref) for ref in reachable(record) if ref.key not in totals.shared)
    damaged: dict[str, str] = {}
    put_one = partial(_put, source, target, own, restore)
    small = [ref for ref in refs.values() if ref.plain or ref.size <= PIECE]
    large = [ref for ref in refs.values() if not (ref.plain or ref.size <= PIECE)]
    for put in chain(pool.map(put_one, small), pool.map(put_one, large, at_once=_LARGE_AT_ONCE)):
        if put.damage:
            damaged[put.key] = put.damage
        totals.objects += put.written
        totals.bytes += put.bytes
        step(put.bytes)
    sound = [run for run in runs if not any(ref.key in damaged for ref in reachable(records[run]))]
    totals.damage += damaged.values()
    _each(pool, target, ((key, b"") for run in sound for key in markers.get(run, ())))
    _each(pool, target, ((layout.record_key(run), texts[run]) for run in sound))
    shared = [ref for ref in refs.values() if is_shared(ref.key) and ref.key not in damaged]
    # As in a save: gc may have removed a shared object between our put and our record.
    for entry, ref in zip(pool.map(target.stat, [ref.key for ref in shared]), shared, strict=True):
        if entry is None:
            _put(source, target, None, restore, ref)
    totals.shared.update(ref.key for ref in shared)
    totals.runs += sound
    totals.objects += len(sound)
    totals.bytes += sum(len(texts[run]) for run in sound)
    step(sum(len(texts[run]) for run in sound))


def is_shared(key: str) -> bool:
    """Tell whether objects of this key are named by content, and so belong to many runs."""
    return key.startswith((layout.TAPES, layout.CODE))


def _each(pool: Store, target: Store, items: Iterable[tuple[str, bytes]]) -> None:
    for _ in pool.map(partial(_put_item, target), items):
        pass


def _put_item(target: Store, item: tuple[str, bytes]) -> None:
    target.put(*item)


def _put(source: Store, target: Store, own: Mapping[str, int] | None, restore: bool, ref: Ref) -> _Put:
    """Copy one object, verified; what a run alone may have is left where it is there already."""
    try:
        if not is_shared(ref.key) and _is_there(target, own, ref, read=restore):
            return _Put(ref.key)
        if ref.plain or ref.size <= PIECE:
            data = stored_bytes(source, ref)
            target.put(ref.key, data)
            return _Put(ref.key, len(data), True)
        digest = hashlib.sha256()
        with target.write(ref.key) as stream:
            for piece in pieces(source, ref.key, ref.size):
                digest.update(piece)
                stream.write(piece)
            if digest.hexdigest() != ref.sha256:
                raise IntegrityError(f"{ref.key} in {source.url} is damaged: its sha256 is not its record's")
        return _Put(ref.key, ref.size, True)
    except IntegrityError as error:
        return _Put(ref.key, damage=str(error))


def _is_there(target: Store, own: Mapping[str, int] | None, ref: Ref, *, read: bool) -> bool:
    """Tell whether the target has an object. Raises IntegrityError when other bytes are in its place."""
    if own is not None:
        size = own.get(ref.key)
    else:
        entry = target.stat(ref.key)
        size = None if entry is None else entry.size
    if size is None:
        return False
    if size == ref.size and read:
        digest = hashlib.sha256()
        for piece in pieces(target, ref.key, ref.size):
            digest.update(piece)
        if digest.hexdigest() == ref.sha256:
            return True
    elif size == ref.size:
        return True
    raise IntegrityError(
        f"{target.url} holds other bytes as {ref.key}: they are not replaced; remove them if you know they are wrong"
    )
