"""Records by time: their keys begin with the second of the save, so that a listing of many can be cut anywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from archiver.base.run_id import SECOND, is_run_id
from archiver.format import layout
from archiver.store.parallel_listing import Line

_LENGTH = len("20260101T000000Z-01234567")
_DAY = 86_400.0
_BITS = 1 << 32


def record_line() -> Line:
    """Return where the keys of records in `runs/` lie: seconds since 1970, of one second by their random part."""
    return Line(_place, _key, time.time() + _DAY)


def _place(key: str) -> float | None:
    run = key.removeprefix(layout.RUNS)[:_LENGTH]
    if not is_run_id(run):
        return None
    second, _, nonce = run.partition("-")
    try:
        moment = datetime.strptime(second, SECOND).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() + int(nonce, 16) / _BITS


def _key(place: float) -> str:
    second = int(place // 1)
    moment = datetime.fromtimestamp(second, UTC)
    return f"{layout.RUNS}{moment.strftime(SECOND)}-{int((place - second) * _BITS):08x}"
