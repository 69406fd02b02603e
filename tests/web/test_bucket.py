"""The bucket's pages, object by object: what a record says of one, and damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from werkzeug.test import Client

import archiver
from archiver.format import layout
from archiver.web.pages import bucket
from archiver.web.words import links
from tests.faults import flip, truncate
from tests.web.conftest import Made, guarded
from tests.web.test_pages import show


@pytest.fixture
def copied(plain: Made, tmp_path: Path) -> archiver.Archive:
    """Give a copy of the plain archive that may be spoilt."""
    shutil.copytree(plain.url, tmp_path / "copy")
    return archiver.open(str(tmp_path / "copy"))


def first(archive: archiver.Archive, prefix: str) -> str:
    return next(entry.key for entry in archive.store.list(prefix))


def look(archive: archiver.Archive, key: str) -> str:
    return show(Client(guarded(archive.store.url)), links.href("/bucket", key=key))[1]


@pytest.mark.parametrize("prefix", [layout.TIER1, layout.TIER2, layout.TAPES, layout.CODE])
def test_what_a_record_says_of_an_object_is_compared(copied, prefix):
    key = first(copied, prefix)
    text = look(copied, key)
    assert "matches" in text
    assert "damaged" not in text
    flip(copied.store, key)
    text = look(copied, key)
    assert "does not match" in text
    assert "This object is damaged" in text
    assert "archiver verify" in text
    assert "First rows" not in text


def test_a_cut_object_is_told_by_its_size(copied):
    key = first(copied, layout.TIER2)
    size = len(copied.store.get(key))
    truncate(copied.store, key, size // 2)
    text = look(copied, key)
    assert f"its record says {size:,} bytes" in text
    assert "does not match" in text


@pytest.mark.parametrize("prefix", [layout.RUNS, layout.ARCHIVE])
def test_damage_is_told_where_no_record_knows_the_object(copied, prefix):
    key = first(copied, prefix)
    Path(copied.store.url, key).write_bytes(b"garbage")
    text = look(copied, key)
    assert "This object is damaged" in text
    assert key in text


def test_large_objects_are_not_read_whole_to_be_looked_at(copied, monkeypatch):
    monkeypatch.setattr(bucket, "_MOST_COMPARED", 10)
    text = look(copied, first(copied, layout.TIER2))
    assert "not compared with these bytes here" in text
    assert "First rows" in text


def test_how_code_was_captured_is_said_in_words(client, plain: Made):
    for view in ("", "code"):
        text = show(client, links.run(plain.runs[1].id, view=view))[1]
        assert "as the save named them" in text
        assert "listed" not in text


def test_a_damaged_record_does_not_hide_other_objects(copied):
    for entry in list(copied.store.list(layout.RUNS)):
        flip(copied.store, entry.key, 5)
    text = look(copied, first(copied, layout.TIER2))
    assert "not known: " in text
    assert "First rows" in text
