"""Where keys of records lie: by the second of their save and their random part."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from archiver.format import layout
from archiver.runs.by_time import record_line


def test_places_are_in_the_order_of_keys_and_give_them_back() -> None:
    line, rng = record_line(), Random(1)
    moments = [datetime.fromtimestamp(rng.randrange(4_000_000_000), UTC) for _ in range(200)]
    keys = sorted(layout.record_key(layout.new_run_id(moment)) for moment in moments)
    places = [line.place(key) for key in keys]
    assert None not in places
    assert places == sorted(place for place in places if place is not None)
    for key, place in zip(keys, places, strict=True):
        assert place is not None
        assert key.startswith(line.key(place)[: -len("ffffff")])
    assert line.place(layout.record_key(layout.new_run_id())) is not None


def test_other_keys_lie_nowhere() -> None:
    for key in ("runs/x", "runs/20261399T000000Z-00000000.json.zst", "", "packs/20260101T000000Z"):
        assert record_line().place(key) is None
