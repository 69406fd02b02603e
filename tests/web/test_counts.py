"""Counts agree with what is shown, whoever is asked: pages, API, `metrics`, `top`, `params`; whatever became of the runs."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from werkzeug.test import Client

import archiver
from archiver.web.pages import strategies
from archiver.web.reading.data import NEWEST, Data
from archiver.web.reading.site import Site
from tests.conftest import Cli
from tests.web.conftest import callback, guarded
from tests.web.test_api import get
from tests.web.test_pages import grid

SAVED = (
    ("one", "abc"),
    ("two", "xy"),
    ("one", "bcd"),
    ("two", "xyz"),
    ("one", "ce"),
    ("one", "f"),
    ("two", "x"),
    ("three", "pq"),
)
"""Universe and strategies of each run, oldest first."""
PACKED, PRUNED = 5, (1, 2)
"""So many of the first runs are packed; of these two are pruned afterwards."""
FLAGS = {"strategy": [], "universe": ["--newest", "universe"], "all": ["--history"]}


class Kept(NamedTuple):
    url: str
    client: Client
    counts: dict[str, int]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Give an archive of loose, packed and pruned runs, and how many rows each switch shows, counted by hand."""
    folder = tmp_path_factory.mktemp("counts") / "a"
    archive = archiver.open(str(folder))
    runs: list[tuple[str, str, str]] = []
    for at, (universe, names) in enumerate(SAVED):
        if at == PACKED:
            _age(folder / "runs")
            assert archive.compact() == PACKED
        rows = [
            {"strategy_name": name, "sharpe_ratio": at + ord(name) / 7, "params": {"at": at, "of": ord(name)}}
            for name in names
        ]
        runs.append((archive.save_universe_results(universe, rows, code="none").id, universe, names))
    for at in PRUNED:
        archive.tag(runs[at][0], "gone")
    policy = archiver.Policy(keep_tags=["kept"])
    for at, (run, _, _) in enumerate(runs):
        if at not in PRUNED:
            archive.tag(run, "kept")
    archive.apply(archive.plan_prune(policy), max_remove=1.0)
    left = [(universe, names) for at, (_, universe, names) in enumerate(runs) if at not in PRUNED]
    assert [run.universe for run in archive.runs()] == [universe for universe, _ in left[::-1]]
    last = dict(left)
    counts = {
        "strategy": len({(universe, name) for universe, names in left for name in names}),
        "universe": sum(len(names) for names in last.values()),
        "all": sum(len(names) for _, names in left),
    }
    assert len(set(counts.values())) == len(counts)
    return Kept(str(folder), Client(guarded(str(folder))), counts)


def _age(folder: Path) -> None:
    """Let records be old enough to be packed."""
    then = time.time() - 86_400
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


@pytest.mark.parametrize("newest", NEWEST)
def test_all_count_the_rows_that_they_show(kept: Kept, command: Cli, newest: str) -> None:
    wanted = kept.counts[newest]

    def printed(*words: str) -> Any:
        return json.loads(command("--url", kept.url, "--json", *words, *FLAGS[newest])[1])

    assert len(printed("metrics")["metrics"]) == wanted
    top = printed("top", "-n", "100")
    assert (top["strategies"], len(top["top"])) == (wanted, wanted)
    assert printed("params")["strategies"] == wanted
    api = get(kept.client, "/api/metrics", newest=newest).json
    assert (api["total"], len(api["metrics"])) == (wanted, wanted)
    assert get(kept.client, "/api/parameters", newest=newest).json["strategies"] == wanted
    request = {"startRow": 0, "endRow": 100, "sortModel": []}
    table = grid(kept.client, request, {"columns": ["sharpe_ratio"], "newest": newest})
    assert (table["rowCount"], len(table["rowData"])) == (wanted, wanted)
    site = Site(Data(archiver.open(kept.url, read_only=True)))
    what = "results" if newest == "all" else "strategies"
    assert strategies._status(site, {"newest": newest})[0] == f"{wanted} {what}"
    overview = json.dumps(callback(kept.client, "/", f"?newest={newest}")["page"]["children"])
    assert re.search(rf'"children": "{wanted}", "id": "counted"', overview)
    parameters = json.dumps(callback(kept.client, "/parameters", f"?newest={newest}")["page"]["children"])
    assert f'"{wanted} strategies"' in parameters


def test_rows_of_one_universe_or_filter_are_counted_alike(kept: Kept, command: Cli) -> None:
    words = ("--url", kept.url, "--json")
    for flags, asked in (
        (["-u", "one"], {"universe": "one"}),
        (["--where", "params.of > 99"], {"where": "params.of > 99"}),
        (["-u", "two", "--history"], {"universe": "two", "newest": "all"}),
    ):
        rows = get(kept.client, "/api/metrics", **asked).json["total"]
        assert rows
        assert len(json.loads(command(*words, "metrics", *flags)[1])["metrics"]) == rows
        assert json.loads(command(*words, "top", *flags)[1])["strategies"] == rows
        assert json.loads(command(*words, "params", *flags)[1])["strategies"] == rows
        assert get(kept.client, "/api/parameters", **asked).json["strategies"] == rows
