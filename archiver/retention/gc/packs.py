"""What gc does about packs: marks that keep freed runs out of sight, and what newer packs and records replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from archiver.format import layout
from archiver.runs.packs import Packs
from archiver.runs.record_view import below
from archiver.runs.removal import remove
from archiver.store import Store
from archiver.store.entry import Entry


def mask(store: Store, runs: Collection[str], *, packer_may_work: bool) -> None:
    """Put a mark for each of these removed runs that a pack holds: its record in the trash goes, which kept it out of sight.

    packer_may_work: somebody may just be packing what was removed so lately: each gets a mark then. Who was brought
    back meanwhile gets none.
    """
    packs = Packs(below(store))
    there = packs.all()
    held = [run for run in runs if packer_may_work or packs.find(there, run) is not None]
    if not held:
        return
    for _ in store.map(lambda run: store.put(layout.mask_key(run), b""), held):
        pass
    trash = {entry.key for entry in store.list(layout.TRASH)}
    back = [layout.mask_key(run) for run in held if layout.trash_key(run) not in trash]
    for error in remove(store, back).values():
        raise error


def needless_masks(store: Store, before: datetime) -> list[Entry]:
    """Return the marks, old enough, of runs that no pack holds any more, not even one that is replaced."""
    marks = [entry for entry in store.list(layout.MASKS) if entry.modified <= before]
    if not marks:
        return []
    packs = Packs(below(store))
    there = packs.all()
    keys = ((entry, layout.parse(entry.key)) for entry in marks)
    return [entry for entry, key in keys if key is not None and packs.find(there, key.run) is None]


def superseded_records(store: Store, before: datetime) -> Iterator[Entry]:
    """Yield the loose records of which a newer one, old enough, took the place."""
    revised: dict[str, list[Entry]] = {}
    for entry in store.list(layout.REVISED):
        key = layout.parse(entry.key)
        if key is not None:
            revised.setdefault(key.run, []).append(entry)
    for run, entries in revised.items():
        if entries[-1].modified <= before:
            plain = below(store).stat(layout.record_key(run))
            yield from ([plain] if plain is not None else [])
            yield from entries[:-1]


def replaced_packs(store: Store, before: datetime) -> tuple[list[Entry], list[Entry]]:
    """Return what commits packs that others, old enough, replace; and the data of packs that nothing commits."""
    listed = list(store.list(layout.PACKS))
    entries = {entry.key: entry for entry in listed}
    there = Packs(below(store)).all()
    replacing = [one for one in there if one.key in entries and entries[one.key].modified <= before]
    replaced = {stem for one in replacing for stem in one.replaces}
    commits = [entries[one.key] for one in there if one.stem in replaced and one.key in entries]
    committed = {one.stem for one in there if one.stem not in replaced}
    data = []
    for entry in listed:
        key = layout.parse(entry.key)
        if key is None or entry.key.endswith(layout.RECORD_SUFFIX):
            continue
        stem = layout.PACKS + key.name
        if stem in replaced or (stem not in committed and entry.modified <= before):
            data.append(entry)
    return commits, data
