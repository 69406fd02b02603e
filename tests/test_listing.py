"""Runs by their ids, the beginnings of these, universes and tags."""

from __future__ import annotations

import pytest

from archiver.archive import Archive
from archiver.errors import ArchiveNotFoundError, RunNotFoundError


def save(archive: Archive, count: int) -> list[str]:
    return [
        archive.save_universe_results(
            f"u{at}", [{"strategy_name": "s"}], tags=["odd"] * (at % 2), code="none"
        ).id
        for at in range(count)
    ]


def test_a_beginning_that_fits_several_runs_names_them(archive: Archive) -> None:
    runs = save(archive, 3)
    with pytest.raises(RunNotFoundError) as caught:
        archive.run(runs[0][:4])
    assert str(caught.value).startswith(f"'{runs[0][:4]}' is the beginning of 3 runs, ")
    assert all(run in str(caught.value) for run in runs)
    save(archive, 4)
    with pytest.raises(RunNotFoundError, match=r"7 runs, .* and 2 more: give more of it"):
        archive.run("2")
    assert archive.run(runs[1]).id == archive.run(archive.run(runs[1])).id == runs[1]


def test_runs_are_chosen_by_universe_and_tag(archive: Archive) -> None:
    with pytest.raises(ArchiveNotFoundError):
        archive.run_ids()
    runs = save(archive, 3)
    assert archive.run_ids() == sorted(runs)
    assert archive.run_ids(tag="odd") == [run.id for run in archive.runs(tag="odd")] == [runs[1]]
    assert archive.run_ids(universe="u2") == [runs[2]]
    assert archive.run_ids(universe="u2", tag="odd") == archive.runs("u2", "odd") == []
