from __future__ import annotations

from pathlib import Path

import pytest

import archiver
from tests.conftest import Cli
from tests.test_newest import bundle, lose, prune, save

pytestmark = pytest.mark.usefixtures("details_apart")


def test_one_wording_of_what_became_of_details(tmp_path: Path, command: Cli) -> None:
    archive = archiver.open(tmp_path / "archive")
    save(archive, "kept", 1.0)
    archive.save_universe_results("none", [{"strategy_name": "a", "sharpe_ratio": 1.0}], code="none")
    for universe, losing in (("removed", prune), ("bundled", bundle), ("lost", lose)):
        save(archive, universe, 1.0)
        losing(archive, universe)
    words = {run.universe: run.details for run in archive.runs()}
    assert words == {
        "kept": "kept of 1 strategy",
        "none": "none were given",
        "removed": "removed by " + words["removed"].removeprefix("removed by "),
        "bundled": "in bundle kept",
        "lost": "lost: removed by damage that `archiver verify --repair` found",
    }
    listed = [line.split("\t") for line in command("--url", archive.store.url, "ls")[1].splitlines()]
    at = listed[0].index("detailed")
    for run in archive.runs():
        said = command("--url", archive.store.url, "show", run.id)[1]
        assert f"details\t{words[run.universe]}\n" in said
        row = next(line for line in listed if line[0] == run.id)
        assert row[at] == {"kept": "1", "none": "0"}.get(run.universe, words[run.universe])
        if run.universe in ("removed", "bundled", "lost"):
            with pytest.raises(archiver.NotKeptError) as caught:
                archive.load_strategy("a", run=run.id)
            assert words[run.universe] in str(caught.value)
