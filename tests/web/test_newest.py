"""Which rows count: newest of each strategy, newest run of each universe, all; said alike by page, list and API."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from werkzeug.test import Client

import archiver
from archiver.errors import ConfigError
from archiver.runs.details import state_of
from archiver.web.reading.data import NEWEST, Data
from tests.conftest import Cli
from tests.stores import details_in_objects
from tests.web.conftest import callback, guarded
from tests.web.test_pages import grid

HOST = {"Host": "127.0.0.1"}
ROWS = {"strategy": ["a", "x", "b", "c"], "universe": ["x", "b", "c"], "all": ["a", "x", "b", "b", "c"]}
"""The strategies of each choice, best first."""


class Two(NamedTuple):
    url: str
    old: str
    new: str
    other: str


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Make an archive where the best strategy is in an older run only."""
    url = str(tmp_path_factory.mktemp("two") / "backtests")
    archive = archiver.open(url)
    runs = [
        archive.save_universe_results(
            universe,
            [{"strategy_name": n, "sharpe_ratio": s, "equity_curve": [1.0, s]} for n, s in rows.items()],
            code="none",
        ).id
        for universe, rows in (
            ("one", {"a": 5.0, "b": 1.0}),
            ("two", {"x": 3.0}),
            ("one", {"b": 2.0, "c": 0.5}),
        )
    ]
    return Two(url, runs[0], runs[2], runs[1])


@pytest.fixture(scope="module")
def visitor(two: Two) -> Client:
    return Client(guarded(two.url))


@pytest.mark.parametrize("newest", NEWEST)
def test_page_list_table_and_api_are_of_one_set(visitor, two: Two, newest):
    api = visitor.get(
        "/api/metrics", query_string={"newest": newest, "sort": "sharpe_ratio"}, headers=HOST
    ).json
    assert [row["strategy_name"] for row in api["metrics"]] == ROWS[newest]
    page = callback(visitor, "/", f"?newest={newest}")["page"]["children"]
    text = json.dumps(page)
    found = re.findall(r'"href": "strategy\?universe=\w+&name=(\w+)', text)
    assert found == ROWS[newest]
    word = "Results" if newest == "all" else "Strategies"
    assert re.search(
        rf'"{word}".{{1,200}}"children": "{len(ROWS[newest])}", "id": "counted".{{1,300}}"{NEWEST[newest].lower()}"',
        text,
    )
    request = {"startRow": 0, "endRow": 20, "sortModel": [{"colId": "sharpe_ratio", "sort": "desc"}]}
    rows = grid(visitor, request, {"columns": ["sharpe_ratio"], "newest": newest})["rowData"]
    assert [row["strategy_name"] for row in rows] == ROWS[newest]
    assert [row["run"] for row in rows if row["_older"]] == [two.old] * (len(ROWS[newest]) - 3)
    assert all(row["_age"] == "just now" and row["run"] in row["_run_href"] for row in rows)
    # A row of an older run leads to that run.
    assert all(("run=" in row["_href"]) == (newest == "all") for row in rows)


def test_every_row_of_the_best_names_its_run_and_age(visitor, two: Two):
    text = json.dumps(callback(visitor, "/", "")["page"]["children"])
    table = text[text.index("The best strategies") : text.index("over-time-place")]
    assert re.findall(r'"href": "run\?id=([^"]+)"', table) == [two.old, two.other, two.new, two.new]
    assert table.count("just now") == 4
    assert table.count('"className": "older"') == 1


def test_history_of_the_api_is_all_runs_and_nonsense_is_refused(visitor):
    usual = visitor.get("/api/metrics", headers=HOST).json
    assert usual == visitor.get("/api/metrics?newest=strategy", headers=HOST).json
    assert usual["total"] == len(ROWS["strategy"])
    every = visitor.get("/api/metrics?history=1", headers=HOST).json
    assert every == visitor.get("/api/metrics?newest=all", headers=HOST).json
    answer = visitor.get("/api/metrics?newest=run", headers=HOST)
    assert (answer.status_code, answer.json["error"]["kind"]) == (400, "ConfigError")
    for path in ("/", "/strategies"):
        assert "newest must be one of" in str(callback(visitor, path, "?newest=run"))


def test_a_headline_alone_is_of_the_same_rows(two: Two):
    for newest, names in ROWS.items():
        # Each with a memory of its own: nothing but the headline is read.
        metrics, columns = Data(archiver.open(two.url, read_only=True)).headline(newest)
        assert sorted(metrics.table["strategy_name"].to_pylist()) == sorted(names)
        assert columns == ["sharpe_ratio"]
    with pytest.raises(ConfigError):
        Data(archiver.open(two.url, read_only=True)).headline("run")


def test_damage_in_one_universe_leaves_all_runs_of_the_others(tmp_path: Path):
    archive = archiver.open(str(tmp_path))
    # So many that their metrics are an object of their own.
    many = [{"strategy_name": f"s{at}", "sharpe_ratio": at / 7, "other": "x" * 200} for at in range(2_000)]
    archive.save_universe_results("one", many, code="none")
    for score in (1.0, 2.0):
        archive.save_universe_results("two", [{"strategy_name": "x", "sharpe_ratio": score}], code="none")
    (path,) = tmp_path.glob("tier1/*/*.parquet")
    path.write_bytes(b"garbage" + path.read_bytes()[7:])
    data = Data(archiver.open(str(tmp_path), read_only=True))
    for newest, count in (("strategy", 1), ("universe", 1), ("all", 2)):
        metrics = data.metrics(newest=newest)
        assert metrics.table["strategy_name"].to_pylist() == ["x"] * count
        assert list(metrics.damaged) == ["one"]


def test_what_became_of_details_is_said_in_one_wording(tmp_path: Path):
    archive = archiver.open(str(tmp_path / "a"))
    results: list[dict[str, Any]] = [{"strategy_name": "s", "sharpe_ratio": 1.0, "equity_curve": [1.0, 2.0]}]
    old = archive.save_universe_results("u", results, code="none")
    archive.save_universe_results("u", results, code="none")
    plain = archive.save_universe_results("u", results, top_n=0, code="none")
    archive.apply(archive.plan_prune(archiver.Policy(name="lean", keep_last=1, tiers=2)), max_remove=1.0)
    records = {record.run: record for record in archive.records()}
    assert archive.all_runs().newest == {"u": plain.id}
    assert state_of(records[plain.id]).kind == "none"
    gone = state_of(records[old.id]).words
    assert gone.startswith("removed by")
    client = Client(guarded(str(tmp_path / "a")))
    for path, query in (("/runs", ""), ("/run", f"?id={old.id}")):
        assert gone in str(callback(client, path, query))
    text = str(callback(client, "/strategy", f"?universe=u&name=s&run={old.id}"))
    assert "No detail was kept" not in text
    assert "was removed by" in text


def test_details_that_went_without_a_word_are_told_by_page_and_command(tmp_path: Path, command: Cli):
    url = str(tmp_path / "a")
    archive = archiver.open(url)
    with details_in_objects():
        run = archive.save_universe_results(
            "u", [{"strategy_name": "s", "sharpe_ratio": 1.0, "equity_curve": [1.0, 2.0]}], code="none"
        )
    page = partial(callback, Client(guarded(url)), "/run", f"?id={run.id}")
    assert "kept of 1 strategy" in str(page())
    archive.store.delete([entry.key for entry in archive.store.list("tier2/")])
    for said in (str(page()), command("--url", url, "show", run.id)[1]):
        assert "no longer in the store" in said
        assert "kept of" not in said
