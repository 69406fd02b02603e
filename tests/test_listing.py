"""The runs of an archive: the newest of them without reading the rest, and all of them as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import archiver
from archiver.archive import Archive
from archiver.archive.listing import Listing
from archiver.archive.root import Root
from archiver.runs.write import Writer, draft_run
from tests.conftest import Cli
from tests.stores import PassingStore, fresh_store, result

NOW = datetime.now(UTC)


class Counted(PassingStore):
    """A store that counts the records that are read."""

    reads = 0

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self.reads += key.startswith("runs/")
        return super().get(key, start, end)


def test_the_newest_runs_are_found_without_reading_the_others() -> None:
    store = fresh_store()
    Archive(store).create()
    for day in range(30):
        draft = draft_run("u", [result("s")], top_n=1, created=NOW - timedelta(days=day))
        Writer(store).commit(draft)
    every = Archive(store).runs()
    for limit in (0, 1, 7, 30, 99):
        counted = Counted(store)
        listing = Listing(counted, Root(counted))
        assert listing.runs(limit=limit) == every[:limit]
        assert counted.reads == min(limit, 30)
    assert Archive(store).runs("u", limit=3) == every[:3]
    assert Archive(store).runs("other", limit=3) == []


def test_runs_of_one_second_are_ordered_by_the_moment_not_by_their_ids() -> None:
    archive = Archive(fresh_store(), code="none")
    for at in range(12):
        archive.save_universe_results(f"u{at}", [{"strategy_name": "s", "sharpe_ratio": 1.0}])
    every = archive.runs()
    assert [run.universe for run in every] == [f"u{at}" for at in reversed(range(12))]
    for limit in range(13):
        assert Archive(archive.store).runs(limit=limit) == every[:limit]


def test_runs_as_a_table(archive: Archive) -> None:
    assert archive.store.local is not None
    archive.save_universe_results(
        "u", [{"strategy_name": "s", "sharpe_ratio": 1.0}], tags=["b", "a"], note="n", code="none"
    )
    archive.start("v", code="none").add({"strategy_name": "s", "sharpe_ratio": 1.0})
    table = archive.runs_table()
    for row, run in zip(table.to_pylist(), archive.runs(), strict=True):
        assert row == {name: getattr(run, name) for name in row} | {"tags": list(run.tags)}
        assert row["created"].utcoffset() == timedelta(0)
    assert archive.runs_table("u").num_rows == archive.runs_table(tag="a").num_rows == 1
    assert archive.runs_table("none").schema == table.schema
    assert archive.runs_table(limit=1)["universe"].to_pylist() == ["v"]


def test_ls_says_how_many_runs_are_not_shown(archive: Archive, command: Cli) -> None:
    for _ in range(3):
        archive.save_universe_results("u", [{"strategy_name": "s"}], code="none")
    url = str(archive.store.url)
    assert "2 older runs are not shown" in command("ls", "-n", "1", "--url", url)[2]
    assert "older" not in command("ls", "-n", "3", "--url", url)[2]
    assert "2 older runs are not shown" in command("ls", "-n", "1", "-u", "u", "--url", url)[2]
    with pytest.raises(archiver.ArchiveNotFoundError):
        archiver.open(f"{url}-none").runs(limit=1)
