"""Objects as folders: sums, pages and order from one listing."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import pytest

from archiver.errors import NotFoundError
from archiver.query.tree import Index, folder, index_of
from archiver.store.entry import Entry

THEN = datetime(2025, 1, 21, tzinfo=UTC)


def test_pages_of_a_hundred_thousand_keys_are_cut_from_one_listing() -> None:
    entries = [Entry(f"code/{at // 400:03}/{at:06}", at % 7, THEN) for at in range(100_000)]

    class Listing:
        lists = 0

        def list(self, prefix: str) -> list[Entry]:
            self.lists += 1
            return [entry for entry in entries if entry.key.startswith(prefix)]

    store: Any = Listing()
    index = index_of(store)
    whole = folder(index, "code/", limit=1_000)
    assert (len(whole.items), whole.objects, whole.size) == (250, 100_000, sum(e.size for e in entries))
    assert [item.objects for item in whole.items] == [400] * 250
    after, seen = "", 0
    while True:
        page = folder(index, "code", after, 100)
        seen += sum(item.objects for item in page.items)
        if page.after is None:
            break
        after = page.after
    assert (seen, store.lists) == (100_000, 1)


def test_a_folder_and_an_object_of_the_same_beginning_are_kept_apart() -> None:
    keys = ["a", "a!", "a/x", "a/y/z", "a0", "b"]
    entries = [Entry(key, 1, THEN) for key in keys]
    index = Index(entries, keys, [0, *accumulate(1 for _ in keys)], 0.0)
    assert [(item.key, item.objects) for item in folder(index).items] == [
        ("a", 1), ("a!", 1), ("a/", 2), ("a0", 1), ("b", 1)
    ]  # fmt: skip
    assert [item.key for item in folder(index, "a").items] == ["a/x", "a/y/"]
    with pytest.raises(NotFoundError):
        folder(index, "a0/")
