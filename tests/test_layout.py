from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.base.run_id import is_run_id
from archiver.errors import ConfigError
from archiver.format import layout
from archiver.store import check_key
from archiver.store.s3 import unfinished


@given(st.text(min_size=1, max_size=60))
def test_every_name_is_safe_and_reversible(name: str) -> None:
    try:
        quoted = layout.quote(name)
    except ConfigError:
        assert len(name.encode("utf-8", "surrogatepass")) > 70 or any("\ud800" <= c <= "\udfff" for c in name)
        return
    assert layout.unquote_name(quoted) == name
    assert set(quoted) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.%")
    assert not quoted.startswith(".")
    check_key(layout.tier2_key(name, "20250101T000000Z-00000000"))


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert (layout.quote(one) == layout.quote(other)) == (one == other)


@pytest.mark.parametrize("name", ["", "\ud800", "ü" * 200])
def test_names_that_cannot_be_keys_are_one_line(name: str) -> None:
    with pytest.raises(ConfigError):
        layout.quote(name)


@pytest.mark.parametrize("universe", ["ü" * 200, "日本" * 150, "x" * 300, "%" * 77, "a" * 212 + "é" * 9])
def test_long_universes_are_cut_and_told_apart(universe: str) -> None:
    run = "20250101T000000Z-00000000"
    keys = {layout.tier2_key(name, run) for name in (universe, universe + "x", universe[:-1])}
    assert len(keys) == 3
    for key in keys:
        check_key(key)
        assert max(map(len, key.split("/"))) <= 240
        assert universe.startswith(layout.unquote_name(key.split("/")[1].removeprefix("universe="))[:20])


def test_every_area_is_among_the_areas_and_nothing_else() -> None:
    named = {
        value
        for value in vars(layout).values()
        if isinstance(value, str) and re.fullmatch("[a-z0-9]+/", value)
    }
    assert sorted(layout.AREAS) == sorted(named)
    assert sorted(unfinished.AREAS) == sorted(layout.AREAS)
    assert set(layout.DATA) < set(layout.AREAS)


def test_run_ids_sort_by_time_and_differ() -> None:
    early, late = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert layout.new_run_id(early) < layout.new_run_id(late)
    assert layout.new_run_id(early).startswith("20250101T000000Z-")
    ids = {layout.new_run_id(early) for _ in range(100)}
    assert len(ids) == 100
    assert all(map(is_run_id, ids))


def test_records_are_told_from_other_objects() -> None:
    run = "20250101T000000Z-00000000"
    assert layout.run_of_record(layout.record_key(run)) == run
    assert layout.run_of_record(layout.trash_key(run)) == run
    for key in ("runs/x.json.zst", f"runs/{run}", f"runs/{run}.json", f"runs/{run}.json.zst.tmp"):
        assert layout.run_of_record(key) is None
