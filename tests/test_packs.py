"""Packs that go while somebody reads: taken back by their packer, or replaced and freed. Every reader looks again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from archiver.archive import Archive
from archiver.errors import IntegrityError, NotFoundError, StorageError
from archiver.format import layout
from archiver.retention.policy import Policy
from archiver.store import Store
from archiver.store.entry import Entry
from archiver.web.reading.data import Data
from tests.stores import Frozen, MovedStore, PassingStore, SharedStore, fresh_store, save, snapshot
from tests.thinned import one_in


class Halfway(PassingStore):
    """A store in which a packer never comes to delete what it has packed."""

    def delete(self, keys: Iterable[str]) -> dict[str, StorageError]:
        return super().delete([key for key in keys if not key.startswith((layout.RUNS, layout.REVISED))])


def filled(store: Store) -> list[str]:
    return [
        save(store, "a", days=9, score=3.0, bars=40, tags=["t"]).run,
        save(store, "a", days=6, score=1.0, strategies=100).run,
        save(store, "b", days=5, score=2.0).run,
        save(store, "b", score=0.5, bars=40, code=b"print()").run,
    ]


def commits(store: Store) -> set[str]:
    return {entry.key for entry in store.list(layout.PACKS) if entry.key.endswith(layout.RECORD_SUFFIX)}


def drop(store: Store, packs: Iterable[str]) -> None:
    """Delete packs as whoever takes one back does: what commits it first."""
    for commit in packs:
        stem = commit.removesuffix(layout.RECORD_SUFFIX)
        data = [entry.key for entry in store.list(stem) if entry.key != commit]
        store.delete([commit])
        store.delete(data)


@pytest.fixture(scope="module")
def young() -> Frozen:
    """Make runs that are loose, and packed by somebody who is still at it."""
    store = fresh_store()
    runs = filled(store)
    Archive(Halfway(store)).compact()
    assert len(commits(store)) == 1
    return Frozen(snapshot(store), runs)


@pytest.fixture(scope="module")
def replaced() -> Frozen:
    """Make a pack that has just been replaced by another, which holds one run more."""
    store = MovedStore(fresh_store())
    runs = filled(store)
    Archive(store).compact()
    store.move(hours=2)
    runs.append(save(store, "c").run)
    Archive(store).compact()
    assert len(commits(store)) == 2
    return Frozen(snapshot(store), runs)


def _taken_back(store: Store) -> None:
    drop(store, commits(store))


def _freed(store: Store) -> None:
    """Free the pack that was replaced, and the one that replaced it, which another has replaced."""
    moved = MovedStore(store)
    moved.move(hours=3)
    for _ in range(2):
        save(moved, "d")
        Archive(moved).compact()
        moved.move(hours=3)
    Archive(moved).gc("0d", apply=True)


READERS: dict[str, Callable[[Any], Any]] = {
    "ls": lambda archive: [(run.id, run.tags) for run in archive.runs("a")],
    "ls of a tag": lambda archive: [run.id for run in archive.runs(tag="t")],
    "newest": lambda archive: [run.id for run in archive.runs("b", limit=1)],
    "count": lambda archive: archive.run_count("a"),
    "ids": lambda archive: archive.run_ids("a"),
    "ids where": lambda archive: archive.run_ids("a", where="sharpe_ratio > 1"),
    "created": lambda archive: archive.created(archive.run_ids("a")),
    "records": lambda archive: [record.run for record in archive.records(universe="a")],
    "record": lambda archive: [archive.record(run).created for run in archive.run_ids("a")],
    "top": lambda archive: [
        table.to_pylist()
        for table in archive.leaderboard(["sharpe_ratio"], "a", sort="sharpe_ratio", limit=2)
    ],
    "metrics": lambda archive: archive.load_metrics("a").to_pylist(),
    "metrics, warned": lambda archive: archive.load_metrics("a", errors="warn").to_pylist(),
    "history": lambda archive: archive.load_metrics("a", history=True).to_pylist(),
    "strategy": lambda archive: [
        archive.load_strategy(*one[::-1]) for one in archive.detailed_strategies("a")
    ],
    "trades": lambda archive: archive.load_trades(archive.detailed_strategies("a")[0][1], "a").to_pylist(),
    "many": lambda archive: archive.load_many(universe="a").to_pylist(),
    "batches": lambda archive: [len(table) for table in archive.load_many(universe="a", batches=True)],
    "files": lambda archive: archive.detail_files("a").to_pylist(),
    "sql": lambda archive: archive.sql(
        "select run, strategy_name from metrics order by all", universe="a"
    ).to_pylist(),
    "all runs": lambda archive: archive.all_runs().of("a").to_pylist(),
    "plan": lambda archive: [
        one.run for one in archive.plan_prune(Policy(keep_last=1, universe="a")).removals
    ],
    "verify": lambda archive: archive.verify(read_data=True).ok,
    "du": lambda archive: archive.du() is not None,
    "pages": lambda archive: [
        row["run"] for row in Data(archive).metrics(newest="all").table.to_pylist() if row["universe"] == "a"
    ],
    "headline": lambda archive: Data(archive).headline()[1],
    "a row of a page": lambda archive: (Data(archive).row("a", "s0", "") or [None])[1],
    "code": lambda archive: [file.path for file in archive.code(archive.run_ids("b")[-1]).files],
}


@pytest.mark.parametrize("reader", one_in(2, READERS))
@pytest.mark.parametrize("what", ["taken back", "freed"])
@pytest.mark.parametrize(
    "every", [pytest.param(3, id="one in three"), pytest.param(1, id="each", marks=pytest.mark.slow)]
)
def test_whoever_reads_a_pack_that_goes_looks_again(
    every: int, what: str, reader: str, young: Frozen, replaced: Frozen
) -> None:
    frozen, act = (young, _taken_back) if what == "taken back" else (replaced, _freed)
    read = READERS[reader]
    before = read(Archive(fresh_store(frozen.objects)))
    at = 0
    while True:
        store = fresh_store(frozen.objects)
        shared = SharedStore(store, at, partial(act, store))
        assert read(Archive(shared)) == before
        if shared.calls <= at:
            break
        at += every
    assert at > 0


def test_lost_data_of_a_pack_that_is_there_is_damage(young: Frozen) -> None:
    store = fresh_store(young.objects)
    (commit,) = commits(store)
    store.delete([commit.removesuffix(layout.RECORD_SUFFIX) + ".records.parquet"])
    with pytest.raises(IntegrityError, match="is gone although a pack needs it"):
        Archive(store).runs()


def test_a_pack_that_is_there_and_always_gone_ends_the_looks(young: Frozen) -> None:
    store = fresh_store(young.objects)
    asked: list[str] = []

    class Odd(PassingStore):
        def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if key.endswith(".records.parquet"):
                asked.append(key)
                raise NotFoundError(f"no {key}")
            return super().get(key, start, end)

        def stat(self, key: str) -> Entry | None:
            return None if key.startswith(layout.PACKS) else super().stat(key)

    with pytest.raises(StorageError, match="went while it was read: try again"):
        Archive(Odd(store)).runs()
    assert 1 < len(asked) < 20
