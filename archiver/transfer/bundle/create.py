"""Writing a bundle: frames are packed by many threads and written in order, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import zstandard

from archiver.base.collector import collector_paused
from archiver.errors import ConfigError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record
from archiver.runs.records import read_record
from archiver.store import Store
from archiver.store.s3.cold import warmth
from archiver.store.seekable import seek_table
from archiver.transfer.bundle.place import Place
from archiver.transfer.bundle.survey import Item, Survey, front, load_bytes, lost, survey
from archiver.transfer.bundle.tar import END, header, padding
from archiver.transfer.checked import gone
from archiver.transfer.runs import Step

LEVEL = -1
"""What goes in is compressed already: level 1 takes twice the time and saves half a percent of small runs, 3 two."""
_LEAST, _MOST = -7, 22
_FRONT_LEVEL = 3
_GROUP = 64 << 10
"""Small objects share a frame of about this size: one run of many is then read with little else."""
_GROUPS = 4
"""On a disk so many groups are packed at a time: handing them to threads costs as much as packing one."""
_PART = 512 << 10
"""A large object is read in parts of this size, and packed in frames of half of it, which are read alone."""
_FRAME = _PART // 2
_FAR_AT_ONCE = 8
_contexts = threading.local()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was written, or that was there already.

    `name` is what `bundle restore` takes; `runs` are the ids; `objects` and `bytes` count its members and the file;
    `sha256` is the file's, None where a bundle of these runs was there already; `objects` is None where that one is
    frozen, and the records alone say that it has the details of these runs.
    """

    name: str
    url: str
    runs: tuple[str, ...]
    objects: int | None
    bytes: int
    sha256: str | None = None


class _Part(NamedTuple):
    """A part of a large member; size is of the member."""

    item: Item
    start: int
    end: int


_Group = Sequence[Item]
"""Small members that share a frame."""
_Task = Sequence[_Group] | _Part
_Packed = tuple[list[tuple[bytes, int]], bytes]


def create(
    store: Store,
    runs: Sequence[str],
    place: Place,
    *,
    level: int = LEVEL,
    step: Step = lambda _bytes: None,
) -> Bundle:
    """Write the runs and all that they reach as one bundle; the same runs give the same bytes.

    Arguments:
        store: of the archive.
        runs: ids; their order does not matter.
        place: where the bundle goes; what is there is never replaced by other content.
        level: of zstd, -7 to 22; what goes in is compressed already.
        step: told the bytes of each object that is packed.

    Raises RunNotFoundError; IntegrityError for damage (then there is no bundle); ConfigError where another bundle
    has the name.
    """
    if not _LEAST <= level <= _MOST:
        raise ConfigError(f"level {level} is not for bundles: choose {_LEAST} to {_MOST}")
    wanted = sorted(set(runs))
    there = _existing(store, wanted, place)
    if there is not None:
        return there
    with collector_paused():
        found = survey(store, runs)
    digest = hashlib.sha256()
    size = 0
    try:
        # Another may have been made meanwhile, and runs may rely on it already.
        with place.store.write(place.key, create=True) as stream, collector_paused():
            for data in _file(store, found, level, step):
                digest.update(data)
                stream.write(data)
                size += len(data)
    except ConfigError:
        there = _existing(store, wanted, place)
        if there is None:
            raise
        return there
    return Bundle(
        place.name,
        place.url,
        tuple(found.records),
        len(found.items),
        size,
        digest.hexdigest(),
    )


def _existing(store: Store, runs: Sequence[str], place: Place) -> Bundle | None:
    """Return the bundle that is there, if it holds these very runs. Raises ConfigError when it holds others."""
    entry = place.store.stat(place.key)
    if entry is None:
        return None
    found = list(store.map(partial(_identity, store), runs, small=True))
    if all(record.archived == place.name for record, _ in found):
        state = warmth(place.store, place.key)
        if state is not None and not state.readable:
            return Bundle(place.name, place.url, tuple(runs), None, entry.size)
    manifest = place.open().manifest
    held = {key: member.sha256 for key, member in manifest.members.items() if key.startswith(layout.RUNS)}
    same = len(held) == len(runs) and all(
        held.get(layout.record_key(record.run)) == sha256 or record.archived == place.name
        for record, sha256 in found
    )
    if not same:
        raise ConfigError(f"{place.url} exists and holds something else: choose another name")
    return Bundle(place.name, place.url, tuple(runs), len(manifest.members), entry.size)


def _identity(store: Store, run: str) -> tuple[Record, str]:
    data = load_bytes(store, run)
    return read_record(layout.record_key(run), data), hashlib.sha256(data).hexdigest()


def _file(store: Store, found: Survey, level: int, step: Step) -> Iterator[bytes]:
    """Yield the bytes of the whole file."""
    groups = _GROUPS if store.local else 1
    tasks, again = _tasks(found, groups), _tasks(found, groups)
    # An executor of the user may be other machines: what was kept here is read again there.
    kept = found.kept if store.executor is None else {layout.ARCHIVE: found.kept[layout.ARCHIVE]}
    pack = partial(_pack, store, kept, found.modified, level)
    results = store.map(pack, tasks, at_once=_at_once(store, found))
    begun = next(results)  # so threads pack while the front is made
    beginning = front(found)
    first = _compress(beginning, max(level, _FRONT_LEVEL))
    frames = [(len(first), len(beginning))]
    yield first
    digest = hashlib.sha256()
    for task, (packed, plain) in zip(again, chain([begun], results), strict=True):
        if isinstance(task, _Part):
            if task.start == 0:
                digest = hashlib.sha256()
            digest.update(plain)
            if task.end == task.item.size and digest.hexdigest() != task.item.sha256:
                raise lost(task.item.key, store)
        frames += [(len(data), size) for data, size in packed]
        yield b"".join(data for data, _ in packed)
        step(len(plain) if isinstance(task, _Part) else sum(item.size for group in task for item in group))
    end = _compress(END, level)
    frames.append((len(end), len(END)))
    yield end
    yield seek_table(frames)


def _at_once(store: Store, found: Survey) -> int | None:
    """Return how many threads pack: on a disk a processor is the limit, far away memory where objects are large."""
    if store.local:
        return os.cpu_count()
    return _FAR_AT_ONCE if any(item.size > _PART for item in found.items) else None


def _tasks(found: Survey, most: int) -> Iterator[_Task]:
    """Split the members into what is packed at a time: some groups of small ones, or a part of a large one."""
    groups: list[_Group] = []
    for group in _groups(found):
        if group[0].size > _PART:
            if groups:
                yield groups
                groups = []
            item = group[0]
            for start in range(0, item.size, _PART):
                yield _Part(item, start, min(start + _PART, item.size))
        else:
            groups.append(group)
            if len(groups) == most:
                yield groups
                groups = []
    if groups:
        yield groups


def _groups(found: Survey) -> Iterator[_Group]:
    """Put neighbours together; a large member stays alone."""
    group: list[Item] = []
    held = 0
    for item in found.items:
        if group and held + item.size > _GROUP:
            yield group
            group, held = [], 0
        if item.size > _PART:
            yield [item]
        else:
            group.append(item)
            held += item.size
    if group:
        yield group


def _pack(store: Store, kept: Mapping[str, bytes], modified: datetime, level: int, task: _Task) -> _Packed:
    """Return a task's frames, and the plain bytes of a part, whose sha256 only the whole member tells."""
    if isinstance(task, _Part):
        return _pack_part(store, modified, level, task)
    packed: list[tuple[bytes, int]] = []
    for group in task:
        parts: list[bytes] = []
        for item in group:
            data = kept[item.key] if item.key in kept else _get(store, item.key, 0, item.size)
            if hashlib.sha256(data).hexdigest() != item.sha256:
                raise lost(item.key, store)
            parts += header(item.key, item.size, modified), data, padding(item.size)
        plain = b"".join(parts)
        for at in range(0, len(plain), _FRAME):
            cut = plain[at : at + _FRAME]
            packed.append((_compress(cut, level), len(cut)))
    return packed, b""


def _pack_part(store: Store, modified: datetime, level: int, part: _Part) -> _Packed:
    item, start, end = part
    data = _get(store, item.key, start, end)
    packed = []
    for at in range(0, len(data), _FRAME):
        piece = data[at : at + _FRAME]
        if start + at == 0:
            piece = header(item.key, item.size, modified) + piece
        if start + at + _FRAME >= item.size:
            piece += padding(item.size)
        packed.append((_compress(piece, level), len(piece)))
    return packed, data


def _get(store: Store, key: str, start: int, end: int) -> bytes:
    try:
        data = store.get(key, start, end)
    except NotFoundError:
        raise gone(key, store) from None
    if len(data) != end - start:
        raise lost(key, store)
    return data


def _compress(data: bytes, level: int) -> bytes:
    """Compress with a context of this thread: making one costs more than a small frame."""
    contexts: dict[int, Any] = vars(_contexts).setdefault("by_level", {})
    if level not in contexts:
        contexts[level] = zstandard.ZstdCompressor(level=level, write_checksum=True)
    result: bytes = contexts[level].compress(data)
    return result
