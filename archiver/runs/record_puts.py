"""Records of many runs, written at once: what they replace is looked for once before and once after, not for each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from archiver.format import layout
from archiver.runs.record_view import RecordView
from archiver.store import Store

_FEW = 2


def put_records(view: RecordView, texts: Mapping[str, bytes], pool: Store) -> None:
    """Write the records of runs as `view.put` writes each.

    A look takes two listings; a look for each of thousands of runs would take three times as many requests as their
    records. What holds a single one safe from a packer that is at work holds these: first we write, then we look.

    texts: records by run id; pool: the store whose `map` does the work.
    """
    singly = [*texts]
    if len(texts) > _FEW:
        revised = {
            key.run
            for entry in view.below.list(layout.REVISED)
            if (key := layout.parse(entry.key)) is not None
        }
        packs = view.packs.live()
        plain = [run for run in texts if run not in revised and view.packs.find(packs, run) is None]
        put = partial(put_item, view.below)
        for _ in pool.map(put, ((layout.record_key(run), texts[run]) for run in plain)):
            pass
        packs = view.packs.live()
        written = {run for run in plain if view.packs.find(packs, run) is None}
        singly = [run for run in texts if run not in written]
    for _ in pool.map(partial(put_item, view), ((layout.record_key(run), texts[run]) for run in singly)):
        pass


def put_item(store: Store, item: tuple[str, bytes]) -> None:
    """Put a key and its bytes: a function that pickles, for `Store.map`."""
    store.put(*item)
