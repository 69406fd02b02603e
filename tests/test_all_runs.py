"""All runs in one look: packed ones say as columns what loose ones say as records."""

from __future__ import annotations

from typing import Any

from archiver.archive import Archive
from archiver.runs.all_runs import AllRuns, growth, has_text
from archiver.runs.tags import put_tag
from archiver.tui.data import Scope, Source
from tests.stores import fresh_store, save

_OWN = ["run", "universe", "created", "strategies", "detailed", "note", "tags"]
"""The columns that are alike; a record is of another size in a pack."""


def said(seen: AllRuns) -> dict[str, Any]:
    """Return what is said of all runs."""
    return {
        "table": seen.table.select(_OWN).to_pylist(),
        "by universe": seen.by_universe.drop_columns(["bytes"]).to_pylist(),
        "count": (len(seen), seen.count("a")),
        "universes": (seen.universes, seen.newest, seen.newest_detailed(1)),
        "newest": [record.run for record in seen.newest_records(2)],
        "newest of a": [record.run for record in seen.newest_records(2, "a")],
        "having": [record.run for record in seen.having("s3") if record.strategies > 3],
        "created": seen.created(seen.table["run"].to_pylist()),
        "found": seen.table.filter(has_text(seen.table, "B", ("universe", "note")))["run"].to_pylist(),
    }


def test_packed_runs_are_told_as_loose_ones() -> None:
    store = fresh_store()
    archive = Archive(store)
    first = save(store, "a", days=3, bars=40, tags=["t"])
    save(store, "a", days=2, strategies=5)
    save(store, "b", days=1, bars=40)
    loose = archive.all_runs()
    before = said(loose)
    assert before["table"][-1] | {"created": 0} == {
        "run": first.run,
        "universe": "a",
        "created": 0,
        "strategies": 1,
        "detailed": 1,
        "note": None,
        "tags": '["t"]',
    }
    assert archive.compact() == 3
    packed = Archive(store).all_runs()
    assert len(packed.packed) == 3
    assert said(packed) == before
    # A loose run beside them is the newest, an older one comes last.
    save(store, "b", days=9)
    newest = save(store, "c")
    both = Archive(store).all_runs()
    assert both.table["run"].to_pylist()[1:-1] == packed.table["run"].to_pylist()
    assert both.table["run"][0].as_py() == newest.run
    assert both.version != packed.version
    assert both.universes == ["a", "b", "c"]


def test_what_packed_runs_share_counts_once_where_few_do() -> None:
    store = fresh_store()
    save(store, "a", days=3, bars=40)
    save(store, "a", days=2, bars=40)
    save(store, "b", days=1, bars=40)
    records = Archive(store).records()
    tape = records[0].tapes[0].size
    Archive(store).compact()
    seen = Archive(store).all_runs()
    whole = sum(seen.table["bytes"].to_pylist())
    once, is_once = seen.brought(3)
    assert is_once
    assert once.tolist() == growth(list(seen.whole(seen.table["run"].to_pylist()).values()))
    assert abs(whole - 2 * tape - int(once.sum())) <= 30  # a record is of another size in a pack
    assert abs(whole - tape - int(seen.brought(3, apart=True)[0].sum())) <= 30
    each, is_once = seen.brought(2)
    assert not is_once
    assert each.sum() == whole


def test_the_terminal_says_the_same_of_packed_runs() -> None:
    store = fresh_store()
    archive = Archive(store)
    old = save(store, "a", days=3, strategies=4, tags=["t"])
    save(store, "a", days=2)
    save(store, "b", days=1, detail=False)
    put_tag(store, old.run, "Pinned here")

    def told() -> list[Any]:
        source = Source(Archive(store))
        found = source.strategies(Scope())
        runs = source.runs("a")
        return [
            [(one.name, one.runs, one.strategies, one.newest, one.best) for one in source.universes()],
            [(run.id, run.tags, run.detailed) for run in runs[:]],
            [runs[0].id, [run.id for run in runs.searched("T pinned")], len(runs.searched("nothing"))],
            (found.table.to_pylist(), found.metric, found.kept, found.unread),
            [found.created.get(run) for run in (old.run, "none")],
            source.strategies(Scope("b")).table["run"].to_pylist(),
        ]

    before = told()
    assert before[2] == [before[1][0][0], [old.run], 0]
    archive.compact()
    assert len(Source(Archive(store)).seen().packed) == 3
    assert told() == before
