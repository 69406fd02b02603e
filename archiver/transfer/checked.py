"""Reading objects of a store that is not trusted: each is what its record says, or it is named as damage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import zstandard

from archiver.errors import IntegrityError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record, Ref
from archiver.format.parquet import check
from archiver.runs.graph import reachable
from archiver.store import Store

PIECE = 1 << 20
"""Bytes that are held of one object; a larger one is streamed."""
_FAR_PIECE, _FAR_AT_ONCE = 8 << 20, 2
"""The same for a store that is asked by requests: each costs as much as some megabytes."""


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
        raise gone(ref.key, store) from None
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
    return key.startswith((layout.TAPES, layout.CODE))
