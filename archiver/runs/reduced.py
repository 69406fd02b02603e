"""A run without its details: the record that takes the place of the whole one, while the metrics stay."""

from __future__ import annotations

from dataclasses import replace

from archiver.format import layout
from archiver.format.model import Record
from archiver.format.records import compress, decompress, encode_record

BUCKET_RULE = "a rule of the bucket"
"""Who removed the details, where no policy did."""
LOST = "damage that `archiver verify --repair` found"
"""Who did where they were damaged or vanished."""


def without_details(record: Record, why: str) -> Record:
    """Return the record without its details; the names of the strategies that had some stay.

    why: the policy that removes them, or whatever else did.
    """
    return replace(record, tier2=None, tapes=(), clocks=(), files=(), detail_removed=why)


def archived_in(record: Record, bundle: str) -> Record:
    """Return the record without its details, which are in a bundle."""
    return replace(record, tier2=None, tapes=(), clocks=(), files=(), archived=bundle)


def encode_unlike(record: Record, size: int) -> bytes:
    """Encode a record to another size than the one it replaces: the catalog tells records apart by size and time."""
    data = encode_record(record)
    if len(data) != size:
        return data
    text = decompress(data, layout.record_key(record.run))
    while len(data) == size:
        text += b" "
        data = compress(text)
    return data
