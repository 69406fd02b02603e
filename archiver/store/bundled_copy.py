"""A bundle from one store to another, as it is: every frame is verified on the way, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from archiver.errors import IntegrityError
from archiver.store.bundled import BundleStore
from archiver.store.contract import Store
from archiver.store.s3.cold import warmth
from archiver.store.seekable import Frames

_PIECE = 8 << 20


def copy_bundle(source: Store, target: Store, key: str, members: Collection[str]) -> int:
    """Copy a bundle that the target lacks; return its bytes, 0 where it is there.

    members: keys that the bundle must hold. Raises IntegrityError, and writes nothing, where it is gone, damaged,
    frozen, or lacks some of them, and where the target has another bundle of that name.
    """
    here, there = source.stat(key), target.stat(key)
    if there is not None:
        ours = None if here is None else held_members(source, key)
        theirs = held_members(target, key)
        if theirs is None:  # frozen: of what cannot be read the size tells
            same = here is None or here.size == there.size
        else:
            same = all(member in theirs for member in members)
            same = same and (ours is None or all(ours.get(member) == theirs[member] for member in members))
        if same:
            return 0
        raise IntegrityError(
            f"{target.url} has another bundle {key}, without the details that are in {source.url}'s: nothing is"
            " replaced; `archiver bundle restore` in the source brings them back, then copy again"
        )
    if here is None:
        raise IntegrityError(
            f"{key} is gone from {source.url} although it holds details of runs; put it back from a copy"
        )
    held = held_members(source, key)
    if held is None:
        raise IntegrityError(
            f"{key} in {source.url} is in cold storage: `archiver bundle restore` there, then copy again"
        )
    if not all(member in held for member in members):
        raise IntegrityError(f"{key} in {source.url} lacks runs whose details it should hold")
    _copy(source, target, key, here.size)
    return here.size


def held_members(store: Store, key: str) -> Mapping[str, str] | None:
    """Return the sha256 of each member of a bundle, None for one that is frozen. Raises IntegrityError."""
    found = warmth(store, key)
    if found is not None and not found.readable:
        return None
    members = BundleStore(store, key).manifest.members
    return {name: member.sha256 for name, member in members.items()}


def _copy(source: Store, target: Store, key: str, size: int) -> None:
    with target.write(key) as out:
        passed = 0

        def fetch(start: int, end: int) -> bytes:
            nonlocal passed
            data = source.get(key, start, end)
            if start == passed and walking:
                out.write(data)
                passed += len(data)
            return data

        walking = False  # the table, at the end, is read first
        frames = Frames(fetch, size, f"{source.url}/{key}")
        walking = True
        for _ in frames:
            pass
        while passed < size:
            fetch(passed, min(passed + _PIECE, size))
