"""What has become of a run's details: one state and one wording, for lists, pages, the terminal and errors alike."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from archiver.base.humanize import counted
from archiver.errors import IntegrityError
from archiver.format import layout
from archiver.format.inline import InlineTable
from archiver.format.model import Record
from archiver.format.records import compress, decompress, encode_record

BUCKET_RULE = "a rule of the bucket"
"""Who removed the details, where no policy did."""
LOST = "damage that `archiver verify --repair` found"
"""Who did where they were damaged or vanished."""
NONE = "none were given"
GONE = "no longer in the store: a rule of the bucket may have expired them (`archiver verify` tells)"


class Details(NamedTuple):
    """The state of a run's details: its kind and words that follow `details`; `kept` is how many there are.

    The kinds: `kept`, `none` (none were given), `removed` (by a policy), `bundle` (they are in one), `expired` (by a
    rule of the bucket), `lost` (to damage), `gone` (they should be there and are not).
    """

    kind: str
    words: str
    kept: int = 0


def state_of(record: Record, *, there: bool = True) -> Details:
    """Return what has become of a run's details. there: whether the object was seen, where somebody looked."""
    count = len(record.details)
    if record.has_detail and there:
        return Details("kept", f"kept of {counted(count, 'strategy', 'strategies')}", count)
    if record.tier2 is not None:
        return Details("gone", GONE)
    if record.archived:
        return Details("bundle", f"in bundle {record.archived}")
    if not record.detail_removed:
        return Details("none", NONE)
    if record.detail_removed == BUCKET_RULE:
        return Details("expired", f"expired: removed by {BUCKET_RULE}")
    if record.detail_removed == LOST:
        return Details("lost", f"lost: removed by {LOST}")
    return Details("removed", f"removed by {record.detail_removed}")


def of_strategy(record: Record, strategy: str) -> str | None:
    """Say what became of a strategy's detail, as a sentence's end with the way back; None where it had none.

    Raises nothing: it is for runs that have no details any more.
    """
    if all(detail.strategy != strategy for detail in record.details):
        return None
    kind, words, _ = state_of(record)
    if kind == "bundle":
        return f"is {words}: `archiver bundle restore {record.archived}`"
    return {"removed": f"was {words}", "lost": f"was {words}", "expired": words}.get(kind)


def without_details(record: Record, why: str) -> Record:
    """Return the record without its details; the names of the strategies that had some stay.

    why: the policy that removes them, or whatever else did.
    """
    return replace(_without(record), detail_removed=why)


def archived_in(record: Record, bundle: str) -> Record:
    """Return the record without its details, which are in a bundle."""
    return replace(_without(record), archived=bundle)


def _without(record: Record) -> Record:
    return replace(record, tier2=None, inline_detail=None, tapes=(), clocks=(), files=())


def fault_in_record(record: Record) -> str | None:
    """Say what is wrong with the details that stand in a record, None for nothing or where there are none."""
    if record.inline_detail is None:
        return None
    try:
        rows = InlineTable(record.inline_detail, "it").rows
    except IntegrityError as error:
        return str(error)
    return None if rows == len(record.details) else f"its details are {rows}, not {len(record.details)}"


def encode_unlike(record: Record, size: int) -> bytes:
    """Encode a record to another size than the one it replaces: who read a record tells by size and time whether it has changed."""
    data = encode_record(record)
    if len(data) != size:
        return data
    text = decompress(data, layout.record_key(record.run))
    while len(data) == size:
        text += b" "
        data = compress(text)
    return data
