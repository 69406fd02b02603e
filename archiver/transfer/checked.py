"""Objects of a store that is not trusted, read and moved: each is what its record says, or it is named as damage.

Functions of values that pickle, for other threads and machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import zstandard

from archiver.errors import IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Ref
from archiver.format.parquet import check
from archiver.format.records import unpacked
from archiver.store import Store

PIECE = 1 << 20
"""Bytes that are held of one object; a larger one is streamed."""
_FAR_PIECE, _FAR_AT_ONCE = 8 << 20, 2
"""The same for a store that is asked by requests: each costs as much as some megabytes."""


def stored_bytes(store: Store, ref: Ref) -> bytes:
    """Read an object as it is stored, verified against its record. Raises IntegrityError, also when it is gone."""
    try:
        data = store.get(ref.key)
    except NotFoundError:
        raise gone(ref.key, store) from None
    if not ref.plain:
        return check(ref, data)
    if plain_digest(data, ref) != ref.sha256:
        raise IntegrityError(f"{ref.key} in {store.url} is damaged: its content is not what its name says")
    return data


def plain_digest(data: bytes, ref: Ref) -> str:
    """Hash the content of a frame, piece by piece: what claims to be small may unpack to anything."""
    digest = hashlib.sha256()
    count = 0
    try:
        for piece in unpacked(data, ref.size):
            count += len(piece)
            digest.update(piece)
    except zstandard.ZstdError as error:
        raise IntegrityError(f"{ref.key} is damaged: it cannot be decompressed ({error})") from None
    return digest.hexdigest() if count == ref.size else ""


def pieces(store: Store, key: str, size: int) -> Iterator[bytes]:
    """Read a large object piece by piece. Raises IntegrityError when it is gone or shorter than that."""

    length = PIECE if store.local is not None else _FAR_PIECE

    def piece(start: int) -> bytes:
        end = min(start + length, size)
        try:
            data = store.get(key, start, end)
        except NotFoundError:
            raise gone(key, store) from None
        if len(data) != end - start:
            raise IntegrityError(f"{key} in {store.url} is cut; run `archiver verify`")
        return data

    starts = range(0, size, length)
    if store.local is None and store.executor is None:
        yield from store.map(piece, starts, at_once=_FAR_AT_ONCE)
    else:
        yield from map(piece, starts)


def gone(key: str, store: Store) -> IntegrityError:
    """Return the error for an object that is not where a record says."""
    # Details may have expired, which is no damage: once the record says so, the rest of the run moves.
    advice = " --repair`, then try again" if key.startswith(layout.TIER2) else "`"
    return IntegrityError(
        f"{key} is gone from {store.url} although a record needs it; run `archiver verify{advice}"
    )


def is_shared(key: str) -> bool:
    """Tell whether objects of this key are named by content, and so belong to many runs."""
    return key.startswith(layout.SHARED)


class Item(NamedTuple):
    """One object to put. compare: the target has one, which must be the same; fresh: and which need not be put anew."""

    ref: Ref
    compare: bool = False
    fresh: bool = False


class Put(NamedTuple):
    """What became of one object: bytes written, if it was, or the damage that was found."""

    key: str
    bytes: int = 0
    written: bool = False
    damage: str | None = None


def is_small(ref: Ref) -> bool:
    """Tell whether an object is held whole on its way."""
    return ref.size <= PIECE


def put_object(source: Store, target: Store, restore: bool, item: Item) -> Put:
    """Copy one object, verified; what a run alone may have is never replaced by something else."""
    ref = item.ref
    try:
        if item.compare and _is_there(target, ref, read=restore) and item.fresh:
            return Put(ref.key)
        if ref.plain or is_small(ref):
            data = stored_bytes(source, ref)
            target.put(ref.key, data)
            return Put(ref.key, len(data), True)
        digest = hashlib.sha256()
        with target.write(ref.key) as stream:
            for piece in pieces(source, ref.key, ref.size):
                digest.update(piece)
                stream.write(piece)
            if digest.hexdigest() != ref.sha256:
                raise IntegrityError(f"{ref.key} in {source.url} is damaged: its sha256 is not its record's")
        return Put(ref.key, ref.size, True)
    except IntegrityError as error:
        return Put(ref.key, damage=str(error))


def _is_there(target: Store, ref: Ref, *, read: bool) -> bool:
    """Tell whether the target has an object. Raises IntegrityError when other bytes are in its place."""
    entry = target.stat(ref.key)
    if entry is None:
        return False
    digest = hashlib.sha256()
    try:
        for piece in pieces(target, ref.key, ref.size) if entry.size == ref.size and read else ():
            digest.update(piece)
    except IntegrityError:
        if target.stat(ref.key) is None:
            return False  # gc took it at this very moment: no record reaches it yet
        raise
    if entry.size == ref.size and (not read or digest.hexdigest() == ref.sha256):
        return True
    raise IntegrityError(
        f"{target.url} holds other bytes as {ref.key}: they are not replaced; remove them if you know they are wrong"
    )
