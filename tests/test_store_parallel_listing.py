"""A listing in parts: every key once and in order, wherever keys lie, for few requests more than one page after the other."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from archiver.errors import StorageError
from archiver.runs.by_time import record_line
from archiver.store import Store
from archiver.store.entry import Entry
from archiver.store.parallel_listing import Line, NoStartError, Piece, Spread
from tests.wire import Wire

_NOW = datetime.now(UTC)
_PAGE, _ALONE = 10, 5
Moments = Callable[[Random, int], datetime]

SHAPES: dict[str, Moments] = {
    "a year, evenly": lambda _, at: _NOW - timedelta(days=365) + timedelta(hours=at),
    "the last minutes": lambda _, at: _NOW - timedelta(seconds=300) + timedelta(seconds=at / 4),
    "long ago, in a second": lambda _, at: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=at),
    "in clumps": lambda rng, _: (
        _NOW - timedelta(days=rng.choice([1, 50, 51, 300]), seconds=rng.expovariate(0.01))
    ),
    "by a clock that is years ahead": lambda _, at: _NOW + timedelta(days=at),
    "from the first year on": lambda _, at: datetime(1, 1, 2, tzinfo=UTC) + timedelta(days=at * 900),
}


def keys_of(shape: str, count: int) -> list[str]:
    rng = Random(3)
    moments = (SHAPES[shape](rng, at) for at in range(count))
    return sorted(
        f"runs/{m:%4Y%m%dT%H%M%SZ}-{rng.getrandbits(32):08x}.json.zst".replace(" ", "0") for m in moments
    )


class Keys:
    """Pages of sorted keys, as a server gives them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys, self.pages = keys, 0
        self._lock = threading.Lock()

    def read(self, after: str) -> Piece:
        with self._lock:
            self.pages += 1
        at = bisect_right(self.keys, after)
        page = self.keys[at : at + _PAGE]
        first, last = (page[0], page[-1]) if page else (after, after)
        return Piece([Entry(key, 1, _NOW) for key in page], first, last, at + _PAGE < len(self.keys))

    def spread(self, line: Line, seconds: float = 60) -> list[str]:
        begun = self.keys[: _ALONE * _PAGE]
        found = Spread(self.read, line, seconds).entries(begun[0], begun[-1], _ALONE)
        return [*begun, *(entry.key for entry in found)]


@pytest.mark.parametrize("count", [51, 200, 1_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_key_comes_once_and_in_order(shape: str, count: int) -> None:
    listed = Keys(keys_of(shape, count))
    assert listed.spread(record_line()) == listed.keys
    assert listed.pages <= 2 * count / _PAGE + 40


def test_keys_that_lie_nowhere_are_listed_one_page_after_the_other() -> None:
    listed = Keys(sorted([*keys_of("in clumps", 100), *(f"runs/other {at:03}" for at in range(100))]))
    assert listed.spread(record_line()) == listed.keys
    for line in (Line(lambda _: None, str, 0), Line(lambda _: 1.0, str, 9), Line(float, lambda _: "", 1e300)):
        numbers = Keys([f"{at:04}" for at in range(300)])
        assert numbers.spread(line) == numbers.keys
        assert numbers.pages == 30 - _ALONE


def test_a_server_that_is_slower_when_it_is_asked_for_more_is_asked_one_by_one() -> None:
    listed = Keys(keys_of("a year, evenly", 1_000))
    assert listed.spread(record_line(), seconds=0) == listed.keys
    assert listed.pages <= 100 - _ALONE + 8


@pytest.mark.parametrize("error", [StorageError("gone"), NoStartError()])
def test_what_fails_in_a_part_is_raised(error: Exception) -> None:
    listed = Keys(keys_of("a year, evenly", 500))

    def read(after: str) -> Piece:
        if listed.pages == 20:
            raise error
        return listed.read(after)

    begun = listed.keys[: _ALONE * _PAGE]
    with pytest.raises(type(error)):
        list(Spread(read, record_line(), 60).entries(begun[0], begun[-1], _ALONE))


# -- on S3 ---------------------------------------------------------------------------------------------------


@pytest.fixture
def many(wired_store: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of records in a store whose pages are short."""
    monkeypatch.setattr("archiver.store.s3.store._PAGE", _PAGE)
    keys = keys_of("a year, evenly", 150)
    list(wired_store.map(lambda key: wired_store.put(key, b""), keys))
    wired_store.put("runs", b"")
    wired_store.put("tags/x", b"")
    wire.reset()
    return keys


def test_many_objects_are_listed_by_several_requests_at_once(
    wired_store: Store, wire: Wire, many: list[str]
) -> None:
    wire.delay = 0.05
    assert [entry.key for entry in wired_store.list_many("runs/", record_line())] == many
    assert wire.most_at_once > 1
    assert 15 <= wire.counts["LIST"] <= 35


def test_few_objects_take_no_request_more(wired_store: Store, wire: Wire, many: list[str]) -> None:
    assert wired_store.delete(many[_ALONE * _PAGE :]) == {}
    wire.reset()
    assert [entry.key for entry in wired_store.list_many("runs/", record_line())] == many[: _ALONE * _PAGE]
    assert wire.counts == {"LIST": _ALONE}


def test_a_server_that_knows_no_start_is_asked_for_one_page_after_the_other(
    wired_store: Store, wire: Wire, many: list[str]
) -> None:
    whole = b"".join(
        b"<Contents><Key>some/prefix/%s</Key><Size>0</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        % key.encode()
        for key in many[:_PAGE]
    )
    page = b"<ListBucketResult>%s<IsTruncated>true</IsTruncated></ListBucketResult>" % whole
    listing = wired_store.list_many("runs/", record_line())
    found = [next(listing).key for _ in range(_ALONE * _PAGE)]
    wire.fault("answer", "LIST", 1, status=200, body=page)
    assert [*found, *(entry.key for entry in listing)] == many


def test_a_listing_that_is_left_ends_its_requests(wired_store: Store, wire: Wire, many: list[str]) -> None:
    listing = wired_store.list_many("runs/", record_line())
    for _ in range(_ALONE * _PAGE + 1):
        next(listing)
    del listing
    seen = wire.counts["LIST"]
    assert not [one for one in threading.enumerate() if one.name.startswith("archiver-list")]
    assert wire.counts["LIST"] == seen
    assert len(many) == 150
