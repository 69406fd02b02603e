"""A process that dies at any call of bundling with removal, of restoring, or of copying loses nothing."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from archiver.archive import Archive
from archiver.format import layout
from archiver.store import Store, open_store
from tests.benchmarks import workload
from tests.faults import CALLS, DEATH, failing
from tests.runs_made import everything, seen
from tests.stores import fresh_store


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the objects of a small archive: three runs, two of which share a tape and code."""
    code = tmp_path_factory.mktemp("project") / "a.py"
    code.write_text("x = 1\n")
    archive = Archive(memory())
    for seed in (3, 3, 4):
        archive.save_universe_results(
            "u", workload.universe(seed, 30, 1, 5, 2000), 1, tags=["t"], code=[code.parent]
        )
    return everything(archive.store)


def memory(objects: dict[str, bytes] | None = None) -> Store:
    store = open_store(f"memory://{secrets.token_hex(8)}")
    for key, data in (objects or {}).items():
        store.put(key, data)
    return store


@CALLS
@DEATH
def test_bundling_with_removal(when: str, every: int, objects: dict[str, bytes]) -> None:
    runs = Archive(memory(objects)).run_ids()
    before = seen(Archive(memory(objects)), runs)

    def work(store: Store) -> None:
        archive = Archive(store)
        archive.bundle(runs, "all")
        archive.bundles.apply_removal(archive.bundles.plan_removal("all"))

    for store, _ in failing(lambda: fresh_store(objects), work, when=when, every=every):
        archive = Archive(store)
        assert archive.verify(read_data=True).ok
        gone = [run.id for run in archive.runs() if run.archived]
        stays = [run for run in runs if run not in gone]
        assert seen(archive, stays) == {run: before[run] for run in stays}
        if gone:
            assert archive.bundles.verify("all").ok
            archive.gc("0d", apply=True)
        work(store)
        assert [run.archived for run in archive.runs()] == ["all"] * len(runs)
        Archive(store).bundles.restore("all")
        assert seen(Archive(store), runs) == before
        assert Archive(store).verify(read_data=True).ok


@CALLS
@DEATH
def test_restoring(when: str, every: int, objects: dict[str, bytes]) -> None:
    home = Archive(memory(objects))
    runs = home.run_ids()
    before = seen(home, runs)
    home.bundle(runs, "all")

    def work(store: Store) -> None:
        Archive(store).bundles.restore("all", home=home.bundles)

    for store, _ in failing(fresh_store, work, when=when, every=every):
        sound(store, before)
        work(store)
        assert seen(Archive(store), runs) == before


@CALLS
@DEATH
def test_copy(when: str, every: int, objects: dict[str, bytes]) -> None:
    source = Archive(memory(objects))
    runs = source.run_ids()
    before = seen(source, runs)

    def work(store: Store) -> None:
        source.copy_to(Archive(store))

    for store, _ in failing(fresh_store, work, when=when, every=every):
        sound(store, before)
        work(store)
        assert seen(Archive(store), runs) == before
        assert everything(store, but=(layout.ARCHIVE,)) == everything(source.store, but=(layout.ARCHIVE,))


def sound(store: Store, before: dict[str, Any]) -> None:
    """Make sure that whatever runs are there are whole."""
    if store.stat(layout.ARCHIVE) is None:
        assert list(store.list(layout.RUNS)) == []
        return
    archive = Archive(store)
    assert archive.verify(read_data=True).ok
    here = archive.run_ids()
    assert {run: _but_tags(view) for run, view in seen(archive, here).items()} == {
        run: _but_tags(before[run]) for run in here
    }


def _but_tags(view: Any) -> Any:
    from dataclasses import replace

    return replace(view[0], tags=()), *view[1:]
